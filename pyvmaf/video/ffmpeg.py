"""The FFmpeg program: which one, and running it so that nothing is left behind whatever happens."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pyvmaf.errors import InputError, MissingFileError, PyvmafError, UnavailableError

Advance = Callable[[int, int], None]
"""Called with (frames done, frames in all); the second is 0 while it is not known."""

# Without these a container carries the muxer's version, dates and random identifiers.
DETERMINISTIC = ("-fflags", "+bitexact", "-map_metadata", "-1", "-map_chapters", "-1")

# Loaded here, because a child must not load anything between fork and exec.
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_KILL_AFTER_S = 5.0


@dataclass(frozen=True)
class FFmpeg:
    """An FFmpeg program.

    Attributes:
        path: the executable.
    """

    path: Path

    @property
    def version(self) -> str:
        """What it calls itself ("n7.1", "5.1.6-0+deb12u1").

        Raises:
            InputError: the path is not an FFmpeg.
        """
        if self.path not in _VERSIONS:
            _VERSIONS[self.path] = _ask_version(self.path)
        return _VERSIONS[self.path]


# Versions of programs that this process asked or ran.
_VERSIONS: dict[Path, str] = {}
_VERSION = re.compile(r"ffmpeg version (\S+)")
# FFmpeg's first lines: its version, and indented ones about how it was built.
_BANNER = re.compile(_VERSION.pattern + r".*\n(?:  .*\n)*")


def ffmpeg(choice: str = "embedded") -> FFmpeg:
    """The FFmpeg program that `choice` names.

    Args:
        choice: "embedded" (of the package imageio-ffmpeg), "system" (the first on PATH), or a path.

    Raises:
        UnavailableError: this machine lacks it.
        MissingFileError: the path does not exist.
        InputError: the path is not an FFmpeg.
    """
    return _resolve(choice)


@cache
def _resolve(choice: str) -> FFmpeg:
    if choice == "embedded":
        # imageio_ffmpeg.get_ffmpeg_exe() would import the package, start the program and fall back to others.
        package = find_spec("imageio_ffmpeg")
        folders = (package.submodule_search_locations if package is not None else None) or []
        found = sorted(path for folder in folders for path in Path(folder, "binaries").glob("ffmpeg-*"))
        if not found:
            raise UnavailableError(
                "the package imageio-ffmpeg carries no FFmpeg for this platform: set ffmpeg to system or to a path"
            )
        return FFmpeg(found[0])
    if choice == "system":
        word = shutil.which("ffmpeg")
        if word is None:
            raise UnavailableError("no ffmpeg on PATH: install one, or use the embedded one (ffmpeg: embedded)")
        path = Path(word)
    else:
        path = Path(choice)
        if not path.is_file():
            raise MissingFileError(f"no FFmpeg at {choice}: give embedded, system or the path of an executable")
    # A program that somebody names may be anything, so it is asked at once.
    _VERSIONS[path] = _ask_version(path)
    return FFmpeg(path)


def _ask_version(path: Path) -> str:
    try:
        # S603: an argument list without a shell; running the chosen program is the purpose.
        answer = subprocess.run([path, "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as err:
        raise InputError(f"{path} cannot be run as FFmpeg: {err}") from err
    version = _VERSION.match(answer.stdout)
    if version is None:
        raise InputError(f"{path} is not an FFmpeg: asked for its version it prints {answer.stdout[:60]!r}")
    return version.group(1)


def _die_with_parent() -> None:
    """In the child: be killed when the parent is, even by a signal that lets it do nothing."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _terminated_is_an_exception() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that temporary files go. Only the main thread can ask for this."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off until the block is done.

    Raised inside `subprocess.Popen`, they would leave behind a process that nobody knows of.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: caught.append((number, frame)))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for came, frame in caught:
            handler = handlers[signal.Signals(came)]
            if callable(handler):
                handler(came, frame)
            else:
                os.kill(os.getpid(), came)


def run(
    program: FFmpeg,
    arguments: Sequence[str | os.PathLike[str]],
    *,
    what: str,
    frames: int = 0,
    advance: Advance | None = None,
) -> str:
    """Run FFmpeg to its end and return its log.

    Whatever interrupts the wait (Ctrl-C, SIGTERM, an exception), the process is ended before this returns.

    Args:
        program: as from `ffmpeg`.
        arguments: options, inputs and outputs; global options are added here.
        what: what is being done, for messages ("encode a.mkv with libx264").
        frames: how many frames are expected, for `advance`.
        advance: called while it works.

    Raises:
        OSError: ENOSPC, the disk is full.
        UnavailableError: this FFmpeg lacks the encoder or filter.
        PyvmafError: FFmpeg refused; the message holds its own last lines.
    """
    command = [
        os.fspath(program.path),
        *("-nostdin", "-nostats", "-y", "-loglevel", "info", "-progress", "pipe:1"),
        *(os.fspath(word) for word in arguments),
    ]
    # A pipe for the log could fill up while the progress is read; a file cannot.
    with tempfile.TemporaryFile() as log, _terminated_is_an_exception():
        process: subprocess.Popen[str] | None = None
        try:
            with warnings.catch_warnings(), _signals_wait():
                # Newer Pythons warn of preexec_fn beside threads; this one makes one system call and takes no lock.
                warnings.simplefilter("ignore", DeprecationWarning)
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                )
            assert process.stdout is not None
            for line in process.stdout:
                key, _, value = line.partition("=")
                if advance is not None and key == "frame" and value.strip().isdigit():
                    advance(int(value), frames)
            code = process.wait()
        finally:
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(_KILL_AFTER_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process is not None and process.stdout is not None:
                process.stdout.close()
        log.seek(0)
        text = log.read().decode(errors="replace")
    banner = _BANNER.match(text)
    if banner is not None:
        # The version comes with every run: asking for it would be another start.
        _VERSIONS[program.path] = banner.group(1)
        text = text[banner.end() :]
    # Disk-full first: the muxer may complain and the exit status still be 0.
    if os.strerror(errno.ENOSPC) in text:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(arguments[-1]))
    if code != 0:
        _fail(program, what, code, text)
    return text


def _fail(program: FFmpeg, what: str, code: int, log: str) -> NoReturn:
    unknown = re.search(r"Unknown encoder '([^']+)'|No such filter: '([^']+)'", log)
    if unknown:
        name = unknown.group(1) or unknown.group(2)
        raise UnavailableError(f"cannot {what}: FFmpeg {program.version} was built without {name}; use another FFmpeg")
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [
        line
        for line in lines
        if re.search(r"error|invalid|fail|not |cannot|unable|refus|unrecogni|unknown", line, re.IGNORECASE)
    ]
    tail = "; ".join((telling or lines)[-3:]) or "it said nothing"
    ending = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
    raise PyvmafError(f"cannot {what}: FFmpeg {program.version} {ending}: {tail}")
