"""Datasets from a real server into a folder, by the command."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from pyvmaf.corpora.fetched import FetchManifest, LicenceAccepted
from pyvmaf.corpora.http import Limits
from pyvmaf.corpora.obtain import Options, obtain
from pyvmaf.corpora.spec import load_corpus, parse_corpus
from pyvmaf.errors import InputError
from tests.make.archives import zipped
from tests.make.commands import Done, command, refusal
from tests.make.servers import Served, Server, running_server
from tests.make.workflows import snakemake

Make = Callable[..., Path]
REPOSITORY = Path(__file__).parents[2]
DATASETS = ("nflx", "konvid-1k", "live-vqc", "youtube-ugc", "bvi-dvc")
QUICK = Limits(connect_s=5, stall_s=0.3, pause_s=0.01, longest_pause_s=0.05, checkpoint=20_000)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


class Place:
    """A working folder with corpus files, and a folder of datasets elsewhere."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder / "run"
        self.data = folder / "data" / "datasets"
        self.server = server
        (self.folder / "config" / "corpora").mkdir(parents=True)

    def describe(self, name: str = "small", **dataset: Any) -> Path:
        """Write a corpus file of a dataset."""
        section = {
            "use": ["C2"],
            "purpose": "p",
            "layout": "*.mp4",
            "origin": "ask the authors",
            "terms": "Be nice.",
            **dataset,
        }
        root = f"${{VMAF_DATA_ROOT:-~/.cache/vmaf-train}}/datasets/{name}"
        keys = {"name": name, "kind": "folder", "license": "CC0", "root": root, "dataset": section}
        path = self.folder / "config" / "corpora" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(keys, sort_keys=False))
        return path

    def fetch(self, *words: object, name: str = "small") -> Done:
        return command("fetch", "--corpus", name, *words, cwd=self.folder)

    def refusal(self, *words: object, name: str = "small") -> str:
        return refusal("fetch", "--corpus", name, *words, cwd=self.folder)

    def files(self, name: str = "small") -> dict[str, bytes]:
        root = self.data / name
        return {
            path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
        }

    def manifest(self, name: str = "small") -> FetchManifest:
        return FetchManifest.read(self.data / name / "fetch_manifest.json")


RECORDS = {"fetch_manifest.json", "fetch_manifest.json.manifest.json", "licence_accepted.json"}


@pytest.fixture
def place(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("VMAF_DATA_ROOT", str(tmp_path / "data"))
    return Place(tmp_path, server)


@pytest.fixture
def video(make_video: Make) -> bytes:
    return make_video("small.mp4", "64x48", 5).read_bytes()


@pytest.fixture
def archives(place: Place, video: bytes) -> dict[str, bytes]:
    """Two archives, as KoNViD-1k has them, and the corpus file."""
    other = video + b"\0\0\0\x08free"
    files = {
        "videos.zip": zipped({"V/1.mp4": video, "V/2.mp4": other, "__MACOSX/V/._1.mp4": b"junk", "V/readme.txt": b"r"}),
        "meta.zip": zipped({"M/mos.csv": b"id,mos\n1,3.5\n"}),
    }
    for name, data in files.items():
        place.server.serve(f"/{name}", data)
    place.describe(
        videos=2,
        disk_bytes=10_000_000,
        downloads=[
            {"file": "videos.zip", "url": f"{place.server.url}/videos.zip", "members": r"V/[^/]+\.mp4"},
            {"file": "meta.zip", "url": f"{place.server.url}/meta.zip", "members": r"M/[^/]+\.csv"},
        ],
    )
    return files


def test_archives_are_fetched_unpacked_recorded_scanned_and_used(
    place: Place, archives: dict[str, bytes], video: bytes
) -> None:
    done = place.fetch("--accept-licence")
    assert done.returncode == 0, done.stderr
    root = place.data / "small"
    assert done.stdout == f"{root}/fetch_manifest.json: 3 files; next: vmaf-train manifest-scan --dataset small\n"
    files = place.files()
    assert files.keys() - RECORDS == {"V/1.mp4", "V/2.mp4", "M/mos.csv"}
    assert files["V/1.mp4"] == video
    manifest = place.manifest()
    assert {item.path: item.sha256 for item in manifest.files} == {
        path: sha256(data) for path, data in files.items() if path not in RECORDS
    }
    found = {item.file: (item.sha256, item.members, item.unpacked, item.kept) for item in manifest.archives}
    assert found == {
        "videos.zip": (sha256(archives["videos.zip"]), 4, 2, False),
        "meta.zip": (sha256(archives["meta.zip"]), 1, 1, False),
    }
    # The same bytes of everything that is recorded, in another folder of datasets; no clock, no place.
    text = (root / "fetch_manifest.json").read_text()
    assert str(place.data) not in text
    again = place.fetch()
    assert again.returncode == 0, again.stderr
    assert "Be nice" not in again.stderr
    assert "fetching" not in again.stderr
    assert len([path for path, _, _ in place.server.asked if path == "/videos.zip"]) == 2

    unscanned = refusal("prepare", "--corpus", "small", cwd=place.folder)
    assert "has no entries" in unscanned
    assert unscanned.endswith("vmaf-train manifest-scan --dataset small")
    scanned = command("manifest-scan", "--dataset", "small", cwd=place.folder)
    assert scanned.returncode == 0, scanned.stderr
    assert scanned.stdout == "config/corpora/small.yaml: 2 clips of 2 sources, 2 of them new\n"
    corpus = load_corpus(place.folder / "config" / "corpora" / "small.yaml")
    assert {item.path: item.sha256 for item in corpus.pinned} == {
        path: sha256(files[path]) for path in ("V/1.mp4", "V/2.mp4")
    }
    assert corpus.dataset is not None
    assert command("prepare", "--corpus", "small", cwd=place.folder).returncode == 0
    assert place.fetch().stdout == "results/corpora/small/.packages/fetched.json: 2 files, all as pinned\n"
    (root / "V" / "1.mp4").write_bytes(video[:-1] + b"x")
    assert "is pinned" in place.refusal()


def test_terms_are_shown_once_and_accepted(place: Place, archives: dict[str, bytes]) -> None:
    message = place.refusal()
    assert message == (
        "the terms of small (CC0) are not accepted yet: read them above and add --accept-licence; nothing was fetched"
    )
    assert place.files() == {}
    assert place.server.asked == []
    assert place.fetch("--accept-licence").returncode == 0
    record = LicenceAccepted.read(place.data / "small" / "licence_accepted.json")
    assert (record.terms, record.license, record.by) == ("Be nice.", "CC0", "option")
    # Other terms have to be accepted again.
    path = place.folder / "config" / "corpora" / "small.yaml"
    path.write_text(path.read_text().replace("Be nice", "Be nicer"))
    assert "are not accepted yet" in place.refusal()


def test_terms_are_asked_for_on_a_terminal(place: Place, archives: dict[str, bytes]) -> None:
    corpus, root = load_corpus(place.folder / "config" / "corpora" / "small.yaml"), place.data / "small"
    assert corpus.dataset is not None
    shown: list[str] = []
    with pytest.raises(InputError, match="were not accepted: nothing was fetched"):
        obtain(corpus, corpus.dataset, root, Options(ask=lambda _question: False), say=shown.append)
    assert shown == ["small: CC0", "Be nice."]
    asked: list[str] = []
    obtain(corpus, corpus.dataset, root, Options(limits=QUICK, ask=lambda text: not asked.append(text)))  # type: ignore[func-returns-value]
    assert asked == ["Do you accept the terms of small?"]
    assert LicenceAccepted.read(root / "licence_accepted.json").by == "terminal"


def test_archives_are_kept_if_asked(place: Place, archives: dict[str, bytes]) -> None:
    assert place.fetch("--accept-licence", "--keep-zips").returncode == 0
    assert place.files()["videos.zip"] == archives["videos.zip"]
    assert [item.kept for item in place.manifest().archives] == [True, True]
    asked = len(place.server.asked)
    (place.data / "small" / "V" / "1.mp4").unlink()
    done = place.fetch()
    assert done.returncode == 0, done.stderr
    # What is missing comes from the archive that was kept.
    assert len(place.server.asked) == asked
    assert "V/1.mp4" in place.files()


def test_what_is_missing_or_damaged_is_fetched_again(place: Place, archives: dict[str, bytes], video: bytes) -> None:
    assert place.fetch("--accept-licence").returncode == 0
    before = place.files()
    (place.data / "small" / "V" / "1.mp4").write_bytes(b"damaged")
    (place.data / "small" / "V" / "2.mp4").unlink()
    done = place.fetch()
    assert done.returncode == 0, done.stderr
    assert "is not what was fetched" in done.stderr
    assert place.files() == before
    # The server has another archive by now: its hash is not the recorded one.
    (place.data / "small" / "V" / "2.mp4").unlink()
    place.server.serve("/videos.zip", zipped({"V/1.mp4": video, "V/2.mp4": video + b"new"}))
    message = place.refusal()
    assert f"but {sha256(archives['videos.zip'])} is expected" in message
    assert "V/2.mp4" not in place.files()


def test_the_users_own_files_are_never_replaced(place: Place, archives: dict[str, bytes], video: bytes) -> None:
    own = place.data / "small" / "V" / "1.mp4"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert "1.mp4 exists, and fetch did not get it" in place.refusal("--accept-licence")
    assert own.read_bytes() == b"mine"
    # The same bytes are as good as fetched ones.
    own.write_bytes(video)
    assert place.fetch().returncode == 0
    assert place.manifest().files[1].sha256 == sha256(video)


def test_an_archive_that_the_user_has(place: Place, archives: dict[str, bytes], tmp_path: Path) -> None:
    names = {
        f"{tier}{scene}_{size}_25fps_10bit_420.mp4": f"{tier}{scene}".encode()
        for tier, size in (("A", "384x216"), ("D", "48x27"))
        for scene in ("One", "Two")
    }
    mine = tmp_path / "BVI-DVC.zip"
    mine.write_bytes(zipped({**{f"Videos/{name}": data for name, data in names.items()}, "Videos/readme.txt": b"r"}))
    spec = yaml.safe_load((REPOSITORY / "config" / "corpora" / "bvi-dvc.yaml").read_text())
    (place.folder / "config" / "corpora" / "bvi-dvc.yaml").write_text(yaml.safe_dump(spec))
    message = place.refusal("--accept-licence", name="bvi-dvc")
    assert "BVI-DVC.zip of bvi-dvc has no public address: the Bristol Vision Institute" in message
    assert message.endswith("vmaf-train fetch --corpus bvi-dvc --archive PATH/BVI-DVC.zip")
    done = place.fetch("--archive", mine, "--members", "D*", "--accept-licence", name="bvi-dvc")
    assert done.returncode == 0, done.stderr
    assert place.files("bvi-dvc").keys() - RECORDS == {f"Videos/{name}" for name in names if name.startswith("D")}
    done = place.fetch("--archive", mine, name="bvi-dvc")
    assert done.returncode == 0, done.stderr
    assert place.files("bvi-dvc").keys() - RECORDS == {f"Videos/{name}" for name in names}
    assert mine.exists()
    [record] = place.manifest("bvi-dvc").archives
    assert (record.url, record.sha256, record.members, record.unpacked) == (None, sha256(mine.read_bytes()), 5, 4)
    assert place.fetch(name="bvi-dvc").returncode == 0
    assert "no member of BVI-DVC.zip is called as" in place.refusal(
        "--archive", mine, "--members", "X*", name="bvi-dvc"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"../V/1.mp4": b"x"}, "outside of its folder"),
        ({"V/1.mp4": bytes(30 << 20)}, "more than 100 for one"),
        ({"W/1.mp4": b"x"}, "no member of videos.zip is called as"),
    ],
)
def test_archives_that_are_refused(
    place: Place, archives: dict[str, bytes], content: dict[str, bytes], words: str
) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in content.items():
            bundle.writestr(name, data)
    place.server.serve("/videos.zip", stream.getvalue())
    assert words in place.refusal("--accept-licence")
    assert not [path for path in place.files() if path.endswith(".mp4")]
    assert not (place.data / "V").exists()


def test_a_damaged_archive_is_not_kept(place: Place, archives: dict[str, bytes]) -> None:
    whole = archives["videos.zip"]
    damaged = bytearray(whole)
    damaged[100] ^= 1
    for data in (whole[:-500], bytes(damaged)):
        place.server.serve("/videos.zip", data)
        assert "is not an undamaged zip archive" in place.refusal("--accept-licence")
        assert not [path for path in place.files() if path.endswith((".mp4", ".zip"))]
    place.server.serve("/videos.zip", whole)
    assert place.fetch().returncode == 0


def test_there_has_to_be_space(place: Place, archives: dict[str, bytes]) -> None:
    free = shutil.disk_usage(place.folder).free
    path = place.folder / "config" / "corpora" / "small.yaml"
    path.write_text(path.read_text().replace("disk_bytes: 10000000", f"disk_bytes: {free * 2}"))
    message = place.refusal("--accept-licence")
    assert f"small needs up to {free * 2} bytes (" in message
    assert "GB) are free in " in message
    assert place.server.asked == []
    assert not place.files().keys() - RECORDS


def test_plain_files_pins_and_options(place: Place) -> None:
    data = b"key,mos\na,3\n"
    place.server.serve("/scores.csv", data)

    def describe(**more: Any) -> None:
        place.describe(downloads=[{"file": "x/scores.csv", "url": f"{place.server.url}/scores.csv", **more}])

    describe(sha256="0" * 64)
    assert f"has SHA-256 {sha256(data)}, but {'0' * 64} is expected" in place.refusal("--accept-licence")
    describe(bytes=5)
    assert "has 12 bytes, but 5 are expected" in place.refusal()
    describe(sha256=sha256(data), bytes=12)
    assert place.fetch().returncode == 0
    assert place.files()["x/scores.csv"] == data
    for words in (["--keep-zips"], ["--members", "D*"], ["--archive", "nowhere.zip"]):
        assert "is for archives, but small does not come in one: leave it out" in place.refusal(*words)
    assert "--n-stems selects from a bucket" in place.refusal("--n-stems", 3)


def test_a_dataset_without_an_address(place: Place) -> None:
    place.describe()
    message = place.refusal()
    assert "small has no public address: ask the authors; put its files into" in message
    assert message.endswith("vmaf-train manifest-scan --dataset small")
    assert "does not exist: put the files of small there (ask the authors), or give --root" in refusal(
        "manifest-scan", "--dataset", "small", cwd=place.folder
    )


def test_two_at_once(place: Place, archives: dict[str, bytes]) -> None:
    work = place.data / "small" / ".fetch"
    work.mkdir(parents=True)
    import fcntl

    handle = os.open(work, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert "another fetch is at work in" in place.refusal("--accept-licence")
    finally:
        os.close(handle)
    assert place.fetch().returncode == 0


def test_it_goes_on_after_it_was_killed(place: Place, video: bytes) -> None:
    """Killed again and again, it comes to the same files and the same record as in one go."""
    payload = {f"V/{number}.mp4": video + random.Random(number).randbytes(60_000) for number in range(6)}
    archive = zipped(payload)
    place.server.serve("/videos.zip", archive)
    files = {f"f{number}.csv": f"a,b\n{number},".encode() + b"1" * 50_000 for number in range(5)}
    for name, data in files.items():
        place.server.serve(f"/{name}", data)
    place.describe(
        downloads=[
            *({"file": name, "url": f"{place.server.url}/{name}"} for name in files),
            {"file": "videos.zip", "url": f"{place.server.url}/videos.zip", "members": r"V/[^/]+\.mp4"},
        ]
    )
    assert place.fetch("--accept-licence").returncode == 0
    expected = {name: data for name, data in place.files().items() if not name.endswith(".manifest.json")}
    shutil.rmtree(place.data)
    words = [sys.executable, "-m", "pyvmaf", "fetch", "--corpus", "small", "--accept-licence"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    whole = {**payload, **files, "videos.zip": archive}

    def killed(path: str, after_s: float) -> int | None:
        """The exit status of a run that is killed so long after it asked for a file."""
        asked = len(place.server.asked)
        process = subprocess.Popen(
            words, cwd=place.folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        while process.poll() is None and not any(entry[0] == path for entry in place.server.asked[asked:]):
            time.sleep(0.001)
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for name, data in place.files().items():
            if name in whole:
                assert data == whole[name], f"{name} is not whole"
        return process.returncode

    # While a file is on its way, and then anywhere between the archive's first byte and the end.
    stalls = [("/f2.csv", 100), ("/f4.csv", 40_000), ("/videos.zip", 5_000), ("/videos.zip", len(archive) // 2)]
    for path, length in stalls:
        stalled = place.server.files[path]
        assert isinstance(stalled, Served)
        stalled.stall_after[:] = [length]
        assert killed(path, 0.05) == -signal.SIGKILL
        stalled.stall_after.clear()
    for after_s in (0, 0.01, 0.03, 0.1):
        killed("/videos.zip", after_s)
    assert place.fetch("--accept-licence").returncode == 0
    assert {name: data for name, data in place.files().items() if not name.endswith(".manifest.json")} == expected


def _die_before(changes: tuple[str, ...], most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End this process in place of a call of functions of `os`, after so many calls of them."""
    left = iter(range(most))

    def wrapped(plain: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *words, **keys: plain(*words, **keys) if next(left, None) is not None else os._exit(9)

    for name in changes:
        monkeypatch.setattr(os, name, wrapped(getattr(os, name)))


def test_it_goes_on_wherever_it_was_killed(place: Place, video: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before each change of a name, one after another: some windows are too short to be met by chance."""
    place.server.serve("/videos.zip", zipped({f"V/{number}.mp4": video + bytes([number]) for number in range(2)}))
    place.server.serve("/a.csv", b"a,b\n")
    place.describe(
        downloads=[
            {"file": "a.csv", "url": f"{place.server.url}/a.csv"},
            {"file": "videos.zip", "url": f"{place.server.url}/videos.zip", "members": r"V/[^/]+\.mp4"},
        ]
    )
    assert place.fetch("--accept-licence").returncode == 0
    expected = place.files().keys()
    changes = ("replace", "rename", "link", "unlink", "rmdir")
    for most in range(200):
        shutil.rmtree(place.data)
        if (child := os.fork()) == 0:
            try:
                _die_before(changes, most, monkeypatch)
                place.fetch("--accept-licence")
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        done = place.fetch("--accept-licence")
        assert done.returncode == 0, f"killed before change {most + 1}: {done.stderr}"
        assert place.files().keys() == expected, f"killed before change {most + 1}"
        if status == 0:
            break
    assert 10 < most < 199


# --- buckets ----------------------------------------------------------------------------------------------------------

PARTS = {"orig": "_orig.mp4", "cbr": "_cbr.webm", "vod": "_vod.webm", "vodlb": "_vodlb.webm"}


@pytest.fixture
def bucket(place: Place, make_video: Make) -> dict[str, bytes]:
    """A bucket of 40 stems, listed in pages of 17, with some that lack a part and some names that are none of it."""
    mp4, webm = (make_video(f"b.{kind}", "64x48", 2).read_bytes() for kind in ("mp4", "mkv"))
    files: dict[str, bytes] = {}
    rng = random.Random(5)
    for number in range(40):
        for ending in PARTS.values():
            # Each stem has bytes of its own, as real videos do.
            data = (mp4 if ending.endswith("mp4") else webm) + bytes(rng.randrange(50)) + bytes([number])
            files[f"Gaming_360P-{number:04x}{ending}"] = data
    for number in (3, 8):
        del files[f"Gaming_360P-{number:04x}_vod.webm"]
    files["ATTRIBUTION"] = b"names"
    items = [
        {
            "name": f"v/{name}",
            "size": str(len(data)),
            "md5Hash": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
        }
        for name, data in sorted(files.items())
    ]
    items += [{"name": "v/"}, {"name": "v/deeper/x_orig.mp4", "size": "3"}]
    for name, data in files.items():
        place.server.serve(f"/bucket/v/{name}", data)

    def listing(path: str) -> Served:
        query = parse_qs(urlsplit(path).query)
        assert query["prefix"] == ["v/"]
        first = int(query.get("pageToken", ["0"])[0])
        page: dict[str, Any] = {"items": items[first : first + 17]}
        if first + 17 < len(items):
            page["nextPageToken"] = str(first + 17)
        return Served(json.dumps(page).encode())

    place.server.files["/list/o"] = listing
    place.describe(
        listing={
            "url": f"{place.server.url}/list/o",
            "files": f"{place.server.url}/bucket/",
            "prefix": "v/",
            "parts": PARTS,
            "stems": 5,
        },
        scenes=r"^(.+)_(?:orig\.mp4|cbr\.webm|vod\.webm|vodlb\.webm)$",
    )
    return files


def smallest(files: dict[str, bytes], count: int) -> list[str]:
    sizes: dict[str, list[int]] = {}
    for name, data in files.items():
        if name != "ATTRIBUTION":
            sizes.setdefault(name.rpartition("_")[0], []).append(len(data))
    whole = sorted((sum(parts), stem) for stem, parts in sizes.items() if len(parts) == 4)
    return [stem for _, stem in whole[:count]]


def test_the_smallest_stems_of_a_bucket(place: Place, bucket: dict[str, bytes]) -> None:
    done = place.fetch("--accept-licence")
    assert done.returncode == 0, done.stderr
    stems = smallest(bucket, 5)
    names = {f"{stem}{ending}" for stem in stems for ending in PARTS.values()}
    files = place.files()
    assert files.keys() - RECORDS == names | {"listing.json"}
    assert all(files[name] == bucket[name] for name in names)
    selection = place.manifest().selection
    assert selection is not None
    assert set(selection.stems) == set(stems)
    assert selection.stems[stems[0]] == {part: f"{stems[0]}{ending}" for part, ending in PARTS.items()}
    assert (selection.listed, selection.incomplete) == (38, 2)
    assert selection.bytes == sum(len(bucket[name]) for name in names)
    assert place.manifest().policy == (
        "the 5 stems with the fewest bytes among those that have all parts, ties by name"
    )
    assert all(item.url == f"{place.server.url}/bucket/v/{item.path}" for item in place.manifest().files)
    # More stems come from the cached listing, and what is there stays.
    place.server.asked.clear()
    assert place.fetch("--n-stems", 7).returncode == 0
    asked = [path for path, _, _ in place.server.asked]
    assert not [path for path in asked if path.startswith("/list")]
    assert len(asked) == 8
    assert set(place.manifest().selection.stems) == set(smallest(bucket, 7))  # type: ignore[union-attr]
    assert "the listing has 38 stems" in place.refusal("--n-stems", 39)
    # All files of a stem show one scene.
    scanned = command("manifest-scan", "--dataset", "small", cwd=place.folder)
    assert scanned.stdout == "config/corpora/small.yaml: 28 clips of 7 sources, 28 of them new\n", scanned


def test_a_file_of_a_bucket_that_is_not_the_listed_one(place: Place, bucket: dict[str, bytes]) -> None:
    stem = smallest(bucket, 1)[0]
    data = bytearray(bucket[f"{stem}_orig.mp4"])
    data[-1] ^= 1
    place.server.serve(f"/bucket/v/{stem}_orig.mp4", bytes(data))
    assert "has MD5" in place.refusal("--accept-licence")
    place.server.serve(f"/bucket/v/{stem}_orig.mp4", bytes(data[:-1]))
    assert "are expected: it is another file" in place.refusal()
    assert f"{stem}_orig.mp4" not in place.files()
    place.server.serve(f"/bucket/v/{stem}_orig.mp4", bucket[f"{stem}_orig.mp4"])
    assert place.fetch().returncode == 0


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (b"[]", "does not give a listing of a bucket"),
        (b"<html>", "is not JSON|JSON"),
        (b'{"items": 5}', "does not give a listing"),
        (b'{"items": ["a"]}', "which is not a file"),
        (b'{"items": [{"name": "w/a_orig.mp4", "size": "3"}]}', "does not begin with 'v/'"),
        (b'{"items": [{"name": "v/.._orig.mp4", "size": "3"}]}', "cannot be the name of a file"),
        (b'{"items": [{"name": "v/a\\nb", "size": "3"}]}', "cannot be the name of a file"),
        (b'{"items": [{"name": "v/a_orig.mp4", "size": "many"}]}', "says that a_orig.mp4 has 'many' bytes"),
        (b'{"items": [], "nextPageToken": 5}', "does not say where its listing goes on"),
        (b'{"items": [], "nextPageToken": "again"}', "more than 200 pages"),
        (b'{"items": []}', "the listing has 0 stems"),
    ],
)
def test_listings_that_are_none(place: Place, bucket: dict[str, bytes], page: bytes, words: str) -> None:
    place.server.files["/list/o"] = Served(page)
    assert re.search(words, place.refusal("--accept-licence"))


# --- the corpus files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS)
def test_the_canonical_datasets(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMAF_DATA_ROOT", str(tmp_path))
    corpus = load_corpus(REPOSITORY / "config" / "corpora" / f"{name}.yaml")
    assert corpus.name == name
    assert corpus.dataset is not None
    assert corpus.home(Path("x.yaml"), Path()) == tmp_path / "datasets" / name
    # Nobody here has the bytes: nothing is invented.
    assert corpus.pinned == ()
    assert all(item.sha256 is None for item in corpus.dataset.downloads)
    # What is not fetched is said in one line, before anything is asked of the network.
    message = refusal("fetch", "--corpus", REPOSITORY / "config" / "corpora" / f"{name}.yaml", cwd=tmp_path)
    assert "--accept-licence" in message or corpus.dataset.origin in message
    assert "has no entries" in refusal(
        "prepare", "--corpus", REPOSITORY / "config" / "corpora" / f"{name}.yaml", cwd=tmp_path
    )


def canonical(place: Place, name: str, *changes: tuple[str, str]) -> None:
    """Put the file of a canonical dataset into the working folder, with the addresses of the test's server."""
    text = (REPOSITORY / "config" / "corpora" / f"{name}.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (place.folder / "config" / "corpora" / f"{name}.yaml").write_text(text)


def planned(place: Place, name: str) -> set[str]:
    """Plan a run on a dataset; return its rules."""
    words = ("-n", "--quiet", "rules", "host", "--config", f"corpora=[{name}]", "codecs=[libx264]", "--", "all_tables")
    done = snakemake(place.folder, *words)
    return set(re.findall(r"^(\w+) +\d+$", done.stdout, re.MULTILINE))


def test_konvid_1k_from_its_archives_to_a_plan(place: Place, video: bytes) -> None:
    canonical(place, "konvid-1k", ("https://datasets.vqa.mmsp-kn.de/archives", place.server.url))
    videos = {f"KoNViD_1k_videos/{number}.mp4": video + bytes(number % 7) for number in (2999049224, 3000113318)}
    scores = b"flickr_id,mos,mos_std\n2999049224,3.1,0.6\n3000113318,2.2,0.5\n"
    metadata = {"KoNViD_1k_metadata/KoNViD_1k_mos.csv": scores, "KoNViD_1k_metadata/readme.txt": b"r"}
    place.server.serve("/KoNViD_1k_videos.zip", zipped({"KoNViD_1k_videos/": b"", **videos}))
    place.server.serve("/KoNViD_1k_metadata.zip", zipped(metadata))
    done = place.fetch("--accept-licence", name="konvid-1k")
    assert done.returncode == 0, done.stderr
    assert "note: konvid-1k should have 1200 videos, but 2 came" in done.stderr
    root = place.data / "konvid-1k"
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.[mc][ps][4v]")} == {
        *videos,
        "KoNViD_1k_metadata/KoNViD_1k_mos.csv",
    }
    scanned = command("manifest-scan", "--dataset", "konvid-1k", cwd=place.folder)
    assert scanned.returncode == 0, scanned.stderr
    assert "konvid-1k should have 1200 videos, but 2 are there" in scanned.stderr
    assert planned(place, "konvid-1k") >= {"prepare_clip", "encode_rung", "extract_features"}


def test_youtube_ugc_from_its_bucket_to_a_plan(place: Place, bucket: dict[str, bytes]) -> None:
    canonical(
        place,
        "youtube-ugc",
        ("https://storage.googleapis.com/storage/v1/b/ugc-dataset/o", f"{place.server.url}/list/o"),
        ("https://storage.googleapis.com/ugc-dataset/", f"{place.server.url}/bucket/"),
        ("vp9_compressed_videos/", "v/"),
    )
    done = place.fetch("--accept-licence", "--n-stems", 3, name="youtube-ugc")
    assert done.returncode == 0, done.stderr
    scanned = command("manifest-scan", "--dataset", "youtube-ugc", cwd=place.folder)
    assert scanned.returncode == 0, scanned.stderr
    assert scanned.stdout == "config/corpora/youtube-ugc.yaml: 3 references with 9 pairs, 9 of them new\n"
    rules = planned(place, "youtube-ugc")
    assert "encode_rung" not in rules
    assert "build_shard" in rules


def test_netflix_from_its_folder_to_a_plan(place: Place) -> None:
    """A folder as the authors hand it out: raw files of 1920x1080, here of one frame."""
    canonical(place, "nflx")
    root = place.data / "nflx"
    frame = random.Random(3).randbytes(1920 * 1080 * 3 // 2)
    for source, fps in (("BigBuckBunny", 25), ("Tennis", 24)):
        for path in (f"ref/{source}_{fps}fps.yuv", f"dis/{source}_20_288_375.yuv", f"dis/{source}_70_720_1050.yuv"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            frame = frame[1:] + frame[:1]
            (root / path).write_bytes(frame)
    assert "nflx has no public address: Netflix hands it out" in place.refusal(name="nflx")
    scanned = command("manifest-scan", "--dataset", "nflx", cwd=place.folder)
    assert scanned.returncode == 0, scanned.stderr
    assert scanned.stdout == "config/corpora/nflx.yaml: 2 references with 4 pairs, 4 of them new\n"
    assert "nflx should have 79 videos, but 6 are in it" in scanned.stderr
    # Nothing was invented before, and the remarks of the file stay.
    assert (
        (place.folder / "config" / "corpora" / "nflx.yaml")
        .read_text()
        .startswith("# As it comes, this file has no hashes")
    )
    assert place.fetch(name="nflx").stdout == "results/corpora/nflx/.packages/fetched.json: 6 files, all as pinned\n"
    assert "build_shard" in planned(place, "nflx")
    (root / "dis" / "Tennis_20_288_375.yuv").unlink()
    refused = snakemake(place.folder, "-n", "--config", "corpora=[nflx]", check=False)
    assert "corpus nflx: 1 of its files do not exist" in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"downloads": [{"file": "a.zip"}]}, "has neither an address nor members"),
        ({"downloads": [{"file": "a", "url": "https://x/a"}] * 2}, "two downloads have the name 'a'"),
        ({"downloads": [{"file": "../a", "url": "https://x/a"}]}, "downloads"),
        ({"downloads": [{"file": "a", "url": "file:///etc/passwd"}]}, "url"),
        ({"downloads": [{"file": "a", "url": "https://me:word@x/a"}]}, "url"),
        ({"downloads": [{"file": "a.zip", "url": "https://x/a", "members": "("}]}, "is not a regular expression"),
        ({"scenes": "abc"}, "has no group"),
        ({"use": ["C4"]}, "use"),
    ],
)
def test_mistakes_in_a_corpus_file(change: dict[str, Any], words: str) -> None:
    section = {"use": ["C2"], "purpose": "", "layout": "", "origin": "", "terms": "t", **change}
    keys: dict[str, Any] = {"name": "a", "kind": "folder", "license": "", "root": "x", "dataset": section}
    with pytest.raises(InputError, match=words):
        parse_corpus(keys)
    with pytest.raises(InputError, match="entries are missing: vmaf-train manifest-scan writes them"):
        parse_corpus({key: value for key, value in keys.items() if key != "dataset"})
