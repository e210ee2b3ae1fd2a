"""The contract between features and an engine, the code that computes them.

An engine is one module with one row in `pyvmaf.engines.ENGINES`. Requests and names of scores are libvmaf's, whichever
engine computes them, so that a column of a table means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyvmaf.errors import UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

    Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, order=True)
class Request:
    """One extractor with its options: what an engine runs, and what a cache entry holds.

    Attributes:
        extractor: libvmaf's name of the extractor.
        options: pairs of libvmaf's option and value, sorted.
    """

    extractor: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.extractor + "".join(f":{key}={value}" for key, value in self.options)


Requests = Mapping[Request, Sequence[str]]
"""The scores that are wanted of each request, by libvmaf's names."""


class Needs(NamedTuple):
    """The frames that a request reads.

    Attributes:
        reference_only: whether the scores depend on the reference alone, so that a ladder computes them once.
        chroma: whether chroma planes are read.
        before, after: how many frames of the reference around a range of frames decide the scores of the range.
        ordered: whether the scores of a pair depend on the pair before, so that a batch has to read the pairs of one video
            in order, without gaps, from `before` pairs ahead of a range on.
        one_ahead: whether the scores of a frame are known once the next frame is; False if only at the end of a clip.
    """

    reference_only: bool = False
    chroma: bool = True
    before: int = 0
    after: int = 0
    one_ahead: bool = True
    ordered: bool = False


class Batch(Protocol):
    """Frames whose scores are collected together. It belongs to one thread."""

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Read a pair of frames.

        Args:
            index: 0, 1, 2, … in order.
            reference: planes of the reference.
            distorted: planes of the distorted frame; None if every request reads the reference only.

        Raises:
            NativeError: the engine failed.
        """

    def read_versions(self, index: int, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Read a frame of the reference with several distorted versions of it, as pairs from `index` on.

        Here they are read one after another; an engine may compute what the reference alone decides once. No request is
        ordered.

        Raises:
            NativeError: the engine failed.
        """
        for place, planes in enumerate(distorted):
            self.read(index + place, reference, planes)

    def harvest(self) -> Scores:
        """Finish, and return each score with one float64 value per frame, in order of reading.

        Raises:
            NativeError: the engine failed, or a score is missing.
        """

    def close(self) -> None:
        """Free everything. Closing twice does nothing."""


class Stream(Protocol):
    """Frames whose scores are wanted one by one. It belongs to one thread at a time."""

    def push(self, reference: Planes, distorted: Planes | None) -> None:
        """Read the next pair of frames.

        Raises:
            NativeError: the engine failed.
        """

    def pop(self, *, ended: bool = False) -> dict[str, float] | None:
        """Return the scores of the first frame that was not returned yet; None if a later frame decides them.

        Args:
            ended: whether no further frame will come.
        """

    def close(self) -> None:
        """Free everything. Closing twice does nothing."""


class Engine(Protocol):
    """Computes scores of frame pairs.

    Attributes:
        name: its row in `pyvmaf.engines.ENGINES`.
        equals: name of the engine whose numbers it gives to the last bit, its own for most; part of every cache key.
    """

    name: str

    @property
    def equals(self) -> str:
        """Name of the engine whose numbers this one gives."""
        return self.name

    def identity(self) -> str:
        """Return what decides the numbers on every machine, such as a commit. Manifests hold it.

        Raises:
            UnavailableError: the engine is not installed.
        """
        ...

    def identity_for(self, request: Request, form: Format) -> str:
        """Return what of the identity decides the scores of a request on frames of this format: part of cache keys.

        An engine that repairs an error of some requests or formats has another identity for these only, so that what
        was measured otherwise stays valid.
        """
        return self.identity()

    def machine(self, form: Format) -> str | None:
        """Return what else decides the numbers of frames of this format on this machine; None if nothing does.

        It is part of every cache key, too.
        """
        return None

    def obstacle(self, request: Request, form: Format) -> str | None:
        """Say why a request cannot be computed on frames of this format; None if it can."""
        ...

    def needs(self, request: Request) -> Needs:
        """Return the frames that a request reads."""
        return Needs()

    def open(self, requests: Requests, form: Format) -> Batch:
        """Start a batch of frames of this format.

        Raises:
            InputError: a request cannot be computed on such frames.
            UnavailableError: this machine lacks what the engine needs.
        """
        ...

    def stream(self, requests: Requests, form: Format) -> Stream:
        """Start a stream of frames of this format.

        Raises:
            InputError: a request cannot be computed on such frames, or not frame by frame.
            UnavailableError: the engine computes whole clips only, or this machine lacks what it needs.
        """
        raise UnavailableError(f"engine {self.name!r} does not compute frames one by one: use pyvmaf.score")
