"""verify finds what is wrong with a results tree; trace lists the commands that led to a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyvmaf.base.files import sha256_file, write_text
from pyvmaf.base.manifest import write_manifest
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.registry.trace import Trace, trace
from pyvmaf.registry.verify import Outcome, VerifyReport, verify
from tests.make.commands import command
from tests.make.documents import read_as


def kinds(outcome: Outcome) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path) for finding in outcome.findings]


def test_a_finished_run_is_clean_from_anywhere(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = verify("results", threads=2)
    assert outcome.findings == []
    assert outcome.clean
    files = [p for p in results.rglob("*") if p.is_file()]
    assert outcome.files == len(files)
    assert outcome.manifests == sum(p.name.endswith(".manifest.json") for p in files)
    # The tree may be moved: no path in it is absolute.
    shutil.copytree(results, results.parent / "moved/results")
    shutil.copytree("config", "moved/config")
    monkeypatch.chdir("/")
    assert verify(results.parent / "moved/results").clean


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_flipped_byte_of_any_artefact_is_found(results: Path, data: st.DataObject) -> None:
    files = sorted(p for p in results.rglob("*") if p.is_file())
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    flipped = bytearray(before)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    named_by_run = path.name.endswith(".manifest.json") and place > before.rfind(b'"run": {')
    path.write_bytes(flipped)
    try:
        outcome = verify(results, threads=1)
    finally:
        path.write_bytes(before)
    if named_by_run:
        return  # when and where a run took place is not vouched for
    shown = path.relative_to(results.parent).as_posix()
    assert any(f.path == shown for f in outcome.findings), (shown, place, outcome.findings)


def test_missing_unaccounted_and_left_over_files_are_named(results: Path) -> None:
    (results / "models/small/seed0/predictions.parquet").unlink()
    (results / "tables/notes.txt").write_text("mine")
    (results / "tables/.x.parquet.abc.tmp.parquet").write_text("half")
    (results / "tables/.gitkeep").touch()
    outcome = verify(results)
    assert kinds(outcome) == [
        ("missing", "results/models/small/seed0/predictions.parquet"),
        ("unaccounted", "results/tables/.x.parquet.abc.tmp.parquet"),
        ("unaccounted", "results/tables/notes.txt"),
    ]
    assert "cut off" in outcome.findings[1].message


def test_a_chain_made_from_other_bytes_is_stale(results: Path) -> None:
    table = results / "tables/default.parquet"
    old = sha256_file(table)
    table.write_bytes(table.read_bytes() + b"\0")
    shards = sorted(Path("results/shards").rglob("*.parquet"))
    relative = Path("results/tables/default.parquet")
    write_manifest(relative, verb="combine", args={}, inputs={"tables": shards}, outputs={"table": relative})
    outcome = verify(results)
    assert {f.kind for f in outcome.findings} == {"stale"}
    stale = {f.path for f in outcome.findings}
    assert "results/models/small/seed0/weights.safetensors" in stale
    assert "results/quantized/small/seed1/static_qdq.onnx" in stale
    assert all(f.expected == old and f.found == sha256_file(table) for f in outcome.findings)


def test_an_edited_configuration_makes_what_it_shaped_stale(results: Path) -> None:
    config = results.parent / "config/models/small.yaml"
    config.write_text(config.read_text() + "# later\n")
    outcome = verify(results)
    assert {f.kind for f in outcome.findings} == {"stale"}
    assert all("small" in f.path for f in outcome.findings)
    assert "was made from config/models/small.yaml with hash" in outcome.findings[0].message


def test_a_changed_input_blames_the_input_and_not_its_readers(results: Path) -> None:
    shard = results / "shards/embedded/libx264.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert kinds(verify(results)) == [("changed", "results/shards/embedded/libx264.parquet")]


def test_links_conflicts_and_damaged_manifests(results: Path) -> None:
    onnx = results / "models/held/seed0/model.onnx"
    shutil.move(onnx, results.parent / "elsewhere.onnx")
    onnx.symlink_to(results.parent / "elsewhere.onnx")
    (results / "loop").symlink_to(results)
    # A second manifest that vouches for other bytes of a file.
    sidecar = results / "models/small/seed0/model.json.manifest.json"
    shutil.copy(results / "models/small/seed0/model.onnx.manifest.json", sidecar)
    stranger = results / "models/small/verdict.json.manifest.json"
    stranger.write_text(stranger.read_text().replace("PROMOTE", "HOLD").replace('"judge"', '"edited"')[:-40])
    found = kinds(verify(results))
    assert ("link", "results/models/held/seed0/model.onnx") in found
    assert ("link", "results/loop") in found
    assert ("manifest", "results/models/small/verdict.json.manifest.json") in found
    assert ("unaccounted", "results/models/small/verdict.json") in found


def test_two_manifests_of_one_file_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = Path("results/a.txt"), Path("results/b.txt")
    for path in (one, two):
        write_text(path, path.name)
    write_manifest(one, verb="shard", args={}, inputs={}, outputs={"a": one, "b": two})
    write_text(two, "other")
    write_manifest(two, verb="combine", args={}, inputs={}, outputs={"b": two})
    assert kinds(verify("results")) == [("conflict", "results/b.txt")]


def test_the_command_prints_writes_and_exits(results: Path) -> None:
    done = command("verify", "results", "--json", "results/verify.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("clean: ")
    assert read_as(VerifyReport, "results/verify.json").clean
    # The report accounts for itself.
    assert verify(results).clean
    (results / "models/small/verdict.json").unlink()
    done = command("verify", "results", "--json", "found.json")
    assert done.returncode == 1
    assert "missing\tresults/models/small/verdict.json\t" in done.stdout
    report = read_as(VerifyReport, "found.json")
    assert not report.clean
    assert report.findings[0].kind == "missing"


def test_what_is_no_folder_is_refused(results: Path) -> None:
    with pytest.raises(MissingFileError, match="no such folder: nowhere"):
        verify("nowhere")
    with pytest.raises(InputError, match="is a file"):
        verify("results/tables/default.parquet")


def test_entries_of_pictures_are_checked_as_such(results: Path) -> None:
    import numpy as np

    from pyvmaf.frames.cache import Entry, PictureCache

    cache = PictureCache(results / "cache")
    key = {"video": "a", "frames": [0, 1]}
    cache.put(key, Entry(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), (0, 1)))
    outcome = verify(results)
    assert outcome.cache_entries == 1
    assert outcome.clean
    entry = cache.path(key)
    data = bytearray(entry.read_bytes())
    data[-1] ^= 1
    entry.write_bytes(data)
    (finding,) = verify(results).findings
    assert (finding.kind, finding.path) == ("cache", f"results/cache/{entry.parent.name}/{entry.name}")
    assert "it holds other pictures" in finding.message


def test_a_damaged_cache_entry_is_found(results: Path) -> None:
    import numpy as np

    from pyvmaf.features.cache import Cache

    cache = Cache(results / "cache")
    key = {"reference": "a", "distorted": "b"}
    cache.put(key, {"adm2": np.arange(3.0)})
    entry = cache.path(key)
    outcome = verify(results)
    assert outcome.clean
    assert outcome.cache_entries == 1
    data = bytearray(entry.read_bytes())
    data[-1] ^= 1
    entry.write_bytes(data)
    outcome = verify(results)
    assert [f.kind for f in outcome.findings] == ["cache"]
    # A cache that several runs share lies elsewhere.
    shutil.move(results / "cache", results.parent / "shared")
    assert verify(results).clean
    assert [f.kind for f in verify(results, cache="shared").findings] == ["cache"]
    with pytest.raises(MissingFileError, match="no such cache folder: cache"):
        verify(results, cache="cache")


def test_trace_goes_back_to_the_sources(results: Path) -> None:
    step = trace("results/registry/registry.json")
    paths = {s.path: s for s in step.steps()}
    assert paths["results/registry/registry.json"].verb == "register"
    assert paths["results/tables/default.parquet"].verb == "combine"
    assert paths["results/shards/embedded/libx264.parquet"].verb == "shard"
    assert paths["config/models/small.yaml"].verb is None
    assert paths["results/tables/default.parquet"].sha256 == sha256_file("results/tables/default.parquet")
    assert not any(s.stale for s in step.steps())
    # Each step is told once.
    told = [s.path for s in step.steps() if s.inputs]
    assert len(told) == len(set(told))


def test_trace_ends_at_the_pinned_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source, clip = Path("results/corpora/c/.packages/p/a.mp4"), Path("results/corpora/c/a.mkv")
    write_text(source, "bytes")
    pin = {"name": "p", "version": "1.2", "filename": "p-1.2.whl", "sha256": "ab" * 32}
    write_manifest(source, verb="fetch", args={"packages": [pin]}, inputs={}, outputs={"f": source})
    write_text(clip, "clip")
    write_manifest(clip, verb="prepare", args={}, inputs={"s": source}, outputs={"clip": clip})
    done = command("trace", clip)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(f"package p==1.2 (p-1.2.whl) {'ab' * 6}")


def test_trace_marks_a_stale_step_and_refuses_a_source(results: Path) -> None:
    weights = Path("results/models/small/seed0/weights.safetensors")
    weights.write_bytes(weights.read_bytes() + b"\0")
    write_manifest(weights, verb="fit", args={}, inputs={}, outputs={"weights": weights})
    stale = [s for s in trace("results/models/small/seed0/model.onnx").steps() if s.stale]
    # Export and judge both read them.
    assert {s.path for s in stale} == {str(weights)}
    (results.parent / "plain.txt").write_text("x")
    with pytest.raises(InputError, match="is it a source"):
        trace("plain.txt")
    done = command("trace", "results/models/small/seed0/model.onnx", "--json", "t.json")
    assert done.returncode == 0, done.stderr
    assert "STALE" in done.stdout
    assert read_as(Trace, "t.json").artefact.path == "results/models/small/seed0/model.onnx"
