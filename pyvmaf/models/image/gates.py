"""The gates of models of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyvmaf.models.gates.constant import Constant
from pyvmaf.models.gates.gain import Gain
from pyvmaf.models.gates.gate import Gate, Judged, Row, Seed, not_judged
from pyvmaf.models.gates.pooled import Pooled
from pyvmaf.models.gates.within import Within


@dataclass(frozen=True)
class OfUnit:
    """A gate on pictures, or on versions of clips where the spec says so (``gates.unit``)."""

    gate: Gate

    @property
    def name(self) -> str:
        """Key of its block in the verdict."""
        return self.gate.name

    def measure(self, judged: Judged) -> dict[str, Any]:
        """Measure the gate; on versions, with their figures in the place of those of pictures."""
        limits: Any = judged.spec.gates
        if limits.unit == "picture" or getattr(limits, self.name) is None:
            return self.gate.measure(judged)
        if any("versions" not in seed.report["pictures"] for seed in judged.seeds):
            return not_judged(
                "the reports have no figures of versions, whose clips need names: fit again", passed=False
            )
        return self.gate.measure(replace(judged, seeds=[_of_versions(seed) for seed in judged.seeds]))

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """The rows of the gate."""
        return self.gate.rows(block)


def _of_versions(seed: Seed) -> Seed:
    """A fit with the figures of versions in the place of those of pictures."""
    versions = seed.report["pictures"]["versions"]
    return replace(seed, report=seed.report | {"pictures": versions, "pooled": versions["pooled"]})


GATES: tuple[Gate, ...] = (OfUnit(Pooled()), OfUnit(Within()), OfUnit(Constant()), Gain())
