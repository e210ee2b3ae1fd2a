"""Gate: what a filter does to held-out pictures, per cell of codec and rung."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyvmaf.models.gates.gate import Judged, Row, Seed, not_judged, row_of_not_judged, shown
from pyvmaf.models.gates.limits import limits_of
from pyvmaf.models.weights import PREDICTIONS
from pyvmaf.tables.columns import floats, read_columns, strings


class Gain:
    """Limits on the gain in PSNR of every cell, on its mean, and on each clip in each cell: in every seed.

    A mean over cells forgives a filter that repairs bad pictures and spoils good ones; a user of good pictures does not.
    """

    name = "gain"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """Average prediction - target over each cell, and over each clip in each cell: dB, of pictures in 8 bits."""
        limits = limits_of(judged, self.name)
        if limits is None:
            return not_judged("the spec has no limits on the gain of a filter (gates.gain: null)")
        per_seed = {str(seed.number): cells(seed) for seed in judged.seeds}
        worst_cell = _least({(s, cell): one["gain"] for s, found in per_seed.items() for cell, one in found.items()})
        worst_clip = _least(
            {
                (s, f"{cell}, {one['worst_clip']}"): one["worst"]
                for s, found in per_seed.items()
                for cell, one in found.items()
            }
        )
        means = {seed: float(np.mean([one["gain"] for one in found.values()])) for seed, found in per_seed.items()}
        mean = min(means.values())
        reasons = [
            f"{what} {value:.4f} dB is {'not above' if strict else 'below'} {limit:g} dB"
            for what, value, limit, strict in (
                (f"mean gain of cell {worst_cell[0]}", worst_cell[1], limits.cell_min, True),
                ("mean gain over the cells", mean, limits.mean_min, False),
                (f"gain of {worst_clip[0]}", worst_clip[1], limits.worst_min, False),
            )
            if (value <= limit if strict else value < limit)
        ]
        return {
            "judged": True,
            "passed": not reasons,
            "why": "; ".join(reasons) or None,
            "cell_min": limits.cell_min,
            "mean_min": limits.mean_min,
            "worst_min": limits.worst_min,
            "mean": mean,
            "worst_cell": {"cell": worst_cell[0], "gain": worst_cell[1]},
            "worst_clip": {"clip": worst_clip[0], "gain": worst_clip[1]},
            "per_seed": per_seed,
        }

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """The worst cell, the mean, and the worst clip."""
        if not block["judged"]:
            return row_of_not_judged("gain in PSNR", block)
        cell, clip = block["worst_cell"], block["worst_clip"]
        return [
            _row("gain of the worst cell, dB", cell["gain"], block["cell_min"], cell["cell"], strict=True),
            _row("mean gain over the cells, dB", block["mean"], block["mean_min"], "worst seed"),
            _row("gain of the worst clip in a cell, dB", clip["gain"], block["worst_min"], clip["clip"]),
        ]


def _row(what: str, value: float, limit: float, detail: str, *, strict: bool = False) -> Row:
    passed = value > limit if strict else value >= limit
    word = "above" if strict else "at least"
    why = None if passed else f"{what.removesuffix(', dB')} {value:.4f} dB ({detail}) is to be {word} {limit:g} dB"
    return Row(what, f"{shown(value)}, {detail}", f"{word} {limit:g}", passed, why)


def _least(values: Mapping[tuple[str, str], float]) -> tuple[str, float]:
    """The least of values by seed and name, with both as text."""
    (seed, name), value = min(values.items(), key=lambda item: item[1])
    return f"{name} (seed {seed})", value


def cells(seed: Seed) -> dict[str, dict[str, Any]]:
    """Measure each cell of codec and rung: mean gain in dB, and that of the clip that it is least of."""
    table = read_columns(seed.beside(PREDICTIONS), ["codec", "rung", "clip", "target", "prediction"])
    names = np.char.add(np.char.add(strings(table, "codec"), " "), strings(table, "rung"))
    clips, gains = strings(table, "clip"), floats(table, "prediction") - floats(table, "target")
    found: dict[str, dict[str, Any]] = {}
    for cell in np.unique(names).tolist():
        here = names == cell
        per_clip = {clip: float(gains[here & (clips == clip)].mean()) for clip in np.unique(clips[here]).tolist()}
        worst = min(per_clip, key=per_clip.__getitem__)
        found[cell] = {
            "gain": float(np.mean(list(per_clip.values()))),
            "worst": per_clip[worst],
            "worst_clip": worst,
            "clips": len(per_clip),
        }
    return found
