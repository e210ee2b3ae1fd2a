"""A lowest score that is accepted: ``90``, or ``90:p5`` for a figure other than the mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyvmaf.errors import InputError, shown
from pyvmaf.features.pool import check_pools

if TYPE_CHECKING:
    from pyvmaf.scoring.scores import Scores


@dataclass(frozen=True)
class Limit:
    """The lowest value of a figure that is accepted.

    Attributes:
        lowest: the value.
        figure: the figure, as in `pyvmaf.features.pool.pool`.
    """

    lowest: float
    figure: str = "mean"

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read ``LOWEST`` or ``LOWEST:FIGURE``.

        Raises:
            InputError: the text has another form, or there is no such figure.
        """
        number, colon, figure = text.partition(":")
        try:
            lowest = float(number)
        except ValueError:
            lowest = math.nan
        if not math.isfinite(lowest) or (colon and not figure):
            raise InputError(
                f"a limit of {shown(text)} is not of the form LOWEST or LOWEST:FIGURE, such as 90 or 90:p5"
            )
        return cls(lowest, *check_pools([figure] if figure else ["mean"]))

    def missed(self, scores: Scores) -> str:
        """Say by what scores miss the limit; "" if they reach it. A figure without a value misses it."""
        value = scores.figure(self.figure)
        if value >= self.lowest:
            return ""
        return f"{scores.headline} {self.figure} is {value:.6g}, which is under {self.lowest:g}"
