"""Find and load a model that takes pictures: a registered one by its id, or an ONNX file by its path."""

from __future__ import annotations

import os

from pyvmaf.registry.entry import Registry
from pyvmaf.runtime.load import peek
from pyvmaf.runtime.tensors import TensorModel, load_tensor_model
from pyvmaf.scoring.find import locate, registry_path


def registered_for(
    task: str, registry: str | os.PathLike[str] | None = None, preferred: str | None = None
) -> str | None:
    """Give the id of the registered model for a task (`pyvmaf.runtime.tasks.TASKS`); None if there is none.

    Args:
        task: the task.
        registry: as in `pyvmaf.scoring.find.registry_path`.
        preferred: the id to take if it is one of several; otherwise the first by name.

    Raises:
        IntegrityError: the registry is damaged.
    """
    path = registry_path(registry)
    if not path.exists():
        return None
    entries = [entry for entry in Registry.read(path).models if entry.sidecar is not None]
    # Only a hint of what to load: loading checks the sidecar.
    ids = sorted(entry.id for entry in entries if peek(path.parent / str(entry.sidecar), "task") == task)
    return preferred if preferred in ids else next(iter(ids), None)


def load_for(
    task: str, model: str | os.PathLike[str], *, registry: str | os.PathLike[str] | None = None, threads: int = 1
) -> TensorModel:
    """Load a model for a task after checking all of it.

    Args:
        task: what it is needed for (`pyvmaf.runtime.tasks.TASKS`).
        model: id of a registered model, or path of an ONNX file.
        registry: as in `pyvmaf.scoring.find.registry_path`.
        threads: of the runtime.

    Raises:
        MissingFileError, InputError, IntegrityError: as `pyvmaf.scoring.find.load_model` and `load_tensor_model`.
    """
    found = locate(model, registry=registry)
    return load_tensor_model(
        found.path,
        task=task,
        sidecar=found.sidecar,
        sha256=found.sha256,
        sidecar_sha256=found.sidecar_sha256,
        threads=threads,
    )
