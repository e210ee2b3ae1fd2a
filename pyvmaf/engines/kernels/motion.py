"""Motion by kernels: which requests they compute, and the scores of a batch.

All scores follow from the mean absolute differences between the blurred lumas of two frames of the reference, which the
kernels sum; the rest is libvmaf's arithmetic (3.2, integer_motion.c) in double precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyvmaf.engines.kernels.frames import accepts
from pyvmaf.engines.libvmaf.build import native, translated
from pyvmaf.engines.libvmaf.engine import DifferenceSource, MotionStream
from pyvmaf.engines.libvmaf.extractors import EXTRACTORS, OptionValue, feature_key, parse_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf import _native
    from pyvmaf.engines.protocol import Request, Requests
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

    Scores = dict[str, NDArray[np.float64]]

_SAD, _MOTION, _MOTION2, _MOTION3 = (f"VMAF_integer_feature_motion{part}_score" for part in ("_sad", "", "2", "3"))


def computes(request: Request, form: Format) -> bool:
    """Tell whether the kernels compute a request on frames of this format; they do with any options."""
    return request.extractor == "motion" and accepts(form)


def open_scores(requests: Requests, form: Format, instruction_set: str) -> list[MotionScores]:
    """Prepare for the requests that `computes` accepts: together, since they share the differences."""
    return [MotionScores(requests, form, instruction_set)] if requests else []


class MotionScores:
    """Motion of the frames of a reference, read one after another."""

    def __init__(self, requests: Requests, form: Format, instruction_set: str) -> None:
        """Prepare for requests that `computes` accepts."""
        declared = EXTRACTORS["motion"].options
        self._form, self._instruction_set = form, instruction_set
        self._wanted: list[tuple[dict[str, OptionValue | None], dict[str, str]]] = []
        for request, keys in requests.items():
            given = parse_options("motion", dict(request.options))
            names = {feature_key(base, "motion", given): base for base in (_SAD, _MOTION, _MOTION2, _MOTION3)}
            options = {name: given.get(name, option.default) for name, option in declared.items()}
            self._wanted.append((options, {key: names[key] for key in keys}))
        distances = {_distance(options) for options, _ in self._wanted if not options["motion_force_zero"]}
        self._kernels: dict[int, _native.Motion] = {}
        self._sums: dict[int, list[int]] = {distance: [] for distance in sorted(distances)}
        self._count = 0

    @property
    def distances(self) -> list[int]:
        """Distances of the frames whose differences are measured."""
        return list(self._sums)

    def read(self, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Read a frame once, or as often as it has distorted versions."""
        for _ in range(max(1, len(distorted))):
            with translated():
                self.add([self._kernel_for(distance).measure(reference[0]) for distance in self.distances])

    def _kernel_for(self, distance: int) -> _native.Motion:
        if distance not in self._kernels:
            form = self._form
            self._kernels[distance] = native().Motion(
                form.width, form.height, form.bit_depth, distance, self._instruction_set
            )
        return self._kernels[distance]

    def add(self, sums: Sequence[int]) -> None:
        """Add the differences of the next frame, of each distance."""
        for values, value in zip(self._sums.values(), sums, strict=True):
            values.append(value)
        self._count += 1

    def take(self) -> Scores:
        """Return the scores that are wanted, of all frames of the clip."""
        import numpy as np

        scores: Scores = {}
        for options, keys in self._wanted:
            sums = self._sums.get(_distance(options), []) if not options["motion_force_zero"] else [0] * self._count
            values = _scores(sums, self._form.width * self._form.height, options)
            scores |= {key: np.asarray(values[base], dtype=np.float64) for key, base in keys.items()}
        return scores


class KernelMotionStream(MotionStream):
    """Motion scores of a reference, each known once the next frame is."""

    def __init__(self, requests: Requests, form: Format, instruction_set: str) -> None:
        """Prepare for requests with default options.

        Raises:
            InputError: a request has others.
        """
        self._instruction_set = instruction_set
        super().__init__(requests, form)

    def _open_source(self, requests: Requests, form: Format) -> DifferenceSource:
        return _Differences(form, self._instruction_set)


class _Differences:
    def __init__(self, form: Format, instruction_set: str) -> None:
        self._samples = form.width * form.height
        self._kernel: _native.Motion = native().Motion(form.width, form.height, form.bit_depth, 1, instruction_set)

    def difference(self, reference: Planes) -> float:
        with translated():
            return self._kernel.measure(reference[0]) / 256.0 / self._samples

    def close(self) -> None:
        """Do nothing: memory is freed with the object."""


def _distance(options: Mapping[str, OptionValue | None]) -> int:
    return 2 if options["motion_five_frame_window"] else 1


def _scores(sums: Sequence[int], samples: int, options: Mapping[str, OptionValue | None]) -> dict[str, list[float]]:
    """Return the scores of a clip by base name, from the sums of absolute differences of unit 2**-8.

    A frame's motion2 is the smaller of the differences that end and begin around it, 0 for the first frames. motion3 is
    motion2 beyond `motion_blend_offset` scaled by `motion_blend_factor`, and clipped; that of the first frames is the first
    difference.
    """
    weight, most = _number(options, "motion_fps_weight"), _number(options, "motion_max_val")
    factor, offset = _number(options, "motion_blend_factor"), _number(options, "motion_blend_offset")
    first = stride = _distance(options)

    def blended(value: float) -> float:
        return min(value * factor + (1 - factor) * min(offset, value), most)

    count = len(sums)
    sad = [min(value / 256.0 / samples * weight, most) if i >= first else 0.0 for i, value in enumerate(sums)]
    motion2, motion3 = [0.0] * count, [0.0] * count
    processed = blended(sad[first]) if count > first else 0.0
    for i in range(count):
        if i < first:
            motion3[i] = processed
            continue
        before, after = i - (stride - 1), i + 1
        if after == count:
            motion2[i] = sad[i]
        else:
            motion2[i] = min(sad[before], sad[after]) if before >= first else sad[after]
        value = blended(motion2[i])
        motion3[i] = (value + processed) / 2.0 if options["motion_moving_average"] else value
        processed = value
    return {_SAD: sad, _MOTION: sad, _MOTION2: motion2, _MOTION3: motion3}


def _number(options: Mapping[str, OptionValue | None], name: str) -> float:
    return float(str(options[name]))
