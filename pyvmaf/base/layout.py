"""The layout of results: each kind of file below ``results/``, the pattern of its path, and the names in the path.

Rules make paths from patterns (`ResultFile.pattern`, `ResultFile.path`), and readers take the names back out of a path
(`ResultFile.parts`). A reader finds other files of the same run from the path of one (`ResultFile.results_folder`,
`ResultFile.under`), so that a tree of results can be copied, moved and renamed.

The Snakefile imports this module: it needs the standard library only.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pyvmaf.base.outputs import MANIFEST_SUFFIX
from pyvmaf.base.table import Row
from pyvmaf.errors import InputError

RESULTS = "results"
"""The folder of results, from the working folder."""

WILDCARDS: Row[dict[str, str]] = {
    "corpus": "[a-z0-9][a-z0-9_-]*",
    "dataset": r"(?!aggregated\.)[a-z0-9][a-z0-9_-]*",
    "clip": "[a-z0-9][a-z0-9_]*",
    "codec": "[a-z0-9][a-z0-9_-]*",
    "rung": r"[A-Za-z0-9_-]+(\.[0-9]+)?",
    "pictures": "[a-z0-9][a-z0-9_-]*",
    "images": "[a-z0-9][a-z0-9_-]*",
    "table": "[a-z0-9][a-z0-9_-]*",
    "model": "[a-z0-9][a-z0-9_-]*",
    "seed": "[0-9]+",
    "mode": "[a-z0-9_]+",
}
"""Regular expression of each wildcard of the rules."""


@dataclass(frozen=True)
class ResultFile:
    """A kind of file below ``results/``.

    Attributes:
        pattern: its path from the working folder, with a wildcard such as ``{clip}`` for each name in it.
    """

    pattern: str

    @property
    def manifest(self) -> str:
        """The pattern of its manifest's path."""
        return f"{self.pattern}{MANIFEST_SUFFIX}"

    def path(self, **parts: object) -> str:
        """The path from the working folder.

        Args:
            parts: a value for each wildcard of the pattern.
        """
        return self.pattern.format_map(parts)

    def under(self, results: Path, **parts: object) -> Path:
        """The path in another folder of results.

        Args:
            results: the folder that takes the place of ``results``.
            parts: a value for each wildcard of the pattern.
        """
        return results.joinpath(*self.path(**parts).split("/")[1:])

    def results_folder(self, path: Path) -> Path:
        """The folder of results that holds the file `path` of this kind."""
        folder = Path(os.path.abspath(path))
        for _ in range(self.pattern.count("/")):
            folder = folder.parent
        return folder

    def match(self, path: str | os.PathLike[str]) -> dict[str, str] | None:
        """The names in a path by wildcard; None if the path does not have the form of the pattern.

        The path is compared from the pattern's first folder with a wildcard on, so a file may also lie in a folder that
        is not one of results.
        """
        match = self._expression.search(Path(path).as_posix())
        return None if match is None else match.groupdict()

    def parts(self, path: str | os.PathLike[str]) -> dict[str, str]:
        """The names in a path by wildcard, as `match` gives them.

        Raises:
            InputError: the path does not have the form of the pattern.
        """
        parts = self.match(path)
        if parts is None:
            raise InputError(f"{os.fspath(path)} does not end in {self._tail}: the names in its path are needed")
        return parts

    def files(self, results: Path) -> list[Path]:
        """The files of this kind in a folder of results, sorted; manifests are not among them."""
        below = re.sub(r"\{\w+\}", "*", self.pattern).partition("/")[2]
        return sorted(path for path in results.glob(below) if not path.name.endswith(MANIFEST_SUFFIX))

    @cached_property
    def _tail(self) -> str:
        folders = self.pattern.split("/")
        first = next((index for index, folder in enumerate(folders) if "{" in folder), len(folders) - 1)
        return "/".join(folders[first:])

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        words = re.split(r"\{(\w+)\}", self._tail)
        # Names are read back more freely than rules make them, because files can also be named by hand.
        words[1::2] = [f"(?P<{name}>{'[0-9]+' if name == 'seed' else '[^/]+'})" for name in words[1::2]]
        words[::2] = map(re.escape, words[::2])
        return re.compile(rf"(?:^|/){''.join(words)}$")


RECEIPT: Row[ResultFile] = ResultFile("results/corpora/{corpus}/.packages/fetched.json")
"""The list of the files that `fetch` has fetched."""

CLIP: Row[ResultFile] = ResultFile("results/corpora/{corpus}/{clip}.mkv")
"""A pristine clip."""

COLLECTION: Row[ResultFile] = ResultFile("results/corpora/{corpus}/corpus.json")
"""The clips of a corpus with hashes, formats and labels."""

LABELS: Row[ResultFile] = ResultFile("results/labels/{dataset}.jsonl")
"""Opinion scores of a published label file, one row per video."""

AGGREGATED = "aggregated"
"""Name of the labels of all datasets together."""

AGGREGATED_LABELS: Row[ResultFile] = ResultFile(f"results/labels/{AGGREGATED}.jsonl")
"""Opinion scores of all datasets on one scale, each video once."""

ENCODE: Row[ResultFile] = ResultFile("results/encodes/{corpus}/{clip}/{codec}/{rung}.mkv")
"""A distorted version of a clip."""

RECORD: Row[ResultFile] = ResultFile("results/encodes/{corpus}/{clip}/{codec}/{rung}.json")
"""The record of how a distorted version was made."""

LADDER: Row[ResultFile] = ResultFile("results/features/{corpus}/{clip}/{codec}.parquet")
"""Features and teacher scores per frame, of all rungs of a ladder."""

NEGATIVES: Row[ResultFile] = ResultFile("results/features/hard_negatives.parquet")
"""Features of pairs that no ladder holds."""

FRAMES: Row[ResultFile] = ResultFile("results/frames/{pictures}/{corpus}/{clip}/{codec}.safetensors")
"""Pictures of all rungs of a ladder; of the codec `REFERENCE`, those of the clip itself."""

FRAMES_TABLE: Row[ResultFile] = ResultFile("results/frames/{pictures}/{corpus}/{clip}/{codec}.parquet")
"""The table of these pictures."""

IMAGES: Row[ResultFile] = ResultFile("results/frames/{pictures}/{images}.safetensors")
"""Pictures of a folder or list of images."""

IMAGES_TABLE: Row[ResultFile] = ResultFile("results/frames/{pictures}/{images}.parquet")
"""The table of these pictures."""

REFERENCE = "reference"
"""In the place of a codec, and of a rung: the pristine version."""

SHARD: Row[ResultFile] = ResultFile("results/shards/{corpus}/{codec}.parquet")
"""The rows of a corpus and codec."""

SHARD_RECORDS: Row[ResultFile] = ResultFile("results/shards/{corpus}/{codec}.jsonl")
"""The completed records of the same encodes, one per line."""

IMPORTED_SHARD: Row[ResultFile] = ResultFile("results/shards/{corpus}/imported.parquet")
"""The rows of a corpus whose tables were made elsewhere."""

IMPORTED_RECORDS: Row[ResultFile] = ResultFile("results/shards/{corpus}/imported.jsonl")
"""The records of the same encodes."""

TABLE: Row[ResultFile] = ResultFile("results/tables/{table}.parquet")
"""A training table."""

SEED_FOLDER: Row[ResultFile] = ResultFile("results/models/{model}/seed{seed}")
"""The folder of one seed of a model; a folder of int8 variants has the same form."""

WEIGHTS: Row[ResultFile] = ResultFile("results/models/{model}/seed{seed}/weights.safetensors")
"""Weights of all folds and of the full model."""

LOSO: Row[ResultFile] = ResultFile("results/models/{model}/seed{seed}/loso.json")
"""The cross-validation report."""

PREDICTIONS: Row[ResultFile] = ResultFile("results/models/{model}/seed{seed}/predictions.parquet")
"""Predictions for held-out rows."""

ONNX: Row[ResultFile] = ResultFile("results/models/{model}/seed{seed}/model.onnx")
"""An exported model."""

SIDECAR: Row[ResultFile] = ResultFile("results/models/{model}/seed{seed}/model.json")
"""The description of an exported model."""

VERDICT: Row[ResultFile] = ResultFile("results/models/{model}/verdict.json")
"""The outcome of a model's gates."""

CHECKPOINT: Row[ResultFile] = ResultFile("results/models/{model}/converted/checkpoint")
"""A published checkpoint, as it was taken out of its package."""

CONVERTED: Row[ResultFile] = ResultFile("results/models/{model}/converted/model.onnx")
"""A published checkpoint as ONNX."""

CONVERTED_SIDECAR: Row[ResultFile] = ResultFile("results/models/{model}/converted/model.json")
"""The description of a converted checkpoint."""

CONVERTED_WEIGHTS: Row[ResultFile] = ResultFile("results/models/{model}/converted/weights.safetensors")
"""The weights of a published checkpoint."""

CONVERSION: Row[ResultFile] = ResultFile("results/models/{model}/converted/conversion.json")
"""The report of a conversion, with its gates."""

ENSEMBLE: Row[ResultFile] = ResultFile("results/models/{model}/ensemble.json")
"""The description of an ensemble of all seeds."""

INT8: Row[ResultFile] = ResultFile("results/quantized/{model}/seed{seed}/{mode}.onnx")
"""An int8 variant."""

INT8_REPORT: Row[ResultFile] = ResultFile("results/quantized/{model}/seed{seed}/{mode}.json")
"""The measured drop of an int8 variant."""

REGISTRY: Row[ResultFile] = ResultFile("results/registry/registry.json")
"""The registry."""

PAGE: Row[ResultFile] = ResultFile("results/reports/report.html")
"""The page of a run."""

CARD: Row[ResultFile] = ResultFile("results/reports/models/{model}.html")
"""The card of a model."""

SUMMARY: Row[ResultFile] = ResultFile("results/reports/summary.json")
"""The closing figures."""

CACHE = "results/cache"
"""The folder of the feature cache."""


def model_and_seed(path: Path) -> tuple[str, int]:
    """Model and seed of a file in a folder ``…/{model}/seed{seed}``.

    Raises:
        InputError: the file lies in another folder.
    """
    parts = SEED_FOLDER.match(os.path.abspath(path.parent))
    if parts is None:
        raise InputError(
            f"{path} does not lie in a folder …/<model>/seed<number>, which would name its model and seed: move it there"
        )
    return parts["model"], int(parts["seed"])
