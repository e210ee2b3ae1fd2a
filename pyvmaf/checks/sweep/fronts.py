"""Pareto fronts of encodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyvmaf.checks.sweep.document import Group, Point
from pyvmaf.checks.sweep.encodes import Encode
from pyvmaf.scoring.hull import hull


def groups_of(encodes: Iterable[Encode]) -> dict[tuple[str, ...], list[Encode]]:
    """Group encodes by corpus, source, clip, encoder and rate mode, in the order of their names."""
    found: dict[tuple[str, ...], list[Encode]] = {}
    for encode in encodes:
        key = (encode.corpus, encode.source, encode.clip, encode.encoder, encode.rate_mode)
        found.setdefault(key, []).append(encode)
    return dict(sorted(found.items()))


def points_of(encodes: Sequence[Encode]) -> list[Point]:
    """Mark the encodes of a group that lie on its fronts, by bitrate."""
    timed = all(encode.seconds is not None for encode in encodes)
    judged = all(encode.vmaf_p5 is not None for encode in encodes)
    on_hull = set(hull([(encode.kbps, encode.vmaf_mean) for encode in encodes]))
    mean = front([(-encode.kbps, encode.vmaf_mean) for encode in encodes])
    low = front([(-encode.kbps, encode.vmaf_p5 or 0.0) for encode in encodes])
    fast = front([(-encode.kbps, encode.vmaf_mean, -(encode.seconds or 0.0)) for encode in encodes])
    points = [
        Point(
            preset=encode.preset,
            recipe=encode.recipe,
            crf=encode.crf,
            kbps=encode.kbps,
            vmaf_mean=encode.vmaf_mean,
            vmaf_p5=encode.vmaf_p5,
            encode_seconds=encode.seconds,
            front_mean=mean[index],
            front_p5=low[index] if judged else None,
            front_time=fast[index] if timed else None,
            hull=(encode.kbps, encode.vmaf_mean) in on_hull,
        )
        for index, encode in enumerate(encodes)
    ]
    return sorted(points, key=lambda point: (point.kbps, -point.vmaf_mean, point.preset, point.recipe, point.crf))


def group_of(key: tuple[str, ...], points: Sequence[Point]) -> Group:
    """Return what the report says of a group."""
    corpus, source, clip, encoder, rate_mode = key
    return Group(
        corpus=corpus,
        source=source,
        clip=clip,
        encoder=encoder,
        rate_mode=rate_mode,
        n_encodes=len(points),
        pareto=[point for point in points if point.front_mean or point.front_p5 or point.front_time],
    )


def front(values: Sequence[tuple[float, ...]]) -> list[bool]:
    """Return for each item whether no other is at least as good in every value and better in one; larger is better."""
    return [not any(_beats(other, own) for other in values) for own in values]


def _beats(other: tuple[float, ...], own: tuple[float, ...]) -> bool:
    return other != own and all(theirs >= ours for theirs, ours in zip(other, own, strict=True))
