"""The values that the sections of a model's card show, and the files that they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base import layout
from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.shown import Shown, shown_of
from pyvmaf.models.verdicts import FitReport
from pyvmaf.registry.entry import Entry, Held
from pyvmaf.reports.read import Model, Run, Seed
from pyvmaf.runtime.sidecar import Sidecar

if TYPE_CHECKING:
    import pandas as pd

MOST_PANELS = 12
"""Most panels of a chart."""

TEACHER = "vmaf"
"""The target of a model whose sidecar does not name one."""

_COLUMNS = ("corpus", "group", "source", "clip", "codec", "rung")


@dataclass(frozen=True)
class Card:
    """One model, as its card shows it.

    Attributes:
        run: a run that holds only this model.
        model: the model.
        entry, held: its entry in the registry: as shipped, as held, or in neither list.
        table: the training table, None if it is not available.
        rows: the rows of the table, None if it is not available.
        manifests: the manifests of its files, by path.
        points: most points per fold in the scatter plot.
    """

    run: Run
    model: Model
    entry: Entry | None
    held: Held | None
    table: Path | None
    rows: pd.DataFrame | None
    manifests: Mapping[str, dict[str, Any]]
    points: int

    @property
    def seed(self) -> Seed:
        """The seed that ships, or would ship."""
        return self.model.shown

    @property
    def sidecar(self) -> Sidecar | None:
        """The sidecar of the seed."""
        return self.seed.sidecar

    @cached_property
    def shown(self) -> Shown | None:
        """What its family says of it; None without a sidecar."""
        if self.sidecar is None:
            return None
        return shown_of(self.model.name if self.ships else str(self.seed.onnx), self.sidecar)

    @property
    def loso(self) -> FitReport:
        """The cross-validation report of the seed."""
        return _report(self.seed)

    @property
    def target(self) -> str:
        """The column that the model predicts."""
        return _target(self.seed)

    @property
    def by(self) -> str:
        """What a fold holds out ("source")."""
        return self.loso.split.by

    @property
    def ships(self) -> bool:
        """Whether the registry lists it for use."""
        return self.entry is not None


def read_card(run: Run, name: str, table: Path | None, points: int) -> Card:
    """Read the further files that a model's card shows.

    Args:
        run: the run.
        name: a model of it with a cross-validation report.
        table: the training table; None for the table of that name in the same folder of results, if it is there.
        points: most points per fold in the scatter plot.

    Raises:
        MissingFileError: `table` does not exist.
        IntegrityError: the table is not the one that the model was trained on.
    """
    model = run.models[name]
    model.seeds = {number: seed for number, seed in model.seeds.items() if seed.loso is not None}
    entries, holds = (run.registry.models, run.registry.held) if run.registry is not None else ([], [])
    path = _table_path(model.shown, table)
    return Card(
        Run({name: model}, registry=run.registry),
        model,
        next((entry for entry in entries if entry.id == name), None),
        next((held for held in holds if held.id == name), None),
        path,
        None if path is None else _read_rows(model, path),
        {file.as_posix(): manifest for file, manifest in _manifests(model, path)},
        points,
    )


def _table_path(seed: Seed, path: Path | None) -> Path | None:
    if path is not None:
        if not path.is_file():
            raise MissingFileError(f"no such file: {path}")
        return path
    if seed.sidecar_path is None:
        return None
    results = layout.SIDECAR.results_folder(seed.sidecar_path)
    path = layout.TABLE.under(results, table=_report(seed).table.name)
    return path if path.is_file() else None


def _read_rows(model: Model, path: Path) -> pd.DataFrame:
    """Read the columns that a card shows, and check that the table is the one that the model was trained on."""
    seed = model.shown
    sha256, expected = sha256_file(path), _report(seed).table.sha256
    if sha256 != expected:
        raise IntegrityError(
            f"{path} has sha256 {sha256}, but {model.name} was trained on {expected}: fit the model again, or name its "
            "own table with --features"
        )
    by = _report(seed).split.by
    columns = dict.fromkeys([*_COLUMNS, _target(seed), by, *seed.features])
    with ParquetTable(path) as table:
        rows: pd.DataFrame = table.read([name for name in columns if name in table.names]).to_pandas()
    for name in {*_COLUMNS, by} & set(rows.columns):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), None)
    return rows


def _report(seed: Seed) -> FitReport:
    if seed.loso is None:
        raise InputError(f"seed {seed.number} has no loso.json: fit it first")
    return seed.loso


def _target(seed: Seed) -> str:
    return TEACHER if seed.sidecar is None or seed.sidecar.target is None else seed.sidecar.target


def _manifests(model: Model, table: Path | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The manifests of all files from the table to the int8 variants, in the order of the steps."""
    folders = [seed.predictions.parent for seed in model.seeds.values() if seed.predictions is not None]
    files = [] if table is None else [table]
    files += [folder / "weights.safetensors" for folder in folders]
    if folders:
        files.append(folders[0].parent / "verdict.json")
        # Without an ensemble in this run, such a file was left by another configuration.
        if model.ensemble is not None:
            files.append(folders[0].parent / "ensemble.json")
    if model.shown.onnx is not None:
        files.append(model.shown.onnx)
    files += [variant.onnx for seed in model.seeds.values() for variant in seed.variants]
    for file in files:
        try:
            yield file, read_manifest(file)
        except MissingFileError:
            continue
