"""What the device measures for requests, and the columns in which its child process returns it.

The device measures parts of scores: numerators and denominators of VIF and ADM, and sums of motion. The scores follow on the
processor, by the code of the engine ``kernels``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from pyvmaf.engines.kernels import adm, motion, vif

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf.engines.protocol import Requests
    from pyvmaf.video.format import Format

    Columns = Mapping[str, NDArray[np.float64]]

_SCALES = 4


class Wanted(NamedTuple):
    """What is measured, as `_native.KernelsLadder` takes it."""

    vif: list[list[float]]
    adm: list[tuple[list[float], bool, tuple[float, int, float, int]]]
    motion: list[int]


class Measured(NamedTuple):
    """What was measured of frames.

    Attributes:
        vif, adm: of each measure, float32 of shape (pairs, limits of the gain, 4 scales, 2 or 3).
        motion: of each measure, int64 of shape (pairs,).
    """

    vif: list[NDArray[np.float32]]
    adm: list[NDArray[np.float32]]
    motion: list[NDArray[np.int64]]


class Measures:
    """The measures that requests need, in the same order on both sides of the channel."""

    def __init__(self, requests: Requests, form: Format, instruction_set: str) -> None:
        """Prepare for requests that kernels compute.

        Args:
            requests: the requests.
            form: of the frames.
            instruction_set: with which the processor measures.
        """

        def of(extractor: str) -> Requests:
            return {request: keys for request, keys in requests.items() if request.extractor == extractor}

        self.vif = vif.open_scores(of("vif"), form, instruction_set)
        self.adm = adm.open_scores(of("adm"), form, instruction_set)
        self.motion = motion.open_scores(of("motion"), form, instruction_set)
        self.wanted = Wanted(
            [scores.limits for scores in self.vif],
            [(scores.limits, scores.additive, scores.viewing) for scores in self.adm],
            [distance for scores in self.motion for distance in scores.distances],
        )
        self._shapes: dict[str, list[tuple[int, ...]]] = {
            "vif": [(len(limits), _SCALES, 2) for limits in self.wanted.vif],
            "adm": [(len(limits), _SCALES, 3) for limits, _, _ in self.wanted.adm],
            "motion": [()] * len(self.wanted.motion),
        }

    def columns(self) -> list[str]:
        """Return the names of the columns: each has one number per pair."""
        return [name for kind in self._shapes for part in self._names(kind) for name in part]

    def _names(self, kind: str) -> list[list[str]]:
        shapes = enumerate(self._shapes[kind])
        return [[f"{kind}.{index}.{place}" for place in range(prod(shape))] for index, shape in shapes]

    def to_columns(self, measured: Measured) -> dict[str, NDArray[np.float64]]:
        """Spread what was measured over columns, without loss: every float32 and every sum is a float64, too."""
        import numpy as np

        arrays: dict[str, Sequence[NDArray[Any]]] = measured._asdict()
        columns: dict[str, NDArray[np.float64]] = {}
        for kind in self._shapes:
            for part, array in zip(self._names(kind), arrays[kind], strict=True):
                rows = np.asarray(array, np.float64).reshape(len(array), len(part))
                columns |= {name: rows[:, place] for place, name in enumerate(part)}
        return columns

    def from_columns(self, columns: Columns) -> Measured:
        """Put columns together again."""
        import numpy as np

        def together(kind: str, dtype: type[Any]) -> list[NDArray[Any]]:
            return [
                np.stack([columns[name] for name in part], axis=1).astype(dtype).reshape(-1, *shape)
                for part, shape in zip(self._names(kind), self._shapes[kind], strict=True)
            ]

        return Measured(together("vif", np.float32), together("adm", np.float32), together("motion", np.int64))
