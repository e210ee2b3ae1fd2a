"""The table of networks that published checkpoints are loaded into.

Each is a module that defines, beside the network:

===========  ==================================================================================================
``TASK``     what the model is for (`pyvmaf.runtime.tasks.TASKS`).
``INPUTS``   shape of each input of the graph by name.
``OUTPUTS``  shape of each output.
``RANGES``   smallest and largest value of each input.
``WHOLE``    whether inputs are whole numbers.
``Network``  the torch module; its state dict has the names of the published one.
===========  ==================================================================================================

A module may also define ``read``, which gives the state dict from the bytes of a published file that is none; ``PREPARATION``,
how pictures become inputs (`pyvmaf.runtime.tensors.Preparation`); ``OUTPUT_RANGE``, the range of the first output; and
``MIRROR``, where the weights come from, for a manifest of a mirrored model. One whose network takes frames of any size, which
its graph then fixes, defines ``sized``: a function of height and width that gives the three of `Form`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyvmaf.base import families
from pyvmaf.base.code import Uses
from pyvmaf.base.table import Table
from pyvmaf.errors import InputError, unknown_name

ARCHITECTURES: Table[str] = {
    "transnet_v2": "pyvmaf.models.imported.transnet_v2",
    "u2netp": "pyvmaf.models.imported.u2netp",
    "fastdvdnet": "pyvmaf.models.imported.fastdvdnet",
    "efficientnet_lite0": "pyvmaf.models.imported.efficientnet_lite0",
}
"""Dotted name of the module of each network."""


def check_known(name: str) -> str:
    """Return the name of a network of the table.

    Raises:
        InputError: it is unknown.
    """
    if name not in ARCHITECTURES:
        raise unknown_name("architecture", name, ARCHITECTURES)
    return name


def architecture(name: str) -> Any:
    """Import the module of a network.

    Raises:
        InputError: it is unknown.
    """
    return importlib.import_module(ARCHITECTURES[check_known(name)])


Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Form:
    """A network with the shapes of its graph.

    Attributes:
        inputs: shape of each input by name.
        outputs: shape of each output.
        network: builds the torch module.
    """

    inputs: Shapes
    outputs: Shapes
    network: Callable[[], Any]


def form(name: str, size: tuple[int, int] | None) -> Form:
    """Give a network for frames of a size.

    Args:
        name: of a row of `ARCHITECTURES`.
        size: width and height of the frames; None for those that its authors chose.

    Raises:
        InputError: the network is unknown, or takes frames of one size only.
    """
    module = architecture(name)
    if size is None:
        return Form(module.INPUTS, module.OUTPUTS, module.Network)
    if not hasattr(module, "sized"):
        raise InputError(f"size {size[0]}x{size[1]}: {name} takes inputs of one size only: leave size out")
    width, height = size
    return Form(*module.sized(height, width))


def uses(name: str) -> Uses:
    """Return what ``convert`` uses for a network in addition to its imports.

    Args:
        name: of a row of `ARCHITECTURES`.

    Raises:
        InputError: it is unknown.
    """
    family = families.uses("convert", "imported")
    return Uses(modules=tuple(sorted({*family.modules, ARCHITECTURES[check_known(name)]})))
