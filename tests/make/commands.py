"""``vmaf-train`` in this process, with the exit status and the messages of a process of its own."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Done(NamedTuple):
    """What a command leaves behind; the names are those of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def command(*words: object, cwd: Path | None = None) -> Done:
    """Run ``vmaf-train`` with those words in this process: importing torch once is enough."""
    from pyvmaf import cli

    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    before = sys.argv
    sys.argv = ["vmaf-train", *map(str, words)]
    try:
        with contextlib.chdir(cwd or Path.cwd()), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = before
    return Done(int(code or 0), out.getvalue(), err.getvalue())


def refusal(*words: object, cwd: Path | None = None) -> str:
    """Return the message with which a command refuses: exit status 2, one line of error, nothing on standard output."""
    done = command(*words, cwd=cwd)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("error: ").rstrip("\n")
