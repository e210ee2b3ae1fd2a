"""The verb ``labels``: one row per rated video, with what is known of its file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.files import confined, content_hash, sha256_file, write_text
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.labels.read import Label, Labels, read_labels
from pyvmaf.labels.scales import scale_map
from pyvmaf.labels.spec import LabelSpec, fill, load_labels

PARTIAL = ".partial"
"""Suffix of the rows of a run that has not ended: the next one goes on from there."""

_FLUSHED = 50
_SHOWN = 5

NO_FILE: dict[str, Any] = {
    "src_sha256": None,
    "src_size_bytes": None,
    "width": None,
    "height": None,
    "framerate": None,
    "duration_s": None,
    "pix_fmt": None,
}
"""What a row says of a video whose file was not looked at."""


@dataclass(frozen=True)
class Labelled:
    """Result of `labels`.

    Attributes:
        rows: number of rows written.
        content: what the label file holds.
        missing: keys of videos that are not in the folder.
        unreadable: videos that are there and cannot be read, with the reason.
        resumed: rows that an earlier run had made.
    """

    rows: int
    content: Labels
    missing: list[str]
    unreadable: list[str]
    resumed: int


@publishes("labels")
def labels(
    spec_path: Path,
    file: Path,
    output: Path,
    *,
    videos: Path | None = None,
    max_missing_share: float = 0.1,
    advance: Callable[[int, int], None] | None = None,
) -> Labelled:
    """Read a label file, and write a row per video as JSON lines, in the order of the file.

    With a folder of videos each file is hashed and its header read; a run that was interrupted goes on where it ended.

    Args:
        spec_path: the dataset's spec.
        file: the label file.
        output: the rows (.jsonl). ``mos`` is on the scale that the spec stores, ``mos_native`` as the file has it.
        videos: folder of the videos; without it, rows say nothing about files.
        max_missing_share: largest share of videos that may be absent or unreadable.
        advance: called with the videos done and their number.

    Raises:
        MissingFileError: the spec or the label file is not there.
        InputError: the file is none of the dataset's, or more videos than allowed are not there.
    """
    started = time.monotonic()
    claim(output)
    spec = load_labels(spec_path)
    content = read_labels(spec, file)
    missing: list[str] = []
    unreadable: list[str] = []
    resumed = 0
    facts: dict[str, dict[str, Any]] = {}
    partial = output.with_name(output.name + PARTIAL)
    if videos is not None:
        if not videos.is_dir():
            raise InputError(f"{videos} is no folder: --videos names the folder of the dataset's videos")
        token = content_hash({"spec": spec.model_dump(mode="json"), "labels": sha256_file(file)})
        facts = _partial(partial, token)
        resumed = len(facts)
        _probe(spec, content, videos, facts, partial, token, advance)
        missing = [label.key for label in content.labels if facts[label.key].get("problem") == ""]
        unreadable = [
            f"{label.key}: {facts[label.key]['problem']}" for label in content.labels if facts[label.key].get("problem")
        ]
        _check_attrition(spec, content, videos, missing, unreadable, max_missing_share)
    lost = {*missing, *(line.partition(": ")[0] for line in unreadable)}
    rows = [_row(spec, label, facts.get(label.key)) for label in content.labels if label.key not in lost]
    write_text(output, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
    write_manifest(
        output,
        verb="labels",
        args={"dataset": spec.name, "spec": spec.model_dump(mode="json"), "videos": videos is not None},
        inputs={"spec": spec_path, "file": file},
        outputs={"labels": output},
        details={
            "layout": content.layout.name,
            "rows_in": content.rows_in,
            "rows": len(rows),
            "repeated": content.repeated,
            "bad": content.bad,
            "missing": missing,
            "unreadable": unreadable,
        },
        seconds=time.monotonic() - started,
    )
    partial.unlink(missing_ok=True)
    return Labelled(len(rows), content, missing, unreadable, resumed)


def _row(spec: LabelSpec, label: Label, facts: dict[str, Any] | None) -> dict[str, Any]:
    stored = None if spec.stored is None else scale_map(spec.stored)
    words = {**label.parts, "key": label.key}
    row: dict[str, Any] = {
        "src": fill(spec.videos[0], words),
        **NO_FILE,
        "encoder_upstream": spec.encoder,
        "mos": label.mos if stored is None else stored.value(label.mos),
        "mos_std_dev": label.deviation if stored is None else stored.deviation(label.deviation),
        "n_ratings": label.ratings,
        "mos_scale": list(spec.scale if stored is None else stored.to),
        "mos_map": spec.aggregated,
        "mos_native": label.mos,
        "mos_native_scale": list(spec.scale),
        "corpus": spec.name,
        "corpus_version": spec.version,
    }
    row |= {key: words[word] for key, word in spec.extra.items() if word in words}
    return row | (facts or {})


def _probe(
    spec: LabelSpec,
    content: Labels,
    videos: Path,
    facts: dict[str, dict[str, Any]],
    partial: Path,
    token: str,
    advance: Callable[[int, int], None] | None,
) -> None:
    """Look at the file of every video that `facts` lacks, and write each down as soon as it is known."""
    todo = [label for label in content.labels if label.key not in facts]
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("a" if facts else "w", encoding="utf-8") as stream:
        if not facts:
            stream.write(json.dumps({"token": token}) + "\n")
        for number, label in enumerate(todo, start=1):
            found = _facts(spec, label, videos)
            facts[label.key] = found
            stream.write(json.dumps({"key": label.key, "facts": found}, allow_nan=False) + "\n")
            if number % _FLUSHED == 0:
                stream.flush()
            if advance is not None:
                advance(len(facts), len(content.labels))


def _facts(spec: LabelSpec, label: Label, videos: Path) -> dict[str, Any]:
    """What the header of a video says; ``problem`` with the reason if it cannot be read, empty if it is not there."""
    words = {**label.parts, "key": label.key}
    for name in (fill(template, words) for template in spec.videos):
        try:
            path = confined(videos, name)
            if path.is_file():
                return {"src": name, **_header(path)}
        except PyvmafError as err:
            return {"problem": str(err)}
    return {"problem": ""}


def _header(path: Path) -> dict[str, Any]:
    from pyvmaf.video.reader import Reader

    reader = Reader(path)
    form = reader.coded
    frames, rate = reader.stated_frames, form.rate
    return {
        "src_sha256": sha256_file(path),
        "src_size_bytes": path.stat().st_size,
        "width": form.width,
        "height": form.height,
        "framerate": None if rate is None else float(rate),
        "duration_s": float(frames / rate) if frames and rate else None,
        "pix_fmt": form.pix_fmt,
        "encoder_upstream": reader.stream.codec,
    }


def _partial(path: Path, token: str) -> dict[str, dict[str, Any]]:
    """Rows of an earlier run of the same labels; a last line that was cut off is not one of them."""
    if not path.is_file():
        return {}
    facts: dict[str, dict[str, Any]] = {}
    whole = 0
    for number, line in enumerate(_lines(path)):
        try:
            value = parse_json(line, f"{path}, line {number + 1}")
        except IntegrityError:
            break
        if number == 0 and value != {"token": token}:
            return {}
        whole += len(line)
        if number:
            facts[value["key"]] = value["facts"]
    with path.open("r+b") as stream:
        stream.truncate(whole)
    return facts


def _lines(path: Path) -> Iterator[bytes]:
    """Whole lines of a file."""
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield line


def _check_attrition(
    spec: LabelSpec, content: Labels, videos: Path, missing: list[str], unreadable: list[str], most: float
) -> None:
    lost, all_of_them = len(missing) + len(unreadable), len(content.labels)
    if lost > most * all_of_them:
        names = [f"{key} is not there" for key in missing[:_SHOWN]] + unreadable[:_SHOWN]
        looked = ", ".join(spec.videos)
        raise InputError(
            f"{len(missing)} of {all_of_them} videos of {spec.name} are not in {videos} and {len(unreadable)} cannot be read, "
            f"more than the allowed share {most:g} (--max-missing-share): {'; '.join(names[:_SHOWN])}. Looked for {looked}"
        )
