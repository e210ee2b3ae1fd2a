"""Zip archives that nobody here made."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvmaf.corpora.archive import Limits, members, opened, same_bytes, unpack
from pyvmaf.errors import InputError, IntegrityError, PyvmafError

LIMITS = Limits()


def packed(path: Path, *files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as bundle:
        for name, data in files:
            bundle.writestr(name, data)
    return path


def unpacked(archive: Path, folder: Path, limits: Limits = LIMITS) -> dict[str, bytes]:
    with opened(archive, limits) as bundle:
        for info in members(bundle):
            unpack(bundle, info, folder / info.filename, called=archive.name)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, words: str, limits: Limits = LIMITS, error: type[PyvmafError] = InputError) -> None:
    """Check that nothing is unpacked, with one line."""
    out = archive.parent / "out"
    with pytest.raises(error, match=words) as caught:
        unpacked(archive, out, limits)
    assert "\n" not in str(caught.value)
    assert not [path for path in archive.parent.rglob("*") if path.is_file() and path != archive]


def test_folders_and_files(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", ("x/", b""), ("x/a.mp4", b"a" * 9), ("b.csv", b"b"))
    assert unpacked(archive, tmp_path / "out") == {"x/a.mp4": b"a" * 9, "b.csv": b"b"}
    with opened(archive) as bundle:
        [a, b] = members(bundle)
        assert same_bytes(a, tmp_path / "out" / "x" / "a.mp4")
        assert not same_bytes(b, tmp_path / "out" / "x" / "a.mp4")
        (tmp_path / "out" / "b.csv").write_bytes(b"c")
        assert not same_bytes(b, tmp_path / "out" / "b.csv")
        assert not same_bytes(b, tmp_path / "nowhere")


@pytest.mark.parametrize("kind", [0o120777, 0o020666, 0o060666, 0o010666, 0o140777])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link.mp4")
    info.external_attr = kind << 16
    refused(packed(tmp_path / "a.zip", ("a", b"a"), (info, b"/etc/passwd")), "'link.mp4' is a link or a device")


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "C:/a", "..", "a/.."])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    refused(packed(tmp_path / "a.zip", ("good", b"a"), (name, b"b")), "outside of its folder")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice(tmp_path: Path) -> None:
    refused(packed(tmp_path / "a.zip", ("x/a", b"a"), ("x/a", b"b")), "'x/a' twice")
    refused(packed(tmp_path / "a.zip", ("x/a", b"a"), ("x//a", b"b")), "twice")
    refused(packed(tmp_path / "a.zip", ("./a", b"a"), ("a", b"b")), "twice")
    refused(packed(tmp_path / "a.zip", ("x", b"a"), ("x/a", b"b")), "'x' as a file and as a folder")


def test_bombs(tmp_path: Path) -> None:
    refused(
        packed(tmp_path / "a.zip", ("zeros", bytes(30 << 20))), r"bytes of 'zeros' would become 31457280, more than 100"
    )
    small = packed(tmp_path / "a.zip", *[(f"{number}", b"0" * 100) for number in range(20)])
    refused(small, "has 20 members, but at most 19", Limits(members=19))
    refused(small, "would be 2000 bytes, but at most 1999 are unpacked", Limits(total_bytes=1999))
    refused(small, "would be 100 bytes, but a member has at most 99", Limits(member_bytes=99))


def test_members_that_share_bytes(tmp_path: Path) -> None:
    """The same compressed bytes under many names, as in the bombs that no ratio of a single member shows."""
    archive = packed(tmp_path / "a.zip", ("a", b"a" * 1000), ("b", b"b" * 1000))
    data = bytearray(archive.read_bytes())
    directory = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", directory + 4)
    # The second entry of the directory points to the first member.
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    archive.write_bytes(data)
    refused(archive, "'b' shares bytes with 'a'")


def test_a_size_that_is_a_lie(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", ("a", b"a" * 1000))
    data = bytearray(archive.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 10)
    archive.write_bytes(data)
    refused(archive, "not an undamaged zip archive", error=IntegrityError)
    # With a checksum that fits the lie, ten bytes are what the archive says.
    data[entry + 16 : entry + 20] = struct.pack("<I", zlib.crc32(b"a" * 10))
    archive.write_bytes(data)
    assert unpacked(archive, tmp_path / "out") == {"a": b"a" * 10}


def test_passwords_and_rare_methods(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", ("a", b"a" * 1000))
    good = archive.read_bytes()
    entry = good.index(b"PK\x01\x02")
    for offset, value, words in (
        (8, 1, "needs a password"),
        (10, 9, "packed by method 9"),
        (10, 97, "packed by method 97"),
    ):
        data = bytearray(good)
        data[entry + offset : entry + offset + 2] = struct.pack("<H", value)
        archive.write_bytes(data)
        refused(archive, words)


@settings(max_examples=300)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 400))
def test_damage(tmp_path_factory: pytest.TempPathFactory, position: int, value: int, cut: int) -> None:
    """Whatever byte is wrong: the bytes of a member are right, or it is refused in one line."""
    folder = tmp_path_factory.mktemp("damage")
    files = {"x/a.mp4": bytes(range(256)) * 4, "b.csv": b"b" * 300}
    archive = packed(folder / "a.zip", *files.items())
    data = bytearray(archive.read_bytes())
    data[position % len(data)] = value
    archive.write_bytes(data[: len(data) - (cut if cut > 300 else 0)])
    try:
        found = unpacked(archive, folder / "out")
    except PyvmafError as err:
        assert "\n" not in str(err)  # noqa: PT017
    else:
        # A name is not covered by a checksum, contents are.
        assert set(found.values()) <= set(files.values())
