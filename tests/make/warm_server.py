"""Serves forks of a process that has imported the libraries: each runs one command line of Python.

Only libraries are imported here, and nothing of this package: a fork loads its modules as a new process does, from the
checkout or from a copy of it. The first line of the standard output says that the server is ready; it ends with its
standard input, and removes the folder of its socket.

The protocol: a client connects to the socket that the command line names, and sends the size of a request (8 bytes), the
request by `marshal`, and its three standard streams. It gets the status of the fork as `os.waitpid` returns it (8 bytes).
A fork whose client is gone is killed.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import io
import marshal
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import threading
import types
from contextlib import suppress

LIBRARIES = (
    *("numpy", "pyarrow.parquet", "pyarrow.dataset", "pandas", "scipy.stats", "scipy.optimize", "yaml", "jinja2"),
    *("torch", "safetensors.torch", "onnx", "onnxruntime", "onnxruntime.quantization", "sklearn.model_selection"),
    *("av", "imageio_ffmpeg", "typer", "rich.progress", "pydantic", "jsonschema", "altair", "vl_convert"),
    *("snakemake.cli", "snakemake.api", "snakemake.report.html_reporter", "smart_open"),
)


def _read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _become(request: dict[str, object], streams: list[int]) -> None:
    """Take over what a process gets from the one that starts it."""
    words, cwd, environment, group = (request[key] for key in ("words", "cwd", "environment", "group"))
    assert isinstance(words, list)
    assert isinstance(cwd, str)
    assert isinstance(environment, dict)
    assert isinstance(group, int)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Ctrl-C goes to the group of the client; a client in another session keeps its own.
    with suppress(OSError):
        os.setpgid(0, group)
    for name in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - open until the fork ends
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace", buffering=1)  # noqa: SIM115
    # So that tests find the fork of a verb.
    verb = words[1] if not words[0].startswith("-") and len(words) > 1 else words[0]
    with open("/proc/self/comm", "w") as own_name:
        own_name.write(os.path.basename(verb)[:15])


def _run(words: list[str]) -> int:
    """Run a command line without its first word, the Python; return the exit status."""
    code: object = 0
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            sys.path.insert(0, os.getcwd())
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            sys.path.insert(0, "")
            sys.modules["__main__"] = main_module = types.ModuleType("__main__")
            exec(compile(words[1], "<string>", "exec"), main_module.__dict__)  # noqa: S102 - as Python does
        else:
            sys.argv = words
            sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as stopped:
        code = stopped.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    return int(code or 0)


class _Server:
    """Starts a fork for each request, and sends its status when it has ended."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._ended, self._wake = socket.socketpair()
        self._ended.setblocking(False)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._clients: dict[int, socket.socket] = {}
        self._chooser = selectors.DefaultSelector()
        for source, act in ((sys.stdin, self._stop), (self._listener, self._start), (self._ended, self._reap)):
            self._chooser.register(source, selectors.EVENT_READ, act)

    def serve(self) -> tuple[dict[str, object], list[int]]:
        """Serve until the standard input ends; in a fork, return its request and its streams."""
        while True:
            for key, _ in self._chooser.select():
                request = key.data()
                if request is not None:
                    return request  # type: ignore[no-any-return]

    def _stop(self) -> None:
        for pid in self._clients:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(os.path.dirname(self._path), ignore_errors=True)
        os._exit(0)

    def _start(self) -> tuple[dict[str, object], list[int]] | None:
        client, _ = self._listener.accept()
        try:
            head, streams, _, _ = socket.recv_fds(client, 8, 3)
            request = marshal.loads(_read(client, int.from_bytes(head, "big")))  # noqa: S302 - our own client's
        except ConnectionError:
            client.close()
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            self._chooser.close()
            for other in (self._listener, self._ended, self._wake, client, *self._clients.values()):
                other.close()
            return request, streams
        for stream in streams:
            os.close(stream)
        self._clients[pid] = client
        self._chooser.register(client, selectors.EVENT_READ, functools.partial(self._drop, pid))
        return None

    def _drop(self, pid: int) -> None:
        # Nothing comes after a request: the client is gone.
        if pid in self._clients:
            os.kill(pid, signal.SIGKILL)
            self._chooser.unregister(self._clients[pid])

    def _reap(self) -> None:
        self._ended.recv(4096)
        while self._clients:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            client = self._clients.pop(pid)
            with suppress(KeyError):
                self._chooser.unregister(client)
            with suppress(OSError):
                client.sendall(status.to_bytes(8, "big"))
            client.close()


def main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    # It looks for plugins among the installed packages.
    sys.modules["snakemake.cli"].get_argument_parser()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a fork's garbage collector leaves alone is not copied.
    gc.collect()
    gc.freeze()
    server = _Server(sys.argv[1])
    print("ready", flush=True)
    request, streams = server.serve()
    _become(request, streams)
    words = request["words"]
    assert isinstance(words, list)
    code = _run(words)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    assert isinstance(sys.stdin, io.TextIOBase)
    main()
