"""Trained members in one safetensors file: no code in it, nothing that varies between identical runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import content_hash, sha256_file, write_bytes
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.spec import ModelSpec

WEIGHTS, REPORT, PREDICTIONS, MODEL = "weights.safetensors", "loso.json", "predictions.parquet", "model.onnx"
"""What lies in the folder of one seed."""

SCHEMA = "pyvmaf-weights-v1"
# One key only: safetensors keeps its metadata in a hash map, whose order differs from run to run.
_KEY = "pyvmaf"
_TENSORS = ("parameters", "scaler_mean", "scaler_std", "feature_low", "feature_high")


@dataclass(frozen=True)
class Weights:
    """All members of one fit.

    Attributes:
        path: file that they were read from, or are to be written to.
        info: model, seed, epochs, training settings, features, codec vocabulary, table, members' names.
        parameters: float32 [members, n_parameters], in the layout of `networks`.
        scaler_mean, scaler_std: float64 [members, features].
        feature_low, feature_high: float64 [members, features], range of each member's training rows.
    """

    path: Path
    info: dict[str, Any]
    parameters: NDArray[np.float32]
    scaler_mean: NDArray[np.float64]
    scaler_std: NDArray[np.float64]
    feature_low: NDArray[np.float64]
    feature_high: NDArray[np.float64]

    @property
    def held_out(self) -> list[str | None]:
        """Name of what each member did not see; None for the one that saw all rows."""
        return list(self.info["held_out"])

    def place(self, held_out: str | None) -> int:
        """Index of the member that did not see `held_out`.

        Raises:
            InputError: there is none.
        """
        if held_out not in self.held_out:
            raise InputError(f"{self.path} holds no member for {held_out!r}; it holds: {self.held_out}")
        return self.held_out.index(held_out)

    @property
    def train_config_hash(self) -> str:
        """Hash of everything but data and seed that shaped the weights."""
        return "sha256:" + content_hash({"training": self.info["training"], "epochs": self.info["epochs"]})

    def sha256(self) -> str:
        """Hash of the file."""
        return sha256_file(self.path)

    def check_made_for(self, spec: ModelSpec) -> None:
        """Refuse to go on with weights of another model.

        Raises:
            InputError: name or training settings differ; the first settings that do are quoted.
        """
        if self.info["model"] != spec.name:
            raise InputError(f"{self.path} holds weights of model {self.info['model']!r}, not of {spec.name!r}")
        wanted, found = spec.training(), self.info["training"]
        if wanted != found:
            keys = [k for k in wanted if wanted[k] != found.get(k)]
            detail = "; ".join(f"{k}: {found.get(k)} in the weights, {wanted[k]} in the spec" for k in keys)
            raise InputError(f"{self.path} was fitted with other settings ({detail}): fit the model again")


def save_weights(weights: Weights) -> None:
    """Write `weights` to its path, atomically."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(getattr(weights, name)) for name in _TENSORS}
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
    try:
        with safe_open(path, framework="numpy") as stream:
            info = json.loads((stream.metadata() or {}).get(_KEY, "{}"))
            if info.pop("schema", None) != SCHEMA:
                raise IntegrityError(f"{path} is a safetensors file, but not one of schema {SCHEMA}")
            tensors = {name: stream.get_tensor(name) for name in _TENSORS}
    except (SafetensorError, ValueError) as err:
        raise IntegrityError(f"{path} is not a readable safetensors file ({err}): fit the model again") from err
    return Weights(path=path, info=info, **tensors)
