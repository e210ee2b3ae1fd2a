"""The page of scores: ``vmaf-train score --report page.html``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.base.files import write_text
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.reports.elements import Page, Section, render
from pyvmaf.reports.pages.score import distribution, frames, over_time, overview, readings, shots
from pyvmaf.reports.pages.score.files import facts_of, rate_of
from pyvmaf.reports.pages.score.stills import take_stills
from pyvmaf.reports.pages.score.subject import Subject
from pyvmaf.scoring.compare import Comparison, version_of

if TYPE_CHECKING:
    from pyvmaf.features.options import Reading
    from pyvmaf.scoring.scores import Scores

SECTIONS: tuple[Callable[[Subject], Section | None], ...] = (
    overview.section,
    over_time.section,
    frames.section,
    distribution.section,
    shots.section,
    readings.section,
)
"""The sections of a reference, in order; a section without contents returns None."""

SUFFIXES = (".html", ".htm")
"""Suffixes of pages."""

_MARK = "Written by vmaf-train score."


def subject_of(comparison: Comparison, reading: Reading, *, judged: bool = True, prefix: str = "") -> Subject:
    """Look up what a page shows of versions beside their scores: the worst frames, and facts of the files.

    Args:
        comparison: the versions.
        reading: how they were read.
        judged: False if they were scored without a reference.
        prefix: begins the names of its charts and sections.
    """
    paths = dict.fromkeys([comparison.reference, *(version.path for version in comparison.ranked)])
    subject = Subject(
        comparison,
        judged=judged,
        prefix=prefix,
        rate=rate_of(comparison.reference, reading),
        facts={str(path): facts_of(path, reading) for path in paths},
    )
    try:
        return replace(subject, stills=take_stills(comparison, reading, subject.rate, judged=judged))
    except PyvmafError as err:
        return replace(subject, without_stills=str(err))


def build_page(subjects: Sequence[Subject]) -> str:
    """Make the page as HTML text."""
    sections = []
    for subject in subjects:
        for make in SECTIONS:
            if (section := make(subject)) is not None:
                title = f"{subject.comparison.reference.name}: {section.title}" if len(subjects) > 1 else section.title
                sections.append(replace(section, title=title))
    return render(Page(*_heading(subjects), "score", tuple(sections)))


def _heading(subjects: Sequence[Subject]) -> tuple[str, str]:
    subject = subjects[0]
    scores, name = subject.first, subject.comparison.reference.name
    models = ", ".join(dict.fromkeys([*scores.libvmaf_models.values(), *scores.summaries]))
    if len(subjects) > 1:
        count = sum(len(subject.versions) for subject in subjects)
        return f"{count} versions of {len(subjects)} references", models
    length = f"{len(scores)} frames{f', {models}' if models else ''}"
    if subject.several:
        best = f"the best is {subject.names[0]} with a mean {subject.headline} of {scores.figure():.2f}"
        return f"{len(subject.versions)} versions of {name}", f"{length}; {best}."
    title = f"{subject.versions[0].path.name} against {name}" if subject.judged else name
    return title, f"Mean {subject.headline} {scores.figure():.2f}; {length}."


def check_page(path: str | os.PathLike[str]) -> None:
    """Refuse, before videos are scored, a name that no page can have.

    Raises:
        InputError: the suffix is another one, or the file exists and is not such a page.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write the page {target}: its suffix is not one of {', '.join(SUFFIXES)}")
    if target.is_file() and target.stat().st_size and _MARK not in target.read_text("utf-8", errors="replace"):
        raise InputError(f"{target} exists already, and is not a page of scores: remove it, or name another output")


def write_pair(
    scores: Scores,
    reference: str | os.PathLike[str] | None,
    distorted: str | os.PathLike[str],
    output: str | os.PathLike[str],
    reading: Reading,
) -> int:
    """Write the page of a pair, or of a video that was scored without a reference: as `write_page`."""
    path = Path(distorted)
    part = Comparison(Path(reference or path), (version_of(path, scores, reading),))
    return write_page([part], output, reading, judged=reference is not None)


def write_page(
    parts: Sequence[Comparison], output: str | os.PathLike[str], reading: Reading, *, judged: bool = True
) -> int:
    """Write the page of scores, and return its size in bytes. It shows pictures of the worst frames, and needs no other file.

    Args:
        parts: the versions of one or several references.
        output: the page, .html.
        reading: how the videos were read.
        judged: False if they were scored without a reference.

    Raises:
        InputError: as `check_page`.
    """
    check_page(output)
    prefixes = [f"r{number}-" if len(parts) > 1 else "" for number in range(1, len(parts) + 1)]
    subjects = [
        subject_of(part, reading, judged=judged, prefix=prefix) for part, prefix in zip(parts, prefixes, strict=True)
    ]
    html = build_page(subjects)
    write_text(Path(output), html)
    return len(html.encode())
