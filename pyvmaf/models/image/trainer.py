"""Training of one member with PyTorch Lightning: deterministic, resumable, on one thread.

What a member learns depends on the specification, the seed and its rows alone. Convolutions of several threads add in
another order, so that one thread is used whatever the caller offers.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that Lightning imports
    import pytorch_lightning as pl

from torch.utils.data import DataLoader

from pyvmaf.errors import PyvmafError
from pyvmaf.models.device import check_device
from pyvmaf.models.image.checkpoints import SafetensorsIO
from pyvmaf.models.image.learning import Batch, Lesson
from pyvmaf.models.image.memory import kept_memory
from pyvmaf.models.image.networks import one_thread
from pyvmaf.models.image.randomness import stream
from pyvmaf.models.image.spec import EarlyStopping, Schedule
from pyvmaf.models.spec import Optimiser

OnMemberEpoch = Callable[[int, float], None]
"""Called after each epoch of a member with (epochs done, its training loss)."""


class Settings(Protocol):
    """What a training takes from the spec of a model."""

    name: str
    optimiser: Optimiser
    schedule: Schedule
    early_stopping: EarlyStopping | None

    @property
    def precision(self) -> str:
        """Numbers that it computes with: "32" or "16-mixed"."""

    @property
    def device(self) -> str:
        """Its device: "cpu" or "cuda"."""


@dataclass(frozen=True)
class Member:
    """A network to train.

    Attributes:
        name: of the group that its rows leave out; empty for the member that ships.
        train: int64, its training rows.
        validation: int64, rows that early stopping looks at; empty without.
    """

    name: str
    train: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(frozen=True)
class Trained:
    """A trained network: its state by name, and the training loss of each epoch."""

    state: dict[str, NDArray[Any]]
    losses: list[float]


def rate(schedule: Schedule, share: float) -> float:
    """Give the learning rate at a share of the steps, as a factor of optimiser.lr."""
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    if share < schedule.rise:
        return 1 / 25 + (1 - 1 / 25) * 0.5 * (1 - math.cos(math.pi * share / schedule.rise))
    return 0.5 * (1 + math.cos(math.pi * (share - schedule.rise) / (1 - schedule.rise)))


class Module(pl.LightningModule):
    """A network with its loss, optimiser and batches."""

    def __init__(
        self, spec: Settings, lesson: Lesson, network: nn.Module, member: Member, seed: int, epochs: int
    ) -> None:
        super().__init__()
        self.network = network
        self._spec, self._member, self._seed = spec, member, seed
        self._phases = lesson.phases(epochs)
        self._sum = self._count = 0.0
        self.losses: list[float] = []
        self.averaged = (
            {name: value.clone() for name, value in network.state_dict().items()} if spec.schedule.averaging else {}
        )

    def _lesson(self) -> Lesson:
        """That of the current epoch."""
        ends = np.cumsum([phase.epochs for phase in self._phases])
        index = int(np.searchsorted(ends, self.current_epoch, side="right"))
        return self._phases[min(index, len(self._phases) - 1)].lesson

    def _loss(self, batch: Batch) -> torch.Tensor:
        inputs, *others = batch
        return self._lesson().loss(self.network, (inputs.contiguous(memory_format=torch.channels_last), *others))

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Compute the loss of a batch."""
        loss = self._loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise PyvmafError(
                f"the loss of {self._spec.name} became {value} in epoch {self.current_epoch + 1}: use a smaller optimiser.lr"
            )
        self._sum, self._count = self._sum + value * len(batch[0]), self._count + len(batch[0])
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averaged weights towards those of this step."""
        if not self.averaged:
            return
        keep = min(self._spec.schedule.averaging, (1 + self.global_step) / (10 + self.global_step))
        current = self.network.state_dict()
        real = [name for name, value in self.averaged.items() if value.is_floating_point()]
        targets = [self.averaged[name] for name in real]
        with torch.no_grad():
            values = [current[name].to(value.device) for name, value in zip(real, targets, strict=True)]
            torch._foreach_lerp_(targets, values, 1 - keep)
            for name in self.averaged.keys() - real:
                self.averaged[name].copy_(current[name])

    def validation_step(self, batch: Batch, index: int) -> None:
        """Compute the loss of a batch of rows that are not trained on."""
        self.log("validation", self._loss(batch), batch_size=len(batch[0]), on_epoch=True)

    def on_train_epoch_end(self) -> None:
        """Keep the mean loss of the epoch."""
        self.losses.append(self._sum / max(self._count, 1.0))
        self._sum = self._count = 0.0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep losses and averaged weights."""
        checkpoint["losses"], checkpoint["averaged"] = list(self.losses), dict(self.averaged)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take losses and averaged weights back."""
        self.losses, self.averaged = list(checkpoint["losses"]), dict(checkpoint["averaged"])

    def configure_optimizers(self) -> Any:
        """Make the optimiser, and the learning rate as a function of the step."""
        settings = self._spec.optimiser
        kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
        optimiser = kind(
            self.network.parameters(),
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            foreach=True,  # fewer calls, the same numbers
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rates())
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rates(self) -> Callable[[int], float]:
        """Give the learning rate of a step, as a factor of optimiser.lr."""
        parts: list[Any] = [phase.lesson.batches(self._member.train) for phase in self._phases]
        steps = [max(1, phase.epochs * len(part)) for phase, part in zip(self._phases, parts, strict=True)]
        starts = np.cumsum([0, *steps])

        def factor(step: int) -> float:
            index = min(int(np.searchsorted(starts, step, side="right")), len(steps)) - 1
            share = rate(self._spec.schedule, min(1.0, (step - int(starts[index])) / steps[index]))
            return share * self._phases[index].lr / self._spec.optimiser.lr

        return factor

    def train_dataloader(self) -> Any:
        """Give the batches of the current epoch."""
        words = (self._seed, self._member.name, self.current_epoch)
        return DataLoader(self._lesson().batches(self._member.train, *words), batch_size=None)

    def val_dataloader(self) -> Any:
        """Give the batches that early stopping looks at: the same in every epoch."""
        if not self._member.validation.size:
            return []
        words = (self._seed, self._member.name, "validation")
        return DataLoader(self._lesson().batches(self._member.validation, *words), batch_size=None)


class _Progress(pl.callbacks.Checkpoint):
    """Calls the caller after each epoch, and keeps the state of the training."""

    # Lightning runs callbacks of this base last, so that the state holds what early stopping decided.

    def __init__(self, on_epoch: OnMemberEpoch | None, checkpoint: Path | None) -> None:
        self._on_epoch, self._checkpoint = on_epoch, checkpoint

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Report and keep an epoch."""
        if self._checkpoint is not None:
            trainer.save_checkpoint(self._checkpoint)
        if self._on_epoch is not None:
            self._on_epoch(trainer.current_epoch + 1, module.losses[-1])


def train(
    spec: Settings,
    lesson: Lesson,
    member: Member,
    *,
    seed: int,
    epochs: int,
    checkpoint: Path | None = None,
    on_epoch: OnMemberEpoch | None = None,
) -> Trained:
    """Train a network.

    Args:
        spec: the model.
        lesson: what is learned.
        member: the rows.
        seed: of initial weights and crops.
        epochs: passes over the rows; 0 keeps the initial weights.
        checkpoint: file that the state is kept in, and gone on from if it exists.
        on_epoch: called after each epoch.

    Raises:
        UnavailableError: the device of the spec is not there.
        PyvmafError: a loss became NaN or infinite.
    """
    check_device(spec.name, spec.device)
    first = int(stream("weights", seed, member.name).integers(1 << 62))
    with one_thread(), kept_memory(), _quiet(), torch.random.fork_rng():
        torch.manual_seed(first)
        network = lesson.network().to(memory_format=torch.channels_last)
        module = Module(spec, lesson, network, member, seed, epochs)
        if epochs:
            trainer = _trainer(spec, epochs, checkpoint, on_epoch, stops=bool(member.validation.size))
            known = checkpoint if checkpoint is not None and checkpoint.is_file() else None
            try:
                trainer.fit(module, ckpt_path=None if known is None else str(known))
            except SystemExit as err:  # Lightning's answer to Ctrl-C
                raise KeyboardInterrupt from err
        shipped = module.averaged or network.state_dict()
        state = {name: value.detach().cpu().contiguous().numpy() for name, value in shipped.items()}
    return Trained(state, module.losses)


def _trainer(
    spec: Settings, epochs: int, checkpoint: Path | None, on_epoch: OnMemberEpoch | None, *, stops: bool
) -> pl.Trainer:
    callbacks: list[pl.Callback] = [_Progress(on_epoch, checkpoint)]
    if spec.early_stopping is not None and stops:
        callbacks.append(pl.callbacks.EarlyStopping("validation", patience=spec.early_stopping.patience))
    # cuBLAS adds in a fixed order only with this setting.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if spec.device == "cuda" else "cpu",
        devices=1,
        precision="16-mixed" if spec.precision == "16-mixed" else "32-true",
        deterministic=True,
        logger=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        plugins=[SafetensorsIO()],
        callbacks=callbacks,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning from printing what it does and recommends."""
    names = ("pytorch_lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric")
    before = {name: logging.getLogger(name).level for name in names}
    deterministic = torch.are_deterministic_algorithms_enabled()
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
