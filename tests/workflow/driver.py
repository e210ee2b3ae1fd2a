"""Runs several Snakemake command lines in one process, each in a fork, so that its imports are paid once.

Reads JSON from stdin: {"cwd": folder, "edits": [[file, old, new], …], "libvmaf": commit or null, "cases": {name:
[argument, …]}, "code": {name: verb or null}}. Prints JSON: {name: [exit code, output]}. The edits are made in a copy of the
checkout, from which everything is then imported; `libvmaf` stands for the engine of another build, `code` of a case for other
code in the entry module of a verb.
"""

from __future__ import annotations

import gc
import hashlib
import json
import marshal
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

REPOSITORY = Path(__file__).parents[2]


def _change_code(verb: str) -> None:
    """Give the verbs that have the entry module of `verb` other identities."""
    from pyvmaf.base import code
    from pyvmaf.base.verbs import VERBS

    right = code._identity
    code._identity = lambda entry, *more: right(entry, *more)[: -1 if entry == VERBS[verb].entry else None]


def _children(
    cases: dict[str, list[str]], width: int, code_of: dict[str, str | None]
) -> Iterator[tuple[str, int, str]]:
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
                    verb = code_of.get(name)
                    if verb is not None:
                        _change_code(verb)
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


def _parse_once(store: Path) -> None:
    """Let Snakemake keep what it parsed of a file in `store`, for the forks that come later: a third of a plan's time."""
    from snakemake import workflow

    right = workflow.parse

    def parse(path: Any, flow: Any, linemap: dict[int, int], rulecount: int = 0) -> tuple[str, int]:
        name = f"{path.get_path_or_uri(secret_free=True)} {rulecount}"
        stored = store / hashlib.sha256(name.encode()).hexdigest()
        if not stored.exists():
            lines: dict[int, int] = {}
            code, count = right(path, flow, lines, rulecount=rulecount)
            part = stored.with_name(f"{os.getpid()}.part")
            part.write_bytes(marshal.dumps((code, count, lines)))
            part.replace(stored)
        code, count, lines = marshal.loads(stored.read_bytes())  # noqa: S302 - our own
        linemap.update(lines)
        return code, count

    workflow.parse = parse


def _prepare(checkout: Path) -> None:
    """Load and work out what each plan needs of the code, the schemas and FFmpeg, which is the same for all of them."""
    from pyvmaf.base import families
    from pyvmaf.base.code import identity
    from pyvmaf.base.verbs import VERBS
    from pyvmaf.video.ffmpeg import ffmpeg
    from pyvmaf.workflow import check
    from pyvmaf.workflow.plan import read_schema

    for name in ("pyvmaf.corpora.folder", "pyvmaf.engines.kernels.engine"):
        import_module(name)
    for part in ("spec", "plan"):
        families.load_part("fr", part)
    for option in ("-encoders", "-filters"):
        check._listed(ffmpeg(), option)
    for verb in VERBS:
        identity(verb, families.uses(verb, "fr"))
    for schema in (checkout / "workflow" / "schemas").glob("*.yaml"):
        read_schema(schema)


def _use_a_copy(folder: Path, edits: list[list[str]]) -> None:
    """Import the package from a copy of the checkout in which `old` stands as `new`.

    An empty `old` is the end of the file; a file that does not exist is made. Generated files are generated again.
    """
    for name in ("pyvmaf", "workflow", "rules", "config", "envs"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("*.so"))
    native = find_spec("pyvmaf._native")
    assert native is not None
    assert native.origin is not None
    for path in (Path(native.origin), Path(native.origin).with_name("_native_build.json")):
        shutil.copy(path, folder / "pyvmaf" / path.name)
    for name, old, new in edits:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        assert not old or text.count(old) == 1, f"{name} holds {text.count(old)} times {old!r}"
        path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    # An editable installation finds its checkout before any path is looked at.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("_editable")]
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyvmaf"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    from pyvmaf.workflow.config import schemas

    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


def run(job: dict[str, object]) -> dict[str, tuple[int, str]]:
    """Run the cases of one job."""
    cases, cwd, edits, libvmaf, code = (job[key] for key in ("cases", "cwd", "edits", "libvmaf", "code"))
    assert isinstance(cases, dict)
    assert isinstance(cwd, str)
    assert isinstance(edits, list)
    assert isinstance(code, dict)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if edits:
            _use_a_copy(Path(folder), edits)
            own = {str(REPOSITORY / "workflow" / "Snakefile"): str(Path(folder, "workflow", "Snakefile"))}
            cases = {name: [own.get(word, word) for word in argv] for name, argv in cases.items()}
        if libvmaf is not None:
            stack.enter_context(patch("pyvmaf.engines.libvmaf.build.identity", lambda: libvmaf))
        os.chdir(cwd)
        if len(cases) > 1:
            _prepare(Path(folder) if edits else REPOSITORY)
            _parse_once(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        # What the garbage collector of a fork leaves alone is not copied.
        gc.collect()
        gc.freeze()
        width = len(os.sched_getaffinity(0))
        return {name: (status, text) for name, status, text in _children(cases, width, code)}


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
