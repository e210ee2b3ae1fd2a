"""``vmaf-train`` in this process, with the exit status and the messages of a process of its own."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from typing import Any, NamedTuple


class Done(NamedTuple):
    """Result of a command; the names are those of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def command(*words: object, cwd: str | os.PathLike[str] = ".") -> Done:
    """Run ``vmaf-train`` with those words in this process: importing torch once is enough.

    It goes through `pyvmaf.cli.main`, so that exit status and messages are those that a shell sees. An exception that
    `main` does not expect is raised here.
    """
    from pyvmaf import cli

    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    words_before, thresholds = sys.argv, gc.get_threshold()
    sys.argv = ["vmaf-train", *map(str, words)]
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = words_before
        gc.set_threshold(*thresholds)
    return Done(int(code or 0), out.getvalue(), err.getvalue())


def refusal(*words: object, cwd: str | os.PathLike[str] = ".") -> str:
    """Return the message with which a command refuses: exit status 2, one line of error, nothing on standard output."""
    done = command(*words, cwd=cwd)
    assert (done.returncode, done.stdout) == (2, ""), done
    [message] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    return message.removeprefix("error: ")
