"""Models of libvmaf in JSON files: the format, and a check of all that libvmaf takes on trust.

libvmaf reads such a file without looking at it: text that does not fit ends in a crash, in NaN, or in a score that is
the same for every frame. A file is therefore read and checked here, down to the last support vector, and written anew
from the checked values; libvmaf sees that text alone. Values keep all their bits.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pyvmaf.base.document import problems
from pyvmaf.base.files import read_bytes, sha256_bytes
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, unknown_name

MAX_BYTES = 1 << 26
"""Most bytes of a file. Published models have 20 kB to 400 kB."""

MAX_FEATURES = 64
"""Most features of a model: libvmaf's tables end there."""

MAX_KNOTS = 10
"""Most knots of a score transform: libvmaf's table ends there."""

# Largest magnitude that a feature is assumed to have, and a prediction may have: far beyond any real one. A model that
# can leave this range overflows somewhere, and libvmaf would clip infinity to 100.
_LARGEST_FEATURE = 1e10
_LARGEST_PREDICTION = 1e100

_KERNELS: dict[str, tuple[str, ...]] = {
    "linear": (),
    "polynomial": ("degree", "gamma", "coef0"),
    "rbf": ("gamma",),
    "sigmoid": ("gamma", "coef0"),
}
_MAX_DEGREE = 10
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[0-9]{1,9}")


_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Spelled = Literal["true", "false"]


class _Part(BaseModel):
    """A group of keys. libvmaf skips keys that it does not know: a misspelt one would change the score silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Transform(_Part):
    """Mapping of the prediction to the score: a polynomial, then line segments between knots, then limits."""

    enabled: bool = False
    p0: _Number | None = None
    p1: _Number | None = None
    p2: _Number | None = None
    knots: (
        Annotated[list[Annotated[list[_Number], Field(min_length=2, max_length=2)]], Field(max_length=MAX_KNOTS)] | None
    ) = None
    out_lte_in: _Spelled = "false"
    out_gte_in: _Spelled = "false"

    @model_validator(mode="after")
    def _rising(self) -> _Transform:
        if self.knots is not None:
            pairs = list(zip(self.knots, self.knots[1:], strict=False))
            if not pairs or any(not (a[0] < b[0] and a[1] <= b[1]) for a, b in pairs):
                raise ValueError("knots: must be two or more points whose x rises and whose y does not fall")
        return self

    def largest(self, bound: float) -> float:
        """Return a bound of the score's magnitude, from one of the prediction's."""
        if any(value is not None for value in (self.p0, self.p1, self.p2)):
            bound = abs(self.p0 or 0) + abs(self.p1 or 0) * bound + abs(self.p2 or 0) * bound * bound
        for (x0, y0), (x1, y1) in zip(self.knots or (), (self.knots or ())[1:], strict=False):
            slope = (y1 - y0) / (x1 - x0)
            bound = max(bound, slope * bound + abs(y0) + abs(slope * x0))
        return bound


class _Model(_Part):
    """The block ``model_dict``."""

    model_type: Literal["LIBSVMNUSVR", "BOOTSTRAP_LIBSVMNUSVR", "RESIDUEBOOTSTRAP_LIBSVMNUSVR"]
    norm_type: Literal["none", "linear_rescale"]
    feature_names: Annotated[list[str], Field(min_length=1, max_length=MAX_FEATURES)]
    feature_opts_dicts: list[dict[str, bool | int | float | str]] | None = None
    slopes: list[_Number] | None = None
    intercepts: list[_Number] | None = None
    score_clip: Annotated[list[_Number], Field(min_length=2, max_length=2)] | None = None
    score_transform: _Transform | None = None
    chroma_correction_parameter: _Number | None = None
    model: str
    # The trainer's own description of the features. libvmaf does not read it.
    feature_dict: Any = None

    @field_validator("feature_opts_dicts", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        for index, options in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(options, dict):
                raise ValueError(f"item {index} is {_shown(options)}, it must be an object of options")
            for key, option in options.items():
                if not isinstance(option, bool | int | float | str):
                    raise ValueError(f"option {_shown(key)} of item {index} is {_shown(option)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> _Model:
        count = len(self.feature_names)
        if self.feature_opts_dicts is not None and len(self.feature_opts_dicts) != count:
            raise ValueError(f"{count} feature_names but {len(self.feature_opts_dicts)} feature_opts_dicts")
        if self.norm_type == "linear_rescale":
            for name, values in (("slopes", self.slopes), ("intercepts", self.intercepts)):
                if len(values or ()) != count + 1:
                    raise ValueError(f"{count} feature_names but {len(values or ())} {name}: one more is needed")
            if 0 in (self.slopes or ()):
                raise ValueError("slopes: none may be 0, because scores are divided by them")
        if self.score_clip is not None and self.score_clip[0] > self.score_clip[1]:
            raise ValueError(f"score_clip: {self.score_clip[0]:g} is above {self.score_clip[1]:g}")
        if self.chroma_correction_parameter is not None:
            for word in ("adm3", "speed_chroma"):
                if (found := sum(word in name for name in self.feature_names)) != 1:
                    raise ValueError(f"chroma_correction_parameter: needs one feature of {word}, there are {found}")
        return self

    @property
    def scaling(self) -> tuple[Sequence[float], Sequence[float]]:
        """Slopes and intercepts: first those of the score, then those of the features."""
        if self.norm_type == "none" or self.slopes is None or self.intercepts is None:
            return [1.0] * (len(self.feature_names) + 1), [0.0] * (len(self.feature_names) + 1)
        return self.slopes, self.intercepts


@dataclass(frozen=True, slots=True)
class Svm:
    """A support vector machine for regression, in the text format of LIBSVM.

    Attributes:
        kind: "nu_svr" or "epsilon_svr", which predict alike.
        kernel: a key of `_KERNELS`.
        parameters: those that the kernel takes.
        rho: subtracted from the sum over the support vectors.
        vectors: coefficient of each support vector, and its components by feature, counted from 1.
    """

    kind: str
    kernel: str
    parameters: dict[str, float]
    rho: float
    vectors: list[tuple[float, dict[int, float]]]

    @property
    def text(self) -> str:
        """The text that libvmaf parses."""
        header = [f"svm_type {self.kind}", f"kernel_type {self.kernel}"]
        header += [f"{key} {value!r}" for key, value in self.parameters.items()]
        header += ["nr_class 2", f"total_sv {len(self.vectors)}", f"rho {self.rho!r}", "SV"]
        lines = (
            f"{weight!r} " + "".join(f"{index}:{value!r} " for index, value in components.items())
            for weight, components in self.vectors
        )
        return "\n".join([*header, *lines]) + "\n"

    def largest(self, inputs: Sequence[float]) -> float:
        """Return a bound of the prediction's magnitude from bounds of the normalised features."""

        def kernel(components: dict[int, float]) -> float:
            if self.kernel == "rbf":
                return 1.0
            product = sum(abs(value) * inputs[index - 1] for index, value in components.items())
            if self.kernel == "linear":
                return product
            product = self.parameters["gamma"] * product + abs(self.parameters["coef0"])
            if self.kernel == "sigmoid":
                return 1.0 if math.isfinite(product) else math.inf
            return math.prod([product] * int(self.parameters["degree"]))

        return sum(abs(weight) * kernel(components) for weight, components in self.vectors) + abs(self.rho)


def parse_svm(text: str, features: int) -> Svm:
    """Read a support vector machine.

    Args:
        text: LIBSVM's format.
        features: number of features of the model.

    Raises:
        ValueError: the text is not of that format, or libvmaf could not predict with it; the message says what.
    """
    lines = iter(enumerate(text.splitlines(), 1))
    header: dict[str, str] = {}
    for _, line in lines:
        key, _, value = line.strip().partition(" ")
        if key == "SV" and not value:
            break
        if key in header:
            raise ValueError(f"{key} occurs twice")
        header[key] = value.strip()
    else:
        raise ValueError("no line SV, which starts the support vectors")
    kind, kernel, parameters, rho = _header(header)
    vectors = [_vector(line, number, features) for number, line in lines if line.strip()]
    if (total := header["total_sv"]) != str(len(vectors)) or not vectors:
        raise ValueError(f"total_sv is {_shown(total)}, but {len(vectors)} support vectors follow")
    return Svm(kind, kernel, parameters, rho, vectors)


def _header(header: dict[str, str]) -> tuple[str, str, dict[str, float], float]:
    for key in ("svm_type", "kernel_type", "nr_class", "total_sv", "rho"):
        if key not in header:
            raise ValueError(f"no {key}")
    kind, kernel = header["svm_type"], header["kernel_type"]
    if kind not in ("nu_svr", "epsilon_svr"):
        raise ValueError(f"svm_type is {_shown(kind)}, it must be nu_svr or epsilon_svr")
    if kernel not in _KERNELS:
        raise ValueError(f"kernel_type is {_shown(kernel)}, it must be one of {', '.join(_KERNELS)}")
    if header["nr_class"] != "2":
        raise ValueError(f"nr_class is {_shown(header['nr_class'])}, it is 2 in a regression")
    # Parameters that the kernel does not read do not matter, nor does probA, which belongs to probabilities.
    known = {"svm_type", "kernel_type", "nr_class", "total_sv", "rho", "probA", *_KERNELS["polynomial"]}
    for key in header:
        if key not in known:
            raise ValueError(f"unknown word {_shown(key)} before the support vectors")
    return kind, kernel, _parameters(header, kernel), _real(header["rho"], "rho")


def _parameters(header: dict[str, str], kernel: str) -> dict[str, float]:
    parameters: dict[str, float] = {}
    for key in _KERNELS[kernel]:
        if key not in header:
            raise ValueError(f"no {key}, which the kernel {kernel} needs")
        if key == "degree":
            if not _INTEGER.fullmatch(header[key]) or not 1 <= int(header[key]) <= _MAX_DEGREE:
                raise ValueError(f"degree is {_shown(header[key])}, it must be in 1..{_MAX_DEGREE}")
            parameters[key] = int(header[key])
        else:
            parameters[key] = _real(header[key], key)
    if parameters.get("gamma", 1.0) <= 0:
        raise ValueError(f"gamma is {parameters['gamma']:g}, it must be above 0")
    return parameters


def _vector(line: str, number: int, features: int) -> tuple[float, dict[int, float]]:
    weight, *words = line.split()
    components: dict[int, float] = {}
    last = 0
    for word in words:
        index, colon, value = word.partition(":")
        if not colon or not _INTEGER.fullmatch(index):
            raise ValueError(f"line {number}: {_shown(word)} is not of the form index:value")
        if not last < int(index) <= features:
            raise ValueError(
                f"line {number}: index {index} after {last}, but indices rise from 1 to {features}, the number of features"
            )
        last = int(index)
        components[last] = _real(value, f"line {number}")
    return _real(weight, f"line {number}"), components


def _real(text: str, where: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {_shown(text)} is not a finite number")
    return value


def _shown(value: Any) -> str:
    """Quote a value of a file on one line, cut short."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a file.

    Attributes:
        features: names of its features as the file gives them, with their options.
        collective: whether it is a member of a bootstrap collection by its type.
        transform: "none", "off" or "on": whether it has a transform of its score, and whether that is applied.
    """

    features: tuple[tuple[str, dict[str, bool | int | float | str]], ...]
    collective: bool
    transform: Literal["none", "off", "on"]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A checked file.

    Attributes:
        members: the model, or the models of a collection: the first is the lead, which takes no part in the score.
        collection: whether the file is a collection.
        sha256: hash of the file's bytes.
        text: what libvmaf reads: the same values, and nothing else.
    """

    members: tuple[Member, ...]
    collection: bool
    sha256: str
    text: bytes


def read_model_file(path: Path) -> ModelFile:
    """Read and check a model or a collection.

    Raises:
        MissingFileError: the file does not exist.
        IntegrityError: it is not JSON, or larger than `MAX_BYTES`.
        InputError: it is not a model that libvmaf can score with; the message names the place in the file.
    """
    data = read_bytes(path, MAX_BYTES)
    document = parse_json(data, str(path))
    try:
        if not isinstance(document, dict):
            raise ValueError(f"it holds {_shown(document)}, not an object")
        collection = "model_dict" not in document
        blocks = list(_members(document)) if collection else [("", document)]
        checked = [(key, *_check(key, block)) for key, block in blocks]
        if collection:
            _check_collection([model.model_type for _, model, _ in checked])
    except ValueError as error:
        # pydantic words some errors on several lines.
        raise InputError(f"{path} is not a model in libvmaf's JSON format: {' '.join(str(error).split())}") from None
    written = {key: _written(model, svm) for key, model, svm in checked}
    text = json.dumps(written if collection else written[""], allow_nan=False)
    return ModelFile(tuple(_member(model) for _, model, _ in checked), collection, sha256_bytes(data), text.encode())


def _members(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the models of a collection. libvmaf skips one that is not where its number says."""
    for number, (key, block) in enumerate(document.items()):
        if key != str(number):
            raise ValueError(
                f"it has neither the key 'model_dict' nor models numbered from 0 in order: {_shown(key)} is where "
                f"{str(number)!r} is due"
            )
        if not isinstance(block, dict) or "model_dict" not in block:
            raise ValueError(f"member {key} does not have the key 'model_dict'")
        yield key, block
    if len(document) < 2:
        raise ValueError(f"a collection has two or more models, this has {len(document)}")


def _check(key: str, block: dict[str, Any]) -> tuple[_Model, Svm]:
    where = f"member {key}: " if key else ""
    try:
        model = _Model.model_validate(block["model_dict"])
    except ValidationError as error:
        unknown = next((item for item in error.errors() if item["type"] == "extra_forbidden"), None)
        if unknown is not None:
            *parents, name = map(str, unknown["loc"])
            valid = _Transform.model_fields if "score_transform" in parents else _Model.model_fields
            raise ValueError(f"{where}{unknown_name('key', name, valid)}") from None
        raise ValueError(f"{where}{problems(error, 1).removeprefix('the document: ')}") from None
    try:
        svm = parse_svm(model.model, len(model.feature_names))
    except ValueError as error:
        raise ValueError(f"{where}the support vector machine: {error}") from None
    slopes, intercepts = model.scaling
    inputs = [abs(a) * _LARGEST_FEATURE + abs(b) for a, b in zip(slopes[1:], intercepts[1:], strict=True)]
    bound = (svm.largest(inputs) + abs(intercepts[0])) / abs(slopes[0])
    largest = bound if model.score_transform is None else max(bound, model.score_transform.largest(bound))
    if not (bound <= _LARGEST_PREDICTION and math.isfinite(largest)):
        raise ValueError(f"{where}its numbers are too large: scores would overflow")
    return model, svm


def _check_collection(types: Sequence[str]) -> None:
    if "LIBSVMNUSVR" in types or len(set(types)) > 1:
        raise ValueError(
            f"model_type is {', '.join(sorted(set(types)))}: all members of a collection are BOOTSTRAP_LIBSVMNUSVR, "
            "or all RESIDUEBOOTSTRAP_LIBSVMNUSVR"
        )


def _member(model: _Model) -> Member:
    options = model.feature_opts_dicts or [{} for _ in model.feature_names]
    transform = model.score_transform
    state: Literal["none", "off", "on"] = "none" if transform is None else "on" if transform.enabled else "off"
    return Member(tuple(zip(model.feature_names, options, strict=True)), model.model_type != "LIBSVMNUSVR", state)


def _written(model: _Model, svm: Svm) -> dict[str, Any]:
    """Return the block for libvmaf, which does not read keys that are null."""
    block = model.model_dump(exclude_none=True, exclude={"feature_dict"})
    if not block.get("chroma_correction_parameter"):
        # libvmaf returns no score at all if the parameter is 0, which stands for no correction.
        block.pop("chroma_correction_parameter", None)
    return {"model_dict": {**block, "model": svm.text}}
