"""Section: the training table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyvmaf.reports.elements import Cell, Element, Section, Table, digest, facts, number, paragraph, table, text
from pyvmaf.reports.pages.card.card import Card

if TYPE_CHECKING:
    import pandas as pd

_COUNTED = {"clip": "clips", "codec": "codecs", "rung": "rungs"}


def section(card: Card) -> Section:
    """Show the table, and the rows and target of each source."""
    described = card.loso.table
    values = [
        ("table", text(described.name)),
        ("rows used", text(f"{described.rows_used:,} of {described.rows:,}")),
        ("SHA-256 of the table", digest(described.sha256)),
    ]
    for column, count in sorted(described.dropped.by_column.items()):
        values.append((f"rows without {column}", text(f"{count:,}")))
    elements: list[Element] = [facts("Training table", values)]
    if card.rows is None:
        elements.append(paragraph("The table was not available when this card was written."))
    else:
        keys = [name for name in ("corpus", "group", "source") if name in card.rows.columns]
        if keys:
            elements.append(_sources(card.rows, keys, card.target))
    return Section("trained-on", "Data", tuple(elements))


def _sources(rows: pd.DataFrame, keys: list[str], target: str) -> Table:
    counted = [name for name in _COUNTED if name in rows.columns]
    # The target of a filter is a picture, which no column holds.
    valued = target in rows.columns
    cells = []
    for key, part in rows.groupby(keys, sort=True, observed=True):
        names: Any = key
        cells.append(
            [
                *(text(name) for name in reversed(names)),
                *(number(int(part[name].nunique())) for name in counted),
                number(len(part)),
                *(_range(part[target]) if valued else ()),
            ]
        )
    caption = f"Table: {_count(len(cells), 'source', 'sources')}"
    if "group" in keys:
        caption += f" of {_count(rows['group'].nunique(), 'group', 'groups')}"
    if "corpus" in keys:
        caption += f" in {_count(rows['corpus'].nunique(), 'corpus', 'corpora')}"
    ranged = (f"{target} min", "median", "max") if valued else ()
    head = (*reversed(keys), *(_COUNTED[name] for name in counted), "rows", *ranged)
    return table(caption, head, cells)


def _range(column: pd.Series[Any]) -> list[Cell]:
    values = column.dropna()
    if not len(values):
        return [number(None)] * 3
    return [number(float(value), 1) for value in (values.min(), values.median(), values.max())]


def _count(n: int, singular: str, plural: str) -> str:
    return f"{n} {singular if n == 1 else plural}"
