"""Recipes of a sweep against the bare encoder, at equal bitrate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum

from pyvmaf.checks.sweep.document import Comparison, Difference, Limits
from pyvmaf.checks.sweep.encodes import Encode
from pyvmaf.errors import InputError
from pyvmaf.models.gates.gate import Row
from pyvmaf.models.verdicts import GateReport
from pyvmaf.scoring.bdrate import Point, bd_rate, bd_score

_Clip = tuple[str, str, str]


def compare_recipes(encodes: Iterable[Encode]) -> list[Comparison]:
    """Compare each recipe with the bare encoder of the same preset and rate mode, clip by clip."""
    curves: dict[tuple[str, ...], dict[_Clip, list[Encode]]] = {}
    for encode in encodes:
        of_clips = curves.setdefault(encode.curve, {})
        of_clips.setdefault((encode.corpus, encode.source, encode.clip), []).append(encode)
    return [
        _comparison(curve, of_clips, curves.get((*curve[:3], ""), {}))
        for curve, of_clips in sorted(curves.items())
        if curve[3]
    ]


def _comparison(curve: tuple[str, ...], ours: dict[_Clip, list[Encode]], bare: dict[_Clip, list[Encode]]) -> Comparison:
    encoder, preset, rate_mode, recipe = curve
    options = {encode.options for encodes in ours.values() for encode in encodes}
    if len(options) > 1:
        raise InputError(
            f"recipe {recipe} of {encoder} {preset} stands for different options: {'; '.join(sorted(options))}: rename one"
        )
    clips = [_difference(clip, bare.get(clip, ()), encodes) for clip, encodes in sorted(ours.items())]
    of_sources = _by_source(clips, "vmaf_mean")
    return Comparison(
        encoder=encoder,
        preset=preset,
        rate_mode=rate_mode,
        recipe=recipe,
        options=options.pop(),
        vmaf_mean=_mean(of_sources),
        vmaf_mean_worst=min(of_sources, default=None),
        vmaf_p5=_mean(_by_source(clips, "vmaf_p5")),
        bd_rate_percent=_mean(_by_source(clips, "bd_rate_percent")),
        time_ratio=_mean(_by_source(clips, "time_ratio")),
        clips=clips,
    )


def _by_source(clips: Sequence[Difference], name: str) -> list[float]:
    """Return a figure of each source that has one: the mean over its clips."""
    found: dict[tuple[str, str], list[float]] = {}
    for clip in clips:
        value = getattr(clip, name)
        if value is not None:
            found.setdefault((clip.corpus, clip.source), []).append(value)
    return [fsum(values) / len(values) for values in found.values()]


def _mean(values: Sequence[float]) -> float | None:
    return fsum(values) / len(values) if values else None


def _difference(clip: _Clip, bare: Sequence[Encode], ours: Sequence[Encode]) -> Difference:
    corpus, source, name = clip
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    why = None
    try:
        if not bare:
            raise InputError("there are no bare encodes with this preset and rate mode")
        found = bd_score(_means(bare), _means(ours))
        mean, low, high = found.difference, found.low, found.high
    except InputError as err:
        why = str(err)
    return Difference(
        corpus=corpus,
        source=source,
        clip=name,
        vmaf_mean=mean,
        vmaf_p5=None if mean is None else _p5(bare, ours),
        bd_rate_percent=None if mean is None else _rate(bare, ours),
        from_kbps=low,
        to_kbps=high,
        time_ratio=_times(bare, ours),
        why=why,
    )


def _means(encodes: Sequence[Encode]) -> list[Point]:
    return [Point(encode.kbps, encode.vmaf_mean) for encode in encodes]


def _p5(bare: Sequence[Encode], ours: Sequence[Encode]) -> float | None:
    curves = [
        [Point(encode.kbps, encode.vmaf_p5) for encode in encodes if encode.vmaf_p5 is not None]
        for encodes in (bare, ours)
    ]
    return bd_score(*curves).difference if [*map(len, curves)] == [len(bare), len(ours)] else None


def _rate(bare: Sequence[Encode], ours: Sequence[Encode]) -> float | None:
    try:
        return bd_rate(_means(bare), _means(ours)).percent
    except InputError:
        # Where the quality reaches its largest value it does not rise with the bitrate.
        return None


def _times(bare: Sequence[Encode], ours: Sequence[Encode]) -> float | None:
    usual = {encode.crf: encode.seconds for encode in bare}
    pairs = [(encode.seconds, usual.get(encode.crf)) for encode in ours]
    both = [(own, other) for own, other in pairs if own is not None and other]
    return fsum(own for own, _ in both) / fsum(other for _, other in both) if both else None


def judge(comparisons: Sequence[Comparison], limits: Limits) -> GateReport:
    """Compare what recipes lose with the limits."""
    rows = [row for item in comparisons for row in _rows(item, limits)]
    reasons = [row.why for row in rows if row.why]
    return GateReport.model_validate(
        {"passed": not reasons, "reasons": reasons, "rows": [row.as_json("recipe") for row in rows]}
    )


def _rows(item: Comparison, limits: Limits) -> list[Row]:
    name = " ".join(part for part in (item.encoder, item.preset, item.recipe) if part)
    name += "" if item.rate_mode in ("crf", "qp") else f" ({item.rate_mode})"
    missing = [clip for clip in item.clips if clip.why]
    rows = []
    if missing:
        share = f"{len(missing)} of {len(item.clips)} clips"
        why = f"{name} cannot be compared on {share}: on {missing[0].clip} {missing[0].why}"
        rows.append(Row(f"{name}: clips without a comparison", str(len(missing)), "0", False, why))
    for what, value, limit in (
        ("mean over sources", item.vmaf_mean, limits.mean_loss_max),
        ("worst source", item.vmaf_mean_worst, limits.source_loss_max),
    ):
        if value is None:
            continue
        reason = (
            None if value >= -limit else f"{name} loses {-value:.3f} VMAF at equal bitrate, {what}: {_allowed(limit)}"
        )
        label = f"{name}: VMAF at equal bitrate, {what}"
        rows.append(Row(label, f"{value:+.3f}", f"at least {0 - limit:g}", reason is None, reason))
    return rows


def _allowed(limit: float) -> str:
    return f"no more than {limit:g} is allowed" if limit else "nothing is allowed"
