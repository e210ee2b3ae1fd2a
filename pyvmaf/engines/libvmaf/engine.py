"""The engine that calls libvmaf on the processor, and computes what this package measures beside it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.extractors import EXTRACTORS, check_frames, parse_options, repairs_of, score_keys
from pyvmaf.engines.measures import MEASURES, measure
from pyvmaf.engines.measures import identity as measure_identity
from pyvmaf.engines.measures.batch import MeasuredBatch, MeasuredStream
from pyvmaf.engines.protocol import Batch, Engine, Needs, Request, Requests, Stream
from pyvmaf.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyvmaf.engines.protocol import Scores
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

BLOCK = 1024
"""Frames that one context of a stream sees before it is replaced, so that memory does not grow with the stream."""

_SAD = "VMAF_integer_feature_motion_sad_score"
# Options of the motion extractor under which motion2 and motion3 follow from the two neighbours of a frame.
_PLAIN_MOTION = ((), (("debug", "true"),))


class Libvmaf(Engine):
    """libvmaf on the processor. Extractors and options are those of `pyvmaf.engines.libvmaf.extractors`."""

    name = "libvmaf"

    def identity(self) -> str:
        """Return libvmaf's commit, a hash of its build, and its repairs; the extension is not loaded."""
        return build.identity()

    def identity_for(self, request: Request, form: Format) -> str:
        """Return the identity with the repairs that can change scores of this extractor at this width.

        A build that lacks the repair of ADM's last column computes with plain C there, whose scores are the same.
        """
        if request.extractor in MEASURES:
            return measure_identity(request.extractor)
        options = parse_options(request.extractor, dict(request.options))
        return build.identity(repairs_of(request.extractor, options, form.width))

    def obstacle(self, request: Request, form: Format) -> str | None:
        """Say why an extractor cannot run on frames of this format; None if it can."""
        if request.extractor in MEASURES:
            return measure(request.extractor).obstacle(form)
        if request.extractor not in EXTRACTORS:
            return "libvmaf has no such extractor"
        try:
            options = parse_options(request.extractor, dict(request.options))
            check_frames(request.extractor, options, *form.native)
        except InputError as err:
            return str(err)
        return None

    def needs(self, request: Request) -> Needs:
        """Return the frames that an extractor reads."""
        if request.extractor in MEASURES:
            return measure(request.extractor).needs
        row = EXTRACTORS[request.extractor]
        chroma = row.limit.chroma or "enable_chroma" in row.options
        if not row.reference_only:
            return Needs(chroma=chroma, before=1, ordered=True) if row.ordered else Needs(chroma=chroma)
        plain = request.options in _PLAIN_MOTION
        before, after = (1, 1) if plain else (5, 2)
        return Needs(reference_only=True, chroma=chroma, before=before, after=after, one_ahead=plain)

    def open(self, requests: Requests, form: Format) -> Batch:
        """Open a context with these extractors, and the measures of this package."""
        own, others = _divided(requests)
        if not own:
            return LibvmafBatch(others, form)
        return MeasuredBatch(own, LibvmafBatch(others, form) if others else None, form)

    def stream(self, requests: Requests, form: Format) -> Stream:
        """Open a stream: of motion, or of extractors that look at one pair only.

        Raises:
            InputError: an extractor compares a pair with the pair before.
        """
        for request in requests:
            if self.needs(request).ordered:
                raise InputError(f"{request} compares a pair with the pair before: use pyvmaf.score")
        if any(self.needs(request).reference_only for request in requests):
            return MotionStream(requests, form)
        own, others = _divided(requests)
        if not own:
            return PairStream(others, form)
        return MeasuredStream(own, PairStream(others, form) if others else None, form)


ENGINE = Libvmaf()


def _divided(requests: Requests) -> tuple[Requests, Requests]:
    """Divide requests into those of measures of this package, and those of libvmaf."""
    own = {request: keys for request, keys in requests.items() if request.extractor in MEASURES}
    return own, {request: keys for request, keys in requests.items() if request not in own}


def _compatible(requests: Requests) -> list[dict[Request, Sequence[str]]]:
    """Divide requests into groups for one context each: of two scores of one name libvmaf keeps the first.

    CAMBI with and without ``full_ref`` file the same score.
    """
    groups: list[tuple[set[str], dict[Request, Sequence[str]]]] = []
    for request, keys in requests.items():
        filed = set(score_keys(request.extractor, parse_options(request.extractor, dict(request.options))))
        names, group = next((item for item in groups if filed.isdisjoint(item[0])), (set[str](), {}))
        if not group:
            groups.append((names, group))
        names |= filed
        group[request] = keys
    return [group for _, group in groups]


class _Part(NamedTuple):
    """A context, and the scores that are wanted of it."""

    context: Context
    keys: list[str]


class LibvmafBatch(Batch):
    """One context, or several for requests that file scores of one name, and the scores that are wanted of them."""

    def __init__(self, requests: Requests, form: Format) -> None:
        """Open the contexts. They take luma only if no extractor reads chroma, which then is never copied."""
        chroma = form.chroma != "400" and any(ENGINE.needs(request).chroma for request in requests)
        self._planes = 3 if chroma else 1
        self._count = 0
        self._parts: list[_Part] = []
        for group in _compatible(requests):
            context = Context(form.width, form.height, form.chroma if chroma else "400", form.bit_depth)
            self._parts.append(_Part(context, [key for keys in group.values() for key in keys]))
            for request in group:
                context.use_feature(request.extractor, dict(request.options))

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Read a pair of frames."""
        for part in self._parts:
            part.context.read(
                reference[: self._planes], None if distorted is None else distorted[: self._planes], index
            )
        self._count += 1

    def latest(self) -> dict[str, float]:
        """Return the scores of the frame that was read last, none of which may look ahead."""
        index = [self._count - 1]
        return {key: float(part.context.feature_scores(key, index)[0]) for part in self._parts for key in part.keys}

    def harvest(self) -> Scores:
        """Flush the contexts and read every score of every frame: libvmaf does not report those that it failed on."""
        frames = np.arange(self._count, dtype=np.int64)
        scores: Scores = {}
        for part in self._parts:
            part.context.flush()
            scores |= {key: part.context.feature_scores(key, frames) for key in part.keys}
        self.close()
        return scores

    def close(self) -> None:
        """Close the contexts."""
        for part in self._parts:
            part.context.close()

    @property
    def count(self) -> int:
        """Number of frames read."""
        return self._count


class PairStream:
    """Scores that depend on one pair of frames each, so that they are known at once."""

    def __init__(self, requests: Requests, form: Format) -> None:
        """Open the first context."""
        self._requests, self._form = requests, form
        self._batch = LibvmafBatch(requests, form)
        self._rows: deque[dict[str, float]] = deque()

    def push(self, reference: Planes, distorted: Planes | None) -> None:
        """Compute the scores of a pair."""
        self._batch.read(self._batch.count, reference, distorted)
        self._rows.append(self._batch.latest())
        if self._batch.count >= BLOCK:
            self._batch.close()
            self._batch = LibvmafBatch(self._requests, self._form)

    def pop(self, *, ended: bool = False) -> dict[str, float] | None:
        """Return the scores of the first pair that was not returned yet."""
        return self._rows.popleft() if self._rows else None

    def close(self) -> None:
        """Close the context."""
        self._batch.close()


class DifferenceSource(Protocol):
    """Computes mean absolute differences between the blurred lumas of a frame and the frame before."""

    def difference(self, reference: Planes) -> float:
        """Return the difference of the next frame, 0 for the first."""

    def close(self) -> None:
        """Free everything."""


class _Differences:
    """Differences by a context of libvmaf, which is replaced before it grows."""

    def __init__(self, requests: Requests, form: Format) -> None:
        self._requests = {request: [_SAD] for request in requests}
        self._form = form
        self._batch = LibvmafBatch(self._requests, form)

    def difference(self, reference: Planes) -> float:
        self._batch.read(self._batch.count, reference, None)
        difference = self._batch.latest()[_SAD]
        if self._batch.count >= BLOCK:
            # The new context starts with this frame, as the one before the next.
            self._batch.close()
            self._batch = LibvmafBatch(self._requests, self._form)
            self._batch.read(0, reference, None)
        return difference

    def close(self) -> None:
        self._batch.close()


class MotionStream:
    """Motion scores of the reference, each known once the next frame is.

    All follow from the mean absolute difference between the blurred lumas of neighbouring frames (libvmaf 3.2,
    integer_motion.c): ``motion`` is the difference to the frame before, ``motion2`` the smaller of the differences to
    both neighbours and 0 for the first frame, and ``motion3`` with default options is ``motion2`` with its first value
    taken from the second frame. libvmaf itself writes motion2 and motion3 at the end of a clip only.
    """

    def __init__(self, requests: Requests, form: Format) -> None:
        """Open the first context.

        Raises:
            InputError: a request is not the motion extractor with default options.
        """
        for request in requests:
            if request.extractor != "motion" or not ENGINE.needs(request).one_ahead:
                raise InputError(f"{request} is known at the end of a clip only: use pyvmaf.score")
        self._source = self._open_source(requests, form)
        self._differences: deque[float] = deque()
        self._first = True

    def _open_source(self, requests: Requests, form: Format) -> DifferenceSource:
        """Open what computes the differences."""
        return _Differences(requests, form)

    def push(self, reference: Planes, distorted: Planes | None = None) -> None:
        """Compute the difference of a frame to the frame before."""
        self._differences.append(self._source.difference(reference))

    def pop(self, *, ended: bool = False) -> dict[str, float] | None:
        """Return the motion scores of the first frame that was not returned yet."""
        if not self._differences or (len(self._differences) < 2 and not ended):
            return None
        back = self._differences.popleft()
        ahead = self._differences[0] if self._differences else back
        smaller = min(back, ahead)
        first, self._first = self._first, False
        return {
            "VMAF_integer_feature_motion_score": back,
            "VMAF_integer_feature_motion2_score": 0.0 if first else smaller,
            "VMAF_integer_feature_motion3_score": ahead if first else smaller,
        }

    def close(self) -> None:
        """Close the context."""
        self._source.close()
