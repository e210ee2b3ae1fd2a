"""What every page is made of: cells, tables, figures, and one HTML file that needs nothing but itself.

The content policy forbids every request, so that a page cannot fetch anything even by mistake. Every chart has a
caption and the table of its figures; where scripts are off the tables remain.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from pyvmaf.base.files import resource

if TYPE_CHECKING:
    import pandas as pd

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
NONE = "\N{EN DASH}"
"""What stands where there is no figure."""


@dataclass(frozen=True)
class Cell:
    """One table cell: ready HTML, and whether it is a number."""

    html: str
    number: bool = False


def text(value: object) -> Cell:
    """A cell with plain text."""
    return Cell(escape(str(value)))


def link(href: str, name: str) -> Cell:
    """A cell with a link to a page beside this one."""
    return Cell(f'<a href="{escape(href)}">{escape(name)}</a>')


def number(value: float | int | None, digits: int = 4, *, sign: bool = False) -> Cell:
    """A cell with a number, a dash where there is none."""
    if value is None or value != value:
        return Cell(NONE, number=True)
    if isinstance(value, int):
        return Cell(f"{value:,}".replace(",", "\u202f"), number=True)
    return Cell(f"{value:{'+' if sign else ''}.{digits}f}", number=True)


def spread(figure: Mapping[str, float | None], digits: int) -> Cell:
    """A cell with mean ± standard deviation."""
    mean, std = figure["mean"], figure["std"]
    if mean is None:
        return Cell(NONE, number=True)
    tail = "" if std is None else f' <span class="std">± {std:.{digits}f}</span>'
    return Cell(f"{mean:.{digits}f}{tail}", number=True)


def badge(good: bool, word: str) -> Cell:
    """A cell with a verdict: word, sign and colour say the same."""
    return Cell(f'<span class="badge {"good" if good else "bad"}">{"✓" if good else "✗"} {escape(word)}</span>')


def digest(value: str | None) -> Cell:
    """A cell with a hash, whole."""
    return Cell(NONE if value is None else f'<span class="hash">{escape(value)}</span>')


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """An HTML table; the first cell of each row is the row's heading."""
    body = [list(row) for row in rows]
    numeric = [bool(body) and all(row[i].number for row in body) for i in range(len(head))]
    ths = "".join(
        f'<th scope="col"{" class=num" if n else ""}>{escape(h)}</th>' for h, n in zip(head, numeric, strict=True)
    )
    trs = []
    for row in body:
        cells = [f'<th scope="row">{row[0].html}</th>']
        cells += [f"<td{' class=num' if cell.number else ''}>{cell.html}</td>" for cell in row[1:]]
        trs.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{ths}</tr></thead><tbody>{''.join(trs)}</tbody></table></div>"
    )


@dataclass
class Page:
    """What is gathered while the sections are written.

    Attributes:
        title, lede: the heading and the sentence below it.
        verb: the command that makes the page.
        links: pages beside this one, as relative address and text.
        sections: key, title and HTML of each.
        specs, data: charts and data sets by name.
    """

    title: str
    lede: str = ""
    verb: str = "report"
    links: list[tuple[str, str]] = field(default_factory=list)
    sections: list[tuple[str, str, str]] = field(default_factory=list)
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)

    def section(self, key: str, title: str, html: str) -> None:
        """Add a section."""
        self.sections.append((key, title, html))

    def figure(self, key: str, spec: dict[str, Any], caption: str, figures: str = "") -> str:
        """A chart with its caption, and its figures in a table that is folded away."""
        self.specs[key] = spec
        folded = (
            f'<details class="data"><summary>The figures as a table</summary>{figures}</details>' if figures else ""
        )
        return (
            f"<figure><figcaption>{escape(caption)}</figcaption>"
            f'<div class="chart" data-spec="{escape(key)}" data-label="{escape(caption)}"></div>'
            f"<noscript><p>Charts need scripts; the tables hold their figures.</p></noscript>{folded}</figure>"
        )

    def columns(self, key: str, frame: pd.DataFrame) -> None:
        """Keep a data set by column, each word once."""
        self.data[key] = {str(name): _column(frame[name]) for name in frame.columns}


def _column(values: pd.Series[Any]) -> Any:
    plain = values.tolist()
    if not plain or not isinstance(plain[0], str):
        return [None if v is None or v != v else v for v in plain]
    words = list(dict.fromkeys(plain))
    place = {word: i for i, word in enumerate(words)}
    return {"words": words, "at": [place[v] for v in plain]}


def _asset(name: str) -> str:
    return (resource(__file__, "assets") / name).read_text(encoding="utf-8")


def _runtime() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, out of the installed package."""
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub wants what it makes optional


def _inline(value: str) -> str:
    # The parser ends a script at the first closing tag, wherever it stands.
    return value.replace("</", "<\\/")


def _json(value: Any) -> str:
    return _inline(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def render(page: Page) -> str:
    """The whole page as one text."""
    nav = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in page.sections)
    beside = " \N{MIDDLE DOT} ".join(f'<a href="{escape(href)}">{escape(name)}</a>' for href, name in page.links)
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{escape(title)}</h2>{html}</section>'
        for key, title, html in page.sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{_asset('page.css')}</style></head><body>"
        f'<a class="skip" href="#main">To the results</a><header><h1>{escape(page.title)}</h1>'
        f'<p class="lede">{escape(page.lede)}</p>{f"<p>{beside}</p>" if beside else ""}<nav aria-label="Sections"><ul>{nav}</ul></nav></header>'
        f'<main id="main">{body}</main>'
        f"<footer>Made by vmaf-train {page.verb}. The page holds all that it shows and requests nothing.</footer>"
        f'<script type="application/json" id="data">{_json(page.data)}</script>'
        f'<script type="application/json" id="specs">{_json(page.specs)}</script>'
        f'<script type="module">{_inline_script(_runtime())}</script>'
        f'<script type="module">{_inline_script(_asset("page.js"))}</script></body></html>\n'
    )


def _inline_script(source: str) -> str:
    if "</script" in source.lower():
        raise ValueError("a script that is to stand in the page holds a closing tag")
    return source
