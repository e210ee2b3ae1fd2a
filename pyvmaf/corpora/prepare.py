"""Preparation of a pristine clip from an entry of a corpus: cut, cropped, scaled, stored without loss."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pyvmaf.base.files import atomic_path, confined, sha256_file
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.corpora import CLIP_LABELS
from pyvmaf.corpora.failure import Failure
from pyvmaf.corpora.pinned import check_file
from pyvmaf.corpora.skipped import is_of_file, portable
from pyvmaf.corpora.spec import Entry, VideoCorpus
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.video.agree import Side, compare_colours, refuse_interlaced
from pyvmaf.video.ffmpeg import DETERMINISTIC, Advance, FFmpeg, ffmpeg, run
from pyvmaf.video.format import Format, parse_size
from pyvmaf.video.probe import Video, inspect
from pyvmaf.video.reader import Reader

# Files of these containers can be decoded from any key frame and state their frame rate; others are stored anew.
_KEPT_CONTAINERS = frozenset({"matroska", "webm", "mov", "mp4"})

# bitexact and accurate_rnd: the same samples on every processor.
_SCALER = "lanczos+accurate_rnd+bitexact"


@dataclass(frozen=True)
class Plan:
    """Steps from a video to a clip.

    Attributes:
        frames: first and last frame (inclusive), None for all.
        crop: width, height, left, top; None for the whole picture.
        scale: width and height, None for the size after the crop.
        pix_fmt: pixel format of the clip.
        own_bytes: whether the clip is a copy of the file.
        shown: filters of FFmpeg that show the frames as players do, before the crop.
    """

    frames: tuple[int, int] | None
    crop: tuple[int, int, int, int] | None
    scale: tuple[int, int] | None
    pix_fmt: str
    own_bytes: bool
    shown: tuple[str, ...] = ()

    def filters(self, source: Format) -> list[str]:
        """Return the filters of FFmpeg, in order."""
        chain = []
        if self.frames is not None:
            chain.append(f"trim=start_frame={self.frames[0]}:end_frame={self.frames[1] + 1}")
        chain += self.shown
        if self.crop is not None:
            chain.append("crop={}:{}:{}:{}:exact=1".format(*self.crop))
        if self.scale is not None or self.pix_fmt != source.pix_fmt:
            options = [f"w={self.scale[0]}:h={self.scale[1]}"] if self.scale else []
            options.append(f"flags={_SCALER}")
            if source.pix_fmt.startswith("yuvj"):
                options.append("in_range=full:out_range=limited")
            if source.chroma == "rgb":
                # FFmpeg's own choice is BT.601 for every size, and it does not state it.
                options.append("out_range=limited:out_color_matrix=bt709")
            chain += [f"scale={':'.join(options)}", f"format={self.pix_fmt}"]
        # One frame in, one frame out, at the average rate of the video; its time stamps are ignored.
        return [*chain, f"settb=expr=1/({source.fps})", "setpts=N"]


@dataclass(frozen=True)
class Prepared:
    """A prepared clip.

    Attributes:
        path: the file.
        sha256: its hash.
        video: the facts about it.
        plan: the steps from its source.
        remarks: what a person should know of its source, and of the conversions.
    """

    path: Path
    sha256: str
    video: Video
    plan: Plan
    remarks: tuple[str, ...] = ()


def plan(entry: Entry, source: Format, container: str, shown: Sequence[str] = ()) -> Plan:
    """Plan the steps from a video to a clip.

    Without an explicit crop, width and height are cropped at the right and at the bottom to multiples of the chroma
    subsampling, because most encoders refuse other sizes.

    Args:
        entry: the entry of the corpus.
        source: format of the video as players show it.
        container: FFmpeg's name of the format of its file.
        shown: filters of FFmpeg that show its frames like that; none if they are as they are decoded.

    Raises:
        InputError: the entry asks for a crop larger than the picture or for a size that is not a multiple of the chroma
            subsampling, or the pixel format is not planar YUV of 8 or 10 bits.
    """
    pix_fmt = entry.pix_fmt or source.pix_fmt
    if not replace(source, pix_fmt=pix_fmt).plain:
        raise InputError(
            f"{entry.path} has pixel format {source.pix_fmt}, but clips are planar YUV of 8 or 10 bits: "
            f"give the entry {entry.key!r} a pix_fmt to convert to, such as yuv420p or yuv420p10le"
        )
    across, down = replace(source, pix_fmt=pix_fmt).chroma_step
    width, height = parse_size(entry.crop) if entry.crop else (source.width, source.height)
    if width > source.width or height > source.height:
        raise InputError(
            f"entry {entry.key!r} asks for a crop to {width}x{height}, but {entry.path} is "
            f"{source.width}x{source.height}: choose a smaller size"
        )
    if entry.crop and (width % across or height % down):
        raise InputError(
            f"entry {entry.key!r} asks for a crop to {width}x{height}, but with chroma {pix_fmt} sizes are multiples "
            f"of {across}x{down}: use {width - width % across}x{height - height % down}"
        )
    scale = parse_size(entry.scale) if entry.scale else None
    if scale and (scale[0] % across or scale[1] % down):
        raise InputError(
            f"entry {entry.key!r} asks for the size {entry.scale}, but with chroma {pix_fmt} sizes are multiples "
            f"of {across}x{down}: use {scale[0] - scale[0] % across}x{scale[1] - scale[1] % down}"
        )
    left = top = 0
    if entry.crop:
        left, top = (source.width - width) // 2, (source.height - height) // 2
        left, top = left - left % across, top - top % down
    else:
        width, height = width - width % across, height - height % down
    if min(width, height) == 0:
        raise InputError(
            f"{entry.path} is {source.width}x{source.height}: the crop to multiples of {across}x{down} leaves nothing of it"
        )
    crop = None if (width, height) == (source.width, source.height) else (width, height, left, top)
    scale = None if scale == (width, height) else scale
    kept = not _KEPT_CONTAINERS.isdisjoint(container.split(","))
    own = entry.frames is None and crop is None and scale is None and pix_fmt == source.pix_fmt and kept
    return Plan(entry.frames, crop, scale, pix_fmt, own and entry.raw is None and not shown, tuple(shown))


@publishes("prepare")
def prepare(
    corpus: VideoCorpus,
    key: str,
    root: Path,
    output: Path,
    *,
    program: str = "embedded",
    advance: Advance | None = None,
) -> Prepared:
    """Make one clip of a corpus, and its manifest.

    If no step is needed, the clip is a copy of the source file; otherwise it is lossless H.264 in Matroska, the same
    bytes on every run.

    Args:
        corpus: the corpus.
        key: name of the clip.
        root: the folder that the paths of the entries start from, as from `VideoCorpus.home`.
        output: the file of the clip.
        program: which FFmpeg ("embedded", "system" or a path).
        advance: called as frames are done.

    Raises:
        MissingFileError, InputError: a file, a key or the entry is wrong.
        IntegrityError: the source is not the pinned file, or it is damaged.
        PyvmafError: FFmpeg failed.
    """
    entry = corpus.entry(key)
    claim(output)
    return _make(corpus, entry, confined(root, entry.path), output, program, advance)


@publishes("prepare")
def prepare_or_skip(
    corpus: VideoCorpus,
    key: str,
    root: Path,
    output: Path,
    *,
    program: str = "embedded",
    advance: Advance | None = None,
) -> Prepared | Failure:
    """Make one clip as `prepare` does or, if that fails and the corpus skips such clips, leave the reason in its place.

    Raises:
        PyvmafError: as `prepare`, if the corpus does not skip such clips, or it is not the fault of the file.
    """
    started = time.perf_counter()
    entry = corpus.entry(key)
    source = confined(root, entry.path)
    claim(output)
    try:
        return _make(corpus, entry, source, output, program, advance)
    except PyvmafError as err:
        if not corpus.skips or not is_of_file(err):
            raise
        ffmpeg(program)  # one that does not exist is not the fault of the file
        failure = Failure(path=entry.path, why=portable(str(err), root))
    failure.leave(output)
    write_manifest(
        output,
        verb="prepare",
        uses=corpus.uses,
        args=_arguments(corpus, entry),
        inputs={"source": source},
        outputs={"clip": output},
        details={"failed": failure.as_dict()},
        seconds=time.perf_counter() - started,
    )
    return failure


def _arguments(corpus: VideoCorpus, entry: Entry) -> dict[str, Any]:
    return {"corpus": corpus.name, "entry": entry.model_dump(exclude_none=True, exclude=set(CLIP_LABELS))}


def _make(
    corpus: VideoCorpus,
    entry: Entry,
    source: Path,
    output: Path,
    program: str,
    advance: Advance | None,
) -> Prepared:
    """Make a clip and its manifest."""
    started = time.perf_counter()
    check_file(source, entry.sha256)
    raw = entry.raw.format() if entry.raw else None
    reader = Reader(source, raw=raw, stream=entry.stream)
    shown = reader.presentation.format(reader.coded)
    steps = plan(entry, shown, reader.stream.container, reader.filters)
    # Whoever reads a copy does not know which stream was asked for.
    if steps.own_bytes and entry.stream is not None and Reader(source).index != reader.index:
        steps = replace(steps, own_bytes=False)
    if steps.own_bytes:
        video = inspect(source, raw, advance, entry.stream)
        video.check(source)
        with atomic_path(output) as temporary:
            shutil.copyfile(source, temporary)
            check_file(temporary, entry.sha256)
        version = None
    else:
        tool = ffmpeg(program)
        video = _store(reader, entry, steps, output, tool, advance)
        version = tool.version
    sha256 = sha256_file(output)
    remarks = (*reader.side.remarks(), *_conversions(reader.side, video))
    write_manifest(
        output,
        verb="prepare",
        uses=corpus.uses,
        args=_arguments(corpus, entry),
        inputs={"source": source},
        outputs={"clip": output},
        details={
            "video": video.as_dict(),
            "own_bytes": steps.own_bytes,
            "crop": list(steps.crop) if steps.crop else None,
            "scale": list(steps.scale) if steps.scale else None,
            "remarks": list(remarks),
            "ffmpeg": version,
        },
        seconds=time.perf_counter() - started,
    )
    return Prepared(output, sha256, video, steps, remarks)


def _store(reader: Reader, entry: Entry, steps: Plan, output: Path, tool: FFmpeg, advance: Advance | None) -> Video:
    """Write the clip with FFmpeg and check that it has the planned size, format and number of frames."""
    source, raw, form = reader.path, reader.raw, reader.presentation.format(reader.coded)
    first = steps.frames[0] if steps.frames else 0
    # FFmpeg would convert frames that differ from the first one, conceal damaged ones, and code fields as frames.
    pictures = reader.frames(threads=0)
    before, outside = sum(1 for _ in islice(pictures, first)), reader.interlaced
    frames = before + sum(1 for _ in islice(pictures, steps.frames[1] + 1 - first if steps.frames else None))
    expected = steps.frames[1] - first + 1 if steps.frames else frames
    if error := refuse_interlaced(source, reader.interlaced - outside, reader.stream.field_order):
        raise error
    if frames < first + expected:
        raise InputError(
            f"entry {entry.key!r} asks for frames {first} to {first + expected - 1}, but {source} has {frames} frames "
            f"(0 to {frames - 1}): correct the range"
        )
    arguments: list[str | Path] = ["-max_error_rate", "0"]
    if raw is not None:
        options = [word for key, value in raw.raw_options.items() for word in (f"-{key}", value)]
        arguments += ["-f", "rawvideo", *options]
    # The plan has the filters that turn pictures, the same for every FFmpeg.
    arguments += ["-noautorotate", "-i", source, "-map", f"0:v:{reader.index}", "-filter_threads", "1"]
    arguments += ["-vf", ",".join(steps.filters(form)), "-fps_mode", "passthrough", *DETERMINISTIC]
    arguments += ["-c:v", "libx264", "-preset", "medium", "-qp", "0", "-pix_fmt", steps.pix_fmt, "-threads", "1"]
    arguments += ["-frames:v", str(expected), "-f", "matroska"]
    with atomic_path(output) as temporary:
        run(tool, [*arguments, temporary], what=f"prepare {entry.key} from {source}", frames=expected, advance=advance)
        try:
            video = inspect(temporary)
        except (InputError, IntegrityError):
            stored = 0
        else:
            stored = video.frames
        if stored != expected:
            raise InputError(
                f"{source} decodes to {frames} frames, but {stored} of {expected} of {entry.key!r} could be stored: it "
                "may be damaged"
            )
        width, height = steps.scale or (steps.crop[:2] if steps.crop else (form.width, form.height))
        if (video.format.width, video.format.height, video.format.pix_fmt) != (width, height, steps.pix_fmt):
            raise PyvmafError(
                f"{entry.key} should be {width}x{height} {steps.pix_fmt}, but FFmpeg {tool.version} wrote "
                f"{video.format.size} {video.format.pix_fmt}"
            )
        if video.remarks:
            raise PyvmafError(f"FFmpeg {tool.version} wrote {entry.key} so that it {'; '.join(video.remarks)}")
    _check_colours(video, reader.side)
    return video


def _check_colours(video: Video, source: Side) -> None:
    """Check that a clip states the colours of its source, after the conversions that were asked for."""
    colour = source.colour
    if video.colour.range != "pc" and colour.range == "pc":
        # To another pixel format, full range is converted to limited range.
        colour = replace(colour, range=video.colour.range)
    if colour.matrix == "gbr":
        colour = replace(colour, matrix="bt709")
    try:
        compare_colours(colour, video.colour, names=(str(source.path), "the clip"))
    except InputError as err:
        raise PyvmafError(f"{source.path} cannot be prepared: {err}") from err


def _conversions(source: Side, video: Video) -> list[str]:
    """Say how the samples of a clip stand for other colours than those of its source."""
    if source.colour.matrix == "gbr":
        return ["is RGB: the clip has limited range and the matrix of BT.709"]
    if source.colour.range == "pc" != video.colour.range:
        return ["has full range: the clip has limited range, because its pixel format was to be converted"]
    return []
