"""Downloads over HTTP that can be trusted: resumed, checked, and never glued together from two different files.

A server may break off, stall, lie about lengths, ignore ranges, redirect, or have another file under the same address by
the time a download is resumed. A file gets its name only if every byte of it is of one version of the file: the server's
strong ETag or modification time is the same for all parts, or the SHA-256 of the whole file is the expected one.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from pyvmaf.base.files import read_json, sha256_bytes, write_json
from pyvmaf.corpora.find import begins_as_video, is_video_name
from pyvmaf.corpora.space import check_space
from pyvmaf.errors import InputError, IntegrityError, PyvmafError, shown

if TYPE_CHECKING:
    from pyvmaf.corpora.guard import Guard

Say = Callable[[str], None]
Advance = Callable[[int, int], None]

_BLOCK = 1 << 18
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SETTLED_S = 60
_PAGE = re.compile(rb"\s*(?:<!doctype html|<html|<head|<body|<\?xml|<!--)", re.IGNORECASE)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True)
class Limits:
    """When to wait, to try again and to give up.

    Attributes:
        connect_s: seconds to wait for a connection.
        answer_s: seconds in which the whole head of an answer has to come, with the connection.
        stall_s: seconds in which at least `least_bytes` have to come.
        least_bytes: see `stall_s`.
        attempts: failures in a row, without `least_bytes` new ones, after which a download ends.
        restarts: how often a download may begin again because the server has another file, or answers with another part.
        pause_s, longest_pause_s: seconds before the second attempt, doubled before each further one up to the longest. A
            server that asks to wait longer is not asked again.
        redirects: most redirects of one request.
        checkpoint: bytes after which the state of a download is written to the disk.
    """

    connect_s: float = 20.0
    answer_s: float = 120.0
    stall_s: float = 60.0
    least_bytes: int = 1024
    attempts: int = 6
    restarts: int = 3
    pause_s: float = 1.0
    longest_pause_s: float = 120.0
    redirects: int = 5
    checkpoint: int = 16 << 20


@dataclass(frozen=True)
class Remote:
    """A file to get.

    Attributes:
        url: its address.
        name: its name in messages and, by its suffix, the kind of its content.
        size, sha256, md5: what is known of its bytes; `md5` in hexadecimal digits.
        hosts: other hosts to which the address may redirect. If `sha256` is known, any public host may.
        most_bytes: refuse a file that is larger.
    """

    url: str
    name: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    hosts: tuple[str, ...] = ()
    most_bytes: int | None = None


@dataclass(frozen=True)
class Got:
    """A file that was got.

    Attributes:
        sha256, size: of its bytes.
        redirected_to: hosts to which its address redirected.
    """

    sha256: str
    size: int
    redirected_to: tuple[str, ...] = ()


class _AgainError(Exception):
    """An attempt failed and another one may not.

    Attributes:
        restart: what was received cannot be continued.
        wait_s: seconds that the server asked to wait.
    """

    def __init__(self, reason: str, *, restart: bool = False, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.restart = restart
        self.wait_s = wait_s


@dataclass
class _State:
    """What is known of a partial file; beside it as JSON.

    Attributes:
        etag, modified: the version of the file, as the server names it.
        total: size of the whole file, as the server says; None if it does not.
        offset: bytes of the partial file that are on the disk for certain.
        sha256: of these bytes.
        answers: number of answers that the partial file consists of.
    """

    etag: str | None = None
    modified: str | None = None
    total: int | None = None
    offset: int = 0
    sha256: str = ""
    answers: int = 0

    @property
    def condition(self) -> str | None:
        """The validator of a request for the rest; None if the server has not named the version of the file."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


@dataclass
class _Answer:
    """An answer to a request, with its body not yet read."""

    status: int
    headers: Any
    raw: Any
    url: str
    guard: Guard
    hosts: tuple[str, ...] = field(default=())


class Client:
    """Sends requests, and follows redirects only where they may lead.

    Args:
        limits: see `Limits`.
    """

    def __init__(self, limits: Limits = Limits()) -> None:
        import requests

        from pyvmaf.corpora.guard import GuardedAdapter

        self.limits = limits
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, GuardedAdapter())
        # Addresses are public: no password of the user is sent to a server.
        self._session.auth = lambda request: request

    @contextmanager
    def get(self, remote: Remote, headers: dict[str, str] | None = None) -> Iterator[_Answer]:
        """Send a GET request.

        Raises:
            InputError: a redirect leads where it must not.
            _AgainError: there was no answer.
        """
        from pyvmaf.corpora.guard import Guard

        url, hosts = remote.url, list[str]()
        for _ in range(self.limits.redirects + 1):
            with Guard(self.limits.answer_s) as guard, closing(self._send(url, headers or {}, guard)) as response:
                location = response.headers.get("Location")
                if response.status_code in _REDIRECTS and location:
                    url = _redirect(remote, url, location)
                    if (host := _host(url)) != _host(remote.url) and host not in hosts:
                        hosts.append(host)
                    continue
                yield _Answer(response.status_code, response.headers, response.raw, url, guard, tuple(hosts))
                return
        raise InputError(f"{remote.url} redirects more than {self.limits.redirects} times: nothing was fetched")

    def _send(self, url: str, headers: dict[str, str], guard: Guard) -> Any:
        import requests

        try:
            response = self._session.get(
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "vmaf-train", **headers},
                stream=True,
                allow_redirects=False,
                timeout=(self.limits.connect_s, self.limits.stall_s),
            )
            if guard.expired:
                # A head that is cut off counts as a whole one.
                response.close()
                raise self._too_slow(url)
            return response
        except requests.exceptions.SSLError as err:
            if guard.expired:
                raise self._too_slow(url) from err
            raise PyvmafError(
                f"{_host(url)} cannot prove that it is the server of this name ({_reason(err)}): nothing was fetched; get the "
                "file another way, and put it into the folder of the dataset"
            ) from err
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as err:
            raise InputError(f"{url!r} is not an address that can be fetched: {err}") from err
        except requests.exceptions.RequestException as err:
            if guard.expired:
                raise self._too_slow(url) from err
            raise _AgainError(f"{_host(url)} does not answer ({_reason(err)})") from err

    def _too_slow(self, url: str) -> _AgainError:
        return _AgainError(f"{_host(url)} has not sent the head of an answer in {self.limits.answer_s:g} s")


def get_text(client: Client, remote: Remote, most_bytes: int) -> bytes:
    """Return the bytes of a small file.

    Raises:
        InputError, IntegrityError, PyvmafError: as `download`.
    """
    for wait in _attempts(client.limits, remote):
        try:
            with client.get(remote) as answer:
                _check_status(remote, answer)
                data = b"".join(_blocks(client.limits, remote, answer, most_bytes))
                _check_length(answer, len(data))
                return data
        except _AgainError as err:
            wait(err)
    raise AssertionError("the last attempt raises")


def download(
    client: Client,
    remote: Remote,
    target: Path,
    work: Path,
    *,
    say: Say = lambda _line: None,
    advance: Advance | None = None,
) -> Got:
    """Get a file, or the rest of it, and give it its name when it is complete and as expected.

    Args:
        client: the client.
        remote: the file.
        target: the path that the file gets.
        work: folder, on the same file system, for the partial file, which stays there if the download fails.
        say: called with lines about what happens.
        advance: called with bytes that are done and in total, 0 if that is not known.

    Raises:
        InputError: there is no such file, the server must not be asked again, or it redirects where it must not.
        IntegrityError: the file is not the expected one, or not the kind of file that its name says.
        PyvmafError: the server cannot be reached, or breaks off again and again. What came stays, to be continued.
    """
    return _Download(client, remote, target, work, say, advance).run()


class _Download:
    """One file on its way."""

    def __init__(
        self, client: Client, remote: Remote, target: Path, work: Path, say: Say, advance: Advance | None
    ) -> None:
        self._client = client
        self._limits = client.limits
        self._remote = remote
        self._target = target
        name = sha256_bytes(f"{remote.url}\n{target.name}".encode())[:24]
        self._part = work / f"{name}.part"
        self._note = work / f"{name}.json"
        self._say = say
        self._advance = advance
        self._hosts: tuple[str, ...] = ()
        self._digest = hashlib.sha256()
        self._state = _State()
        self._ended = False

    def run(self) -> Got:
        """Get the file: see `download`."""
        self._part.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._run()
        except IntegrityError:
            self._reset()
            raise

    def _run(self) -> Got:
        self._resume()
        if self._state.offset:
            self._say(f"{self._remote.name}: continuing after {self._state.offset} bytes")
        restarts = self._limits.restarts
        furthest = self._state.offset
        waits = _attempts(self._limits, self._remote)
        wait = next(waits)
        while True:
            try:
                self._continue()
                return self._finish()
            except _AgainError as err:
                if err.restart:
                    self._say(f"{self._remote.name}: {err}: beginning again")
                    if not restarts:
                        raise IntegrityError(
                            f"{self._remote.url}: {err}; it began again {self._limits.restarts} times, and nothing was kept"
                        ) from err
                    restarts -= 1
                    self._reset()
                elif self._state.offset - furthest >= self._limits.least_bytes:
                    furthest = self._state.offset
                    waits = _attempts(self._limits, self._remote)
                    wait = next(waits)
                    self._say(f"{self._remote.name}: {err}: continuing after {furthest} bytes")
                else:
                    self._say(f"{self._remote.name}: {err}")
                wait(err)
                wait = next(waits)

    def _resume(self) -> None:
        """Find what an earlier run has got; what is not certain is got again."""
        try:
            self._state = _State(**read_json(self._note))
            with open(self._part, "rb+") as stream:
                left = self._state.offset
                while left and (block := stream.read(min(left, _BLOCK))):
                    self._digest.update(block)
                    left -= len(block)
                if left or self._digest.hexdigest() != self._state.sha256:
                    raise IntegrityError(f"{self._part} is damaged")
                stream.truncate(self._state.offset)
        except (PyvmafError, OSError, TypeError, AttributeError):
            self._reset()
            return
        if self._state.offset and self._state.condition is None and self._remote.sha256 is None:
            # Nothing tells this file from a later one under the same address.
            self._reset()

    def _reset(self) -> None:
        self._state = _State()
        self._digest = hashlib.sha256()
        self._ended = False
        self._note.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)

    def _checkpoint(self, stream: Any) -> None:
        stream.flush()
        os.fsync(stream.fileno())
        self._state.offset = stream.tell()
        self._state.sha256 = self._digest.hexdigest()
        write_json(self._note, vars(self._state), at_once=True)

    def _continue(self) -> None:
        """Send one request for what is missing, and append what comes."""
        if self._state.total is not None and self._state.offset == self._state.total and self._state.answers:
            return
        headers = {}
        if self._state.offset:
            headers["Range"] = f"bytes={self._state.offset}-"
            if self._state.condition is not None:
                headers["If-Range"] = self._state.condition
        with self._client.get(self._remote, headers) as answer:
            self._hosts = answer.hosts
            if self._state.offset and answer.status == 416:
                raise _AgainError(
                    f"the server has no bytes after {self._state.offset}, of {self._state.total or 'an unknown number'}",
                    restart=True,
                )
            _check_status(self._remote, answer)
            if answer.status == 206:
                self._check_part(answer)
            else:
                if self._state.offset:
                    self._say(f"{self._remote.name}: the server sends the whole file: beginning again")
                self._reset()
                self._begin(answer)
            self._receive(answer)

    def _begin(self, answer: _Answer) -> None:
        """Note the version and the size of the file that a whole answer has."""
        _, self._state.total = _lengths(answer)
        self._state.etag = answer.headers.get("ETag")
        self._state.modified = _settled(answer.headers)
        expected, total = self._remote.size, self._state.total
        if expected is not None and total is not None and total != expected:
            raise IntegrityError(
                f"{self._remote.url} has {total} bytes, but {expected} are expected: it is another file, or another "
                "version of it; nothing was kept"
            )
        most = self._remote.most_bytes
        if most is not None and total is not None and total > most:
            raise IntegrityError(f"{self._remote.url} has {total} bytes, but at most {most} are expected: refused")
        if total is not None:
            check_space(self._part.parent, total, self._remote.name)

    def _check_part(self, answer: _Answer) -> None:
        """Check that a part is the one that was asked for, and of the same version of the file."""
        state = self._state
        if not state.offset:
            raise _AgainError("the server sends a part of the file, for which nobody asked", restart=True)
        first, total = _content_range(answer.headers.get("Content-Range"))
        if first != state.offset:
            raise _AgainError(
                f"the server sends the bytes from {first}, but those from {state.offset} were asked for", restart=True
            )
        etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        for what, before, now in (
            ("size", state.total, total),
            ("ETag", state.etag, etag),
            ("modification time", state.modified, modified),
        ):
            if before is not None and now is not None and before != now:
                raise _AgainError(
                    f"the file on the server was replaced (its {what} was {shown(before)} and is {shown(now)})",
                    restart=True,
                )
        if self._remote.sha256 is None and (state.condition is None or state.condition not in (etag, modified)):
            raise _AgainError("the server does not say of which version of the file the rest is", restart=True)

    def _receive(self, answer: _Answer) -> None:
        """Append the body of an answer to the partial file."""
        length, _ = _lengths(answer)
        state = self._state
        start = state.offset
        most = self._remote.size if self._remote.size is not None else self._remote.most_bytes
        state.answers += 1
        with open(self._part, "ab") as stream:
            try:
                for block in _blocks(self._limits, self._remote, answer, None if most is None else most - start):
                    if stream.tell() == 0:
                        _check_beginning(self._remote, answer, block)
                    stream.write(block)
                    self._digest.update(block)
                    if self._advance is not None:
                        self._advance(stream.tell(), state.total or self._remote.size or 0)
                    if stream.tell() - state.offset >= self._limits.checkpoint:
                        self._checkpoint(stream)
            finally:
                self._checkpoint(stream)
        if length is not None and state.offset - start != length:
            raise _AgainError(f"the server broke off after {state.offset - start} of {length} bytes")
        if length is None and state.total is None:
            # Chunks end by a mark of their own. Else the end of the connection is the end, which a break is, too.
            self._ended = answer.headers.get("Transfer-Encoding") is not None
            state.total = state.offset

    def _finish(self) -> Got:
        """Check the whole file and give it its name."""
        state, remote = self._state, self._remote
        if state.offset == 0:
            self._reset()
            raise IntegrityError(f"{remote.url} is empty: nothing was kept")
        if remote.size is not None and state.offset != remote.size:
            self._refuse(f"has {state.offset} bytes", f"{remote.size} are expected")
        if remote.sha256 is not None and state.sha256 != remote.sha256:
            self._refuse(f"has SHA-256 {state.sha256}", f"{remote.sha256} is expected")
        if remote.md5 is not None and (md5 := _md5(self._part)) != remote.md5:
            self._refuse(f"has MD5 {md5}", f"the listing says {remote.md5}")
        if remote.sha256 is None and remote.md5 is None and remote.size is None:
            self._check_end()
        self._target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._part, self._target)
        self._note.unlink(missing_ok=True)
        return Got(state.sha256, state.offset, self._hosts)

    def _refuse(self, is_: str, expected: str) -> None:
        """Refuse the bytes that came; those of several answers are got once more in one.

        Raises:
            _AgainError: in the latter case.
            IntegrityError: otherwise.
        """
        if self._state.answers > 1:
            raise _AgainError(f"what came in {self._state.answers} parts {is_}, but {expected}", restart=True)
        self._reset()
        raise IntegrityError(
            f"{self._remote.url} {is_}, but {expected}: it is damaged or another version of the file; nothing was kept"
        )

    def _check_end(self) -> None:
        """Ask for bytes after the end of a file of which neither hash nor size are known.

        Raises:
            _AgainError: the server has more.
            IntegrityError: it does not say.
        """
        headers = {"Range": f"bytes={self._state.offset}-"}
        with self._client.get(self._remote, headers) as answer:
            if answer.status == 206:
                first, total = _content_range(answer.headers.get("Content-Range"))
                raise _AgainError(
                    f"the server said that the file has {self._state.offset} bytes, but has further ones from {first} "
                    f"(of {total or 'an unknown number'})",
                    restart=True,
                )
            if answer.status == 416:
                total = _unsatisfied(answer.headers.get("Content-Range"))
                if total is not None and total != self._state.offset:
                    raise _AgainError(
                        f"the server sent {self._state.offset} bytes, but says that the file has {total}", restart=True
                    )
                return
            if answer.status in _RETRIED:
                raise _AgainError(f"the server answers {answer.status}")
            length, _ = _lengths(answer)
            if answer.status == 200 and length is not None and length != self._state.offset:
                raise _AgainError(
                    f"the server sent {self._state.offset} bytes, but says that the file has {length}", restart=True
                )
            # A zip archive has its directory at its end, and checksums.
            if not self._ended and Path(self._remote.name).suffix.lower() != ".zip":
                raise IntegrityError(
                    f"{self._remote.url}: the server does not answer for parts of the file, and neither its size nor its "
                    "SHA-256 is known, so that nobody can tell whether it is complete: add bytes or sha256 to the corpus "
                    "file, or get it another way; nothing was kept"
                )


def _attempts(limits: Limits, remote: Remote) -> Iterator[Callable[[_AgainError], None]]:
    """Give for each attempt a function that waits after its failure; the last one gives up instead."""

    def wait(number: int) -> Callable[[_AgainError], None]:
        def after(err: _AgainError) -> None:
            pause = min(limits.pause_s * 2**number, limits.longest_pause_s)
            if err.wait_s is not None and err.wait_s > limits.longest_pause_s:
                raise PyvmafError(
                    f"{remote.url}: {err}, and asks to wait {err.wait_s:.0f} s: run the command again then; what came stays"
                ) from err
            if number + 1 >= limits.attempts:
                raise PyvmafError(
                    f"cannot fetch {remote.url}: {err} ({limits.attempts} attempts): check the network and run the command "
                    "again, which continues"
                ) from err
            time.sleep(max(pause, err.wait_s or 0))

        return after

    for number in range(limits.attempts):
        yield wait(number)


def _check_status(remote: Remote, answer: _Answer) -> None:
    """Refuse an answer that does not have the file.

    Raises:
        _AgainError: another attempt may succeed.
        InputError: none would.
    """
    if answer.status in _RETRIED:
        raise _AgainError(f"the server answers {answer.status}", wait_s=_retry_after(answer.headers.get("Retry-After")))
    if answer.status in (404, 410):
        raise InputError(f"{remote.url} does not exist (the server answers {answer.status}): correct the corpus file")
    if answer.status in (401, 403, 407):
        raise InputError(
            f"{remote.url} is not public (the server answers {answer.status}): get the file where its authors hand it out"
        )
    if answer.status not in (200, 206):
        raise InputError(f"{remote.url}: the server answers {answer.status}, which is not a file: nothing was kept")
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise IntegrityError(
            f"{remote.url} comes with the encoding {encoding!r}, though none was asked for: its bytes would not be those of "
            "the file; nothing was kept"
        )


def _check_beginning(remote: Remote, answer: _Answer, block: bytes) -> None:
    """Refuse a page of words where another kind of file is expected.

    Raises:
        IntegrityError: the content is not what the file's name says.
    """
    suffix = Path(remote.name).suffix.lower()
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    page = suffix not in (".html", ".htm", ".xml") and (kind == "text/html" or _PAGE.match(block))
    wrong = (suffix == ".zip" and not block.startswith(_ZIP)) or (
        is_video_name(remote.name) and suffix not in (".yuv", ".264", ".265") and not begins_as_video(block)
    )
    if page or wrong:
        what = "a web page" if page else f"not a {suffix} file"
        beginning = ascii(block[:60].decode("latin-1"))
        raise IntegrityError(
            f"{remote.url} gives {what} instead of {remote.name} (it begins with {beginning}): nothing was kept"
        )


def _blocks(limits: Limits, remote: Remote, answer: _Answer, most: int | None) -> Iterator[bytes]:
    """Give the bytes of an answer as they come.

    Args:
        limits: see `Limits`.
        remote: the file, for messages.
        answer: the answer.
        most: largest number of bytes.

    Raises:
        _AgainError: the server breaks off, or is too slow.
        IntegrityError: there are more than `most`.
    """
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    received, since, window = 0, time.monotonic(), 0
    while True:
        # A read that gets nothing ends after half of that; this ends one that gets a byte of something else now and then.
        answer.guard.extend(2 * limits.stall_s)
        try:
            block: bytes = answer.raw.read1(_BLOCK, decode_content=False)
        except ReadTimeoutError as err:
            raise _AgainError(f"nothing came for {limits.stall_s:g} s") from err
        except (HTTPError, OSError) as err:
            if answer.guard.expired:
                raise _AgainError(f"no byte of the file came in {2 * limits.stall_s:g} s") from err
            raise _AgainError(f"the connection broke ({_reason(err)})") from err
        if not block:
            if answer.guard.expired:
                raise _AgainError(f"no byte of the file came in {2 * limits.stall_s:g} s")
            return
        received += len(block)
        window += len(block)
        if most is not None and received > most:
            raise IntegrityError(f"{remote.url} sends more than the expected {most} bytes: refused; nothing was kept")
        yield block
        if (now := time.monotonic()) - since > limits.stall_s:
            if window < limits.least_bytes:
                raise _AgainError(f"{window} bytes came in {now - since:.0f} s, which is too slow")
            since, window = now, 0


def _check_length(answer: _Answer, received: int) -> None:
    length, _ = _lengths(answer)
    if length is not None and received != length:
        raise _AgainError(f"the server broke off after {received} of {length} bytes")


def _lengths(answer: _Answer) -> tuple[int | None, int | None]:
    """Return the number of bytes of an answer, and of the whole file; None if the server does not say."""
    text = answer.headers.get("Content-Length")
    length = int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text.strip()) else None
    if answer.headers.get("Transfer-Encoding") is not None:
        length = None
    if answer.status == 206:
        return length, _content_range(answer.headers.get("Content-Range"))[1]
    return length, length


def _content_range(text: str | None) -> tuple[int, int | None]:
    """Return the first byte of a part, and the size of the whole file if the server says it."""
    match = re.fullmatch(r"bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", (text or "").strip(), re.ASCII)
    if match is None or int(match[1]) > int(match[2]):
        raise _AgainError(f"the server sends a part of the file, but says {text!r} of it", restart=True)
    return int(match[1]), None if match[3] == "*" else int(match[3])


def _settled(headers: Any) -> str | None:
    """Return the modification time of a file; None if the file may have changed since in the same second."""
    modified = headers.get("Last-Modified")
    try:
        age = parsedate_to_datetime(headers.get("Date")) - parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        return None
    return str(modified) if age.total_seconds() >= _SETTLED_S else None


def _unsatisfied(text: str | None) -> int | None:
    match = re.fullmatch(r"bytes\s+\*/([0-9]{1,18})", (text or "").strip(), re.ASCII)
    return None if match is None else int(match[1])


def _retry_after(text: str | None) -> float | None:
    """Return the seconds that a server asks to wait, from a number or a date."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _redirect(remote: Remote, url: str, location: str) -> str:
    """Return the address to which a server redirects, if it may.

    Raises:
        InputError: it leads to another scheme, to a private network, or to a host that is not known for a file whose hash
            is not known.
    """
    target = urljoin(url, location)
    before, after = urlsplit(url).scheme, urlsplit(target)
    refused = f"{remote.url} redirects to {target[:200]!r}"
    if after.scheme != "https" and after.scheme != before:
        raise InputError(f"{refused}: only redirects to https are followed; nothing was fetched")
    if after.username is not None or not after.hostname:
        raise InputError(f"{refused}, which is not a public address: refused")
    if after.netloc == urlsplit(remote.url).netloc:
        return target
    if _is_private(after.hostname) and not _is_private(_host(remote.url)):
        raise InputError(f"{refused}, which lies in a private network: refused")
    if after.hostname != _host(remote.url) and after.hostname not in remote.hosts and remote.sha256 is None:
        raise InputError(
            f"{refused}, another host, and the SHA-256 of the file is not known: if this host is the authors', add it to "
            "`hosts` of the dataset in the corpus file"
        )
    return target


def _is_private(host: str) -> bool:
    """Return whether a host has an address that is not of the public network; an unknown host does not."""
    try:
        found = {item[4][0] for item in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)}
    except (OSError, UnicodeError):
        return False
    return any(not ipaddress.ip_address(str(address).partition("%")[0]).is_global for address in found)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _md5(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_base64(text: str) -> str | None:
    """Return the hexadecimal digits of an MD5 that is written in base64; None if it is not one."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data.hex() if len(data) == 16 else None


def _reason(err: BaseException) -> str:
    """Say in a few words why a request failed: the innermost error tells most."""
    seen: set[int] = set()
    inner: BaseException = err
    while id(inner) not in seen:
        seen.add(id(inner))
        candidates = [getattr(inner, "reason", None), *inner.args, inner.__cause__, inner.__context__]
        inner = next((item for item in candidates if isinstance(item, BaseException) and id(item) not in seen), inner)
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(re.sub(r"^<[^>]*>:?\s*", "", text).split())[:200]
