"""Logs and corpus rows as other programs leave them, small and with known content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy import stats

from tests.make.videos import REPOSITORY

SHARED = Path(os.environ.get("PYVMAF_SHARED", REPOSITORY.parent / "shared")) / "data"
EXAMPLE = REPOSITORY / "docs" / "examples" / "fr_mos"

LOGGED = ("adm2", "motion2", "psnr", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "vmaf")
CODECS = ("h264", "hevc", "vp9")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Log:
    """A folder with a pooled table, per-frame arrays and the corpus file of both.

    Attributes:
        folder: where they lie.
        rows: the table's rows; a test changes them before `corpus_file`.
        frames: per-frame arrays by video.
        options: keys of the corpus file's ``log``.
    """

    def __init__(self, folder: Path, contents: int = 3, heights: Sequence[int] = (360, 1080)) -> None:
        rng = np.random.default_rng(5)
        self.folder = folder
        self.frames: dict[str, NDArray[np.float32]] = {}
        self.rows: list[dict[str, Any]] = []
        for content in range(contents):
            for codec in CODECS:
                for height in heights:
                    name = f"film{content}_{codec}_{height}"
                    quality = rng.uniform(0.2, 0.95)
                    values = quality * rng.uniform(0.9, 1.0, size=(7, len(LOGGED)))
                    values[:, LOGGED.index("psnr")] *= 45
                    values[:, LOGGED.index("vmaf")] *= 100
                    self.frames[name] = values.astype(np.float32)
                    self.rows.append(
                        {
                            "test": "one",
                            "pvs": name,
                            "content": f"film{content}",
                            "codec": codec,
                            "width": float(height * 16 // 9),
                            "height": height,
                            "fps": 59.94,
                            "kbps": 100.0 * height * quality,
                            "mos": round(1 + 4 * quality, 3),
                            "ci": 0.2,
                            "n": 7,
                            "lab": "here",
                            **self.pooled(name),
                        }
                    )
        self.options: dict[str, Any] = {
            "teacher": "somebody's libvmaf",
            "frame_key": "pvs",
            "columns": {
                "clip": ["test", "pvs"],
                "source": "content",
                "codec": "codec",
                "width": "width",
                "height": "height",
                "fps": "fps",
                "bitrate_kbps": "kbps",
                "n_frames": "n",
                "mos": "mos",
                "mos_ci": "ci",
            },
            "features": {"psnr": "psnr_y"},
        }

    def pooled(self, name: str) -> dict[str, float]:
        """Six digits of a few figures, computed without the project."""
        frames = pd.DataFrame(self.frames[name].astype(float), columns=list(LOGGED))
        found = {f"{c}_mean": frames[c].mean() for c in LOGGED} | {f"{c}_std": frames[c].std(ddof=0) for c in LOGGED}
        found |= {f"{c}_hmean": stats.hmean(frames[c] + 1) - 1 for c in LOGGED}
        return {key: float(f"{value:.6g}") for key, value in found.items()}

    def corpus_file(self, *, frames: bool = True, **options: Any) -> Path:
        """Write everything, and return the corpus file; keyword arguments replace keys of ``log``."""
        table = self.folder / "pooled.csv"
        pd.DataFrame(self.rows).to_csv(table, index=False)
        log = {**self.options, "tables": [{"path": table.name, "sha256": sha256(table)}]}
        if frames:
            arrays = self.folder / "frames.npz"
            np.savez(arrays, allow_pickle=False, **{**self.frames, "__features__": np.array(LOGGED)})
            log["frames"] = [{"path": arrays.name, "sha256": sha256(arrays), "where": {"test": "one"}}]
        else:
            log.pop("frame_key")
        path = self.folder / "logged.yaml"
        corpus = {"name": "logged", "kind": "feature-log", "license": "CC0", "root": ".", "log": log | options}
        path.write_text(yaml.safe_dump(corpus))
        return path


WriteRows = Callable[..., Path]


def write_rows(folder: Path, rows: Sequence[Any], **options: Any) -> Path:
    """Write corpus rows (objects, or text as it is) and the corpus file that names them."""
    file = folder / "rows.jsonl"
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    body = {"files": [{"path": file.name, "sha256": sha256(file)}], **options}
    path = folder / "tuned.yaml"
    corpus = {"name": "tuned", "kind": "corpus-jsonl", "license": "CC0", "root": ".", "rows": body}
    path.write_text(yaml.safe_dump(corpus))
    return path
