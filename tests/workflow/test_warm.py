"""Forks of the warm process behave as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.make import warm


def run(folder: Path, program: str, *words: str, python: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(program)
    environment = {**os.environ, "GIVEN": "here"}
    command = [python, "program.py", *words]
    return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, text=True)


@pytest.mark.parametrize(
    "program",
    [
        "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['GIVEN'], sys.stdin.read()); sys.exit(3)",
        "import sys; print('é', file=sys.stderr); sys.exit('a reason')",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import atexit; atexit.register(print, 'the end')",
        "import sys; print(__name__, [name for name in sys.modules if name.partition('.')[0] in ('pyvmaf', 'tests')])",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('later'))).start()",
    ],
)
def test_a_fork_is_as_a_new_process(tmp_path: Path, program: str) -> None:
    forked, new = (
        run(tmp_path, program, "a", "b c", python=python, stdin="text") for python in (warm.python(), sys.executable)
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (new.returncode, new.stdout, new.stderr)


def test_a_program_can_be_given_as_text() -> None:
    text = "import sys; value = 1\ndef read(): return value\nprint(sys.argv, __name__, read())"
    forked, new = (
        subprocess.run([python, "-c", text, "a"], capture_output=True, text=True, check=True).stdout
        for python in (warm.python(), sys.executable)
    )
    assert forked == new


def test_an_exception_is_shown(tmp_path: Path) -> None:
    done = run(tmp_path, "1 / 0", python=warm.python())
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_fork_ends_with_its_client(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    client = subprocess.Popen([warm.python(), "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    pid = int(client.stdout.readline())
    client.send_signal(signal.SIGKILL)
    client.communicate()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
