"""The parameters of a search: ``--param NAME=SPEC``, and a spec with their values.

NAME is a dotted path into the model's spec (``optimiser.lr``, ``network.hidden``, ``network.hidden.0``), SPEC one of
``float:LO:HI[:log]``, ``int:LO:HI`` and ``choice:A,B,…``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import InputError
from pyvmaf.models.spec import parse_spec

if TYPE_CHECKING:
    from optuna.trial import Trial

FORMS = "float:LO:HI, float:LO:HI:log, int:LO:HI or choice:A,B,…"
SEARCHABLE = ("inputs", "network", "optimiser", "epochs", "batch_size", "target.standardise")
"""Keys of a spec that shape the weights. The others define the judgement, so that trials would not compare."""

_BOOLS = {"true": True, "false": False}


@dataclass(frozen=True)
class Parameter:
    """One key of the spec that a search varies.

    Attributes:
        name: dotted path of the key.
        spec: its text.
        low, high: ends of a range, both included; two whole numbers for ``int``.
        log: the range is searched on a logarithmic scale.
        choices: the words of a ``choice``; their values are those of `coerce`.
    """

    name: str
    spec: str
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    choices: tuple[str, ...] = ()

    def suggest(self, trial: Trial) -> Any:
        """Return the value of a trial in the form of the spec."""
        if self.choices:
            return coerce(trial.suggest_categorical(self.name, self.choices))
        if isinstance(self.low, int):
            return trial.suggest_int(self.name, self.low, int(self.high))
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    @property
    def ends(self) -> list[Any]:
        """Values that show whether the key accepts the parameter: both ends, or every choice."""
        return [coerce(word) for word in self.choices] if self.choices else [self.low, self.high]


def coerce(word: str) -> Any:
    """Parse a word: as int, else float, else true or false, else null, else a [list], else as text."""
    word = word.strip()
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    if word.lower() in _BOOLS:
        return _BOOLS[word.lower()]
    if word.lower() == "null":
        return None
    if word.startswith("[") and word.endswith("]"):
        inner = word[1:-1].strip()
        return [coerce(part) for part in _split(inner)] if inner else []
    return word


def _split(text: str) -> list[str]:
    """Split at the commas outside of brackets."""
    words, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    if depth:
        raise InputError(f"{text!r} has unbalanced brackets")
    return [word.strip() for word in words]


def parse_parameter(text: str) -> Parameter:
    """Parse a parameter of the command line: ``optimiser.lr=float:1e-4:1e-2:log``.

    Raises:
        InputError: it has none of the three forms, its ends are in the wrong order, or its key is not searchable.
    """
    name, equals, spec = text.partition("=")
    kind, _, rest = spec.partition(":")
    name = name.strip()
    if not (name and equals and rest):
        raise InputError(f"--param {text!r} is not NAME=SPEC, with SPEC one of {FORMS}")
    if not any(name == key or name.startswith(f"{key}.") for key in SEARCHABLE):
        raise InputError(
            f"--param {text!r}: {name!r} cannot be searched. Use {', '.join(SEARCHABLE)} or a key inside them, "
            "such as optimiser.lr; other keys define the judgement, so that trials would not compare"
        )
    if kind == "choice":
        words = tuple(_split(rest))
        if "" in words or len(set(words)) != len(words):
            raise InputError(f"--param {text!r}: a choice is empty or listed twice")
        return Parameter(name, spec, choices=words)
    words = tuple(rest.split(":"))
    log = kind == "float" and len(words) == 3 and words[2] == "log"
    if kind not in ("float", "int") or len(words) != 2 + log:
        raise InputError(f"--param {text!r}: {spec!r} is not one of {FORMS}")
    try:
        low, high = (int(w) if kind == "int" else float(w) for w in words[:2])
    except ValueError as err:
        raise InputError(f"--param {text!r}: {words[0]!r} and {words[1]!r} are not two {kind} values") from err
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise InputError(f"--param {text!r}: the range must be finite and go upwards, not from {low} to {high}")
    if log and low <= 0:
        raise InputError(f"--param {text!r}: a logarithmic range must begin above 0, not at {low}")
    return Parameter(name, spec, low, high, log)


def parse_space(texts: Sequence[str]) -> tuple[Parameter, ...]:
    """Parse all parameters of a search.

    Raises:
        InputError: there are none, one is named twice or lies inside another, or one is malformed.
    """
    space = tuple(parse_parameter(text) for text in texts)
    if not space:
        raise InputError(
            f"there are no parameters: name keys of the spec with --param NAME=SPEC, where SPEC is {FORMS}"
        )
    names = [p.name for p in space]
    for index, name in enumerate(names):
        for other in names[:index]:
            if f"{name}.".startswith(f"{other}.") or f"{other}.".startswith(f"{name}."):
                raise InputError(f"--param names {other!r} and {name!r}: both set the same key")
    return space


def with_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a spec's YAML and set keys.

    Args:
        base: the mapping of the file.
        values: by dotted path; a whole number in a path is an index in a list.

    Raises:
        InputError: a path leads through a value that is neither mapping nor list, or past the end of a list.
    """
    result: dict[str, Any] = copy.deepcopy(dict(base))
    for name, value in values.items():
        *parents, last = name.split(".")
        node: Any = result
        for part in parents:
            # A section that the file leaves out has its defaults.
            node = node.setdefault(part, {}) if isinstance(node, dict) else node[_index(node, part, name)]
        if isinstance(node, dict):
            node[last] = value
        else:
            node[_index(node, last, name)] = value
    return result


def _index(items: Any, word: str, name: str) -> int:
    if not isinstance(items, list) or not word.isdigit() or int(word) >= len(items):
        raise InputError(f"{name!r} is not a key of this spec: {word!r} is not an index in {items!r}")
    return int(word)


def check_space(base: Mapping[str, Any], space: Sequence[Parameter], where: str) -> None:
    """Refuse a parameter that the spec does not accept, before hours are spent.

    A value may be valid only together with that of another parameter, so a parameter passes if the spec is valid with
    one of its ends.

    Raises:
        InputError: the base is not a spec, a key is unknown, or accepts no value of the parameter.
    """
    parse_spec(dict(base), where)
    for parameter in space:
        first: InputError | None = None
        for value in parameter.ends:
            try:
                parse_spec(with_values(base, {parameter.name: value}), f"{where} with {parameter.name}={value}")
            except InputError as err:
                first = first or err
            else:
                break
        else:
            raise first or InputError(f"{parameter.name} has no values")
