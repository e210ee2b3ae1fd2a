"""Which file is meant, what describes it, and what it is fed with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.checks.subject import (
    drawn_feeds,
    open_subject,
    parse_shape,
    read_graph,
    read_rows,
    rows_for,
    start,
)
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, UnavailableError
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.load import load_model
from tests.make.models import Linear


def test_a_model_by_file_sidecar_and_id(finished_results: Path, fp32: Path) -> None:
    registry = finished_results / "registry" / "registry.json"
    shipped = json.loads(registry.read_text())["models"][0]
    by_file = open_subject(fp32)
    assert by_file.name == "small"
    assert by_file.described().features[0] == "adm2"
    assert open_subject(fp32.with_suffix(".json")).sha256 == by_file.sha256
    assert open_subject("small", registry=registry).sha256 == shipped["sha256"]
    assert open_subject("small.int8", registry=registry).sha256 == shipped["int8_sha256"]
    assert open_subject("small.int8", registry=registry).name == "small.int8"


def test_an_int8_variant_finds_the_sidecar_of_its_parent(fp32: Path, int8: Path, tmp_path: Path) -> None:
    assert open_subject(int8).sidecar == fp32.with_suffix(".json")
    moved = shutil.copy(int8, tmp_path / "static_qdq.onnx")
    shutil.copy(int8.with_suffix(".json"), tmp_path / "static_qdq.json")
    with pytest.raises(MissingFileError, match=r"int8 variant of the file with sha256 .* name it \(--sidecar\)"):
        open_subject(moved)
    shutil.copy(fp32.with_suffix(".json"), tmp_path / "model.json")
    assert open_subject(moved).described().features == open_subject(fp32).described().features


def test_a_name_that_neither_a_file_nor_a_registry_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYVMAF_REGISTRY", str(tmp_path / "elsewhere.json"))
    with pytest.raises(MissingFileError, match=r"nowhere\.onnx"):
        open_subject(tmp_path / "nowhere.onnx")
    with pytest.raises(
        MissingFileError, match=r"no such file: .*registry\.json, which should list model 'small': .*--registry"
    ):
        open_subject("small", registry=tmp_path / "registry.json")
    with pytest.raises(MissingFileError, match=r"no such file: .*elsewhere\.json, which should list"):
        open_subject("small")


def test_an_operator_that_is_not_allowed_is_refused(linear: Linear) -> None:
    with pytest.raises(InputError, match="operator Hardmax"):
        open_subject(linear("forbidden.onnx", [1.0], op="Hardmax"))


def test_a_file_with_another_hash_is_refused(fp32: Path) -> None:
    with pytest.raises(IntegrityError, match="is pinned"):
        open_subject(fp32, sha256="0" * 64)


def test_a_file_that_its_sidecar_does_not_describe_is_refused(fp32: Path, int8: Path, tmp_path: Path) -> None:
    shutil.copy(int8, tmp_path / "model.onnx")
    shutil.copy(fp32.with_suffix(".json"), tmp_path / "model.json")
    with pytest.raises(IntegrityError, match="not the file that was judged"):
        open_subject(tmp_path / "model.onnx")


def test_json_that_is_not_a_sidecar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match="is neither the manifest of an ensemble nor a sidecar"):
        open_subject(tmp_path / "other.json")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge.onnx", "wb") as stream:
        stream.truncate(allowlist.MAX_BYTES + 1)
    with pytest.raises(InputError, match=f"{allowlist.MAX_BYTES + 1} bytes, but a model may have at most"):
        open_subject(tmp_path / "huge.onnx")


def test_a_model_without_a_sidecar_is_one_without_meaning(linear: Linear) -> None:
    subject = open_subject(linear("bare.onnx", [1.0, 2.0]))
    assert subject.shapes == {"input": (None, 2)}
    with pytest.raises(InputError, match="no sidecar beside it"):
        subject.described()


def test_shapes(with_codec: Path, linear: Linear) -> None:
    subject = open_subject(with_codec)
    whole = {"features": (240, 6), "codec": (240, 8)}
    for text in ("240", "240x6", "240,6", "features=240x6,codec=240x8", "codec=240x8"):
        assert parse_shape(text, subject) == whole
    for text, message in {
        "240x7": "input 'features' of model.onnx is Nx6, but '240x7' asks for 240x7",
        "0": "has an axis of 0",
        "many": "is not a shape",
        "feature=3x6": "did you mean 'features'",
    }.items():
        with pytest.raises(InputError, match=message):
            parse_shape(text, subject)
    assert parse_shape("3", open_subject(linear("bare.onnx", [1.0]))) == {"input": (3, 1)}


@pytest.mark.parametrize("which", ["fp32", "int8", "with_codec"])
def test_a_graph_is_fed_as_its_loader_feeds_it(which: str, request: pytest.FixtureRequest) -> None:
    subject = open_subject(request.getfixturevalue(which))
    model = subject.described()
    X, codec = model.examples(40)
    feeds = model.feeds(X, codec)
    (scores,) = start(subject.graphs[0], "cpu", feeds).run(None, feeds)
    loaded = load_model(subject.path, sidecar=subject.sidecar, sha256=subject.sha256).predict(X, codec)
    np.testing.assert_array_equal(scores, loaded.scores.astype(np.float32))
    assert loaded.outside_share == 0
    assert drawn_feeds(subject, parse_shape("7", subject)).keys() == subject.shapes.keys()


def test_rows_of_a_table(with_codec: Path, table: Path) -> None:
    import pyarrow.parquet as pq

    rows = rows_for(open_subject(with_codec).described(), table, "vmaf")
    frame = pq.read_table(table).to_pandas()
    assert len(rows.X) == len(frame) == rows.n_total
    np.testing.assert_array_equal(rows.y, frame["vmaf"])
    np.testing.assert_array_equal(rows.X[:, 5], frame["motion2"])
    assert rows.codec is not None
    np.testing.assert_array_equal(rows.codec[:, 0], (frame["encoder"] == "libx264").astype(float))
    few = rows.spread(10)
    assert len(few.X) == 10
    np.testing.assert_array_equal(few.X[[0, -1]], rows.X[[0, -1]])
    with pytest.raises(InputError, match="has no column 'mos'"):
        read_rows(table, ["adm2"], target="mos")


def test_a_provider_that_is_not_installed(fp32: Path) -> None:
    with pytest.raises(UnavailableError, match="CUDAExecutionProvider is not in the installed onnxruntime"):
        start(read_graph(fp32), "cuda", {"features": np.zeros((1, 6), np.float32)})


def test_a_graph_that_is_not_valid(linear: Linear) -> None:
    import onnx

    path = linear("bare.onnx", [1.0])
    model = onnx.load(path)
    model.graph.node[0].input[1] = "nothing"
    onnx.save(model, path)
    with pytest.raises(IntegrityError, match=r"bare\.onnx is not valid ONNX: .*'nothing' of node"):
        open_subject(path)


def test_an_ensemble_is_the_mean_of_its_members(ensemble: Path, table: Path) -> None:
    subject = open_subject(ensemble)
    assert len(subject.graphs) == 2
    assert subject.size == sum(len(graph.data) for graph in subject.graphs)
    rows = rows_for(subject.described(), table).spread(30)
    feeds = subject.described().feeds(rows.X, rows.codec)
    alone = [start(graph, "cpu", feeds).run(None, feeds)[0] for graph in subject.graphs]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3, "two seeds are two models"
    np.testing.assert_allclose(np.mean(alone, axis=0), subject.described().predict(rows.X).scores, rtol=1e-5)
