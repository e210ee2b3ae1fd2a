"""Opening a video file for PyAV and for the FFmpeg program: as this very file, and at the stream that a player shows."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.video.log import heard

if TYPE_CHECKING:
    import av

    from pyvmaf.video.format import Format

# Formats that name other files, which no hash of the file pins, or that draw text as pictures.
_SCRIPTS = {
    "concat": "an ffconcat script",
    "hls": "an HLS playlist",
    "dash": "a DASH manifest",
    "imf": "an IMF playlist",
    "webm_dash_manifest": "a DASH manifest",
    "sdp": "an SDP description of a network stream",
    "vobsub": "an index of subtitles",
}
_TEXT = ("tty", "bin", "xbin", "adf", "idf")
_DEVICES = (
    *("alsa", "fbdev", "kmsgrab", "lavfi", "oss", "rtp", "rtsp", "sap", "video4linux2,v4l2", "x11grab", "xcbgrab"),
    *("jack", "pulse", "sndio", "dshow", "gdigrab", "avfoundation", "vfwcap", "decklink", "openal", "iec61883"),
)
# Takes % and * in a name for a pattern of many files, unless it is told that the name is one file's.
_IMAGES = "image2"

_REMEDIES = {"Header too large": ": its first line is longer than 127 characters: leave out fields that begin with X"}

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".dpx", ".exr", ".tga", ".jp2")
_NUMBER = re.compile(r"%0?([0-9]{0,2})d")
# A path has one slash where an address has two.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)

_KINDS = (
    (stat.S_ISFIFO, "a pipe, which can be read only once, but videos are read more than once: save it to a file first"),
    (stat.S_ISSOCK, "a socket, not a file: save the video to a file first"),
    (stat.S_ISCHR, "a device, not a file: save the video to a file first"),
    (stat.S_ISBLK, "a device, not a file: save the video to a file first"),
    (stat.S_ISDIR, "a folder, not a video"),
)

# FFmpeg's program rates streams by their samples, and a default stream as if it had this many more.
_DEFAULT_SAMPLES = 5_000_000


def file_url(path: str | os.PathLike[str]) -> str:
    """Return the name by which FFmpeg opens this file, whatever its name looks like.

    Without the protocol and an absolute path a colon would end the name of a protocol, and a dash begin an option.
    """
    return f"file:{os.path.abspath(path)}"


def numbered(path: Path) -> tuple[Path, ...]:
    """Return the pictures that a pattern such as ``frame_%04d.png`` stands for, in order; none if it is one file's name.

    Raises:
        MissingFileError: there are no such pictures.
        InputError: a number is missing between them.
    """
    part = _NUMBER.search(path.name)
    if part is None or path.suffix.lower() not in _PICTURES or path.exists():
        return ()
    width = int(part[1] or 0)
    name = re.compile(
        f"{re.escape(path.name[: part.start()])}([0-9]{{{max(width, 1)},}}){re.escape(path.name[part.end() :])}"
    )
    found: dict[int, Path] = {}
    for file in path.parent.iterdir() if path.parent.is_dir() else ():
        match = name.fullmatch(file.name)
        if match and match[1] == f"{int(match[1]):0{width}d}":
            found[int(match[1])] = file
    if not found:
        raise MissingFileError(f"no such file: {path}, and no pictures that are numbered like it")
    for number in range(min(found), max(found)):
        if number not in found:
            raise InputError(
                f"{path} stands for {len(found)} pictures from number {min(found)} to {max(found)}, but number {number} is "
                "missing: put it there, or number the pictures without gaps"
            )
    return tuple(found[number] for number in sorted(found))


def check_regular(path: Path) -> int:
    """Check that a path is a file that can be read again and again, and return its length in bytes.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is a folder, a pipe, a socket or a device, it is empty, or it is an address.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as err:
        if address := _ADDRESS.match(str(path)):
            raise InputError(
                f"{path} is an address ({address[1]}): nothing is read over a network, because a video is read more than once and its "
                "bytes could differ; download it first (curl -O, wget), or pipe it as y4m from a program that reads it"
            ) from err
        raise MissingFileError(f"no such file: {path}") from err
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror}") from err
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise InputError(f"{path} is {words}")
    if status.st_size == 0:
        raise InputError(f"{path} is empty: 0 bytes")
    return status.st_size


def open_video(
    path: Path, raw: Format | None = None, pictures: tuple[Path, ...] = (), fps: str = "25"
) -> av.container.InputContainer:
    """Open a file by its content; no other file and no network address is opened with it.

    Args:
        path: the file, or the pattern of numbered pictures.
        raw: format of a headerless file.
        pictures: the numbered pictures, as from `numbered`.
        fps: their number per second.

    Raises:
        InputError: FFmpeg cannot read it as a video, or it is a list of other files.
    """
    import av

    try:
        if pictures:
            return _open_pictures(path, pictures, fps)
        if raw is not None:
            return _open(path, format="rawvideo", options=raw.raw_options)
        return _open(path, container_options={"format_whitelist": _single_files()})
    except av.error.ArgumentError as err:
        kind = _probe(path)
        if kind in _single_files().split(","):
            raise _unreadable(path, err) from err
        if kind != _IMAGES:
            raise _refusal(path, kind) from err
    except av.error.PermissionError as err:
        raise InputError(f"no permission to read {path}") from err
    except (av.FFmpegError, ValueError) as err:
        raise _unreadable(path, err) from err
    try:
        return _open(path, format=_IMAGES, container_options={"pattern_type": "none"})
    except av.FFmpegError as err:
        raise InputError(f"{path} is not a picture that FFmpeg can read ({plain(err)})") from err


def plain(error: Exception) -> str:
    """Return the words of an error of FFmpeg, without number and path."""
    return str(getattr(error, "strerror", None) or error)


def _open(path: Path, **options: Any) -> av.container.InputContainer:
    import av

    # Tags are in any encoding, and nothing depends on them.
    container: av.container.InputContainer = av.open(
        file_url(path), mode="r", metadata_errors="backslashreplace", **options
    )
    return container


def _open_pictures(path: Path, pictures: tuple[Path, ...], fps: str) -> av.container.InputContainer:
    import av

    part = _NUMBER.search(path.name)
    assert part is not None
    first = pictures[0].name[part.start() : len(pictures[0].name) - len(path.name) + part.end()]
    # A percent sign of another meaning is written twice.
    folder = file_url(path.parent).replace("%", "%%")
    name = path.name[: part.start()].replace("%", "%%") + part[0] + path.name[part.end() :].replace("%", "%%")
    options = {"pattern_type": "sequence", "start_number": str(int(first)), "start_number_range": "1", "framerate": fps}
    container: av.container.InputContainer = av.open(
        f"{folder}/{name}", mode="r", format=_IMAGES, options=options, metadata_errors="backslashreplace"
    )
    return container


@cache
def _single_files() -> str:
    import av

    return ",".join(sorted(av.formats_available - {*_SCRIPTS, *_TEXT, *_DEVICES, _IMAGES}))


def _probe(path: Path) -> str:
    """Return FFmpeg's name of the format of a file that it does not open."""
    import av

    with heard() as messages, suppress(av.FFmpegError):
        _open(path, container_options={"format_whitelist": "none"}).close()
    # The context of the message is the format that was found.
    return next((part for _, part, text in messages if text.startswith("Format not on whitelist")), "")


def _unreadable(path: Path, error: Exception) -> InputError:
    """Return the error for a file that FFmpeg does not open, with the first thing that its reader complains of."""
    import av

    with heard() as messages, suppress(av.FFmpegError, ValueError):
        _open(path, container_options={"format_whitelist": _single_files()}).close()
    reasons = list(dict.fromkeys((plain(error), *(" ".join(text.split()).rstrip(".") for _, _, text in messages[:1]))))
    remedy = next((words for reason, words in _REMEDIES.items() if reason in reasons), "")
    return InputError(f"{path} is not a video that FFmpeg can read ({': '.join(reasons)}){remedy}")


def _refusal(path: Path, kind: str) -> InputError:
    if kind in _SCRIPTS:
        return InputError(
            f"{path} is {_SCRIPTS[kind]}, not a video: it names other files, which its SHA-256 does not cover; join them "
            "into one file with FFmpeg first"
        )
    if kind in _TEXT:
        return InputError(f"{path} is text, not a video")
    return InputError(f"{path} is not a video file (FFmpeg takes it for {kind or 'nothing that it knows'})")


def choose(container: av.container.InputContainer, path: Path, number: int | None = None) -> int:
    """Choose the video stream to read: the one that FFmpeg's program takes, but never a cover picture.

    Args:
        container: an open file.
        path: the file, for messages.
        number: which video stream, counted from 0; None for FFmpeg's choice: the default one, then the largest.

    Returns:
        the number of the stream among the video streams, as in FFmpeg's ``v:N``.

    Raises:
        InputError: there is no video stream, or none with that number, or FFmpeg does not know how it is compressed.
    """
    from av.stream import Disposition

    streams = container.streams.video
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    videos = [index for index, stream in enumerate(streams) if not stream.disposition & covers]
    if number is not None and len(streams) > 1:
        if not 0 <= number < len(streams):
            raise InputError(f"{path} does not have video stream {number}: it has {_listed(container)}")
        chosen = number
    elif videos and all(streams[index].disposition & Disposition.dependent for index in videos):
        raise InputError(
            f"{path} is a picture in tiles, which FFmpeg's library does not put together: convert it to PNG first"
        )
    elif not videos:
        kinds = sorted({str(s.type) for s in container.streams if s.type != "video"})
        kinds = (["cover pictures"] if streams else []) + kinds
        raise InputError(f"{path} has no video stream, only {' and '.join(kinds) or 'nothing'}")
    else:
        # A track of one picture beside a video is a cover without the mark.
        videos = [i for i in videos if not streams[i].disposition & Disposition.dependent]
        moving = [i for i in videos if streams[i].frames != 1] or videos
        chosen = max(moving, key=lambda index: (_rating(streams[index]), -index))
    context: Any = streams[chosen].codec_context
    if context is None:
        raise InputError(
            f"{path} has a video stream that is compressed as {_codec(container, streams[chosen].index)}, which FFmpeg cannot decode"
        )
    return chosen


def _rating(stream: Any) -> int:
    from av.stream import Disposition

    context = stream.codec_context
    # The size of what cannot be decoded is unknown. To read a lesser stream instead would be a guess.
    samples = context.width * context.height if context is not None else 1 << 60
    default = stream.disposition & (Disposition.default | Disposition.still_image) == Disposition.default
    return int(samples + default * _DEFAULT_SAMPLES)


def _codec(container: av.container.InputContainer, index: int) -> str:
    """Return how FFmpeg's description of a file names the compression of a stream."""
    import re

    from pyvmaf.video.format import description

    found = re.search(r"Video: ([^,\n]*)", description(container, index))
    return found[1].strip() if found else "something unknown"


def _listed(container: av.container.InputContainer) -> str:
    from av.stream import Disposition

    words = []
    for index, stream in enumerate(container.streams.video):
        context: Any = stream.codec_context
        what = f"{context.name} {context.width}x{context.height}" if context is not None else "unknown"
        words.append(f"{index} ({what}{', a cover' if stream.disposition & Disposition.attached_pic else ''})")
    return ", ".join(words)


def notice(container: av.container.InputContainer, path: Path, chosen: int) -> str:
    """Say which of several video streams is read; "" if there is no doubt about it."""
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    if sum(not stream.disposition & covers for stream in container.streams.video) < 2:
        return ""
    return f"{path} has the video streams {_listed(container)}: stream {chosen} is read (--stream chooses another)"
