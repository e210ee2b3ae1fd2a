"""The encodes of a sweep: those of shards with the records beside them, or rows of a corpus table made elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyvmaf.codecs.encoders import ALIASES, ENCODERS, recipe_of
from pyvmaf.errors import InputError
from pyvmaf.labels.rows import read_rows
from pyvmaf.tables.clips import read_records

_CAPS = ("maxrate", "vbv-maxrate")
_FRAMES = ("corpus", "source", "clip", "codec", "rung", "vmaf")


class Encode(NamedTuple):
    """A measured encode.

    Attributes:
        corpus, source, clip: what was encoded; `corpus` is "" if nobody says.
        encoder, preset, crf: how.
        rate_mode: "crf" or "qp"; with "capped " before it, if a largest bitrate was set.
        recipe: name of a set of further options; "" for the bare encoder.
        options: those options as words.
        kbps: bitrate, kbit/s.
        vmaf_mean, vmaf_p5: of its frames; the 5th percentile is None if only the mean is known.
        seconds: duration of the encode; None if it is not recorded.
    """

    corpus: str
    source: str
    clip: str
    encoder: str
    preset: str
    crf: int
    rate_mode: str
    recipe: str
    options: str
    kbps: float
    vmaf_mean: float
    vmaf_p5: float | None
    seconds: float | None

    @property
    def curve(self) -> tuple[str, ...]:
        """What the encodes of a curve have in common beside the clip."""
        return self.encoder, self.preset, self.rate_mode, self.recipe


@dataclass
class Encodes:
    """Encodes that were read.

    Attributes:
        encodes: in the order of the files.
        left_out: number of rows that are no encode with a bitrate and a VMAF.
    """

    encodes: list[Encode]
    left_out: int = 0


def read_encodes(paths: Iterable[Path]) -> Encodes:
    """Read the encodes of files.

    Args:
        paths: shards (.parquet, with their records of the same name, .jsonl, beside them), and tables of corpus rows (.jsonl).

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: a file is of another kind, a value is no number, or an encode occurs twice.
    """
    found = Encodes([])
    seen: dict[tuple[Any, ...], str] = {}
    for path in paths:
        suffix = path.suffix.lower()
        if suffix not in (".parquet", ".jsonl"):
            raise InputError(f"{path} is neither a shard (.parquet) nor a table of corpus rows (.jsonl)")
        for where, encode in _of_shard(path) if suffix == ".parquet" else _of_rows(path):
            if encode is None:
                found.left_out += 1
                continue
            key = (encode.corpus, encode.clip, *encode.curve, encode.crf)
            if key in seen:
                named = f"{encode.clip}, {encode.encoder} {encode.preset} CRF {encode.crf} {encode.recipe}".rstrip()
                raise InputError(f"{where} and {seen[key]} are both the encode {named}: name each file once")
            seen[key] = where
            found.encodes.append(encode)
    if not found.encodes:
        raise InputError("no row is an encode with a bitrate and a VMAF: name the shards of a run that encodes")
    return found


def _of_shard(path: Path) -> Iterator[tuple[str, Encode | None]]:
    from pyvmaf.features.pool import pool
    from pyvmaf.tables.columns import read_columns

    records = read_records(path.with_suffix(".jsonl"))
    frames = read_columns(path, list(_FRAMES)).to_pandas()
    for (clip, codec, rung), rows in frames.groupby(["clip", "codec", "rung"], observed=True, sort=False):
        where = f"{path}, {clip}/{codec}/{rung}"
        record = records.get((str(clip), str(codec), str(rung)))
        if record is None:
            yield where, None
            continue
        figures = pool(rows["vmaf"].to_numpy(), ("mean", "p5"))
        first = rows.iloc[0]
        names = {"corpus": str(first["corpus"]), "source": str(first["source"]), "clip": str(clip)}
        yield where, _encode(record, where, names, figures, ladder=str(codec), rung=str(rung))


def _of_rows(path: Path) -> Iterator[tuple[str, Encode | None]]:
    for where, row in read_rows(path, ("src",), nan=True):
        stem = Path(str(row["src"])).stem
        mean = _number(_first(row, "vmaf_score", "vmaf"), "vmaf_score", where)
        if mean is not None and not 0 <= mean <= 100:
            raise InputError(f"{where} has a VMAF of {mean:g}, but VMAF is from 0 to 100")
        figures = {"mean": math.nan if mean is None else mean, "p5": math.nan}
        yield where, _encode(row, where, {"corpus": "", "source": stem, "clip": stem}, figures)


def _encode(
    row: Mapping[str, Any],
    where: str,
    names: Mapping[str, str],
    figures: Mapping[str, float],
    ladder: str = "",
    rung: str = "",
) -> Encode | None:
    encoder = str(_first(row, "encoder", "codec") or "")
    encoder = ALIASES.get(encoder, encoder)
    preset = str(_first(row, "preset") or "")
    crf = _number(_first(row, "crf", "q", "cq"), "crf", where)
    kbps = _number(_first(row, "bitrate_kbps", "actual_kbps"), "bitrate_kbps", where)
    if not encoder or crf is None or kbps is None or kbps <= 0 or math.isnan(figures["mean"]):
        return None
    if not crf.is_integer():
        raise InputError(f"{where} has CRF {crf:g}, but only whole quality numbers are read: leave such rows out")
    time = _number(row.get("encode_time_ms"), "encode_time_ms", where)
    options = options_beside(encoder, preset, int(crf), row.get("extra_params") or (), where)
    words = " ".join(options)
    named = recipe_of(rung, preset, int(crf)) or (ladder if words and ladder != encoder else "")
    return Encode(
        **names,
        encoder=encoder,
        preset=preset,
        crf=int(crf),
        rate_mode=str(row.get("rc_mode") or "") or rate_mode(encoder, options),
        recipe=named if ladder else words,
        options=words,
        kbps=kbps,
        vmaf_mean=float(figures["mean"]),
        vmaf_p5=None if math.isnan(figures["p5"]) else float(figures["p5"]),
        seconds=None if time is None else time / 1000,
    )


def options_beside(encoder: str, preset: str, crf: int, words: Any, where: str) -> list[str]:
    """Return the options of an encode that the bare encoder does not have.

    Args:
        encoder, preset, crf: how it was encoded.
        words: its ``extra_params``, name and value in turn.
        where: the row, for messages.

    Raises:
        InputError: the words are not a list of texts.
    """
    if isinstance(words, str):
        words = words.split()
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{where} has extra_params {words!r}, which are not a list of words")
    entry = ENCODERS.get(encoder)
    if entry is None or len(words) % 2:
        return list(words)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    threads = next((value for name, value in pairs if name == "-threads"), "1")
    if preset not in entry.presets or not entry.crf_min <= crf <= entry.crf_max or not threads.isdecimal():
        return list(words)
    bare = entry.arguments(preset, crf, "", (), int(threads))[8:]
    own = dict(zip(bare[::2], bare[1::2], strict=True))
    kept: list[str] = []
    for name, value in pairs:
        if name == entry.params_option:
            usual = own.get(name, "").split(":")
            value = ":".join(item for item in value.split(":") if item not in usual)
            if not value:
                continue
        elif own.get(name) == value or name == "-threads":
            continue
        kept += [name, value]
    return kept


def rate_mode(encoder: str, options: Iterable[str]) -> str:
    """Return how the bitrate of an encode was decided: see `Encode`."""
    entry = ENCODERS.get(encoder)
    base = "crf" if entry is None else entry.quality_option.removeprefix("-")
    names = {part.partition("=")[0] for word in options for part in word.removeprefix("-").split(":")}
    return f"capped {base}" if names & set(_CAPS) else base


def _first(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _number(value: Any, name: str, where: str) -> float | None:
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where} has {name} {value!r}, which is not a number") from None
    return number if math.isfinite(number) else None
