"""What the sections of the page of scores read: versions of one reference, and what was looked up for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pyvmaf.features.catalog import FEATURES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf.reports.pages.score.stills import Still
    from pyvmaf.scoring.compare import Comparison, Version
    from pyvmaf.scoring.scores import Scores


@dataclass(frozen=True)
class Subject:
    """Versions of one reference with their scores.

    Attributes:
        comparison: the versions.
        judged: False if they were scored without a reference, whose place the video itself takes.
        prefix: begins the names of its charts and sections; empty for the only subject of a page.
        rate: frames of the scores per second; None if unknown.
        stills: the worst frames, as pictures.
        without_stills: why there are none; empty if there are.
        facts: what is known of each file, by its path: named texts.
    """

    comparison: Comparison
    judged: bool = True
    prefix: str = ""
    rate: float | None = None
    stills: Sequence[Still] = ()
    without_stills: str = ""
    facts: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)

    @cached_property
    def versions(self) -> list[Version]:
        """The versions, the best first."""
        return self.comparison.ranked

    @property
    def first(self) -> Scores:
        """Scores of the best version."""
        return self.versions[0].scores

    @cached_property
    def names(self) -> list[str]:
        """Name of each version, as short as it is clear."""
        paths = [version.path for version in self.versions]
        short = [path.name for path in paths]
        return short if len(set(short)) == len(short) else [str(path) for path in paths]

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Columns of models, the headline first."""
        scores = self.first
        measured = scores.pooled()
        columns = [scores.headline, *scores.libvmaf_models, *scores.summaries]
        return tuple(name for name in dict.fromkeys(columns) if name in measured)

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Columns of features that have values."""
        scores = self.first
        return tuple(name for name in scores.pooled() if name not in self.models and (name in FEATURES or ":" in name))

    @property
    def headline(self) -> str:
        """The column that versions are compared by."""
        return self.first.headline

    @property
    def several(self) -> bool:
        """Whether there are several versions."""
        return len(self.versions) > 1

    def seconds(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Time of frames, or their numbers if the rate is unknown."""
        return frames / (self.rate or 1.0)

    @property
    def unit(self) -> str:
        """What `seconds` counts."""
        return "seconds" if self.rate else "frame"

    def time(self, frame: int) -> str:
        """Time of a frame as text; empty if the rate is unknown."""
        if not self.rate:
            return ""
        minutes, seconds = divmod(frame / self.rate, 60)
        return f"{int(minutes)}:{seconds:05.2f}"
