"""A time limit on whole answers of a server, whatever part of them it sends byte by byte.

The time-outs of requests are of single reads of a socket: a server that sends a byte of a header, of a TLS handshake or of the
length of a chunk now and then never meets one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

_GUARD: ContextVar[Guard | None] = ContextVar("guard", default=None)


class Guard:
    """Ends the connections of its block when their time is over.

    Attributes:
        expired: whether it did.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._deadline = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._changed = threading.Condition()
        self._done = False
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def __enter__(self) -> Self:
        """Start the clock."""
        self._token: Token[Guard | None] = _GUARD.set(self)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clock."""
        _GUARD.reset(self._token)
        with self._changed:
            self._done = True
            self._changed.notify()
        self._thread.join()
        for item in self._sockets:
            item.close()

    def extend(self, seconds: float) -> None:
        """Give the connections so many seconds from now on."""
        with self._changed:
            self._deadline = time.monotonic() + seconds

    def watch(self, connection: socket.socket) -> None:
        """Add a connection."""
        # A TLS layer takes the socket away from its owner; a duplicate stays.
        with self._changed:
            self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))

    def _wait(self) -> None:
        with self._changed:
            while not self._done and (left := self._deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            if self._done:
                return
            self.expired = True
            for item in self._sockets:
                try:
                    item.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # It has ended already.
                    continue


def _watch(connection: Any) -> None:
    guard = _GUARD.get()
    if guard is not None and isinstance(connection, socket.socket):
        guard.watch(connection)


class _Watched(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        _watch(connection)
        return connection

    def getresponse(self) -> Any:
        # A connection of an earlier request.
        _watch(self.sock)
        return super().getresponse()


class _WatchedSecure(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _WatchedSecure


def _guarded(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


class GuardedAdapter(HTTPAdapter):
    """Connects so that a `Guard` sees the connections."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _guarded(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the pools of connections by a proxy."""
        return _guarded(super().proxy_manager_for(proxy, **kwargs))
