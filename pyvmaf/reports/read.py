"""What a run left behind, read once for the page and for the closing summary.

Every figure that either shows is taken from these files; what can be computed again from the predictions is
computed again, and a report that disagrees with its predictions is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base import layout
from pyvmaf.base.files import read_json, sha256_file
from pyvmaf.base.manifest import MANIFEST_SUFFIX
from pyvmaf.errors import InputError, IntegrityError, MissingFileError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Variant:
    """One int8 variant of one seed's model.

    Attributes:
        path: its JSON report; the ONNX file lies beside it under the same stem.
        mode: how it was quantised ("static_qdq").
        data: the report.
    """

    path: Path
    mode: str
    data: dict[str, Any]

    @property
    def onnx(self) -> Path:
        """The int8 file."""
        return self.path.with_suffix(".onnx")


@dataclass
class Seed:
    """One seed of one model, as far as its files were given."""

    number: int
    loso: dict[str, Any] | None = None
    predictions: Path | None = None
    sidecar: dict[str, Any] | None = None
    sidecar_path: Path | None = None
    variants: list[Variant] = field(default_factory=list)

    @property
    def onnx(self) -> Path | None:
        """The model file that the sidecar speaks of."""
        if self.sidecar is None or self.sidecar_path is None:
            return None
        return self.sidecar_path.parent / str(self.sidecar["onnx"])


@dataclass
class Model:
    """One model with its verdict and all its seeds."""

    name: str
    verdict: dict[str, Any] | None = None
    ensemble: dict[str, Any] | None = None
    seeds: dict[int, Seed] = field(default_factory=dict)

    def seed(self, number: int) -> Seed:
        """The seed `number`, made if it is new."""
        return self.seeds.setdefault(number, Seed(number))

    @property
    def shown(self) -> Seed:
        """The seed that ships, or would: the registry's own choice."""
        from pyvmaf.registry.entry import choose_seed

        plccs = {n: s.loso["mean_plcc"] for n, s in self.seeds.items() if s.loso and s.loso["mean_plcc"] is not None}
        return self.seeds[choose_seed(plccs) if plccs else min(self.seeds)]


@dataclass
class Run:
    """Everything that was found.

    Attributes:
        models: by name, sorted.
        shards: per-frame tables, one per corpus and codec.
        records: corpus rows (JSON lines) of the same shards.
        registry: the registry, where there is one.
        files: every file that was read, for the manifest. Records are not among them: they hold clock readings.
    """

    models: dict[str, Model] = field(default_factory=dict)
    shards: list[Path] = field(default_factory=list)
    records: list[Path] = field(default_factory=list)
    registry: dict[str, Any] | None = None
    files: list[Path] = field(default_factory=list)


_KINDS = (
    *(layout.VERDICT, layout.ENSEMBLE, layout.LOSO, layout.PREDICTIONS, layout.SIDECAR, layout.INT8_REPORT),
    *(layout.SHARD, layout.SHARD_RECORDS, layout.REGISTRY),
)
# A workflow may name these too: each is found through the JSON file beside it.
_BESIDE = frozenset({".onnx", ".safetensors"})


def _expand(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    found: set[Path] = set()
    for given in map(Path, paths):
        if given.is_dir():
            found.update(path for kind in _KINDS for path in kind.files(given))
        elif given.exists():
            found.add(given)
        else:
            raise MissingFileError(f"no such file: {given}")
    return sorted(p for p in found if not p.name.endswith(MANIFEST_SUFFIX))


def read_run(paths: Iterable[str | os.PathLike[str]]) -> Run:
    """Read what a run left behind.

    Args:
        paths: files of the stages before (verdicts, LOSO reports, predictions, sidecars, int8 reports, shards with
            their records, the registry) in any order; a results folder stands for all of those below it.

    Raises:
        MissingFileError: one of `paths` does not exist.
        InputError: a file is of no kind that is known here, or there is no LOSO report at all.
        IntegrityError: a file is damaged, or predictions are not those that their report was made from.
    """
    run = Run()
    for path in _expand(paths):
        _add(run, path)
    if not any(seed.loso for model in run.models.values() for seed in model.seeds.values()):
        raise InputError("there is no loso.json among the files: fit a model first, or name the results folder")
    run.models = {name: run.models[name] for name in sorted(run.models)}
    for model in run.models.values():
        model.seeds = {number: model.seeds[number] for number in sorted(model.seeds)}
        for seed in model.seeds.values():
            seed.variants.sort(key=lambda variant: variant.mode)
            beside = [seed.onnx, *(variant.onnx for variant in seed.variants)]
            run.files += [path for path in beside if path is not None and path.exists()]
            _check_predictions(model.name, seed)
    return run


def _add(run: Run, path: Path) -> None:
    def seed_of() -> Seed:
        model, number = layout.model_and_seed(path)
        return run.models.setdefault(model, Model(model)).seed(number)

    if path.suffix in _BESIDE:
        return
    if path.suffix == ".jsonl":
        run.records.append(path)
        return
    run.files.append(path)
    if path.suffix == ".parquet":
        if path.name == "predictions.parquet":
            seed_of().predictions = path
        else:
            run.shards.append(path)
        return
    data = read_json(path)
    if not isinstance(data, dict):
        raise IntegrityError(f"{path} holds {type(data).__name__}, not an object: it was not written by this program")
    if "models" in data and "held" in data:
        run.registry = data
    elif "onnx_opset" in data:
        seed = seed_of()
        seed.sidecar, seed.sidecar_path = data, path
    elif "drop" in data:
        seed_of().variants.append(Variant(path, path.stem, data))
    elif "folds" in data:
        seed_of().loso = data
    elif "ensemble_size" in data:
        run.models.setdefault(str(data["id"]), Model(str(data["id"]))).ensemble = data
    elif "verdict" in data:
        model = str(data["model"])
        run.models.setdefault(model, Model(model)).verdict = data
    else:
        raise InputError(f"{path} is of no kind that a report is made from: its keys are {', '.join(sorted(data)[:8])}")


def _check_predictions(model: str, seed: Seed) -> None:
    if seed.predictions is None or seed.loso is None:
        return
    expected, found = seed.loso["predictions_sha256"], sha256_file(seed.predictions)
    if expected != found:
        raise IntegrityError(
            f"{seed.predictions} hashes to {found}, but the LOSO report of {model}, seed {seed.number}, was made from "
            f"{expected}: fit it again"
        )


def read_predictions(path: Path) -> pd.DataFrame:
    """Held-out predictions of one seed: columns fold, clip, codec, rung, crf, frame_index, target, prediction."""
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def read_shards(paths: Sequence[Path], features: Sequence[str]) -> pd.DataFrame:
    """Rows of all shards: what tells rows apart, `features`, and the teacher's score.

    Raises:
        InputError: a shard lacks one of the columns.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    wanted = ["corpus", "group", "source", "clip", "codec", "preset", "crf", "rung", "frame_index", *features, "vmaf"]
    frames = []
    for path in paths:
        present = pq.read_schema(path).names
        lacking = [name for name in wanted if name not in present]
        if lacking:
            raise InputError(f"{path} lacks the columns {', '.join(lacking)}; it has {', '.join(present)}")
        frames.append(pq.read_table(path, columns=wanted).to_pandas())
    whole = pd.concat(frames, ignore_index=True)
    for name in ("corpus", "group", "source", "clip", "codec", "preset", "rung"):
        whole[name] = whole[name].astype(object).fillna("").astype(str)
    return whole


def read_records(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Corpus rows of all shards, the keys that hold clock readings left out; corpus, clip and codec added.

    Raises:
        IntegrityError: a line is not a JSON object.
    """
    import json

    rows = []
    for path in sorted(paths):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                keep = {key: value for key, value in row.items() if key not in CLOCK_KEYS}
                parts = layout.ENCODE.parts(str(row["encode_path"]))
            except (ValueError, KeyError, AttributeError, InputError) as err:
                raise IntegrityError(f"{path}, line {number}, is no corpus row ({err}): it is damaged") from err
            rows.append(keep | parts | {"corpus": path.parent.name})
    return rows


CLOCK_KEYS = frozenset({"timestamp", "encode_time_ms", "score_time_ms"})
"""Keys of a corpus row that differ between two identical runs."""
