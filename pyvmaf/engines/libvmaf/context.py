"""libvmaf's feature extraction in process, with a guard in front of every trap that libvmaf has.

`Context` raises an exception, which quotes both values, if libvmaf would accept a mistake silently and give wrong
scores: gaps in the frame order, mixed bit depths, unknown options, frames smaller than its buffers assume, two models
of one name.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from pyvmaf.engines.libvmaf.build import native, translated
from pyvmaf.engines.libvmaf.extractors import (
    EXTRACTORS,
    OptionValue,
    check_frames,
    extractor,
    parse_options,
    score_keys,
    spell_options,
)
from pyvmaf.engines.libvmaf.models import MAX_NAMES, Model
from pyvmaf.errors import InputError, NativeError, unknown_name
from pyvmaf.video.reader import frame_format, planes_of

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from pyvmaf import _native
    from pyvmaf.video.reader import Plane

    Scores = NDArray[np.float64]

MAX_INDEX = 9_999_999
"""Largest frame index. libvmaf allocates 16 bytes per score up to the largest index that it sees."""

MAX_SIDE = 16384
"""Largest width or height of frames."""

PIX_FMTS = ("420", "422", "444", "400")


class Context:
    """An open computation of features of frame pairs of one size and format.

    Use it as a context manager, from one thread. Frames may come in any order and with gaps unless an extractor that
    looks back is registered (`motion`, `speed_temporal`): then they must be 0, 1, 2, …  `motion2` and `motion3` exist
    after `flush` only.
    """

    def __init__(
        self,
        width: int,
        height: int,
        pix_fmt: str = "420",
        bits: int = 8,
        *,
        n_threads: int = 0,
        n_subsample: int = 1,
    ) -> None:
        """Open a context.

        Args:
            width: luma width of the frames.
            height: luma height.
            pix_fmt: "420", "422", "444" or "400". Extractors that look at luma only give the same scores for "400",
                and then chroma is not copied.
            bits: bits per sample, 8 (uint8 planes) to 16 (uint16 planes).
            n_threads: libvmaf's own worker threads; 0 computes inside `read`.
            n_subsample: compute every n-th frame only (extractors that need every frame still get them).

        Raises:
            InputError: an argument out of range.
        """
        for name, value, low, high in (
            ("width", width, 1, MAX_SIDE),
            ("height", height, 1, MAX_SIDE),
            ("bits", bits, 8, 16),
            ("n_threads", n_threads, 0, 1024),
            ("n_subsample", n_subsample, 1, MAX_INDEX),
        ):
            if not _is_integer(value) or not low <= value <= high:
                raise InputError(f"{name} is {value!r}: must be an integer in {low}..{high}")
        if pix_fmt not in PIX_FMTS:
            raise unknown_name("pixel format", pix_fmt, PIX_FMTS)
        self.width, self.height, self.pix_fmt, self.bits = width, height, pix_fmt, bits
        self.n_threads, self.n_subsample = n_threads, n_subsample
        self._registered: list[tuple[str, dict[str, OptionValue], tuple[str, ...]]] = []
        self._names: set[str] = set()
        self._models: dict[str, Model] = {}
        self._seen = bytearray()
        self._count = 0
        self._ordered = False
        self._flushed = False
        self._failed: str | None = None
        with translated():
            self._raw: _native.Context = native().Context(
                width, height, pix_fmt, bits, n_threads=n_threads, n_subsample=n_subsample
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._raw.closed else f"{self._count} frames read"
        return f"Context({self.width}x{self.height} {self.pix_fmt} {self.bits} bits, {state})"

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of all scores of the registered extractors, in the order of registration."""
        return tuple(dict.fromkeys(key for _, _, keys in self._registered for key in keys))

    @property
    def frames(self) -> NDArray[np.int64]:
        """Indices of the frames read so far, sorted."""
        import numpy as np

        return np.flatnonzero(np.frombuffer(self._seen, np.uint8)).astype(np.int64)

    def use_feature(self, name: str, options: Mapping[str, OptionValue] | None = None) -> tuple[str, ...]:
        """Register an extractor.

        Args:
            name: a key of `EXTRACTORS`.
            options: its options, typed or spelled as strings.

        Returns:
            The names of its scores, of which each frame gets one value.

        Raises:
            InputError: unknown extractor or option, bad value, frames that the extractor cannot process, or another
                registration whose scores would have the same names (libvmaf would silently keep the first).
            NativeError: a frame was read before, or libvmaf refused.
        """
        parsed = parse_options(name, options)
        self._register([(name, parsed)], set(), lambda raw: raw.use_feature(name, spell_options(parsed)))
        return score_keys(name, parsed, luma_only=self.pix_fmt == "400")

    def use_model(self, model: Model | str | Path, *, extract: bool = True) -> Model:
        """Register a model or a collection.

        Args:
            model: a model, or a source that `Model` accepts.
            extract: also register the extractors of its features. If False, its features come from other
                registrations or `import_feature_scores`.

        Raises:
            InputError: another model of that name is registered (libvmaf would give the first one's scores for
                both), or an extractor cannot process the frames.
            NativeError: a frame was read before, or libvmaf refused.
        """
        model = model if isinstance(model, Model) else Model(model)
        if model.info.changed:
            raise InputError(
                f"{model.info.source} changes options of its features, which a context does not know: use pyvmaf.score, or "
                "predict with scores that were measured like that"
            )
        if model.name in self._models:
            other = self._models[model.name]
            raise InputError(
                f"a model named {model.name!r} is already registered: {other.info.source}; "
                f"give {model.info.source} another name"
            )
        names = {model.name}
        if model.info.collection:
            # libvmaf files the score of each member and four summaries.
            names |= {f"{model.name}/{member}" for member in range(model.info.members + 4)}
        requests = [(feature.extractor, dict(feature.options)) for feature in model.info.features] if extract else []

        def register(raw: _native.Context) -> None:
            if extract and model.info.collection:
                raw.use_model_collection(model.raw)
            elif extract:
                raw.use_model(model.raw)

        self._register(requests, names, register)
        self._models[model.name] = model
        return model

    def _register(self, requests: Sequence[tuple[str, dict[str, OptionValue]]], names: set[str], call: Any) -> None:
        self._check_open()
        if self._count:
            raise NativeError(
                f"extractors and models must be registered before the first frame; {self._count} were read",
                errno.EINVAL,
            )
        new: list[tuple[str, dict[str, OptionValue], tuple[str, ...]]] = []
        for name, options in requests:
            keys = score_keys(name, options, luma_only=self.pix_fmt == "400")
            check_frames(name, options, self.width, self.height, self.pix_fmt, self.bits)
            for other, others, other_keys in (*self._registered, *new):
                if other != name or set(keys).isdisjoint(other_keys):
                    continue
                if _effective(name, options) == _effective(name, others):
                    break
                raise InputError(
                    f"extractor {name!r} with {options} would file scores under the names of {name!r} with {others}, "
                    f"and libvmaf keeps the first: use another context"
                )
            else:
                new.append((name, options, keys))
        total = self._names | names | {key for _, _, keys in new for key in keys}
        self._check_names(total)
        with translated():
            call(self._raw)
        self._registered += new
        self._names = total
        self._ordered = self._ordered or any(EXTRACTORS[name].ordered for name, _, _ in new)

    def _check_names(self, names: set[str]) -> None:
        if len(names) > MAX_NAMES:
            raise InputError(
                f"{len(names)} names of scores in one context, libvmaf holds {MAX_NAMES}: use several contexts"
            )

    def read(
        self,
        reference: Sequence[Plane] | av.VideoFrame,
        distorted: Sequence[Plane] | av.VideoFrame | None,
        index: int,
    ) -> None:
        """Read one pair of frames. Samples are copied, so the buffers can be reused afterwards.

        Args:
            reference: planes Y, U, V (Y alone for "400"; more are ignored), each 2-D, uint8 for 8 bits and uint16 in
                native byte order otherwise, any strides; or a PyAV frame. Chroma of odd sizes may be rounded up or
                down.
            distorted: likewise; None if every registered extractor reads the reference only.
            index: index of the frame, 0 to `MAX_INDEX`.

        Raises:
            InputError: wrong size, sample type or range, or a frame index that is negative, too large, seen before,
                or out of order if an extractor looks back.
            NativeError: libvmaf failed, or the context is closed, flushed, busy in another thread or from before a
                fork.
        """
        self._check_open()
        if self._flushed:
            raise NativeError(
                f"the context was flushed after {self._count} frames: open another context for frame {index}",
                errno.EINVAL,
            )
        if not self._registered:
            raise InputError("no extractor is registered: nothing would be computed")
        self._check_index(index)
        if distorted is None and not all(EXTRACTORS[name].reference_only for name, _, _ in self._registered):
            names = sorted({name for name, _, _ in self._registered if not EXTRACTORS[name].reference_only})
            raise InputError(f"frame {index} has no distorted picture, which {', '.join(names)} need")
        reference_planes = self._planes(reference, "reference")
        distorted_planes = None if distorted is None else self._planes(distorted, "distorted")
        try:
            with translated():
                self._raw.read(reference_planes, distorted_planes, index)
        except NativeError as error:
            if error.errno not in (errno.EBUSY, errno.EPERM, errno.EBADF):
                self._failed = str(error)
            raise
        if index >= len(self._seen):
            self._seen.extend(bytes(max(index + 1 - len(self._seen), len(self._seen))))
        self._seen[index] = 1
        self._count += 1

    def _planes(self, frame: Sequence[Plane] | av.VideoFrame, side: str) -> Sequence[Plane]:
        if not hasattr(frame, "format"):
            return frame
        video_frame = cast("av.VideoFrame", frame)
        form = frame_format(video_frame)
        if form.bit_depth != self.bits:
            raise InputError(
                f"the {side} frame has {form.bit_depth} bits per sample, the context {self.bits}: convert one"
            )
        if self.pix_fmt not in ("400", form.chroma):
            raise InputError(f"the {side} frame is {form.chroma}, the context {self.pix_fmt}: convert one")
        return planes_of(video_frame, self.pix_fmt, self.bits)

    def _check_index(self, index: int) -> None:
        if not _is_integer(index):
            raise InputError(f"frame index {index!r} is a {type(index).__name__}, not an integer")
        if not 0 <= index <= MAX_INDEX:
            raise InputError(f"frame index {index} is not in 0..{MAX_INDEX}")
        if index < len(self._seen) and self._seen[index]:
            raise InputError(f"frame {index} was read before")
        if self._ordered and index != self._count:
            names = sorted({name for name, _, _ in self._registered if EXTRACTORS[name].ordered})
            raise InputError(
                f"frame {index} where {self._count} is next: {', '.join(names)} look back, so frames must be contiguous"
            )

    def flush(self) -> None:
        """Finish: wait for workers, write the scores that need the whole sequence, check that none is missing.

        Raises:
            NativeError: no frame was read, the context was flushed before, libvmaf failed, or a worker failed
                (libvmaf drops the errors of its workers; the message names the missing scores).
        """
        self._check_open()
        if self._flushed:
            raise NativeError(f"the context was flushed before, after {self._count} frames", errno.EINVAL)
        if not self._count:
            raise NativeError("no frame was read: there is nothing to flush", errno.EINVAL)
        with translated():
            self._raw.flush()
        self._flushed = True
        for name, _, keys in self._registered:
            indices = self._expected(name)
            for key in keys:
                self.feature_scores(key, indices)

    def _expected(self, name: str) -> NDArray[np.int64]:
        indices = self.frames
        if self.n_subsample > 1 and not EXTRACTORS[name].every_frame:
            indices = indices[indices % self.n_subsample == 0]
        return indices

    def feature_scores(self, key: str, indices: ArrayLike | None = None) -> Scores:
        """Return the scores of one feature.

        Args:
            key: one of `keys`, or a name that was imported.
            indices: frames, 1-D integers; by default all frames read, without those that subsampling left out.

        Returns:
            float64, one value per index.

        Raises:
            InputError: this context has no score of that name.
            NativeError: a score is missing; the message names the frames.
        """
        self._check_open()
        owner = next((name for name, _, keys in self._registered if key in keys), None)
        if owner is None and key not in self._names:
            raise unknown_name("score", key, (*self.keys, *sorted(self._names - set(self.keys))))
        wanted = _indices(self._expected(owner) if indices is None and owner else self._or_frames(indices))
        with translated():
            values, present = self._raw.feature_scores(key, wanted)
        if not present.all():
            missing = wanted[~present]
            hint = "" if self._flushed else "; scores that look back, and all scores of worker threads, need flush()"
            raise NativeError(
                f"{key} is missing for {len(missing)} of {len(wanted)} frames ({_some(missing)}){hint}", errno.EINVAL
            )
        return values

    def _or_frames(self, indices: ArrayLike | None) -> ArrayLike:
        return self.frames if indices is None else indices

    def import_feature_scores(self, key: str, indices: ArrayLike, values: ArrayLike) -> None:
        """Add scores that were measured elsewhere, under libvmaf's name of the feature.

        Args:
            key: name of the score; not one of a registered extractor.
            indices: frames, each once.
            values: one per index.

        Raises:
            InputError: lengths differ, an index is out of range or repeated, the name is taken, or there are too many
                names.
            NativeError: the frame already has a value.
        """
        import numpy as np

        self._check_open()
        if key in self.keys:
            raise InputError(f"{key} is a score of a registered extractor: it cannot be imported as well")
        frames = _indices(indices)
        scores = np.asarray(values, np.float64)
        if scores.shape != frames.shape:
            raise InputError(f"{len(frames)} indices but values of shape {scores.shape}")
        unique, counts = np.unique(frames, return_counts=True)
        if unique.size != frames.size:
            raise InputError(f"frames occur more than once: {_some(unique[counts > 1])}")
        total = self._names | {key}
        self._check_names(total)
        with translated():
            self._raw.import_feature_scores(key, frames, scores)
        self._names = total

    def scores(self, model: Model, indices: ArrayLike | None = None) -> Scores:
        """Return the scores of a registered model.

        Args:
            model: the model that `use_model` returned.
            indices: frames, 1-D integers; by default all frames read.

        Raises:
            InputError: the model is not registered with this context, or is a collection.
            NativeError: a feature that the model reads is missing.
        """
        self._check_model(model, collection=False)
        wanted = self._scored(model, indices)
        with translated():
            return self._raw.scores(model.raw, wanted)

    def collection_scores(self, model: Model, indices: ArrayLike | None = None) -> dict[str, Scores]:
        """Return the scores of a registered collection.

        Args:
            model: the collection that `use_model` returned.
            indices: frames, 1-D integers; by default all frames read.

        Returns:
            "bagging" (the score), "stddev", "ci_p95_lo" and "ci_p95_hi" (bounds of the 95 % interval), one value per
            index each.

        Raises:
            InputError: the collection is not registered with this context, or is a single model.
            NativeError: a feature that it reads is missing.
        """
        self._check_model(model, collection=True)
        wanted = self._scored(model, indices)
        with translated():
            return self._raw.collection_scores(model.raw, wanted)

    def _scored(self, model: Model, indices: ArrayLike | None) -> NDArray[np.int64]:
        wanted = self.frames if indices is None else _indices(indices)
        if indices is None and self.n_subsample > 1:
            wanted = wanted[wanted % self.n_subsample == 0]
        # libvmaf reports only that it failed; this names the missing scores.
        for key in model.info.keys:
            self.feature_scores(key, wanted)
        return wanted

    def _check_model(self, model: Model, *, collection: bool) -> None:
        self._check_open()
        if self._models.get(model.name) is not model:
            registered = ", ".join(other.info.source for other in self._models.values()) or "none"
            raise InputError(
                f"model {model.info.source!r} is not registered with this context (registered: {registered})"
            )
        if model.info.collection != collection:
            method = "collection_scores" if model.info.collection else "scores"
            raise InputError(f"{model.info.source!r} has {model.info.members} members: call {method}() for its scores")

    def _check_open(self) -> None:
        if self._raw.closed:
            raise NativeError("the context is closed", errno.EBADF)
        if self._failed is not None:
            raise NativeError(f"the context is unusable since a call failed: {self._failed}", errno.EINVAL)

    def close(self) -> None:
        """Wait for workers and free everything. Closing twice does nothing.

        Raises:
            NativeError: the context is busy in another thread, or from before a fork.
        """
        with translated():
            self._raw.close()


def _effective(name: str, options: Mapping[str, OptionValue]) -> dict[str, OptionValue | None]:
    return {key: options.get(key, option.default) for key, option in extractor(name).options.items()}


def _is_integer(value: object) -> bool:
    """Tell whether a value is an integer of Python or numpy; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _indices(indices: ArrayLike) -> NDArray[np.int64]:
    import numpy as np

    array = np.asarray(indices)
    if array.ndim != 1:
        raise InputError(f"frame indices must be 1-D, not {array.ndim}-D")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"frame indices are {array.dtype}, not integers")
    bad = array[(array < 0) | (array > MAX_INDEX)] if array.size else array
    if bad.size:
        raise InputError(f"frame indices not in 0..{MAX_INDEX}: {_some(bad)}")
    return np.ascontiguousarray(array, np.int64)


def _some(indices: NDArray[Any]) -> str:
    shown = ", ".join(str(index) for index in indices[:5].tolist())
    return f"{shown}, …" if len(indices) > 5 else shown
