"""The elements of a page, as values: cells, tables, charts, paragraphs. `render` writes the page from its templates.

A page is a list of sections, and a section is a list of elements. Each class of elements names its template, which
escapes all text. A page is one HTML file that needs no other file: its content security policy forbids every request.
Each chart has a caption and a table of its values, which remains if scripts are off.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pyvmaf.base.files import resource
from pyvmaf.reports.runtime import charts_runtime

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
NONE = "\N{EN DASH}"
"""The text of a cell without a value."""


# --- cells ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: its text.
        form: how the template shows it: text, mean, good, bad, link, hash or lines.
        number: whether it is aligned as a number.
        detail: the standard deviation of a mean; the address of a link.
        lines: cells that stand below one another in it.
    """

    text: str
    form: str = "text"
    number: bool = False
    detail: str = ""
    lines: tuple[Cell, ...] = ()


def text(value: object) -> Cell:
    """Make a cell of plain text."""
    return Cell(str(value))


def link(href: str, name: str) -> Cell:
    """Make a cell with a link to another page."""
    return Cell(name, "link", detail=href)


def number(value: float | int | None, digits: int = 4, *, sign: bool = False) -> Cell:
    """Make a cell with a number; a dash for None and NaN."""
    if value is None or value != value:
        return Cell(NONE, number=True)
    if isinstance(value, int):
        return Cell(f"{value:,}".replace(",", "\u202f"), number=True)
    return Cell(f"{value:{'+' if sign else ''}.{digits}f}", number=True)


def mean(figure: Mapping[str, float | None], digits: int) -> Cell:
    """Make a cell with mean ± standard deviation.

    Args:
        figure: mapping with the keys mean and std; std is None for a single value.
        digits: after the point.
    """
    value, std = figure["mean"], figure["std"]
    if value is None:
        return Cell(NONE, number=True)
    return Cell(f"{value:.{digits}f}", "mean", number=True, detail="" if std is None else f"{std:.{digits}f}")


def badge(good: bool, word: str) -> Cell:
    """Make a cell with an outcome; word, sign and colour all show it."""
    return Cell(word, "good" if good else "bad")


def digest(value: str | None) -> Cell:
    """Make a cell with a hash."""
    return Cell(NONE) if value is None else Cell(value, "hash")


def lines(cells: Iterable[Cell], *, number: bool = False) -> Cell:
    """Make a cell with other cells below one another; a dash if there are none."""
    stacked = tuple(cells)
    return Cell("", "lines", number, lines=stacked) if stacked else Cell(NONE, number=number)


# --- elements -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Element:
    """A part of a section."""

    template: ClassVar[str]
    """File in the folder of templates; it sees the element as ``element``."""


@dataclass(frozen=True)
class Heading(Element):
    """A heading within a section, with an outcome beside it if there is one."""

    template = "heading.html"
    title: str
    outcome: Cell | None = None


@dataclass(frozen=True)
class Paragraph(Element):
    """Sentences. Every second part is code: text, code, text, and so on."""

    template = "paragraph.html"
    parts: tuple[str, ...]


def paragraph(*parts: str) -> Paragraph:
    """Make a paragraph of text, code, text, and so on."""
    return Paragraph(parts)


@dataclass(frozen=True)
class Notes(Element):
    """A list of sentences."""

    template = "notes.html"
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Code(Element):
    """Lines of code."""

    template = "code.html"
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table(Element):
    """A table. The first cell of each row is the row's heading.

    Attributes:
        caption: its title.
        head: headings of the columns.
        rows: cells, as many in each row as there are columns.
    """

    template = "table.html"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """Heading of each column, and whether all of its cells are numbers."""
        numeric = [bool(self.rows) and all(row[index].number for row in self.rows) for index in range(len(self.head))]
        return list(zip(self.head, numeric, strict=True))


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    """Make a table."""
    return Table(caption, tuple(head), tuple(tuple(row) for row in rows))


def facts(caption: str, values: Iterable[tuple[str, Cell]]) -> Table:
    """Make a table of named values."""
    return table(caption, ("property", "value"), [(text(name), value) for name, value in values])


@dataclass(frozen=True)
class Folded(Element):
    """A table that is folded away below its summary."""

    template = "folded.html"
    summary: str
    table: Table


@dataclass(frozen=True)
class Figure(Element):
    """A chart.

    Attributes:
        key: its name on the page.
        spec: Vega-Lite specification over the page's data sets.
        caption: its title.
        values: the table of its values, if no other table of the page holds them.
    """

    template = "figure.html"
    key: str
    spec: dict[str, Any]
    caption: str
    values: Table | None = None


@dataclass(frozen=True)
class Image:
    """A picture.

    Attributes:
        label: what it shows.
        source: its bytes, as an address of the scheme ``data``.
        width, height: its size.
    """

    label: str
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class Images(Element):
    """Pictures beside one another, with a caption."""

    template = "images.html"
    caption: str
    images: tuple[Image, ...]


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Attributes:
        key: its anchor.
        title: its heading.
        elements: its contents.
        data: the data sets of its charts by name.
    """

    key: str
    title: str
    elements: tuple[Element, ...]
    data: Mapping[str, pd.DataFrame | Mapping[str, Sequence[Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: its heading.
        lede: the sentence below the heading.
        verb: the command that writes it.
        sections: its contents.
        links: other pages, as relative address and name.
    """

    title: str
    lede: str
    verb: str
    sections: tuple[Section, ...]
    links: tuple[tuple[str, str], ...] = ()


# --- the page as text -----------------------------------------------------------------------------------------------


def render(page: Page) -> str:
    """Write a page as HTML text."""
    figures = [e for section in page.sections for e in section.elements if isinstance(e, Figure)]
    data = {name: _columns(frame) for section in page.sections for name, frame in section.data.items()}
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            policy=_POLICY,
            style=_asset("page.css"),
            data=_json(data),
            specs=_json({figure.key: figure.spec for figure in figures}),
            scripts=[_script(charts_runtime()), _script(_asset("page.js"))],
        )
    )


def render_element(element: Element) -> str:
    """Write a single element as HTML text."""
    return _environment().get_template(element.template).render(element=element)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(resource(__file__, "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _columns(frame: pd.DataFrame | Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """A data set by column, each word stored once."""
    return {str(name): _column(values) for name, values in frame.items()}


def _column(values: pd.Series[Any] | Sequence[Any]) -> Any:
    plain = list(values) if isinstance(values, Sequence) else values.tolist()
    if not plain or not isinstance(plain[0], str):
        return [None if v is None or v != v else v for v in plain]
    words = list(dict.fromkeys(plain))
    index = {word: i for i, word in enumerate(words)}
    return {"words": words, "at": [index[v] for v in plain]}


def _asset(name: str) -> str:
    return (resource(__file__, "assets") / name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A parser ends a script at the first closing tag, also within a string.
    return plain.replace("</", "<\\/")


def _script(source: str) -> str:
    if "</script" in source.lower():
        raise ValueError("a script of the page holds a closing tag")
    return source
