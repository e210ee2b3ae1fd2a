"""The members of a fit: a network for each fold, and the one that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.code import Uses, identity
from pyvmaf.base.coded import Coded
from pyvmaf.base.files import content_hash
from pyvmaf.models.crossval import Division
from pyvmaf.models.families import Run
from pyvmaf.models.image.learning import Lesson
from pyvmaf.models.image.spec import EarlyStopping
from pyvmaf.models.image.trainer import Member, Settings, Trained, train
from pyvmaf.splits import VAL, Fold, hash_sides


class Grouped(Protocol):
    """Rows that a split keeps together in groups."""

    @property
    def groups(self) -> Coded:
        """Value of the column that the split goes by, of each row."""

    @property
    def sha256(self) -> str:
        """Hash of the table."""


class TrainedSpec(Settings, Protocol):
    """The spec of a family that trains one network after another."""

    def uses(self, verb: str) -> Uses:
        """What a verb uses for it in addition to its imports."""

    def training(self) -> dict[str, Any]:
        """Everything that shapes the weights."""


def train_members(spec: TrainedSpec, lesson: Lesson, run: Run, data: Grouped, division: Division) -> list[Trained]:
    """Train a network for each fold, and the one that ships; members of the same rows are the same.

    Raises:
        UnavailableError: the device of the spec is not there.
        PyvmafError: a loss became NaN or infinite.
    """
    members = [_member(spec.early_stopping, data, fold) for fold in (*division.folds, division.everything)]
    done: dict[bytes, Trained] = {}
    of = [b"".join((member.train.tobytes(), b"/", member.validation.tobytes())) for member in members]
    total = run.epochs * len(set(of))
    for key, member in zip(of, members, strict=True):
        if key in done:
            continue
        before = run.epochs * len(done)

        def on_epoch(epochs: int, loss: float, before: int = before) -> None:
            if run.on_epoch is not None:
                run.on_epoch(before + epochs, total, loss)

        done[key] = train(
            spec,
            lesson,
            member,
            seed=run.seed,
            epochs=run.epochs,
            checkpoint=kept_file(spec, run, data, member.name),
            on_epoch=on_epoch,
        )
    return [done[key] for key in of]


def _member(early_stopping: EarlyStopping | None, data: Grouped, fold: Fold) -> Member:
    """The rows of a member: those that early stopping looks at are whole values of split.by."""
    empty: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    rows, validation = fold.train, fold.rows(VAL) if fold.held_out else empty
    if early_stopping is not None and not validation.size:
        names = np.asarray(data.groups[rows])
        if np.unique(names).size > 1:
            sides = np.asarray(hash_sides(names, early_stopping.share, 0.0))
            if not (sides == "val").any():
                sides = np.where(names == min(np.unique(names).tolist(), key=content_hash), "val", "train")
            rows, validation = rows[sides == "train"], rows[sides == "val"]
    return Member(fold.held_out, rows, validation)


def kept_file(spec: TrainedSpec, run: Run, data: Grouped, name: str) -> Path | None:
    """Where the state of a training is kept: the name depends on everything that shapes it."""
    if run.checkpoints is None:
        return None
    key = {
        "training": spec.training(),
        "table": data.sha256,
        "seed": run.seed,
        "epochs": run.epochs,
        "member": name,
        "code": identity("fit", spec.uses("fit")),
    }
    return run.checkpoints / f"{content_hash(key)[:32]}.safetensors"
