"""What is printed for people: names are text, whatever characters they have.

A name of a file can hold brackets, which Rich takes for markup, and control characters, with which a terminal does what
they say. Everything that verbs print goes through `say`, or through a `console`.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Control characters, line and paragraph separators, changes of the direction of text, the mark of byte order, and the
# bytes of names that are not UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: object) -> str:
    r"""Return text on one line in which characters that a terminal would obey are escaped, as in ``a\nb`` or ``\x1b``."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text))


def say(*lines: object, err: bool = False) -> None:
    """Print lines on standard output or, with `err`, on standard error."""
    stream = sys.stderr if err else sys.stdout
    for line in lines:
        text = printable(line)
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:
            # The encoding of the terminal does not have the character.
            print(text.encode("ascii", "backslashreplace").decode(), file=stream, flush=True)


def plain(text: object, style: str = "") -> Text:
    """Return text for a cell of a Rich table or a progress bar, with a style."""
    from rich.text import Text

    return Text(printable(text), style=style)


def console(*, err: bool = False, **options: Any) -> Console:
    """Return a Rich console on which every string is text: no markup, no emoji codes, nothing highlighted.

    Args:
        err: print on standard error.
        options: further options of `rich.console.Console`.
    """
    from rich.console import Console

    class Plain(Console):
        def render_str(self, text: str, **words: Any) -> Text:
            words = {key: value for key, value in words.items() if key in ("style", "justify", "overflow")}
            return super().render_str(printable(text), **words, markup=False, emoji=False, highlight=False)

    return Plain(stderr=err, markup=False, emoji=False, highlight=False, **options)
