"""Reasons of jobs in words: the parameter with both values, the input, the module of the code that changed."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pyvmaf.workflow.audit.planned import Change
from pyvmaf.workflow.plan import MADE_OF

UPSTREAM = "the origin of its inputs has changed"
"""Reason of a job that records the origin of its inputs. It matters only if no job before it is pending."""

ONLY_TIMES = "only times have changed: its inputs are newer than the output, but their bytes are those recorded"
"""Reason of a job that would give the same output again: files were copied without their times."""

_SENTENCES = {
    "touched": ONLY_TIMES,
    "missing": "the output does not exist",
    "incomplete": "an earlier run was cut off while writing the output",
    "forced": "it is forced",
    "rule": "the rule's command has changed",
    "environment": "the rule's environment file has changed",
}

_LONGEST = 72
_NAMED = 3

Parts = Callable[[str], Mapping[str, str] | None]
"""The hash of each part of the code with an identity, by name; None if no run recorded it."""


def describe(change: Change, parts: Parts) -> tuple[str, ...]:
    """Describe a change in one sentence per difference.

    Names of files that differ from job to job are left out, so that jobs with the same reason have the same words.

    Args:
        change: the change.
        parts: looks up the parts of the code with an identity.
    """
    if change.kind in _SENTENCES:
        return (_SENTENCES[change.kind],)
    if change.kind == "changed":
        return (f"changed after the output was made: {_listed(change.new)}",)
    if change.kind == "newer":
        return (f"newer than the output (bytes were not compared): {_listed(change.new)}",)
    if change.kind == "inputs":
        return _inputs(set(change.old), set(change.new))
    assert isinstance(change.new, Mapping)
    return tuple(_parameters(change.old, change.new, parts))


def _inputs(before: set[str], now: set[str]) -> tuple[str, ...]:
    sentences = []
    if more := sorted(now - before):
        sentences.append(f"further inputs: {_listed(more)}")
    if fewer := sorted(before - now):
        sentences.append(f"inputs no longer used: {_listed(fewer)}")
    return tuple(sentences) or ("the order of the inputs has changed",)


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    shown = list(names)[:_NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _parameters(old: Sequence[str], new: Mapping[str, Any], parts: Parts) -> Iterator[str]:
    # Recorded values have no names: each new value is compared with the most similar recorded one.
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
        if name == "code" and isinstance(value, str) and isinstance(before, str):
            yield _code(before, value, parts)
        elif name == "rows" and isinstance(value, dict) and isinstance(before, dict):
            yield from _rows(before, value)
        else:
            yield from _differences(name, before, value)
    for value in left:
        yield f"no longer used: {_short(value)}"


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
                yield f"{inner} was removed, it was {_short(before[key])}"
            elif key not in before:
                yield f"{inner} is new: {_short(now[key])}"
            elif before[key] != now[key]:
                yield from _differences(inner, before[key], now[key])
    elif _words(before) and _words(now):
        operations = difflib.SequenceMatcher(None, before, now, autojunk=False).get_opcodes()
        for tag, i, j, k, n in operations:
            if tag != "equal":
                # A value is named with the option before it.
                option = f"{before[i - 1]} " if i and str(before[i - 1]).startswith("-") else ""
                yield f"{name}: {option}{' '.join(before[i:j]) or 'nothing'} -> {' '.join(now[k:n]) or 'nothing'}"
    else:
        yield f"{name}: {_short(before)} -> {_short(now)}"


def _words(value: Any) -> bool:
    return isinstance(value, list) and len(value) > _NAMED and all(isinstance(word, str) for word in value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _rows(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Describe other rows of tables, which are recorded by name with their hashes."""
    if changed := [name for name in now if name in before and now[name] != before[name]]:
        yield f"table rows have changed: {_listed(changed)}"
    if added := [name for name in now if name not in before]:
        yield f"further table rows: {_listed(added)}"
    if removed := [name for name in before if name not in now]:
        yield f"table rows no longer used: {_listed(removed)}"


def _code(before: str, now: str, parts: Parts) -> str:
    old, new = parts(before), parts(now)
    if old is None or new is None:
        return f"the code has changed ({before} -> {now}; its parts were not recorded)"
    changed = [name for name in new if name in old and new[name] != old[name]]
    added = [f"{name} (new)" for name in new if name not in old]
    removed = [f"{name} (removed)" for name in old if name not in new]
    return f"the code has changed: {_listed([*changed, *added, *removed])}"


def pattern(text: str, wildcards: Mapping[str, str]) -> str:
    """Replace values of wildcards in paths by the wildcards' names, so that like reasons are equal."""
    for name, value in sorted(wildcards.items(), key=lambda item: -len(item[1])):
        text = re.sub(rf"(?<=/){re.escape(value)}(?=[/.])", f"{{{name}}}", text)
    return text
