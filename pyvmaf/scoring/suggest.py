"""``vmaf-train suggest``: a CRF that reaches a quality, predicted from a probe of the clip and, if asked for, measured.

The prediction costs a probe. ``--verify`` encodes: first at the predicted CRF, then as far from it as what was measured there is
from the target, by the slope of the curve; between measured points on either side of the target it is a secant. Quality numbers are
whole, so that two neighbours can lie on either side of the target without one being close enough to it: the report says so.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.code import identity
from pyvmaf.base.document import Call, Document, Name, OptionalKey, Part, Positive, RunProvenance, Sha256, Size, publish
from pyvmaf.base.files import content_hash, dumps, sha256_file, write_text
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.base.parse import parse_json
from pyvmaf.codecs.encoders import Encoder
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.corpora.clip import clip_video
from pyvmaf.encodes.distortion import Reference
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.encodes.probe import Facts, Saliency, probe
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.scoring.heights import Version, versions
from pyvmaf.scoring.hull import hull
from pyvmaf.scoring.predictors import Pool, Predictor
from pyvmaf.scoring.score import score
from pyvmaf.video.ffmpeg import ffmpeg

TOLERANCE = 0.5
"""How far from the target a measured quality may be."""

MOST_ENCODES = 8

_AROUND = 3
"""CRFs on either side that the slope of a curve is taken over."""

_LEAST_SLOPE = 0.3
"""VMAF per CRF that a step is taken with at least."""

MODEL = "vmaf_v0.6.1"

Advance = Callable[[int, int], None]


class Point(Part):
    """A point of the predicted curve."""

    crf: int
    vmaf: Size
    low: Size = Field(description="Ends of the interval that holds the nominal share of clips")
    high: Size
    bitrate_kbps: OptionalKey[float] = Field(default=None, description="Predicted rate; absent if it is not predicted")
    bitrate_low: OptionalKey[float] = Field(default=None, description="Ends of its interval")
    bitrate_high: OptionalKey[float] = None
    hull: OptionalKey[bool] = Field(
        default=None,
        description="Whether the other points of all curves are predicted to have no more quality at its rate, nor any mixture of them",
    )


class Measured(Part):
    """An encode that was made and measured."""

    crf: int
    vmaf: Size
    bitrate_kbps: float = Field(gt=0)
    hull: bool = Field(description="Whether no mixture of the other encodes of the report has more quality at its rate")


_P = TypeVar("_P", Point, Measured)


class AppliedRecipe(Part):
    """The recipe of the clip's class of content, as far as a suggestion follows it."""

    content_class: Name
    sha256: Sha256 = Field(description="Of the file of recipes")
    source: Name = Field(description="Where its offset is from: measured or proxy")
    asked: Size = Field(description="The target before the offset was added")
    target_vmaf_offset: float
    tight_interval_max_width: Size | None = Field(
        description="Widest interval of a prediction to rely on; null: not stated"
    )


class Suggestion(Part):
    """The CRF of a codec for the target."""

    codec: Name
    preset: Name
    height: Positive = Field(
        description="Lines of its encodes; those of fewer than the clip's are scaled up to be measured"
    )
    crf: int | None = Field(
        description="Largest predicted to reach the target, or the verified one; null: none reaches it"
    )
    predicted: Size | None = Field(description="Predicted quality at that CRF")
    verified: bool | None = Field(description="Whether it was measured within the tolerance; null: not asked for")
    why: str | None = Field(description="Why there is no CRF, or none within the tolerance")
    curve: list[Point] = Field(description="Predicted against pictures of that many lines, without the loss by scaling")
    measured: OptionalKey[list[Measured]] = None


class SuggestReport(Document):
    """CRFs for a target quality."""

    title: ClassVar[str] = "Report of suggest: CRFs of codecs for a target quality, predicted and measured"

    schema_version: Positive = 1
    video: Name
    sha256: Sha256
    target: Size = Field(description="With the offset of the recipe, if there is one")
    recipe: OptionalKey[AppliedRecipe] = None
    pool: Pool
    tolerance: Size
    predictor: Name
    predictor_sha256: Sha256
    suggestions: list[Suggestion] = Field(min_length=1)
    run_provenance: RunProvenance


@dataclass(frozen=True)
class Work:
    """How suggestions are verified.

    Attributes:
        program: FFmpeg, as in `encode`.
        cache: folder where measurements are kept; None for none.
        threads: of encoder and engine.
    """

    program: str = "embedded"
    cache: Path | None = None
    threads: int = 1


@dataclass(frozen=True)
class Recipe:
    """The recipe of a class of content (`vmaf-train calibrate-recipes`).

    Attributes:
        content_class: the class.
        sha256: of the file of recipes.
        source: "measured" or "proxy", of the offset.
        offset: added to the target, VMAF.
        width: widest interval of a prediction to rely on, VMAF; None if it is not stated.
    """

    content_class: str
    sha256: str
    source: str
    offset: float
    width: float | None = None


@publishes("suggest")
def suggest(
    path: Path,
    predictor: Path,
    codecs: Sequence[str],
    target: float,
    output: Path | None = None,
    *,
    preset: str | None = None,
    pool: Pool | None = None,
    verify: bool = False,
    heights: Sequence[int] = (),
    samples: int = 0,
    saliency: Saliency | None = None,
    recipe: Recipe | None = None,
    work: Work = Work(),
    advance: Advance | None = None,
) -> SuggestReport:
    """Suggest the CRF of each codec that reaches a quality with the fewest bits.

    Args:
        path: the clip.
        predictor: report of a predictor (`pyvmaf.scoring.predictors.Predictor`).
        codecs: names or aliases of encoders.
        target: VMAF, 0 to 100.
        output: the report as JSON; None to write nothing.
        preset: of one codec; None for the default of each.
        pool: the pool of the target; None for the predictor's.
        verify: encode and measure, until a CRF is within `TOLERANCE` of the target or none can be.
        heights: lines of the encodes, the clip's own or fewer; none for the clip's own. With smaller ones `verify` is needed,
            because a predictor knows nothing of the loss by scaling.
        samples, saliency: of the probe.
        recipe: what the clip's class of content changes.
        work: how to verify.
        advance: called as frames of the probe are done.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: the target is not a VMAF, the predictor is of another pool or codec, or the clip cannot be probed.
    """
    if not 0 < target < 100:
        raise InputError(f"--target is a VMAF between 0 and 100, not {target:g}")
    asked, target = target, target + (0 if recipe is None else recipe.offset)
    if recipe is not None and not 0 < target < 100:
        raise InputError(
            f"the recipe of {recipe.content_class} moves the target of {asked:g} by {recipe.offset:+g} to {target:g}, which no encode "
            "can have: name another --target"
        )
    if preset is not None and len(codecs) > 1:
        raise InputError(f"--preset is of one codec, but {len(codecs)} are named: leave it out")
    if heights and not verify:
        raise InputError("--height needs --verify: what is lost by scaling is measured, and not predicted")
    if output is not None:
        claim(output)
    for file in (path, predictor):
        reading(file)
    loaded = Predictor(predictor)
    if pool is not None and pool != loaded.pool:
        raise InputError(
            f"{predictor} predicts the {loaded.pool} of the frames, but --pool is {pool}: name a predictor of that pool"
        )
    encoders = [find_encoder(name) for name in codecs]
    for entry in encoders:
        loaded.report.of(entry.name)
    call = Call(
        "suggest",
        args={
            "codecs": [entry.name for entry in encoders],
            "target": asked,
            "recipe": recipe and recipe.content_class,
            "preset": preset,
            "verify": verify,
            "heights": list(heights),
            "samples": samples,
        },
        inputs={"video": path, "predictor": predictor},
    )
    sha256 = sha256_file(path)
    suggestions = []
    with tempfile.TemporaryDirectory(prefix="vmaf-train-") as folder:
        for version in versions(path, heights, Path(folder), work.program):
            facts = probe(
                version.path,
                samples=samples,
                saliency=saliency if loaded.needs_saliency else None,
                cache=work.cache,
                advance=advance,
            ).facts
            asking = _Asking(version, sha256, loaded, facts, target, verify, work)
            suggestions += [
                asking.suggest(entry, entry.check_preset(preset or entry.preset_default)) for entry in encoders
            ]
    report = SuggestReport(
        video=path.name,
        sha256=sha256,
        target=target,
        recipe=None if recipe is None else _applied(recipe, asked),
        pool=loaded.pool,
        tolerance=TOLERANCE,
        predictor=loaded.report.model,
        predictor_sha256=loaded.report.onnx_sha256,
        suggestions=_with_hull(suggestions),
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)


def _applied(recipe: Recipe, asked: float) -> AppliedRecipe:
    return AppliedRecipe(
        content_class=recipe.content_class,
        sha256=recipe.sha256,
        source=recipe.source,
        asked=asked,
        target_vmaf_offset=recipe.offset,
        tight_interval_max_width=recipe.width,
    )


@dataclass(frozen=True)
class _Asking:
    """What is asked for one size of a clip.

    Attributes:
        version: the clip at that size.
        sha256: of the clip itself.
        loaded: the predictor.
        facts: of the probe of the version.
        target, verify, work: as in `suggest`.
    """

    version: Version
    sha256: str
    loaded: Predictor
    facts: Facts
    target: float
    verify: bool
    work: Work

    @cached_property
    def reference(self) -> Reference:
        """The version with its format and frames, which each encode needs."""
        video, _ = clip_video(self.version.path)
        video.check(self.version.path)
        return Reference(self.version.path, video)

    def suggest(self, entry: Encoder, preset: str) -> Suggestion:
        """Return the suggestion of an encoder."""
        crfs = list(range(max(entry.crf_min, 1), entry.crf_max + 1))
        curve = self.loaded.curve(self.facts, entry.name, preset, crfs)
        half = self.loaded.report.of(entry.name).half_width
        half = 100.0 if half is None else half
        points = [
            Point(crf=crf, vmaf=value, low=max(value - half, 0.0), high=min(value + half, 100.0))
            for crf, value in zip(crfs, curve.tolist(), strict=True)
        ]
        if (rates := self.loaded.rates(self.facts, entry.name, preset, crfs)) is not None:
            points = [
                point.model_copy(update={"bitrate_kbps": one.kbps, "bitrate_low": one.low, "bitrate_high": one.high})
                for point, one in zip(points, rates, strict=True)
            ]
        if not self.verify:
            start = choose(crfs, curve, self.target)
            why = (
                None
                if start is not None
                else f"no CRF is predicted to reach {self.target:g}: the best is {curve[0]:.1f}"
            )
            predicted = None if start is None else float(curve[crfs.index(start)])
            return Suggestion(
                codec=entry.name, preset=preset, height=self.version.height, crf=start, predicted=predicted,
                verified=None, why=why, curve=points,
            )  # fmt: skip
        measured: dict[int, float] = {}

        def measure(crf: int) -> float:
            value, measured[crf] = _measure(
                self.version, self.sha256, entry, preset, crf, self.loaded.pool, self.work, lambda: self.reference
            )
            return value

        found = search(crfs, curve, self.target, measure)
        return Suggestion(
            codec=entry.name,
            preset=preset,
            height=self.version.height,
            crf=found.crf,
            predicted=None if found.crf is None else float(curve[crfs.index(found.crf)]),
            verified=found.why is None,
            why=found.why,
            curve=points,
            measured=[
                Measured(crf=crf, vmaf=value, bitrate_kbps=measured[crf], hull=False)
                for crf, value in sorted(found.measured.items())
            ],
        )


def choose(crfs: Sequence[int], curve: NDArray[np.float64], target: float) -> int | None:
    """Return the largest CRF whose quality reaches the target; None if none does."""
    reaching = [crf for crf, value in zip(crfs, curve, strict=True) if value >= target]
    return max(reaching, default=None)


@dataclass(frozen=True)
class Found:
    """Result of `search`.

    Attributes:
        crf: the CRF whose quality is nearest to the target among those measured.
        measured: quality by CRF.
        why: why it is further from the target than `TOLERANCE`; None if it is not.
    """

    crf: int | None
    measured: dict[int, float]
    why: str | None


def search(
    crfs: Sequence[int],
    curve: NDArray[np.float64],
    target: float,
    measure: Callable[[int], float],
    most: int = MOST_ENCODES,
) -> Found:
    """Find a CRF whose measured quality is within `TOLERANCE` of a target, with few measurements.

    Args:
        crfs: the CRFs there are, ascending.
        curve: their predicted quality [n], which does not rise.
        target: the quality.
        measure: gives the quality of an encode.
        most: measurements at most.
    """
    measured: dict[int, float] = {}
    # A prediction that no CRF reaches the target is tried at the best one.
    crf = _nearest(crfs, curve, target)
    while True:
        value = measured[crf] = measure(crf)
        if abs(value - target) <= TOLERANCE:
            return Found(crf, measured, None)
        better = max((one for one, got in measured.items() if got >= target), default=None)
        worse = min(
            (one for one, got in measured.items() if got < target and (better is None or one > better)), default=None
        )
        nearest = min(measured, key=lambda one: (abs(measured[one] - target), one))
        if worse is None and better == crfs[-1]:
            return Found(nearest, measured, f"the largest CRF, {better}, still has {measured[better]:.2f}")
        if better is None and worse == crfs[0]:
            return Found(nearest, measured, f"the smallest CRF, {worse}, has no more than {measured[worse]:.2f}")
        if better is not None and worse is not None and worse - better == 1:
            return Found(
                nearest,
                measured,
                f"CRF {better} has {measured[better]:.2f} and CRF {worse} has {measured[worse]:.2f}: there is none between",
            )
        if len(measured) >= most:
            return Found(nearest, measured, f"{most} encodes did not reach it")
        crf = _next(crfs, curve, target, measured, better, worse)


def _next(
    crfs: Sequence[int],
    curve: NDArray[np.float64],
    target: float,
    measured: dict[int, float],
    better: int | None,
    worse: int | None,
) -> int:
    """Choose the CRF to measure next: by a secant between both sides of the target, else by the slope at the last one."""
    if better is not None and worse is not None:
        high, low = measured[better], measured[worse]
        guess = better + round((high - target) / (high - low) * (worse - better))
        return min(max(guess, better + 1), worse - 1)
    last = better if better is not None else worse
    assert last is not None
    away = measured[last] - target
    step = max(1, round(abs(away) / _slope(crfs, curve, measured, last)))
    return min(last + step, crfs[-1]) if better is not None else max(last - step, crfs[0])


def _slope(crfs: Sequence[int], curve: NDArray[np.float64], measured: dict[int, float], crf: int) -> float:
    """Return how much quality is lost per CRF around a CRF: by the two nearest measurements, else by the curve."""
    others = sorted((one for one in measured if one != crf), key=lambda one: abs(one - crf))
    if others:
        slope = (measured[crf] - measured[others[0]]) / (others[0] - crf)
    else:
        index = crfs.index(crf)
        first, last = max(index - _AROUND, 0), min(index + _AROUND, len(crfs) - 1)
        slope = float(curve[first] - curve[last]) / (crfs[last] - crfs[first]) if last > first else 0.0
    # Where a curve is flat it says nothing of what lies beyond.
    return max(slope, _LEAST_SLOPE)


def _nearest(crfs: Sequence[int], curve: NDArray[np.float64], target: float) -> int:
    return crfs[int(np.argmin(np.abs(curve - target)))]


def _measure(
    version: Version,
    sha256: str,
    entry: Encoder,
    preset: str,
    crf: int,
    pool: Pool,
    work: Work,
    reference: Callable[[], Reference],
) -> tuple[float, float]:
    """Encode at a CRF; return the pooled VMAF and the bitrate in kbit/s."""
    kept = None
    if work.cache is not None:
        key = {
            "clip": sha256,
            "size": [version.width, version.height],
            "codec": [entry.name, preset, crf],
            "ffmpeg": ffmpeg(work.program).version,
            "threads": work.threads,
            "model": MODEL,
            "code": identity("suggest"),
        }
        kept = work.cache / f"{content_hash(key)}.suggest.json"
        if (known := _kept(kept)) is not None:
            return known[pool], known["bitrate_kbps"]
    with tempfile.TemporaryDirectory(prefix="vmaf-train-") as folder:
        target = Path(folder) / "encode.mkv"
        subject = reference()
        encoder_rung(entry.name, preset, crf).make(
            subject, target, tool=ffmpeg(work.program), threads=work.threads, advance=None
        )
        scores = score(version.reference, target, model=MODEL, threads=work.threads, scale=version.scaled)
        values = np.asarray(scores["vmaf"], dtype=np.float64)
        rate = target.stat().st_size * 8 / 1000 / subject.video.seconds
    result = {**pools(values), "bitrate_kbps": rate}
    if kept is not None:
        write_text(kept, dumps(result), at_once=True)
    return result[pool], result["bitrate_kbps"]


def pools(values: NDArray[np.float64]) -> dict[str, float]:
    """Pool the VMAF of frames as tables of clips do (`pyvmaf.features.pool`)."""
    from pyvmaf.features.pool import pool

    found = pool(values, ("mean", "hmean", "p5"))
    return {"mean": float(found["mean"]), "harmonic": float(found["hmean"]), "p5": float(found["p5"])}


def _kept(path: Path) -> dict[str, float] | None:
    """Read a measurement of the cache; None if there is none that is whole."""
    if not path.is_file():
        return None
    try:
        body: Any = parse_json(path.read_bytes(), os.fspath(path))
        return {name: float(body[name]) for name in ("mean", "harmonic", "p5", "bitrate_kbps")}
    except (IntegrityError, KeyError, TypeError, ValueError):
        return None


def _with_hull(suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    """Mark what lies on the upper convex hull of quality over the logarithm of the rate, over all codecs together.

    Of measured encodes the hull is one of its own. That of predictions is only of suggestions that were not verified, which are all of
    one size.
    """

    def marked(points: Sequence[_P], on_hull: set[tuple[float, float]]) -> list[_P]:
        return [p.model_copy(update={"hull": (p.bitrate_kbps, p.vmaf) in on_hull}) for p in points]

    made = set(hull([(p.bitrate_kbps, p.vmaf) for item in suggestions for p in item.measured or ()]))
    plain = [
        (p.bitrate_kbps, p.vmaf)
        for item in suggestions
        for p in item.curve
        if item.measured is None and p.bitrate_kbps is not None
    ]
    predicted = set(hull(plain))
    return [
        item.model_copy(update={"measured": marked(item.measured, made)})
        if item.measured is not None
        else item.model_copy(update={"curve": marked(item.curve, predicted)})
        if item.curve[0].bitrate_kbps is not None
        else item
        for item in suggestions
    ]
