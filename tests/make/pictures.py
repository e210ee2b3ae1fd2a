"""Small tables of pictures, textures that a block transform compressed, and small models that are trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from pyvmaf.base.layout import REFERENCE
from pyvmaf.features.table import write_table
from pyvmaf.frames.storage import writing
from pyvmaf.frames.table import File, metadata, name_in, picture_table
from pyvmaf.metrics import psnr
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.judge import judge
from pyvmaf.models.spec import load_spec
from tests.make.runs import once

STEPS = (8, 24, 60, 140)
"""Steps of the quantiser, the strengths of the ladder."""


SCORE: dict[str, Any] = {
    "name": "small_nr",
    "kind": "image",
    "description": "Scores of small pictures",
    "network": {"type": "mobilenet_tiny"},
    "crops": {"train": 32, "judge": 64, "views": 3},
    "epochs": 2,
    "batch_size": 8,
    "seeds": [0],
    "split": {"protocol": "kfold", "k": 2, "by": "source"},
    "gates": {"constant": {"rmse_share_max": 5}, "within": {"mean_min": -1}, "pooled": {"srocc_min": -1}},
    "quantised": [{"mode": "static_qdq", "calibration_rows": 8, "srocc_min": -1, "rmse_max": 50, "budget": 1}],
}
FILTER: dict[str, Any] = {
    "name": "small_filter",
    "kind": "image",
    "description": "Filters small pictures",
    "network": {"type": "residual", "channels": 8, "blocks": 1},
    "crops": {"train": 32, "judge": 64, "views": 1},
    "augmentation": {"flip": True, "transpose": True},
    "target": {"table": "pictures", "column": "reference", "range": [0, 100]},
    "loss": {"name": "relative_l1"},
    "optimiser": {"name": "adam", "lr": 0.002},
    "schedule": {"name": "cosine"},
    "epochs": 6,
    "batch_size": 8,
    "seeds": [0],
    "split": {"protocol": "kfold", "k": 2, "by": "source"},
    "gates": {"gain": {"cell_min": -9, "mean_min": -9, "worst_min": -9}},
    "quantised": [{"mode": "static_qdq", "calibration_rows": 8, "rmse_max": 5, "budget": 1}],
}


def write_spec(folder: Path, spec: dict[str, Any], **changes: Any) -> Path:
    """Write the YAML file of a model, with other values of some keys."""
    data = {**spec, **changes}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{data['name']}.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def image_spec(path: Path) -> ImageSpec:
    """Read the spec of a model that looks at pictures."""
    spec = load_spec(path)
    assert isinstance(spec, ImageSpec)
    return spec


def shipped(folder: Path, spec: dict[str, Any], pictures: Path, seed: int = 0, backbone: Path | None = None) -> Path:
    """Fit, judge and export a model; give the folder of its files."""
    config, out = write_spec(folder, spec), folder / f"seed{seed}"
    fit(config, pictures, out, seed=seed, backbone=backbone)
    judge(config, [out / "loso.json"], folder / "verdict.json", seeds=[seed])
    export(config, out / "weights.safetensors", folder / "verdict.json", pictures, out / "model.onnx")
    return out


def no_reference(session: Path) -> Path:
    """Return the folder, of a session, of a trained model that scores pictures without a reference, small_nr."""

    def make(folder: Path) -> None:
        shipped(folder, SCORE, write_pictures(folder / "pictures.parquet"))

    return once(session, "no_reference", make)


def texture(seed: int, height: int, width: int, frame: int = 0) -> NDArray[np.uint8]:
    """Draw a picture of waves, an edge and grain, which moves from frame to frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(float)
    scale, angle, edge = rng.uniform(3, 14), rng.uniform(0, 3), rng.uniform(0.3, 0.7)
    waves = np.sin((x * np.cos(angle) + y * np.sin(angle) + 2 * frame) / scale) * np.cos(y / (2 * scale))
    light = np.where(x + frame > edge * width, 40, -20)
    grain = np.random.default_rng((seed, frame)).normal(0, 6, (height, width))
    return np.asarray(np.clip(120 + 60 * waves + light + grain, 0, 255).astype(np.uint8))


def compressed(picture: NDArray[np.uint8], step: float) -> NDArray[np.uint8]:
    """Quantise the cosine transform of blocks of 8x8, as JPEG does."""
    height, width = (side // 8 * 8 for side in picture.shape)
    out = picture.copy()
    blocks = picture[:height, :width].reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3).astype(float)
    ramp = 1 + np.add.outer(np.arange(8), np.arange(8)) / 4
    coded = np.rint(dctn(blocks, axes=(2, 3), norm="ortho") / (step * ramp)) * step * ramp
    back = idctn(coded, axes=(2, 3), norm="ortho").transpose(0, 2, 1, 3).reshape(height, width)
    out[:height, :width] = np.clip(np.rint(back), 0, 255)
    return out


def write_pictures(
    path: Path,
    *,
    sources: int = 4,
    frames: int = 2,
    size: tuple[int, int] = (72, 88),
    colour: str = "gray",
    **columns: list[Any],
) -> Path:
    """Write a table of pictures and its file: each frame of each source as it is, and at every step of `STEPS`.

    Args:
        path: the table.
        sources, frames: how many.
        size: height and width.
        colour: stated by the table; the pictures are gray, or repeated per channel.
        columns: other values of columns.
    """
    rows: list[dict[str, Any]] = []
    file = path.with_name(f"{path.stem}.safetensors")
    name = name_in(path, file)
    pristine: dict[tuple[int, int], int] = {}
    with writing(file, colour) as writer:
        for source in range(sources):
            for frame in range(frames):
                original = texture(source, *size, frame)
                for step in (0, *STEPS):
                    picture = compressed(original, step) if step else original
                    pixels = picture if colour == "gray" else np.repeat(picture[..., None], 3, axis=2)
                    number = writer.add(pixels, "texture")
                    if not step:
                        pristine[source, frame] = number
                    quality = 100.0 if not step else float(np.clip(4 * psnr(picture, original, cap=60) - 80, 0, 99))
                    rows.append(_row(source, frame, step, size, name, number, pristine[source, frame], quality))
    data = {column: [row[column] for row in rows] for column in rows[0]} | columns
    files = {name: File.of(file)}
    write_table(picture_table(data, metadata(colour=colour, files=files, model="vmaf_v0.6.1", engine={})), path)
    return path


def _row(
    source: int, frame: int, step: int, size: tuple[int, int], file: str, number: int, pristine: int, quality: float
) -> dict[str, Any]:
    return {
        "corpus": "drawn",
        "group": f"film{source // 2}",
        "source": f"scene{source}",
        "clip": f"scene{source}",
        "codec": "blocks" if step else None,
        "rung": f"step{step}" if step else REFERENCE,
        "strength": float(step) if step else None,
        "frame_index": frame,
        "width": size[1],
        "height": size[0],
        "vmaf": quality,
        "file": file,
        "row": number,
        "reference_file": file,
        "reference_row": pristine,
    }
