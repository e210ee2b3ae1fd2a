"""``vmaf-train shots``: the shots of a video, by a registered model or by the changes between thumbnails."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pyvmaf.base.document import (
    Bounds,
    Call,
    Document,
    Name,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Share,
    publish,
)
from pyvmaf.base.files import sha256_file
from pyvmaf.base.outputs import publishes, reading
from pyvmaf.errors import InputError
from pyvmaf.runtime.shots import THRESHOLD, boundary_probabilities, cuts, shots_of, thumbnail_size
from pyvmaf.runtime.tensors import TensorModel
from pyvmaf.scoring.tensors import load_for, registered_for
from pyvmaf.video.format import Format
from pyvmaf.video.probe import inspect
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture, tensors

TASK = "shots"
_BATCH = 50

Shots = tuple[tuple[int, int], ...]
Finder = Callable[[Path, Format | None], Shots]
"""Gives the first and last frame of each shot of a video, whose format is needed if it is headerless."""

Advance = Callable[[int, int], None]


class ShotModel(Part):
    """The model that found the shots."""

    id: Name
    sha256: Sha256 = Field(description="Of its ONNX file")


class Cut(Part):
    """A cut."""

    frame: Positive = Field(description="First frame of the new shot")
    probability: Share | None = Field(description="That the frame before is the last of its shot; null without a model")


class ShotReport(Document):
    """The shots of a video."""

    title: ClassVar[str] = "Report of shots: the cuts and shots of a video"

    schema_version: Literal[1] = 1
    video: Name
    sha256: Sha256
    frames: Positive
    fps: float = Field(gt=0)
    method: Literal["model", "thumbnails"] = Field(description="thumbnails: by the changes between small grey pictures")
    model: ShotModel | None
    threshold: Share | None
    cuts: list[Cut]
    shots: list[Bounds] = Field(min_length=1, description="First and last frame of each")
    run_provenance: RunProvenance

    @property
    def seconds(self) -> list[tuple[float, float]]:
        """Start and end of each shot in seconds."""
        return [(first / self.fps, (last + 1) / self.fps) for first, last in self.shots]


@publishes("shots")
def shots(
    path: Path,
    output: Path | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    registry: str | os.PathLike[str] | None = None,
    threshold: float = THRESHOLD,
    raw: Format | None = None,
    stream: int | None = None,
    threads: int = 1,
    advance: Advance | None = None,
) -> ShotReport:
    """Find the shots of a video.

    Args:
        path: the video.
        output: the report as JSON; None to write nothing.
        model: id of a registered model or path of an ONNX file; None for the registered one, or, if there is none, the
            changes between thumbnails (`pyvmaf.video.shots`). ``thumbnails`` asks for these.
        registry: as in `pyvmaf.scoring.find.registry_path`.
        threshold: probability from which on a frame is taken to be the last of its shot.
        raw: format of a headerless file.
        stream: which video stream, as `Reader` takes it.
        threads: of the runtime.
        advance: called as frames are decoded.

    Raises:
        MissingFileError, InputError, IntegrityError: as `Reader` and `pyvmaf.runtime.tensors.load_tensor_model`.
    """
    if not 0 < threshold < 1:
        raise InputError(f"the threshold is a probability between 0 and 1, not {threshold:g}")
    reading(path)
    call = Call("shots", args={"video": path, "model": model, "threshold": threshold}, inputs={"video": path})
    loaded = _model(model, registry, threads)
    if loaded is None:
        video = inspect(path, raw, advance, stream)
        frames, found, fps = video.frames, [first for first, _ in video.shots[1:]], video.format.fps
        chances: list[float | None] = [None] * len(found)
    else:
        reader = Reader(path, raw=raw, stream=stream)
        probabilities = _probabilities(loaded, reader, advance)
        frames, found, fps = probabilities.size, cuts(probabilities, threshold), reader.coded.fps
        chances = [float(probabilities[frame - 1]) for frame in found]
    report = ShotReport(
        video=path.name,
        sha256=sha256_file(path),
        frames=frames,
        fps=float(Fraction(fps)),
        method="thumbnails" if loaded is None else "model",
        model=None if loaded is None else ShotModel(id=loaded.name, sha256=loaded.sha256),
        threshold=None if loaded is None else threshold,
        cuts=[Cut(frame=frame, probability=chance) for frame, chance in zip(found, chances, strict=True)],
        shots=[[first, last] for first, last in shots_of(found, frames)],
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)


def finder(registry: str | os.PathLike[str] | None = None) -> tuple[str, Finder] | None:
    """Give the name of the registered detector of shots, and a function that finds shots with it; None if there is none.

    Raises:
        IntegrityError: the registry or the model is damaged.
    """
    loaded = _model(None, registry, 1)
    if loaded is None:
        return None

    def find(path: Path, raw: Format | None) -> Shots:
        probabilities = _probabilities(loaded, Reader(path, raw=raw), None)
        return shots_of(cuts(probabilities), probabilities.size)

    return loaded.name, find


def _model(
    model: str | os.PathLike[str] | None, registry: str | os.PathLike[str] | None, threads: int
) -> TensorModel | None:
    if model == "thumbnails":
        return None
    named = registered_for(TASK, registry) if model is None else model
    return None if named is None else load_for(TASK, named, registry=registry, threads=threads)


def _probabilities(model: TensorModel, reader: Reader, advance: Advance | None) -> Any:
    """Probability [frames] that a frame is the last of its shot."""
    picture = Picture("rgb24", size=thumbnail_size(model), scaler="bicubic", values=None)
    total = reader.stated_frames or 0
    parts = [np.empty(0)]
    for first, _ in boundary_probabilities(model, tensors(reader, picture, batch=_BATCH)):
        parts.append(first)
        if advance is not None:
            advance(sum(part.size for part in parts), total)
    found = np.concatenate(parts)
    if not found.size:
        raise InputError(f"{reader.path} holds no frames")
    return found
