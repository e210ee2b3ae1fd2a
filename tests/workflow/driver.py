"""Runs several Snakemake command lines in one process, each in a fork, so that its imports are paid once.

Reads JSON from stdin: {"cwd": folder, "edits": [[file, old, new], …], "libvmaf": commit or null, "cases": {name:
[argument, …]}}. Prints JSON: {name: [exit code, output]}. The edits are made in a copy of the package, whose code then
counts for the fingerprints; `libvmaf` stands for the engine of another build.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch


def _children(cases: dict[str, list[str]], width: int) -> Iterator[tuple[str, int, str]]:
    from snakemake.cli import main

    waiting = list(cases.items())
    running: dict[int, tuple[str, str]] = {}
    while waiting or running:
        while waiting and len(running) < width:
            name, argv = waiting.pop(0)
            handle, path = tempfile.mkstemp()
            pid = os.fork()
            if pid == 0:
                os.dup2(handle, 1)
                os.dup2(handle, 2)
                code = 1
                try:
                    main(argv)
                except SystemExit as err:
                    code = err.code if isinstance(err.code, int) else int(err.code is not None)
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
            os.close(handle)
            running[pid] = (name, path)
        pid, status = os.wait()
        name, path = running.pop(pid)
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        os.unlink(path)
        yield name, os.waitstatus_to_exitcode(status), text


def _edited(folder: Path, edits: list[list[str]]) -> Path:
    """A copy of the package in which `old` stands as `new`; an empty `old` is the end of the file."""
    import pyvmaf

    copy = folder / "pyvmaf"
    shutil.copytree(Path(pyvmaf.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name, old, new in edits:
        text = (copy / name).read_text(encoding="utf-8")
        assert not old or text.count(old) == 1, f"{name} holds {text.count(old)} times {old!r}"
        (copy / name).write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    return copy


def run(job: dict[str, object]) -> dict[str, tuple[int, str]]:
    """Run the cases of one job."""
    from pyvmaf import fingerprint

    cases, cwd, edits, libvmaf = (job[key] for key in ("cases", "cwd", "edits", "libvmaf"))
    assert isinstance(cases, dict)
    assert isinstance(cwd, str)
    assert isinstance(edits, list)
    real = fingerprint.fingerprint
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if edits:
            copy = _edited(Path(folder), edits)
            stack.enter_context(patch("pyvmaf.fingerprint.fingerprint", lambda stage: real(stage, copy)))
        if libvmaf is not None:
            stack.enter_context(patch("pyvmaf.engine.identity", lambda: libvmaf))
        os.chdir(cwd)
        return {name: (code, text) for name, code, text in _children(cases, len(os.sched_getaffinity(0)))}


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
