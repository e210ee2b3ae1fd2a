"""Reasons in plain words: which parameter from what to what, which input, which part of the code."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pyvmaf.workflow.audit.planned import Change
from pyvmaf.workflow.plan import MADE_OF

UPSTREAM = "what it is made from has changed"
"""Said of a job that knows what its inputs are made of; it is only news where none of those is planned again."""

_LONGEST = 72
_NAMED = 3

Parts = Callable[[str], Mapping[str, str] | None]
"""The hash of each part of the code with a fingerprint, by name; None where no run recorded it."""


def describe(change: Change, parts: Parts) -> tuple[str, ...]:
    """One sentence per difference.

    The names of files are left out where they differ from job to job (the artefact itself says them), so that jobs
    with the same reason get the same words.
    """
    if change.kind == "missing":
        return ("the output is not there",)
    if change.kind == "incomplete":
        return ("an earlier run was cut off while writing the output",)
    if change.kind == "forced":
        return ("it is forced",)
    if change.kind == "rule":
        return ("the rule's command has changed",)
    if change.kind == "environment":
        return ("the rule's environment file has changed",)
    if change.kind == "newer":
        return (f"changed after the output was made: {_listed(change.new)}",)
    if change.kind == "inputs":
        before, now = set(change.old), set(change.new)
        said = []
        if more := sorted(now - before):
            said.append(f"further inputs: {_listed(more)}")
        if fewer := sorted(before - now):
            said.append(f"inputs no longer used: {_listed(fewer)}")
        return tuple(said) or ("the order of the inputs has changed",)
    assert isinstance(change.new, Mapping)
    return tuple(_parameters(change.old, change.new, parts))


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    shown = list(names)[:_NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _parameters(old: Sequence[str], new: Mapping[str, Any], parts: Parts) -> Iterator[str]:
    # What was recorded has no names: each new value is held against the recorded one that is most like it.
    left = [_value(text) for text in old]
    for name, value in new.items():
        if isinstance(value, str) and value.startswith(MADE_OF):
            recorded = [other for other in left if isinstance(other, str) and other.startswith(MADE_OF)]
            left = [other for other in left if other not in recorded]
            if value not in recorded:
                yield UPSTREAM
            continue
        before = _counterpart(value, left)
        if before is None:
            yield f"{name} is new: {_short(value)}"
            continue
        left.remove(before)
        if name == "engine" and isinstance(value, str) and isinstance(before, str):
            yield _engine(before, value, parts)
        else:
            yield from _differences(name, before, value)
    for value in left:
        yield f"no longer given: {_short(value)}"


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _counterpart(value: Any, candidates: Sequence[Any]) -> Any | None:
    alike = [other for other in candidates if type(other) is type(value)]
    if not alike:
        return None
    if isinstance(value, dict):
        return max(alike, key=lambda other: len(value.keys() & other.keys()))
    return max(alike, key=lambda other: difflib.SequenceMatcher(None, repr(other), repr(value)).ratio())


def _differences(name: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in (*before, *(k for k in now if k not in before)):
            inner = f"{name}.{key}"
            if key not in now:
                yield f"{inner} is gone, was {_short(before[key])}"
            elif key not in before:
                yield f"{inner} is new: {_short(now[key])}"
            elif before[key] != now[key]:
                yield from _differences(inner, before[key], now[key])
    elif _words(before) and _words(now):
        changed = difflib.SequenceMatcher(None, before, now, autojunk=False).get_opcodes()
        for tag, i, j, k, n in changed:
            if tag != "equal":
                # A value means little without the option before it.
                option = f"{before[i - 1]} " if i and str(before[i - 1]).startswith("-") else ""
                yield f"{name}: {option}{' '.join(before[i:j]) or 'nothing'} -> {' '.join(now[k:n]) or 'nothing'}"
    else:
        yield f"{name}: {_short(before)} -> {_short(now)}"


def _words(value: Any) -> bool:
    return isinstance(value, list) and len(value) > _NAMED and all(isinstance(word, str) for word in value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _engine(before: str, now: str, parts: Parts) -> str:
    old, new = parts(before), parts(now)
    if old is None or new is None:
        return f"the code has changed ({before} -> {now}; its parts were not recorded)"
    changed = [name for name in new if name in old and new[name] != old[name]]
    added = [f"{name} (new)" for name in new if name not in old]
    gone = [f"{name} (gone)" for name in old if name not in new]
    return f"the code has changed: {_listed([*changed, *added, *gone])}"


def pattern(text: str, wildcards: Mapping[str, str]) -> str:
    """`text` with the values of wildcards that are paths' parts replaced by their names, to group like with like."""
    for name, value in sorted(wildcards.items(), key=lambda item: -len(item[1])):
        text = re.sub(rf"(?<=/){re.escape(value)}(?=[/.])", f"{{{name}}}", text)
    return text
