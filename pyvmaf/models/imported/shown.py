"""What the card of a converted checkpoint says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyvmaf.models.shown import Shown, tensor_inputs, tensor_use
from pyvmaf.runtime.sidecar import Sidecar
from pyvmaf.runtime.tasks import TASKS


def shown(name: str, sidecar: Sidecar) -> Shown:
    """Describe a model by its tensors and the checkpoint that it was made of."""
    keys = sidecar.family_keys
    what = f"published checkpoint: it {TASKS[keys['task']].does}"
    return Shown(what, tensor_use(name, keys), tuple(tensor_inputs(keys)), tuple(_warnings(keys)))


def _warnings(keys: Mapping[str, Any]) -> Iterator[str]:
    if not keys["checkpoint"]["pinned"]:
        yield "Any use but experiments: nobody has tried these weights here, which their YAML file does not pin."
    yield "Claims about what its authors trained it on: only the file and its answers were checked here, not their data."
