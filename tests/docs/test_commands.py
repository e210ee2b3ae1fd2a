"""Every code block of README.md and docs/: commands are run on small real files, or, where that takes a network, a device or hours,
compared with the program's own parser; Python is run; YAML and JSON are read.

The tables below name what is not run, and why. An entry that matches nothing fails, and so does a block of an unknown kind.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pandas as pd
import pytest
import yaml

from docs.site import gallery
from docs.site.blocks import Block, PageError, blocks, calls, commands, spans
from docs.site.pages import told
from pyvmaf.scoring.session import FrameWarning
from tests.docs import lines
from tests.make.commands import command as run_verb
from tests.make.images import duts, save
from tests.make.models import write_linear
from tests.make.tables import table_columns, write_table
from tests.make.videos import REPOSITORY, ffmpeg_program

DOCS = REPOSITORY / "docs"
PAGES = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "README.md", *sorted(DOCS.glob("**/*.md")))
    if not path.is_relative_to(DOCS / "examples")
}

LONG = "a run of the workflow takes minutes; tests/workflow runs it"
DATASET = "the files of a published dataset; tests/labels and tests/corpora read files of its form"
FETCH = "downloads a dataset; tests/corpora serves such files from this machine"
NETWORK = "takes a checkpoint out of a package; tests/models converts small ones"
DEVICE = "needs a device; tests/cuda runs it on a driver made for tests"
WEIGHTS = "needs a model of pictures; tests of scoring, checks and models train small ones"

PARSED: dict[str, dict[str, str]] = {
    "README.md": {
        "make ": "these are the tests, and the demo trains for minutes",
        "snakemake ": LONG,
        "vmaf-train manifest-scan --kind pairs --layout": DATASET,
        "vmaf-train fetch": FETCH,
        "vmaf-train manifest-scan --dataset": DATASET,
        "vmaf-train labels": DATASET,
    },
    "docs/index.md": {"snakemake ": LONG},
    "docs/tutorial/train.md": {"snakemake ": LONG},
    "docs/checkpoints.md": {
        "vmaf-train convert": NETWORK, "vmaf-train saliency": WEIGHTS, "vmaf-train eval-saliency-per-mb": WEIGHTS,
    },
    "docs/corpora.md": {
        "snakemake ": LONG, "vmaf-train fetch": FETCH, "vmaf-train manifest-scan --dataset": DATASET,
        "vmaf-train manifest-scan --kind pairs --root ~": DATASET, "vmaf-train extract-features": DATASET,
    },
    "docs/cuda.md": {
        "make ": "builds the extension; `make cuda` does, for the tests of tests/cuda",
        "vmaf-train score": DEVICE, "PYVMAF_CUDA_DEVICE": DEVICE,
        "vmaf-train collect-gpu-calibration -r reference.mkv -d distorted.mkv --backend libvmaf-cuda": DEVICE,
    },
    "docs/frames.md": {"vmaf-train mask-pictures": WEIGHTS},
    "docs/kernels.md": {
        "make ": "builds the extension; `make cuda` does, for the tests of tests/cuda",
        "vmaf-train score reference.mkv distorted.mkv --backend cuda": DEVICE,
        "scripts/gpu_check.sh": DEVICE, "python -m bench cuda": DEVICE,
    },
    "docs/labels.md": {"vmaf-train labels": DATASET, "vmaf-train aggregate": DATASET},
    "docs/models.md": {
        "vmaf-train convert": NETWORK, "vmaf-train fit --config config/models/nr_metric_v2.yaml": NETWORK,
        "vmaf-train calibrate": WEIGHTS, "vmaf-train score video.mkv --model nr_metric_v1": WEIGHTS,
        "vmaf-train ensemble": "needs the seeds of an ensemble; tests/models/test_ensemble.py makes one",
    },
    "docs/native.md": {"make ": "builds a wheel, which takes minutes"},
    "docs/provenance.md": {"jq ": "a program that need not be there"},
    "docs/scale.md": {"for part": LONG, "snakemake ": LONG},
    "docs/studies.md": {
        "vmaf-train tune": "trains a model per trial; tests/studies runs it on a small table",
        "vmaf-train subset-sweep": "trains a model per set and seed; tests/studies runs it on a small table",
    },
    "docs/suggest.md": {"vmaf-train ": "needs a predictor, models of pictures or rated datasets; tests/scoring and tests/checks run them"},
    "docs/tables.md": {"snakemake ": LONG},
    "docs/workflow.md": {"snakemake ": LONG, "vmaf-train audit": LONG, "vmaf-train repair": LONG},
}  # fmt: skip
"""Beginnings of commands by page, and why they are compared with the parser instead of run."""

ELSEWHERE = {"docs/c1_by_hand.md": "tests/models/test_c1_by_hand.py"}
"""Pages whose commands another test runs, all of them."""

COMPILED: dict[str, dict[str, str]] = {
    "docs/features.md": {"import pyvmaf": "needs an ensemble; the rest of it is in docs/tutorial/program.md"},
    "docs/models.md": {"import pyvmaf\n\nmodel = ": "needs an ensemble; tests/scoring/test_load.py loads one"},
    "docs/frames.md": {"from pathlib": "needs a table of pictures; tests/frames makes one"},
}
"""Beginnings of Python blocks that are compiled instead of run."""

STATUS = {"vmaf-train check-ops --model model.onnx --model third_party.onnx": 1}
"""Exit status of commands that do not end with 0."""

NAMES = {
    "vmaf_tiny_v2": "mine_tiny", "vmaf_tiny_v4": "mine_tiny", "saliency_student_v2": "mine_tiny", "--root /data": "--root photos",
}  # fmt: skip
"""Words of pages, and what takes their place: the model and the folders of this run."""


class Count(NamedTuple):
    """What becomes of a command."""

    page: str
    command: str
    reason: str | None


def fate(page: str, command: str) -> Count:
    reasons = [reason for start, reason in PARSED.get(page, {}).items() if command.startswith(start)]
    return Count(page, command, reasons[0] if reasons else None)


def console(page: str) -> Iterator[tuple[Block, str]]:
    for block in blocks(PAGES[page]):
        if block.language == "console":
            found = commands(block)
            assert found, f"{page}:{block.line}: a console block without a command"
            yield from ((block, command) for command in found)


def named(text: str) -> str:
    """Return text with the names of this run."""
    for name, own in NAMES.items():
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", own, text)
    return text


# --- what a page finds -----------------------------------------------------------------------------------------------


def cut(source: Path, target: Path, *words: str) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    made = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", "-i", str(source), *words, str(target)]
    subprocess.run(made, check=True)
    return target


def checkpoints(folder: Path, _: dict[str, Path]) -> None:
    shutil.copy(folder / "reference.mkv", folder / "film.mkv")
    pd.DataFrame({"clip": ["a", "b"], "vmaf_mean": [90.0, 50.0]}).to_parquet(folder / "clips.parquet")
    saliency = {"clip": ["a", "b"], "saliency_mean": [0.1, 0.2], "saliency_var": [0.01, 0.02]}
    pd.DataFrame(saliency).to_parquet(folder / "saliency.parquet")


def checks(folder: Path, _: dict[str, Path]) -> None:
    seeds = folder / "results" / "models" / "mine_tiny"
    for name in ("model.onnx", "model.json"):
        shutil.copy(seeds / "seed0" / name, folder / name)
    for name in ("static_qdq.onnx", "static_qdq.json"):
        shutil.copy(folder / "results/quantized/mine_tiny/seed0" / name, folder / name)
    write_linear(folder / "third_party.onnx", [1.0] * 6, op="Hardmax")
    shutil.copy(folder / "results/tables/default.parquet", folder / "results/tables/other.parquet")
    shutil.copy(folder / "results/tables/default.parquet", folder / "table.parquet")
    for seed in (0, 1):
        (folder / "nightly").mkdir(exist_ok=True)
        shutil.copy(seeds / f"seed{seed}" / "model.onnx", folder / "nightly" / f"{seed}.onnx")


def corpora(folder: Path, files: dict[str, Path]) -> None:
    cut(files["bigbuckbunny.mp4"], folder / "bigbuckbunny.mp4", "-c", "copy", "-frames:v", "32")
    for scene, crfs in (("street", (30, 45)), ("park", (40,))):
        pristine = shutil.copy(folder / "ref" / "bikes.mkv", folder / "videos" / f"{scene}.mkv")
        if scene == "park":
            pristine = shutil.copy(folder / "ref" / "film.mkv", folder / "videos" / f"{scene}.mkv")
        for crf in crfs:
            words = ("-c:v", "libx264", "-preset", "medium", "-crf", str(crf))
            cut(Path(pristine), folder / "videos" / f"{scene}_{crf}.mp4", *words)
    [listing] = [block.text for block in blocks(PAGES["docs/corpora.md"]) if block.language == "csv"]
    (folder / "videos" / "pairs.csv").write_text(listing)
    shutil.copy(folder / "videos" / "pairs.csv", folder / "pairs.csv")


def cuda(folder: Path, files: dict[str, Path]) -> None:
    # Longer than the clip of the tutorials.
    for name, side in (("pristine", "reference"), ("distorted", "distorted")):
        shutil.copy(files[f"carphone_{name}.mp4"], folder / f"{side}.mkv")


def frames(folder: Path, clips: dict[str, Path]) -> None:
    cut(clips["bikes_1.mkv"], folder / "clip.mkv", "-frames:v", "30", "-vf", "scale=640:-2", "-qp", "0")
    duts(folder / "DUTS-TR", 3, 96)
    rng = np.random.default_rng(0)
    for number in range(2):
        save(folder / "photos" / f"{number}.png", rng.integers(0, 255, (300, 600, 3), np.uint8))
    (folder / "scores.csv").write_text("key,mos\n0,3.5\n1,2\n")
    (folder / "images.csv").write_text("image\n0.png\n")


def labels(folder: Path, _: dict[str, Path]) -> None:
    runs = folder / "runs"
    of = {"konvid": ("1000001", "1000002"), "chug": ("1000003", "1000004")}
    for name, clips in of.items():
        columns = table_columns(frames=2, corpus=name, clips=clips, codecs=["libx264"])
        scores = [{"src": f"{clip}.mp4", "mos": 2.0 + number, "mos_scale": [1, 5]} for number, clip in enumerate(clips)]
        text = "".join(json.dumps(row) + "\n" for row in scores)
        for place in (folder, runs):
            write_table(
                place / f"{name}.parquet", columns, features=["adm2"], unavailable={}, model="vmaf_v0.6.1", engine={}
            )
            (place / f"{name}-1k.jsonl").write_text(text)
    pd.DataFrame({"clip": of["chug"], "saliency_mean": [0.1, 0.2]}).to_csv(runs / "saliency.csv", index=False)
    [listing] = [block.text for block in blocks(PAGES["docs/labels.md"]) if block.language == "json"]
    (folder / "joins.jsonl").write_text(listing)
    pd.DataFrame({"clip": of["konvid"], "score": [80, 40]}).to_csv(folder / "nr.csv", index=False)
    frames_of = {"clip": ["a", "a", "b", "b"], "frame_index": [0, 1, 0, 1]}
    pd.DataFrame({**frames_of, "vmaf": [90.0, 91, 50, 52]}).to_parquet(folder / "clips.parquet")
    maps = {"saliency_mean": [0.1] * 4, "saliency_var": [0.01] * 4}
    pd.DataFrame({**frames_of, **maps}).to_parquet(folder / "saliency.parquet")
    contents = [{"src": f"{clip}.mp4", "chug_content_name": clip, "chug_bitladder": "ref"} for clip in "ab"]
    (folder / "chug.jsonl").write_text("".join(json.dumps(row) + "\n" for row in contents))


def models(folder: Path, _: dict[str, Path]) -> None:
    _with_negatives(folder)
    words = ("--root", "home/videos", "--name", "embedded", "--output", "config/corpora/embedded.yaml")
    for call in (("manifest-scan", *words), ("prepare", "--corpus", "embedded"), ("manifest", "--corpus", "embedded")):
        done = run_verb(*call, cwd=folder)
        assert done.returncode == 0, done.stderr
    shutil.copy(folder / "results/tables/default.parquet", folder / "another.parquet")
    checks(folder, {})
    for name in ("new", "old"):
        shutil.copy(folder / "model.onnx", folder / f"{name}.onnx")
        shutil.copy(folder / "model.json", folder / f"{name}.json")


def _with_negatives(folder: Path) -> None:
    """Let the model of the tutorials train on hard negatives, without limits that a model of four clips would miss."""
    path = folder / "config" / "models" / "mine_tiny.yaml"
    spec = yaml.safe_load(path.read_text())
    wide = {"black_max": 100, "swapped_max": 100, "teacher_error_max": 100, "range_margin": 200}
    spec |= {
        "rows": {"negatives": True},
        "seeds": [0, 1, 2],
        "epochs": 20,
        "gates": {**spec["gates"], "hard_negatives": wide},
    }
    path.write_text(yaml.safe_dump(spec))


def quantized(folder: Path, _: dict[str, Path]) -> None:
    shutil.copytree(folder / "results/models/mine_tiny/seed0", folder / "runs/tiny/seed0")
    checks(folder, {})


def registry(folder: Path, _: dict[str, Path]) -> None:
    (folder / "model" / "tiny").mkdir(parents=True)
    shutil.copy(folder / "results/models/mine_tiny/seed0/model.onnx", folder / "model/tiny/x.onnx")


def score(folder: Path, _: dict[str, Path]) -> None:
    cut(folder / "reference.mkv", folder / "more" / "a.webm", "-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "0")
    for version in ("x264", "x265"):
        for path in (folder / "encodes" / version).glob("*.mkv"):
            cut(path, path.with_suffix(".mp4"), "-c", "copy")
            path.unlink()


def studies(folder: Path, _: dict[str, Path]) -> None:
    columns = table_columns(frames=4, codecs=["libx264"])
    columns["mos"] = [1 + value / 25 for value in columns["vmaf"]]
    columns["nr_metric_v1"] = [value - 3 * (index % 5) for index, value in enumerate(columns["vmaf"])]
    write_table(folder / "clips.parquet", columns, features=["adm2"], unavailable={}, model="vmaf_v0.6.1", engine={})


def tables(folder: Path, _: dict[str, Path]) -> None:
    for name in ("four", "ugc"):
        columns = table_columns(frames=2, corpus=name, clips=(f"{name}_a", f"{name}_b"), codecs=["libx264"])
        write_table(
            folder / f"{name}.parquet", columns, features=["adm2"], unavailable={}, model="vmaf_v0.6.1", engine={}
        )


def workflow(folder: Path, _: dict[str, Path]) -> None:
    (folder / "mine.yaml").write_text("codecs: [libx264]\nseeds: [0]\n")


READY: dict[str, Callable[[Path, dict[str, Path]], None]] = {
    f"docs/{function.__name__}.md": function
    for function in (
        checkpoints,
        checks,
        corpora,
        cuda,
        frames,
        labels,
        models,
        quantized,
        registry,
        score,
        studies,
        tables,
        workflow,
    )
}
"""What a page needs beside the files of the tutorials."""


@pytest.fixture
def folder(
    request: pytest.FixtureRequest, tutorials: Path, tmp_path: Path, embedded_files: dict[str, Path],
    embedded_corpus: dict[str, Path],
) -> Iterator[Path]:  # fmt: skip
    """The files of the tutorials and those that the page needs, as the working directory and with a home of its own."""
    folder = tmp_path / "work"
    shutil.copytree(tutorials, folder)
    (folder / "videos").mkdir(exist_ok=True)
    with chdir(folder), gallery.home(folder / "home"):
        page = request.node.callspec.params["page"]
        if page in READY:
            READY[page](folder, {**embedded_files, **{path.name: path for path in embedded_corpus.values()}})
        yield folder


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
                perform(page, command, folder)
        elif block.language == "python":
            run_python(page, block, names)


def perform(page: str, command: str, folder: Path) -> None:
    """Run a command of a page, or compare it with the program's parser."""
    if fate(page, command).reason is not None:
        compare(command, folder)
        return
    if " | " in command:
        shell(command, folder)
        return
    for program, *words in calls(named(command), folder):
        if program == "python":
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            continue
        assert program == "vmaf-train", f"{page}: {command}: nothing runs {program}; name it in PARSED with a reason"
        done = run_verb(*words)
        assert done.returncode == STATUS.get(command, 0), f"{page}: $ {shlex.join(words)}\n{done.stdout}\n{done.stderr}"


def compare(command: str, folder: Path) -> None:
    if command.startswith("scripts/"):
        path = REPOSITORY / shlex.split(command, comments=True)[0]
        assert os.access(path, os.X_OK), f"{path} cannot be run"
        return
    for program, *words in calls(command, folder):
        lines.parse(program, words)


def shell(command: str, folder: Path) -> None:
    """Run a command with pipes by a shell that finds this environment's programs and FFmpeg."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "ffmpeg").symlink_to(ffmpeg_program())
    path = os.pathsep.join((str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env={**os.environ, "PATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"


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
    text = named(block.text)
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


def test_the_tutorials_were_run(tutorials: Path) -> None:
    """Each block of theirs ran when the fixture was made; what it did not run is compared here."""
    for page in TUTORIALS:
        assert blocks(PAGES[page])
        for _, command in console(page):
            programs = {program for program, *_ in calls(command, tutorials)}
            if programs & set(gallery.LATER):
                assert fate(page, command).reason is not None
                compare(command, tutorials)
            else:
                assert programs == {"vmaf-train"}


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
    found = [fate(page, command) for page in PAGES for _, command in console(page)]
    parsed = [count for count in found if count.reason is not None]
    unused = [
        (page, start) for page, starts in PARSED.items() for start in starts
        if not any(count.page == page and count.command.startswith(start) for count in parsed)
    ]  # fmt: skip
    assert not unused, "PARSED names commands that no page has"
    for page, starts in COMPILED.items():
        texts = [block.text for block in blocks(PAGES[page]) if block.language == "python"]
        assert all(any(text.startswith(start) for text in texts) for start in starts), page
    for page, test in ELSEWHERE.items():
        assert page.rpartition("/")[2] in (REPOSITORY / test).read_text()
    python = sum(block.language == "python" for text in PAGES.values() for block in blocks(text))
    reasons = Counter(str(count.reason).partition(";")[0] for count in parsed)
    with capsys.disabled():
        print(f"\ncommands of pages: {len(found) - len(parsed)} run, {len(parsed)} compared with the parser only")
        for reason, number in reasons.most_common():
            print(f"  {number:3} {reason}")
        print(
            f"Python blocks: {python - sum(map(len, COMPILED.values()))} run, {sum(map(len, COMPILED.values()))} compiled only"
        )
    assert len(found) - len(parsed) >= len(parsed) // 2


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
