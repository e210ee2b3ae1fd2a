"""Windows of a detector of shots, and the cuts that its probabilities give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.errors import InputError
from pyvmaf.runtime.shots import boundary_probabilities, cuts, shots_of
from pyvmaf.runtime.tensors import TensorBlock

SHAPE = [1, 8, 3, 1, 2]


class Recorder:
    """Answers for each frame with the frame's own value, and keeps the windows that it was asked about."""

    name = "recorder"

    def __init__(self, shape: list[int] | None = None) -> None:
        shape = shape or SHAPE
        outputs = {"one": shape[:2], "many": shape[:2]}
        self.block = TensorBlock(
            task="shots", architecture="a", inputs={"frames": shape}, input_ranges={"frames": [0, 255]}, outputs=outputs
        )
        self.windows: list[Any] = []

    def __call__(self, frames: Any) -> Any:
        self.windows.append(frames[0, :, 0, 0, 0])
        values = frames[:, :, 0, 0, 0].astype(np.float64) / 100
        return {"one": values, "many": -values}


def video(n: int) -> Any:
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 3, 1, 2))


@given(n=st.integers(1, 60), batch=st.integers(1, 25))
def test_each_frame_is_judged_once_in_the_middle_of_its_window(n: int, batch: int) -> None:
    model: Any = Recorder()
    frames = video(n)
    parts = list(boundary_probabilities(model, (frames[start : start + batch] for start in range(0, n, batch))))
    expected = 1 / (1 + np.exp(-np.arange(n) / 100))
    np.testing.assert_allclose(np.concatenate([one for one, _ in parts]), expected)
    np.testing.assert_allclose(np.concatenate([many for _, many in parts]), 1 - expected)
    # As published: a quarter of a window of copies in front, and as many behind as the last window needs.
    padded = np.concatenate([[0, 0], np.arange(n), [n - 1] * 20])
    assert len(model.windows) == -(-n // 4)
    for index, window in enumerate(model.windows):
        np.testing.assert_array_equal(window, padded[4 * index : 4 * index + 8])


def test_no_frames_have_no_probabilities() -> None:
    model: Any = Recorder()
    assert list(boundary_probabilities(model, [])) == []
    assert shots_of([], 0) == ()


@pytest.mark.parametrize(
    ("probabilities", "starts"),
    [
        ([0.1, 0.9, 0.1, 0.1], [2]),
        ([0.1, 0.6, 0.9, 0.7, 0.1, 0.1], [3]),
        ([0.9, 0.1, 0.1, 0.8], [1]),
        ([0.5, 0.5], []),
        ([0.9, 0.1, 0.9, 0.1], [1, 3]),
    ],
)
def test_the_likeliest_frame_of_a_transition_ends_the_shot(probabilities: list[float], starts: list[int]) -> None:
    assert cuts(np.array(probabilities)) == starts


def test_shots_cover_all_frames() -> None:
    assert shots_of([5, 98], 104) == ((0, 4), (5, 97), (98, 103))


@pytest.mark.parametrize("shape", [[1, 8, 1, 1, 2], [1, 6, 3, 1, 2], [1, 3, 4, 4], [2, 8, 3, 1, 2]])
def test_a_model_of_other_inputs_is_refused(shape: list[int]) -> None:
    model: Any = Recorder(shape)
    with pytest.raises(InputError, match="takes one window"):
        list(boundary_probabilities(model, [video(3)]))
