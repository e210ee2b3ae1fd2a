"""``vmaf-train calibrate``: map the scores of a finished model to opinion scores, and tell whether they agree enough.

A model that was distilled from another metric knows what compression does, not what viewers dislike. The mapping is a line,
so that it cannot change the order of videos; each video is predicted by a line that was fitted without it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import sha256_file
from pyvmaf.base.opinion import check_on_scale
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.corpora.keys import clip_key
from pyvmaf.corpora.opinions import Opinion, join, read_opinions
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.metrics import finite, plcc, rmse, srocc
from pyvmaf.models.gates.gate import Row, shown
from pyvmaf.models.verdicts import GateReport
from pyvmaf.runtime.load import Model
from pyvmaf.scoring.calibration import Calibration, Interval, Mapping, Rated
from pyvmaf.scoring.find import is_path, load_model
from pyvmaf.scoring.looked import looks
from pyvmaf.scoring.score import score

LEAST = 3
"""Videos that a line can be judged on at all: two of them fit it exactly."""

_Z95 = 1.959963984540054

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Limits:
    """Limits of a calibration.

    Attributes:
        n_min: least number of rated videos.
        plcc_min: least PLCC of predictions for videos that were left out.
        srocc_min: least SROCC of the model's scores.
    """

    n_min: int = 30
    plcc_min: float = 0.7
    srocc_min: float = 0.7


@publishes("calibrate")
def calibrate(
    model: str | os.PathLike[str],
    opinions: Path,
    videos: Sequence[Path],
    output: Path | None = None,
    *,
    scale: tuple[float, float],
    subsample: int = 8,
    limits: Limits = Limits(),
    registry: str | os.PathLike[str] | None = None,
    advance: Advance | None = None,
) -> Calibration:
    """Calibrate a model that scores without a reference.

    Args:
        model: id of a registered model, or path of an ONNX file.
        opinions: scores of the videos, as `pyvmaf.corpora.opinions.read_opinions` reads them.
        videos: files, and folders of files.
        output: the report as JSON; None to write nothing.
        scale: lowest and highest opinion score.
        subsample: score every n-th frame.
        limits: what a good calibration keeps.
        registry: as in `pyvmaf.load_model`.
        advance: called with (videos done, videos in all).

    Returns:
        The report; one that misses a limit has the verdict HOLD, and `score` does not take it.

    Raises:
        MissingFileError: a file is not there, or a rated video is not among those given.
        InputError: the model does not score pictures, an opinion lies outside of the scale, fewer than three videos are rated,
            or all have one score.
        IntegrityError: a file is damaged.
    """
    if output is not None:
        claim(output)
    if limits.n_min < LEAST:
        raise InputError(f"--min-n is {LEAST} or more, because two points fit any line; not {limits.n_min}")
    loaded = load_model(Path(model) if is_path(model) else str(model), registry=registry)
    if not looks(loaded) or not isinstance(loaded, Model) or loaded.sidecar.get("task") != "score":
        raise InputError(
            f"model {loaded.name} does not score pictures: opinion scores of rows of features are what models of kind mos "
            "are trained on"
        )
    rated = _rated(opinions, videos, scale)
    for path, _ in rated:
        reading(path)
    call = Call(
        "calibrate",
        args={"model": loaded.name, "mos_scale": list(scale), "subsample": subsample, **asdict(limits)},
        inputs={"opinions": opinions, "videos": [path for path, _ in rated]},
    )
    found = []
    for done, (path, _) in enumerate(rated, start=1):
        found.append(float(score(None, path, model=loaded, subsample=subsample)[loaded.name].mean()))
        if advance is not None:
            advance(done, len(rated))
    report = _report(loaded, opinions, rated, np.array(found), scale, subsample, limits, call)
    return publish(report, output, call)


def _rated(opinions: Path, videos: Sequence[Path], scale: tuple[float, float]) -> list[tuple[Path, Opinion]]:
    """The videos that have an opinion score, by name.

    Raises:
        MissingFileError, InputError: see `calibrate`.
    """
    reading(opinions)
    files: dict[str, Path] = {}
    for path in videos:
        if not path.exists():
            raise MissingFileError(f"no such file or folder: {path}")
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                if (key := clip_key(file.name)) in files:
                    raise InputError(
                        f"{files[key]} and {file} have one name: which one is rated is not known; name one"
                    )
                files[key] = file
    scores, unmatched = join(read_opinions(opinions), {key: str(path) for key, path in files.items()})
    if unmatched:
        raise MissingFileError(
            f"{opinions} rates {len(unmatched)} videos that are not given, the first is {unmatched[0]}: name them, or take "
            "their lines out"
        )
    for item in scores.values():
        try:
            check_on_scale(item.mos, scale)
        except InputError as err:
            raise InputError(f"{item.where}: {err}") from err
    if len(scores) < LEAST:
        raise InputError(f"{opinions} rates {len(scores)} videos, but a line needs {LEAST} to be judged")
    return [(files[key], scores[key]) for key in sorted(scores)]


def line(scores: NDArray[np.float64], mos: NDArray[np.float64]) -> Mapping:
    """Fit mos = intercept + slope x score by least squares; the mean if all scores are equal."""
    away = scores - scores.mean()
    spread = float(away @ away)
    slope = float(away @ (mos - mos.mean())) / spread if spread > 0 else 0.0
    return Mapping(intercept=float(mos.mean() - slope * scores.mean()), slope=slope)


def left_out(scores: NDArray[np.float64], mos: NDArray[np.float64], scale: tuple[float, float]) -> NDArray[np.float64]:
    """Predict each opinion score [n] by a line that was fitted to the others."""
    others = [np.arange(mos.size) != index for index in range(mos.size)]
    return np.array(
        [line(scores[rest], mos[rest]).apply(scores[index : index + 1], scale)[0] for index, rest in enumerate(others)]
    )


def interval(value: float | None, n: int) -> Interval:
    """Give a correlation with its 95 % interval, by Fisher's z."""
    if value is None or n < 4:
        return Interval(value=value, low=None, high=None)
    z, half = math.atanh(max(-0.999999, min(0.999999, value))), _Z95 / math.sqrt(n - 3)
    return Interval(value=value, low=math.tanh(z - half), high=math.tanh(z + half))


def _report(
    model: Model,
    opinions: Path,
    rated: Sequence[tuple[Path, Opinion]],
    scores: NDArray[np.float64],
    scale: tuple[float, float],
    subsample: int,
    limits: Limits,
    call: Call,
) -> Calibration:
    mos, n = np.array([opinion.mos for _, opinion in rated]), len(rated)
    predicted = left_out(scores, mos, scale)
    means = (mos.sum() - mos) / (n - 1)
    agreement = interval(finite(plcc(predicted, mos)), n)
    order = interval(finite(srocc(scores, mos)), n)
    mapping = line(scores, mos)
    gate = _gate(n, mapping, agreement, order, limits)
    verdict: Literal["PROMOTE", "HOLD"] = "PROMOTE" if gate.passed else "HOLD"
    return Calibration(
        model=model.name,
        model_sha256=str(model.sidecar["sha256"]),
        opinions_sha256=sha256_file(opinions),
        mos_scale=list(scale),
        subsample=subsample,
        n=n,
        mapping=mapping,
        plcc=agreement,
        srocc=order,
        rmse=rmse(predicted, mos),
        constant_rmse=rmse(means, mos),
        verdict=verdict,
        gate=gate,
        videos=[
            Rated(name=path.name, mos=opinion.mos, score=one, predicted=guess)
            for (path, opinion), one, guess in zip(rated, scores.tolist(), predicted.tolist(), strict=True)
        ],
        run_provenance=call.provenance(),
    )


def _gate(n: int, mapping: Mapping, agreement: Interval, order: Interval, limits: Limits) -> GateReport:
    """Compare what was measured with the limits; every row states n."""
    few = None if n >= limits.n_min else f"{n} rated videos are too few: at least {limits.n_min} are needed"
    falls = None if mapping.slope > 0 else f"opinions do not rise with the score (slope {mapping.slope:.4g}, n = {n})"
    rows = [
        ("n", Row("rated videos", str(n), f"at least {limits.n_min}", few is None, few)),
        ("slope", Row("slope of the mapping", f"{mapping.slope:.4g}, n = {n}", "above 0", falls is None, falls)),
    ]
    for name, what, found, limit in (
        ("plcc", "PLCC of videos left out", agreement, limits.plcc_min),
        ("srocc", "SROCC of the scores", order, limits.srocc_min),
    ):
        measured = f"{shown(found.value, 3)} ({shown(found.low, 2)} to {shown(found.high, 2)}), n = {n}"
        passed = found.value is not None and found.value >= limit
        why = None if passed else f"{what} is {measured}: at least {limit:g} is needed"
        rows.append((name, Row(what, measured, f"at least {limit:g}", passed, why)))
    reasons = [row.why for _, row in rows if row.why]
    return GateReport.model_validate(
        {"passed": not reasons, "reasons": reasons, "rows": [row.as_json(name) for name, row in rows]}
    )
