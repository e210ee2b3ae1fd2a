"""Every code block of README.md and docs/: commands and Python are run on small real files, YAML and JSON are read.

The tables below name what is run elsewhere, and commands that end otherwise than with status 0. An entry that matches nothing fails,
and so does a block of an unknown kind.
"""

from __future__ import annotations

import doctest
import json
import re
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, chdir, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
import yaml

from docs.site import gallery
from docs.site.blocks import Block, PageError, blocks, calls, commands, spans
from docs.site.pages import told
from pyvmaf import engines
from pyvmaf.base.files import sha256_file
from pyvmaf.errors import UnavailableError
from pyvmaf.features.catalog import FEATURES
from pyvmaf.scoring.session import FrameWarning
from pyvmaf.video.format import Format
from tests.docs import lines, material
from tests.docs.material import PAGES, READY, Given
from tests.make.commands import command as run_verb
from tests.make.videos import REPOSITORY

ELSEWHERE = {"docs/c1_by_hand.md": "tests/models/test_c1_by_hand.py"}
"""Pages whose commands another test runs, all of them."""

COMPILED: dict[str, dict[str, str]] = {
    "docs/features.md": {"import pyvmaf": "needs an ensemble; the rest of it is in docs/tutorial/program.md"},
    "docs/models.md": {"import pyvmaf\n\nmodel = ": "needs an ensemble; tests/scoring/test_load.py loads one"},
    "docs/frames.md": {"from pathlib": "needs a table of pictures; tests/frames makes one"},
}
"""Beginnings of Python blocks that are compiled instead of run."""

STATUS = {
    "vmaf-train convert --config config/models/fastdvdnet_pre.yaml --weights model.pth --sha256 HASH": 1,
    "vmaf-train calibrate-nr-threshold clips --model nr_metric_v1 --target 93 -o nr_threshold.json": 1,
    "vmaf-train audit --config 'features=[canonical6, psnr_y]'": 1,
    "vmaf-train check-ops --model model.onnx --model third_party.onnx": 1,
}
"""Exit status of commands that do not end with 0."""

NAMES = {
    "nr_metric_v1": "small_nr", "vmaf_tiny_v2": "mine_tiny", "vmaf_tiny_v4": "mine_tiny", "saliency_student_v2": "mine_tiny", "--root /data": "--root photos",
}  # fmt: skip
"""Words of pages, and what takes their place: the model and the folders of this run."""


RUN_BY = {
    "make test": "runs the tests of this folder with all others",
    "make setup CUDA=1": "builds with CUDA in place of the installed extension what `make cuda` builds beside it, which `make test` does first",
    "make wheel": "tests/test_wheel.py runs it, where there is a package index",
}
"""Commands that are not run here, and what is to be known of them."""

NEEDS = {
    "--backend libvmaf-cuda": "libvmaf-cuda",
    "--backend cuda": "cuda",
    "scripts/gpu_check.sh": "cuda",
}
"""Parts of commands that measure on a device, and the engine that does. Without one they end with a message that names what is missing."""

WORKFLOW = {page for page, text in PAGES.items() if re.search(r"^\$ .*(snakemake|make demo)", text, re.MULTILINE)}
"""Pages that run the workflow."""


def console(page: str) -> Iterator[tuple[Block, str]]:
    for block in blocks(PAGES[page]):
        if block.language == "console":
            found = [without_comment(command) for command in commands(block)]
            assert found, f"{page}:{block.line}: a console block without a command"
            yield from ((block, command) for command in found)


def without_comment(command: str) -> str:
    return re.sub(r" +# .*", "", command)


def named(page: str, text: str) -> str:
    """Return text with the names of this run."""
    if "--sha256 HASH" in text:
        text = text.replace("HASH", sha256_file(Path("model.pth")))
    for name, own in NAMES.items() if page not in WORKFLOW else ():
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", own, text)
    return text


@pytest.fixture
def folder(
    request: pytest.FixtureRequest, tutorials: Path, tmp_path: Path, embedded_files: dict[str, Path],
    embedded_corpus: dict[str, Path], session_folder: Path,
) -> Iterator[Path]:  # fmt: skip
    """The files of the tutorials and those that the page needs, as the working directory and with a home of its own.

    A page that runs the workflow finds the finished run of it instead of the results of the tutorials.
    """
    folder, page = tmp_path / "work", request.node.callspec.params["page"]
    shutil.copytree(tutorials, folder, ignore=without_results if page in WORKFLOW else None)
    if page in WORKFLOW:
        shutil.copytree(request.getfixturevalue("line"), folder, dirs_exist_ok=True, symlinks=True)
    (folder / "videos").mkdir(exist_ok=True)
    with chdir(folder), gallery.home(folder / "home"):
        if page in READY:
            files = {**embedded_files, **{path.name: path for path in embedded_corpus.values()}}
            READY[page](folder, Given(files, session_folder))
        yield folder


def without_results(folder: str, names: list[str]) -> list[str]:
    return ["results"] if "reference.mkv" in names else []


# --- tests -----------------------------------------------------------------------------------------------------------

TUTORIALS = {f"docs/tutorial/{name}.md" for name in gallery.TUTORIALS}
WITH_CODE = [page for page in PAGES if any(block.language in ("console", "python") for block in blocks(PAGES[page]))]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_CODE if page not in TUTORIALS and page not in ELSEWHERE])
def test_a_page(page: str, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__", **given(folder)}
    for block in blocks(PAGES[page]):
        if block.language == "console":
            for command in commands(block):
                perform(page, without_comment(command), folder)
        elif block.language == "python":
            run_python(page, block, names)


def perform(page: str, command: str, folder: Path) -> None:
    """Run a command of a page, and check its exit status, the files that it names as outputs, and what it prints."""
    if command in RUN_BY:
        return
    if found := re.fullmatch(r"vmaf-train convert --config config/models/(\w+)\.yaml", command):
        # A fixture of the session ran this line.
        report = Path("results/models") / found[1] / "converted" / "conversion.json"
        assert json.loads(report.read_text())["verdict"] == "PROMOTE"
        return
    [lacks] = {missing(engine) for words, engine in NEEDS.items() if words in command} or {None}
    status = STATUS.get(command, 0) if lacks is None else 3 if command.startswith("scripts/") else 2
    with EFFECTS.get(command, nothing_else)() as printed:
        if needs_shell(command):
            done = by_shell(page, command, folder)
            assert done.returncode == status, f"{page}: $ {command}\n{done.stdout}\n{done.stderr}"
            printed.append(done.stdout)
        else:
            for program, *words in calls(named(page, command), folder):
                assert program == "vmaf-train", f"{page}: {command}: nothing runs {program}"
                did = run_verb(*words)
                assert did.returncode == status, f"{page}: $ {shlex.join(words)}\n{did.stdout}\n{did.stderr}"
                assert status or not [path for path in lines.outputs(words) if not path.exists()], f"{page}: {command}"
                assert lacks is None or (did.stdout, did.stderr) == ("", f"error: {lacks}\n")
                printed.append(did.stdout)


def needs_shell(command: str) -> bool:
    """Return whether a command is more than calls of ``vmaf-train``."""
    return " | " in command or "snakemake" in command or command.split(maxsplit=1)[0] not in ("vmaf-train", "for")


def by_shell(page: str, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command by a shell; of the workflow, check that there are rows of the corpora that it names."""
    # The environment of the tests is the one that `make setup` makes.
    done = material.shell(re.sub(r"^make ", "make -o setup ", named(page, command)), folder)
    if found := re.search(r"snakemake .*'corpora=\[(.*?)\]'", command):
        for shard in (Path("results/shards") / corpus for corpus in found[1].split(", ")):
            assert list(shard.glob("*.parquet")), f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@cache
def missing(engine: str) -> str | None:
    """Return what an engine lacks here, in its words; None if it measures."""
    try:
        engines.load(engine).open({FEATURES["vif_scale0"].request: []}, Format.planar(64, 64, "400", 8)).close()
    except UnavailableError as err:
        return str(err)
    return None


# --- what commands do beside ending with their status ------------------------------------------------------------------


@contextmanager
def nothing_else() -> Iterator[list[str]]:
    yield []


@contextmanager
def audited() -> Iterator[list[str]]:
    printed: list[str] = []
    yield printed
    assert re.match(r"\d+ of \d+ jobs would run, ", printed[0])
    assert "because what.features: canonical6 -> canonical6,psnr_y" in " ".join(printed[0].split())


@contextmanager
def damaged() -> Iterator[list[str]]:
    """A result is damaged before, and has the same bytes again after."""
    path = Path("results/features/mine/bikes/libx264.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    yield []
    assert path.read_bytes() == whole


EFFECTS: dict[str, Callable[[], AbstractContextManager[list[str]]]] = {
    "vmaf-train audit --config 'features=[canonical6, psnr_y]'": audited,
    "vmaf-train repair --cores 2": damaged,
}
"""What is done before a command, and checked after it, beside its status and its files."""


def given(folder: Path) -> dict[str, Any]:
    """Names that pages use without making them: frames, rows, a report."""
    from pyvmaf.video.reader import Reader

    table = pd.read_parquet(folder / "results/tables/default.parquet")
    columns = ["adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2"]
    pairs = zip(Reader(folder / "reference.mkv").planes(), Reader(folder / "distorted.mkv").planes(), strict=True)
    return {
        "pairs": [pair for pair, _ in zip(pairs, range(4), strict=False)],
        "frame": table, "X": table[columns].to_numpy(), "y": table["vmaf"].to_numpy(),
    }  # fmt: skip


def run_python(page: str, block: Block, names: dict[str, Any]) -> None:
    text = named(page, block.text)
    if any(text.startswith(start) for start in COMPILED.get(page, {})):
        compile(text, f"{page}:{block.line}", "exec")
        return
    if text.startswith(">>>"):
        from fractions import Fraction

        names["Fraction"] = Fraction
        test = doctest.DocTestParser().get_doctest(text, names, page, page, block.line)
        runner = doctest.DocTestRunner(verbose=False)
        report: list[str] = []
        runner.run(test, out=report.append, clear_globs=False)
        names |= test.globs
        assert runner.summarize(verbose=False).failed == 0, "".join(report)
        return
    for (of, words), adapt in ADAPTED.items():
        if of == page and words in block.text:
            adapt(names)
    with warnings.catch_warnings():
        # Conversions that a page speaks of.
        warnings.simplefilter("ignore", FrameWarning)
        exec(compile(text, f"{page}:{block.line}", "exec"), names)  # noqa: S102  # the code of our own pages


def rgb(names: dict[str, Any]) -> None:
    """Frames of the videos as RGB."""
    with av.open("reference.mkv") as reference, av.open("distorted.mkv") as distorted:
        frames = zip(reference.decode(video=0), distorted.decode(video=0), strict=True)
        names["pairs"] = [
            tuple(side.to_ndarray(format="rgb24") for side in pair) for pair, _ in zip(frames, range(3), strict=False)
        ]


def size(names: dict[str, Any]) -> None:
    """Frames of the size that the page opens its context for, and scores that were measured before."""
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 255, shape, np.uint8) for shape in ((720, 1280), (360, 640), (360, 640))]
    names["pairs"] = [(planes, planes)] * 2


def int8(names: dict[str, Any]) -> None:
    from pyvmaf import load_model

    names |= {"load_model": load_model, "report": json.loads(Path("static_qdq.json").read_text())}


def section(names: dict[str, Any]) -> None:
    from pyvmaf.reports import elements
    from pyvmaf.reports.pages.run.report import Report

    names |= {name: getattr(elements, name) for name in ("text", "number", "table", "Section")} | {"Report": Report}


ADAPTED: dict[tuple[str, str], Callable[[dict[str, Any]], None]] = {
    ("docs/score.md", "with pyvmaf.Session(layout="): rgb,
    ("docs/native.md", "with Context(1280, 720)"): size,
    ("docs/quantized.md", "load_model("): int8,
    ("docs/reports.md", "def section("): section,
}
"""Names that a block takes from the text around it."""


def test_the_tutorials_were_run(tutorials: Path, line: Path) -> None:
    """Each block of theirs ran when the fixtures were made, and nothing else is in them."""
    for page in TUTORIALS:
        assert blocks(PAGES[page])
        for _, command in console(page):
            assert command == material.LINE or {program for program, *_ in calls(command, tutorials)} == {"vmaf-train"}
    assert (line / "results" / "reports" / "report.html").is_file()


def test_data_of_pages_can_be_read() -> None:
    for page, text in PAGES.items():
        for block in blocks(text):
            where = f"{page}:{block.line}"
            if block.language == "yaml":
                assert yaml.safe_load(block.text.replace("[…]", "[]")), where
            if block.language == "json":
                assert all(isinstance(json.loads(line), dict) for line in block.text.splitlines()), where


@pytest.mark.parametrize("page", PAGES)
def test_inline_calls_name_verbs_and_options_that_exist(page: str) -> None:
    for text in spans(PAGES[page]):
        lines.check_span(text)


def test_examples_of_the_help_are_calls_that_the_parser_takes() -> None:
    count = 0
    for verb, found in lines.verbs().items():
        _, examples = told(found.help or "")
        for words in (shlex.split(call, comments=True) for example in examples for call in example.split(" | ")):
            if words[0] == "vmaf-train":
                lines.parse(words[0], words[1:])
                count += 1
        assert examples or found.hidden or verb == "features", f"{verb} has no example"
    assert count > 60


def test_everything_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = [command for page in PAGES for _, command in console(page)]
    for table in (RUN_BY, STATUS, EFFECTS):
        assert set(table) <= set(found), "a table names commands that no page has"
    targets = re.findall(r"^(\w[\w-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert {command.split()[1] for command in RUN_BY} <= set(targets)
    assert all(any(words in command for command in found) for words in NEEDS)
    for page, starts in COMPILED.items():
        texts = [block.text for block in blocks(PAGES[page]) if block.language == "python"]
        assert all(any(text.startswith(start) for text in texts) for start in starts), page
    for page, test in ELSEWHERE.items():
        assert page.rpartition("/")[2] in (REPOSITORY / test).read_text()
    python = sum(block.language == "python" for text in PAGES.values() for block in blocks(text))
    with capsys.disabled():
        run = [command for command in found if command not in RUN_BY]
        print(f"\ncommands of pages: {len(run)} of {len(found)} run here")
        for command, reason in RUN_BY.items():
            print(f"  not {command}: {reason}")
        print(
            f"Python blocks: {python - sum(map(len, COMPILED.values()))} run, {sum(map(len, COMPILED.values()))} compiled only"
        )


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```\nvmaf-train score a b\n```\n", "a block of kind ''"),
        ("```fortran\nend\n```\n", "a block of kind 'fortran'"),
        ("Text:\n\n    vmaf-train score a b\n", "an indented block"),
    ],
)
def test_blocks_of_unknown_kinds_are_refused(page: str, message: str) -> None:
    with pytest.raises(PageError, match=message):
        blocks(page)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("vmaf-train", ["scor", "a", "b"]),
        ("vmaf-train", ["score", "a", "b", "--no-such-option"]),
        ("vmaf-train", ["fit", "--config", "a.yaml"]),
        ("vmaf-train", ["encode", "a", "b", "--crf", "many"]),
        ("snakemake", ["--core", "2", "--no-such"]),
        ("snakemake", ["--cores", "2", "--config", "corpus=[a]"]),
        ("snakemake", ["--cores", "2", "--", "all_modles"]),
        ("make", ["dmeo"]),
        ("make", ["setup", "CUUDA=1"]),
        ("pip", ["install", "vmaf-train[trian]"]),
        ("python", ["-m", "bench", "none"]),
        ("curl", ["x"]),
    ],
)
def test_mistakes_in_calls_are_found(program: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError):
        lines.parse(program, words)
    capsys.readouterr()


def test_commands_go_on_over_lines(tmp_path: Path) -> None:
    [block] = blocks(
        '```console\n$ for n in 1 2; do\n>   vmaf-train score "a b" $n \\\n>     *.mkv\n> done\nprinted\n```\n'
    )
    (tmp_path / "c.mkv").touch()
    [command] = commands(block)
    assert calls(command, tmp_path) == [["vmaf-train", "score", "a b", n, "c.mkv"] for n in "12"]
