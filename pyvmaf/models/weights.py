"""Trained members in one safetensors file: it holds no code, and nothing that varies between identical runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import content_hash, sha256_file, write_bytes
from pyvmaf.base.opinion import MOS
from pyvmaf.base.outputs import reading
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.spec import ModelSpec

WEIGHTS, REPORT, PREDICTIONS, MODEL = "weights.safetensors", "loso.json", "predictions.parquet", "model.onnx"
"""Names of the files in the folder of one seed."""

_S = TypeVar("_S", bound=ModelSpec)

SCHEMA = "pyvmaf-weights-v1"
# One key only: safetensors keeps its metadata in a hash map, whose order differs from run to run.
_KEY = "pyvmaf"


@dataclass(frozen=True)
class Weights:
    """All members of one fit.

    Attributes:
        path: file that they were read from, or will be written to.
        info: model, seed, epochs, training settings, table, names of the members' held-out groups (``held_out``), and
            further keys of the family.
        tensors: arrays by name, the members along the first axis; which ones is the family's choice.
    """

    path: Path
    info: dict[str, Any]
    tensors: Mapping[str, NDArray[Any]]

    @property
    def held_out(self) -> list[str | None]:
        """Name of the group that each member did not train on; None for the member that trained on all rows."""
        return list(self.info["held_out"])

    def index(self, held_out: str | None) -> int:
        """Index of the member that did not train on `held_out`.

        Raises:
            InputError: there is none.
        """
        if held_out not in self.held_out:
            raise InputError(f"{self.path} holds no member for {held_out!r}; it holds: {self.held_out}")
        return self.held_out.index(held_out)

    @property
    def clipped(self) -> bool:
        """Whether scores are kept inside the target's range; weights of versions that could not do that say nothing."""
        return bool(self.info["training"]["target"].get("clip", False))

    @property
    def train_config_hash(self) -> str:
        """Hash of everything but data and seed that shaped the weights."""
        return "sha256:" + content_hash({"training": self.info["training"], "epochs": self.info["epochs"]})

    def sha256(self) -> str:
        """Hash of the file."""
        return sha256_file(self.path)

    def spec_of(self, spec: _S) -> _S:
        """Return a spec with the range of opinion scores that it had on the table, if its file does not state one."""
        if spec.target.column != MOS or spec.target.states_range:
            return spec
        return spec.with_range(*self.info["training"]["target"]["range"])

    def check_made_for(self, spec: ModelSpec) -> None:
        """Refuse weights of another model.

        Raises:
            InputError: name or training settings differ; the message names the settings.
        """
        if self.info["model"] != spec.name:
            raise InputError(f"{self.path} holds weights of model {self.info['model']!r}, not of {spec.name!r}")
        expected, actual = spec.training(), self.info["training"]
        if "clip" not in actual["target"]:
            # Fitted and judged by a version that did not clip: its graph stays what it was.
            del expected["target"]["clip"]
        if expected != actual:
            keys = [k for k in expected if expected[k] != actual.get(k)]
            detail = "; ".join(f"{k}: {actual.get(k)} in the weights, {expected[k]} in the spec" for k in keys)
            raise InputError(f"{self.path} was fitted with other settings ({detail}): fit the model again")


def save_weights(weights: Weights) -> None:
    """Write `weights` to its path, atomically."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in weights.tensors.items()}
    info = {"schema": SCHEMA, **weights.info}
    write_bytes(weights.path, save(tensors, metadata={_KEY: json.dumps(info, sort_keys=True, allow_nan=False)}))


def load_weights(path: Path) -> Weights:
    """Read a file of `save_weights`.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is damaged, or not such a file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    reading(path)
    try:
        with safe_open(path, framework="numpy") as stream:
            info = parse_json((stream.metadata() or {}).get(_KEY, "{}"), f"the header of {path}")
            if not isinstance(info, dict):
                raise IntegrityError(f"the header of {path} holds {type(info).__name__}, not an object")
            if info.pop("schema", None) != SCHEMA:
                raise IntegrityError(f"{path} is a safetensors file, but not one of schema {SCHEMA}")
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, ValueError) as err:
        raise IntegrityError(f"{path} is not a readable safetensors file ({err}): fit the model again") from err
    return Weights(path, info, tensors)
