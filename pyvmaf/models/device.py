"""Devices that networks are trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pyvmaf.errors import UnavailableError


def check_device(model: str, device: str) -> None:
    """Refuse a device that is not there.

    Args:
        model: name of the model, for the message.
        device: "cpu" or "cuda".

    Raises:
        UnavailableError: there is no CUDA device, or torch cannot use it.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UnavailableError(
            f"{model} is trained with device: cuda, which this machine does not have: set device: cpu"
        )


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Let torch use only operations of the device that give the same bits each time; the processor's do anyway."""
    if device.type != "cuda":
        yield
        return
    # cuBLAS adds in a fixed order only with this setting, which it reads when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
