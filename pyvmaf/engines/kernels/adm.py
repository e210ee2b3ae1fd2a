"""ADM by kernels: which requests they compute, and the scores of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pyvmaf.engines.kernels.frames import accepts
from pyvmaf.engines.libvmaf.build import native, repairs, translated
from pyvmaf.engines.libvmaf.extractors import EXTRACTORS, feature_key, parse_options, repairs_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf import _native
    from pyvmaf.engines.protocol import Request, Requests
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

    Scores = dict[str, NDArray[np.float64]]

_GAIN, _SKIP = "adm_enhn_gain_limit", "adm_skip_aim"
_VIEWING = ("adm_norm_view_dist", "adm_ref_display_height", "adm_noise_weight", "adm_csf_mode")
_BLENDED = {(3.0, 1080), (5.0, 1080), (1.5, 2160), (3.0, 2160), (5.0, 2160), (5.0, 720)}
"""Distances and display heights for which libvmaf's blended contrast sensitivities (modes 2 and 3) are known."""

_OPTIONS = {_GAIN, _SKIP, *_VIEWING, "adm_dlm_weight", "adm_min_val", "debug"}
_SCALES = 4
MOST = 2
"""Requests that are computed together."""


class _Options(NamedTuple):
    """Options of a request.

    Attributes:
        gain_limit: of the enhancement gain.
        viewing: distance, height of the display, weight of noise, and model of contrast sensitivity.
        additive: whether additive impairments are measured.
        detail_weight: weight of adm2 in adm3.
        least: least value of adm3.
    """

    gain_limit: float
    viewing: tuple[float, int, float, int]
    additive: bool
    detail_weight: float
    least: float


def computes(request: Request, form: Format) -> bool:
    """Tell whether the kernels compute a request on frames of this format.

    Without noise, frames without detail have no score, for which libvmaf has rules of its own.
    """
    return (
        request.extractor == "adm"
        and {name for name, _ in request.options} <= _OPTIONS
        and accepts(form)
        and _libvmaf_is_right(request, form)
        and _is_known(_options(request))
    )


def _is_known(options: _Options) -> bool:
    distance, height, noise, mode = options.viewing
    return noise >= 1e-6 and (mode == 0 or (mode in (2, 3) and (distance, height) in _BLENDED))


def _libvmaf_is_right(request: Request, form: Format) -> bool:
    """Tell whether the vector code of this build of libvmaf gives the scores of its plain C, which are the kernels'."""
    options = parse_options(request.extractor, dict(request.options))
    return set(repairs_of(request.extractor, options, form.width)) <= set(repairs())


def _options(request: Request) -> _Options:
    declared = EXTRACTORS["adm"].options
    given = parse_options("adm", dict(request.options))
    values = {name: given.get(name, option.default) for name, option in declared.items()}
    distance, height, noise, mode = (float(str(values[name])) for name in _VIEWING)
    return _Options(
        gain_limit=float(str(values[_GAIN])),
        viewing=(distance, int(height), noise, int(mode)),
        additive=not values[_SKIP],
        detail_weight=float(str(values["adm_dlm_weight"])),
        least=float(str(values["adm_min_val"])),
    )


def open_scores(requests: Requests, form: Format, instruction_set: str) -> list[AdmScores]:
    """Prepare for the requests that `computes` accepts: those together that differ in the limit of the gain only."""
    groups: dict[tuple[object, ...], list[dict[Request, Sequence[str]]]] = {}
    for request, keys in requests.items():
        options = _options(request)
        parts = groups.setdefault((options.viewing, options.additive), [{}])
        if len(parts[-1]) == MOST:
            parts.append({})
        parts[-1][request] = keys
    return [AdmScores(part, form, instruction_set) for parts in groups.values() for part in parts]


class AdmScores:
    """ADM of frames that are measured one after another, for one or two limits of the gain."""

    def __init__(self, requests: Requests, form: Format, instruction_set: str) -> None:
        """Prepare for at most two requests that `computes` accepts, of one viewing."""
        self._form, self._instruction_set = form, instruction_set
        self._options = [_options(request) for request in requests]
        bases = EXTRACTORS["adm"].scores + EXTRACTORS["adm"].extra["debug"]
        self._wanted: list[dict[str, str]] = []
        for request, keys in requests.items():
            given = parse_options("adm", dict(request.options))
            names = {feature_key(base, "adm", given): base for base in bases}
            self._wanted.append({key: names[key] for key in keys})
        self._kernel: _native.Adm | None = None
        self._most = 0
        self._parts: list[NDArray[np.float32]] = []

    def read(self, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Measure distorted versions of a frame."""
        self.add(self.measure(reference, distorted))

    @property
    def limits(self) -> list[float]:
        """Limits of the gain, of each request."""
        return [options.gain_limit for options in self._options]

    @property
    def additive(self) -> bool:
        """Whether additive impairments are measured."""
        return self._options[0].additive

    @property
    def viewing(self) -> tuple[float, int, float, int]:
        """Distance, height of the display, weight of noise, and model of contrast sensitivity."""
        return self._options[0].viewing

    def measure(self, reference: Planes, distorted: Sequence[Planes]) -> NDArray[np.float32]:
        """Return what `add` takes, of distorted versions of a frame."""
        with translated():
            return self._kernel_for(len(distorted)).measure(reference[0], [planes[0] for planes in distorted])

    def add(self, parts: NDArray[np.float32]) -> None:
        """Add the parts of the next frames: of shape (frames, limits, 4, 3)."""
        self._parts.append(parts)

    def _kernel_for(self, count: int) -> _native.Adm:
        if self._kernel is None or count > self._most:
            form, self._most = self._form, count
            first = self._options[0]
            limits = [options.gain_limit for options in self._options]
            self._kernel = native().Adm(
                form.width, form.height, form.bit_depth, count, limits, first.additive, *first.viewing,
                self._instruction_set,
            )  # fmt: skip
        return self._kernel

    def take(self) -> Scores:
        """Return the scores that are wanted, of all distorted frames since the last call in the order of reading."""
        import numpy as np

        shape = (0, len(self._options), _SCALES, 3)
        parts = np.concatenate(self._parts) if self._parts else np.empty(shape, np.float32)
        self._parts = []
        scores: Scores = {}
        for index, (options, keys) in enumerate(zip(self._options, self._wanted, strict=True)):
            values = _scores(parts[:, index].astype(np.float64), self._form, options)
            scores |= {key: values[base] for key, base in keys.items()}
        return scores


def _scores(parts: NDArray[np.float64], form: Format, options: _Options) -> Scores:
    """Return the scores of frames by base name, from parts of shape (frames, scales, 3), as libvmaf 3.2 has them."""
    import numpy as np

    detail, reference, additive = (sum((parts[:, scale, i] for scale in range(_SCALES)), np.zeros(1)) for i in range(3))
    least = 1e-10 * (form.width * form.height) / (1920.0 * 1080.0)
    detail = np.where(detail < least, 0.0, detail)
    adm2, aim = detail / reference, additive / reference
    adm3 = adm2 * options.detail_weight + (1 - aim) * (1 - options.detail_weight)
    scores: Scores = {
        "VMAF_integer_feature_adm2_score": adm2,
        "VMAF_integer_feature_aim_score": aim,
        "VMAF_integer_feature_adm3_score": np.where(adm3 > options.least, adm3, options.least),
        "integer_adm": adm2,
        "integer_adm_num": detail,
        "integer_adm_den": reference,
    }
    for scale in range(_SCALES):
        scores[f"integer_adm_scale{scale}"] = parts[:, scale, 0] / parts[:, scale, 1]
        scores[f"integer_adm_num_scale{scale}"] = parts[:, scale, 0]
        scores[f"integer_adm_den_scale{scale}"] = parts[:, scale, 1]
    return scores
