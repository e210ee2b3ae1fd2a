"""The documents and tables of a run, read once for all pages.

Each file is recognised by its place in the layout of results (`pyvmaf.base.layout`). Predictions that their
cross-validation report was not made from are refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pyvmaf.base import layout
from pyvmaf.base.document import Document
from pyvmaf.base.files import read_bytes, sha256_file
from pyvmaf.base.outputs import MANIFEST_SUFFIX
from pyvmaf.base.parquet import ParquetTable, read_parquet
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.imported.conversion import Conversion
from pyvmaf.models.verdicts import FitReport, Verdict
from pyvmaf.quantized.report import Int8Report
from pyvmaf.registry.entry import Registry, choose_seed
from pyvmaf.runtime.manifest import EnsembleManifest
from pyvmaf.runtime.sidecar import Sidecar

if TYPE_CHECKING:
    import pandas as pd

_Document = TypeVar("_Document", bound=Document)

_TEXT = ("corpus", "group", "source", "clip", "codec", "encoder", "preset", "rung")

_CLOCK_KEYS = frozenset({"timestamp", "encode_time_ms", "score_time_ms"})


@dataclass(frozen=True)
class Variant:
    """An int8 variant of one seed's model.

    Attributes:
        path: its JSON report; the ONNX file has the same stem and folder.
        mode: the way of quantisation ("static_qdq").
        data: the report.
    """

    path: Path
    mode: str
    data: Int8Report

    @property
    def onnx(self) -> Path:
        """The int8 file."""
        return self.path.with_suffix(".onnx")


@dataclass
class Seed:
    """One seed of a model, with the documents that were read for it."""

    number: int
    loso: FitReport | None = None
    predictions: Path | None = None
    sidecar: Sidecar | None = None
    sidecar_path: Path | None = None
    variants: list[Variant] = field(default_factory=list)

    @property
    def onnx(self) -> Path | None:
        """The model file that the sidecar describes."""
        if self.sidecar is None or self.sidecar_path is None:
            return None
        return self.sidecar_path.parent / self.sidecar.onnx

    @property
    def inputs(self) -> dict[str, Any]:
        """The keys of the sidecar that describe the inputs and belong to the model's family; empty without a sidecar."""
        return {} if self.sidecar is None else self.sidecar.family_keys

    @property
    def features(self) -> tuple[str, ...]:
        """The features that the model takes; empty for a model that takes none, or without a sidecar."""
        return tuple(self.inputs.get("features", ()))


@dataclass
class Model:
    """One model, with its verdict and all of its seeds."""

    name: str
    verdict: Verdict | None = None
    ensemble: EnsembleManifest | None = None
    seeds: dict[int, Seed] = field(default_factory=dict)

    @property
    def shown(self) -> Seed:
        """The seed that ships, or would ship, by the rule of the registry."""
        plccs = {n: s.loso.mean_plcc for n, s in self.seeds.items() if s.loso and s.loso.mean_plcc is not None}
        return self.seeds[choose_seed(plccs) if plccs else min(self.seeds)]


@dataclass(frozen=True)
class Converted:
    """A published checkpoint that was converted.

    Attributes:
        path: the report of its conversion.
        data: that report.
        sidecar: of its graph.
    """

    path: Path
    data: Conversion
    sidecar: Sidecar


@dataclass
class Run:
    """The documents and tables of a run.

    Attributes:
        models: by name, sorted.
        converted: published checkpoints, by name.
        shards: tables of frames, one per corpus and codec.
        records: encode records (JSON lines) of the same shards.
        registry: the registry, if there is one.
        files: every file that was read, for the manifest. Records are not among them, because they hold clock readings.
    """

    models: dict[str, Model] = field(default_factory=dict)
    converted: dict[str, Converted] = field(default_factory=dict)
    shards: list[Path] = field(default_factory=list)
    records: list[Path] = field(default_factory=list)
    registry: Registry | None = None
    files: list[Path] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """The kinds of its models, sorted."""
        return sorted({s.sidecar.kind for m in self.models.values() for s in m.seeds.values() if s.sidecar is not None})

    def model(self, name: str) -> Model:
        """Return a model; a new one if there is none of that name."""
        return self.models.setdefault(name, Model(name))

    def seed(self, parts: Mapping[str, str]) -> Seed:
        """Return a seed of a model; a new one if there is none.

        Args:
            parts: model and seed, as the layout takes them from a path.
        """
        number = int(parts["seed"])
        return self.model(parts["model"]).seeds.setdefault(number, Seed(number))


def read_run(paths: Iterable[str | os.PathLike[str]], *, converted: bool = False) -> Run:
    """Read the documents of a run.

    Args:
        converted: whether to read published checkpoints, too; a run may then hold nothing else.
        paths: verdicts, cross-validation reports, predictions, sidecars, int8 reports, ensembles, shards with their
            records, and the registry, in any order; a folder of results stands for all such files in it.

    Raises:
        MissingFileError: one of `paths` does not exist.
        InputError: a file is not of such a kind, or there is no cross-validation report.
        IntegrityError: a file is damaged, or predictions are not those that their report was made from.
    """
    run = Run()
    for path in _files(paths):
        if converted or layout.CONVERSION.match(os.path.abspath(path)) is None:
            _add(run, path)
    fitted = any(seed.loso for model in run.models.values() for seed in model.seeds.values())
    if not fitted and not (converted and run.converted):
        raise InputError("there is no loso.json among the files: fit a model first, or name the folder of results")
    run.models = dict(sorted(run.models.items()))
    run.converted = dict(sorted(run.converted.items()))
    for model in run.models.values():
        model.seeds = dict(sorted(model.seeds.items()))
        for seed in model.seeds.values():
            seed.variants.sort(key=lambda variant: variant.mode)
            graphs = [seed.onnx, *(variant.onnx for variant in seed.variants)]
            run.files += [path for path in graphs if path is not None and path.exists()]
            _check_predictions(model.name, seed)
    return run


def _files(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    files: set[Path] = set()
    for path in map(Path, paths):
        if path.is_dir():
            files.update(file for kind, _ in _KINDS for file in kind.files(path))
        elif path.exists():
            files.add(path)
        else:
            raise MissingFileError(f"no such file: {path}")
    return sorted(path for path in files if not path.name.endswith(MANIFEST_SUFFIX))


def _add(run: Run, path: Path) -> None:
    # Rules also name graphs and weights; they are found through the documents that describe them.
    if path.suffix in (".onnx", ".safetensors"):
        return
    for kind, add in _KINDS:
        parts = kind.match(os.path.abspath(path))
        if parts is not None:
            add(run, path, parts)
            return
    raise InputError(
        f"{path} is not a file that a report is made from: expected one of {', '.join(k.pattern for k, _ in _KINDS)}"
    )


def _read(run: Run, kind: type[_Document], path: Path) -> _Document:
    run.files.append(path)
    return kind.read(path)


def _add_verdict(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    run.model(parts["model"]).verdict = _read(run, Verdict, path)


def _add_ensemble(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    run.model(parts["model"]).ensemble = _read(run, EnsembleManifest, path)


def _add_loso(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    run.seed(parts).loso = _read(run, FitReport, path)


def _add_predictions(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    run.seed(parts).predictions = path
    run.files.append(path)


def _add_sidecar(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    seed = run.seed(parts)
    seed.sidecar, seed.sidecar_path = _read(run, Sidecar, path), path


def _add_conversion(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    beside = path.with_name(layout.CONVERTED_SIDECAR.pattern.rpartition("/")[2])
    run.converted[parts["model"]] = Converted(path, _read(run, Conversion, path), _read(run, Sidecar, beside))


def _add_variant(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    run.seed(parts).variants.append(Variant(path, parts["mode"], _read(run, Int8Report, path)))


def _add_shard(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    run.shards.append(path)
    run.files.append(path)


def _add_records(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    run.records.append(path)


def _add_registry(run: Run, path: Path, parts: Mapping[str, str]) -> None:
    run.registry = _read(run, Registry, path)


# A path is of the first kind that it matches: the more general patterns stand at the end.
_KINDS: tuple[tuple[layout.ResultFile, Callable[[Run, Path, Mapping[str, str]], None]], ...] = (
    (layout.VERDICT, _add_verdict),
    (layout.ENSEMBLE, _add_ensemble),
    (layout.LOSO, _add_loso),
    (layout.PREDICTIONS, _add_predictions),
    (layout.SIDECAR, _add_sidecar),
    (layout.CONVERSION, _add_conversion),
    (layout.REGISTRY, _add_registry),
    (layout.INT8_REPORT, _add_variant),
    (layout.SHARD, _add_shard),
    (layout.SHARD_RECORDS, _add_records),
)


def _check_predictions(model: str, seed: Seed) -> None:
    if seed.predictions is None or seed.loso is None:
        return
    expected, sha256 = seed.loso.predictions_sha256, sha256_file(seed.predictions)
    if expected != sha256:
        raise IntegrityError(
            f"{seed.predictions} has sha256 {sha256}, but the report of {model}, seed {seed.number}, was made from "
            f"{expected}: fit it again"
        )


def read_predictions(path: Path) -> pd.DataFrame:
    """Read the held-out predictions of a seed: columns fold, target, prediction, and what names a row (clip, codec, …)."""
    frame: pd.DataFrame = read_parquet(path).to_pandas()
    return frame


def read_shards(paths: Sequence[Path], features: Sequence[str]) -> pd.DataFrame:
    """Read the rows of all shards: what names a row, `features`, and the teacher's score.

    Text that is null (encoder and preset of a rung that no encoder made) is read as an empty string.

    Raises:
        InputError: a shard lacks one of the columns.
    """
    import pandas as pd

    columns = [*_TEXT, "crf", "frame_index", *features, "vmaf"]
    frames = []
    for path in paths:
        with ParquetTable(path) as table:
            lacking = [name for name in columns if name not in table.names]
            if lacking:
                raise InputError(f"{path} lacks the columns {', '.join(lacking)}; it has {', '.join(table.names)}")
            frames.append(table.read(columns).to_pandas())
    rows = pd.concat(frames, ignore_index=True)
    for name in _TEXT:
        rows[name] = rows[name].astype(object).fillna("").astype(str)
    return rows


def read_records(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read the encode records of all shards without their clock readings, with corpus, clip, codec and rung added.

    Raises:
        IntegrityError: a line is not such a record.
    """
    records = []
    for path in sorted(paths):
        for number, line in enumerate(read_bytes(path).splitlines(), 1):
            try:
                record = parse_json(line, "the line")
                kept = {key: value for key, value in record.items() if key not in _CLOCK_KEYS}
                # Pairs that existed already lie outside of the results: their rows have the names.
                parts = {} if "clip" in record else layout.ENCODE.parts(str(record["encode_path"]))
            except (IntegrityError, InputError, KeyError, AttributeError) as err:
                raise IntegrityError(f"{path}, line {number}, is not an encode record ({err}): it is damaged") from err
            records.append(kept | parts | {"corpus": path.parent.name})
    return records
