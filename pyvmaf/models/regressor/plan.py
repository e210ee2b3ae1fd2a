"""Answers to the workflow's plan about a regressor's YAML file. Only the standard library is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import FEATURES, TEACHER, pooled_column, resolve, select


def on_frames(inputs: Sequence[str], target: str) -> bool:
    """Whether a model predicts the teacher's score of a frame from features of that frame.

    Args:
        inputs: names of all input columns.
        target: the column that it predicts.
    """
    return target == TEACHER and all(name in FEATURES for name in inputs)


def rows(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of the tables of features and codec vocabularies that the inputs name."""
    inputs = spec["inputs"]
    named: dict[str, Any] = {"columns": list(resolve(inputs["features"]))}
    return named | ({"vocabulary": vocabulary(inputs["codec"]).sha256} if inputs["codec"] else {})


def features(spec: Mapping[str, Any]) -> list[str]:
    """The frame features that the inputs are made from."""
    words = spec["inputs"]["features"]
    names = []
    for word in [words] if isinstance(words, str) else words:
        pooled = pooled_column(word)
        name = word if pooled is None else pooled[0]
        if name != TEACHER:
            names.append(name)
    return list(select(names).names) if names else []


def columns(spec: Mapping[str, Any]) -> list[str]:
    """The columns of the table that the inputs and the target are."""
    inputs = spec["inputs"]
    return [*resolve(inputs["features"]), *inputs["context"], spec["target"]["column"]]


def refused_encoder(spec: Mapping[str, Any], encoders: Sequence[str | None]) -> str | None:
    """Say why rows of these encoders cannot be trained on; None if they can.

    Args:
        spec: the content of the file.
        encoders: the encoders of the table's rows, None for rows that no encoder made.
    """
    version = spec["inputs"]["codec"]
    if version is None:
        return None
    refused: dict[str | None, str] = {}
    for encoder in encoders:
        try:
            vocabulary(version).slot(encoder)
        except InputError as err:
            refused[encoder] = str(err)
    leave_out = spec["rows"]["unlisted_encoders"] == "leave_out"
    if not refused or (leave_out and len(refused) < len(set(encoders))):
        return None
    return next(iter(refused.values()))


def trained_on_negatives(spec: Mapping[str, Any]) -> bool:
    """Whether fit reads the table of hard negatives."""
    return bool(spec["rows"]["negatives"])


def judged_on_negatives(spec: Mapping[str, Any]) -> bool:
    """Whether judge reads the table of hard negatives."""
    inputs = spec["inputs"]
    columns = [*resolve(inputs["features"]), *inputs["context"]]
    return on_frames(columns, spec["target"]["column"]) and spec["gates"]["hard_negatives"] is not None
