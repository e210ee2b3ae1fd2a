"""Stacked training against what people write: a PyTorch Lightning loop and a plain torch loop over the members.

Ten members (nine leave-one-source-out folds and the model on all rows) of vmaf_tiny_v2's network on 11,000 rows,
batch 256, one thread. All three start from the same weights, take the same rows in the same order, and must
arrive at the same losses. Time is of the training steps alone: the peers' set-up is not counted.
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

from pyvmaf.models.inputs import Preparation
from pyvmaf.models.networks import Mlp, build
from pyvmaf.models.spec import ModelSpec, load_spec
from pyvmaf.models.trainer import Member, StackedTrainer, stream, torch_threads

ROWS, SOURCES, EPOCHS, REPEATS, SEED = 11_000, 9, 5, 3, 0
SPEC = Path(__file__).parents[1] / "config" / "models" / "vmaf_tiny_v2.yaml"
BAR_LIGHTNING, BAR_PLAIN, LOSS_TOLERANCE = 15.0, 4.0, 1e-4

Peer = Callable[["_Job"], tuple[float, list[float]]]


def table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Features [rows, 6] of the sizes that real ones have, targets [rows], source number [rows]."""
    rng = np.random.default_rng(SEED)
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
    return X, y, source


class _Job:
    """One member as a peer trains it: scaled tensors, initial weights, and the order of rows of each epoch."""

    def __init__(self, spec: ModelSpec, network: Mlp, member: Member, X: NDArray[np.float64], y: NDArray[np.float64]):
        scaler = Preparation.fit(X[member.rows])
        self.x = torch.from_numpy(scaler(X[member.rows])).float()
        target = y[member.rows]
        self.y = torch.from_numpy((target - target.mean()) / target.std()).float()[:, None]
        initial = network.initial(stream(SEED, member.held_out, "initial"))
        self.module = network.as_module(torch.from_numpy(initial).float())
        order = stream(SEED, member.held_out, "order")
        self.orders = [torch.from_numpy(order.permutation(len(self.x))) for _ in range(EPOCHS)]
        self.batch, self.lr = spec.batch_size, spec.optimiser.lr
        self.steps = EPOCHS * -(-len(self.x) // self.batch)


def plain(job: _Job) -> tuple[float, list[float]]:
    """The loop of a tutorial, without a DataLoader: seconds, and the mean loss of each epoch."""
    optimiser = torch.optim.Adam(job.module.parameters(), lr=job.lr)
    losses = []
    started = time.perf_counter()
    for order in job.orders:
        total = 0.0
        for rows in torch.split(order, job.batch):
            optimiser.zero_grad()
            loss = torch.nn.functional.mse_loss(job.module(job.x[rows]), job.y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(rows)
        losses.append(total / len(job.x))
    return time.perf_counter() - started, losses


def lightning(job: _Job) -> tuple[float, list[float]]:
    """A LightningModule with a DataLoader; logger, checkpoints and progress bar off."""
    import pytorch_lightning as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = job.module
            self.totals = [0.0] * EPOCHS
            self.seconds = 0.0

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            x, y = batch
            loss = torch.nn.functional.mse_loss(self.net(x), y)
            self.totals[self.current_epoch] += loss.item() * len(x)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.net.parameters(), lr=job.lr)

        def on_train_start(self) -> None:
            self.seconds = -time.perf_counter()

        def on_train_end(self) -> None:
            self.seconds += time.perf_counter()

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
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return module.seconds, [total / len(job.x) for total in module.totals]


def main() -> bool:
    """Print the two ratios and the losses; False where a bar is missed."""
    logging.disable(logging.WARNING)  # Lightning speaks four lines at every start
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|torch\.utils")
    spec = load_spec(SPEC)
    network = build(spec.network, len(spec.inputs.names))
    X, y, source = table()
    members = [Member(f"scene{s}", np.flatnonzero(source != s)) for s in range(SOURCES)]
    members.append(Member(None, np.arange(ROWS)))
    trainer = StackedTrainer(
        network,
        spec.optimiser,
        batch_size=spec.batch_size,
        epochs=EPOCHS,
        seed=SEED,
        standardise=spec.target.standardise,
    )
    seconds: dict[str, float] = {"stacked": np.inf, "plain torch": np.inf, "lightning": np.inf}
    losses: dict[str, NDArray[np.float64]] = {}
    peers: dict[str, Peer] = {"plain torch": plain, "lightning": lightning}
    with torch_threads(1):
        # The three take turns, so that a busy machine slows all of them; the best turn of each counts.
        for _ in range(REPEATS):
            started = time.perf_counter()
            fitted = trainer.fit(members, X, y)
            seconds["stacked"] = min(seconds["stacked"], time.perf_counter() - started)
            losses["stacked"] = np.array([f.losses for f in fitted])
            for name, peer in peers.items():
                results = [peer(_Job(spec, network, member, X, y)) for member in members]
                seconds[name] = min(seconds[name], sum(s for s, _ in results))
                losses[name] = np.array([values for _, values in results])
    steps = EPOCHS * -(-ROWS // spec.batch_size)
    print(
        f"training: {len(members)} members of {spec.name}, {ROWS} rows, batch {spec.batch_size}, {EPOCHS} epochs, "
        f"one thread, best of {REPEATS}"
    )
    for name, value in seconds.items():
        print(
            f"  {name:12} {value:8.3f} s  {1e3 * value / steps:7.3f} ms per step of all members  "
            f"last loss, mean of members {losses[name][:, -1].mean():.6f}"
        )
    met = True
    for name, bar in (("lightning", BAR_LIGHTNING), ("plain torch", BAR_PLAIN)):
        ratio = seconds[name] / seconds["stacked"]
        apart = float(np.max(np.abs(losses[name] / losses["stacked"] - 1)))
        good = ratio >= bar and apart <= LOSS_TOLERANCE
        met &= good
        print(
            f"  against {name:12} {ratio:6.1f} times as fast (bar {bar:g}), losses of every member and epoch within "
            f"{apart:.1e} (bar {LOSS_TOLERANCE:g}): {'met' if good else 'MISSED'}"
        )
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
