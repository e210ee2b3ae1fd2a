"""The files of config/models: what they describe, and that each of them trains on a table with their columns."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CANONICAL6, FEATURES, FULL, SETS
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.regressor.networks import build
from pyvmaf.models.regressor.spec import RegressorSpec, load_regressor
from pyvmaf.runtime.load import load_model
from pyvmaf.runtime.sidecar import UNTRAINED
from tests.make.tables import table_columns, write_table

MODELS = Path(__file__).parents[2] / "config" / "models"


def layers(*widths: int) -> int:
    """Weights and biases of linear layers between these widths."""
    return sum((i + 1) * o for i, o in itertools.pairwise(widths))


# Name: (parameters as published or counted by hand, widths, codec vocabulary, seeds).
FAMILY: dict[str, tuple[int, tuple[int, ...], str | None, int]] = {
    "linear": (7, (6, 1), None, 3),
    "vmaf_tiny_v1": (257, (6, 16, 8, 1), None, 3),
    "mlp_medium": (2_561, (6, 64, 32, 1), None, 3),
    "vmaf_tiny_v2": (257, (6, 16, 8, 1), None, 3),
    "vmaf_tiny_v3": (769, (6, 32, 16, 1), None, 5),
    "vmaf_tiny_v4": (3_073, (6, 64, 32, 16, 1), None, 5),
    "vmaf_tiny_v5": (257, (6, 16, 8, 1), None, 5),
    "vmaf_tiny_v6": (3_073, (6, 64, 32, 16, 1), None, 5),
    "fr_regressor_v1": (4_673, (6, 64, 64, 1), None, 3),
    "fr_regressor_v1_a": (4_737, (7, 64, 64, 1), None, 3),
    "fr_regressor_v1_b": (4_737, (7, 64, 64, 1), None, 3),
    "fr_regressor_v2": (2_625, (14, 32, 32, 32, 1), "v1", 3),
    "fr_regressor_v2_vocab2": (2_817, (20, 32, 32, 32, 1), "v2", 3),
    "fr_regressor_v2_ensemble": (5_569, (20, 64, 64, 1), "v2", 5),
    "fr_regressor_v3": (5_825, (24, 64, 64, 1), "v3", 3),
}


def shipped(name: str) -> RegressorSpec:
    return load_regressor(MODELS / f"{name}.yaml")


@pytest.mark.parametrize("name", FAMILY)
def test_parameters_and_widths(name: str) -> None:
    parameters, widths, codec, seeds = FAMILY[name]
    spec = shipped(name)
    assert spec.inputs.codec == codec
    inputs = len(spec.inputs.names) + (0 if codec is None else vocabulary(codec).width)
    network = build(spec.network, inputs)
    assert (inputs, *spec.network.hidden, 1) == widths
    assert network.n_parameters == layers(*widths) == parameters
    assert len(spec.seeds) == seeds


def test_recipes_of_the_published_models() -> None:
    for name in ("vmaf_tiny_v2", "vmaf_tiny_v3", "vmaf_tiny_v4", "vmaf_tiny_v5"):
        spec = shipped(name)
        found = (spec.optimiser.name, spec.optimiser.lr, spec.epochs, spec.batch_size, spec.export.scaler)
        assert found == ("adam", 1e-3, 90, 256, "baked")
    assert shipped("vmaf_tiny_v5").network == shipped("vmaf_tiny_v2").network
    assert shipped("vmaf_tiny_v5").target.table != shipped("vmaf_tiny_v2").target.table
    for name in ("fr_regressor_v3", "fr_regressor_v2_ensemble"):
        spec = shipped(name)
        assert (spec.optimiser.name, spec.optimiser.lr, spec.optimiser.weight_decay) == ("adam", 5e-4, 1e-5)
        assert (spec.epochs, spec.batch_size) == (200, 32)
    assert shipped("fr_regressor_v2_ensemble").seeds == (0, 1, 2, 3, 4)
    for name in (n for n in FAMILY if n.startswith("fr_")):
        assert (shipped(name).network.activation, shipped(name).network.dropout) == ("gelu", 0.1)
        assert shipped(name).export.scaler == "sidecar"


def test_sets_of_features() -> None:
    assert SETS["A"] == (*CANONICAL6, "ssimulacra2")
    assert set(SETS["B"]) == {"adm2", "adm_scale3", "vif_scale2", "motion2", "ssimulacra2", "psnr_hvs", "float_ssim"}
    assert SETS["full"] == FULL == tuple(FEATURES)[:21]
    assert len(FULL) == 21
    assert shipped("fr_regressor_v1_a").inputs.names == SETS["A"]
    assert shipped("fr_regressor_v1_b").inputs.names == SETS["B"]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with every feature, as one that was computed elsewhere may have it."""
    columns = table_columns(frames=6)
    rng = np.random.default_rng(0)
    for feature in FULL:
        columns.setdefault(feature, rng.random(len(columns["vmaf"])).tolist())
    return write_table(tmp_path_factory.mktemp("wide") / "made.parquet", columns)


@pytest.mark.parametrize("name", FAMILY)
def test_each_file_trains_and_answers(tmp_path: Path, wide: Path, name: str) -> None:
    assert fit(MODELS / f"{name}.yaml", wide, tmp_path / "once", seed=1, epochs=1).loso["n_params"] == FAMILY[name][0]
    initial = fit(MODELS / f"{name}.yaml", wide, tmp_path / "out", seed=1, epochs=0)
    export(MODELS / f"{name}.yaml", initial.weights, None, None, tmp_path / "out" / "model.onnx")
    report = initial.loso
    assert report["n_folds"] == 4
    assert [f["held_out"] for f in report["beside"]["folds"]] == ["group:film0", "group:film1"]
    model = load_model(tmp_path / "out" / "model.onnx")
    assert model.sidecar["verdict"] == UNTRAINED
    codec = None if FAMILY[name][2] is None else ("libx264", "medium", 23)
    scores = model.predict({n: np.full(3, 0.5) for n in model.features}, codec).scores
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


def test_what_libvmaf_does_not_compute_is_named(tmp_path: Path, table: Path) -> None:
    for name in ("fr_regressor_v1_a", "fr_regressor_v1_b"):
        with pytest.raises(InputError, match=r"no column .*'ssimulacra2'.*ssimulacra2: libvmaf has no such extractor"):
            fit(MODELS / f"{name}.yaml", table, tmp_path / "out", seed=0, epochs=1)
    columns = table_columns()
    columns["ssimulacra2"] = [float("nan")] * len(columns["vmaf"])
    stated = write_table(tmp_path / "t.parquet", columns, unavailable={"ssimulacra2": "libvmaf has no such extractor"})
    with pytest.raises(InputError, match=r"ssimulacra2: \d+ rows \(libvmaf has no such extractor\)"):
        fit(MODELS / "fr_regressor_v1_a.yaml", stated, tmp_path / "out", seed=0, epochs=1)
    assert not (tmp_path / "out").exists()


def test_rows_of_encoders_without_a_slot_are_left_out_or_refused(tmp_path: Path) -> None:
    columns = table_columns()
    for name in ("encoder", "codec"):
        columns[name] = ["libvpx-vp9" if value == "libx265" else value for value in columns[name]]
    columns["preset"] = [
        "good" if e == "libvpx-vp9" else p for e, p in zip(columns["encoder"], columns["preset"], strict=True)
    ]
    path = write_table(tmp_path / "t.parquet", columns)
    report = fit(MODELS / "fr_regressor_v3.yaml", path, tmp_path / "out", seed=0, epochs=1).loso
    n = len(columns["vmaf"])
    assert report["table"]["rows_used"] == 2 * n // 3
    assert report["table"]["dropped"] == {"rows": n // 3, "by_column": {"encoder": n // 3}}

    spec = yaml.safe_load((MODELS / "fr_regressor_v3.yaml").read_text()) | {"rows": {}}
    (tmp_path / "fr_regressor_v3.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises(InputError, match=r"t\.parquet: codec vocabulary v3 has no slot for 'libvpx-vp9'"):
        fit(tmp_path / "fr_regressor_v3.yaml", path, tmp_path / "refused", seed=0, epochs=1)
    assert not (tmp_path / "refused").exists()

    columns["encoder"] = ["libvpx-vp9"] * n
    with pytest.raises(InputError, match="no row's encoder has a place in codec vocabulary v3"):
        fit(MODELS / "fr_regressor_v3.yaml", write_table(path, columns), tmp_path / "refused", seed=0, epochs=1)


def test_the_sidecar_holds_the_vocabulary(tmp_path: Path, wide: Path) -> None:
    weights = fit(MODELS / "fr_regressor_v3.yaml", wide, tmp_path, seed=0, epochs=0).weights
    export(MODELS / "fr_regressor_v3.yaml", weights, None, None, tmp_path / "model.onnx")
    block = json.loads((tmp_path / "model.json").read_text())["codec"]
    known = vocabulary("v3")
    assert (block["vocabulary"], block["vocabulary_sha256"], block["blind"]) == ("v3", known.sha256, None)
    assert (block["slots"], block["layout"]) == (list(known.slots), list(known.layout))
    model = load_model(tmp_path / "model.onnx")
    rows = {n: np.full(2, 0.5) for n in model.features}
    with pytest.raises(InputError, match="needs the codec of each video: its vocabulary v3 has no slot for an unknown"):
        model.predict(rows)
    with pytest.raises(InputError, match="no slot for 'libvpx-vp9'"):
        model.predict(rows, ("vp9", "good", 30))
    # The published quality axis ends at 37 and is not clipped.
    assert model.predict(rows, ("libx264", None, 51)).scores.shape == (2,)
