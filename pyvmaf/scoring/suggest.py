"""``vmaf-train suggest``: a CRF that reaches a quality, predicted from a probe of the clip and, if asked for, measured.

The prediction costs a probe. ``--verify`` encodes: first at the predicted CRF, then where the curve crosses the target once it is
corrected by what was measured (`pyvmaf.scoring.search`). Without a predictor that search starts from a curve that is the same for
every clip.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import (
    Call,
    Count,
    Document,
    Name,
    OptionalKey,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Size,
    publish,
)
from pyvmaf.base.files import content_hash, sha256_file
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.codecs.encoders import Encoder
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.encodes.probe import Facts, Saliency, probe
from pyvmaf.errors import InputError
from pyvmaf.scoring.heights import versions
from pyvmaf.scoring.hull import hull
from pyvmaf.scoring.predictors import Predictor
from pyvmaf.scoring.search import TOLERANCE, Deviation, Expected, search
from pyvmaf.scoring.stretches import sampled
from pyvmaf.scoring.trials import BY_DEFAULT, Advance, Pool, Trial, Trials, Work, labelled
from pyvmaf.video.reader import Reader
from pyvmaf.video.remembered import Remembered


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
    predicted: Size | None = Field(description="Predicted quality at that CRF; null: no prediction")
    verified: bool | None = Field(description="Whether it was measured within the tolerance; null: not asked for")
    why: str | None = Field(description="Why there is no CRF, or none within the tolerance")
    curve: list[Point] = Field(
        description="Predicted against pictures of that many lines, without the loss by scaling; empty: no prediction"
    )
    measured: OptionalKey[list[Measured]] = None
    corrected: OptionalKey[list[Point]] = Field(
        default=None, description="The curve after it was corrected by what was measured"
    )


Ends = Annotated[list[Count], Field(min_length=2, max_length=2)]


class Sample(Part):
    """The part of a clip that stands for it."""

    stretches: list[Ends] = Field(min_length=1, description="First and last frame of each, which were joined")


class SuggestReport(Document):
    """CRFs for a target quality."""

    title: ClassVar[str] = "Report of suggest: CRFs of codecs for a target quality, predicted and measured"

    schema_version: Positive = 2
    video: Name
    sha256: Sha256
    target: Size = Field(description="With the offset of the recipe, if there is one")
    recipe: OptionalKey[AppliedRecipe] = None
    sample: OptionalKey[Sample] = Field(
        default=None, description="What was predicted, encoded and measured; absent: the whole clip"
    )
    pool: Pool
    tolerance: Size
    predictor: Name | None = Field(
        description="Model of the prediction; null: none, every encode was searched for by measuring"
    )
    predictor_sha256: Sha256 | None
    suggestions: list[Suggestion] = Field(min_length=1)
    run_provenance: RunProvenance


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
    predictor: Path | None,
    codecs: Sequence[str],
    target: float,
    output: Path | None = None,
    *,
    preset: str | None = None,
    pool: Pool | None = None,
    verify: bool = False,
    heights: Sequence[int] = (),
    stretches: int = 0,
    samples: int = 0,
    saliency: Callable[[], Saliency | None] | None = None,
    recipe: Recipe | None = None,
    work: Work = BY_DEFAULT,
    advance: Advance | None = None,
) -> SuggestReport:
    """Suggest the CRF of each codec that reaches a quality with the fewest bits.

    Args:
        path: the clip.
        predictor: report of a predictor (`pyvmaf.scoring.predictors.Predictor`); None to measure without a prediction.
        codecs: names or aliases of encoders.
        target: VMAF, 0 to 100.
        output: the report as JSON; None to write nothing.
        preset: of one codec; None for the default of each.
        pool: the pool of the target; None for the predictor's, or the mean.
        verify: encode and measure, until a CRF is within `TOLERANCE` of the target or none can be. A codec that the predictor
            does not know is searched for without a prediction.
        heights: lines of the encodes, the clip's own or fewer; none for the clip's own. With smaller ones `verify` is needed,
            because a predictor knows nothing of the loss by scaling.
        stretches: encode and measure so many stretches (`pyvmaf.scoring.stretches.sampled`), joined to one clip; 0 for the whole
            clip. With them `verify` is needed.
        samples: of the probe.
        saliency: gives what measures the saliency of a probe; called if the predictor reads it.
        recipe: what the clip's class of content changes.
        work: how to verify.
        advance: called as frames are probed, encoded and measured.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: the target is not a VMAF, the predictor is of another pool or codec, nothing is predicted or measured, or
            the clip cannot be probed or encoded.
    """
    asked, target = target, target + (0 if recipe is None else recipe.offset)
    _check_asked(asked, target, codecs, preset=preset, recipe=recipe, measured=verify, scaled=bool(heights))
    if stretches and not verify:
        raise InputError("--stretches needs --verify: they are encoded and measured (--samples is of the probe)")
    if predictor is None and not verify:
        raise InputError(
            "no predictor is named or registered: name one with --predictor, or measure encodes with --verify, which needs none"
        )
    if output is not None:
        claim(output)
    inputs = {"video": path} if predictor is None else {"video": path, "predictor": predictor}
    for file in inputs.values():
        reading(file)
    loaded = None if predictor is None else _loaded(predictor, pool)
    pool = pool or ("mean" if loaded is None else loaded.pool)
    encoders = [find_encoder(name) for name in codecs]
    for entry in encoders:
        entry.check_preset(preset or entry.preset_default)
        if loaded is not None and not verify:
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
            "stretches": stretches,
            "samples": samples,
        },
        inputs=inputs,
    )
    sha256 = sha256_file(path)
    reader, cut = Reader(path), list[list[int]]()
    suggestions = []
    with tempfile.TemporaryDirectory(prefix="vmaf-train-") as folder:
        if stretches:
            telling = None if advance is None else labelled(advance, "cut")
            reader, cut = sampled(reader, stretches, Path(folder), work.program, telling)
        reference = Remembered(reader)
        for version in versions(reader, heights, Path(folder), work.program):
            facts = None
            if loaded is not None and any(loaded.report.knows(entry.name) for entry in encoders):
                facts = probe(
                    version.path,
                    samples=samples,
                    saliency=saliency() if loaded.needs_saliency and saliency is not None else None,
                    cache=work.cache,
                    advance=None if advance is None else labelled(advance, "probe"),
                ).facts
            trials = Trials(version, content_hash([sha256, cut]), reference, work, advance) if verify else None
            asking = _Asking(loaded, facts, target, pool, trials, version.height)
            suggestions += [asking.suggest(entry, str(preset or entry.preset_default)) for entry in encoders]
    report = SuggestReport(
        video=path.name,
        sha256=sha256,
        target=target,
        recipe=None if recipe is None else _applied(recipe, asked),
        sample=Sample(stretches=cut) if cut else None,
        pool=pool,
        tolerance=TOLERANCE,
        predictor=None if loaded is None else loaded.report.model,
        predictor_sha256=None if loaded is None else loaded.report.onnx_sha256,
        suggestions=_with_hull(suggestions),
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)


def _loaded(path: Path, pool: Pool | None) -> Predictor:
    """Load a predictor, which must be of that pool, if one is asked for."""
    loaded = Predictor(path)
    if pool is not None and pool != loaded.pool:
        raise InputError(
            f"{path} predicts the {loaded.pool} of the frames, but --pool is {pool}: name a predictor of that pool"
        )
    return loaded


def _check_asked(
    asked: float,
    target: float,
    codecs: Sequence[str],
    *,
    preset: str | None,
    recipe: Recipe | None,
    measured: bool,
    scaled: bool,
) -> None:
    """Refuse what contradicts itself.

    Args:
        asked: the target before the offset of the recipe.
        target: with it.
        codecs, preset, recipe: as in `suggest`.
        measured: whether encodes are measured.
        scaled: whether their heights are named.
    """
    if not 0 < asked < 100:
        raise InputError(f"--target is a VMAF between 0 and 100, not {asked:g}")
    if recipe is not None and not 0 < target < 100:
        raise InputError(
            f"the recipe of {recipe.content_class} moves the target of {asked:g} by {recipe.offset:+g} to {target:g}, which no encode "
            "can have: name another --target"
        )
    if not codecs:
        raise InputError("--codec names no encoder: name one, such as libx264")
    if preset is not None and len(codecs) > 1:
        raise InputError(f"--preset is of one codec, but {len(codecs)} are named: leave it out")
    if scaled and not measured:
        raise InputError("--height needs --verify: what is lost by scaling is measured, and not predicted")


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
        loaded: the predictor; None for none.
        facts: of the probe of the version; None if no encoder is predicted.
        target: as in `suggest`.
        pool: of the target.
        trials: what makes encodes and measures them; None to measure nothing.
        height: lines of the version.
        deviations: of the encoders so far, from what was predicted (True) or from the curve of all clips.
    """

    loaded: Predictor | None
    facts: Facts | None
    target: float
    pool: Pool
    trials: Trials | None
    height: int
    deviations: dict[bool, list[Deviation]] = field(default_factory=lambda: {True: [], False: []})

    def suggest(self, entry: Encoder, preset: str) -> Suggestion:
        """Return the suggestion of an encoder."""
        expected = Expected.neutral(entry)
        points: list[Point] = []
        half = 100.0
        if self.loaded is not None and self.facts is not None and self.loaded.report.knows(entry.name):
            expected = self.loaded.expected(self.facts, entry, preset)
            stated = self.loaded.report.of(entry.name).half_width
            half = half if stated is None else stated
            points = _points(expected.crfs, expected.curve, half)
            if (rates := self.loaded.rates(self.facts, entry.name, preset, expected.crfs)) is not None:
                points = [
                    point.model_copy(
                        update={"bitrate_kbps": one.kbps, "bitrate_low": one.low, "bitrate_high": one.high}
                    )
                    for point, one in zip(points, rates, strict=True)
                ]
        predicted = {point.crf: point.vmaf for point in points}
        measured: list[Measured] | None = None
        corrected: list[Point] | None = None
        if self.trials is None:
            crf = max((point.crf for point in points if point.vmaf >= self.target), default=None)
            why = (
                None
                if crf is not None
                else f"no CRF is predicted to reach {self.target:g}: the best is {points[0].vmaf:.1f}"
            )
        else:
            made: dict[int, Trial] = {}

            def measure(crf: int) -> float:
                assert self.trials is not None
                before = "".join(f", {one} has {trial.vmaf[self.pool]:.2f}" for one, trial in made.items())
                made[crf] = self.trials.at(entry, preset, crf, before and f" ({before[2:]})")
                return made[crf].vmaf[self.pool]

            deviations = self.deviations[bool(points)]
            expected = replace(expected, others=tuple(deviations))
            found = search(expected, self.target, measure)
            deviations += expected.deviations(found.measured)
            crf, why = found.crf, found.why
            measured = [
                Measured(crf=crf, vmaf=trial.vmaf[self.pool], bitrate_kbps=trial.bitrate_kbps, hull=False)
                for crf, trial in sorted(made.items())
            ]
            if points:
                curve, left = expected.given(found.measured)
                corrected = _points(expected.crfs, curve, half * left)
        return Suggestion(
            codec=entry.name,
            preset=preset,
            height=self.height,
            crf=crf,
            predicted=None if crf is None else predicted.get(crf),
            verified=None if self.trials is None else why is None,
            why=why,
            curve=points,
            measured=measured,
            corrected=corrected,
        )


def _points(crfs: Sequence[int], curve: NDArray[np.float64], half: float | NDArray[np.float64]) -> list[Point]:
    """Return the points of a curve [n] with intervals of so much on either side, a number or [n]."""
    low, high = np.maximum(curve - half, 0), np.minimum(curve + half, 100)
    return [
        Point(crf=crf, vmaf=float(curve[index]), low=float(low[index]), high=float(high[index]))
        for index, crf in enumerate(crfs)
    ]


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
        if item.curve and item.curve[0].bitrate_kbps is not None
        else item
        for item in suggestions
    ]
