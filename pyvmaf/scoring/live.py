"""Scores of a pair of videos whose rows are handed over while the frames come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf import engines
from pyvmaf.base.outputs import Watch
from pyvmaf.features.adapt import ADAPTED, Traits
from pyvmaf.features.catalog import FEATURES, Selection
from pyvmaf.features.extract import Look, expected_frames, side_by_side
from pyvmaf.features.ladder import Clip, Ladder, Rung, aligned, file_of, grain_notes, offset_notes, open_pair
from pyvmaf.features.options import ALL, Compute, Reading
from pyvmaf.features.requests import Teacher
from pyvmaf.scoring.rows import Rows, late

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Take = Callable[[dict[str, Any]], None]
"""Takes a row: ``frame_index`` and the columns."""


def comes_live(selection: Selection, models: Sequence[str], reading: Reading, compute: Compute) -> bool:
    """Return whether every score of a frame is known when the next frame was read, so that rows can come meanwhile.

    That is not so of a part of the frames, and of scores that follow from more than two frames.
    """
    if reading.window != ALL or any(name in ADAPTED for name in selection.names):
        return False
    requests = [FEATURES[name].request for name in selection.names]
    requests += [request for name in models for request in Teacher(name).keys]
    return late(engines.load(compute.backend), requests) is None


def live_ladder(
    reference: Clip,
    distorted: Clip,
    selection: Selection,
    columns: Mapping[str, str],
    reading: Reading,
    compute: Compute,
    take: Take,
    inputs: Mapping[str, str],
) -> Ladder:
    """Measure a pair as `pyvmaf.features.ladder.extract_ladder` does, and hand over each row as soon as it is complete.

    Args:
        reference, distorted: the videos.
        selection: the features.
        columns: the column of each model of libvmaf, by the model.
        reading, compute: as in `extract_ladder`; the window has to be `ALL`.
        take: called with each row, in order.
        inputs: as of `Rows`.

    Raises:
        InputError, IntegrityError, NativeError, UnavailableError: as `extract_ladder`.
    """
    watch = Watch(path for clip in (reference, distorted) if (path := file_of(clip)) is not None)
    teachers = {column: Teacher(name) for name, column in columns.items()}
    first, others, notes = open_pair(reference, {"distorted": distorted}, reading)
    first, others, offsets = aligned(first, others, reading)
    videos = [first, *others.values()]
    notes.say(offset_notes(videos, offsets.values(), searched=reading.sync is not None))
    total = expected_frames(videos, reading)
    engine, form = engines.load(compute.backend), first.format
    rows = Rows(engine, selection, teachers, form, compute.threads, Traits.of(first), inputs)
    values: dict[str, list[float]] = {name: [] for name in (*selection.names, *inputs, *teachers)}

    def hand_over(complete: Iterator[dict[str, Any]]) -> None:
        for row in complete:
            for name, column in values.items():
                column.append(row[name])
            take(row)

    look = Look(videos, shots=compute.shots)
    try:
        for index, (ours, theirs) in side_by_side(videos, luma=False, reading=reading, after=0, notes=notes):
            look.see(index, (ours, theirs))
            rows.push(ours, theirs)
            hand_over(rows.complete(ended=False))
            if compute.progress is not None:
                compute.progress(index + 1, total)
        hand_over(rows.complete(ended=True))
    finally:
        rows.close()
    watch.check()
    notes.doubt(look.notes())
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in values.items()}
    models = {name: arrays[column] for name, column in columns.items()}
    rung = Rung(
        np.arange(rows.count, dtype=np.int64),
        {name: arrays[name] for name in selection.names},
        next(iter(models.values()), None),
        models,
        {key: arrays[column] for column, key in inputs.items()},
    )
    return Ladder(
        rungs={"distorted": rung},
        unavailable=rows.unavailable,
        frames=rows.count,
        format=form,
        notes=[*notes.lines, *grain_notes(videos, reading)],
        doubts=notes.doubts,
        offsets=offsets,
        cuts=look.cuts(),
    )
