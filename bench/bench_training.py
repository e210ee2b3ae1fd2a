"""Stacked training against the usual ways: a PyTorch Lightning loop and a plain torch loop over the members.

Leave-one-source-out folds and the model on all rows, five seeds, all epochs of the spec, one thread. The table is
`results/tables/default.parquet` if the working folder has one, and else a synthetic table of the embedded corpus's size.
The stacked trainer is timed in full. The peers would take from a quarter of an hour to hours, so they train the same
members for two epochs per seed, and their time is scaled by the number of steps; their set-up does not count. Ratios are
of processor time, which other processes disturb least: on a busy machine, the many short calls of the peers would make
them look worse than they are. All start from the same weights, take the same rows in the same order, and must reach the
same losses in double precision, with the first seed. In single precision a sum that is rounded otherwise can open or close
a unit: within two epochs, losses of one trainer in both precisions part by up to 1e-4. Those differences are printed only.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.clips import report
from pyvmaf.models.regressor.networks import Mlp, build
from pyvmaf.models.regressor.rows import read_table
from pyvmaf.models.regressor.spec import RegressorSpec, load_regressor
from pyvmaf.models.regressor.trainer import Fitted, Member, StackedTrainer, stream, torch_threads

MODELS, SEEDS, PEER_EPOCHS = ("vmaf_tiny_v2", "vmaf_tiny_v3", "vmaf_tiny_v4"), 5, 2
SINGLE, DOUBLE = torch.float32, torch.float64
ROWS, SOURCES = 13_680, 9
SPECS = Path(__file__).parents[1] / "config" / "models"
TABLE = Path("results/tables/default.parquet")
BAR_LIGHTNING, BAR_PLAIN, LOSS_TOLERANCE = 15.0, 4.0, 1e-6
BAR_SECONDS = {"vmaf_tiny_v2": 60.0}

Peer = Callable[["_Job"], tuple[float, list[float]]]


def synthetic_table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
    """Make features [rows, 6] with the range of real ones, targets [rows] and sources [rows]."""
    rng = np.random.default_rng(0)
    source = np.sort(rng.integers(0, SOURCES, size=ROWS))
    quality = rng.random(ROWS)
    X = np.column_stack(
        [
            1 - 0.2 * quality**1.5,
            *(1 - loss * quality + rng.normal(0, 0.02, ROWS) for loss in (0.7, 0.45, 0.33, 0.25)),
            rng.gamma(2.0, 3.0, ROWS) + source,
        ]
    )
    y = np.clip(105 - 75 * quality**1.2 - 0.3 * source + rng.normal(0, 1, ROWS), 0, 100)
    return X, y, np.array([f"scene{number}" for number in source])


class _Job:
    """A member as a peer trains it: scaled tensors, initial weights, and the order of rows in each epoch."""

    def __init__(
        self,
        spec: RegressorSpec,
        network: Mlp,
        fitted: Fitted,
        seed: int,
        X: NDArray[Any],
        y: NDArray[Any],
        dtype: torch.dtype = SINGLE,
    ):
        member = fitted.member
        self.x = torch.from_numpy(fitted.prepare(X[member.taken()])).to(dtype)
        mean, std = fitted.target
        self.y = torch.from_numpy((y[member.taken()] - mean) / std).to(dtype)[:, None]
        initial = network.initial(stream(seed, member.held_out, "initial"))
        self.module = network.as_module(torch.from_numpy(initial).to(dtype)).to(dtype)
        order = stream(seed, member.held_out, "order")
        self.orders = [torch.from_numpy(order.permutation(len(self.x))) for _ in range(PEER_EPOCHS)]
        self.batch, self.lr = spec.batch_size, spec.optimiser.lr


def plain(job: _Job) -> tuple[float, list[float]]:
    """Train with the loop of a tutorial, without a DataLoader; return seconds and the mean loss of each epoch."""
    optimiser = torch.optim.Adam(job.module.parameters(), lr=job.lr)
    losses = []
    started = time.process_time()
    for order in job.orders:
        total = 0.0
        for rows in torch.split(order, job.batch):
            optimiser.zero_grad()
            loss = torch.nn.functional.mse_loss(job.module(job.x[rows]), job.y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(rows)
        losses.append(total / len(job.x))
    return time.process_time() - started, losses


def lightning(job: _Job) -> tuple[float, list[float]]:
    """Train a LightningModule with a DataLoader; logger, checkpoints and progress bar are off."""
    import pytorch_lightning as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = job.module
            self.totals = [0.0] * PEER_EPOCHS
            self.seconds = 0.0

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            x, y = batch
            loss = torch.nn.functional.mse_loss(self.net(x), y)
            self.totals[self.current_epoch] += loss.item() * len(x)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.net.parameters(), lr=job.lr)

        def on_train_start(self) -> None:
            self.seconds = -time.process_time()

        def on_train_end(self) -> None:
            self.seconds += time.process_time()

    class Order(torch.utils.data.Sampler[int]):
        def __init__(self) -> None:
            self.epochs = iter(job.orders)

        def __len__(self) -> int:
            return len(job.x)

        def __iter__(self) -> Iterator[int]:
            return iter(next(self.epochs).tolist())

    data = torch.utils.data.TensorDataset(job.x, job.y)
    loader = torch.utils.data.DataLoader(data, batch_size=job.batch, sampler=Order())
    module = Module()
    trainer = pl.Trainer(
        max_epochs=PEER_EPOCHS,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return module.seconds, [total / len(job.x) for total in module.totals]


def _apart(fitted: list[Fitted], losses: list[list[float]]) -> float:
    """Return the largest relative difference between losses of our members and those of a peer, over all epochs."""
    ours = np.array([member.losses[:PEER_EPOCHS] for member in fitted])
    return float(np.max(np.abs(np.array(losses) / ours - 1)))


def _measure(spec: RegressorSpec, X: NDArray[Any], y: NDArray[Any], source: NDArray[np.str_]) -> bool:
    """Print the seconds, ratios and losses of a model; return False if a bar is missed."""
    network = build(spec.network, len(spec.inputs.names))
    members = [Member(str(name), np.flatnonzero(source != name)) for name in np.unique(source)]
    members.append(Member(None, np.arange(y.size)))
    steps = sum(-(-m.taken().size // spec.batch_size) for m in members) * SEEDS
    ours, wall = 0.0, 0.0
    seconds = dict.fromkeys(PEERS, 0.0)
    apart, apart_single = dict.fromkeys(PEERS, 0.0), dict.fromkeys(PEERS, 0.0)

    def trainer(seed: int, epochs: int, dtype: torch.dtype = SINGLE) -> StackedTrainer:
        return StackedTrainer(
            network,
            spec.optimiser,
            batch_size=spec.batch_size,
            epochs=epochs,
            seed=seed,
            inputs=spec.inputs,
            standardise=spec.target.standardise,
            dtype=dtype,
        )

    # The trainers take turns, seed by seed, so that a busy machine slows all of them.
    for seed in range(SEEDS):
        started = time.perf_counter(), time.process_time()
        fitted = trainer(seed, spec.epochs).fit(members, X, y)
        wall, ours = wall + time.perf_counter() - started[0], ours + time.process_time() - started[1]
        for name, peer in PEERS.items():
            results = [peer(_Job(spec, network, member, seed, X, y)) for member in fitted]
            seconds[name] += sum(s for s, _ in results)
            apart_single[name] = max(apart_single[name], _apart(fitted, [losses for _, losses in results]))
    exact = trainer(0, PEER_EPOCHS, DOUBLE).fit(members, X, y)
    for name, peer in PEERS.items():
        apart[name] = _apart(exact, [peer(_Job(spec, network, member, 0, X, y, DOUBLE))[1] for member in exact])
    print(
        f"training: {spec.name}, {network.n_parameters} parameters, {len(members)} members x {SEEDS} seeds x "
        f"{spec.epochs} epochs, {y.size} rows, batch {spec.batch_size}, one thread"
    )
    bar = BAR_SECONDS.get(spec.name, np.inf)
    met = report(
        "stacked",
        f"{wall:.1f} s by the clock{f' (bar {bar:g})' if np.isfinite(bar) else ''}, {ours:.1f} s of processor time, "
        f"{1e6 * ours / (steps * spec.epochs):.1f} us per member and step",
        wall <= bar,
    )
    for name, bar in (("lightning", BAR_LIGHTNING), ("plain torch", BAR_PLAIN)):
        scaled = seconds[name] * spec.epochs / PEER_EPOCHS
        met &= report(
            f"against {name}",
            f"{scaled / ours:.1f} times as fast (bar {bar:g}); it needs {1e6 * scaled / (steps * spec.epochs):.0f} us "
            f"per member and step, so {scaled:.0f} s, scaled from {seconds[name]:.1f} s for {PEER_EPOCHS} of "
            f"{spec.epochs} epochs; losses within {apart[name]:.1e} in double precision (bar {LOSS_TOLERANCE:g}), "
            f"{apart_single[name]:.1e} in single",
            scaled / ours >= bar and apart[name] <= LOSS_TOLERANCE,
        )
    return met


PEERS: dict[str, Peer] = {"plain torch": plain, "lightning": lightning}


def main() -> bool:
    """Print seconds and ratios of every model; return False if a bar is missed."""
    logging.disable(logging.WARNING)  # Lightning prints four lines at every start
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|torch\.utils")
    specs = [load_regressor(SPECS / f"{name}.yaml") for name in MODELS]
    if TABLE.exists():
        read = read_table(TABLE, specs[0])
        X, y, source = read.X, read.y, np.asarray(read.groups)
        print(f"training: rows of {TABLE}")
    else:
        X, y, source = synthetic_table()
        print(f"training: synthetic rows, as many as the embedded corpus has; there is no {TABLE}")
    met = True
    with torch_threads(1):
        for spec in specs:
            met &= _measure(spec, X, y, source)
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
