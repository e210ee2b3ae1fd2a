"""Section: the worst frames as pictures."""

from __future__ import annotations

from collections.abc import Iterator

from pyvmaf.reports.elements import Element, Heading, Images, Section, number, paragraph, table, text
from pyvmaf.reports.pages.score.stills import Still
from pyvmaf.reports.pages.score.subject import Subject


def section(subject: Subject) -> Section | None:
    """Show the frames with the lowest scores: reference, distorted video and difference, with their numbers."""
    key = f"{subject.prefix}worst"
    if not subject.stills:
        if not subject.without_stills:
            return None
        return Section(key, "Worst frames", (paragraph(f"There are no pictures: {subject.without_stills}."),))
    elements = [element for still in subject.stills for element in _still(subject, still)]
    lead = (
        f"The frame with the lowest {subject.headline} of each version."
        if subject.several
        else f"The frames with the lowest {subject.headline}, a second or more apart."
    )
    return Section(key, "Worst frames", (paragraph(lead), *elements))


def _still(subject: Subject, still: Still) -> Iterator[Element]:
    version = subject.versions[still.version]
    scores = version.scores
    [row] = (scores.frame_index == still.frame).nonzero()[0]
    time = subject.time(still.frame)
    title = f"Frame {still.frame}{f', {time}' if time else ''}: {subject.headline} {scores[subject.headline][row]:.2f}"
    yield Heading(f"{subject.names[still.version]}: {title}" if subject.several else title)
    yield Images(f"Frame {still.frame}", still.images)
    if still.details:
        x, y = still.where
        width, height = still.details[0].width, still.details[0].height
        yield Images(f"The part that differs most, sample by sample: {width}x{height} at {x},{y}", still.details)
    columns = [name for name in (*subject.models, *subject.features) if name in scores.columns]
    if len(columns) > 1:
        caption = f"Figures of frame {still.frame}"
        yield table(caption, ("", *columns), [[text("frame"), *(number(float(scores[c][row]), 4) for c in columns)]])
