"""Atomic writes, deterministic JSON, and manifests that hold nothing of the moment."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base import manifest as provenance
from pyvmaf.base.files import atomic_path, confined, dumps, sha256_file
from pyvmaf.base.manifest import manifest_path, normalised_argv, read_manifest
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_reads_back_and_ignores_order(value: object) -> None:
    assert json.loads(dumps(value)) == value
    if isinstance(value, dict):
        assert dumps(dict(reversed(value.items()))) == dumps(value)


def test_hash_is_coreutils(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(os.urandom(3_000_000))
    theirs = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert sha256_file(path) == theirs
    with pytest.raises(MissingFileError, match=r"no such file: .*absent"):
        sha256_file(tmp_path / "absent")


class TestAtomicPath:
    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_failure_leaves_the_old_bytes_and_nothing_else(self, tmp_path: Path, error: type[BaseException]) -> None:
        target = tmp_path / "file.json"
        target.write_text("old")

        def fail() -> None:
            with atomic_path(target) as temporary:
                temporary.write_text("half")
                raise error

        with pytest.raises(error):
            fail()
        assert target.read_text() == "old"
        assert list(tmp_path.iterdir()) == [target]

    def test_the_temporary_name_keeps_the_suffix_and_the_file_the_umask(self, tmp_path: Path) -> None:
        with atomic_path(tmp_path / "new" / "clip.mkv") as temporary:
            assert temporary.suffix == ".mkv"
            assert temporary.parent == tmp_path / "new"
        plain = tmp_path / "plain"
        plain.touch()
        assert (tmp_path / "new" / "clip.mkv").stat().st_mode == plain.stat().st_mode


class TestManifest:
    def write(self, folder: Path, monkeypatch: pytest.MonkeyPatch, host: str, argv: list[str]) -> Path:
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setattr("socket.gethostname", lambda: host)
        monkeypatch.setattr(sys, "argv", argv)
        (folder / "in.txt").write_text("in")
        (folder / "out.txt").write_text("out")
        return provenance.write_manifest(
            "out.txt", verb="shard", args={"path": folder / "in.txt", "n": 3},
            inputs={"in": Path("in.txt"), "absent": Path("absent.txt")}, outputs={"out": folder / "out.txt"}, seconds=1.5,
        )  # fmt: skip

    def test_identical_runs_have_identical_content(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        bodies = []
        for name, host, threads in (("a", "one", "1"), ("b", "two", "8")):
            folder = tmp_path / name
            argv = [
                f"/{name}/bin/vmaf-train",
                "shard",
                "--threads",
                threads,
                "-o",
                str(folder / "out.txt"),
                "--code=x",
            ]
            path = self.write(folder, monkeypatch, host, argv)
            bodies.append(json.loads(path.read_text()))
            assert read_manifest("out.txt") == bodies[-1]
        runs = [body.pop("run") for body in bodies]
        assert bodies[0] == bodies[1]
        assert runs[0]["host"] != runs[1]["host"]
        assert bodies[0]["argv"] == ["vmaf-train", "shard", "-o", "out.txt"]
        assert bodies[0]["inputs"] == {
            "in": {"path": "in.txt", "exists": True, "sha256": hashlib.sha256(b"in").hexdigest()},
            "absent": {"path": "absent.txt", "exists": False, "sha256": None},
        }
        assert str(tmp_path) not in json.dumps(bodies)

    def test_a_change_by_hand_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = self.write(tmp_path / "a", monkeypatch, "one", ["vmaf-train"])
        path.write_text(path.read_text().replace('"n": 3', '"n": 4'))
        with pytest.raises(IntegrityError, match="was changed after it was written"):
            read_manifest("out.txt")
        path.write_text(path.read_text()[:100])
        with pytest.raises(IntegrityError, match="is not JSON"):
            read_manifest("out.txt")
        manifest_path("out.txt").unlink()
        with pytest.raises(MissingFileError):
            read_manifest("out.txt")

    def test_nothing_is_added_in_the_part_that_is_not_hashed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = self.write(tmp_path / "a", monkeypatch, "one", ["vmaf-train"])
        text = path.read_text()
        forged = '"outputs": {"out": {"path": "out.txt", "exists": true, "sha256": "' + "0" * 64 + '"}}'
        for start, more in (
            ('"run": {\n', f'"run": {{\n  "a": 1\n }},\n {forged},\n "run": {{\n'),
            ('"run": {\n', f'"run": {{\n  "a": 1}}, {forged}, "run": {{\n'),
            ('"run": {\n', f'"run": {{\n  "a": 1}}, {forged}, "x": {{\n'),
            ('"run": {\n', '"run": {\n  "a": 1}, "details": {"rows": 1}, "run": {\n'),
            ('"content_sha256": "', '"content_sha256": "x", "extra": {}, "content_sha256": "'),
            ('"schema":', f'{forged},\n "schema":'),
        ):
            assert start in text
            path.write_text(text.replace(start, more, 1))
            with pytest.raises(IntegrityError, match=r"occurs twice|was changed after it was written"):
                read_manifest("out.txt")
        body = json.loads(text)
        body["run"]["seconds"] = 7.0
        path.write_text(json.dumps(body))
        assert read_manifest("out.txt") == body

    def test_an_output_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(PyvmafError, match=r"was to write out\.txt \(out\), but the file does not exist"):
            provenance.write_manifest("out.txt", verb="shard", args={}, inputs={}, outputs={"out": Path("out.txt")})
        assert list(tmp_path.iterdir()) == []


def test_argv_keeps_what_decides() -> None:
    argv = ["vmaf-train", "fit", "--seed", "1", "--threads", "4", "--no-progress", "-o", "x", "--jobs=2", "--quiet"]
    assert normalised_argv(argv) == ["vmaf-train", "fit", "--seed", "1", "-o", "x"]


@given(st.lists(st.sampled_from(["..", ".", "a", "b"]), min_size=1, max_size=6))
def test_paths_are_confined(parts: list[str]) -> None:
    depth, climbed = 0, False
    for part in parts:
        depth += {"..": -1, ".": 0}.get(part, 1)
        climbed |= depth < 0
    try:
        inside = confined("/nowhere/root", "/".join(parts))
    except InputError:
        assert climbed
    else:
        assert not climbed
        assert inside.is_relative_to("/nowhere/root")


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    code = (
        "import os, signal, sys\n"
        "from pyvmaf.base.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(target)]).returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert left.read_bytes() == b"half"
    with atomic_path(tmp_path / "model.json") as other:
        other.write_bytes(b"{}")
    assert left.exists(), "only what is left of the same file goes"
    with atomic_path(target) as first:
        assert not left.exists()
        first.write_bytes(b"first")
        # One who is still writing the same file is not swept away.
        with atomic_path(target) as second:
            second.write_bytes(b"second")
        assert first.read_bytes() == b"first"
    assert target.read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.onnx"]
