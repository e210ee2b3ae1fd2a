"""Models of this project in sessions: the columns that `score` gives, row by row."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.errors import InputError
from pyvmaf.scoring.score import score
from pyvmaf.scoring.session import Session
from pyvmaf.video.reader import Reader
from tests.make.videos import REPOSITORY

MODELS = REPOSITORY / "tests" / "artefacts" / "0.1.0" / "results" / "models"
FRAME = MODELS / "frame_model" / "seed0" / "model.onnx"


@pytest.mark.filterwarnings("ignore::pyvmaf.runtime.predictor.ModelWarning")
@pytest.mark.parametrize("model", [FRAME, MODELS / "ensemble_model" / "ensemble.json"])
def test_rows_have_the_columns_of_a_model(pair: tuple[Path, Path], model: Path) -> None:
    pairs = islice(zip(*(Reader(path).planes() for path in pair), strict=True), 8)
    # Frames do not say what encoded them.
    codec = ("libx264", "medium", 30.0)
    rows = list(Session("psnr_y", learned=model, codec=codec).stream(pairs))
    batch = score(*pair, model=["vmaf_v0.6.1", model], features="psnr_y", frames=(0, 8), codec=codec)
    assert set(rows[0]) == {"frame_index", *batch.columns}
    assert [row["frame_index"] for row in rows] == list(range(8))
    for name, values in batch.columns.items():
        # The last frame has no successor here, and one in the file.
        np.testing.assert_allclose([row[name] for row in rows[:7]], values[:7], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learned": "vmaf_v0.6.1"}, "is a model of libvmaf: name it as `model`"),
        ({"learned": "none.onnx"}, "no such file: none.onnx"),
    ],
)
def test_other_models_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Session("psnr_y", **options)  # type: ignore[arg-type]
