"""Downloads from a real server that behaves badly: no wrong byte is accepted, and no half-written file has the name."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyvmaf.corpora.http import Client, Got, Limits, Remote, download, get_text
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from tests.make.servers import OLD, Served, Server, running_server

DATA = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
QUICK = Limits(connect_s=5, stall_s=0.3, pause_s=0.01, longest_pause_s=0.05, checkpoint=20_000)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


class Fetcher:
    """Gets ``/a.bin`` into a folder of its own."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.target = folder / "out" / "a.bin"
        self.work = folder / "work"
        self.said: list[str] = []

    def __call__(self, limits: Limits = QUICK, path: str = "/a.bin", **remote: Any) -> Got:
        wanted = Remote(f"{self.server.url}{path}", remote.pop("name", "a.bin"), **remote)
        return download(Client(limits), wanted, self.target, self.work, say=self.said.append)

    def refused(self, error: type[PyvmafError], words: str, **remote: Any) -> None:
        """Check that the download fails with one line, and that nothing has the file's name."""
        with pytest.raises(error, match=words) as caught:
            self(**remote)
        assert "\n" not in str(caught.value)
        assert not self.target.exists()

    @property
    def statuses(self) -> list[int]:
        return [status for _, _, status in self.server.asked]


@pytest.fixture
def fetcher(server: Server, tmp_path: Path) -> Fetcher:
    return Fetcher(server, tmp_path)


def test_a_good_file(fetcher: Fetcher) -> None:
    fetcher.server.serve("/a.bin", DATA)
    assert fetcher() == Got(sha256(DATA), len(DATA))
    assert fetcher.target.read_bytes() == DATA
    assert not list(fetcher.work.iterdir())
    # The second request asks for bytes after the end.
    assert fetcher.statuses == [200, 416]


@pytest.mark.parametrize("known", [{}, {"sha256": sha256(DATA)}, {"size": len(DATA)}])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_server_that_breaks_off(fetcher: Fetcher, known: dict[str, Any], ranges: bool, chunked: bool) -> None:
    fetcher.server.serve("/a.bin", DATA, break_after=[100_000, 50_000, 1], ranges=ranges, chunked=chunked)
    if not (known or ranges or chunked):
        # Nothing says whether the length is the truth.
        fetcher.refused(
            IntegrityError, "nobody can tell whether it is complete: add bytes or sha256 to the corpus file"
        )
        return
    assert fetcher(**known).sha256 == sha256(DATA)
    assert fetcher.target.read_bytes() == DATA
    parts = [wanted for _, wanted, status in fetcher.server.asked if status == 206]
    assert bool(parts) == ranges


def test_a_server_that_always_breaks_off_at_the_same_byte(fetcher: Fetcher) -> None:
    fetcher.server.serve("/a.bin", DATA, break_after=[70_000] * 100, ranges=False)
    fetcher.refused(PyvmafError, r"broke off after 70000 of 300000 bytes|connection broke.*6 attempts.*continues")
    assert len(fetcher.server.asked) == 6


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("status", r"has not sent the head of an answer in 0\.3 s"),
        ("head", r"has not sent the head of an answer in 0\.3 s"),
        ("chunk", r"no byte of the file came in 0\.4 s"),
    ],
)
def test_a_server_that_never_ends_what_is_not_the_file(fetcher: Fetcher, part: str, words: str) -> None:
    fetcher.server.serve("/a.zip", DATA, endless=part)
    # Each byte comes in time for the time-out of a read.
    limits = Limits(connect_s=5, answer_s=0.3, stall_s=0.2, attempts=2, pause_s=0, longest_pause_s=0.01)
    before = threading.active_count()
    fetcher.refused(PyvmafError, words, path="/a.zip", name="a.zip", limits=limits)
    assert len(fetcher.server.asked) == 2
    # The clocks have ended; what is left are threads of the server.
    assert sum(thread.name.endswith("(_wait)") for thread in threading.enumerate()) == 0
    assert threading.active_count() <= before + 2


def test_a_long_download_is_not_limited_as_a_whole(fetcher: Fetcher) -> None:
    data = DATA[:60]
    fetcher.server.serve("/a.bin", data, trickle_s=0.02)
    got = fetcher(Limits(answer_s=0.5, stall_s=0.4, least_bytes=4))
    assert (got.size, fetcher.target.read_bytes()) == (60, data)


def test_a_server_that_stalls(fetcher: Fetcher) -> None:
    fetcher.server.serve("/a.bin", DATA, stall_after=[100_000, 0])
    started = time.monotonic()
    assert fetcher().sha256 == sha256(DATA)
    assert time.monotonic() - started < 20
    assert fetcher.statuses == [200, 206, 206, 416]


def test_a_server_that_is_too_slow(fetcher: Fetcher) -> None:
    fetcher.server.serve("/a.bin", DATA, trickle_s=0.05)
    fetcher.refused(
        PyvmafError,
        r"bytes came in 0 s, which is too slow \(2 attempts\)",
        limits=Limits(stall_s=0.3, attempts=2, pause_s=0.01, longest_pause_s=0.01),
    )


@pytest.mark.parametrize("length", ["400000", "200000", ""])
@pytest.mark.parametrize(
    "known",
    [{}, {"sha256": sha256(DATA)}, {"size": len(DATA)}, {"md5": hashlib.md5(DATA, usedforsecurity=False).hexdigest()}],
)
def test_a_server_that_lies_about_the_length(fetcher: Fetcher, known: dict[str, Any], length: str) -> None:
    """Once it tells the truth, all bytes are right; a wrong length alone is never accepted."""
    lying = fetcher.server.serve("/a.bin", DATA, length=length)
    lying.next = Served(DATA, etag=lying.etag)
    try:
        got = fetcher(**known)
    except PyvmafError as err:
        assert "\n" not in str(err)  # noqa: PT017
        assert not fetcher.target.exists()
        got = fetcher(**known)
    assert got == Got(sha256(DATA), len(DATA))
    assert fetcher.target.read_bytes() == DATA


@pytest.mark.parametrize("length", ["400000", "200000"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_never_tells_the_length(fetcher: Fetcher, length: str, ranges: bool) -> None:
    fetcher.server.serve("/a.bin", DATA, length=length, ranges=ranges)
    fetcher.refused(PyvmafError, "bytes|is expected", sha256=sha256(DATA))
    fetcher.refused(PyvmafError, "bytes")


def test_an_end_that_nobody_knows(fetcher: Fetcher) -> None:
    """Without length and ranges, a broken connection looks like the end."""
    fetcher.server.serve("/a.bin", DATA, length="", ranges=False, break_after=[100_000] * 100)
    fetcher.refused(IntegrityError, "nobody can tell whether it is complete")
    fetcher.refused(
        PyvmafError, f"has SHA-256 {sha256(DATA[:100_000])}, but {sha256(DATA)} is expected", sha256=sha256(DATA)
    )
    fetcher.server.serve("/a.bin", DATA, length="", ranges=False)
    assert fetcher(sha256=sha256(DATA)).size == len(DATA)
    # An archive says by itself whether it is complete: see `pyvmaf.corpora.archive`.
    fetcher.server.serve("/a.bin", b"PK\x03\x04" + DATA, length="", ranges=False)
    assert fetcher(name="a.zip").size == len(DATA) + 4


@pytest.mark.parametrize("shift", [1, -1, 100, -100_000])
def test_a_part_that_was_not_asked_for(fetcher: Fetcher, shift: int) -> None:
    fetcher.server.serve("/a.bin", DATA, break_after=[150_000] * 10, shift=shift)
    fetcher.refused(PyvmafError, "the server sends the bytes from|attempts|further ones from|begin")
    fetcher.server.serve("/a.bin", DATA)
    assert fetcher().sha256 == sha256(DATA)


@pytest.mark.parametrize(
    "versions",
    [
        ({"etag": '"one"'}, {"etag": '"two"'}),
        ({"etag": None, "modified": OLD}, {"etag": None, "modified": "Tue, 02 Jan 2024 00:00:00 GMT"}),
        ({"etag": 'W/"one"'}, {"etag": 'W/"two"'}),
        ({"etag": 'W/"one"'}, {"etag": 'W/"one"'}),
        ({"etag": None}, {"etag": None}),
        ({"etag": '"one"'}, {"etag": None}),
    ],
)
@pytest.mark.parametrize("obeys", [True, False])
def test_another_file_under_the_same_name(
    fetcher: Fetcher, versions: tuple[dict[str, str | None], dict[str, str | None]], obeys: bool
) -> None:
    """The halves of two files are never glued together, whatever the server does with If-Range."""
    first = fetcher.server.serve("/a.bin", DATA, break_after=[150_000], **versions[0])
    second = Served(OTHER, **versions[1])  # type: ignore[arg-type]
    if not obeys:
        # Sends the part of the other file in spite of the condition.
        second.headers["X-Obeys"] = "no"
        second.etag, etag = None, second.etag
        if etag:
            second.headers["ETag"] = etag
    first.next = second
    got = fetcher()
    assert (got.sha256, fetcher.target.read_bytes() == OTHER) == (sha256(OTHER), True)


def test_another_file_of_the_same_version_is_seen_by_its_hash(fetcher: Fetcher) -> None:
    first = fetcher.server.serve("/a.bin", DATA, etag='"same"', break_after=[150_000])
    first.next = Served(OTHER, etag='"same"')
    fetcher.refused(
        IntegrityError, rf"has SHA-256 {sha256(OTHER)}, but {sha256(DATA)} is expected", sha256=sha256(DATA)
    )
    assert not list(fetcher.work.iterdir())


def test_another_file_than_the_pinned_one(fetcher: Fetcher) -> None:
    fetcher.server.serve("/a.bin", OTHER)
    fetcher.refused(
        IntegrityError, rf"has SHA-256 {sha256(OTHER)}, but {sha256(DATA)} is expected", sha256=sha256(DATA)
    )
    fetcher.refused(IntegrityError, "has 300000 bytes, but 299999 are expected", size=299_999)
    fetcher.refused(IntegrityError, "has MD5 .*the listing says 00", md5="00" * 16)
    fetcher.refused(IntegrityError, "has 300000 bytes, but at most 1000 are expected", most_bytes=1000)
    fetcher.server.serve("/a.bin", OTHER, chunked=True)
    fetcher.refused(IntegrityError, "sends more than the expected 1000 bytes", most_bytes=1000)
    fetcher.refused(IntegrityError, "sends more than the expected 1000 bytes", size=1000)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_answers_after_which_it_tries_again(fetcher: Fetcher, status: int) -> None:
    good = fetcher.server.serve("/a.bin", DATA, statuses=[(status, {}, b"later"), (status, {"Retry-After": "0"}, b"")])
    assert fetcher().sha256 == sha256(DATA)
    good.statuses = [(status, {}, b"later")] * 100
    fetcher.target.unlink()
    fetcher.refused(PyvmafError, rf"the server answers {status} \(6 attempts\)")


def test_a_server_that_asks_to_wait_too_long(fetcher: Fetcher) -> None:
    good = fetcher.server.serve("/a.bin", DATA, statuses=[(503, {"Retry-After": "3600"}, b"")])
    fetcher.refused(PyvmafError, "asks to wait 3600 s")
    assert fetcher.statuses == [503]
    good.statuses = [(503, {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, b"")]
    fetcher.refused(PyvmafError, r"asks to wait \d{7,} s")
    good.statuses = [(503, {"Retry-After": "soon"}, b"")]
    assert fetcher().sha256 == sha256(DATA)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "does not exist"),
        (410, "does not exist"),
        (401, "is not public"),
        (403, "is not public"),
        (418, "answers 418"),
        (204, "answers 204"),
        (304, "answers 304"),
        (302, "answers 302"),
    ],
)
def test_answers_that_end_it(fetcher: Fetcher, status: int, words: str) -> None:
    fetcher.server.serve("/a.bin", DATA, statuses=[(status, {}, b"")])
    fetcher.refused(InputError, words)
    assert fetcher.statuses == [status]
    # And nothing is in the way of a later call.
    assert fetcher().sha256 == sha256(DATA)


def test_a_page_instead_of_a_file(fetcher: Fetcher) -> None:
    page = b"\n<!DOCTYPE html><html><body>Sorry</body></html>"
    fetcher.server.serve("/a.bin", page)
    fetcher.refused(IntegrityError, "gives a web page instead of a.bin")
    fetcher.server.serve("/a.bin", b"plain words", headers={"Content-Type": "text/html; charset=utf-8"})
    fetcher.refused(IntegrityError, "gives a web page instead of a.bin")
    fetcher.server.serve("/a.bin", b"plain words")
    fetcher.refused(IntegrityError, r"gives not a \.zip file instead of a\.zip", name="a.zip")
    fetcher.refused(
        IntegrityError, r"gives not a \.mp4 file instead of a\.mp4 \(it begins with 'plain words'\)", name="a.mp4"
    )
    fetcher.server.serve("/a.bin", b"")
    fetcher.refused(IntegrityError, "is empty")


def test_an_encoding_that_nobody_asked_for(fetcher: Fetcher) -> None:
    fetcher.server.serve("/a.bin", DATA, headers={"Content-Encoding": "gzip"})
    fetcher.refused(IntegrityError, "comes with the encoding 'gzip'")


def test_redirects(fetcher: Fetcher, tmp_path: Path) -> None:
    server = fetcher.server
    server.serve("/b.bin", DATA)

    def redirect(where: str) -> None:
        server.serve("/a.bin", b"", statuses=[(302, {"Location": where}, b"")] * 10)

    for place in ("/b.bin", "b.bin", f"{server.url}/b.bin"):
        redirect(place)
        assert fetcher().sha256 == sha256(DATA)
        fetcher.target.unlink()
    redirect("/a.bin")
    fetcher.refused(InputError, "redirects more than 5 times")
    for place in ("file:///etc/passwd", "ftp://127.0.0.1/b.bin", "gopher://x/"):
        redirect(place)
        fetcher.refused(InputError, "only redirects to https are followed")
    redirect(f"http://user:word@127.0.0.1:{server.server_port}/b.bin")
    fetcher.refused(InputError, "is not a public address")


def test_a_redirect_to_another_host(fetcher: Fetcher) -> None:
    """Localhost is another name of this machine: another host, though the same server."""
    server = fetcher.server
    server.serve("/b.bin", DATA)
    elsewhere = f"http://localhost:{server.server_port}/b.bin"
    server.serve("/a.bin", b"", statuses=[(307, {"Location": elsewhere}, b"")] * 10)
    fetcher.refused(InputError, "another host, and the SHA-256 of the file is not known: .*`hosts` of the dataset")
    assert fetcher(sha256=sha256(DATA)) == Got(sha256(DATA), len(DATA), ("localhost",))
    fetcher.target.unlink()
    assert fetcher(hosts=("localhost",)).redirected_to == ("localhost",)
    fetcher.target.unlink()
    fetcher.refused(IntegrityError, "is expected", sha256=sha256(OTHER))


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1/x",
        "http://localhost/x",
        "http://10.0.0.1/x",
        "http://169.254.169.254/latest",
        "http://[::1]/x",
        "http://192.168.1.1/x",
        "http://0.0.0.0/x",
        "http://2130706433/x",
        "http://[::ffff:127.0.0.1]/x",
    ],
)
def test_a_public_address_never_leads_into_a_private_network(place: str) -> None:
    from pyvmaf.corpora.http import _redirect

    public = Remote("http://192.0.43.8/a.bin", "a.bin", sha256="0" * 64)
    with pytest.raises(InputError, match="lies in a private network: refused"):
        _redirect(public, public.url, place)
    with pytest.raises(InputError, match="only redirects to https"):
        _redirect(Remote("https://192.0.43.8/a.bin", "a.bin", sha256="0" * 64), "https://192.0.43.8/a.bin", place)


def test_a_redirect_to_https_is_followed() -> None:
    from pyvmaf.corpora.http import _redirect

    for scheme in ("http", "https"):
        remote = Remote(f"{scheme}://192.0.43.8/a.bin", "a.bin", hosts=("192.0.43.9",))
        for target in ("https://192.0.43.8/b.bin", "https://192.0.43.9/b.bin"):
            assert _redirect(remote, remote.url, target) == target


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"]
)
def test_a_server_that_falls_silent(tmp_path: Path, said: bytes) -> None:
    """Before its answer, within its headers, or before the first byte of the file."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        kept = []

        def serve() -> None:
            for _ in range(2):
                connection = listener.accept()[0]
                connection.sendall(said)
                kept.append(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        remote = Remote(f"http://127.0.0.1:{listener.getsockname()[1]}/a.bin", "a.bin")
        limits = Limits(connect_s=1, stall_s=0.3, attempts=2, pause_s=0)
        started = time.monotonic()
        with pytest.raises(PyvmafError, match=r"\(2 attempts\)"):
            download(Client(limits), remote, tmp_path / "a.bin", tmp_path / "work")
        assert time.monotonic() - started < 20
        thread.join()
        for connection in kept:
            connection.close()
    assert not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize(
    "said", [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", b"\x00" * 70_000]
)
def test_a_server_that_does_not_speak_http(tmp_path: Path, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def serve() -> None:
            for _ in range(2):
                with listener.accept()[0] as connection:
                    connection.recv(1000)
                    connection.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        remote = Remote(f"http://127.0.0.1:{listener.getsockname()[1]}/a.bin", "a.bin")
        with pytest.raises(PyvmafError, match=r"127\.0\.0\.1 does not answer \(.*\) \(2 attempts\)") as caught:
            download(Client(Limits(stall_s=5, attempts=2, pause_s=0)), remote, tmp_path / "a.bin", tmp_path / "work")
        assert "\n" not in str(caught.value)
        thread.join()


def test_a_server_that_is_not_there(fetcher: Fetcher) -> None:
    fetcher.server.shutdown()
    fetcher.server.server_close()
    fetcher.refused(
        PyvmafError, r"127\.0\.0\.1 does not answer \(Connection refused\) \(6 attempts\): check the network"
    )


def test_a_certificate_that_nobody_signed(fetcher: Fetcher, tmp_path: Path) -> None:
    """A server without TLS stands for one whose identity cannot be checked."""
    remote = Remote(f"https://127.0.0.1:{fetcher.server.server_port}/a.bin", "a.bin")
    with pytest.raises(
        PyvmafError,
        match=r"127\.0\.0\.1 cannot prove that it is the server of this name \(.*put it into the folder of the dataset",
    ):
        download(Client(QUICK), remote, fetcher.target, fetcher.work)
    assert not fetcher.target.exists()


def test_it_continues_after_it_was_killed(server: Server, tmp_path: Path) -> None:
    server.serve("/a.bin", DATA, stall_after=[200_000])
    program = """
        import sys
        from pathlib import Path
        from pyvmaf.corpora.http import Client, Limits, Remote, download
        url, folder = sys.argv[1], Path(sys.argv[2])
        download(Client(Limits(checkpoint=20_000)), Remote(url, "a.bin"), folder / "a.bin", folder / "work")
    """
    words = [sys.executable, "-c", textwrap.dedent(program), f"{server.url}/a.bin", str(tmp_path)]
    process = subprocess.Popen(words)
    part = tmp_path / "work"
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size >= 190_000 for path in part.glob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a.bin").exists()
    got = download(Client(QUICK), Remote(f"{server.url}/a.bin", "a.bin"), tmp_path / "a.bin", part)
    assert got.sha256 == sha256(DATA)
    first = [wanted for _, wanted, status in server.asked if status == 206]
    assert int(str(first[0]).removeprefix("bytes=").removesuffix("-")) >= 100_000


@pytest.mark.parametrize("damage", ["part", "shorter", "note", "foreign", "number"])
def test_a_damaged_partial_file_is_got_again(fetcher: Fetcher, damage: str) -> None:
    good = fetcher.server.serve("/a.bin", DATA, break_after=[150_000] * 20, ranges=False)
    fetcher.refused(PyvmafError, "attempts")
    [part], [note] = fetcher.work.glob("*.part"), fetcher.work.glob("*.json")
    data = bytearray(part.read_bytes())
    if damage == "part":
        data[1000] ^= 1
        part.write_bytes(data)
    elif damage == "shorter":
        os.truncate(part, 1000)
    elif damage == "note":
        note.write_text("{")
    elif damage == "foreign":
        note.write_text('{"a": 1}')
    else:
        note.write_text(json.dumps({**json.loads(note.read_text()), "etag": 5, "offset": "many"}))
    good.break_after, good.ranges = [], True
    assert fetcher().sha256 == sha256(DATA)
    assert fetcher.target.read_bytes() == DATA


def test_small_files(server: Server) -> None:
    client, remote = Client(QUICK), Remote(f"{server.url}/a.json", "a.json")
    good = server.serve("/a.json", b"{}", statuses=[(503, {}, b"")])
    assert get_text(client, remote, 100) == b"{}"
    good.break_after = [1]
    assert get_text(client, remote, 100) == b"{}"
    server.serve("/a.json", b"{}" * 100)
    with pytest.raises(IntegrityError, match="sends more than the expected 100 bytes"):
        get_text(client, remote, 100)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    breaks=st.lists(st.integers(0, 4000), max_size=6),
    swaps=st.lists(st.integers(0, 1), max_size=4),
    etags=st.sampled_from(["good", "weak", "none", "same"]),
    obeys=st.booleans(),
    chunked=st.booleans(),
    length=st.sampled_from([None, "", "3000", "5000"]),
    ranges=st.booleans(),
    shift=st.sampled_from([0, 0, 0, 7, -7]),
    pinned=st.booleans(),
)
def test_whatever_the_server_does(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    breaks: list[int],
    swaps: list[int],
    etags: str,
    obeys: bool,
    chunked: bool,
    length: str | None,
    ranges: bool,
    shift: int,
    pinned: bool,
) -> None:
    """What gets the name is one of the two files, whole; with a pin it is the pinned one."""
    versions = [DATA[:4000], OTHER[:4000]]
    answers = iter([*swaps, 0, 0, 0])

    def answer(_path: str) -> Served:
        number = next(answers, 0)
        data = versions[number]
        etag = {"good": f'"{number}"', "weak": f'W/"{number}"', "none": None, "same": 'W/"x"'}[etags]
        served = Served(data, etag=etag if obeys else None, chunked=chunked, length=length, shift=shift, ranges=ranges)
        if not obeys and etag:
            served.headers["ETag"] = etag
        served.break_after = [breaks.pop(0)] if breaks else []
        return served

    server.files["/a.bin"] = answer
    folder = tmp_path_factory.mktemp("whatever")
    remote = Remote(f"{server.url}/a.bin", "a.bin", sha256=sha256(versions[0]) if pinned else None)
    limits = Limits(stall_s=1, pause_s=0, longest_pause_s=0.01, attempts=4, checkpoint=500)
    target = folder / "a.bin"
    try:
        got = download(Client(limits), remote, target, folder / "work")
    except PyvmafError as err:
        assert "\n" not in str(err)  # noqa: PT017
        assert not target.exists()
    else:
        data = target.read_bytes()
        assert data in (versions[:1] if pinned else versions)
        assert got == Got(sha256(data), len(data))
