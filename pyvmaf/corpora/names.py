"""Patterns of the names of files, which say which reference belongs to a distorted version.

A pattern is a path below the root of a corpus: ``{part}`` stands for a part of a name, ``{part:a|b}`` for one of these
words, ``*`` for anything but ``/``, and ``**/`` for any folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pyvmaf.base.table import Table
from pyvmaf.errors import InputError, unknown_name

LAYOUTS: Table[dict[str, Any]] = {
    "netflix": {
        "reference": "ref/{source}_{fps}fps.yuv",
        "distorted": ["dis/{source}_{quality}_{height}_{bitrate}.yuv"],
        "raw": {"size": "1920x1080", "pix_fmt": "yuv420p"},
    },
    "ugc": {
        "reference": "**/{source}_orig.*",
        "distorted": ["**/{source}_{version:cbr|vod|vodlb}.*"],
    },
}
"""Layouts of published corpora by name, as keys of `pyvmaf.corpora.pairs.Names`."""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_MEANINGS: Mapping[str, str] = {
    "fps": rf"{_NUMBER}|[1-9][0-9]*_[1-9][0-9]*",
    "size": r"[1-9][0-9]*x[1-9][0-9]*",
    "pix_fmt": r"[a-z0-9]+",
    "height": r"[0-9]+",
    "width": r"[0-9]+",
    "crf": r"[0-9]+",
    "bitrate": _NUMBER,
}
"""Regular expressions of parts that are numbers; another part is as short as it can be."""

_TOKEN = re.compile(r"\*\*/|\*|\{([a-z][a-z0-9_]*)(?::([^{}]+))?\}|[{}]")


@dataclass(frozen=True)
class Pattern:
    """A pattern of paths.

    Attributes:
        text: as it is written.
        parts: names of its parts, in order.
        expression: the regular expression of whole paths.
    """

    text: str
    parts: tuple[str, ...]
    expression: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Read a pattern.

        Raises:
            InputError: a bracket is not part of ``{part}`` or ``{part:a|b}``.
        """
        words: list[str] = []
        parts: list[str] = []
        end = 0
        for token in _TOKEN.finditer(text):
            words.append(re.escape(text[end : token.start()]))
            end = token.end()
            if token[0] in ("{", "}"):
                raise InputError(
                    f"pattern {text!r} has a {token[0]!r} that belongs to no part: write {{part}} or {{part:a|b}}, a part in "
                    "lower-case letters"
                )
            words.append(_expression(token, parts))
        return cls(text, tuple(parts), re.compile("".join(words) + re.escape(text[end:])))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parts of a path; None if it does not have this form."""
        match = self.expression.fullmatch(path)
        return None if match is None else match.groupdict()


def _expression(token: re.Match[str], parts: list[str]) -> str:
    if token[0] == "**/":
        return "(?:[^/]+/)*"
    name, words = token[1], token[2]
    if name is None:
        return "[^/]*"
    if name in parts:
        return f"(?P={name})"
    parts.append(name)
    inner = "|".join(map(re.escape, words.split("|"))) if words else _MEANINGS.get(name, "[^/]+?")
    return f"(?P<{name}>{inner})"


@dataclass(frozen=True)
class Matched:
    """A distorted version that was found.

    Attributes:
        reference, distorted: paths below the root.
        parts: parts of both names.
        own: parts that only the distorted version's name has, in the order of its pattern.
    """

    reference: str
    distorted: str
    parts: Mapping[str, str]
    own: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What patterns find among the files of a folder.

    Attributes:
        pairs: in the order of the paths of references, then of the distorted versions.
        alone: distorted versions without a reference.
        unpaired: references without distorted versions.
        others: files that match no pattern.
    """

    pairs: tuple[Matched, ...]
    alone: tuple[str, ...]
    unpaired: tuple[str, ...]
    others: tuple[str, ...]


def find_pairs(paths: list[str], reference: str, distorted: tuple[str, ...]) -> Found:
    """Find the pairs among files.

    Args:
        paths: paths below the root.
        reference, distorted: the patterns.

    Raises:
        InputError: a pattern matches nothing, a file matches two patterns, a distorted version matches two references, or
            the patterns do not have a part in common.
    """
    first, others = Pattern.of(reference), [Pattern.of(text) for text in distorted]
    for other in others:
        if not set(first.parts) & set(other.parts):
            raise InputError(
                f"patterns {first.text!r} and {other.text!r} have no part in common, so that no reference belongs to a "
                "distorted version: write for example {source} in both"
            )
    references = {path: parts for path in paths if (parts := first.match(path)) is not None}
    if not references:
        raise _nothing(first, paths)
    matches: dict[str, tuple[Pattern, dict[str, str]]] = {}
    for other in others:
        found = {path: parts for path in paths if (parts := other.match(path)) is not None}
        if not found:
            raise _nothing(other, paths)
        for path, parts in found.items():
            if path in references:
                raise InputError(f"{path} matches both {first.text!r} and {other.text!r}: make the patterns narrower")
            if path in matches:
                raise InputError(
                    f"{path} matches both {matches[path][0].text!r} and {other.text!r}: make them narrower"
                )
            matches[path] = other, parts
    pairs, alone = [], []
    owners = {
        other.text: _by_parts(references, [name for name in other.parts if name in first.parts]) for other in others
    }
    for path, (pattern, parts) in matches.items():
        shared = tuple(parts[name] for name in pattern.parts if name in first.parts)
        fitting = owners[pattern.text].get(shared, [])
        if len(fitting) > 1:
            raise InputError(
                f"{path} would be a distorted version of {' and of '.join(fitting[:2])}: add a part to both patterns that "
                "tells them apart, or move one reference out of the folder"
            )
        if not fitting:
            alone.append(path)
            continue
        own = tuple(name for name in pattern.parts if name not in first.parts)
        pairs.append(Matched(fitting[0], path, references[fitting[0]] | parts, own))
    pairs.sort(key=lambda pair: (pair.reference, pair.distorted))
    used = {pair.reference for pair in pairs}
    return Found(
        tuple(pairs),
        tuple(alone),
        tuple(path for path in references if path not in used),
        tuple(path for path in paths if path not in references and path not in matches),
    )


def _by_parts(references: Mapping[str, Mapping[str, str]], names: list[str]) -> dict[tuple[str, ...], list[str]]:
    """References by the values of some parts of their names."""
    found: dict[tuple[str, ...], list[str]] = {}
    for path, parts in references.items():
        found.setdefault(tuple(parts[name] for name in names), []).append(path)
    return found


def layout_keys(name: str) -> dict[str, Any]:
    """Return the keys of a published corpus's layout.

    Raises:
        InputError: there is no such layout.
    """
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return dict(LAYOUTS[name])


def rate(text: str) -> str:
    """Return frames per second of a part of a name as a fraction: "29.97" is 2997/100, "30000_1001" 30000/1001."""
    return str(Fraction(text.replace("_", "/")))


def _nothing(pattern: Pattern, paths: list[str]) -> InputError:
    shown = ", ".join(_examples(paths)) or "none"
    return InputError(f"pattern {pattern.text!r} matches none of the {len(paths)} files, such as {shown}: correct it")


def _examples(paths: list[str]) -> Iterator[str]:
    """Files of different folders."""
    seen: dict[str, str] = {}
    for path in paths:
        seen.setdefault(path.rpartition("/")[0], path)
    yield from list(seen.values())[:3]
