"""The stacked trainer against torch's own modules, autograd, optimisers and DataLoader."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.models.regressor import trainer as trainer_module
from pyvmaf.models.regressor.inputs import Preparation
from pyvmaf.models.regressor.kernels import MlpKernel
from pyvmaf.models.regressor.networks import Mlp, build
from pyvmaf.models.regressor.spec import Network
from pyvmaf.models.regressor.trainer import Fitted, Member, StackedTrainer, stream, torch_threads
from pyvmaf.models.spec import Optimiser

F64 = NDArray[np.float64]


def data(n: int = 150, columns: int = 5, seed: int = 0) -> tuple[F64, F64]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, columns)) * np.array([1, 10, 0.1, 3, 1])[:columns] + 2
    return X, 50 + 20 * np.tanh(X[:, 0] - X[:, 1] / 10) + rng.normal(0, 1, n)


def members(n: int, sizes: tuple[int, ...]) -> list[Member]:
    """Members whose rows overlap, of different counts."""
    rng = np.random.default_rng(1)
    return [Member(f"s{i}", np.sort(rng.permutation(n)[:size])) for i, size in enumerate(sizes)]


def mlp(hidden: tuple[int, ...] = (7, 4), activation: str = "relu", dropout: float = 0.0, columns: int = 5) -> Mlp:
    return build(Network.model_validate({"hidden": hidden, "activation": activation, "dropout": dropout}), columns)


def fit(network: Mlp, chosen: list[Member], X: F64, y: F64, codec: F64 | None = None, **settings_: Any) -> list[Fitted]:
    options = {"batch_size": 32, "epochs": 3, "seed": 5, **settings_}
    optimiser = options.pop("optimiser", Optimiser(lr=0.01))
    with torch_threads(options.pop("threads", 1)):
        return StackedTrainer(network, optimiser, **options).fit(chosen, X, y, codec)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("hidden", [(), (6,), (7, 4), (5, 5, 3)])
@pytest.mark.parametrize("dropped", [False, True])
def test_gradient_equals_autograd(activation: str, hidden: tuple[int, ...], dropped: bool) -> None:
    network = mlp(hidden, activation)
    k, rows = 3, 11
    g = torch.Generator().manual_seed(0)
    flat = torch.randn(k, network.n_parameters, generator=g, dtype=torch.float64)
    x = torch.randn(k, 6, rows, generator=g, dtype=torch.float64)
    x[:, -1] = 1
    y = torch.randn(k, 1, rows, generator=g, dtype=torch.float64)
    weight = torch.full((k, 1, rows), 2 / rows, dtype=torch.float64)
    masks = [(torch.rand(k, w, rows, generator=g) > 0.3).double() / 0.7 for w in hidden] if dropped else []
    gradient = torch.zeros_like(flat)
    kernel = MlpKernel(network, flat, gradient, rows)
    kernel(x, y, weight, masks)

    for member in range(k):
        parameters = flat[member].clone().requires_grad_()
        a = x[member, :-1].T
        for place, layer in enumerate(network.layers(parameters[None])):
            a = a @ layer[0, :, :-1].T + layer[0, :, -1]
            if place < len(hidden):
                a = torch.relu(a) if activation == "relu" else torch.nn.functional.gelu(a)
                if masks:
                    a = a * masks[place][member].T
        loss = torch.nn.functional.mse_loss(a[:, 0], y[member, 0])
        loss.backward()  # type: ignore[no-untyped-call]
        assert parameters.grad is not None
        torch.testing.assert_close(gradient[member], parameters.grad, rtol=1e-11, atol=1e-12)
        assert float(kernel.twice_loss[member]) / 2 == pytest.approx(float(loss.detach()), rel=1e-12)


def plain_loop(network: Mlp, member: Member, X: F64, y: F64, optimiser: Optimiser, epochs: int, batch: int) -> F64:
    """What a tutorial would write, with torch's own parts: DataLoader without drop_last, autograd, torch.optim."""
    rows = X[member.taken()]
    mean, std = rows.mean(0), rows.std(0)
    x = torch.from_numpy((rows - mean) / np.where(std < 1e-8, 1, std))
    dataset = torch.utils.data.TensorDataset(x, torch.from_numpy(y[member.taken()])[:, None])
    initial = network.initial(stream(5, member.held_out, "initial"))
    module = network.as_module(torch.from_numpy(initial)).double()
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimiser.name]
    steps = kind(module.parameters(), lr=optimiser.lr, weight_decay=optimiser.weight_decay)
    order = stream(5, member.held_out, "order")
    for _ in range(epochs):
        loader = torch.utils.data.DataLoader(dataset, batch, sampler=order.permutation(len(x)).tolist())
        for a, b in loader:
            steps.zero_grad()
            torch.nn.functional.mse_loss(module(a), b).backward()  # type: ignore[no-untyped-call]
            steps.step()
    blocks = [torch.cat([m.weight, m.bias[:, None]], 1).ravel() for m in module if isinstance(m, torch.nn.Linear)]
    return torch.cat(blocks).detach().numpy()


@pytest.mark.parametrize(
    "optimiser",
    [
        Optimiser(name="adam", lr=0.01),
        Optimiser(name="adam", lr=0.01, weight_decay=0.1),
        Optimiser(name="adamw", lr=0.01, weight_decay=0.1),
    ],
    ids=["adam", "adam+decay", "adamw"],
)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_members_of_different_length_equal_plain_loops(optimiser: Optimiser, activation: str) -> None:
    X, y = data()
    network = mlp(activation=activation)
    # Whole batches, a short last one, fewer batches than others, less than one batch, one row.
    chosen = members(len(y), (128, 150, 70, 20, 1))
    fitted = fit(network, chosen, X, y, optimiser=optimiser, epochs=4, dtype=torch.float64)
    for one in fitted:
        expected = plain_loop(network, one.member, X, y, optimiser, 4, 32)
        np.testing.assert_allclose(one.parameters, expected, rtol=1e-9, atol=1e-11)


def test_losses_are_those_of_the_epoch() -> None:
    X, y = data()
    one = fit(mlp((), columns=5), members(len(y), (70, 150)), X, y, optimiser=Optimiser(lr=1e-12), dtype=torch.float64)
    for f in one:
        # With a step this small nothing moves: each epoch's loss is that of the initial weights.
        x = torch.from_numpy(f.prepare(X[f.member.taken()]))
        p = mlp(()).predict(torch.from_numpy(f.parameters), x).numpy()
        np.testing.assert_allclose(f.losses, np.mean((p - y[f.member.taken()]) ** 2), rtol=1e-6)


@pytest.mark.parametrize(
    ("hidden", "activation", "dropout", "batch"),
    [((16, 8), "relu", 0.0, 256), ((64, 64), "gelu", 0.1, 256), ((32, 32, 32), "gelu", 0.1, 64)],
    ids=["vmaf_tiny_v2", "fr_regressor_v1", "fr_regressor_v2"],
)
def test_a_stacked_member_equals_the_same_member_alone(
    hidden: tuple[int, ...], activation: str, dropout: float, batch: int
) -> None:
    X, y = data(1500, 5)
    codec = np.random.default_rng(0).random((len(y), 8))
    network = mlp(hidden, activation, dropout, columns=13)
    chosen = members(len(y), (1400, 1300, 1100, 1500, 700))
    stacked = fit(network, chosen, X, y, codec, batch_size=batch, epochs=8)
    for member, together in zip(chosen, stacked, strict=True):
        (alone,) = fit(network, [member], X, y, codec, batch_size=batch, epochs=8)
        assert np.max(np.abs(alone.parameters - together.parameters)) <= 1e-6
        np.testing.assert_allclose(alone.losses, together.losses, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    batch=st.integers(1, 40),
    dropout=st.sampled_from([0.0, 0.3]),
)
def test_any_mix_of_lengths_equals_each_alone(sizes: list[int], batch: int, dropout: float) -> None:
    X, y = data(60)
    network = mlp((3,), "gelu", dropout)
    chosen = members(60, tuple(sizes))
    stacked = fit(network, chosen, X, y, batch_size=batch, epochs=2)
    for member, together in zip(chosen, stacked, strict=True):
        (alone,) = fit(network, [member], X, y, batch_size=batch, epochs=2)
        np.testing.assert_allclose(alone.parameters, together.parameters, atol=1e-6)


def test_threads_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data(400)
    network = mlp((16,), "gelu", 0.2)
    chosen = members(400, (400, 390, 130))
    first = fit(network, chosen, X, y)
    second = fit(network, chosen, X, y, threads=2)
    monkeypatch.setattr(trainer_module, "CHUNK_BYTES", 1)
    third = fit(network, chosen, X, y)
    for a, b, c in zip(first, second, third, strict=True):
        assert np.array_equal(a.parameters, b.parameters)
        assert np.array_equal(a.parameters, c.parameters)


def test_seed_and_name_decide_the_streams() -> None:
    X, y = data()
    rows = np.arange(len(y))
    a, b, c = fit(mlp(), [Member("x", rows), Member("y", rows), Member(None, rows)], X, y)
    assert not np.allclose(a.parameters, b.parameters)
    assert not np.allclose(a.parameters, c.parameters)
    (other,) = fit(mlp(), [Member("x", rows)], X, y, seed=6)
    assert not np.allclose(a.parameters, other.parameters)
    (again,) = fit(mlp(), [Member("x", rows)], X, y)
    assert np.array_equal(a.parameters, again.parameters)


def test_without_epochs_the_initial_weights_come_back() -> None:
    X, y = data()
    (one,) = fit(mlp(), [Member("x", np.arange(len(y)))], X, y, epochs=0)
    np.testing.assert_array_equal(one.parameters, mlp().initial(stream(5, "x", "initial")).astype(np.float32))
    assert one.losses.size == 0
    assert np.abs(one.parameters[: 7 * 6]).max() <= 1 / np.sqrt(5)


def test_a_standardised_target_comes_back_in_its_own_unit() -> None:
    X, y = data(600)
    (one,) = fit(mlp((16, 8)), [Member(None, np.arange(600))], X, y, standardise=True, epochs=60)
    p = mlp((16, 8)).predict(torch.from_numpy(one.parameters), torch.from_numpy(one.prepare(X)).float()).numpy()
    assert one.target == pytest.approx((y.mean(), y.std()))
    assert np.sqrt(np.mean((p - y) ** 2)) < 3
    # The loss is of the standardised target.
    assert one.losses[-1] == pytest.approx(np.mean((p - y) ** 2) / y.var(), rel=0.5)


def test_dropout_drops_its_share_and_keeps_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data(5000)
    seen: list[torch.Tensor] = []
    network = mlp((32,), "relu", 0.25)

    class Spy:
        def __init__(self, inner: Any) -> None:
            self.inner = inner
            self.twice_loss = inner.twice_loss

        def __call__(self, x: Any, target: Any, weight: Any, masks: Any) -> None:
            seen.extend(m.clone() for m in masks)
            self.inner(x, target, weight, masks)

    monkeypatch.setattr(trainer_module, "MlpKernel", lambda *arguments: Spy(MlpKernel(*arguments)))
    fit(network, [Member(None, np.arange(5000))], X, y, batch_size=1000, epochs=2)
    masks = torch.stack(seen)
    assert masks.shape == (10, 1, 32, 1000)
    assert torch.unique(masks).tolist() == pytest.approx([0, 1 / 0.75])
    assert float((masks == 0).float().mean()) == pytest.approx(0.25, abs=0.005)
    assert float(masks.mean()) == pytest.approx(1.0, abs=0.01)
    assert not torch.equal(masks[0], masks[1])


def test_the_scaler_is_sklearns_and_tames_constant_columns() -> None:
    from sklearn.preprocessing import StandardScaler

    X, _ = data()
    ours, theirs = Preparation.fit(X), StandardScaler().fit(X)
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.std, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(ours(X), theirs.transform(X), atol=1e-12)
    flat = Preparation.fit(np.full((5, 2), [3.0, 1e9]) + np.array([[0, 0.0]] * 5))
    assert flat.std.tolist() == [1.0, 1.0]
    assert flat(np.array([[3.0, 1e9]])).tolist() == [[0.0, 0.0]]


def test_divergence_and_empty_members_are_errors() -> None:
    X, y = data()
    with pytest.raises(PyvmafError, match=r"not finite after epoch \d+ \(held out: a\).*1e\+30"):
        fit(mlp(), [Member("a", np.arange(150))], X, y, optimiser=Optimiser(lr=1e30))
    with pytest.raises(InputError, match="nothing is left to train on when 'a' is held out"):
        fit(mlp(), [Member("a", np.arange(0))], X, y)


def test_progress_is_told_after_each_epoch() -> None:
    X, y = data()
    told: list[tuple[int, int]] = []
    StackedTrainer(mlp(), Optimiser(), batch_size=32, epochs=3, seed=0).fit(
        [Member(None, np.arange(150))], X, y, on_epoch=lambda done, total, _: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_input_that_never_varied_has_no_say() -> None:
    X, y = data()
    codec = np.zeros((len(y), 4))
    codec[:, 0] = np.arange(len(y)) % 2
    codec[:, 3] = 0.5  # as the preset of rows that name none; columns 1 and 2: encoders that are not there
    network = mlp(activation="gelu", columns=9)
    one = fit(network, [Member(None, np.arange(len(y)))], X, y, codec, epochs=5)[0]

    def predict(block: F64) -> F64:
        x = torch.from_numpy(one.prepare(X, block).astype(np.float32))
        return np.asarray(network.predict(torch.from_numpy(one.parameters), x))

    other = codec.copy()
    other[:, 1:] = [1, 1, 0.9]
    np.testing.assert_array_equal(predict(codec), predict(other))
    flipped = codec.copy()
    flipped[:, 0] = 1 - codec[:, 0]
    assert np.abs(predict(codec) - predict(flipped)).max() > 1e-3


def test_rows_that_are_too_many_for_copies_train_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(50, 5, size=(700, 6))
    X[:, 5] = 3.0
    y = X[:, 0] + rng.normal(size=700)
    codec = np.repeat(np.eye(3)[[0, 1]], 350, axis=0)
    members = [Member("a", np.arange(100, 700)), Member("b", np.arange(450)), Member(None, np.arange(700))]
    few = fit(mlp(columns=9), members, X, y, codec, epochs=6, standardise=True)
    monkeypatch.setattr("pyvmaf.chunks.IN_MEMORY", 0)
    monkeypatch.setattr("pyvmaf.chunks.CHUNK_ROWS", 64)
    lazy = [Member(m.held_out, m.taken) for m in members]
    many = fit(mlp(columns=9), lazy, X, y, codec, epochs=6, standardise=True)
    for one, other in zip(few, many, strict=True):
        # They differ by the rounding of raw values to float32.
        np.testing.assert_allclose(other.parameters, one.parameters, rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(other.losses, one.losses, rtol=1e-4)
