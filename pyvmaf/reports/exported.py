"""Scores of exported model files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf.reports.measures import evenly
from pyvmaf.reports.read import Run
from pyvmaf.runtime.load import load_model
from pyvmaf.tables.columns import ENCODE_COLUMNS, codec_block

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def int8_difference(run: Run, rows: pd.DataFrame, most: int) -> pd.DataFrame | None:
    """Compare the int8 scores of the shipped seeds with their fp32 scores, on rows evenly spaced over all shards.

    Args:
        run: the models.
        rows: the rows of all shards.
        most: a third of the most rows per model.

    Returns:
        Table with columns panel, codec, clip, rung, frame, fp32 and delta (int8 - fp32); None if there is no model file.
    """
    import pandas as pd

    parts = []
    for model in run.models.values():
        seed = model.shown
        features = list(seed.features)
        if seed.onnx is None or not seed.onnx.exists() or not features:
            continue
        usable = rows[np.isfinite(rows[features].to_numpy()).all(axis=1)]
        sample = usable.iloc[evenly(len(usable), 3 * most)]
        codec = _codec_blocks(seed.inputs["codec"], sample)
        fp32 = load_model(seed.onnx).predict(sample[features], codec).scores
        for variant in seed.variants:
            # A file that the allowlist refuses is never loaded; its drop was measured when it was made.
            if not variant.onnx.exists() or not variant.data.allowlist.passed:
                continue
            int8 = load_model(variant.onnx, sidecar=seed.sidecar_path, sha256=variant.data.int8.sha256)
            delta = int8.predict(sample[features], codec).scores - fp32
            columns = {name: sample[name].to_numpy() for name in ("codec", "clip", "rung")}
            columns |= {"frame": sample["frame_index"].to_numpy(), "fp32": fp32.round(3), "delta": delta.round(4)}
            parts.append(pd.DataFrame({"panel": f"{model.name} \N{MIDDLE DOT} {variant.mode}", **columns}))
    return pd.concat(parts, ignore_index=True) if parts else None


def _codec_blocks(block: dict[str, Any] | None, rows: pd.DataFrame) -> NDArray[np.float64] | None:
    """The codec block of each row, None for a model that takes none."""
    if block is None:
        return None
    encoder, preset, crf = (rows[name].to_numpy() for name in ENCODE_COLUMNS)
    return codec_block(block["vocabulary"], encoder, preset, crf)
