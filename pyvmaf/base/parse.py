"""Readers of JSON and YAML text, which may come from anybody.

Every file of either kind is parsed by one of these two functions. They refuse what two readers could understand in two
ways (a key that occurs twice, NaN) and what makes a reader fail later (nesting without end, numbers of any length,
characters that no file can hold).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import InputError, IntegrityError

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 512 << 20
"""Most bytes of a JSON text."""

MAX_DEPTH = 100
"""Deepest nesting of lists and mappings."""

_MAX_YAML = 64 << 20
_MAX_DIGITS = 25
_KINDS = frozenset({"str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value"})
_MAX_EXPANDED = 100_000
"""Most nodes that aliases may add to a YAML document."""


class _RefusedError(ValueError):
    """Text that is well formed, but refused."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _RefusedError(f"the key {_shown(twice)} occurs twice")
    return result


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise _RefusedError(f"a number has {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError(f"{_shown(text)} is larger than any number of 64 bits")
    return value


def _constant(text: str) -> float:
    raise _RefusedError(f"{text} is not a JSON number")


_HOOKS: dict[str, Any] = {"object_pairs_hook": _pairs, "parse_int": _integer}
_STRICT = json.JSONDecoder(parse_float=_float, parse_constant=_constant, **_HOOKS)
_LENIENT = json.JSONDecoder(**_HOOKS)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def parse_json(data: bytes | str, where: str, *, nan: bool = False) -> Any:
    """Parse JSON.

    Args:
        data: the text, UTF-8.
        where: its name in messages, usually the file.
        nan: accept NaN and Infinity, which many programs write.

    Raises:
        IntegrityError: it is not JSON; a key of an object occurs twice; a number is NaN, infinite or longer than 25
            digits; it is nested more than 100 deep, or larger than 512 MiB; or a string holds half of a surrogate pair.
    """
    if len(data) > MAX_BYTES:
        raise IntegrityError(f"{where} has {len(data)} bytes, but JSON of at most {MAX_BYTES} is read: refused")
    try:
        text = data if isinstance(data, str) else data.decode()
        value = (_LENIENT if nan else _STRICT).decode(text)
        # The scanner stops at the interpreter's own limit only, at which much of what follows would fail.
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(value)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise IntegrityError(f"{where} is JSON nested more than {MAX_DEPTH} deep: refused") from None
    except _RefusedError as err:
        raise IntegrityError(f"{where} is JSON that is refused: {err}") from None
    except UnicodeEncodeError:
        raise IntegrityError(f"{where} is JSON that is refused: a string holds half of a surrogate pair") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as err:
        raise IntegrityError(f"{where} is not JSON ({err}): it is damaged or was cut short") from err
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise RecursionError


def parse_yaml(data: bytes, where: str) -> dict[str, Any]:
    """Parse YAML whose top level is a mapping; an empty text gives an empty mapping.

    Args:
        data: the text.
        where: its name in messages, usually the file.

    Raises:
        InputError: it is not YAML, or not a mapping; a key occurs twice or is not text; a number is NaN, infinite or
            longer than 25 digits; it is nested more than 100 deep, or larger than 64 MiB; or its aliases stand for more
            than 100,000 nodes.
    """
    import yaml

    if len(data) > _MAX_YAML:
        raise InputError(f"{where} has {len(data)} bytes, but YAML of at most {_MAX_YAML} is read: refused")
    # In C where PyYAML has it.
    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_events(yaml.parse(data, Loader=kind))
        loader = kind(data)
        try:
            root = loader.get_single_node()
            if root is None:
                return {}
            _check_nodes(root)
            value = loader.construct_document(root)
        finally:
            loader.dispose()
    except _RefusedError as err:
        raise InputError(f"{where} is YAML that is refused: {err}") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError) as err:
        # PyYAML's constructors raise what Python's do, for example of a date in month 13.
        problem = " ".join(str(err).replace('in "<byte string>", ', "").split())
        raise InputError(f"{where} is not YAML: {problem}") from err
    if not isinstance(value, dict):
        raise InputError(f"{where} holds {type(value).__name__}, not a mapping of keys")
    return value


def _line(item: Any) -> int:
    return int(item.start_mark.line) + 1


def _check_events(events: Iterable[Any]) -> None:
    """Refuse deep nesting, which exhausts the stack of the parser in C, and aliases that stand for too much."""
    import yaml

    # Anchor and number of nodes of each collection that is open; number of nodes of each anchor.
    nested: list[tuple[str | None, int]] = [(None, 0)]
    sizes: dict[str, int] = {}
    added = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            nested.append((event.anchor, 1))
            sizes.pop(event.anchor or "", None)
            if len(nested) > MAX_DEPTH + 1:
                raise _RefusedError(f"it is nested more than {MAX_DEPTH} deep (line {_line(event)})")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = nested.pop()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _RefusedError(f"*{event.anchor} names nothing before it (line {_line(event)})")
            anchor, size = None, sizes[event.anchor]
            added += size
            if added > _MAX_EXPANDED:
                raise _RefusedError(f"its aliases stand for more than {_MAX_EXPANDED} values")
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        nested[-1] = (nested[-1][0], nested[-1][1] + size)


def _check_nodes(root: yaml.Node) -> None:
    """Refuse keys that occur twice or are not text, and numbers that are none or too long."""
    import yaml

    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        if node.tag.rpartition(":")[2] not in _KINDS:
            raise ValueError(f"{_shown(node.tag)} is not a kind of value here (line {_line(node)})")
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
            continue
        values = node.value
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            values = [value for _, value in node.value]
        for value in values:
            if id(value) not in seen:
                seen.add(id(value))
                waiting.append(value)


def _check_keys(node: yaml.MappingNode) -> None:
    keys: set[str] = set()
    for key, _ in node.value:
        line = f"(line {_line(key)})"
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.tag != "tag:yaml.org,2002:str":
            shown = _shown(key.value) if isinstance(key.value, str) else "a list or mapping"
            raise _RefusedError(f"the key {shown} is not text {line}: write it in quotes")
        if key.value in keys:
            raise _RefusedError(f"the key {_shown(key.value)} occurs twice in one mapping {line}")
        keys.add(key.value)


def _check_scalar(node: yaml.ScalarNode) -> None:
    kind = node.tag.rpartition(":")[2]
    if kind not in ("int", "float"):
        return
    line = f"(line {_line(node)})"
    if kind == "int" and len(node.value) > _MAX_DIGITS:
        raise _RefusedError(f"a number has {len(node.value)} digits {line}")
    if kind == "float":
        text = node.value.replace("_", "").lower()
        try:
            usable = math.isfinite(float(text.replace(".inf", "inf").replace(".nan", "nan")))
        except ValueError:
            return  # in base 60
        if not usable:
            raise _RefusedError(f"{_shown(node.value)} is not a finite number {line}")
