"""A linear part whose weights depend on codec and CRF, against NumPy's interpolation and scikit-learn's ridge regression."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from pyvmaf.errors import InputError
from pyvmaf.models.regressor.base import Base
from pyvmaf.models.regressor.curves import Curves, levelled
from pyvmaf.models.regressor.graph import build_onnx
from pyvmaf.models.regressor.inputs import Preparation
from pyvmaf.models.regressor.networks import Mlp
from pyvmaf.models.regressor.spec import load_regressor
from tests.models.test_mos import SMALL, write_spec

SLOTS = ("one", "two", "unknown")
CRFS = {0: np.array([0.2, 0.3, 0.5, 0.8]), 1: np.array([0.4, 0.6, 0.7, 1.0])}


def rows(rng: np.random.Generator, each: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [n, 3], codec blocks [n, 5] of two codecs at four CRFs, and targets [n]."""
    blocks = [[*np.eye(3)[slot], 0.5, crf] for slot, crfs in CRFS.items() for crf in crfs for _ in range(each)]
    return rng.normal(size=(len(blocks), 3)), np.array(blocks), rng.normal(50, 20, len(blocks))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1 << 16), count=st.integers(2, 6))
def test_values_between_knots_are_interpolated_and_go_on_straight_beyond(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    knots = np.cumsum(rng.uniform(0.02, 0.15, (2, count)), axis=1)
    curves, values = Curves(knots), np.sort(rng.normal(size=(2, count)))[:, ::-1]
    q = np.concatenate([rng.uniform(0, 1, 30), knots.ravel()])
    for slot in range(2):
        block = np.column_stack([np.eye(2)[np.full(q.size, slot)], q])
        found = curves(np.tile(values.ravel(), (q.size, 1)), block)
        at, line = knots[slot], values[slot]
        ends = [(line[1] - line[0]) / (at[1] - at[0]), (line[-1] - line[-2]) / (at[-1] - at[-2])]
        expected = np.interp(q, at, line)
        expected += np.minimum(q - at[0], 0) * ends[0] + np.maximum(q - at[-1], 0) * ends[1]
        assert found == pytest.approx(expected, abs=1e-9)
        assert curves.hats(block) @ values.ravel() == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=7))
def test_values_that_rise_are_levelled_and_others_stay(values: list[float]) -> None:
    found = levelled(np.array(values))
    assert (np.diff(found) <= 0).all()
    assert found.min() >= min(values)
    assert found.max() <= max(values)
    fallen = np.sort(values)[::-1]
    assert levelled(fallen).tolist() == fallen.tolist()
    # Isotonic regression gives two neighbours that rise their mean, too.
    assert levelled(np.array([9.0, 4.0, 6.0, 1.0])).tolist() == [9, 5, 5, 1]


def fitted(seed: int = 0) -> tuple[Base, np.ndarray, np.ndarray, np.ndarray]:
    x, block, y = rows(np.random.default_rng(seed))
    curves = Curves.fit(block, SLOTS, 4)
    joined = np.hstack([x, block])

    def parts() -> Any:
        return zip(np.array_split(joined, 3), np.array_split(y, 3), strict=True)

    return Base.fit_curves(parts, np.array([0, 2]), 3, curves, penalty=3.0, limit=1.0), x, block, y


def test_at_the_knots_it_is_a_ridge_regression_of_its_own() -> None:
    base, x, block, y = fitted()
    scores = base(np.hstack([x, block]))
    for slot, crfs in CRFS.items():
        own = block[:, slot] == 1
        theirs = []
        for crf in crfs:
            at = own & (block[:, -1] == crf)
            theirs.append(Ridge(alpha=3.0).fit(x[at][:, [0, 2]], y[at]).predict(x[own][:, [0, 2]]))
        level = levelled(np.column_stack(theirs))
        assert scores[own] == pytest.approx(
            level[np.arange(own.sum()), np.searchsorted(crfs, block[own, -1])], abs=1e-6
        )


def test_a_codec_without_rows_is_the_mean_of_the_others() -> None:
    base, x, _, _ = fitted()
    assert base.curves is not None
    assert base.curves.knots[2] == pytest.approx(base.curves.knots[:2].mean(axis=0))
    values = (base.weights @ x.T + np.asarray(base.bias)[:, None]).reshape(3, 4, len(x))
    assert values[2] == pytest.approx(values[:2].mean(axis=0))


@pytest.mark.parametrize("limit", [1.0, 0.0])
def test_graph_and_torch_give_the_same_and_fall(limit: float) -> None:
    import onnxruntime

    base, x, block, _ = fitted()
    base = dataclasses.replace(base, limit=limit)
    network = Mlp(((8, 1),), "relu", 0.0)
    parameters = np.random.default_rng(1).normal(size=network.n_parameters).astype(np.float32)
    parameters[7] = 0  # the network does not see the CRF
    joined = np.hstack([x, block])
    flat = torch.from_numpy(parameters)
    answers = base.corrected(joined, network.predict(flat, torch.tensor(joined).float()).numpy())
    module = base.around(network.as_module(flat))
    assert module(torch.tensor(joined).float())[:, 0].detach().numpy() == pytest.approx(answers, abs=1e-3)
    prepare = Preparation(np.zeros(3), np.ones(3), np.full(3, -9.0), np.full(3, 9.0))
    data = build_onnx(network, parameters, name="curves", n_features=3, n_codec=5, prepare=prepare, base=base, opset=17)
    # Without a correction the graph has no network.
    assert (b"Gemm" in data) == bool(limit)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    [scores] = session.run(None, {"features": x.astype(np.float32), "codec": block.astype(np.float32)})
    assert scores == pytest.approx(answers, abs=1e-3)
    for features in x[:9]:
        codec = np.tile(block[0], (257, 1))
        codec[:, -1] = np.linspace(0, 1, 257)
        [scores] = session.run(
            None, {"features": np.tile(features, (257, 1)).astype(np.float32), "codec": codec.astype(np.float32)}
        )
        assert (np.diff(scores) <= 0).all()


def test_more_knots_than_crfs_are_refused() -> None:
    _, block, _ = rows(np.random.default_rng(0))
    with pytest.raises(InputError, match="knots is 5, but the training rows of one have 4 different CRFs: set it to 4"):
        Curves.fit(block, SLOTS, 5)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"codec": None, "codec_dropout": 0}, "set inputs.codec to a vocabulary that has one"),
        ({"codec_dropout": 0.5}, "leave one of them out"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path: Path, inputs: dict[str, Any], message: str) -> None:
    base = {"inputs": ["vmaf_mean"], "limit": 1, "knots": 3}
    with pytest.raises(InputError, match=message):
        load_regressor(write_spec(tmp_path, network={"hidden": [8], "base": base}, inputs=SMALL["inputs"] | inputs))
