"""Gate: pairs that no ladder holds (identical, flat, frozen, black and swapped pictures)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import sha256_file
from pyvmaf.errors import InputError
from pyvmaf.features.cases import AT_LEAST, AT_MOST, CASES
from pyvmaf.features.catalog import TEACHER
from pyvmaf.metrics import finite
from pyvmaf.models.gates.gate import Judged, Row, Seed, not_judged, row_of_not_judged, shown
from pyvmaf.models.spec import HardNegatives as Limits
from pyvmaf.models.spec import ModelSpec
from pyvmaf.tables.columns import floats, read_columns, read_schema, strings

Columns = Callable[[Any], Sequence[str] | None]
"""Names of the frame features that a model of this spec reads; None if it is not a model of frames."""


@dataclass(frozen=True)
class Scored:
    """Scores of some rows.

    Attributes:
        scores: float64 [n], as the graph gives them.
        answers: float64 [n], the same before the graph clips them; the same numbers if it does not.
        held_out: how many of the rows are of scenes that their model saw no hard negative of; None if it saw none at all.
    """

    scores: NDArray[np.float64]
    answers: NDArray[np.float64]
    held_out: int | None = None

    @staticmethod
    def of(outputs: Sequence[NDArray[np.float64]]) -> Scored:
        """The scores, and if the graph clips them what it clipped."""
        return Scored(outputs[0], outputs[-1])


@dataclass(frozen=True)
class Pairs:
    """Rows to score.

    Attributes:
        X: features, float64 [n, columns], finite: a loaded model accepts no other rows.
        sources: str [n], the scene of each row's clip; empty strings if the table does not state it.
    """

    X: NDArray[np.float64]
    sources: NDArray[np.str_]


Score = Callable[[Any, Seed, Pairs], Mapping[str, Scored]]
"""Scores of some rows by the models of a seed: once for each codec that they are told, by the codec's name ("none" for
models that take none)."""


def allowed(case: str, teacher: float, limits: Limits) -> tuple[float | None, float | None]:
    """The least and the largest score that a clip may get in a case, given the teacher's score.

    The teacher moves the fixed limits only if it contradicts them itself: a clip that starts in black is a faithful copy
    of black frames.
    """
    error = limits.teacher_error_max
    if case in AT_LEAST:
        return min(getattr(limits, AT_LEAST[case]), teacher - error), None
    if case in AT_MOST:
        return None, max(getattr(limits, AT_MOST[case]), teacher + error)
    return teacher - error, teacher + error


def hard_negatives(
    spec: ModelSpec, table: Path | None, seeds: Sequence[Seed], columns: Columns, score: Score
) -> dict[str, Any]:
    """Whether the scores of pairs that no ladder holds stay inside the limits.

    Each seed's model predicts with the graph that will be exported; if it was trained on hard negatives, the rows of each
    scene are predicted by the fold that did not see the scene. A model that takes the codec is told that it is unknown, or,
    if its vocabulary has no slot for that, each codec that it was trained on.

    Args:
        spec: the model.
        table: a table of `pyvmaf.features.negatives`; None if there is none, which fails a spec that has limits.
        seeds: the fits.
        columns, score: of the family.

    Raises:
        InputError: the table lacks a feature of the model, or holds no usable row of it.
        MissingFileError, IntegrityError: the table or a seed's weights are not there, damaged or of another fit.
    """
    limits = spec.gates.hard_negatives
    if limits is None:
        return not_judged("the spec has no limits (gates.hard_negatives: null)")
    names = columns(spec)
    if names is None:
        return not_judged("its inputs and target are not the features and the teacher's score of a frame")
    if table is None:
        return not_judged(
            "hard negatives were not judged: give the table that `vmaf-train hard-negatives` makes (--negatives), or "
            "set gates.hard_negatives: null in the spec",
            passed=False,
        )
    rows = _Rows.read(spec.name, names, table)
    scores = {seed.number: score(spec, seed, rows.pairs) for seed in seeds}
    cases = {name: rows.case(name, scores, limits) for name in CASES if name in rows.cases}
    low, high = spec.target.range[0] - limits.range_margin, spec.target.range[1] + limits.range_margin
    # Of clipped scores this would say nothing.
    answers = [scored.answers for by_codec in scores.values() for scored in by_codec.values()]
    reach, wrong = _reach(np.stack(answers), low, high)
    reasons = [entry["why"] for entry in cases.values() if entry["why"]] + wrong
    held_out = [s.held_out for by_codec in scores.values() for s in by_codec.values() if s.held_out is not None]
    return {
        "judged": True,
        "passed": not reasons,
        "why": "; ".join(reasons) or None,
        "table": {
            "name": table.stem,
            "sha256": sha256_file(table),
            "rows": rows.n_total,
            "rows_used": len(rows.pairs.X),
        },
        **({"rows_held_out": min(held_out)} if held_out else {}),
        "limits": limits.model_dump(mode="json"),
        "cases": cases,
        "cases_missing": [name for name in CASES if name not in cases],
        "codecs": list(next(iter(scores.values()))),
        "range": reach,
    }


def _reach(every: NDArray[np.float64], low: float, high: float) -> tuple[dict[str, Any], list[str]]:
    """The range of all scores against the allowed one, and the reason if they leave it."""
    usual = every[np.isfinite(every)]
    lowest, highest = (finite(usual.min()), finite(usual.max())) if usual.size else (None, None)
    outside = int(np.count_nonzero(~((every >= low) & (every <= high))))
    reach = {"passed": not outside, "allowed": [low, high], "lowest": lowest, "highest": highest, "outside": outside}
    return reach, [_range_why(reach, every.size)] if outside else []


def _range_why(reach: Mapping[str, Any], n: int | None = None) -> str:
    if reach["lowest"] is None:
        return "no score of a hard negative is finite"
    low, high = reach["allowed"]
    of = "" if n is None else f" of {n}"
    return (
        f"{reach['outside']}{of} scores of hard negatives are not finite or outside of [{low:g}, {high:g}]: they go from "
        f"{reach['lowest']:.2f} to {reach['highest']:.2f}"
    )


@dataclass(frozen=True)
class _Rows:
    """The usable rows of a table of hard negatives, for one model.

    Attributes:
        n_total: rows of the file.
        pairs: the rows.
        teacher: float64 [n].
        names, clips: str [n], case and clip of each row, the clip with its size where a table has several.
    """

    n_total: int
    pairs: Pairs
    teacher: NDArray[np.float64]
    names: NDArray[np.str_]
    clips: NDArray[np.str_]

    @staticmethod
    def read(model: str, features: Sequence[str], path: Path) -> _Rows:
        """Read a table."""
        # Tables of earlier versions have one size of each clip, and do not state it.
        more = [name for name in ("source", "size") if name in read_schema(path)]
        table = read_columns(path, ["corpus", "clip", "case", *more, *features, TEACHER])
        X = np.column_stack([floats(table, name) for name in features])
        teacher = floats(table, TEACHER)
        keep = np.isfinite(X).all(axis=1) & np.isfinite(teacher)
        if not keep.any():
            raise InputError(
                f"{path}: none of {table.num_rows} rows has all features of {model} ({', '.join(features)}): make it "
                "again with those features"
            )
        clips = np.char.add(np.char.add(strings(table, "corpus"), "/"), strings(table, "clip"))
        if "size" in more:
            clips = np.char.add(np.char.add(clips, " "), strings(table, "size"))
        sources = strings(table, "source") if "source" in more else np.full(table.num_rows, "")
        pairs = Pairs(X[keep], sources[keep])
        return _Rows(table.num_rows, pairs, teacher[keep], strings(table, "case")[keep], clips[keep])

    @property
    def cases(self) -> set[str]:
        """Names of the cases among the rows."""
        return set(self.names.tolist())

    def case(self, name: str, scores: Mapping[int, Mapping[str, Scored]], limits: Limits) -> dict[str, Any]:
        """One case: the mean of every clip, codec and seed, held against the limits."""
        here = self.names == name
        clips, index = np.unique(self.clips[here], return_inverse=True)
        count = np.bincount(index)
        teacher = np.bincount(index, self.teacher[here]) / count
        worst: tuple[float, dict[str, Any]] = (-math.inf, {})
        every: list[float] = []
        outside = 0
        for number, by_codec in scores.items():
            for codec, scored in by_codec.items():
                means = np.bincount(index, scored.scores[here]) / count
                every += means.tolist()
                for clip, mean, target in zip(clips.tolist(), means.tolist(), teacher.tolist(), strict=True):
                    least, largest = allowed(name, target, limits)
                    beyond = _beyond(mean, least, largest)
                    outside += beyond > 0
                    if beyond > worst[0]:
                        entry = {"seed": number, "clip": clip, "codec": codec, "score": finite(mean), "teacher": target}
                        worst = beyond, {**entry, "at_least": least, "at_most": largest, "beyond": finite(beyond)}
        usual = [value for value in every if math.isfinite(value)]
        return {
            "passed": not outside,
            "why": _case_why(name, worst[1], outside, len(every)) if outside else None,
            "clips": len(clips),
            "outside": outside,
            "scores": [min(usual), max(usual)] if usual else None,
            "teacher": [float(teacher.min()), float(teacher.max())],
            "worst": worst[1],
        }


def _beyond(mean: float, least: float | None, largest: float | None) -> float:
    """How far a mean lies outside its limits; negative inside."""
    if not math.isfinite(mean):
        return math.inf
    return max(-math.inf if least is None else least - mean, -math.inf if largest is None else mean - largest)


def _bounds(worst: Mapping[str, Any], digits: int, between: str) -> str:
    ends = (("at least", worst["at_least"]), ("at most", worst["at_most"]))
    return between.join(f"{word} {value:.{digits}f}" for word, value in ends if value is not None)


def _case_why(name: str, worst: Mapping[str, Any], outside: int, n: int) -> str:
    score = "not finite" if worst["score"] is None else f"{worst['score']:.2f}"
    return (
        f"hard negatives, {name} ({CASES[name]}): {outside} of {n} scores are outside; the worst: {worst['clip']}, seed "
        f"{worst['seed']}, gets {score}, {_bounds(worst, 2, ' and ')} is allowed (teacher {worst['teacher']:.2f})"
    )


@dataclass(frozen=True)
class HardNegatives:
    """Limits on the scores of pairs that no ladder holds.

    Attributes:
        columns, score: how models of the family read and score frames.
    """

    columns: Columns
    score: Score

    @property
    def name(self) -> str:
        """Key of its block."""
        return "hard_negatives"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """See `hard_negatives`."""
        return hard_negatives(judged.spec, judged.negatives, judged.seeds, self.columns, self.score)

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """The worst clip of each case, and the range of all frames."""
        if not block["judged"]:
            return row_of_not_judged("hard negatives", block)
        rows = []
        for name, case in block["cases"].items():
            worst = case["worst"]
            measured = f"{shown(worst['score'], 1)} (teacher {worst['teacher']:.1f}) on {worst['clip']}"
            rows.append(Row(f"{name}, worst clip", measured, _bounds(worst, 1, ", "), case["passed"], case["why"]))
        reach = block["range"]
        low, high = reach["allowed"]
        why = None if reach["passed"] else _range_why(reach)
        measured = f"{shown(reach['lowest'], 1)} to {shown(reach['highest'], 1)}"
        return [*rows, Row("every frame of these", measured, f"{low:g} to {high:g}", reach["passed"], why)]
