"""Use of a converted checkpoint: its block of the sidecar. It takes pictures, never rows of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from pyvmaf.runtime.tensors import TensorBlock, refuse_rows, tensor_block

SHARED: tuple[str, ...] = ()
"""Checkpoints are not members of ensembles."""

block = tensor_block


def predictor(graph: Any, sidecar: Mapping[str, Any], block: TensorBlock, where: str, threads: int) -> NoReturn:
    """Refuse to score rows of features.

    Raises:
        InputError: always.
    """
    refuse_rows(block, where)


def ensemble_keys(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Give the keys of an ensemble's manifest: none, checkpoints are not members of ensembles."""
    return {}
