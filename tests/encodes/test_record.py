from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pyvmaf.encodes.record import INTERNALS, KEYS, MEASURED, ROW_FEATURES, Record, complete, unavailable
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.catalog import CANONICAL6
from tests.make.schema import VERSION_1

# The keys that version 3 of the published corpus schema adds.
VERSION_3 = [
    "hdr_transfer",
    "hdr_primaries",
    "hdr_forced",
    "shot_count",
    "shot_avg_duration_sec",
    "shot_duration_std_sec",
]


def fresh() -> Record:
    return Record(
        run_id="0" * 16,
        src="a.mkv",
        src_sha256="0" * 64,
        width=2,
        height=2,
        pix_fmt="yuv420p",
        framerate=25.0,
        duration_s=1.0,
        encoder="libx264",
        encoder_version="1",
        preset="medium",
        crf=23,
        extra_params=[],
        encode_path="b.mkv",
        encode_size_bytes=1,
        bitrate_kbps=1.0,
        ffmpeg_version="n7",
        clip_mode="full",
        hdr_transfer="",
        hdr_primaries="",
        hdr_forced=False,
        shot_count=1,
        shot_avg_duration_sec=1.0,
        shot_duration_std_sec=0.0,
    )


def refused(row: dict[str, Any], match: str) -> None:
    """Both the reader and the published schema refuse `row`."""
    with pytest.raises(IntegrityError, match=rf"x\.json does not conform to Corpus row, schema version 3: {match}"):
        Record.parse(json.dumps(row), "x.json")
    assert not Draft202012Validator(Record.json_schema()).is_valid(row)


def test_the_54_keys_are_those_of_the_published_schema() -> None:
    assert len(VERSION_1) == 25
    assert list(KEYS[:26]) == [*VERSION_1, "clip_mode"]
    assert list(KEYS[26:32]) == VERSION_3
    assert len(KEYS) == len(set(KEYS)) == 54
    assert ROW_FEATURES == CANONICAL6
    assert {f"{name}_{statistic}" for name in CANONICAL6 for statistic in ("mean", "std")} <= set(KEYS)
    assert len(INTERNALS) == 10
    assert set(INTERNALS) <= set(KEYS)


def test_the_schema_describes_every_key() -> None:
    schema = Record.json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == list(KEYS)
    assert list(schema["properties"]) == list(KEYS)
    assert schema["additionalProperties"] is False
    assert all(value["description"] for value in schema["properties"].values())


def test_a_fresh_record_is_a_row() -> None:
    row = fresh().as_json()
    assert list(row) == list(KEYS)
    assert Record.parse(json.dumps(row), "x.json") == fresh()
    Draft202012Validator(Record.json_schema()).validate(row)
    assert [row[key] for key in MEASURED] == [None] * 18
    assert [row[key] for key in INTERNALS] == [0.0] * 10
    assert (row["schema_version"], row["exit_status"]) == (3, 0)


def test_what_a_fresh_record_does_not_hold() -> None:
    assert set(unavailable(fresh())) == {*MEASURED, *INTERNALS, "hdr_transfer", "hdr_primaries"}
    hdr = Record(**{**fresh().as_json(), "hdr_transfer": "smpte2084", "hdr_primaries": "bt2020"})
    assert "hdr_transfer" not in unavailable(hdr)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_required(key: str) -> None:
    row = fresh().as_json()
    del row[key]
    refused(row, f"{key}: the key is missing" if key not in DEFAULTS else f"the document: missing key {key}$")


DEFAULTS = {"schema_version", "exit_status", *MEASURED, *INTERNALS}


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("codec", "libx264", "this key is not allowed here"),
        ("crf", "23", "should be a valid integer, but is '23'"),
        ("crf", 23.5, "should be a valid integer, but is 23.5"),
        ("src_sha256", "abc", "String should match pattern .*, but is 'abc'"),
        ("schema_version", 2, "should be 3, but is 2"),
        ("exit_status", 1, "should be 0, but is 1"),
        ("width", 0, "should be greater than or equal to 1, but is 0"),
        ("hdr_forced", None, "should be a valid boolean, but is None"),
        ("adm2_std", -0.5, "should be greater than or equal to 0, but is -0.5"),
    ],
)
def test_unknown_keys_and_wrong_values(key: str, value: Any, problem: str) -> None:
    refused({**fresh().as_json(), key: value}, f"{key}: {problem}")


def test_completing_a_record_fills_what_was_measured_and_nothing_else() -> None:
    record = fresh()
    features = {name: (float(index), index / 10) for index, name in enumerate(CANONICAL6)}
    row = complete(
        record,
        vmaf=93.5,
        vmaf_model="vmaf_v0.6.1",
        features=features,
        vmaf_binary_version="f85a8536",
        encode_seconds=1.2345678,
        score_seconds=None,
        timestamp="2026-01-01T00:00:00Z",
    )
    assert record == fresh()
    assert (row.vmaf_score, row.vmaf_model, row.vmaf_binary_version) == (93.5, "vmaf_v0.6.1", "f85a8536")
    assert (row.encode_time_ms, row.score_time_ms) == (1234.568, None)
    values, before = row.as_json(), record.as_json()
    for index, name in enumerate(CANONICAL6):
        assert (values[f"{name}_mean"], values[f"{name}_std"]) == (index, index / 10)
    unchanged = set(KEYS) - set(MEASURED)
    assert {key: values[key] for key in unchanged} == {key: before[key] for key in unchanged}


@given(mean=st.one_of(st.none(), st.floats(allow_infinity=False)), std=st.one_of(st.none(), st.floats(0, 1e6)))
def test_what_is_not_a_number_stays_null(mean: float | None, std: float | None) -> None:
    row = complete(fresh(), vmaf=None, vmaf_model="m", features={"adm2": (mean, std)}, vmaf_binary_version="v")
    assert row.adm2_mean == (None if mean is None or math.isnan(mean) else mean)
    assert row.adm2_std == std
    assert row.vmaf_score is row.motion2_mean is None


def test_a_feature_without_a_key_and_an_infinite_value_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown feature of a corpus row 'vif_scale4'"):
        complete(fresh(), vmaf=1, vmaf_model="m", features={"vif_scale4": (1, 1)}, vmaf_binary_version="v")
    with pytest.raises(InputError, match="cannot hold inf"):
        complete(fresh(), vmaf=math.inf, vmaf_model="m", features={}, vmaf_binary_version="v")
