"""The FFmpeg program: choosing one, and running it without leaving processes behind."""

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

from pyvmaf.base.extras import require
from pyvmaf.errors import InputError, MissingFileError, PyvmafError, StoppedError, UnavailableError
from pyvmaf.video.opening import file_url

Advance = Callable[[int, int], None]
"""Called with (frames done, frames in total); the total is 0 while it is unknown."""

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
        """Version that the program prints ("n7.1", "5.1.6-0+deb12u1").

        Raises:
            InputError: the path is not an FFmpeg program.
        """
        if self.path not in _VERSIONS:
            _VERSIONS[self.path] = _ask_version(self.path)
        return _VERSIONS[self.path]


# Versions of the programs that this process ran.
_VERSIONS: dict[Path, str] = {}
_VERSION = re.compile(r"ffmpeg version (\S+)")
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
# First lines of FFmpeg's log: its version, and indented lines about its build.
_BANNER = re.compile(_VERSION.pattern + r".*\n(?:  .*\n)*")


def ffmpeg(choice: str = "embedded") -> FFmpeg:
    """Return the FFmpeg program that `choice` names.

    Args:
        choice: "embedded" (of the package imageio-ffmpeg), "system" (the first on PATH), or a path.

    Raises:
        UnavailableError: this machine does not have it.
        MissingFileError: the path does not exist.
        InputError: the path is not an FFmpeg program.
    """
    return _resolve(choice)


@cache
def _resolve(choice: str) -> FFmpeg:
    if choice == "embedded":
        # imageio_ffmpeg.get_ffmpeg_exe() would import the package, start the program and fall back to others.
        require("the embedded FFmpeg", "imageio-ffmpeg", extra="train")
        package = find_spec("imageio_ffmpeg")
        folders = (package.submodule_search_locations if package is not None else None) or []
        binaries = sorted(path for folder in folders for path in Path(folder, "binaries").glob("ffmpeg-*"))
        if not binaries:
            raise UnavailableError(
                "the package imageio-ffmpeg does not have an FFmpeg for this platform: set ffmpeg to system or to a path"
            )
        return FFmpeg(binaries[0])
    if choice == "system":
        executable = shutil.which("ffmpeg")
        if executable is None:
            raise UnavailableError(
                "there is no ffmpeg on PATH: install one, or use the embedded one (ffmpeg: embedded)"
            )
        path = Path(executable)
    else:
        path = Path(choice)
        if not path.is_file():
            raise MissingFileError(f"{choice} does not exist: give embedded, system or the path of an FFmpeg program")
    # A program that a user names may be anything, so that its version is read at once.
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
        raise InputError(f"{path} is not an FFmpeg program: ffmpeg -version prints {answer.stdout[:60]!r}")
    return version.group(1)


def _die_with_parent() -> None:
    """Ask the kernel, in a child process, to kill it when its parent dies."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _terminated_is_an_exception() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that temporary files are removed. This works in the main thread only."""
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
    """Put off Ctrl-C and SIGTERM until the end of the block.

    Inside `subprocess.Popen` they would leave a process behind to which there is no reference.
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
        for signum, frame in caught:
            handler = handlers[signal.Signals(signum)]
            if callable(handler):
                handler(signum, frame)
            else:
                os.kill(os.getpid(), signum)


def run(
    program: FFmpeg,
    arguments: Sequence[str | os.PathLike[str]],
    *,
    what: str,
    frames: int = 0,
    advance: Advance | None = None,
) -> str:
    """Run FFmpeg to its end and return its log.

    If the wait is interrupted (Ctrl-C, SIGTERM, an exception), the process is ended first.

    Args:
        program: as from `ffmpeg`.
        arguments: options as text, inputs and outputs as paths; global options are added here.
        what: the task, for messages ("encode a.mkv with libx264").
        frames: expected number of frames, for `advance`.
        advance: called as frames are done.

    Raises:
        OSError: ENOSPC, the disk is full.
        UnavailableError: this FFmpeg was built without the encoder or filter.
        StoppedError: FFmpeg was ended by a signal.
        PyvmafError: FFmpeg failed; the message has the first errors of its log.
    """
    command = [
        os.fspath(program.path),
        *("-nostdin", "-nostats", "-y", "-loglevel", "info", "-progress", "pipe:1"),
        *(word if isinstance(word, str) else file_url(word) for word in arguments),
    ]
    # A pipe for the log could fill up while the progress is read; a file cannot.
    with tempfile.TemporaryFile() as log, _terminated_is_an_exception():
        process: subprocess.Popen[str] | None = None
        try:
            with warnings.catch_warnings(), _signals_wait():
                # Newer versions of Python warn about preexec_fn in programs with threads; this one makes one system call and
                # takes no lock.
                warnings.simplefilter("ignore", DeprecationWarning)
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    # This variable makes FFmpeg write a report to a file of its own.
                    env={name: value for name, value in os.environ.items() if name != "FFREPORT"},
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
        # Every run prints the version; reading it from here saves a start of the program.
        _VERSIONS[program.path] = banner.group(1)
        text = text[banner.end() :]
    # A full disk first: the muxer reports it, but the exit status may be 0.
    if os.strerror(errno.ENOSPC) in text:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(arguments[-1]))
    if code != 0:
        _fail(program, what, code, text)
    return text


def _fail(program: FFmpeg, what: str, code: int, log: str) -> NoReturn:
    missing = re.search(r"Unknown encoder '([^']+)'|No such filter: '([^']+)'", log)
    if missing:
        name = missing.group(1) or missing.group(2)
        raise UnavailableError(f"cannot {what}: FFmpeg {program.version} was built without {name}; use another FFmpeg")
    # Addresses of contexts differ from run to run.
    lines = [_ADDRESS.sub("", line.strip()) for line in log.splitlines() if line.strip()]
    errors = [
        line
        for line in lines
        if re.search(r"error|invalid|fail|not |cannot|unable|refus|unrecogni|unknown", line, re.IGNORECASE)
    ]
    # The first errors are the causes; those after them say that the work could not go on.
    tail = "; ".join(errors[:3] or lines[-3:]) or "its log is empty"
    if code < 0:
        raise StoppedError(f"cannot {what}: FFmpeg {program.version} was ended by signal {-code}: {tail}")
    raise PyvmafError(f"cannot {what}: FFmpeg {program.version} exited with status {code}: {tail}")
