"""The table of what models do that take pictures and state a task."""

from __future__ import annotations

from typing import NamedTuple

from pyvmaf.base.table import Table


class Task(NamedTuple):
    """What a model is for.

    Attributes:
        does: the end of a sentence that begins with the model's name.
        use: a line that uses it, with ``{}`` for the model.
    """

    does: str
    use: str


TASKS: Table[Task] = {
    "shots": Task("finds the shots of a video", "vmaf-train shots film.mkv --model {}"),
    "saliency": Task(
        "maps where people look", "vmaf-train saliency clip.mkv --per-clip --output saliency.parquet --model {}"
    ),
    "denoise": Task(
        "removes noise from the middle one of five frames", "vmaf-train filter noisy.mkv clean.mkv --model {}"
    ),
    "features": Task(
        "describes pictures, for models that are trained on such figures",
        "# in the YAML file of a model of kind image: network: {{type: frozen, backbone: {{model: {}}}}}",
    ),
}
