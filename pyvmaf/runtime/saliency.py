"""Maps of salient objects in pictures, by any model of the task."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.runtime.tensors import Preparation, TensorModel

COLUMNS = ("saliency_mean", "saliency_var")
"""Mean and variance of the map of a frame."""


def picture_size(model: TensorModel) -> tuple[int, int]:
    """Width and height of the pictures that a model takes.

    Raises:
        InputError: it does not take pictures of three channels, or its sidecar does not say how.
    """
    shapes = list(model.block.inputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or model.block.preparation is None:
        raise InputError(
            f"model {model.name} takes {shapes}, but a model for saliency takes one picture [1, 3, height, width], and its sidecar "
            "states their preparation"
        )
    return shapes[0][3], shapes[0][2]


def prepared(model: TensorModel, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give inputs [n, 3, h, w] for RGB pictures [n, 3, h, w], as the sidecar says."""
    assert model.block.preparation is not None
    return normalised(model.block.preparation, pictures)


def normalised(preparation: Preparation, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give inputs [n, 3, h, w] for RGB pictures [n, 3, h, w]."""
    values = pictures.astype(np.float32)
    if preparation.divide_by == "largest":
        # A black picture has nothing to scale.
        values /= np.maximum(values.max(axis=(1, 2, 3), keepdims=True), 1)
    else:
        values /= 255
    mean, std = (np.array(one, np.float32)[:, None, None] for one in (preparation.mean, preparation.std))
    return np.asarray((values - mean) / std, dtype=np.float32)


def maps(model: TensorModel, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the maps [n, h, w], 0 to 1, of RGB pictures [n, 3, h, w] of the model's size."""
    inputs = prepared(model, pictures)
    name = next(iter(model.block.inputs))
    output = next(iter(model.block.outputs))
    # One at a time: the graphs have a batch of one, and memory is that of one.
    return np.stack([model(**{name: inputs[index : index + 1]})[output][0, 0] for index in range(len(inputs))])


def iou(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = int(np.count_nonzero(one | two))
    return 1.0 if union == 0 else float(np.count_nonzero(one & two) / union)


def block_means(picture: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """The mean of each block of a picture [h, w]."""
    rows, columns = (np.arange(0, size, block) for size in picture.shape)
    sums = np.add.reduceat(np.add.reduceat(picture, rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff(np.append(starts, size)) for starts, size in zip((rows, columns), picture.shape, strict=True)
    )
    return np.asarray(sums / np.outer(heights, widths))


def resized(picture: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Resize a picture [h, w] to (height, width), bilinearly between centres of pixels."""
    for axis, target in enumerate(size):
        source = picture.shape[axis]
        places = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, source - 1)
        part = (places - low).reshape([-1 if own == axis else 1 for own in range(2)])
        picture = np.take(picture, low, axis) * (1 - part) + np.take(picture, high, axis) * part
    return picture
