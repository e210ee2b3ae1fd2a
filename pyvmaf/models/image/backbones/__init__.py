"""The table of published networks that heads are trained on.

Each is a module that defines:

=============  ================================================================================================
``Backbone``   the torch module, made without arguments: gray pictures [n, 1, h, w] in [0, 1] to figures [n, d].
``N_FIGURES``  d.
``restated``   gives the state dict of ``Backbone`` from the tensors of the converted checkpoint.
=============  ================================================================================================
"""

from __future__ import annotations

import importlib
from typing import Any

from pyvmaf.base import families
from pyvmaf.base.code import Uses
from pyvmaf.base.table import Table
from pyvmaf.errors import unknown_name

BACKBONES: Table[str] = {"efficientnet_lite0": "pyvmaf.models.image.backbones.efficientnet_lite0"}
"""Dotted name of the module of each network, by the name of the model file of its checkpoint."""


def check_known(name: str) -> str:
    """Return the name of a network of the table.

    Raises:
        InputError: it is unknown.
    """
    if name not in BACKBONES:
        raise unknown_name("backbone", name, BACKBONES)
    return name


def load(name: str) -> Any:
    """Import the module of a network.

    Raises:
        InputError: it is unknown.
    """
    return importlib.import_module(BACKBONES[check_known(name)])


def uses(verb: str, kind: str, name: str | None) -> Uses:
    """Return what a verb uses for a model in addition to its imports.

    Args:
        verb: the verb.
        kind: family of the model.
        name: its backbone; None for none.

    Raises:
        InputError: kind or backbone is unknown.
    """
    used = families.uses(verb, kind)
    if name is None or not {"fit", "graph"}.intersection(families.VERB_PARTS.get(verb, ())):
        return used
    return Uses(modules=tuple(sorted({*used.modules, BACKBONES[check_known(name)]})))
