"""Outputs replace neither inputs nor what somebody else wrote, and appear together with their manifest or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyvmaf.base.files import atomic_path, read_json, sha256_file, write_bytes, write_json
from pyvmaf.base.manifest import manifest_path, read_manifest, write_manifest
from pyvmaf.base.outputs import publishes, run
from pyvmaf.errors import InputError, IntegrityError, PyvmafError


@publishes("shard")
def double(
    source: Path, output: Path, side: Path | None = None, *, during: Callable[[], object] = lambda: None
) -> None:
    """A verb: read a number, write its double, and the number itself to a side output."""
    value = read_json(source)
    during()
    write_json(output, 2 * value)
    outputs = {"double": output}
    if side is not None:
        write_json(side, value)
        outputs["side"] = side
    write_manifest(output, verb="shard", args={}, inputs={"source": source}, outputs=outputs)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "in" / "source.json"
    path.parent.mkdir()
    path.write_text("21")
    return path


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def symbolic(source: Path, name: Path) -> Path:
    name.symlink_to(source)
    return name


def hard(source: Path, name: Path) -> Path:
    os.link(source, name)
    return name


SPELLINGS: dict[str, Callable[[Path], Path]] = {
    "the same": lambda source: source,
    "relative": lambda source: Path("in/source.json"),
    "dots": lambda source: source.parent / ".." / "in" / "." / "source.json",
    "a link": lambda source: symbolic(source, Path("link.json")),
    "a hard link": lambda source: hard(source, Path("hard.json")),
    "through a linked folder": lambda source: symbolic(source.parent, Path("folder")) / "source.json",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("written_by_the_verb", [False, True])
@pytest.mark.parametrize("position", ["output", "side"])
def test_an_output_is_not_an_input_however_it_is_spelled(
    source: Path, spelling: str, written_by_the_verb: bool, position: str
) -> None:
    if written_by_the_verb:
        with run("shard"):
            write_manifest(source, verb="shard", args={}, inputs={}, outputs={"x": source})
    target = SPELLINGS[spelling](source)
    before = listing(Path.cwd())
    other = Path("other.json")
    outputs = (target, other) if position == "output" else (other, target)
    with pytest.raises(InputError, match=r"would be written, but it is also read|source\.json exists already"):
        double(source, *outputs)
    assert listing(Path.cwd()) == before


def test_a_verb_may_look_at_its_old_manifest(source: Path) -> None:
    write_manifest(source, verb="shard", args={}, inputs={}, outputs={"x": source})

    @publishes("shard")
    def verb() -> None:
        read_manifest(source)
        write_manifest(source, verb="shard", args={"other": 1}, inputs={}, outputs={"x": source})

    verb()
    assert read_manifest(source)["args"] == {"other": 1}


class TestReplacing:
    def test_a_file_of_the_same_verb_is_replaced(self, source: Path) -> None:
        for value in (1, 2):
            source.write_text(str(value))
            double(source, Path("out.json"), Path("side.json"))
            assert json.loads(Path("out.json").read_text()) == 2 * value
            assert json.loads(Path("side.json").read_text()) == value

    @pytest.mark.parametrize("position", ["output", "side"])
    @pytest.mark.parametrize("owner", [None, "combine"])
    def test_a_file_of_somebody_else_is_kept(self, source: Path, position: str, owner: str | None) -> None:
        target = Path("precious.json")
        target.write_text("mine")
        if owner is not None:
            write_manifest(target, verb=owner, args={}, inputs={}, outputs={"x": target})
        before = listing(Path.cwd())
        outputs = (target, None) if position == "output" else (Path("out.json"), target)
        with pytest.raises(InputError, match=r"precious\.json exists already, and no manifest .* shard wrote it"):
            double(source, *outputs)
        assert listing(Path.cwd()) == before

    def test_an_empty_file_holds_nothing_to_lose(self, source: Path) -> None:
        Path("out.json").touch()
        double(source, Path("out.json"))
        assert Path("out.json").read_text() == "42\n"

    def test_two_outputs_have_two_names(self, source: Path) -> None:
        before = listing(Path.cwd())
        with pytest.raises(InputError, match=r"out\.json is the name of two outputs of shard"):
            double(source, Path("out.json"), Path("in/../out.json"))
        assert listing(Path.cwd()) == before


IMPOSSIBLE: dict[str, tuple[Callable[[], Path], str]] = {
    "a folder": (lambda: Path("in"), r"cannot write in: it is a folder"),
    "below a file": (lambda: Path("in/source.json/x/y.json"), r"source\.json is a file, not a folder"),
    "a name that is too long": (lambda: Path("x" * 300), "File name too long"),
    "a device": (lambda: Path("/dev/null"), "cannot write /dev/null: it is a device or a pipe"),
    "a link to itself": (lambda: symbolic(Path("loop"), Path("loop")), "cannot write loop: Too many levels"),
}


@pytest.mark.parametrize("kind", IMPOSSIBLE)
@pytest.mark.parametrize("inside", [True, False])
def test_paths_that_are_no_output(source: Path, kind: str, inside: bool) -> None:
    make, message = IMPOSSIBLE[kind]
    target = make()
    with pytest.raises(InputError, match=message):
        double(source, target) if inside else write_bytes(target, b"x")
    assert source.read_text() == "21"
    assert Path("/dev/null").is_char_device()


def test_a_long_name_that_is_allowed(source: Path) -> None:
    target = Path("n" * 240)
    write_bytes(target, b"x")
    assert [path.name for path in Path().iterdir() if path.is_file()] == [target.name]


def replaced(source: Path) -> None:
    new = source.with_name("new")
    new.write_text("22")
    os.replace(new, source)


CHANGES: dict[str, Callable[[Path], object]] = {
    "replaced": replaced,
    "written": lambda source: source.write_text("2100"),
    "removed": lambda source: source.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_input_that_changes_meanwhile_is_refused(source: Path, change: str) -> None:
    with pytest.raises(IntegrityError, match=r"source\.json was (changed or replaced|removed) while it was read"):
        double(source, Path("out.json"), during=lambda: CHANGES[change](source))
    assert not [path for path in Path().iterdir() if path.is_file()]


@pytest.mark.parametrize("change", CHANGES)
def test_a_hash_is_that_of_the_file_that_was_read_first(source: Path, change: str) -> None:
    @publishes("shard")
    def verb() -> None:
        sha256_file(source)
        write_json(Path("out.json"), 1)
        CHANGES[change](source)
        write_manifest(Path("out.json"), verb="shard", args={}, inputs={"s": source}, outputs={"o": Path("out.json")})

    with pytest.raises(IntegrityError, match="while it was read"):
        verb()
    assert not [path for path in Path().iterdir() if path.is_file()]


@pytest.mark.parametrize("error", [PyvmafError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [True, False])
def test_a_verb_that_fails_leaves_what_was_there(source: Path, error: type[BaseException], old: bool) -> None:
    if old:
        double(source, Path("out.json"), Path("side.json"))
    source.write_text("3")
    before = listing(Path.cwd())

    @publishes("shard")
    def verb() -> None:
        write_json(Path("out.json"), 6)
        write_json(Path("side.json"), 3)
        raise error("stop")

    with pytest.raises(error):
        verb()
    assert listing(Path.cwd()) == before


def test_a_verb_reads_what_it_has_written_and_a_verb_inside_another_ends_first(source: Path) -> None:
    @publishes("combine")
    def outer() -> None:
        double(source, Path("inner.json"))
        assert read_json(Path("inner.json")) == 42
        write_json(Path("outer.json"), 7)
        assert not Path("outer.json").exists()
        assert read_json(Path("outer.json")) == 7
        assert len(sha256_file(Path("outer.json"))) == 64

    outer()
    assert Path("outer.json").read_text() == "7\n"
    assert manifest_path(Path("inner.json")).exists()


def test_errors_of_the_system_name_the_file(source: Path) -> None:
    def full() -> None:
        with atomic_path(Path("out.json")) as temporary:
            raise OSError(28, "No space left on device", os.fspath(temporary))

    with pytest.raises(OSError, match=r"No space left on device: 'out\.json'"):
        full()
