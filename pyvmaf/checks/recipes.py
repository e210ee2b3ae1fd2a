"""``vmaf-train calibrate-recipes``: recipes of classes of content for the choice of encodes, from opinion scores.

A recipe moves the target of a class, says how wide an interval of predictions may be, how strongly saliency may shift bits,
and whether one rung is enough. A class with enough rated videos is measured; the others are fixed adjustments of the class
``ugc`` and are marked as proxies.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
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
    Share,
    Size,
    publish,
)
from pyvmaf.base.files import sha256_file
from pyvmaf.base.opinion import check_on_scale, shown_scale
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.base.table import Table
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.labels.rows import read_rows
from pyvmaf.labels.scales import default_map, scale_map

ANCHOR = "ugc"
"""The class that rows have unless they say another, and that proxies are derived from."""

MAP = scale_map("phase-f")
"""How opinion scores of 1 to 5 become VMAF."""

OFFSET_MAX = 2.0
"""Largest absolute offset of a target, VMAF."""

WIDTHS = (1.5, 3.5)
"""Limits of the width of an interval, VMAF."""

LEAST_FOR_OFFSET = 4
"""Rows below which quartiles say nothing, and the offset is 0."""

LOW_MOS = 3.0
"""Landscape videos below this score are counted as those that saliency helps."""

AGGRESSIVE, VERY_AGGRESSIVE = 0.30, 0.55
DOMINANCE = 0.90

_OF_50, _OF_90 = 0.674, 1.645
_SCALE = (1.0, 5.0)

Intensity = Literal["default", "aggressive", "very_aggressive"]
Source = Literal["measured", "proxy"]


class Adjustment(Part):
    """How a class that is not measured differs from `ANCHOR`."""

    target_vmaf_offset_abs: float = Field(description="The offset itself, VMAF")
    tight_interval_width_factor: float = Field(description="Width as a share of that of ugc")
    saliency_benefit_fraction: Share
    force_single_rung: bool


@dataclass(frozen=True)
class Proxy:
    """A class that can be derived from `ANCHOR`.

    Attributes:
        adjustment: what differs.
        keys: the keys of its recipe.
    """

    adjustment: Adjustment
    keys: tuple[str, ...]


def _proxy(offset: float, factor: float, saliency: float, single: bool, *keys: str) -> Proxy:
    return Proxy(
        Adjustment(
            target_vmaf_offset_abs=offset,
            tight_interval_width_factor=factor,
            saliency_benefit_fraction=saliency,
            force_single_rung=single,
        ),
        keys,
    )


OFFSET, WIDTH, SALIENCY, SINGLE = (
    "target_vmaf_offset",
    "tight_interval_max_width",
    "saliency_intensity",
    "force_single_rung",
)

PROXIES: Table[Proxy] = {
    "animation": _proxy(2.0, 0.50, 0.45, True, OFFSET, WIDTH, SALIENCY, SINGLE),
    "screen_content": _proxy(1.0, 0.70, 0.65, False, OFFSET, SALIENCY),
    "live_action_hdr": _proxy(0.0, 0.40, 0.10, False, OFFSET, WIDTH),
}
"""The classes beside `ANCHOR`."""

CLASSES = (ANCHOR, *PROXIES)


class LabelFile(Part):
    """A file of rated videos."""

    name: Name
    sha256: Sha256
    content_class: Name = Field(description="Of its rows whose class column says no other")
    rows: Count
    without_score: Count = Field(description="Rows whose score is missing; they are left out")
    without_size: Count = Field(description="Rows that do not count for saliency and sizes")


class Corpus(Part):
    """The rated videos, all files together."""

    name: Name
    path: Name = Field(description="File names")
    rows_total_expected: Positive | None = Field(description="null: not stated")
    rows_in_jsonl: Count
    rows_used_for_calibration: Count
    notes: list[Name]
    files: list[LabelFile]


class LinearMap(Part):
    """VMAF = intercept + slope x MOS, from 0 to 100."""

    slope: float
    intercept: float


class CutPoints(Part):
    """Shares of videos that saliency helps, from which a class takes a stronger intensity."""

    aggressive: Share
    very_aggressive: Share


class Baseline(Part):
    """Opinion scores of the class ugc, 1 to 5."""

    mean: float
    median: float
    n: Positive
    stdev: Size | None = Field(description="Of a sample; null: one video")


class Metadata(Part):
    """What the recipes were made of."""

    schema_version: Literal[1] = 1
    phase: Literal["F.5"] = "F.5"
    adr: Literal["ADR-0325"] = "ADR-0325"
    corpus: Corpus
    mos_to_vmaf_mapping: LinearMap
    saliency_cut_points: CutPoints
    single_rung_dominance_fraction: Share
    ugc_baseline_mos: Baseline


class RecipeProvenance(Part):
    """Where the numbers of a recipe come from."""

    source: Source
    keys: dict[str, Source] = Field(description="Source of each key; what no opinion score says is a proxy")
    rows_used: Count
    offset_before_limits: OptionalKey[float] = None
    width_before_limits: OptionalKey[Size] = None
    saliency_benefit_fraction: OptionalKey[Share] = Field(
        default=None, description="Share of landscape videos with a MOS below 3, which stands for a measured benefit"
    )
    resolution_dominance: OptionalKey[Share] = Field(
        default=None, description="Share of the most frequent size; recorded, and not used"
    )
    anchor: OptionalKey[Name] = None
    adjustment: OptionalKey[Adjustment] = None


class Recipe(Part):
    """What a class of content changes; a key that is left out changes nothing."""

    target_vmaf_offset: OptionalKey[Annotated[float, Field(ge=-OFFSET_MAX, le=OFFSET_MAX)]] = None
    tight_interval_max_width: OptionalKey[Size] = None
    saliency_intensity: OptionalKey[Intensity] = None
    force_single_rung: OptionalKey[bool] = None
    provenance: RecipeProvenance = Field(alias="_provenance")


class Recipes(Document):
    """Recipes by class of content."""

    title: ClassVar[str] = "Recipes of calibrate-recipes (recipes.json): what each class of content changes"

    metadata: Metadata
    recipes: dict[Name, Recipe]
    run_provenance: RunProvenance


@dataclass
class Rated:
    """The rated videos of a class.

    Attributes:
        mos: scores, 1 to 5.
        sizes: (width, height, MOS) of those whose size is stated.
    """

    mos: list[float] = field(default_factory=list)
    sizes: list[tuple[int, int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Columns:
    """Where rows have what is read.

    Attributes:
        mos: names of the column of scores; the first that a row has is read.
        content_class: name of the column of classes; None for none.
        classes: class, by the value of that column.
        scale: of scores of rows that have no ``mos_scale``; None if every row has it.
    """

    mos: tuple[str, ...] = ("mos",)
    content_class: str | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    scale: tuple[float, float] | None = None


def file_of(word: str) -> tuple[str, Path]:
    """Split an argument of the form [CLASS=]FILE into the class, by default `ANCHOR`, and the file."""
    name, equals, path = word.partition("=")
    if equals and name.replace("_", "").isalnum():
        return name, Path(path)
    return ANCHOR, Path(word)


def columns_of(
    mos: Sequence[str], content_class: str | None, classes: Sequence[str], scale: tuple[float, float] | None
) -> Columns:
    """Return the columns to read; the classes are of the form CLASS=VALUE.

    Raises:
        InputError: a class is not of this form, a value is of two classes, or the column and the classes are not both given.
    """
    if bool(classes) != (content_class is not None):
        raise InputError("--class-column and --class belong together: name the column, and the values of each class")
    by_value: dict[str, str] = {}
    for word in classes:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise InputError(f"--class {word!r} is not of the form CLASS=VALUE, for example animation=Animation")
        if by_value.setdefault(value, name) != name:
            raise InputError(f"--class: {value!r} is of two classes, {by_value[value]} and {name}")
    return Columns(tuple(mos), content_class, by_value, scale)


def quartiles(mos: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and the quartiles of scores in VMAF: (mean, q25, q75). The quantile p of n values is at (n + 1) p."""
    vmaf = np.array([MAP.value(score) for score in mos])
    low, high = np.quantile(vmaf, [0.25, 0.75], method="weibull")
    return float(vmaf.mean()), float(low), float(high)


def target_offset(mos: Sequence[float]) -> tuple[float, float]:
    """Return the offset of a class, VMAF: within the limits and rounded to 1 decimal, and as it was before.

    It is -1/2 ((mean - q25) - (q75 - mean)), and 0 of fewer than `LEAST_FOR_OFFSET` scores.
    """
    if len(mos) < LEAST_FOR_OFFSET:
        return 0.0, 0.0
    mean, low, high = quartiles(mos)
    offset = -0.5 * ((mean - low) - (high - mean))
    return round(min(max(offset, -OFFSET_MAX), OFFSET_MAX), 1), offset


def interval_width(mos: Sequence[float]) -> tuple[float, float]:
    """Return the width of a class, VMAF: within `WIDTHS` and rounded to 2 decimals, and as it was before.

    It is the range between the quartiles, brought from 50 % of a normal distribution to 90 %; 3 of no scores.
    """
    if not mos:
        return 3.0, 3.0
    _, low, high = quartiles(mos)
    width = (high - low) * (_OF_90 / _OF_50)
    return round(min(max(width, WIDTHS[0]), WIDTHS[1]), 2), width


def saliency_fraction(sizes: Sequence[tuple[int, int, float]]) -> float:
    """Return the share of videos that are as wide as high or wider and have a MOS below `LOW_MOS`; .1 of none."""
    if not sizes:
        return 0.10
    return sum(width >= height and mos < LOW_MOS for width, height, mos in sizes) / len(sizes)


def intensity(fraction: float) -> Intensity:
    """Return the intensity for a share of videos that saliency helps."""
    if fraction >= VERY_AGGRESSIVE:
        return "very_aggressive"
    return "aggressive" if fraction >= AGGRESSIVE else "default"


@publishes("calibrate-recipes")
def calibrate_recipes(
    files: Sequence[tuple[str, Path]],
    output: Path,
    *,
    columns: Columns = Columns(),
    max_rows: int = 0,
    min_class_rows: int = 30,
    corpus: str | None = None,
    rows_expected: int | None = None,
) -> Recipes:
    """Calibrate recipes from rated videos.

    Args:
        files: class and file of rated videos (.jsonl of the verb labels, .csv, .parquet). ``width`` and ``height``, or the
            sizes that a dataset's own list states (``*_width_manifest``), are read where rows have them.
        output: the recipes (.json).
        columns: columns to read.
        max_rows: rows of each file, from its start; 0 for all.
        min_class_rows: rated videos from which a class is measured.
        corpus: name of the corpus; None for those that rows state, or the name of their file.
        rows_expected: rows that the whole corpus has; None if it is not known.

    Returns:
        The recipes.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: a class is unknown, a file is given twice, a row has no score column or a score off its scale, or `ANCHOR`
            has too few rows.
    """
    claim(output)
    for name in (*(name for name, _ in files), *columns.classes.values()):
        if name not in CLASSES:
            raise unknown_name("class of content", name, CLASSES)
    _check_distinct([path for _, path in files])
    call = Call(
        "calibrate-recipes",
        args={
            "classes_of_files": [name for name, _ in files],
            "mos_columns": list(columns.mos),
            "class_column": columns.content_class,
            "classes": dict(columns.classes),
            "scale": None if columns.scale is None else list(columns.scale),
            "max_rows": max_rows,
            "min_class_rows": min_class_rows,
            "corpus": corpus,
            "rows_expected": rows_expected,
        },
        inputs={"labels": [path for _, path in files]},
    )
    rated = {name: Rated() for name in CLASSES}
    corpora: dict[str, None] = {}
    read = [_read(path, name, columns, max_rows, rated, corpora) for name, path in files]
    if (anchored := len(rated[ANCHOR].mos)) < max(1, min_class_rows):
        raise InputError(
            f"{', '.join(str(path) for _, path in files)}: class {ANCHOR}, which every proxy is derived from, has {anchored} "
            f"rated videos, but {max(1, min_class_rows)} are needed: give more, or lower --min-class-rows"
        )
    anchor = _measured(ANCHOR, rated[ANCHOR])
    recipes = {ANCHOR: anchor}
    for name, proxy in PROXIES.items():
        enough = len(rated[name].mos) >= max(1, min_class_rows)
        recipes[name] = _measured(name, rated[name]) if enough else _derived(proxy, anchor, len(rated[name].mos))
    document = Recipes(
        metadata=Metadata(
            corpus=Corpus(
                name=corpus or "+".join(corpora),
                path=" ".join(path.name for _, path in files),
                rows_total_expected=rows_expected,
                rows_in_jsonl=sum(file.rows for file in read),
                rows_used_for_calibration=sum(len(item.mos) for item in rated.values()),
                notes=_notes(recipes, min_class_rows),
                files=read,
            ),
            mos_to_vmaf_mapping=LinearMap(slope=MAP.slope, intercept=MAP.offset),
            saliency_cut_points=CutPoints(aggressive=AGGRESSIVE, very_aggressive=VERY_AGGRESSIVE),
            single_rung_dominance_fraction=DOMINANCE,
            ugc_baseline_mos=_baseline(rated[ANCHOR].mos),
        ),
        recipes=recipes,
        run_provenance=call.provenance(),
    )
    return publish(document, output, call)


def _check_distinct(paths: Sequence[Path]) -> None:
    repeated = [path for path, n in Counter(map(os.path.realpath, paths)).items() if n > 1]
    if repeated:
        raise InputError(f"{repeated[0]} is given twice: its videos would count twice")


# ---------------------------------------------------------------------------------------------------------
# Rows


def _read(
    path: Path, of_file: str, columns: Columns, most: int, rated: Mapping[str, Rated], corpora: dict[str, None]
) -> LabelFile:
    """Add the rows of a file to those of their classes."""
    rows = without_score = without_size = 0
    for where, row in read_rows(path, (), nan=True):
        if most and rows == most:
            break
        rows += 1
        if (mos := _mos(row, where, columns)) is None:
            without_score += 1
            continue
        item = rated[_class(row, of_file, columns, where)]
        item.mos.append(mos)
        corpora[str(row.get("corpus") or path.stem)] = None
        if (size := _size(row, where)) is None:
            without_size += 1
        else:
            item.sizes.append((*size, mos))
    return LabelFile(
        name=path.name,
        sha256=sha256_file(path),
        content_class=of_file,
        rows=rows,
        without_score=without_score,
        without_size=without_size,
    )


def _number(value: Any, where: str, name: str) -> float | None:
    """Read a number; None for an empty cell and NaN."""
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where} has {name} {value!r}, which is not a number") from None
    return None if math.isnan(number) else number


def _mos(row: Mapping[str, Any], where: str, columns: Columns) -> float | None:
    """Read the score of a row on 1 to 5; None if it is missing.

    Raises:
        InputError: the row has no column of scores or no scale, or the score lies off it.
    """
    name = next((name for name in columns.mos if name in row), None)
    if name is None:
        raise InputError(
            f"{where} has no column {' or '.join(columns.mos)}: name it with --mos-column; it has {_of(row)}"
        )
    if (score := _number(row[name], where, name)) is None:
        return None
    scale = _scale(row, where, columns.scale)
    try:
        check_on_scale(score, scale)
        mapping = default_map(scale, _SCALE)
    except InputError as err:
        raise InputError(f"{where}: {err}") from err
    return min(max(score, _SCALE[0]), _SCALE[1]) if mapping is None else mapping.value(score)


def _scale(row: Mapping[str, Any], where: str, default: tuple[float, float] | None) -> tuple[float, float]:
    value = row.get("mos_scale")
    if value is None:
        if default is None:
            raise InputError(f"{where} has no mos_scale: name the scale of such rows with --scale LOW,HIGH")
        return default
    if isinstance(value, list) and len(value) == 2 and all(isinstance(end, int | float) for end in value):
        return float(value[0]), float(value[1])
    raise InputError(f"{where} has mos_scale {value!r}, which is not [lowest, highest] as in {shown_scale(_SCALE)}")


def _class(row: Mapping[str, Any], of_file: str, columns: Columns, where: str) -> str:
    if columns.content_class is None or not columns.classes:
        return of_file
    return columns.classes.get(str(row.get(columns.content_class)), of_file)


def _size(row: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    """Read width and height of a video, pixels; None if the row lacks one."""
    sides = []
    for side in ("width", "height"):
        names = [side, *(key for key in row if str(key).endswith(f"_{side}_manifest"))]
        found = (_number(row.get(name), where, name) for name in names)
        sides.append(next((value for value in found if value is not None), None))
    width, height = sides
    if width is None or height is None:
        return None
    if min(width, height) < 1 or not (width.is_integer() and height.is_integer()):
        raise InputError(f"{where} has a size of {width:g}x{height:g}, which no video has")
    return int(width), int(height)


def _of(row: Mapping[str, Any]) -> str:
    return ", ".join(map(str, list(row)[:12]))


# ---------------------------------------------------------------------------------------------------------
# Recipes


def _measured(name: str, rated: Rated) -> Recipe:
    """Make the recipe of a class that has rated videos."""
    offset, offset_before = target_offset(rated.mos)
    width, width_before = interval_width(rated.mos)
    values: dict[str, Any] = {OFFSET: offset, WIDTH: width}
    keys: dict[str, Source] = {OFFSET: "measured", WIDTH: "measured"}
    found: dict[str, float] = {}
    if rated.sizes:
        share = saliency_fraction(rated.sizes)
        sizes = Counter((wide, high) for wide, high, _ in rated.sizes)
        found = {
            "saliency_benefit_fraction": round(share, 3),
            "resolution_dominance": round(max(sizes.values()) / len(rated.sizes), 3),
        }
        values[SALIENCY], keys[SALIENCY] = intensity(share), "proxy"
    if name == ANCHOR or SINGLE in PROXIES[name].keys:
        # The sizes of rated videos say nothing of the sizes that a class is watched in.
        values[SINGLE], keys[SINGLE] = name != ANCHOR and PROXIES[name].adjustment.force_single_rung, "proxy"
    provenance = RecipeProvenance(
        source="measured",
        keys=keys,
        rows_used=len(rated.mos),
        offset_before_limits=offset_before,
        width_before_limits=width_before,
        saliency_benefit_fraction=found.get("saliency_benefit_fraction"),
        resolution_dominance=found.get("resolution_dominance"),
    )
    return Recipe.model_validate({**values, "_provenance": provenance})


def _derived(proxy: Proxy, anchor: Recipe, rows: int) -> Recipe:
    """Make the recipe of a class that has too few rated videos."""
    adjustment = proxy.adjustment
    assert anchor.tight_interval_max_width is not None
    every: dict[str, Any] = {
        OFFSET: adjustment.target_vmaf_offset_abs,
        WIDTH: round(anchor.tight_interval_max_width * adjustment.tight_interval_width_factor, 2),
        SALIENCY: intensity(adjustment.saliency_benefit_fraction),
        SINGLE: adjustment.force_single_rung,
    }
    keys: dict[str, Source] = dict.fromkeys(proxy.keys, "proxy")
    provenance = RecipeProvenance(source="proxy", keys=keys, rows_used=rows, anchor=ANCHOR, adjustment=adjustment)
    return Recipe.model_validate({**{key: every[key] for key in proxy.keys}, "_provenance": provenance})


def _baseline(mos: Sequence[float]) -> Baseline:
    values = np.asarray(mos)
    return Baseline(
        mean=round(float(values.mean()), 4),
        median=round(float(np.median(values)), 4),
        n=len(mos),
        stdev=round(float(values.std(ddof=1)), 4) if len(mos) > 1 else None,
    )


def _notes(recipes: Mapping[str, Recipe], least: int) -> list[str]:
    notes = []
    for name, recipe in recipes.items():
        facts = recipe.provenance
        if facts.source == "proxy":
            notes.append(f"{name} is a proxy: {facts.rows_used} rated videos, {least} are needed to measure it")
            continue
        if facts.saliency_benefit_fraction is None:
            notes.append(f"{name} has no saliency_intensity: no row states the size of its video")
        if facts.width_before_limits is not None and not WIDTHS[0] <= facts.width_before_limits <= WIDTHS[1]:
            notes.append(
                f"{name}: the width of {facts.width_before_limits:.2f} VMAF is outside of the limits, {WIDTHS[0]:g} to "
                f"{WIDTHS[1]:g}: the limit stands in the recipe"
            )
    return notes
