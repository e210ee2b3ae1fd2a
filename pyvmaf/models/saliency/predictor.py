"""Use of a finished saliency model: pictures in colour in, means of their maps out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.saliency.names import INPUT_RANGE, PREPARATION, TASK
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.runtime.saliency import normalised
from pyvmaf.runtime.session import run, session, short
from pyvmaf.runtime.tensors import TensorBlock, check_declared, refuse_rows, tensor_block

_ANY_SIDE = 320

SHARED: tuple[str, ...] = ()
"""Maps are not made into ensembles."""


def block(keys: Mapping[str, Any], where: str) -> TensorBlock:
    """Check a saliency model's keys of a sidecar.

    Raises:
        IntegrityError: they do not conform.
    """
    described = tensor_block(keys, where)
    shapes = [*described.inputs.values(), *described.outputs.values()]
    if described.preparation is None or [shape[:2] for shape in shapes] != [[1, 3], [1, 1]]:
        raise IntegrityError(
            f"{where} describes no model of maps, which takes a picture [1, 3, height, width], gives [1, 1, height, width] and "
            "states how pictures are prepared"
        )
    return described


class MapPredictor:
    """A session with the preparation of its pictures."""

    features: tuple[str, ...] = ()
    """It reads no features."""

    n_examples = 2
    """Pictures that it is tried with when it is loaded."""

    def __init__(self, graph: Graph, name: str, described: TensorBlock, where: str, threads: int) -> None:
        """Compare the graph with its sidecar and start the session; see `pyvmaf.runtime.predictor.PredictorPart`."""
        check_declared(graph, described, where)
        self._name, self._where, self._described = name, graph.where, described
        ((self._input, shape),) = described.inputs.items()
        self._size = (shape[2], shape[3])
        self._session = session(graph.data, threads, where=graph.where)

    def examples(self, n: int, seed: int = 0) -> tuple[NDArray[np.float64], None]:
        """Draw pictures [n, h, w, 3] in levels of 0 to 255."""
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[: self._size[0], : self._size[1]][..., None]
        scales = rng.uniform(2, 40, size=(n, 1, 1, 3))
        waves = 127.5 + 100 * np.sin(x / scales) * np.cos(y / scales)
        return np.rint(np.clip(waves + rng.normal(0, 8, waves.shape), 0, 255)), None

    def feeds(self, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> dict[str, NDArray[np.float32]]:
        """Give the graph's input for the first of pictures [n, h, w, 3]: it takes one at a time."""
        return {self._input: self._prepared(features[0])}

    def _prepared(self, picture: Any) -> NDArray[np.float32]:
        array = np.asarray(picture)
        if array.shape != (*self._size, 3):
            raise InputError(
                f"model {self._name} takes pictures [{self._size[0]}, {self._size[1]}, 3] in colour, not an array "
                f"{list(array.shape)}"
            )
        assert self._described.preparation is not None
        return normalised(self._described.preparation, array.astype(np.uint8).transpose(2, 0, 1)[None])

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Give the mean of the map of each picture, uint8 [h, w, 3]: the feature ``saliency_mean``.

        Raises:
            InputError: rows of features are given, a picture has another shape, or a codec is given.
            IntegrityError: the runtime fails, or an answer is NaN or infinite.
        """
        if hasattr(features, "column_names") or hasattr(features, "columns") or isinstance(features, Mapping):
            refuse_rows(self._described, self._name)
        if codec is not None:
            raise InputError(f"model {self._name} has no codec input: leave the codec out")
        means = np.array(
            [run(self._session, {self._input: self._prepared(one)}, self._where).mean() for one in features],
            dtype=np.float64,
        )
        if not np.isfinite(means).all():
            raise IntegrityError(f"{self._where} answers with NaN or infinity")
        return Prediction(means, {}, None, float(((means < 0) | (means > 1)).mean()) if means.size else 0.0)


def by_hand(graph: Graph) -> dict[str, Any]:
    """Give the keys of a sidecar for a graph of another origin, which takes pictures as most of them do.

    Pictures are divided by 255 and normalised as those of ImageNet; axes whose size the caller chooses have 320.

    Raises:
        InputError: it does not take a picture of three channels and give a map of the same size.
    """
    ((name, shape),) = graph.inputs.items()
    sides = [_ANY_SIDE if size is None else size for size in shape[2:]]
    answers = {}
    if len(shape) == 4 and shape[0] in (None, 1) and shape[1] == 3:
        answers = graph.check_extent({name: (1, 3, *sides)}, pictures=True)
    if [answer.shape for answer in answers.values()] != [(1, 1, *sides)]:
        raise InputError(
            f"{graph.where} takes {short(str(list(shape)))}: a model for saliency takes a picture [1, 3, height, width] and gives "
            "a map [1, 1, height, width]"
        )
    return {
        "task": TASK,
        "architecture": "unknown",
        "inputs": {name: [1, 3, *sides]},
        "input_ranges": {name: list(INPUT_RANGE)},
        "outputs": {graph.outputs[0]: [1, 1, *sides]},
        "preparation": PREPARATION,
    }


def predictor(graph: Graph, sidecar: Mapping[str, Any], block: TensorBlock, where: str, threads: int) -> MapPredictor:
    """Make a predictor; see `pyvmaf.runtime.predictor.PredictorPart`."""
    return MapPredictor(graph, str(sidecar["name"]), block, where, threads)


def ensemble_keys(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse: maps are not made into ensembles."""
    raise InputError(f"{sidecar['name']} makes maps: ensembles of such models are not made")
