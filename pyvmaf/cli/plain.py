"""Parsing of plain command lines of a verb, as typer parses them, in a fraction of the time.

What is not plain is left to typer, whose words explain it: help, names that do not exist, values of another type, options that are
bundled or asked for in the environment.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pyvmaf.cli.declared import Argument, Declared, Option, declarations

# Settings that decide nothing but words, and bounds.
_SETTINGS = frozenset(("help", "metavar", "show_default", "autocompletion", "rich_help_panel", "hidden", "min", "max"))
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class _NotPlainError(Exception):
    """The command line is left to typer."""


@dataclass
class _Parameter:
    """A parameter of a verb.

    Attributes:
        name: of the function's parameter.
        kind: type of a value.
        many: whether it takes several values.
        default: its default; `inspect.Parameter.empty` if it has to be given.
        declared: names and bounds.
    """

    name: str
    kind: type
    many: bool
    default: Any
    declared: Declared

    def value(self, text: str) -> Any:
        """Read a value."""
        if self.kind in (str, Path):
            return self.kind(text)
        if issubclass(self.kind, Enum):
            found = [member for member in self.kind if member.value == text]
            if found:
                return found[0]
        elif self.kind is int and _INTEGER.fullmatch(text):
            return self._within(int(text))
        elif self.kind is float and _NUMBER.fullmatch(text):
            return self._within(float(text))
        raise _NotPlainError

    def _within(self, number: Any) -> Any:
        low, high = (self.declared.settings.get(end) for end in ("min", "max"))
        if (low is not None and number < low) or (high is not None and number > high):
            raise _NotPlainError
        return number


def parse(function: Callable[..., Any], words: Sequence[str]) -> dict[str, Any] | None:
    """Parse the words after the name of a verb.

    Args:
        function: the verb, whose parameters are declared (`pyvmaf.cli.declared`).
        words: the command line.

    Returns:
        The arguments of the function; None if the command line is not plain.
    """
    try:
        return _parse(list(_parameters(function)), list(words))
    except _NotPlainError:
        return None


def _parameters(function: Callable[..., Any]) -> Iterable[_Parameter]:
    hints = declarations(function)
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name)
        if get_origin(hint) is not Annotated:
            raise _NotPlainError
        kind, *extras = get_args(hint)
        if len(extras) != 1 or not isinstance(extras[0], Declared) or extras[0].settings.keys() - _SETTINGS:
            raise _NotPlainError
        many, kind = _kind(kind)
        yield _Parameter(parameter.name, kind, many, parameter.default, extras[0])


def _kind(annotation: Any) -> tuple[bool, type]:
    """Return whether there are several values, and their type."""
    if get_origin(annotation) in (Union, UnionType):
        inner = [item for item in get_args(annotation) if item is not NoneType]
        if len(inner) != 1:
            raise _NotPlainError
        annotation = inner[0]
    if get_origin(annotation) is list:
        return True, _kind(get_args(annotation)[0])[1]
    if not isinstance(annotation, type) or not issubclass(annotation, str | int | float | Path | Enum):
        raise _NotPlainError
    return False, annotation


def _parse(parameters: list[_Parameter], words: list[str]) -> dict[str, Any]:
    options = {name: (item, flag) for item in parameters for name, flag in _names(item)}
    given: dict[str, Any] = {}
    rest: list[str] = []
    words = words[::-1]
    while words:
        word = words.pop()
        if word == "--":
            rest += words[::-1]
            break
        if word == "-" or not word.startswith("-"):
            rest.append(word)
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in options:
            raise _NotPlainError
        item, flag = options[name]
        if flag is not None:
            if equals:
                raise _NotPlainError
            given[item.name] = flag
            continue
        if not equals:
            if not words:
                raise _NotPlainError
            value = words.pop()
        if item.many:
            given.setdefault(item.name, []).append(item.value(value))
        else:
            given[item.name] = item.value(value)
    given |= _arguments([item for item in parameters if isinstance(item.declared, Argument)], rest)
    missing = [item for item in parameters if item.name not in given]
    if any(item.default is inspect.Parameter.empty for item in missing):
        raise _NotPlainError
    return {item.name: given.get(item.name, item.default) for item in parameters}


def _names(item: _Parameter) -> Iterable[tuple[str, bool | None]]:
    """Yield the names of an option, each with the value of a flag."""
    if not isinstance(item.declared, Option):
        return
    flag = issubclass(item.kind, bool)
    if flag and item.many:
        raise _NotPlainError
    names = item.declared.names or (f"--{item.name.replace('_', '-')}",)
    if flag and not item.declared.names:
        names = (f"{names[0]}/--no-{names[0].removeprefix('--')}",)
    for name in names:
        if not name.startswith("-"):
            raise _NotPlainError
        on, slash, off = name.partition("/")
        if slash and not flag:
            raise _NotPlainError
        yield on.strip(), True if flag else None
        if slash:
            yield off.strip(), False


def _arguments(arguments: list[_Parameter], words: list[str]) -> dict[str, Any]:
    """Give the words that belong to no option to arguments, of which the last one may take several."""
    if any(item.many for item in arguments[:-1]):
        raise _NotPlainError
    given: dict[str, Any] = {}
    for item in arguments:
        taken, words = (words, []) if item.many else (words[:1], words[1:])
        if taken:
            values = [item.value(word) for word in taken]
            given[item.name] = values if item.many else values[0]
    if words:
        raise _NotPlainError
    return given
