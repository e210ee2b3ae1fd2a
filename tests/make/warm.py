"""Python's programs in forks of one process that has imported the libraries.

Of the seconds that a verb or Snakemake takes in a test, most are imports of torch, scipy, onnxruntime and Snakemake. A fork
is a process of its own in all else: it loads this package anew, has its own folder, environment and streams, and can be
killed. What starts a Python itself (how an installed program starts, which packages an environment holds) is tested without.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_SERVER = Path(__file__).with_name("warm_server.py")

# Without the site's modules it starts within 20 ms.
_CLIENT = """#!{python} -SI
import marshal, os, signal, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect({address!r})
request = marshal.dumps({{
    "words": [*{words!r}, *sys.argv[1:]], "cwd": os.getcwd(), "environment": dict(os.environ), "group": os.getpgrp(),
}})
socket.send_fds(client, [len(request).to_bytes(8, "big")], [0, 1, 2])
client.sendall(request)
# Ctrl-C reaches the fork, too.
signal.signal(signal.SIGINT, signal.SIG_IGN)
answer = client.recv(8, socket.MSG_WAITALL)
status = int.from_bytes(answer, "big") if len(answer) == 8 else 1 << 8
if os.WIFSIGNALED(status):
    signal.signal(os.WTERMSIG(status), signal.SIG_DFL) if os.WTERMSIG(status) != signal.SIGKILL else None
    os.kill(os.getpid(), os.WTERMSIG(status))
os._exit(os.waitstatus_to_exitcode(status))
"""


# Process ids by number of the server.
_SERVERS: dict[int, int] = {}


@cache
def programs(server: int) -> Path:
    """Start a server of this test process; return the folder of its clients `python`, `snakemake` and `vmaf-train`.

    Args:
        server: its number. All forks of a server have hashes of one random seed.
    """
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    address = folder / "socket"
    process = subprocess.Popen(
        [sys.executable, "-P", str(_SERVER), str(address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Libraries count the processors once, at their import. Jobs of the workflow have one.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    _SERVERS[server] = process.pid
    assert process.stdin is not None
    assert process.stdout is not None
    atexit.register(_stop, process)
    assert process.stdout.readline() == b"ready\n"
    installed = Path(sys.executable).parent
    for name in ("python", "snakemake", "vmaf-train"):
        words = [] if name == "python" else [str(installed / name)]
        text = _CLIENT.format(python=sys.executable, address=str(address), words=words)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def _stop(server: subprocess.Popen[bytes]) -> None:
    assert server.stdin is not None
    server.stdin.close()
    server.wait()


def python(server: int = 0) -> str:
    """Return the program to start in place of `sys.executable`."""
    return str(programs(server) / "python")


def environment(given: Mapping[str, str] | None = None, server: int = 0) -> dict[str, str]:
    """Return an environment in which the jobs of a workflow run in forks, too."""
    given = os.environ if given is None else given
    return {**given, "PATH": os.pathsep.join((str(programs(server)), given["PATH"]))}


def forks(server: int = 0) -> list[int]:
    """Return the process ids of the forks that run."""
    pid = _SERVERS[server]
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
