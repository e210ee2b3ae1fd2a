"""Runs several Snakemake command lines in one process, each in a fork, so that its imports are paid once.

Reads JSON from stdin: {"cwd": folder, "fingerprints": {stage: value}, "cases": {name: [argument, …]}}. Prints JSON:
{name: [exit code, output]}. `fingerprints` replaces what `pyvmaf.fingerprint` gives, as if that code had changed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator


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


def run(job: dict[str, object]) -> dict[str, tuple[int, str]]:
    """Run the cases of one job."""
    from pyvmaf import fingerprint

    cases, cwd, replaced = job["cases"], job["cwd"], job["fingerprints"]
    assert isinstance(cases, dict)
    assert isinstance(cwd, str)
    assert isinstance(replaced, dict)
    real = fingerprint.fingerprint
    fingerprint.fingerprint = lambda stage, root=None: replaced.get(stage) or real(stage, root)
    os.chdir(cwd)
    return {name: (code, text) for name, code, text in _children(cases, len(os.sched_getaffinity(0)))}


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
