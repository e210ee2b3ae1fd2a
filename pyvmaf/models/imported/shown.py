"""What the card of a converted checkpoint says of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pyvmaf.models.shown import Shown
from pyvmaf.runtime.sidecar import Sidecar
from pyvmaf.runtime.tensors import TASKS

_USE = {
    "shots": "vmaf-train shots film.mkv --model {}",
    "saliency": "vmaf-train saliency clip.mkv --per-clip --output saliency.parquet --model {}",
    "denoise": "vmaf-train filter noisy.mkv clean.mkv --model {}",
}


def shown(name: str, sidecar: Sidecar) -> Shown:
    """Describe a model by its tensors and the checkpoint that it was made of."""
    keys = sidecar.family_keys
    task = keys["task"]
    does = TASKS[task].partition(":")[0]
    use = (_USE[task].format(shlex.quote(name)),)
    return Shown(f"published checkpoint: it {does}", use, tuple(_inputs(keys)), tuple(_warnings(keys)))


def _inputs(keys: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "network", str(keys["architecture"])
    for name, shape in keys["inputs"].items():
        low, high = keys["input_ranges"][name]
        yield f"input {name}", f"{_sizes(shape)}, {low:g} to {high:g}"
    for name, shape in keys["outputs"].items():
        yield f"output {name}", _sizes(shape)


def _sizes(shape: list[int]) -> str:
    return "x".join(map(str, shape))


def _warnings(keys: Mapping[str, Any]) -> Iterator[str]:
    if not keys["checkpoint"]["pinned"]:
        yield "Any use but experiments: nobody has tried these weights here, which their YAML file does not pin."
    yield "Claims about what its authors trained it on: only the file and its answers were checked here, not their data."
