"""The record of an encode: one row of the corpus table, schema version 3, with all of its 54 keys.

The source of keys and meanings is the corpus schema of vmaf-tune (25 keys in version 1, ``clip_mode`` added in
version 2, 28 in version 3). What a record cannot know yet is null, and what this project does not measure has the
schema's own value for "unavailable" (0.0, an empty string, false) and is named in the encode's manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, TypedDict

from pyvmaf.errors import InputError, IntegrityError, unknown_name

SCHEMA_VERSION = 3
SCHEMA_FILE = "corpus_row.schema.json"

INTERNALS = (
    *("enc_internal_qp_mean", "enc_internal_qp_std", "enc_internal_bits_mean", "enc_internal_bits_std"),
    *("enc_internal_mv_mean", "enc_internal_mv_std", "enc_internal_itex_mean", "enc_internal_ptex_mean"),
    *("enc_internal_intra_ratio", "enc_internal_skip_ratio"),
)
"""Statistics from inside an encoder. FFmpeg's wrappers do not hand them out: 0.0, which the schema defines so."""


class _Version1(TypedDict):
    schema_version: int
    run_id: str
    timestamp: str | None
    src: str
    src_sha256: str
    width: int
    height: int
    pix_fmt: str
    framerate: float
    duration_s: float
    encoder: str
    encoder_version: str
    preset: str
    crf: int
    extra_params: list[str]
    encode_path: str
    encode_size_bytes: int
    bitrate_kbps: float
    encode_time_ms: float | None
    vmaf_score: float | None
    vmaf_model: str | None
    score_time_ms: float | None
    ffmpeg_version: str
    vmaf_binary_version: str | None
    exit_status: int


class _Version2(_Version1):
    clip_mode: str


class Record(_Version2):
    """One row: what was encoded, how, and what came of it. Times in milliseconds, rates in kbit/s, VMAF 0 to 100."""

    hdr_transfer: str
    hdr_primaries: str
    hdr_forced: bool
    shot_count: int
    shot_avg_duration_sec: float
    shot_duration_std_sec: float
    adm2_mean: float | None
    vif_scale0_mean: float | None
    vif_scale1_mean: float | None
    vif_scale2_mean: float | None
    vif_scale3_mean: float | None
    motion2_mean: float | None
    adm2_std: float | None
    vif_scale0_std: float | None
    vif_scale1_std: float | None
    vif_scale2_std: float | None
    vif_scale3_std: float | None
    motion2_std: float | None
    enc_internal_qp_mean: float
    enc_internal_qp_std: float
    enc_internal_bits_mean: float
    enc_internal_bits_std: float
    enc_internal_mv_mean: float
    enc_internal_mv_std: float
    enc_internal_itex_mean: float
    enc_internal_ptex_mean: float
    enc_internal_intra_ratio: float
    enc_internal_skip_ratio: float


KEYS = tuple(Record.__annotations__)
"""All keys, in the order of the versions that brought them."""

ROW_FEATURES = tuple(
    key.removesuffix("_mean") for key in KEYS if key.endswith("_mean") and not key.startswith("enc_internal_")
)
"""Training names of the features that have a mean and a standard deviation in a row: the canonical six."""

MEASURED = (
    *("timestamp", "encode_time_ms", "vmaf_score", "vmaf_model", "score_time_ms", "vmaf_binary_version"),
    *(f"{name}_{statistic}" for statistic in ("mean", "std") for name in ROW_FEATURES),
)
"""Keys that are null until the features are measured and the clocks are read."""


@cache
def schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a record, as it is shipped in the package."""
    import json

    value: dict[str, Any] = json.loads(files("pyvmaf.encodes").joinpath(SCHEMA_FILE).read_text())
    return value


def check(record: Mapping[str, Any], where: str = "record") -> None:
    """Make sure that `record` is a complete row of the schema.

    Args:
        record: the row.
        where: what to call it in messages (its file).

    Raises:
        IntegrityError: a key is missing, unknown or has a value that the schema does not allow.
    """
    from jsonschema import Draft202012Validator

    problem = next(iter(Draft202012Validator(schema()).iter_errors(dict(record))), None)
    if problem is not None:
        place = ".".join(str(part) for part in problem.absolute_path) or "the row"
        raise IntegrityError(f"{where} is no row of corpus schema {SCHEMA_VERSION}: {place}: {problem.message}")


def unavailable(record: Mapping[str, Any]) -> dict[str, str]:
    """Keys of which a fresh record says that nothing is known, each with the reason; for the manifest."""
    reasons = dict.fromkeys(INTERNALS, "the encoder's wrapper in FFmpeg does not hand it out; 0.0 stands for that")
    reasons.update(dict.fromkeys(MEASURED, "measured later; null until then"))
    if not record["hdr_transfer"]:
        reasons.update(dict.fromkeys(("hdr_transfer", "hdr_primaries"), "the reference is no HDR video"))
    return reasons


def complete(
    record: Record,
    *,
    vmaf: float | None,
    vmaf_model: str,
    features: Mapping[str, tuple[float | None, float | None]],
    vmaf_binary_version: str,
    encode_seconds: float | None = None,
    score_seconds: float | None = None,
    timestamp: str | None = None,
) -> dict[str, Any]:
    """A copy of `record` with everything that was measured after the encode.

    Args:
        record: as `encode` left it.
        vmaf: mean VMAF over the frames, 0 to 100; None where it could not be computed.
        vmaf_model: name of the model.
        features: training name → (mean, standard deviation with ddof 0) over the frames; names outside of the
            canonical six are refused, absent ones stay null. NaN counts as absent.
        vmaf_binary_version: identity of the libvmaf that measured.
        encode_seconds, score_seconds: durations, None where they are not known.
        timestamp: when the encode was made, ISO 8601.

    Raises:
        InputError: a feature that the schema has no key for.
        IntegrityError: the result is no row of the schema.
    """
    row: dict[str, Any] = dict(record)
    row |= {"vmaf_score": _number(vmaf), "vmaf_model": vmaf_model, "vmaf_binary_version": vmaf_binary_version}
    row |= {"encode_time_ms": _milliseconds(encode_seconds), "score_time_ms": _milliseconds(score_seconds)}
    row["timestamp"] = timestamp
    for name, (mean, std) in features.items():
        if name not in ROW_FEATURES:
            raise unknown_name("feature of a corpus row", name, ROW_FEATURES)
        row[f"{name}_mean"], row[f"{name}_std"] = _number(mean), _number(std)
    check(row, str(record.get("encode_path", "record")))
    return row


def _number(value: float | None) -> float | None:
    if value is None or value != value:
        return None
    if value in (float("inf"), float("-inf")):
        raise InputError(f"a corpus row cannot hold {value}: the measurement went wrong")
    return float(value)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
