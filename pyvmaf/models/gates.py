"""The gates of a verdict: each takes what was measured and the spec's limits, and says both with its answer.

Every gate's answer is a mapping with ``judged`` (whether there was something to judge), ``passed`` (None where there
was not and nobody is to blame) and ``why`` (one sentence with values where it does not pass or was not judged).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import sha256_file
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.features.cases import CASES
from pyvmaf.features.catalog import FEATURES, TEACHER
from pyvmaf.metrics import FIGURES, finite, spread
from pyvmaf.models.regressor.weights import PREDICTIONS, WEIGHTS
from pyvmaf.models.spec import Extrapolation, Gates, HardNegatives, ModelSpec, Monotonicity, Pooled


@dataclass(frozen=True)
class Seed:
    """One seed's fit, as its report describes it.

    Attributes:
        number: the seed.
        path: its ``loso.json``; weights and predictions lie beside it.
        report: what that says.
    """

    number: int
    path: Path
    report: dict[str, Any]

    def beside(self, name: str) -> Path:
        """A file that fit left beside the report, and that must still be the one that the report speaks of.

        Raises:
            MissingFileError: it is not there.
            IntegrityError: it is another one.
        """
        path = self.path.with_name(name)
        stated = self.report[f"{path.stem}_sha256"]
        if not path.is_file():
            raise MissingFileError(f"no such file: {path}; fit leaves it beside {self.path.name}, and judge reads both")
        found = sha256_file(path)
        if found != stated:
            raise IntegrityError(f"{path} has sha256 {found}, but {self.path} speaks of {stated}: fit the model again")
        return path


def correlation(limits: Gates, plccs: Mapping[int, float | None]) -> dict[str, Any]:
    """Hold the mean PLCC of each seed against its limits.

    A seed whose PLCC is not defined (a fold's predictions were constant) fails, and so does the model.
    """
    found = spread(list(plccs.values()))
    mean, low, high = found["mean"], found["min"], found["max"]
    width = None if low is None or high is None else high - low
    failing = sorted(s for s, p in plccs.items() if p is None or p < limits.per_seed_min)
    return {
        "mean_plcc": mean,
        "mean_plcc_threshold": limits.mean_plcc_min,
        "mean_plcc_pass": mean is not None and mean >= limits.mean_plcc_min,
        "std_plcc": found["std"],
        "plcc_spread": width,
        "plcc_spread_max": limits.plcc_spread_max,
        "plcc_spread_pass": width is not None and width <= limits.plcc_spread_max,
        "per_seed_plccs": {str(s): plccs[s] for s in sorted(plccs)},
        "per_seed_min": limits.per_seed_min,
        "per_seed_pass": not failing,
        "failing_seeds": failing,
    }


def _nothing(why: str, passed: bool | None = None) -> dict[str, Any]:
    return {"judged": False, "passed": passed, "why": why}


# --- all held-out rows together -----------------------------------------------------------------------------------


def pooled(limits: Pooled | None, seeds: Sequence[Seed]) -> dict[str, Any]:
    """Hold each seed's figures over the held-out rows of all folds together against their limits.

    A mean over folds forgives a model that ranks each content well and puts one content above another; this does not.
    """
    if limits is None:
        return _nothing("the spec has no limits on all held-out rows together (gates.pooled: null)")
    per_seed = {seed.number: {name: seed.report["pooled"][name] for name in FIGURES} for seed in seeds}
    reasons = []
    for name, bound, sign in (
        ("plcc", limits.plcc_min, 1),
        ("srocc", limits.srocc_min, 1),
        ("rmse", limits.rmse_max, -1),
    ):
        if bound is None:
            continue
        found = {number: figures[name] for number, figures in per_seed.items()}
        failing = {number: value for number, value in found.items() if value is None or sign * (value - bound) < 0}
        if failing:
            shown = ", ".join(f"seed {n}: {'not defined' if v is None else f'{v:.4f}'}" for n, v in failing.items())
            reasons.append(
                f"{name.upper()} over all held-out rows is to be {'at least' if sign > 0 else 'at most'} {bound:g} "
                f"({shown})"
            )
    return {
        "judged": True,
        "passed": not reasons,
        "why": "; ".join(reasons) or None,
        "limits": limits.model_dump(mode="json"),
        "figures": {name: spread([figures[name] for figures in per_seed.values()]) for name in FIGURES},
        "per_seed": {str(number): figures for number, figures in per_seed.items()},
    }


# --- order within a ladder ---------------------------------------------------------------------------------------


def monotonicity(limits: Monotonicity | None, seeds: Sequence[Seed]) -> dict[str, Any]:
    """Whether of two encodes of a ladder the one of the lower CRF is predicted to be at least as good.

    All pairs of a ladder (source, clip, codec, preset) are looked at, each encode with the mean over its frames of
    predictions that did not see its source. A pair violates the limit where the lower CRF is predicted worse by more
    than the tolerance, after what the teacher itself sees it worse by was taken off.

    Raises:
        MissingFileError, IntegrityError: a seed's predictions are not there, or not those of its report.
    """
    if limits is None:
        return _nothing("the spec has no limit (gates.monotonicity: null)")
    per_seed: dict[str, Any] = {}
    worst: dict[str, Any] | None = None
    for seed in seeds:
        pairs = _ladder_pairs(seed.beside(PREDICTIONS))
        if pairs is None or not len(pairs.crf):
            return _nothing("the table holds no ladder of two CRFs, so that there is no order to keep")
        drop = pairs.predicted[:, 1] - pairs.predicted[:, 0]
        excess = drop - np.maximum(0.0, pairs.teacher[:, 1] - pairs.teacher[:, 0])
        at = int(np.argmax(excess))
        found = {
            "seed": seed.number,
            **pairs.names[at],
            "crf": pairs.crf[at].tolist(),
            "predicted": pairs.predicted[at].tolist(),
            "teacher": pairs.teacher[at].tolist(),
            "excess": float(excess[at]),
        }
        per_seed[str(seed.number)] = {
            "pairs": len(pairs.crf),
            "ordered_share": float(np.mean(drop <= 0)),
            "teacher_ordered_share": float(np.mean(pairs.teacher[:, 0] >= pairs.teacher[:, 1])),
            "violations": int(np.count_nonzero(excess > limits.tolerance)),
            "worst": found,
        }
        if worst is None or found["excess"] > worst["excess"]:
            worst = found
    assert worst is not None
    violations = sum(entry["violations"] for entry in per_seed.values())
    n_pairs = sum(entry["pairs"] for entry in per_seed.values())
    why = None
    if violations:
        why = (
            f"{violations} of {n_pairs} pairs of a ladder are predicted in the wrong order by more than "
            f"{limits.tolerance:g}; the worst: {worst['clip']} {worst['codec']} {worst['preset']}, seed {worst['seed']}, "
            f"CRF {worst['crf'][0]} gets {worst['predicted'][0]:.2f} and CRF {worst['crf'][1]} "
            f"{worst['predicted'][1]:.2f} (teacher {worst['teacher'][0]:.2f} and {worst['teacher'][1]:.2f})"
        )
    shares = {
        key: float(np.mean([entry[key] for entry in per_seed.values()]))
        for key in ("ordered_share", "teacher_ordered_share")
    }
    return {
        "judged": True,
        "passed": not violations,
        "why": why,
        "tolerance": limits.tolerance,
        "pairs": n_pairs,
        "violations": violations,
        **shares,
        "worst": worst,
        "per_seed": per_seed,
    }


@dataclass(frozen=True)
class _Pairs:
    """Pairs of encodes: lower CRF first; `predicted` and `teacher` float64 [n, 2]."""

    names: list[dict[str, str]]
    crf: NDArray[np.int64]
    predicted: NDArray[np.float64]
    teacher: NDArray[np.float64]


def _ladder_pairs(path: Path) -> _Pairs | None:
    """Every pair of CRFs of every ladder in a fit's predictions; None where these do not say what an encode is."""
    from pyvmaf.models.regressor.rows import read_columns, read_schema

    keys = ["source", "clip", "codec", "rung", "crf"]
    if not set(keys) <= set(read_schema(path)):
        return None
    grouped: Any = read_columns(path, [*keys, "prediction", "target"]).group_by(keys)
    encodes = grouped.aggregate([("prediction", "mean"), ("target", "mean")]).to_pylist()
    ladders: dict[tuple[str, ...], list[tuple[int, float, float]]] = {}
    for row in encodes:
        if row["crf"] is not None:
            preset = (row["rung"] or "").rpartition("-crf")[0]
            ladder = ladders.setdefault((row["source"], row["clip"], row["codec"], preset), [])
            ladder.append((row["crf"], row["prediction_mean"], row["target_mean"]))
    names, found = [], []
    for key in sorted(ladders):
        steps = sorted(ladders[key])
        for place, low in enumerate(steps):
            for high in steps[place + 1 :]:
                if high[0] > low[0]:
                    names.append(dict(zip(("source", "clip", "codec", "preset"), key, strict=True)))
                    found.append((low, high))
    values = np.asarray(found, dtype=np.float64).reshape(len(found), 2, 3)
    return _Pairs(names, values[:, :, 0].astype(np.int64), values[:, :, 1], values[:, :, 2])


# --- what was held out beside the sources ------------------------------------------------------------------------


def extrapolation(limits: Extrapolation, seeds: Sequence[Seed]) -> dict[str, Any]:
    """Hold each seed's PLCC on each group that it did not see against the limit.

    A group is coarser than a source (a film, a recording session), so that its values may lie outside of what the
    others have. What is held out beside the sources says the report (``beside``).
    """
    reports = {seed.number: seed.report.get("beside") for seed in seeds}
    if not all(reports.values()):
        return _nothing("nothing was held out beside the sources (split.beside, or a table of one group)")
    by = next(report["by"] for report in reports.values() if report)
    entries = [
        (fold["plcc"], n, fold["held_out"].removeprefix(f"{by}:"))
        for n, report in reports.items()
        for fold in (report or {})["folds"]
    ]
    # A figure that is not defined is worse than any other.
    plcc, seed, held_out = min(entries, key=lambda entry: -math.inf if entry[0] is None else entry[0])
    limit = limits.worst_plcc_min
    passed = limit is None or (plcc is not None and plcc >= limit)
    why = None
    if not passed:
        shown = "not defined" if plcc is None else f"{plcc:.4f}"
        why = f"PLCC on the {by} {held_out!r}, unseen by seed {seed}, is {shown}, at least {limit:g} is asked for"
    return {
        "judged": True,
        "passed": passed,
        "why": why,
        "by": by,
        "worst_plcc": plcc,
        "worst_plcc_min": limit,
        "worst": {"seed": seed, "held_out": held_out},
        "per_seed": {str(n): spread([f["plcc"] for f in report["folds"]]) for n, report in reports.items() if report},
        "per_fold": per_fold([report for report in reports.values() if report]),
    }


def per_fold(reports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Figures of each fold over the seeds: mean, std (ddof 1), smallest, largest."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports:
        for fold in report["folds"]:
            found.setdefault(fold["held_out"], []).append(fold)
    return {
        name: {figure: spread([fold[figure] for fold in folds]) for figure in FIGURES} for name, folds in found.items()
    }


# --- what no ladder holds ----------------------------------------------------------------------------------------


def allowed(case: str, teacher: float, limits: HardNegatives) -> tuple[float | None, float | None]:
    """The least and the largest score that a clip may get in a case, given what the teacher says about it.

    The teacher bends the fixed limits only where it contradicts them itself: a clip that starts in black is, of
    black frames, a faithful copy.
    """
    error = limits.teacher_error_max
    if case in ("identical", "flat"):
        least = limits.identical_min if case == "identical" else limits.flat_min
        return min(least, teacher - error), None
    if case in ("black", "swapped"):
        largest = limits.black_max if case == "black" else limits.swapped_max
        return None, max(largest, teacher + error)
    return teacher - error, teacher + error


def hard_negatives(spec: ModelSpec, table: Path | None, seeds: Sequence[Seed]) -> dict[str, Any]:
    """Whether the scores of pairs that no ladder holds stay inside the limits.

    Each seed's model predicts with the graph that is going to be exported. A model that takes the codec is told that
    it is unknown, or, where its vocabulary has no slot for that, each codec that it was trained on.

    Args:
        spec: the model.
        table: what `pyvmaf.features.negatives` writes; None where there is none, which fails a spec that has limits.
        seeds: the fits.

    Raises:
        InputError: the table lacks a feature of the model, or holds no usable row of it.
        MissingFileError, IntegrityError: the table or a seed's weights are not there, damaged or of another fit.
    """
    limits = spec.gates.hard_negatives
    if limits is None:
        return _nothing("the spec has no limits (gates.hard_negatives: null)")
    if not set(spec.inputs.names) <= set(FEATURES) or spec.target.column != TEACHER:
        return _nothing("its inputs and target are not the features and the teacher's score of a frame")
    if table is None:
        return _nothing(
            "hard negatives were not judged: give the table that `vmaf-train hard-negatives` makes (--negatives), or "
            "say in the spec that they do not count (gates.hard_negatives: null)",
            passed=False,
        )
    rows = _Negatives(spec, table)
    low, high = spec.target.range[0] - limits.range_margin, spec.target.range[1] + limits.range_margin
    scores = {seed.number: rows.predicted(seed) for seed in seeds}
    cases = {case: rows.case(case, scores, limits) for case in CASES if case in rows.cases}
    every = np.stack(list(scores.values()))
    usual = every[np.isfinite(every)]
    lowest, highest = (finite(usual.min()), finite(usual.max())) if usual.size else (None, None)
    n_wrong = int(np.count_nonzero(~((every >= low) & (every <= high))))
    reasons = [entry["why"] for entry in cases.values() if entry["why"]]
    if n_wrong:
        reasons.append(
            f"{n_wrong} of {every.size} scores of hard negatives are not finite or outside of [{low:g}, {high:g}]: "
            f"they go from {lowest:.2f} to {highest:.2f}"
            if usual.size
            else "no score of a hard negative is finite"
        )
    return {
        "judged": True,
        "passed": not reasons,
        "why": "; ".join(reasons) or None,
        "table": {"name": table.stem, "sha256": sha256_file(table), "rows": rows.n_total, "rows_used": rows.n},
        "limits": limits.model_dump(mode="json"),
        "cases": cases,
        "cases_missing": [case for case in CASES if case not in cases],
        "codecs": list(rows.blocks),
        "range": {
            "passed": not n_wrong,
            "allowed": [low, high],
            "lowest": lowest,
            "highest": highest,
            "outside": n_wrong,
        },
    }


class _Negatives:
    """The usable rows of a table of hard negatives, for one model.

    Attributes:
        n_total, n: rows of the file, and those whose features are finite, which alone a loaded model accepts.
        cases: names of the cases among them.
        blocks: what the model is told about the codec: name → codec block, None for a model that takes none.
    """

    def __init__(self, spec: ModelSpec, path: Path) -> None:
        from pyvmaf.models.regressor.rows import floats, read_columns, strings

        names = list(spec.inputs.names)
        labels = ["corpus", "clip", "case"]
        table = read_columns(path, [*labels, *names, TEACHER])
        X = np.column_stack([floats(table, name) for name in names])
        teacher = floats(table, TEACHER)
        keep = np.isfinite(X).all(axis=1) & np.isfinite(teacher)
        self.n_total, self.n = table.num_rows, int(np.count_nonzero(keep))
        if not self.n:
            raise InputError(
                f"{path}: none of {table.num_rows} rows has all features of {spec.name} ({', '.join(names)}): make it "
                "again with those features"
            )
        self._spec, self._X, self._teacher = spec, X[keep], teacher[keep]
        self._case = strings(table, "case")[keep]
        self._clip = np.char.add(np.char.add(strings(table, "corpus"), "/"), strings(table, "clip"))[keep]
        self.cases = sorted(set(self._case.tolist()))
        self.blocks: dict[str, list[float] | None] = {"none": None}

    def predicted(self, seed: Seed) -> NDArray[np.float64]:
        """Scores [codecs, n] of the model of one seed."""
        from pyvmaf.models.export import export_member
        from pyvmaf.models.regressor.inputs import of_member
        from pyvmaf.models.regressor.weights import load_weights
        from pyvmaf.runtime.session import run, session

        weights = load_weights(seed.beside(WEIGHTS))
        exported = export_member(self._spec, weights, compare=False)
        runtime = session(exported.data)
        X = of_member(self._spec, weights, weights.place(None)).graph_inputs(self._X)
        self.blocks = self._codecs(seed)
        found = [
            run(runtime, X, None if block is None else np.tile(np.asarray(block), (self.n, 1)))
            for block in self.blocks.values()
        ]
        return np.stack(found)

    def _codecs(self, seed: Seed) -> dict[str, list[float] | None]:
        if self._spec.inputs.codec is None:
            return {"none": None}
        from pyvmaf.codecs.vocabularies import vocabulary
        from pyvmaf.models.regressor.rows import read_columns, strings

        known = vocabulary(self._spec.inputs.codec)
        if known.blind_or_none is not None:
            return {"unknown": known.blind_or_none}
        seen = sorted(set(strings(read_columns(seed.beside(PREDICTIONS), ["codec"]), "codec").tolist()))
        blocks: dict[str, list[float] | None] = {}
        for name in seen:
            try:
                blocks[name] = known.encode(name, None, None)
            except InputError:
                continue  # a ladder may be called other than its encoder
        if not blocks:
            raise InputError(
                f"codec vocabulary {known.version} has no slot for an unknown encoder, nor for any of {', '.join(seen)}, "
                f"which {self._spec.name} was trained on: hard negatives cannot be judged"
            )
        return blocks

    def case(self, name: str, scores: Mapping[int, NDArray[np.float64]], limits: HardNegatives) -> dict[str, Any]:
        """One case: the mean of every clip, codec and seed, held against what is allowed."""
        here = self._case == name
        clips, place = np.unique(self._clip[here], return_inverse=True)
        count = np.bincount(place)
        teacher = np.bincount(place, self._teacher[here]) / count
        worst: tuple[float, dict[str, Any]] = (-math.inf, {})
        every: list[float] = []
        outside = 0
        for number, predicted in scores.items():
            for codec, row in zip(self.blocks, predicted, strict=True):
                means = np.bincount(place, row[here]) / count
                every += means.tolist()
                for clip, mean, target in zip(clips.tolist(), means.tolist(), teacher.tolist(), strict=True):
                    least, largest = allowed(name, target, limits)
                    beyond = max(
                        -math.inf if least is None else least - mean, -math.inf if largest is None else mean - largest
                    )
                    beyond = beyond if math.isfinite(mean) else math.inf
                    outside += beyond > 0
                    if beyond > worst[0]:
                        entry = {"seed": number, "clip": clip, "codec": codec, "score": finite(mean), "teacher": target}
                        worst = beyond, {**entry, "at_least": least, "at_most": largest, "beyond": finite(beyond)}
        found = worst[1]
        why = None
        if outside:
            score = "not finite" if found["score"] is None else f"{found['score']:.2f}"
            bounds = " and ".join(
                f"{word} {value:.2f}"
                for word, value in (("at least", found["at_least"]), ("at most", found["at_most"]))
                if value is not None
            )
            why = (
                f"hard negatives, {name} ({CASES[name]}): {outside} of {len(every)} scores are outside; the worst: "
                f"{found['clip']}, seed {found['seed']}, gets {score}, {bounds} is allowed "
                f"(teacher {found['teacher']:.2f})"
            )
        known = [value for value in every if math.isfinite(value)]
        return {
            "passed": not outside,
            "why": why,
            "clips": len(clips),
            "outside": outside,
            "scores": [min(known), max(known)] if known else None,
            "teacher": [float(teacher.min()), float(teacher.max())],
            "worst": found,
        }


def reasons(gate: Mapping[str, Any]) -> list[str]:
    """Why a gate says no: one sentence for each part that does, with what was measured and what is asked for."""
    found = []
    if not gate["mean_plcc_pass"]:
        found.append(f"mean PLCC {_shown(gate['mean_plcc'])} is below {gate['mean_plcc_threshold']:g}")
    if not gate["plcc_spread_pass"]:
        found.append(f"spread over seeds {_shown(gate['plcc_spread'])} is above {gate['plcc_spread_max']:g}")
    if not gate["per_seed_pass"]:
        values = ", ".join(f"{s}: {_shown(gate['per_seed_plccs'][str(s)])}" for s in gate["failing_seeds"])
        found.append(f"seeds {gate['failing_seeds']} are below {gate['per_seed_min']:g} ({values})")
    return found + [gate[part]["why"] for part in PARTS if gate[part]["passed"] is False]


PARTS: tuple[str, ...] = ("pooled", "hard_negatives", "monotonicity", "extrapolation")
"""The gates beside those of correlation, in the order in which they are told."""


def _shown(value: float | None) -> str:
    return "not defined (constant predictions)" if value is None else f"{value:.5f}"
