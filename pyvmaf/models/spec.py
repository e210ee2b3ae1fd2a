"""A model is data: the schema of ``config/models/{model}.yaml``.

A file names its family by ``kind``. `ModelSpec` has the sections that every family has; a family's spec class adds its
own. `load_spec` reads a file with the class of its kind.
"""

from __future__ import annotations

import difflib
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator, model_validator

from pyvmaf.base import families
from pyvmaf.base.code import Uses
from pyvmaf.base.families import DEFAULT_KIND, FAMILIES, load_part
from pyvmaf.base.files import read_yaml
from pyvmaf.base.opinion import MOS, read_scale, shown_scale
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.base.section import Section
from pyvmaf.errors import InputError, shown, unknown_name
from pyvmaf.splits import CONTENT_HASH_POLICY, CONTENT_HASH_SEED, HOLDOUT_MODES


class Target(Section):
    """The column that is predicted."""

    table: str = Field(default="default", description="Name of the table in results/tables that is trained on.")
    column: str = Field(default="vmaf", description="Column of the table to predict.")
    range: tuple[float, float] = Field(
        default=(0.0, 100.0),
        description="Range that the target has, which is that of the scores. Of a model of `mos` it is the scale that the "
        "table states, and need not be written; another one is refused.",
    )
    clip: bool = Field(
        default=True,
        description="Keep scores inside `range`, in the graph too, as libvmaf does with its own. The network is trained "
        "on what it answers before that. A target with values outside of `range` is refused.",
    )
    standardise: bool = Field(
        default=True,
        description="Fit (target - mean) / std of the training rows; the inverse is folded into the last layer. Raw "
        "targets of 0 to 100 leave small networks far from converged, and some with no unit alive.",
    )

    @property
    def states_range(self) -> bool:
        """Whether the file states `range`."""
        return "range" in self.model_fields_set

    @model_validator(mode="after")
    def _ordered(self) -> Target:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range must be [low, high] with low < high, not {list(self.range)}")
        return self


class Optimiser(Section):
    """The optimiser of the training."""

    name: Literal["adam", "adamw"] = Field(
        default="adam", description="adam adds weight decay to the gradient, adamw does not."
    )
    lr: float = Field(default=1e-3, gt=0, description="Learning rate.")
    weight_decay: float = Field(default=0.0, ge=0, description="Weight decay.")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment.")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Decay of the second moment.")
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of the second moment.")


_MODE_NAMES = {
    "netflix-source": "primary-source",
    "konvid-holdout": "secondary-holdout",
    "netflix-source-and-konvid-holdout": "primary-source-and-secondary-holdout",
    "netflix-only": "primary-only",
    "konvid-only": "secondary-only",
}
HoldoutMode = Literal[
    "primary-source",
    "secondary-holdout",
    "primary-source-and-secondary-holdout",
    "primary-only",
    "secondary-only",
    "netflix-source",
    "konvid-holdout",
    "netflix-source-and-konvid-holdout",
    "netflix-only",
    "konvid-only",
]


def _plain_mode(mode: str) -> str:
    return _MODE_NAMES.get(mode, mode)


_SPLIT_KEYS: dict[str, tuple[str, ...]] = {
    "leave_one_out": (),
    "kfold": ("k", "seed"),
    "hash_kfold": ("k",),
    "hash": ("val_share", "test_share"),
    "content_hash": ("seed",),
    "holdout": ("mode", "primary", "secondary", "source", "share", "seed"),
    "named": ("values",),
}


class Split(Section):
    """Which rows are held out together."""

    protocol: Literal["leave_one_out", "kfold", "hash_kfold", "hash", "content_hash", "holdout", "named"] = Field(
        default="leave_one_out",
        description="leave_one_out: a fold per value of `by`. kfold: `k` folds over whole values. hash_kfold: `k` "
        "folds by a hash of the value, which keeps its fold if others come. hash: one fold, by a hash of the value. content_hash: one fold of 80/10/10, policy content-name-blake2s-80-10-10. holdout: one "
        "fold over two corpora, see `mode`. named: one fold, which holds `values` out; the model that ships is not trained on "
        "them either.",
    )
    by: str = Field(
        default="source",
        min_length=1,
        description="Column whose values stay together: source (the scene; LOSO), group (the film or recording session, "
        "which is harder), or any other of the table.",
    )
    beside: Annotated[str, Field(min_length=1)] | tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        default=None,
        description="Column, usually group, or several, whose values are left out one by one as well, for figures beside "
        "those of the protocol; null: none. Where it divides the table as `by` does there is nothing to add.",
    )
    shared_sources: bool = Field(
        default=False,
        description="Let a source be on both sides of a fold, as leaving out one codec needs. The figures then say "
        "nothing about pictures that the model has not seen.",
    )
    k: int = Field(default=5, ge=2, description="kfold, hash_kfold: number of folds.")
    seed: int | str | None = Field(
        default=None,
        description="kfold, holdout: a whole number that the values are shuffled with, null for 0. content_hash: text "
        f"that goes into the hash, null for {CONTENT_HASH_SEED}.",
    )
    val_share: float = Field(default=0.1, ge=0, lt=1, description="hash: share of the values for validation.")
    test_share: float = Field(default=0.1, gt=0, lt=1, description="hash: share of the values to judge on.")
    mode: Annotated[HoldoutMode, AfterValidator(_plain_mode)] | None = Field(
        default=None,
        description="holdout: the held-out rows: `source` of the primary corpus, a `share` of the secondary's values, or "
        "both; the `-only` modes leave the other corpus out of training, too. The names with netflix and konvid mean "
        "the same.",
    )
    primary: str | None = Field(default=None, min_length=1, description="holdout: name of the primary corpus.")
    secondary: str | None = Field(default=None, min_length=1, description="holdout: name of the secondary corpus.")
    source: str | None = Field(
        default=None, min_length=1, description="holdout: the value of `by` that is held out of the primary corpus."
    )
    share: float = Field(
        default=0.1, gt=0, lt=1, description="holdout: share of the secondary corpus's values that is held out."
    )
    values: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="named: the values of `by` that no model is trained on.",
        exclude_if=lambda values: not values,
    )

    @model_validator(mode="after")
    def _keys_of_the_protocol(self) -> Split:
        used = _SPLIT_KEYS[self.protocol]
        for key in sorted(set().union(*_SPLIT_KEYS.values()) - set(used)):
            if getattr(self, key) != type(self).model_fields[key].default:
                owners = ", ".join(name for name, keys in _SPLIT_KEYS.items() if key in keys)
                raise ValueError(f"{key} is not a key of protocol {self.protocol}, but of {owners}")
        if self.protocol == "content_hash" and isinstance(self.seed, int):
            raise ValueError(
                f"the seed of content_hash is text such as {CONTENT_HASH_SEED}, not the number {self.seed}"
            )
        if self.protocol in ("kfold", "holdout") and (
            isinstance(self.seed, str) or (self.seed is not None and self.seed < 0)
        ):
            raise ValueError(f"the seed of {self.protocol} is a whole number of 0 or more, not {self.seed!r}")
        if self.val_share + self.test_share >= 1:
            raise ValueError(f"val_share {self.val_share} and test_share {self.test_share} leave nothing to train on")
        if self.protocol == "named" and not self.values:
            raise ValueError(f"named needs values: those of {self.by} that are held out")
        if self.protocol == "holdout":
            if self.mode is None:
                raise ValueError(f"holdout needs a mode: {', '.join(HOLDOUT_MODES)}")
            out_of_primary, out_of_secondary = HOLDOUT_MODES[self.mode]
            needed = [("primary", out_of_primary is not None), ("secondary", out_of_secondary is not None)]
            for key, wanted in [*needed, ("source", out_of_primary is True)]:
                if wanted and getattr(self, key) is None:
                    raise ValueError(f"holdout of mode {self.mode} needs {key}")
        return self

    @property
    def number(self) -> int:
        """The seed as a number."""
        return self.seed if isinstance(self.seed, int) else 0

    @property
    def text(self) -> str:
        """The seed as text."""
        return self.seed if isinstance(self.seed, str) else CONTENT_HASH_SEED

    @property
    def columns_beside(self) -> tuple[str, ...]:
        """The columns of `beside`."""
        return (self.beside,) if isinstance(self.beside, str) else self.beside or ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the protocol reads."""
        names = (
            self.by,
            *self.columns_beside,
            *(("corpus",) if self.protocol == "holdout" else ()),
        )
        return tuple(dict.fromkeys(names))

    def described(self) -> dict[str, Any]:
        """The division of the rows, for reports: the protocol, `by`, and the keys that the protocol uses."""
        out: dict[str, Any] = {"protocol": self.protocol, "by": self.by, "shared_sources": self.shared_sources}
        out |= {key: getattr(self, key) for key in _SPLIT_KEYS[self.protocol]}
        if self.protocol == "content_hash":
            out |= {"policy": CONTENT_HASH_POLICY, "seed": self.text}
        elif "seed" in out:
            out["seed"] = self.number
        return out


class HardNegatives(Section):
    """Limits on pairs that no ladder holds; see `pyvmaf.features.negatives.CASES`. All in units of the target."""

    identical_min: float = Field(
        default=90.0, description="Least score of a clip against itself; a clip's score is the mean of its frames."
    )
    flat_min: float = Field(default=90.0, description="Least score of a picture of one grey against itself.")
    black_max: float = Field(
        default=20.0,
        description="Largest score of a black picture and of noise, or of the teacher plus teacher_error_max if that is "
        "more.",
    )
    swapped_max: float = Field(
        default=20.0,
        description="Largest score of another clip and of the mirrored clip, or of the teacher plus teacher_error_max if "
        "that is more.",
    )
    teacher_error_max: float = Field(
        default=10.0,
        ge=0,
        description="Largest |score - teacher's score| of all other cases: a frozen, late or otherwise spoilt clip, and a clip against a flat reference.",
    )
    range_margin: float = Field(
        default=10.0,
        ge=0,
        description="How far beyond target.range the score of any frame of any case may lie before it is clipped; it must "
        "be finite, too.",
    )


class Monotonicity(Section):
    """Limit on ladders: of two rungs of a clip by one codec and preset, the weaker one (lower CRF) is better."""

    tolerance: float = Field(
        default=1.0,
        ge=0,
        description="How much worse, in units of the target, a weaker rung may be predicted; if the teacher itself has "
        "it worse, by that amount more.",
    )


class Extrapolation(Section):
    """Limit on groups that are held out in addition to the sources (split.beside)."""

    worst_plcc_min: float | None = Field(
        default=0.95,
        ge=-1,
        le=1,
        description="PLCC that each group reaches which a seed did not see, in every seed; null: reported only.",
    )
    above_baselines: bool = Field(
        default=False,
        description="Ask for a larger SROCC on each such group, mean over the seeds, than simpler answers have: the teacher's "
        "score, where it is an input, and the ridge regression of network.base.",
    )


class Pooled(Section):
    """Limits on the figures over the held-out rows of all folds together, as opinion models are judged."""

    plcc_min: float | None = Field(default=None, ge=-1, le=1, description="Least PLCC of each seed; null: no limit.")
    srocc_min: float | None = Field(default=None, ge=-1, le=1, description="Least SROCC of each seed; null: no limit.")
    rmse_max: float | None = Field(
        default=None, gt=0, description="Largest RMSE of each seed, in units of the target; null: no limit."
    )


class Gates(Section):
    """Limits that a model must keep over all seeds to be promoted."""

    mean_plcc_min: float = Field(default=0.95, ge=-1, le=1, description="Mean over seeds of the mean PLCC over folds.")
    plcc_spread_max: float = Field(default=0.005, ge=0, description="Largest minus smallest mean PLCC among the seeds.")
    per_seed_min: float = Field(default=0.95, ge=-1, le=1, description="Mean PLCC that each seed must reach.")
    pooled: Pooled | None = Field(
        default=None,
        description="Limits on the figures over the held-out rows of all folds together; null: not judged.",
    )
    hard_negatives: HardNegatives | None = Field(
        default=HardNegatives(),
        description="Limits on flat, frozen, black and swapped pictures; null: not judged, and none are made.",
    )
    monotonicity: Monotonicity | None = Field(
        default=Monotonicity(), description="Limit on the order within a ladder; null: not judged."
    )
    extrapolation: Extrapolation = Field(
        default=Extrapolation(), description="Limit on groups that are held out in addition to the sources."
    )


class Rows(Section):
    """Which rows are trained on."""

    negatives: bool = Field(
        default=False,
        description="Train on hard negatives, too (--negatives of fit): frozen, black, swapped and otherwise spoilt pictures "
        "of the scenes that a fold trains on, with the teacher's score. Figures are of the table's rows alone.",
    )

    max_dropped_share: float = Field(
        default=0.05, ge=0, lt=1, description="Refuse a table where more than this share of rows lacks a needed value."
    )
    unlisted_encoders: Literal["refuse", "leave_out"] = Field(
        default="refuse",
        description="Rows of encoders that have no slot in the codec vocabulary: refuse the table, or leave such rows "
        "out and count them.",
    )
    outside_target: Literal["refuse", "leave_out"] = Field(
        default="refuse",
        description="Rows whose target lies outside of target.range: refuse the table where scores are kept inside that "
        "range, or leave such rows out and count them with those that lack a value.",
    )
    hdr: bool = Field(
        default=False,
        description="Whether HDR videos are among the rows, which tables do not say; without them, scores of HDR videos "
        "come with a warning.",
    )


class Export(Section):
    """The ONNX file."""

    opset: Literal[17] = Field(default=17, description="Operator set.")
    tolerance: float = Field(
        default=1e-5,
        gt=0,
        le=1e-4,
        description="Largest |torch - onnxruntime|, relative to the width of the target's range.",
    )
    scaler: Literal["baked", "sidecar"] = Field(
        default="baked",
        description="baked: the graph takes raw features. sidecar: the caller scales with the sidecar's figures.",
    )
    max_bytes: int = Field(default=1_000_000, ge=1, le=50_000_000, description="Refuse a larger file.")


DROP_BUDGETS = {"dynamic": 0.01, "static": 0.005, "static_qdq": 0.01, "qat": 0.002}
"""Largest mean drop of PLCC through int8 on held-out rows, by mode."""


class Quantised(Section):
    """One int8 variant."""

    mode: Literal["dynamic", "static", "static_qdq", "qat"] = Field(
        default="static_qdq",
        description="How it is quantised; also the file's name. dynamic: int8 weights, activations as they come; it "
        "needs operators that no model may have, so it is measured and refused. static: one scale per weight tensor. "
        "static_qdq: one per output channel. qat: that after a fine-tuning that sees the rounding.",
    )
    budget: float | None = Field(
        default=None,
        ge=0,
        description="Largest mean drop of PLCC on held-out rows; null for that of the mode: "
        + ", ".join(f"{mode} {budget:g}" for mode, budget in DROP_BUDGETS.items())
        + ".",
    )
    rmse_max: float | None = Field(
        default=None,
        gt=0,
        description="Largest RMSE between int8 and fp32 on held-out rows, in units of the target; null for 1 % of the "
        "width of its range.",
    )
    srocc_min: float = Field(
        default=0.995,
        ge=-1,
        le=1,
        description="Least rank agreement: SROCC between int8 and fp32 scores of a fold's held-out rows, mean over folds.",
    )
    calibration_rows: int = Field(
        default=65_536,
        ge=1,
        le=1 << 24,
        description="Rows of the training sources that activation ranges are measured on, at most.",
    )
    epochs: int = Field(default=3, ge=0, le=10_000, description="qat: passes over the training rows.")
    lr: float | None = Field(
        default=None, gt=0, description="qat: learning rate, falling to 0; null for a tenth of the optimiser's."
    )
    batch_size: int = Field(
        default=512,
        ge=1,
        le=1 << 20,
        description="qat: rows per step; networks of pictures take as many as in their training.",
    )

    @model_validator(mode="after")
    def _keys_of_the_mode(self) -> Quantised:
        for key in ("epochs", "lr", "batch_size"):
            if self.mode != "qat" and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} is a key of mode qat only: {self.mode} trains nothing")
        return self

    @property
    def largest_drop(self) -> float:
        """`budget`, or that of the mode."""
        return DROP_BUDGETS[self.mode] if self.budget is None else self.budget

    def learning_rate(self, optimiser: Optimiser) -> float:
        """`lr`, or a tenth of the optimiser's."""
        return optimiser.lr / 10 if self.lr is None else self.lr


class Ensemble(Section):
    """The seeds of a model used together: their mean, and an interval around it."""

    nominal_coverage: float = Field(
        default=0.95, ge=0.5, le=0.999, description="Share of rows that the intervals are to hold."
    )
    method: Literal["normalised", "conformal", "gaussian"] = Field(
        default="normalised",
        description="How wide intervals are. normalised, conformal: calibrated on held-out residuals, divided by the "
        "members' disagreement with or without its mean added. gaussian: standard deviations of the members, which say "
        "how much they disagree and not how far off they are together.",
    )
    coverage_tolerance: float = Field(
        default=0.02,
        gt=0,
        le=0.5,
        description="Largest difference between the nominal coverage and the one measured on held-out rows.",
    )


class CommonSpec(Section):
    """The keys that each file of config/models has."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="Also the file's name and the registry id.")
    kind: str = Field(description="The family of the model.")
    description: str = Field(max_length=256, description="One sentence for the registry.")
    license: str = Field(default="BSD-2-Clause-Patent", max_length=128, description="Licence of the weights.")

    @classmethod
    @abstractmethod
    def reads(cls) -> dict[str, list[str]]:
        """Keys that each verb reads: a change of another key does not concern the verb."""

    def uses(self, verb: str) -> Uses:
        """What a verb uses for it in addition to its imports: parts of the family."""
        return families.uses(verb, self.kind)


class ModelSpec(CommonSpec, Section):
    """One file of config/models of a model that is trained: the keys that every such kind has."""

    target: Target = Target()
    optimiser: Optimiser = Optimiser()
    epochs: int = Field(ge=0, le=100_000, description="Passes over the training rows; 0 keeps the initial weights.")
    batch_size: int = Field(
        default=256, ge=1, le=1 << 20, description="Rows per step; the last batch of an epoch may be smaller."
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=1 << 32)], ...] = Field(default=(0, 1, 2), min_length=1)
    split: Split = Split()
    gates: Gates = Gates()
    rows: Rows = Rows()
    export: Export = Export()
    quantised: tuple[Quantised, ...] = (
        Quantised(mode="dynamic"),
        Quantised(mode="static"),
        Quantised(mode="static_qdq"),
        Quantised(mode="qat"),
    )
    ensemble: Ensemble | None = Field(
        default=None, description="Also make one model of all seeds that were judged; null for none."
    )

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"a seed is listed twice: {list(value)}")
        return value

    @field_validator("quantised")
    @classmethod
    def _distinct_modes(cls, value: tuple[Quantised, ...]) -> tuple[Quantised, ...]:
        modes = [q.mode for q in value]
        if len(set(modes)) != len(modes):
            raise ValueError(f"a mode is listed twice: {modes}")
        return value

    @classmethod
    def own_sections(cls) -> tuple[str, ...]:
        """Keys that the family adds to the common ones."""
        return tuple(key for key in cls.model_fields if key not in ModelSpec.model_fields)

    @classmethod
    def reads(cls) -> dict[str, list[str]]:
        """Keys that each verb reads: a change of another key does not concern the verb.

        The keys that a family adds are taken to shape the weights.
        """
        own = cls.own_sections()
        fitted = ["name", "kind", *own, "target", "optimiser", "epochs", "batch_size", "split", "rows"]
        return {
            "fit": fitted,
            "judge": ["name", "kind", *own, "target", "export", "gates", "seeds"],
            "export": [*fitted, "description", "license", "gates", "export"],
            "quantize": [*fitted, "export"],
            "ensemble": ["name", "kind", "description", "license", "ensemble"],
        }

    @property
    def takes_backbone(self) -> bool:
        """Whether fit reads the weights of a published network."""
        return False

    def quantised_mode(self, mode: str) -> Quantised:
        """The settings of one int8 variant.

        Raises:
            InputError: this model has no such variant.
        """
        for candidate in self.quantised:
            if candidate.mode == mode:
                return candidate
        modes = ", ".join(q.mode for q in self.quantised) or "none"
        raise InputError(f"model {self.name} has no quantised mode {mode!r}; it has: {modes}")

    def with_range(self, low: float, high: float) -> Self:
        """Return the spec with this range of the target."""
        return self.model_copy(update={"target": self.target.model_copy(update={"range": (low, high)})})

    def on_table(self, table: Path) -> Self:
        """Return the spec for a table that is to be trained on: a target of opinion scores has the range of their scale.

        Raises:
            MissingFileError, IntegrityError: the table is not there or is damaged.
            InputError: the file states another range than the table's scale.
        """
        if self.target.column != MOS:
            return self
        with ParquetTable(table) as parquet:
            scale = read_scale(parquet.block() or {}, str(table))
        if scale is None or scale == self.target.range:
            return self
        if self.target.states_range:
            low, high = self.target.range
            raise InputError(
                f"model {self.name} has target.range [{low:g}, {high:g}], but the opinion scores of {table} are on the scale "
                f"{shown_scale(scale)}: leave target.range out, or map the table's scores (mos_scale of the table)"
            )
        return self.with_range(*scale)

    def training(self) -> dict[str, Any]:
        """Everything that shapes the weights, as JSON values; without the epochs, because a run may ask for others."""
        return self.model_dump(
            mode="json", include={*self.own_sections(), "target", "optimiser", "batch_size", "split"}
        )


def _valid_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Keys that are allowed beside an unknown one (`loc` ends with the unknown key)."""
    current: Any = model
    for part in loc[:-1]:
        if isinstance(part, str) and isinstance(current, type) and issubclass(current, BaseModel):
            annotation = current.model_fields[part].annotation
            inner = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
            current = inner[0] if inner else annotation
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []


def explain(err: ValidationError, model: type[BaseModel], where: str) -> InputError:
    """Turn the errors of pydantic into one: each key with its value, and the nearest valid key."""
    problems = []
    for item in err.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "the file"
        if item["type"] == "extra_forbidden":
            valid = _valid_keys(model, item["loc"])
            near = difflib.get_close_matches(str(item["loc"][-1]), valid, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            problems.append(f"unknown key {shown(key)}: {hint}valid: {', '.join(valid)}")
        elif item["type"] == "missing":
            problems.append(f"key {key!r} is missing")
        else:
            problems.append(f"{key} = {shown(item['input'])}: {item['msg'].removeprefix('Value error, ')}")
    return InputError(f"{where}: " + "; ".join(problems))


def spec_class(kind: str) -> type[CommonSpec]:
    """The class of the YAML files of a kind.

    Raises:
        InputError: unknown kind.
    """
    return cast(type[CommonSpec], load_part(kind, "spec").SPEC)


def parse_spec(data: Any, where: str) -> ModelSpec:
    """Read the spec of a model that is trained from plain data; arguments and errors are those of `parse_any`."""
    return _trained(parse_any(data, where), where)


def parse_any(data: Any, where: str) -> CommonSpec:
    """Read a spec from plain data.

    Args:
        data: content of a YAML file.
        where: its name, for errors.

    Returns:
        An instance of the spec class of its kind.

    Raises:
        InputError: the kind is unknown; a key is unknown, missing or has a value that is not allowed.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: a model is a mapping of keys, not {type(data).__name__}")
    kind = data.get("kind", DEFAULT_KIND)
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise InputError(f"{where}: {unknown_name('kind', str(kind), FAMILIES)}")
    model = spec_class(kind)
    try:
        return model.model_validate(data)
    except ValidationError as err:
        raise explain(err, model, where) from err


def load_spec(path: Path) -> ModelSpec:
    """Read the spec of a model that is trained.

    Raises:
        MissingFileError, InputError: as `load_any`; also for a model that is converted.
    """
    return _trained(load_any(path), str(path))


def load_any(path: Path) -> CommonSpec:
    """Read the spec in a YAML file; its `name` must be the file's name.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not YAML or not a spec.
    """
    spec = parse_any(read_yaml(path), str(path))
    if spec.name != path.stem:
        raise InputError(f"{path}: name is {spec.name!r}, but the file is called {path.stem!r}: make them the same")
    return spec


def _trained(spec: CommonSpec, where: str) -> ModelSpec:
    if not isinstance(spec, ModelSpec):
        raise InputError(
            f"{where} is a model of kind {spec.kind!r}, which is not trained: convert it (vmaf-train convert)"
        )
    return spec
