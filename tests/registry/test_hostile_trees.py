"""verify and trace of trees that were renamed, and of trees that somebody filled with what has no end."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path

import pytest

from pyvmaf.base.files import content_hash, write_text
from pyvmaf.base.manifest import manifest_path, write_manifest
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.registry.trace import trace
from pyvmaf.registry.verify import VerifyReport, verify
from tests.make.commands import command
from tests.make.documents import read_as


class TestRenamed:
    @pytest.mark.parametrize("name", ["renamed", "models", "a b/c", "results"])
    def test_a_copy_under_any_name_is_clean(self, results: Path, tmp_path: Path, name: str) -> None:
        copy = tmp_path / "elsewhere" / name
        shutil.copytree(results, copy)
        shutil.copytree("config", copy.parent / "config")
        outcome = verify(copy)
        assert outcome.findings == []
        assert (outcome.hashed, outcome.elsewhere) == (verify(results).hashed, verify(results).elsewhere)
        assert verify(copy / "models").findings == []
        assert {f.kind for f in verify(copy.parent).findings} <= {"unaccounted"}
        step = trace(copy / "registry/registry.json")
        paths = {s.path for s in step.steps()}
        assert paths == {s.path for s in trace("results/registry/registry.json").steps()}

    def test_damage_in_it_is_found(self, results: Path, tmp_path: Path) -> None:
        copy = tmp_path / "renamed"
        shutil.move(results, copy)
        shard = copy / "shards/embedded/libx264.parquet"
        shard.write_bytes(shard.read_bytes()[:-1])
        (copy / "models/small/verdict.json").unlink()
        kinds = {(f.kind, f.path) for f in verify(copy).findings}
        assert kinds == {
            ("changed", "renamed/shards/embedded/libx264.parquet"),
            ("missing", "renamed/models/small/verdict.json"),
            ("registry", "renamed/registry/registry.json"),
        }

    @pytest.mark.parametrize("name", ["results", "renamed"])
    def test_models_that_were_swapped_with_their_manifests(self, results: Path, tmp_path: Path, name: str) -> None:
        copy = tmp_path / name
        if copy != results:
            shutil.move(results, copy)
        one, two = copy / "models/small/seed0", copy / "models/held/seed0"
        one.rename(tmp_path / "aside")
        two.rename(one)
        (tmp_path / "aside").rename(two)
        found = {(f.kind, f.path) for f in verify(copy).findings}
        assert ("manifest", f"{name}/models/small/seed0/model.onnx.manifest.json") in found
        assert ("manifest", f"{name}/models/held/seed0/model.onnx.manifest.json") in found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree: one good artefact, one of everything beside it."""
    (tmp_path / "results").mkdir()
    with chdir(tmp_path):
        for name in ("good", "bad"):
            path = Path("results") / name
            write_text(path, name)
            write_manifest(path, verb="shard", args={}, inputs={}, outputs={"x": path})
    return tmp_path / "results"


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def in_socket(path: Path) -> None:
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/s")
        os.rename(f"{short}/s", path)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path),
    "device": device,
    "socket": in_socket,
    "link out": lambda path: path.symlink_to("/etc/passwd"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "folder": lambda path: (path / "x").mkdir(parents=True),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", ["bad", "bad.manifest.json", "registry.json", "new"])
def test_what_is_no_file_is_a_finding_and_the_rest_is_verified(tree: Path, kind: str, name: str) -> None:
    path = tree / name
    path.unlink(missing_ok=True)
    try:
        SPECIAL[kind](path)
    except OSError as err:
        pytest.skip(str(err))
    (tree / "good").write_text("other")
    found = {f.path: f.kind for f in verify(tree, threads=1).findings}
    assert found["results/good"] == "changed"
    if kind != "folder":
        assert found[f"results/{name}"] == "link"


def rehashed(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    body = json.loads(path.read_text())
    change(body)
    body["content_sha256"] = content_hash({k: v for k, v in body.items() if k not in ("run", "content_sha256")})
    path.write_text(json.dumps(body))


MANIFESTS: dict[str, Callable[[Path], object]] = {
    "deep": lambda path: path.write_text("[" * 200_000),
    "digits": lambda path: path.write_text('{"a": ' + "9" * 5_000 + "}"),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "empty": lambda path: path.write_bytes(b""),
    "list": lambda path: path.write_text("[]"),
    "twice": lambda path: path.write_text(path.read_text().replace('"argv"', '"schema": "x", "argv"', 1)),
    "no outputs": lambda path: rehashed(path, lambda body: body.update(outputs={})),
    "outputs of another kind": lambda path: rehashed(path, lambda body: body.update(outputs=[1])),
    "engine of another kind": lambda path: rehashed(path, lambda body: body.update(engine=["x"])),
    "run of another kind": lambda path: rehashed(path, lambda body: body.update(run=3)),
    "entrypoint of another kind": lambda path: rehashed(path, lambda body: body.update(entrypoint={})),
    "a path with NUL": lambda path: rehashed(path, lambda body: body.update(outputs={"x": {"path": "results/\0"}})),
    "a path without end": lambda path: rehashed(path, lambda body: body.update(outputs={"x": {"path": "a/" * 3_000}})),
    "a path that climbs": lambda path: rehashed(
        path, lambda body: body.update(inputs={"x": {"path": "../" * 50 + "dev/zero", "sha256": "0" * 64}})
    ),
    "half a character": lambda path: path.write_text(path.read_text().replace('"vmaf-train shard"', '"\\ud800"')),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_of_anybody_keeps_nothing_from_being_verified(tree: Path, kind: str) -> None:
    MANIFESTS[kind](tree / "bad.manifest.json")
    (tree / "good").write_text("other")
    found = {(f.path, f.kind) for f in verify(tree, threads=1).findings}
    assert ("results/good", "changed") in found
    if kind != "a path that climbs":
        assert "results/bad.manifest.json" in {path for path, _ in found}
    try:
        trace(tree / "good")
        trace(tree / "bad")
    except (InputError, IntegrityError) as err:
        assert "\n" not in str(err)  # noqa: PT017


def test_a_long_chain_of_manifests(tmp_path: Path) -> None:
    with chdir(tmp_path):
        before: list[Path] = []
        for number in range(60):
            path = Path(f"results/{number}")
            write_text(path, str(number))
            write_manifest(path, verb="shard", args={}, inputs={"before": before}, outputs={"x": path})
            before = [path]
        assert len(list(trace("results/30").steps())) == 31
        with pytest.raises(InputError, match="more than 40 commands back"):
            trace("results/59")
        assert verify("results").clean


def test_names_that_are_not_utf_8(tree: Path) -> None:
    for name in (b"caf\xe9", b"a\nb", b"\x1b[31m", "ü".encode()):
        with open(os.fsencode(tree) + b"/" + name, "w") as stream:
            stream.write("x")
    done = command("verify", tree, "--json", tree.parent / "found.json")
    assert done.returncode == 1, done
    lines = [line.split("\t")[1] for line in done.stdout.splitlines() if line.startswith("unaccounted\t")]
    assert lines == ["results/\\x1b[31m", "results/a\\nb", "results/caf\\xe9", "results/ü"]
    report = read_as(VerifyReport, tree.parent / "found.json")
    assert [f.path for f in report.findings] == ["results/\x1b[31m", "results/a\nb", "results/caf\\xe9", "results/ü"]


def test_clips_and_encodes_may_be_deleted_after_they_were_measured(tmp_path: Path) -> None:
    clip, encode, other = (Path(f"results/{name}") for name in ("corpora/c/a.mkv", "encodes/a.mkv", "encodes/b.mkv"))
    features = Path("results/features/a.parquet")
    with chdir(tmp_path):
        for path, verb in ((clip, "prepare"), (encode, "encode"), (other, "encode")):
            write_text(path, path.name + verb)
            write_manifest(path, verb=verb, args={}, inputs={}, outputs={"video": path})
        write_text(features, "rows")
        inputs: dict[str, Path | Sequence[Path]] = {"reference": clip, "rungs": [encode]}
        write_manifest(features, verb="extract-features", args={}, inputs=inputs, outputs={"table": features})
        clip.unlink()
        encode.unlink()
        outcome = verify("results")
        assert outcome.clean
        assert outcome.deleted == 2
        assert "2 clips and encodes deleted after they were measured" in command("verify", "results").stdout
        other.unlink()
        # Nothing was measured on this one, and without their features the others are missed, too.
        assert [f.path for f in verify("results").findings] == [str(other)]
        features.unlink()
        assert len(verify("results").findings) == 4
        encode.write_text("other bytes")
        assert ("changed", str(encode)) in [(f.kind, f.path) for f in verify("results").findings]
    assert manifest_path(tmp_path / encode).exists()
