"""Encodes of a clip that are made only to be measured."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.code import identity
from pyvmaf.base.files import content_hash, dumps, write_text
from pyvmaf.base.parse import parse_json
from pyvmaf.codecs.encoders import Encoder
from pyvmaf.corpora.clip import clip_video
from pyvmaf.encodes.distortion import Reference
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.errors import IntegrityError
from pyvmaf.features.catalog import Selection
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute, Reading
from pyvmaf.features.pool import pool as pooled
from pyvmaf.scoring.heights import Version
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.reader import FrameSource

MODEL = "vmaf_v0.6.1"
"""The model whose score is searched for."""

Advance = Callable[[int, int, str], None]
"""Called with (frames done, frames in total or 0, what is done to them)."""

Pool = Literal["mean", "harmonic", "p5"]


def labelled(advance: Advance, label: str) -> Callable[[int, int], None]:
    """Return what tells `advance` of frames with a label."""
    return lambda done, total: advance(done, total, label)


_NO_FEATURES = Selection((), frozenset())


@dataclass(frozen=True)
class Work:
    """How encodes are made and measured.

    Attributes:
        program: FFmpeg, as in `encode`.
        cache: folder where measurements are kept; None for none.
        threads: of encoder and engine.
    """

    program: str = "embedded"
    cache: Path | None = None
    threads: int = 1


BY_DEFAULT = Work()
"""The embedded FFmpeg, one thread, and no cache."""


@dataclass(frozen=True)
class Trial:
    """A measured encode.

    Attributes:
        vmaf: VMAF of its frames by pool.
        bitrate_kbps: its rate, 1000 bit/s.
    """

    vmaf: dict[Pool, float]
    bitrate_kbps: float


@dataclass(frozen=True)
class Trials:
    """Encodes of a version of a clip.

    Attributes:
        version: the clip at a size.
        sha256: of what decides the frames of `reference`.
        reference: the frames of the clip, which encodes are measured against.
        work: how they are made.
        advance: called as frames are encoded and measured; None for nobody.
    """

    version: Version
    sha256: str
    reference: FrameSource
    work: Work
    advance: Advance | None = None

    @cached_property
    def _subject(self) -> Reference:
        """What encoders are given; it is read only if there is an encode to make."""
        video, _ = clip_video(self.version.path, self._telling("read"))
        video.check(self.version.path)
        return Reference(self.version.path, video)

    def at(self, entry: Encoder, preset: str, crf: int, before: str = "") -> Trial:
        """Encode with a CRF and measure, or take both from the cache.

        Args:
            entry, preset, crf: how to encode.
            before: what is known from the trials before, for `advance`.

        Raises:
            PyvmafError: as `Distortion.make` and `extract_ladder`.
        """
        kept = self._place(entry, preset, crf)
        if kept is not None and (known := _known(kept)) is not None:
            return known
        trial = self._made(entry, preset, crf, before)
        if kept is not None:
            write_text(kept, dumps({**trial.vmaf, "bitrate_kbps": trial.bitrate_kbps}), at_once=True)
        return trial

    def _made(self, entry: Encoder, preset: str, crf: int, before: str) -> Trial:
        name = f"{entry.name} CRF {crf}{before}"
        with tempfile.TemporaryDirectory(prefix="vmaf-train-") as folder:
            target = Path(folder) / "encode.mkv"
            made = encoder_rung(entry.name, preset, crf).encode(
                self._subject,
                target,
                tool=ffmpeg(self.work.program),
                threads=self.work.threads,
                advance=self._telling(f"{name}: encode"),
            )
            ladder = extract_ladder(
                self.reference,
                {"encode": target if self.version.scaled else made.reader},
                features=_NO_FEATURES,
                model=MODEL,
                # An encoder may have no pixel format of the clip's few bits. That frames and colours agree was checked when it
                # was made.
                reading=Reading(scale=self.version.scaled, match_depth=True, related=False),
                compute=Compute(threads=self.work.threads, progress=self._telling(f"{name}: measure")),
            )
            rate = target.stat().st_size * 8 / 1000 / self._subject.video.seconds
        vmaf = ladder.rungs["encode"].vmaf
        assert vmaf is not None
        return Trial(pools(vmaf), rate)

    def _telling(self, label: str) -> Callable[[int, int], None] | None:
        return None if self.advance is None else labelled(self.advance, label)

    def _place(self, entry: Encoder, preset: str, crf: int) -> Path | None:
        """Return the file of the cache for an encode, named by the hash of everything that decides its measurement."""
        if self.work.cache is None:
            return None
        key = {
            "clip": self.sha256,
            "size": [self.version.width, self.version.height],
            "codec": [entry.name, preset, crf],
            "ffmpeg": ffmpeg(self.work.program).version,
            "threads": self.work.threads,
            "model": MODEL,
            "code": identity("suggest"),
        }
        return self.work.cache / f"{content_hash(key)}.suggest.json"


def pools(values: NDArray[np.float64]) -> dict[Pool, float]:
    """Pool the VMAF of frames as tables of clips do (`pyvmaf.features.pool`)."""
    found = pooled(values, ("mean", "hmean", "p5"))
    return {"mean": float(found["mean"]), "harmonic": float(found["hmean"]), "p5": float(found["p5"])}


def _known(path: Path) -> Trial | None:
    """Read a measurement of the cache; None if there is none that is whole."""
    if not path.is_file():
        return None
    try:
        body: Any = parse_json(path.read_bytes(), os.fspath(path))
        vmaf: dict[Pool, float] = {name: float(body[name]) for name in ("mean", "harmonic", "p5")}
        return Trial(vmaf, float(body["bitrate_kbps"]))
    except (IntegrityError, KeyError, TypeError, ValueError):
        return None
