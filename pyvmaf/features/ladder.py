"""Features and teacher scores of a whole ladder of encodes; only what the cache lacks is computed, in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf import engines
from pyvmaf.base.outputs import Watch
from pyvmaf.engines.protocol import Engine, Request, Requests
from pyvmaf.errors import InputError
from pyvmaf.features.adapt import Traits
from pyvmaf.features.cache import Cache, Scores
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, TEACHER, Selection, select
from pyvmaf.features.extract import Task, check_formats, compare_rates, run
from pyvmaf.features.notes import Notes
from pyvmaf.features.options import AS_CODED, BY_DEFAULT, Compute, Reading, Window
from pyvmaf.features.requests import Teacher, requests_of, usable
from pyvmaf.video import agree, shift
from pyvmaf.video.filters import BOB, DEINTERLACE, DEINTERLACERS, WEAVE, Area, Which, field_order
from pyvmaf.video.format import Format, parse_size
from pyvmaf.video.paced import pace, source_of
from pyvmaf.video.piped import Piped, is_piped
from pyvmaf.video.reader import FrameSource, Reader
from pyvmaf.video.shifted import Shifted
from pyvmaf.video.sync import Offset, find_offset, offset_frames

Clip = str | os.PathLike[str] | FrameSource


@dataclass(frozen=True)
class Rung:
    """Scores of one distorted video.

    Attributes:
        indices: int64, frame numbers counted from 0.
        features: by training name, in catalog order; float64, one value per frame; NaN throughout if unavailable.
        vmaf: float64, score of the first model per frame; None if no model was asked for.
        models: float64 per frame, score of each model that was asked for, by its name.
        inputs: float64 per frame, the scores that those models read, by libvmaf's names.
    """

    indices: NDArray[np.int64]
    features: dict[str, NDArray[np.float64]]
    vmaf: NDArray[np.float64] | None
    models: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    inputs: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass
class Ladder:
    """Scores of all distorted versions of a reference.

    Attributes:
        rungs: by the names of the distorted videos.
        unavailable: by name the reason why a feature could not be computed.
        frames: number of frames of the videos, as far as the window reaches.
        format: format of the frames that were compared.
        computed: requests that were computed, as text ("vif on crf28").
        cached: number of results that came from the cache.
        damaged: messages about cache entries that had to be computed again, or could not be kept.
        notes: what was done to frames to show them as players do, and doubts about the scores, a line each.
        doubts: those of the notes that say why scores may be wrong, or mean something else than they seem to.
        offsets: offset of each distorted video, by its name, if one was asked for.
        cuts: first frames of the reference's shots but the first one, if they were looked for.
    """

    rungs: dict[str, Rung]
    unavailable: dict[str, str]
    frames: int
    format: Format
    computed: list[str] = field(default_factory=list)
    cached: int = 0
    damaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    offsets: dict[str, Offset] = field(default_factory=dict)
    cuts: list[int] | None = None


def open_pair(
    reference: Clip, distorted: Mapping[str, Clip], reading: Reading = AS_CODED
) -> tuple[FrameSource, dict[str, FrameSource], Notes]:
    """Open a reference and distorted videos so that their frames can be compared.

    Args:
        reference, distorted: files, or videos that are already open; the distorted ones by name.
        reading: conversions.

    Returns:
        The reference, the distorted videos, and notes on what was done to them and on what they say about themselves.

    Raises:
        InputError: formats differ and no conversion was asked for, or what the videos say about themselves does not agree.
    """
    converted: list[str] = []

    def opened(clip: Clip, size: tuple[int, int] | None, which: Which) -> FrameSource:
        if not isinstance(clip, str | os.PathLike):
            return clip
        raw = reading.raw if Path(clip).suffix.lower() == ".yuv" else None
        kind = Piped if is_piped(clip) else Reader
        options: dict[str, Any] = {
            "raw": raw,
            "size": size,
            "film_grain": reading.film_grain,
            "stream": reading.stream,
            "drop_alpha": reading.drop_alpha,
            "luma_only": reading.luma_only,
            "fps": reading.fps,
            "scaler": reading.scaler,
        }
        asked = _is_converted(reading, which)
        if kind is Piped and (asked or reading.pair_by != "number"):
            raise InputError(
                f"{clip} is a pipe, whose frames are scored as they are: let the program that writes it convert them"
            )
        if not asked:
            return kind(clip, **options)
        video, words = open_converted(clip, reading, which, **options)
        converted.extend(words)
        return video

    size = parse_size(reading.scale) if isinstance(reading.scale, str) else None
    first = opened(reference, size, "reference")
    target = (first.format.width, first.format.height) if reading.scale or reading.display else None
    others = {name: opened(clip, target, "distorted") for name, clip in distorted.items()}
    if reading.pair_by != "number":
        first, others, paired = _paced(first, others, reading)
        converted += paired
    try:
        notes = Notes(converted)
        if reading.related:
            compare_sides(first, others.values(), notes, stretch=bool(reading.scale))
        depths = [video.format.bit_depth for video in (first, *others.values())]
        if reading.bit_depth is not None and reading.bit_depth < max(depths):
            raise InputError(
                f"the videos have {max(depths)} bits per sample, which are not narrowed to {reading.bit_depth}: give "
                f"--bit-depth {max(depths)} or more"
            )
        if reading.match_depth or reading.bit_depth is not None:
            depth = reading.bit_depth or max(depths)
            first = first.widened(depth)
            others = {name: video.widened(depth) for name, video in others.items()}
        check_formats(first, list(others.values()))
    except InputError as err:
        # Another stream of the file may be the one that fits.
        choices = [video.side.choice for video in (first, *others.values()) if video.side and video.side.choice]
        raise InputError("; ".join([str(err), *choices])) from err
    return first, others, notes


def _is_converted(reading: Reading, which: Which) -> bool:
    shown = reading.display is not None and which == "reference"
    return bool(reading.deinterlace or reading.crop or reading.pad or reading.range or shown)


def open_converted(
    path: str | os.PathLike[str], reading: Reading, which: Which, **options: Any
) -> tuple[Reader, list[str]]:
    """Open a file whose frames are converted as a reading asks for; its size, stream, layout and scaler are options.

    Args:
        path: the file.
        reading: its deinterlace, range, crop, pad and display.
        which: the side.
        options: of `Reader`.

    Returns:
        The video, and what is done to it.

    Raises:
        InputError: as `Reader`; a part of the picture is not inside it, or the container turns or crops it besides.
    """
    video = Reader(path, **options)
    if not _is_converted(reading, which):
        return video, []
    done = _conversions(video, reading, which)
    more = {"filters": tuple(done.filters), "per_frame": done.per_frame, "size": done.size or options.get("size")}
    return Reader(path, **{**options, **more}), [f"{path} {word}" for word in done.words]


@dataclass
class _Conversions:
    """What is done to the frames of a file.

    Attributes:
        filters: filters of FFmpeg.
        words: what they do.
        per_frame: frames that they give for each one.
        size: what planes are scaled to; None for the size that they have.
    """

    filters: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    per_frame: int = 1
    size: tuple[int, int] | None = None


def _conversions(video: Reader, reading: Reading, which: Which) -> _Conversions:
    """Return what is done to the frames of a video.

    Raises:
        InputError: a part of the picture is not inside it, or the video is turned or cropped by its container besides.
    """
    done, form = _Conversions(), video.coded
    if reading.deinterlace:
        _deinterlace(video, reading.deinterlace, done)
    if reading.range is not None:
        _to_range(video, reading.range, done)
    for text, cut in (*((text, True) for text in reading.crop), *((text, False) for text in reading.pad)):
        area = Area.parse(text)
        if area.side not in (None, which):
            continue
        verb = "cropped" if cut else "padded"
        if not video.presentation.plain:
            raise InputError(
                f"{video.path} is {video.presentation.words} by its container, and cannot be {verb} besides"
            )
        done.filters.append(area.filter(form, video.path) if cut else area.pad(form, video.path))
        numbers = done.filters[-1].partition("=")[2]
        done.words.append(f"was {verb} to {numbers} (width:height:left:top)")
        form = replace(form, width=area.width, height=area.height)
    if reading.display and which == "reference":
        shown = video.presentation.format(form)
        wide, high = parse_size(reading.display)
        factor = min(wide / shown.width, high / shown.height)
        done.size = size = round(shown.width * factor / 2) * 2, round(shown.height * factor / 2) * 2
        done.words.append(
            f"and what is compared with it were scaled to {size[0]}x{size[1]}, to fill a screen of {wide}x{high} ({reading.scaler})"
        )
    return done


def _deinterlace(video: Reader, way: str, done: _Conversions) -> None:
    """Add what is done to interlaced frames; videos that do not say that they are interlaced are looked at."""
    order, hidden = "", ""
    if not video.side.interlaced:
        if way == "weave" or not (order := field_order(video.frames())):
            return
        hidden = f", which no flag says, but its pictures ({order}),"
    if way == "weave":
        done.filters.append(WEAVE)
        done.words.append("is interlaced: both fields of each frame were taken for one picture")
        return
    kind, _, name = way.partition(":")
    name = name or DEINTERLACERS[0]
    done.filters.append(f"{name}={DEINTERLACE if kind == 'auto' else BOB}" + (f":parity={order}" if order else ""))
    done.per_frame = 1 if kind == "auto" else 2
    how = "one frame of both fields of each frame" if kind == "auto" else "a frame of each field"
    done.words.append(f"was deinterlaced{hidden or ','} {how} ({name})")


def _to_range(video: Reader, wanted: str, done: _Conversions) -> None:
    """Add the conversion of samples of the other range.

    Raises:
        InputError: the video is RGB, of which limited range is made in any case.
    """
    full = video.side.colour.range == "pc"
    if video.side.converted is not None:
        if wanted == "full":
            raise InputError(f"{video.path} is RGB, which is measured as limited range: ask for --range limited")
        return
    if full == (wanted == "full"):
        return
    form = video.presentation.format(video.coded)
    # FFmpeg's gray is of full range: limited range needs planes of chroma, without colours.
    chroma = "420" if form.chroma == "400" else form.chroma
    planar = Format.planar(form.width, form.height, chroma, form.bit_depth).pix_fmt
    here, there = ("full", "limited") if full else ("limited", "full")
    done.filters += [f"scale=in_range={here}:out_range={there}", f"format={planar}"]
    said = "" if video.side.colour.range else ", which it is taken to have, as players do,"
    done.words.append(f"was converted from {here} range{said} to {there} range")


def _paced(
    reference: FrameSource, distorted: Mapping[str, FrameSource], reading: Reading
) -> tuple[FrameSource, dict[str, FrameSource], list[str]]:
    """Pair frames by time.

    Raises:
        InputError: as `pyvmaf.video.paced.pace`; or versions need other frames of the reference, which is read once.
    """
    paced = {
        name: pace(reference, video, reading.pair_by, shortest=reading.shortest) for name, video in distorted.items()
    }
    (first, _, _), *others = paced.values()
    for other, video, _ in others:
        if other.indices != first.indices:
            raise InputError(
                f"{video.path} is compared with other frames of {reference.path} than the first version: score versions of one "
                "rate together, or convert them to that of the reference with --fps reference"
            )
    return first, {name: video for name, (_, video, _) in paced.items()}, [note for _, _, note in paced.values()]


def aligned(
    reference: FrameSource, distorted: Mapping[str, FrameSource], reading: Reading
) -> tuple[FrameSource, dict[str, FrameSource], dict[str, Offset]]:
    """Leave out the first frames of videos so that frames of one number show the same moment.

    Args:
        reference, distorted: as from `open_pair`.
        reading: with the offset, or the window within which it is looked for.

    Returns:
        The reference, the distorted videos, and the offsets by name; empty if none was asked for.

    Raises:
        InputError: as `pyvmaf.video.sync.find_offset`; or the offset is not a number of frames of the reference, or leaves
            nothing.
    """
    if reading.sync is not None:
        offsets = {name: find_offset(reference, video, reading.sync) for name, video in distorted.items()}
    elif reading.offset:
        frames = offset_frames(reading.offset, reference.format.rate)
        offsets = dict.fromkeys(distorted, Offset(frames, None, None))
    else:
        return reference, dict(distorted), {}
    skip = max(0, *(offset.frames for offset in offsets.values()))
    others: dict[str, FrameSource] = {
        name: Shifted(video, skip - offsets[name].frames) for name, video in distorted.items()
    }
    return Shifted(reference, skip), others, offsets


def offset_notes(videos: Sequence[FrameSource], offsets: Iterable[Offset], *, searched: bool) -> list[str]:
    """Say which frames are compared, a line for each distorted video; the reference is the first of the videos."""
    reference, *others = videos
    notes = []
    # There are none unless one was asked for.
    for video, offset in zip(others, offsets, strict=False):
        how = "looked for and found" if searched else "as asked for"
        sure = "" if offset.confidence is None else f", confidence {offset.confidence:.2f}"
        ours, theirs = (getattr(side, "skip", 0) for side in (reference, video))
        notes.append(
            f"offset of {video.path}: {offset.frames:+d} frames, {how}{sure}: frame {ours} of {reference.path} is compared with its "
            f"frame {theirs}"
        )
    return notes


def compare_sides(
    reference: FrameSource, distorted: Iterable[FrameSource], notes: Notes, *, stretch: bool = False
) -> None:
    """Compare what a reference and distorted videos say about themselves.

    Args:
        reference, distorted: the videos.
        notes: to add to, each note once.
        stretch: whether pictures of another shape are scaled all the same, because a size was asked for.

    Raises:
        InputError: their frames cannot be compared.
    """
    ours = reference.side
    about: dict[str, None] = {}
    doubts: dict[str, None] = {}
    for video in distorted:
        theirs = video.side
        if ours is None or theirs is None:
            continue
        if not agree.same_shape(ours, theirs):
            if not stretch or agree.looks_turned(ours, theirs):
                raise agree.shapes_differ(ours, theirs)
            doubts[agree.stretched(ours, theirs)] = None
        own = dict.fromkeys([*ours.own_notes(), *theirs.own_notes()])
        about |= own
        doubts |= {note: None for note in agree.compare(ours, theirs) if note not in own}
        doubts |= dict.fromkeys(_converted(reference, video))
        # Counting may read a whole file, and is needed only for rates that are not one. A pipe is counted at its end.
        if video.once or reference.once:
            continue
        if ours.rates[:1] != theirs.rates[:1]:
            doubts |= dict.fromkeys(compare_rates(reference, video))
    notes.say(about)
    notes.doubt(doubts)


def _converted(reference: FrameSource, distorted: FrameSource) -> list[str]:
    """Look at the colours of a side that states no matrix, which may have been converted."""
    if reference.side is None or distorted.side is None or reference.once or distorted.once:
        return []
    matrices = agree.unstated_matrix(reference.side, distorted.side)
    stated, silent = (reference, distorted) if reference.side.colour.matrix else (distorted, reference)
    if matrices is None or not shift.converted(stated, silent, matrices):
        return []
    return [
        f"{silent.path} states no colour matrix, and its samples look converted from {matrices[0]}, which {stated.path} states, to "
        f"{matrices[1]}: convert it back with FFmpeg's option -vf scale=in_color_matrix={matrices[1]}:out_color_matrix={matrices[0]}"
    ]


def extract_ladder(
    reference: Clip,
    distorted: Mapping[str, Clip],
    *,
    features: str | Iterable[str] | Selection = DEFAULT_FEATURES,
    model: str | Sequence[str] | None = DEFAULT_MODEL,
    reading: Reading = AS_CODED,
    compute: Compute = BY_DEFAULT,
) -> Ladder:
    """Measure per-frame features and model scores of distorted versions of one reference.

    The reference is decoded once, scores that depend on it alone (motion) are computed once, and scores that the cache
    holds are not computed again.

    Args:
        reference: the pristine video, a file or an open video.
        distorted: its distorted versions, by name.
        features: training names and names of sets.
        model: a built-in model of libvmaf or the path of its JSON, or several of them; None for none.
        reading: how the videos are read.
        compute: the engine, threads and cache.

    Raises:
        InputError: the videos cannot be compared, or a feature asked for by name cannot be computed on them.
        IntegrityError: a video was changed or replaced while it was read.
        UnavailableError: this build or machine does not have the backend.
    """
    if not distorted:
        raise InputError(f"no distorted clips were given for {reference}")
    # A video that is replaced meanwhile must not give scores under the hash of the other one.
    watch = Watch(path for clip in (reference, *distorted.values()) if (path := file_of(clip)) is not None)
    engine = engines.load(compute.backend)
    selection = features if isinstance(features, Selection) else select(features)
    names = (model,) if isinstance(model, str) else model or ()
    teachers = [Teacher(name) for name in dict.fromkeys(names)]
    first, videos, notes = open_pair(reference, distorted, reading)
    first, videos, offsets = aligned(first, videos, reading)
    notes.say(offset_notes([first, *videos.values()], offsets.values(), searched=reading.sync is not None))
    traits = Traits.of(first)
    columns, unavailable = usable(selection, engine, first.format, traits, apart=not reading.related)
    for teacher in teachers:
        teacher.check(engine, first.format)
    requests = requests_of(columns, teachers, first.format, traits)
    shared = {request: keys for request, keys in requests.items() if engine.needs(request).reference_only}
    paired = {request: keys for request, keys in requests.items() if request not in shared}

    # The reference alone does not decide how long a pair is that --shortest accepts.
    cache = Cache(compute.cache) if compute.cache is not None and not reading.shortest else None
    entries = _Entries(cache, engine, first, videos, reading.window)
    common: Scores = {}
    own: dict[str, Scores] = {name: {} for name in videos}
    cuts: list[int] | None = None
    missing_shared = entries.recall(shared, None, common)
    missing = {name: entries.recall(paired, name, own[name]) for name in videos}
    # Scores of the reference end where the shortest pair does, so that one pair is read with it in any case.
    tasks = [name for name in videos if missing[name]] or (list(videos)[:1] if missing_shared or not requests else [])
    if tasks:
        extraction = run(
            engine, first, [Task(videos[name], missing[name]) for name in tasks], missing_shared, reading, compute
        )
        watch.check()
        indices, frames = extraction.indices, extraction.frames
        notes.add(extraction.notes)
        cuts = extraction.cuts
        common |= extraction.reference
        entries.keep(missing_shared, None, extraction.reference)
        for name, scores in zip(tasks, extraction.distorted, strict=True):
            own[name] |= scores
            entries.keep(missing[name], name, scores)
    else:
        indices = _indices({**common, **next(iter(own.values()))}, reading.window)
        frames = int(indices[-1]) + 1
    rungs: dict[str, Rung] = {}
    for name, video in videos.items():
        scores = {**common, **own[name]}
        lengths = {values.size for values in scores.values()}
        if lengths - {indices.size}:
            raise InputError(
                f"{video.path} has scores of {sorted(lengths)} frames in the cache, {indices.size} are wanted: "
                "the files changed while they were read, run again"
            )
        models = {teacher.name: entries.predicted(teacher, name, scores) for teacher in teachers}
        vmaf = models[teachers[0].name] if teachers else None
        values = {f.name: scores[f.key] for f in columns}
        features_of = {n: values.get(n, np.full(indices.size, np.nan)) for n in selection.names}
        read = {key: scores[key] for teacher in teachers for keys in teacher.keys.values() for key in keys}
        rungs[name] = Rung(indices, features_of, vmaf, models, read)
    return Ladder(
        rungs=rungs,
        unavailable=unavailable,
        frames=frames,
        format=first.format,
        computed=[
            *(f"{request} on the reference" for request in missing_shared),
            *(f"{request} on {name}" for name, todo in missing.items() for request in todo),
        ],
        cached=cache.hits if cache else 0,
        damaged=cache.damaged if cache else [],
        notes=[*notes.lines, *grain_notes([first, *videos.values()], reading)],
        doubts=notes.doubts,
        offsets=offsets,
        cuts=cuts,
    )


def file_of(clip: Clip) -> str | os.PathLike[str] | None:
    """Return the file that frames are read from; None of made frames."""
    if isinstance(clip, Reader):
        return clip.path
    return clip if isinstance(clip, str | os.PathLike) else None


def grain_notes(videos: Iterable[FrameSource], reading: Reading) -> list[str]:
    """Say which videos ask decoders for film grain, and whether it is part of what was measured."""
    text = (
        "asks decoders for film grain, which was added as players do: score the pictures without it with --film-grain off"
        if reading.film_grain
        else "was decoded without the film grain that it asks for"
    )
    readers = [source for video in videos if isinstance(source := source_of(video), Reader)]
    return [f"{reader.path} {text}" for reader in readers if reader.asks_for_grain]


def _indices(scores: Scores, window: Window) -> NDArray[np.int64]:
    """Return the frames that cached scores belong to."""
    count = next(iter(scores.values())).size
    return window.first + window.step * np.arange(count, dtype=np.int64)


class _Entries:
    """Cache entries of a ladder. Without a cache nothing is found and nothing is kept.

    The key of an entry holds everything that decides its scores: the engine with its identity, both files, the frames,
    and the request or the model.
    """

    def __init__(
        self,
        cache: Cache | None,
        engine: Engine,
        reference: FrameSource,
        videos: Mapping[str, FrameSource],
        window: Window,
    ) -> None:
        self._cache = cache
        if cache is None:
            return
        self._engine, self._format = engine, reference.format
        self._window = {"first": window.first, "stop": window.stop, "step": window.step}
        self._reference = reference.identity()
        self._distorted = {name: video.identity() for name, video in videos.items()}

    def recall(self, requests: Requests, name: str | None, scores: Scores) -> Requests:
        """Add the scores that the cache holds to `scores`, and return the requests that it lacks.

        Args:
            requests: the requests, with the names of their scores.
            name: the distorted video, or None for scores of the reference alone.
            scores: dictionary to add to.
        """
        missing = {}
        for request, keys in requests.items():
            entry = self._cache.get(self._key(request, name), tuple(keys)) if self._cache else None
            if entry is None:
                missing[request] = keys
            else:
                scores |= entry
        return missing

    def keep(self, requests: Requests, name: str | None, scores: Scores) -> None:
        """Store the scores of requests."""
        if self._cache:
            for request, keys in requests.items():
                self._cache.put(self._key(request, name), {key: scores[key] for key in keys})

    def predicted(self, teacher: Teacher, name: str, scores: Scores) -> NDArray[np.float64]:
        """Return a model's score per frame, from the cache or computed and stored."""
        if self._cache is None:
            return teacher.predict(scores)
        key = self._key(teacher, name)
        entry = self._cache.get(key, (TEACHER,))
        if entry is None:
            entry = {TEACHER: teacher.predict(scores)}
            self._cache.put(key, entry)
        return entry[TEACHER]

    def _key(self, subject: Request | Teacher, name: str | None) -> dict[str, Any]:
        key = {
            "engine": self._engine.equals,
            "machine": self._engine.machine(self._format),
            "frames": self._window,
            "reference": self._reference,
            "distorted": None if name is None else self._distorted[name],
        }
        if isinstance(subject, Request):
            identity = self._engine.identity_for(subject, self._format)
            return {**key, "identity": identity, "extractor": subject.extractor, "options": dict(subject.options)}
        # The models of libvmaf score on the processor, whichever engine measured.
        identities = {
            part: " ".join(sorted({engine.identity_for(request, self._format) for request in subject.keys}))
            for part, engine in (("identity", self._engine), ("libvmaf", engines.load(engines.CPU)))
        }
        return {**key, **identities, "model": subject.identity()}
