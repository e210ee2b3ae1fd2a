"""The report of a fit (``loso.json``) and the verdict over several (``verdict.json``)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from pyvmaf.base.document import (
    Bounds,
    Correlation,
    Count,
    Document,
    ModelId,
    Name,
    OpenPart,
    OptionalKey,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Share,
    Size,
)
from pyvmaf.runtime.sidecar import ConfigHash

PROMOTE, HOLD = "PROMOTE", "HOLD"

# -- the report of a fit -------------------------------------------------------------------------------------------


class Figures(Part):
    """Agreement of predictions with targets; null if not defined."""

    plcc: Correlation | None
    srocc: Correlation | None
    krocc: Correlation | None
    rmse: Size | None


class CountedFigures(Figures):
    """Figures over n rows."""

    n: Positive


class FoldFigures(Figures):
    """A fold's figures on the rows that it did not train on."""

    held_out: Name
    n_train: Positive
    n_val: Positive = Field(description="Rows that were held out and judged on")
    train_loss: float | None = Field(description="null if nothing was trained")
    validation: OptionalKey[CountedFigures] = Field(
        default=None, description="Figures of the rows of a third side, neither trained nor judged on"
    )


class GroupFigures(FoldFigures):
    """A fold's figures on a group that was held out in addition to the sources."""

    baselines: OptionalKey[dict[str, Figures]] = Field(
        default=None, description="Figures of simpler answers on the same rows, by name: an input column, or ridge"
    )


class Folds(Part):
    """Folds, and the means of their figures."""

    n_folds: Positive
    folds: list[FoldFigures] = Field(min_length=1)
    mean_plcc: Correlation | None
    mean_srocc: Correlation | None
    mean_krocc: Correlation | None
    mean_rmse: Size | None
    std_plcc: Size | None = Field(description="ddof 1 over the folds; null for a single one")
    min_plcc: Correlation | None
    max_plcc: Correlation | None


class FoldsBeside(Folds):
    """Folds over other columns, for figures of extrapolation."""

    by: Name = Field(description="The column; of several, separated by commas")
    folds: list[GroupFigures] = Field(min_length=1)  # type: ignore[assignment]


class DroppedRows(Part):
    """Rows left out."""

    rows: Count
    by_column: dict[str, Count] = Field(description="For how many of them each column was the reason")


class TableFacts(Part):
    """The table that was trained on."""

    name: Name
    sha256: Sha256
    rows: Count
    rows_used: Count
    dropped: DroppedRows


class SplitFacts(OpenPart):
    """How the rows were divided: the protocol and the keys that it uses."""

    protocol: Literal["leave_one_out", "kfold", "hash_kfold", "hash", "content_hash", "holdout", "named"]
    by: Name
    shared_sources: bool
    rows_not_used: Count


class NegativeTable(Part):
    """A table of hard negatives."""

    name: Name
    sha256: Sha256
    rows: Count
    rows_used: Count


class PictureCrops(Part):
    """The squares that a picture's score is the mean of."""

    judge: Positive
    views: Positive


class SourceFigures(Part):
    """Figures per source of a model of pictures."""

    per_source: dict[str, CountedFigures] = Field(description="Over the held-out rows of each source")
    within: dict[Literal["mean_srocc", "min_srocc"], Correlation | None] = Field(
        description="SROCC over the rows of a source, mean and least of the sources"
    )
    constant: dict[Literal["rmse"], Size | None] = Field(
        description="Of a predictor that answers the mean of a fold's training rows"
    )


class VersionFigures(SourceFigures):
    """Figures of whole versions of clips: targets and scores are means over the pictures of a version."""

    pooled: CountedFigures


class PictureFigures(SourceFigures):
    """Figures of a model of pictures beside those of its folds."""

    versions: OptionalKey[VersionFigures] = Field(
        default=None, description="Of whole versions of clips, as videos are scored; not stated if clips have no names"
    )
    crops: PictureCrops


class FitReport(Folds, Document):
    """Figures of one seed's fit on the rows that each fold did not train on."""

    title: ClassVar[str] = "Report of fit (loso.json): figures of each fold on the rows that it did not train on"

    schema_version: Literal[1] = 1
    model: ModelId
    seed: Count
    corpus: Name
    table: TableFacts
    negatives: OptionalKey[NegativeTable] = Field(
        default=None, description="Hard negatives that were trained on beside the table; not stated if there were none"
    )
    weights_sha256: Sha256
    predictions_sha256: Sha256
    train_config_hash: ConfigHash
    n_params: Positive
    split: SplitFacts
    pooled: CountedFigures = Field(description="Figures over the held-out rows of all folds together")
    beside: FoldsBeside | None = Field(
        description="Values of another column, usually group, held out one by one; null: not asked for, or see no_beside"
    )
    no_beside: str | None = Field(description="Why there are no folds beside although the spec asks for them")
    epochs: Count
    batch_size: Positive
    lr: float = Field(gt=0)
    weight_decay: Size
    num_codecs: Count = 0
    encoder_vocab_version: str | None = None
    pictures: OptionalKey[PictureFigures] = Field(
        default=None, description="Further figures of a model of pictures; not stated by others"
    )
    family: OptionalKey[dict[str, Any]] = Field(
        default=None, description="Further figures of the model's family, which its gates read"
    )
    note: str
    run_provenance: RunProvenance


# -- the verdict ---------------------------------------------------------------------------------------------------

Why = Annotated[Name | None, Field(description="The reason with its values if it does not pass or was not judged")]
Spread = Annotated[dict[Literal["mean", "std", "min", "max"], float | None], Field(min_length=4)]
"""Mean, standard deviation (ddof 1), smallest and largest; null if not defined."""
SpreadFigures = Annotated[dict[Literal["plcc", "srocc", "krocc", "rmse"], Spread], Field(min_length=4)]
PerFold = dict[str, SpreadFigures]


class NotJudged(Part):
    """The block of a gate that could not measure anything."""

    judged: Literal[False]
    passed: Literal[False] | None = Field(description="false: it could have been judged and was not")
    why: Name


class Judged(Part):
    """Common keys of the blocks of gates."""

    judged: Literal[True]
    passed: bool
    why: Why


class PooledLimits(Part):
    """Limits on figures over all held-out rows."""

    plcc_min: float | None
    srocc_min: float | None
    rmse_max: float | None


class PooledBlock(Judged):
    """Figures over the held-out rows of all folds together, against limits that each seed has to meet."""

    limits: PooledLimits
    figures: SpreadFigures
    per_seed: dict[str, Figures]


class WorstScore(Part):
    """The score of hard negatives that is furthest outside its limits, or closest to them."""

    seed: Count
    clip: Name
    codec: Name
    score: float | None
    teacher: float
    at_least: float | None
    at_most: float | None
    beyond: float | None = Field(description="Above 0: outside by that much; below: room that is left")


class NegativeCase(Part):
    """One case of hard negatives."""

    passed: bool
    why: Why
    clips: Positive
    outside: Count = Field(description="Means over a clip, one per seed and codec, that are not allowed")
    scores: Bounds | None = Field(description="Lowest and highest mean over a clip")
    teacher: Bounds
    worst: WorstScore


class ScoreRange(Part):
    """The range of the scores of all frames."""

    passed: bool
    allowed: Bounds
    lowest: float | None
    highest: float | None
    outside: Count = Field(description="Scores of frames that are outside or not finite")


class HardNegativesBlock(Judged):
    """Scores of pairs that no ladder holds."""

    table: NegativeTable
    rows_held_out: OptionalKey[Count] = Field(
        default=None,
        description="Rows that were scored by a fold that saw nothing of their scene; the others by the model that ships. "
        "Not stated by models that were not trained on hard negatives",
    )
    limits: dict[str, float]
    cases: dict[str, NegativeCase] = Field(min_length=1)
    cases_missing: list[Name]
    codecs: list[Name] = Field(min_length=1)
    range: ScoreRange


class WrongOrder(Part):
    """A pair of rungs, the weaker one first; the worst of a seed or of all."""

    seed: Count
    source: str
    clip: str
    codec: str
    preset: str
    crf: OptionalKey[Annotated[list[int], Field(min_length=2, max_length=2)]] = None
    strength: OptionalKey[Bounds] = Field(default=None, description="In place of crf if no encoder made the rungs")
    predicted: Bounds
    teacher: Bounds
    excess: float = Field(
        description="Above 0: the weaker rung is predicted worse by that much more than the teacher has it"
    )


class SeedOrder(Part):
    """The order within ladders in one seed's predictions."""

    pairs: Positive
    ordered_share: Share
    teacher_ordered_share: Share
    violations: Count
    worst: WrongOrder


class MonotonicityBlock(Judged):
    """The order within ladders."""

    tolerance: Size
    pairs: Positive
    violations: Count
    ordered_share: Share
    teacher_ordered_share: Share
    worst: WrongOrder
    per_seed: dict[str, SeedOrder]


class HeldOutGroup(Part):
    """A group that a seed did not train on."""

    seed: Count
    held_out: Name


class Gain(Part):
    """How far the mean over the seeds is above the baselines on a group that was not trained on."""

    held_out: Name
    srocc: float | None
    baseline: Name = Field(description="The best of them")
    baseline_srocc: float | None
    gain: float | None = Field(description="The difference; null if one of both is not defined")


class ExtrapolationBlock(Judged):
    """Figures on groups that are held out in addition to the sources."""

    by: Name
    worst_plcc: float | None
    worst_plcc_min: float | None
    worst: HeldOutGroup
    per_seed: dict[str, Spread]
    per_fold: PerFold
    least_gain: OptionalKey[Gain] = Field(
        default=None, description="Where SROCC is least above the best of the baselines; absent if it was not asked for"
    )


class GateRow(Part):
    """One line of a verdict, for anyone who shows it."""

    gate: Name
    what: Name = Field(description="What was measured")
    measured: str
    limit: str = Field(description="Empty if there is none")
    passed: bool | None = Field(description="null: not judged")
    why: Why


class GateReport(OpenPart):
    """The outcome of a family's gates. Keys that are not declared are the blocks of its gates."""

    passed: bool
    reasons: list[Name] = Field(description="One for each part that does not pass")
    rows: OptionalKey[list[GateRow]] = Field(default=None, description="Every measurement; older verdicts have none")


class RegressorGates(GateReport):
    """The outcome of a regressor's gates."""

    model_config = ConfigDict(extra="forbid")

    mean_plcc: float | None
    mean_plcc_threshold: float
    mean_plcc_pass: bool
    std_plcc: float | None
    plcc_spread: float | None
    plcc_spread_max: float
    plcc_spread_pass: bool | None = Field(description="null: one seed has no spread")
    per_seed_plccs: dict[str, float | None]
    per_seed_min: float
    per_seed_pass: bool
    failing_seeds: list[Count]
    pooled: PooledBlock | NotJudged
    hard_negatives: HardNegativesBlock | NotJudged
    monotonicity: MonotonicityBlock | NotJudged
    extrapolation: ExtrapolationBlock | NotJudged


def _gates_of(gate: Any) -> str:
    keys = gate if isinstance(gate, dict) else getattr(type(gate), "model_fields", {})
    return "regressor" if {"mean_plcc", "pooled", "hard_negatives"} <= set(keys) else "other"


class JudgedTable(TableFacts):
    """The table that was judged."""

    present: Literal[True] = True


class SeedFacts(Part):
    """One of the fits."""

    report_sha256: Sha256
    weights_sha256: Sha256
    mean_plcc: float | None
    std_plcc: float | None
    min_plcc: float | None
    max_plcc: float | None
    mean_srocc: float | None
    mean_krocc: float | None
    mean_rmse: float | None


class Verdict(Document):
    """Whether a model is promoted, with every measured value beside its limit."""

    title: ClassVar[str] = "Verdict on a model (verdict.json): every gate with its measured value and its limit"

    schema_version: Literal[1] = 1
    model: ModelId
    verdict: Literal["PROMOTE", "HOLD"]
    seeds: list[Count] = Field(min_length=1)
    seeds_not_judged: list[Count]
    gates_not_judged: dict[str, Name]
    gate: Annotated[
        Annotated[RegressorGates, Tag("regressor")] | Annotated[GateReport, Tag("other")], Discriminator(_gates_of)
    ]
    corpus: JudgedTable
    split: SplitFacts
    train_config_hash: ConfigHash
    per_seed: dict[str, SeedFacts] = Field(min_length=1)
    over_seeds: SpreadFigures
    per_fold: PerFold
    recommendation: Name
    run_provenance: RunProvenance
