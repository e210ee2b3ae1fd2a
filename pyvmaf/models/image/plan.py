"""Answers to the workflow's plan about the YAML file of a model of pictures. Nothing outside of the package is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyvmaf.base.code import Uses
from pyvmaf.models.image import backbones

PICTURES = True
"""Its table is one of pictures (`pyvmaf.frames`)."""


def rows(spec: Mapping[str, Any]) -> dict[str, Any]:
    """It reads no rows of tables of features or vocabularies."""
    return {}


def features(spec: Mapping[str, Any]) -> list[str]:
    """It reads no features."""
    return []


def trained_on_negatives(spec: Mapping[str, Any]) -> bool:
    """It is not trained on hard negatives."""
    return False


def judged_on_negatives(spec: Mapping[str, Any]) -> bool:
    """It is not judged on hard negatives."""
    return False


def backbone(spec: Mapping[str, Any]) -> str | None:
    """Name the published checkpoint that it is trained on."""
    stated = spec["network"].get("backbone")
    return None if stated is None else str(stated["model"])


def uses(verb: str, spec: Mapping[str, Any]) -> Uses:
    """What a verb uses for it in addition to its imports."""
    return backbones.uses(verb, spec["kind"], backbone(spec))
