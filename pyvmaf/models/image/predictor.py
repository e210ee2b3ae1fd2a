"""Use of a finished model of pictures: gray pictures in, scores or filtered pictures out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pyvmaf.base.document import Bounds, Name, OptionalKey, Part, Positive, problems
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.image.statistics import LEVELS, beyond, levels
from pyvmaf.models.image.views import squares
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.runtime.session import run, session, short

SHARED = ("task", "pixel_format", "input_range", "crop")
"""Keys of a sidecar that describe how pictures are fed."""

_MOST_AT_A_TIME = 16
_TILES = (256, 128, 64)


class Crop(Part):
    """The squares that a picture's score is the mean of."""

    side: Positive
    views: Literal[1, 3, 5]


class Block(Part):
    """A picture model's keys of a sidecar."""

    task: Literal["score", "filter"]
    pixel_format: Literal["gray"]
    input_range: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(
        description="The values that stand for black and white"
    )
    crop: Crop | None = Field(description="null: whole pictures of any size")
    radius: Positive | None = Field(description="How far a filtered sample depends on others; null: not a filter")
    trained_codecs: list[Name]
    trained_levels: dict[str, Bounds] = Field(
        description="Smallest and largest value of each figure of a picture over the training pictures"
    )
    trained_hdr: OptionalKey[bool] = Field(
        default=None, description="Whether HDR videos are among the training pictures"
    )


def block(keys: Mapping[str, Any], where: str) -> Block:
    """Check a picture model's keys of a sidecar.

    Args:
        keys: the keys.
        where: name of the file, for errors.

    Raises:
        IntegrityError: a key is missing or has a value that is not allowed, or keys contradict each other.
    """
    try:
        parsed = Block.model_validate_json(json.dumps(keys), strict=True)
    except ValidationError as err:
        raise IntegrityError(
            f"{where} does not conform to the sidecar of a model of pictures: {problems(err)}"
        ) from err
    if parsed.input_range != [0.0, 1.0]:
        raise IntegrityError(f"{where} states input_range {parsed.input_range}, but models of pictures take [0, 1]")
    if (parsed.task == "score") != (parsed.crop is not None) or (parsed.task == "filter") != (
        parsed.radius is not None
    ):
        raise IntegrityError(
            f"{where} is of task {parsed.task}, but states crop {parsed.crop} and radius {parsed.radius}"
        )
    if unknown := sorted(set(parsed.trained_levels) - set(LEVELS)):
        raise IntegrityError(f"{where} states trained_levels of {', '.join(unknown)}; known are {', '.join(LEVELS)}")
    return parsed


class PicturePredictor:
    """A session with the preparation of its pictures."""

    features: tuple[str, ...] = ()
    """It reads no features."""

    n_examples = 4
    """Pictures that it is tried with when it is loaded."""

    def __init__(self, graph: Graph, sidecar: Mapping[str, Any], described: Block, where: str, threads: int) -> None:
        """Compare the graph with its sidecar and start the session; see `pyvmaf.runtime.predictor.PredictorPart`."""
        self._graph, self._described = graph, described
        self._name, self._input, self._output = (str(sidecar[key]) for key in ("name", "input_name", "output_name"))
        self._range: tuple[float, float] = tuple(sidecar["expected_output_range"])
        self._checked: set[tuple[int, ...]] = set()
        side = None if described.crop is None else described.crop.side
        if graph.inputs != {self._input: (None, 1, side, side)}:
            raise IntegrityError(
                f"{graph.where} takes {short(str(graph.inputs))}, but {where} describes {self._input} [batch, 1, "
                f"{side or 'height'}, {side or 'width'}]"
            )
        if graph.outputs != (self._output,):
            raise IntegrityError(
                f"{graph.where} has the outputs {short(', '.join(graph.outputs))}, but {where} names one, {self._output}"
            )
        self._most = self._largest((_MOST_AT_A_TIME, 8, 4, 2, 1), lambda n: (n, 1, side or 16, side or 16))
        self._tile = 0 if side else self._largest(_TILES, lambda n: (1, 1, n + 2 * self._radius, n + 2 * self._radius))
        self._session = session(graph.data, threads, where=graph.where)

    @property
    def is_filter(self) -> bool:
        """Whether it answers with pictures."""
        return self._described.task == "filter"

    @property
    def side(self) -> int:
        """Least width and height of a picture."""
        return 1 if self._described.crop is None else self._described.crop.side

    @property
    def _radius(self) -> int:
        return self._described.radius or 0

    def _largest(self, sizes: Sequence[int], shape: Any) -> int:
        """The first of some sizes whose run takes no more than a model may."""
        for size in sizes[:-1]:
            try:
                self._check(shape(size))
            except InputError:
                continue
            return size
        self._check(shape(sizes[-1]))
        return sizes[-1]

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape in self._checked:
            return
        answer = self._graph.check_extent({self._input: shape})[self._output]
        expected = shape if self.is_filter else shape[:1]
        if answer.element != 1 or answer.shape != expected:
            raise IntegrityError(
                f"{self._graph.where} answers pictures {list(shape)} with {list(answer.shape)}, not {list(expected)} of float32"
            )
        self._checked.add(shape)

    def _run(self, pictures: NDArray[np.float32]) -> NDArray[np.float64]:
        self._check(pictures.shape)
        answers = run(self._session, {self._input: pictures}, self._graph.where)
        expected = pictures.shape if self.is_filter else pictures.shape[:1]
        if answers.shape != expected or not np.isfinite(answers).all():
            raise IntegrityError(
                f"{self._graph.where} answers pictures {list(pictures.shape)} with {list(answers.shape)}"
                + ("" if np.isfinite(answers).all() else " that hold NaN or infinity")
            )
        return answers

    def examples(self, n: int, seed: int = 0) -> tuple[NDArray[np.float64], None]:
        """Draw pictures [n, h, w] in levels of 0 to 255."""
        rng = np.random.default_rng(seed)
        height, width = (self.side, self.side) if not self.is_filter else (24, 40)
        y, x = np.mgrid[:height, :width]
        scales = rng.uniform(1.5, 30, size=(n, 1, 1))
        waves = 127.5 + 100 * np.sin(x / scales) * np.cos(y / scales)
        return np.rint(np.clip(waves + rng.normal(0, 8, waves.shape), 0, 255)), None

    def feeds(self, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> dict[str, NDArray[np.float32]]:
        """Give the graph's input for pictures [n, h, w] in levels: of a score the square at the centre of each."""
        parts = [self._squares(picture.astype(np.uint8), 1) for picture in features]
        return {self._input: np.concatenate(parts)}

    def _squares(self, picture: NDArray[np.uint8], views: int) -> NDArray[np.float32]:
        crop = self._described.crop
        if crop is None:
            return picture[None, None].astype(np.float32) / np.float32(255)
        return squares(picture, crop.side, views)

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score gray pictures, each uint8 [h, w]: of a filter, how much it changes each, mean absolute difference in [0, 1].

        Raises:
            InputError: a picture is not gray, or smaller than a square that the model takes; or a codec is given.
            IntegrityError: the runtime fails, or an answer is NaN or infinite.
        """
        if codec is not None:
            raise InputError(f"model {self._name} has no codec input: leave the codec out")
        if hasattr(features, "column_names") or hasattr(features, "columns") or isinstance(features, Mapping):
            raise InputError(f"model {self._name} looks at pictures, not at rows of features: score a video with it")
        pictures = [self._picture(picture) for picture in features]
        found = np.array([self._score(picture) for picture in pictures], dtype=np.float64)
        if not pictures:
            return Prediction(found, {}, 0.0, 0.0)
        unlike = [beyond(levels(picture), self._levels) for picture in pictures]
        shares = {name: sum(name in names for names in unlike) / len(pictures) for name in LEVELS}
        low, high = self._range
        return Prediction(
            found,
            {name: share for name, share in shares.items() if share},
            sum(bool(names) for names in unlike) / len(pictures),
            float((~((found >= low) & (found <= high))).mean()),
        )

    @property
    def _levels(self) -> dict[str, tuple[float, float]]:
        return {name: (low, high) for name, (low, high) in self._described.trained_levels.items()}

    def _picture(self, picture: Any) -> NDArray[np.uint8]:
        array = np.asarray(picture)
        if array.ndim != 2:
            raise InputError(
                f"model {self._name} takes gray pictures [height, width], not an array {list(array.shape)}"
            )
        if array.dtype != np.uint8:
            if not np.array_equal(array, np.clip(np.rint(array), 0, 255)):
                raise InputError(
                    f"model {self._name} takes whole levels of 0 to 255, not values of {array.dtype} between them"
                )
            array = array.astype(np.uint8)
        if min(array.shape) < self.side:
            raise InputError(
                f"model {self._name} looks at squares of {self.side}x{self.side}, but a picture has "
                f"{array.shape[1]}x{array.shape[0]}: scale the video up, or take another model"
            )
        return array

    def _score(self, picture: NDArray[np.uint8]) -> float:
        if self.is_filter:
            return float(np.abs(self.filtered(picture) - picture / 255.0).mean())
        crop = self._described.crop
        assert crop is not None
        parts = self._squares(picture, crop.views)
        answers = [self._run(parts[start : start + self._most]) for start in range(0, len(parts), self._most)]
        return float(np.concatenate(answers).mean())

    def filtered(self, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Filter a gray picture [h, w]: float64 [h, w] in [0, 1].

        It is cut into tiles with as much of their surroundings as a sample depends on, so that memory does not grow with
        the picture and no seam appears.

        Raises:
            InputError: the model is not a filter.
            IntegrityError: the runtime fails, or an answer is NaN or infinite.
        """
        if not self.is_filter:
            raise InputError(f"model {self._name} gives scores, not pictures: name a filter")
        array = self._picture(picture)
        out = np.empty(array.shape)
        reach, step = self._radius, self._tile
        for top in range(0, array.shape[0], step):
            for left in range(0, array.shape[1], step):
                first = max(0, top - reach), max(0, left - reach)
                part = array[first[0] : top + step + reach, first[1] : left + step + reach]
                answer = self._run(part[None, None].astype(np.float32) / np.float32(255))[0, 0]
                inner = answer[top - first[0] :, left - first[1] :][:step, :step]
                out[top : top + step, left : left + step] = inner
        return out


def ensemble_keys(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse: models of pictures are not made into ensembles."""
    raise InputError(f"{sidecar['name']} looks at pictures: ensembles of such models are not made")


def predictor(graph: Graph, sidecar: Mapping[str, Any], block: Block, where: str, threads: int) -> PicturePredictor:
    """Make a predictor; see `pyvmaf.runtime.predictor.PredictorPart`."""
    return PicturePredictor(graph, sidecar, block, where, threads)
