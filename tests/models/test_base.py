"""The linear part that a network corrects within a limit, and the slot of an unknown codec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge

from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.judge import judge
from pyvmaf.models.regressor.base import Base
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.models.weights import load_weights
from pyvmaf.quantized.quantize import quantize
from pyvmaf.scoring.find import load_model
from tests.make.logs import Log
from tests.models.test_mos import SMALL, table_of, write_spec

BASE = {"inputs": ["vmaf_mean", "bitrate_kbps"], "penalty": 2.0, "limit": 0.25}
NETWORK = {"hidden": [8], "base": BASE}
NAMES = ("vmaf_mean", "adm2_p5", "psnr_y_mean", "height", "bitrate_kbps")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    return table_of(Log(folder, contents=4, heights=(180, 360, 720, 1080)).corpus_file(), folder)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 1 << 16),
    rows=st.integers(3, 60),
    columns=st.integers(1, 5),
    penalty=st.sampled_from([0.01, 1.0, 30.0]),
    parts=st.integers(1, 4),
)
def test_it_is_the_ridge_regression_of_scikit_learn(
    seed: int, rows: int, columns: int, penalty: float, parts: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(1, 2, (rows, columns + 1)), rng.normal(3, 1, rows)
    read = np.arange(columns)[::-1].copy()

    def pieces() -> Any:
        return zip(np.array_split(x, parts), np.array_split(y, parts), strict=True)

    base = Base.fit(pieces, read, penalty=penalty, limit=1.0)
    theirs = Ridge(alpha=penalty).fit(x[:, read], y)
    assert base(x) == pytest.approx(theirs.predict(x[:, read]), abs=1e-8)
    assert base.weights[columns] == 0
    least_squares = Base.fit(pieces, read, penalty=0.0, limit=1.0)
    if rows > columns + 1:
        assert least_squares(x) == pytest.approx(LinearRegression().fit(x[:, read], y).predict(x[:, read]), abs=1e-6)


def test_a_column_that_never_varies_has_no_weight() -> None:
    x, y = np.column_stack([np.arange(9.0), np.full(9, 3.0)]), np.arange(9.0) * 2
    base = Base.fit(lambda: iter([(x, y)]), np.array([0, 1]), penalty=0.0, limit=1.0)
    assert base.weights == pytest.approx([2, 0])


@pytest.fixture(scope="module")
def made(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a linear part, exported; its folder."""
    folder = tmp_path_factory.mktemp("base")
    config = write_spec(folder, network=NETWORK, inputs=SMALL["inputs"] | {"codec_dropout": 0.5})
    done = fit(config, table, folder, seed=0)
    judge(config, [done.report], folder / "verdict.json")
    export(config, done.weights, folder / "verdict.json", table, folder / "model.onnx")
    return folder


def test_scores_are_the_line_and_a_bounded_correction(made: Path, table: Path) -> None:
    weights = load_weights(made / "weights.safetensors")
    index = weights.index(None)
    rows = pq.read_table(table).to_pandas()
    X, y = rows[list(NAMES)].to_numpy(float), rows["mos"].to_numpy(float)
    X[:, 4] = np.log(X[:, 4])
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    theirs = Ridge(alpha=2.0).fit(scaled[:, [0, 4]], y)
    line = theirs.predict(scaled[:, [0, 4]])
    assert weights.tensors["base_weights"][index][[0, 4]] == pytest.approx(theirs.coef_)
    corrections = load_model(made / "model.onnx").predict(rows, ("h264", None, None)).scores - line
    assert np.abs(corrections).max() <= 0.25 + 1e-5
    assert np.abs(corrections).max() > 0.01


def test_a_member_of_a_stack_equals_one_trained_alone(made: Path, table: Path, tmp_path: Path) -> None:
    spec = write_spec(
        tmp_path,
        network=NETWORK,
        inputs=SMALL["inputs"] | {"codec_dropout": 0.5},
        split={"protocol": "holdout", "mode": "primary-only", "primary": "fr_mos", "source": "film0", "by": "group"},
    )
    alone = load_weights(fit(spec, table, tmp_path, seed=0).weights)
    stacked = load_weights(made / "weights.safetensors")
    assert (stacked.tensors["parameters"][-1] == alone.tensors["parameters"][-1]).all()


def test_a_codec_that_was_never_seen_counts_as_unknown(made: Path, table: Path) -> None:
    model, rows = load_model(made / "model.onnx"), pq.read_table(table).to_pandas()
    unknown = model.predict(rows, None).scores
    # The logs hold H.264, HEVC and VP9. The preset of a known codec differs from that of an unknown one.
    block = vocabulary("v1")
    for codec in ("libsvtav1", "libvvenc"):
        columns = np.array([float(slot == codec) for slot in block.slots] + block.blind()[-2:])
        assert model.predict(rows, columns).scores == pytest.approx(unknown, abs=1e-5)
    assert np.abs(model.predict(rows, ("h264", None, None)).scores - unknown).max() > 1e-3


@pytest.mark.parametrize("mode", ["static_qdq", "qat"])
def test_int8_leaves_the_line_as_it_is(made: Path, table: Path, tmp_path: Path, mode: str) -> None:
    quantised = [{"mode": mode, "budget": 0.5, "rmse_max": 1, "srocc_min": 0.5}]
    config = write_spec(tmp_path, network=NETWORK, inputs=SMALL["inputs"] | {"codec_dropout": 0.5}, quantised=quantised)
    report = quantize(config, made / "model.onnx", made / "weights.safetensors", table, tmp_path / "q.onnx", mode=mode)
    assert report["passed"]
    assert report["rmse_int8_fp32"] < 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"hidden": [8], "base": BASE | {"inputs": ["vmaf"]}}}, "unknown input of network.base 'vmaf'"),
        ({"network": {"hidden": [8], "base": BASE | {"limit": -1}}}, "network.base.limit = -1"),
        (
            {"network": {"hidden": [], "base": BASE | {"limit": 0}}, "quantised": [{"mode": "qat"}]},
            "the model has none: set quantised",
        ),
        ({"inputs": SMALL["inputs"] | {"codec": None, "codec_dropout": 0.5}}, "which needs codec"),
        ({"inputs": SMALL["inputs"] | {"codec": "v3", "codec_dropout": 0.5}}, "vocabulary v3 does not have"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_regressor(write_spec(tmp_path, **changes))
