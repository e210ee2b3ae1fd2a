"""The state of a training as a safetensors file: it holds no code, and a training that was interrupted goes on from it.

Lightning's own checkpoints are pickles. This plugin writes the same state as tensors by name and one JSON text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from pyvmaf.base.files import write_bytes
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import IntegrityError

_KEY = "pyvmaf"
_TENSOR, _TUPLE, _MAPPING = "tensor", "tuple", "mapping"


def flatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Write a state as plain JSON values, and put its tensors into a mapping by number.

    Raises:
        TypeError: it holds an object that is neither a number, text, tensor, list nor mapping.
    """
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous()
        return {_TENSOR: name}
    if isinstance(value, dict):
        # Keys may be numbers, which JSON would turn into text.
        return {_MAPPING: [[flatten(key, tensors), flatten(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list):
        return [flatten(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {_TUPLE: [flatten(item, tensors) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}")


def restore(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Undo `flatten`."""
    if isinstance(value, list):
        return [restore(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == _TENSOR:
        return tensors[content]
    if kind == _TUPLE:
        return tuple(restore(item, tensors) for item in content)
    return {restore(key, tensors): restore(item, tensors) for key, item in content}


class SafetensorsIO(CheckpointIO):
    """Lightning's checkpoints in safetensors files."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint, atomically."""
        from safetensors.torch import save

        tensors: dict[str, torch.Tensor] = {}
        state = json.dumps(flatten(checkpoint, tensors))
        data = save({name: tensor.clone() for name, tensor in tensors.items()}, metadata={_KEY: state})
        write_bytes(Path(path), data, at_once=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            IntegrityError: the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as stream:
                state = parse_json((stream.metadata() or {})[_KEY], f"the header of {path}")
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a mapping)
            restored: dict[str, Any] = restore(state, tensors)
        except (SafetensorError, ValueError, KeyError, OSError) as err:
            raise IntegrityError(f"{path} is not a readable checkpoint ({err}): remove it and fit again") from err
        return restored

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)
