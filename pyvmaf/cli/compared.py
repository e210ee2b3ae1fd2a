"""Printing of the verb score for several versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyvmaf.base.terminal import say
from pyvmaf.cli.plot import print_plot
from pyvmaf.cli.show import figure, new_table, print_whole

if TYPE_CHECKING:
    from pyvmaf.scoring.compare import Comparison, Version
    from pyvmaf.scoring.scores import Scores

_FIGURES = ("mean", "harmonic_mean", "p5", "min")


def print_comparison(comparison: Comparison, pools: Sequence[str], *, plot: bool = False) -> None:
    """Print the versions, the best first, and what the bitrates of their ladders differ by.

    Args:
        comparison: the versions.
        pools: further figures of the first model.
        plot: draw the scores of each over time.
    """
    first, *_ = ranked = comparison.ranked
    columns = score_columns(first.scores)
    names = (*_FIGURES, *pools)
    models = ", ".join(first.scores.libvmaf_models.get(column, column) for column in columns)
    title = f"{len(ranked)} version{'s' if len(ranked) > 1 else ''} of {comparison.reference}, {len(first.scores)} frames, {models}"
    heads = [f"{columns[0]} {name}".replace("harmonic_mean", "harmonic") for name in names] + list(columns[1:])
    table = new_table(title, ("",), (*heads, "kbit/s", "size"))
    for version in ranked:
        table.add_row(str(version.path), *_cells(version, columns, names))
    print_whole(table)
    for version in ranked if plot else ():
        say("", version.path)
        print_plot(version.scores, columns[:1])
    for difference in comparison.differences():
        if difference.rate is None:
            say(f"{difference.other} against {difference.anchor}: no BD-rate, {difference.reason}")
            continue
        rate = difference.rate
        say(
            f"{difference.other} against {difference.anchor}: BD-rate {rate.percent:+.2f} % (bitrate for equal {columns[0]}, from "
            f"{rate.low:.2f} to {rate.high:.2f})"
        )


def score_columns(scores: Scores) -> tuple[str, ...]:
    """Return the columns of models, the one of `Scores.headline` first."""
    models = [*scores.libvmaf_models, *scores.summaries]
    return tuple(dict.fromkeys([scores.headline, *models]))


def _cells(version: Version, columns: Sequence[str], names: Sequence[str]) -> list[str]:
    scores = version.scores
    of_clip = {name for name, summary in scores.summaries.items() if summary["of"] == "clip"}
    first = [figure(scores.figure(name), 3) if name == "mean" or columns[0] not in of_clip else "-" for name in names]
    others = [figure(scores.figure(column=column), 3) for column in columns[1:]]
    size = "-" if version.bytes is None else _size(version.bytes)
    return [*first, *others, figure(version.kbps, 1), size]


def _size(count: int) -> str:
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.2f} MB"
