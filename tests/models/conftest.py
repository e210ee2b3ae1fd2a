"""A table from a formula, with the columns, types and distributions of a real one, and small specs."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pyvmaf import cli

PRESETS = {"libx264": "medium", "libx265": "slow", "libsvtav1": "8"}
CRFS = (20, 30, 40)


def table_columns(sources: int = 4, frames: int = 12, seed: int = 3) -> dict[str, list[Any]]:
    """Columns of a feature table: sources x codecs x CRFs x frames."""
    rng = np.random.default_rng(seed)
    names = "corpus group source clip codec encoder preset crf rung frame_index adm2 vif_scale0 vif_scale1 vif_scale2"
    columns: dict[str, list[Any]] = {k: [] for k in [*names.split(), "vif_scale3", "motion2", "vmaf"]}
    for s in range(sources):
        motion = rng.uniform(0.5, 9)
        for codec, preset in PRESETS.items():
            for crf in CRFS:
                t = np.arange(frames)
                loss = np.clip((crf - 15) / 40 + 0.03 * s + rng.normal(0, 0.03, frames), 0.01, 0.9)
                features = {
                    "adm2": 1 - 0.35 * loss**1.4,
                    **{f"vif_scale{i}": np.exp(-f * loss) for i, f in enumerate((1.8, 1.2, 0.9, 0.6))},
                    "motion2": np.where(t == 0, 0, np.abs(motion + rng.normal(0, 0.3, frames))),
                }
                score = np.clip(104 - 105 * loss + 0.2 * motion + rng.normal(0, 0.5, frames), 0, 100)
                constant = {
                    "corpus": "made",
                    "group": f"film{s // 2}",
                    "source": f"scene{s}",
                    "clip": f"clip{s}",
                    "codec": codec,
                    "encoder": codec,
                    "preset": preset,
                    "crf": crf,
                    "rung": f"{preset}-crf{crf}",
                }
                for key, value in constant.items():
                    columns[key] += [value] * frames
                columns["frame_index"] += t.tolist()
                for key, values in features.items():
                    columns[key] += values.tolist()
                columns["vmaf"] += score.tolist()
    return columns


def write_table(path: Path, columns: Mapping[str, list[Any]], **metadata: Any) -> Path:
    """A parquet file with those columns, text dictionary-encoded as in real tables."""
    arrays = {}
    for name, values in columns.items():
        array = pa.array(values)
        arrays[name] = array.dictionary_encode() if pa.types.is_string(array.type) else array
    table = pa.table(arrays).replace_schema_metadata({"pyvmaf": json.dumps(metadata)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")
    return path


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def command(*words: object, cwd: Path) -> Done:
    """Run ``vmaf-train`` with those words in this process, which saves importing torch once more."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    before = sys.argv
    sys.argv = ["vmaf-train", *map(str, words)]
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = before
    return Done(int(code or 0), out.getvalue(), err.getvalue())


def spec_file(folder: Path, name: str = "small", **changes: Any) -> Path:
    """A small model's YAML; keyword arguments replace top-level keys."""
    spec: dict[str, Any] = {
        "name": name,
        "description": "A model for tests",
        "inputs": {"features": "canonical6"},
        "network": {"hidden": [8], "activation": "relu"},
        "target": {"table": "made", "standardise": True},
        "optimiser": {"lr": 0.01},
        "epochs": 25,
        "batch_size": 32,
        "seeds": [0, 1],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec | changes))
    return path


SpecWriter = Callable[..., Path]


@pytest.fixture
def write_spec(tmp_path: Path) -> SpecWriter:
    """`spec_file` into the test's own folder."""
    return functools.partial(spec_file, tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 4 scenes."""
    return write_table(tmp_path / "made.parquet", table_columns())
