"""The reports of studies as documents."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Count, Distinct, Document, Name, Part, Positive, RunProvenance, Sha256, Size

# ---------------------------------------------------------------------------------------------------------
# tune

Params = dict[str, Any]
State = Literal["complete", "pruned", "failed"]


class FitFigures(Part):
    """Figures of a fit on held-out rows, over the folds; null if not defined."""

    epochs: Count
    n_params: Positive
    mean_plcc: float | None
    std_plcc: float | None
    min_plcc: float | None
    mean_srocc: float | None
    mean_krocc: float | None
    mean_rmse: float | None


class Outcome(FitFigures):
    """A fit with the value of its objective."""

    value: float

    def figures(self) -> FitFigures:
        """Return the figures without the value."""
        return FitFigures(**self.model_dump(exclude={"value"}))


class TuneTable(Part):
    """The training table."""

    name: str
    sha256: Sha256
    rows_used: Positive


class TuneObjective(Part):
    """The figure that the search minimises."""

    name: Literal["rmse", "plcc"]
    about: str
    direction: Literal["minimise"] = "minimise"


class StudyFacts(Part):
    """Optuna's study."""

    name: str
    storage: str
    sampler: str
    pruner: str


class TrialRow(Part):
    """One finished trial."""

    trial: Count
    state: State
    params: Params
    value: float | None
    figures: FitFigures | None
    on_the_way: list[tuple[int, float]] = Field(
        description="Pairs of epochs done and the objective on held-out rows by then."
    )
    error: str | None


class NumberByState(Part):
    """Number of trials by state."""

    complete: Positive
    pruned: Count
    failed: Count


class BestTrial(Outcome):
    """The trial with the smallest value."""

    trial: Count
    params: Params
    spec: str = Field(description="File name of the spec beside this report.")


class ConfirmedFit(Outcome):
    """A fit with another seed."""

    seed: Count


class Confirmation(Part):
    """Base and best spec with the seed of the search (first) and with seeds that chose nothing."""

    base: list[ConfirmedFit] = Field(min_length=2)
    best: list[ConfirmedFit] = Field(min_length=2)
    gain_on_the_seed_of_the_search: float
    gain_on_further_seeds: float
    base_on_further_seeds: float
    best_on_further_seeds: float


class Tuning(Document):
    """Report of ``vmaf-train tune``."""

    title: ClassVar[str] = "Report of vmaf-train tune (tune.json)"

    schema_version: Literal[1] = 1
    model: str
    table: TuneTable
    objective: TuneObjective
    seed: Count
    epochs: Count | None = Field(description="null: the spec's.")
    backend: Literal["optuna", "ray"]
    study: StudyFacts
    space: dict[str, Annotated[str, Field(pattern="^(float|int|choice):")]] = Field(min_length=1)
    n_trials: Positive
    n_by_state: NumberByState
    trials: list[TrialRow]
    best: BestTrial
    importances: dict[str, float] | None = Field(
        description="Share of the objective's variance that each parameter explains; null for too few trials."
    )
    confirmation: Confirmation | None
    note: str
    run_provenance: RunProvenance


# ---------------------------------------------------------------------------------------------------------
# feature-correlation

Names = Distinct[Name]
Weights = Annotated[dict[str, Size], Field(min_length=2)]
_Correlation = Annotated[float, Field(ge=-1.000001, le=1.000001)]


class StudiedTable(Part):
    """The table."""

    name: str
    sha256: Sha256
    rows: Positive


class Pearson(Part):
    """Pearson's r of every pair of columns."""

    columns: Names = Field(description="The features, then the target.")
    r: list[list[_Correlation]]


class RedundantPair(Part):
    """Two features with |r| at or above the threshold."""

    a: str
    b: str
    r: float


class Importances(Part):
    """Weight of each feature by method."""

    mi: Weights = Field(description="Mutual information with the target, nats.")
    lasso: Weights = Field(description="Absolute coefficient over standardised columns.")
    rf: Weights = Field(description="Decrease of impurity; the sum is 1.")


class TopFeatures(Part):
    """First features of each method's ranking; a weight of 0 is not ranked."""

    mi: Names
    lasso: Names
    rf: Names


class LassoFolds(Part):
    """Folds for the choice of the lasso's penalty."""

    folds: Annotated[int, Field(ge=2)]
    by: str | None
    groups: Count
    note: str


class FeatureCorrelation(Document):
    """Report of ``vmaf-train feature-correlation``."""

    title: ClassVar[str] = "Report of vmaf-train feature-correlation"

    schema_version: Literal[1] = 1
    table: StudiedTable
    target: Name
    n_rows_clean: Positive = Field(description="Rows with a value in every column.")
    n_rows_used: Positive = Field(description="Fewer than n_rows_clean for a sample.")
    feature_cols: Annotated[Names, Field(min_length=2)]
    left_out: dict[str, str] = Field(description="Columns with the reason.")
    pearson: Pearson
    redundancy_threshold: Annotated[float, Field(gt=0, le=1)]
    redundant_pairs: list[RedundantPair] = Field(description="The strongest first.")
    importances: Importances
    cross_validation: LassoFolds
    top_k: Positive
    per_method_topk: TopFeatures
    consensus_topk: Names = Field(description="In the first top_k of every method.")
    note: str
    run_provenance: RunProvenance


# ---------------------------------------------------------------------------------------------------------
# signal-mix-audit


class MixFigures(Part):
    """Figures of a model on held-out rows, over the folds; std with ddof 1, null for a single fold."""

    mean_plcc: _Correlation | None = Field(description="null: scores are constant in every fold")
    std_plcc: Size | None
    mean_rmse: Size
    std_rmse: Size | None
    per_fold_plcc: list[_Correlation | None]
    per_fold_rmse: list[Size]


class Change(Part):
    """Figures minus those of the model with all columns, mean and std (ddof 1) over the folds."""

    plcc: float | None
    std_plcc: Size | None
    rmse: float = Field(description="Above 0: the error is larger.")
    std_rmse: Size | None
    folds_worse: Count = Field(description="Folds with a larger error.")


class RedundantColumn(Part):
    """A column, and the column outside of its group that it correlates with most."""

    column: Name
    other: Name
    r: _Correlation


class SignalGroup(Part):
    """A group of columns."""

    name: Name
    columns: Annotated[Names, Field(min_length=1)]
    coverage: Annotated[float, Field(ge=0, le=1)] = Field(description="Share of rows with a value in every column.")
    coverage_any: Annotated[float, Field(ge=0, le=1)] = Field(description="Share of rows with a value in any column.")
    missing_share: Annotated[float, Field(ge=0, le=1)] = Field(description="Mean of missing_by_column.")
    missing_by_column: dict[str, Annotated[float, Field(ge=0, le=1)]]
    contribution: Change = Field(description="The columns permuted together among held-out rows.")
    without: MixFigures = Field(description="A model that was fitted without the group.")
    loss: Change = Field(description="That model, compared with the one with all columns.")
    alone: MixFigures = Field(description="A model that has nothing but the group.")
    highest_r: Annotated[float, Field(ge=0, le=1.000001)] | None = Field(
        description="Largest |r| of a column of the group and one outside of it; null: there is none."
    )
    redundancy: list[RedundantColumn] = Field(description="The strongest first.")
    redundant_columns: Names = Field(description="Columns with |r| at or above the threshold.")


class SignalMixAudit(Document):
    """Report of ``vmaf-train signal-mix-audit``."""

    title: ClassVar[str] = "Report of vmaf-train signal-mix-audit"

    schema_version: Literal[1] = 1
    table: StudiedTable
    target: Name
    n_rows_clean: Positive = Field(description="Rows with a target; coverage is of these.")
    n_rows_used: Positive = Field(description="Fewer than n_rows_clean for a sample.")
    by: Name = Field(description="Column whose values the folds keep together.")
    n_keys: Positive = Field(description="Number of its values.")
    folds: Annotated[int, Field(ge=2)]
    model: Name
    columns: Annotated[Names, Field(min_length=2)]
    left_out: dict[str, str] = Field(description="Columns with the reason.")
    whole: MixFigures = Field(description="The model with all columns.")
    redundancy_threshold: Annotated[float, Field(gt=0, le=1)]
    groups: list[SignalGroup] = Field(min_length=1, description="Groups may share columns.")
    groups_without_values: dict[str, list[str]] = Field(
        description="Groups of which no column has different values, with their columns."
    )
    notes: list[Name]
    run_provenance: RunProvenance


# ---------------------------------------------------------------------------------------------------------
# subset-sweep


class SweptTable(Part):
    """The table."""

    name: str
    sha256: Sha256
    rows_used: Positive = Field(description="Rows that every subset can use: all are judged on these.")


class SweptModel(Part):
    """The model of the sweep."""

    config: str | None
    spec: dict[str, Any]


class SubsetFold(Part):
    """Figures of one fold; null if not defined."""

    held_out: str
    n: Positive
    plcc: float | None
    srocc: float | None
    krocc: float | None
    rmse: float | None


class Cell(Part):
    """One fit: a subset with a seed."""

    n_params: Positive
    folds: list[SubsetFold] = Field(min_length=1)


class SeedCell(Cell):
    """One fit of a subset."""

    seed: Count


class SubsetSummary(Part):
    """Mean and standard deviation (ddof 1) over all folds of all seeds; null if a fold lacks the figure."""

    mean_plcc: float | None
    std_plcc: float | None
    min_plcc: float | None
    mean_srocc: float | None
    std_srocc: float | None
    mean_krocc: float | None
    std_krocc: float | None
    mean_rmse: float | None
    std_rmse: float | None


class SweptSubset(Part):
    """One subset."""

    name: str
    features: Annotated[Distinct[str], Field(min_length=1)]
    possible: bool
    reason: str | None = Field(description="Why it could not be tried.")
    n_params: int | None
    summary: SubsetSummary | None
    delta_plcc: float | None = Field(description="Mean PLCC less that of the baseline.")
    beats_baseline: bool | None = Field(description="delta_plcc reaches the margin.")
    per_seed: list[SeedCell] | None


class SubsetSweep(Document):
    """Report of ``vmaf-train subset-sweep``."""

    title: ClassVar[str] = "Report of vmaf-train subset-sweep"

    schema_version: Literal[1] = 1
    table: SweptTable
    model: SweptModel
    split: dict[str, Any]
    seeds: Annotated[Distinct[Count], Field(min_length=1)]
    baseline: str | None
    margin: float
    subsets: list[SweptSubset] = Field(min_length=1)
    best: str | None = Field(description="Subset with the highest mean PLCC.")
    take: str | None = Field(description="The best if it beats the baseline by the margin, else the baseline.")
    note: str
    run_provenance: RunProvenance
