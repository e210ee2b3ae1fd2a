"""``vmaf-train collect-gpu-calibration``: features of a pair by several backends beside those of the processor.

The table is what a calibration of a device starts from: one row for each backend, feature and frame, with both values.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyvmaf import engines
from pyvmaf.base.code import Uses
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.engines.libvmaf.build import simd
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import DEFAULT_FEATURES, select
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute, Reading, Window
from pyvmaf.features.table import write_table
from pyvmaf.video.format import Format

BASELINE = engines.CPU
"""Backend that the others are compared with: libvmaf on the processor."""


class Difference(NamedTuple):
    """How a backend's values of a feature differ from the processor's.

    Attributes:
        backend, feature: of what.
        frames: frames compared.
        unequal: frames whose values are not the same to the last bit.
        largest, mean: largest and mean absolute difference; frames of which one side has no value count as unequal only.
        worst: the frame of the largest difference.
    """

    backend: str
    feature: str
    frames: int
    unequal: int
    largest: float
    mean: float
    worst: int


def device_name(backend: str) -> str:
    """Return the id of what a backend computes on: "cpu:" and the instruction set, or "cuda:" and the device's capability."""
    from pyvmaf.engines.device.engine import DeviceEngine

    engine = engines.load(backend)
    if not isinstance(engine, DeviceEngine):
        return f"cpu:{simd()}"
    facts = engine.process().device
    major, minor = facts["capability"]
    return f"cuda:{major}.{minor}:{facts['name']}"


def _uses(backends: Sequence[str]) -> Uses:
    """Return what the verb uses: every engine's code and identity."""
    found = [engines.uses(backend) for backend in backends]
    modules = dict.fromkeys(module for uses in found for module in uses.modules)
    return Uses(tuple(modules), tuple(dict(fact for uses in found for fact in uses.facts).items()))


@publishes("collect-gpu-calibration")
def collect(
    reference: Path,
    distorted: Path,
    output: Path,
    *,
    backends: Sequence[str],
    features: str = DEFAULT_FEATURES,
    frames: int | None = None,
    arch_id: str | None = None,
    raw: Format | None = None,
    threads: int = 1,
) -> list[Difference]:
    """Measure a pair with the processor and with each backend, and write all values.

    Args:
        reference, distorted: the pair.
        output: the table to write, parquet: ``arch_id``, ``backend``, ``feature``, ``frame_index``, ``cpu``, ``value`` and
            ``difference`` (value less cpu), float64 but for names and frames, in the order of backends, features, frames.
        backends: what to compare with the processor.
        features: a set of features, or names with commas.
        frames: measure so many frames only; None for all.
        arch_id: id of the device for all rows; None for `device_name`.
        raw: layout of files that end in .yuv.
        threads: worker threads.

    Returns:
        The differences, by backend and feature.

    Raises:
        InputError: a backend is named twice or is the baseline, or the videos cannot be compared.
        UnavailableError: the build, the driver or the device of a backend is missing.
        NativeError: a backend failed, or differs from the processor by more than its tolerance.
    """
    started = time.monotonic()
    claim(output)
    if not backends:
        raise InputError("no backends were given to compare with the processor: name them with --backend")
    if twice := [
        name for name in {*backends} if list(backends).count(name) > 1 or engines.engine_name(name) == engines.LIBVMAF
    ]:
        raise InputError(f"backend {twice[0]} is the processor itself, or given twice: name each other backend once")
    uses = _uses((BASELINE, *backends))
    reading = Reading(raw=raw, window=Window(0, frames))

    def measured(backend: str) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
        compute = Compute(backend=backend, threads=threads)
        ladder = extract_ladder(
            reference, {"pair": distorted}, features=features, model=None, reading=reading, compute=compute
        )
        rung = ladder.rungs["pair"]
        return rung.indices, {name: rung.features[name] for name in select(features).names}

    ids = {backend: arch_id or device_name(backend) for backend in backends}
    indices, expected = measured(BASELINE)
    found = {backend: measured(backend)[1] for backend in backends}
    write_table(_table(indices, expected, found, ids), output)
    differences = [
        _difference(backend, name, indices, values, expected[name])
        for backend, columns in found.items()
        for name, values in columns.items()
    ]
    write_manifest(
        output,
        verb="collect-gpu-calibration",
        args={
            "backends": list(backends),
            "features": features,
            "frames": frames,
            "raw": None if raw is None else f"{raw.size} {raw.pix_fmt}",
        },
        inputs={"reference": reference, "distorted": distorted},
        outputs={"table": output},
        details={"devices": ids, "frames": int(indices.size), "differences": [item._asdict() for item in differences]},
        seconds=time.monotonic() - started,
        uses=uses,
    )
    return differences


def _table(
    indices: NDArray[np.int64],
    expected: dict[str, NDArray[np.float64]],
    found: dict[str, dict[str, NDArray[np.float64]]],
    ids: dict[str, str],
) -> Any:
    """Return the rows: as many as backends times features times frames."""
    import pyarrow as pa

    keys = [(backend, name) for backend, columns in found.items() for name in columns]
    values = np.concatenate([found[backend][name] for backend, name in keys])
    cpu = np.concatenate([expected[name] for _, name in keys])

    def text(words: list[str]) -> Any:
        return pa.array(np.repeat(words, indices.size).tolist(), pa.string()).dictionary_encode()

    return pa.table(
        {
            "arch_id": text([ids[backend] for backend, _ in keys]),
            "backend": text([backend for backend, _ in keys]),
            "feature": text([name for _, name in keys]),
            "frame_index": pa.array(np.tile(indices, len(keys))),
            "cpu": pa.array(cpu),
            "value": pa.array(values),
            "difference": pa.array(values - cpu),
        }
    )


def _difference(
    backend: str, name: str, indices: NDArray[np.int64], values: NDArray[np.float64], expected: NDArray[np.float64]
) -> Difference:
    """Compare the values of a feature."""
    same = (values == expected) | (np.isnan(values) & np.isnan(expected))
    apart = np.nan_to_num(np.where(same, 0.0, np.abs(values - expected)), nan=0.0)
    return Difference(
        backend, name, int(indices.size), int((~same).sum()), float(apart.max()), float(apart.mean()),
        int(indices[int(apart.argmax())]),
    )  # fmt: skip
