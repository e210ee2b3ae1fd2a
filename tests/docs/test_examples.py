"""Commands in the heads of the examples' files: the programs take their words, and what they name is there or made before."""

from __future__ import annotations

import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.docs import lines, material
from tests.make.images import duts
from tests.make.videos import REPOSITORY, make_video
from tests.make.workflows import parse

EXAMPLES = REPOSITORY / "docs" / "examples"
FILES = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("*/*.yaml"))

RUN = {
    "fr_mos": "tests/docs/material.py",
    "predictor": "tests/scoring/test_suggest.py",
    "sweep": "tests/checks/test_sweep.py",
    **dict.fromkeys(
        ("bvi_dvc", "chug", "combined", "k150k", "konvid_pairs", "nflx", "nflx_konvid", "ugc", "vmaf_tune"),
        "tests/workflow/test_builders.py",
    ),
}
"""Examples that a test runs on small files of their form, and the test."""

PLANNED = {"pixels"}
"""Examples whose jobs are too long for a test: their plans are made here, and tests/workflow/test_frames.py runs one like them."""


def commands(text: str) -> list[list[str]]:
    """Return the commands of a file's comments; one goes on in comments that are indented further."""
    found: list[str] = []
    for line in text.splitlines():
        if re.match(r"#   (vmaf-train|snakemake) ", line):
            found.append(line.removeprefix("#   "))
        elif found and line.startswith("#     "):
            found[-1] += " " + line.removeprefix("#     ")
    # "For each seed N".
    return [[re.sub(r"(?<![A-Za-z])N$|(?<=/s)N$", "0", word) for word in shlex.split(call)] for call in found]


@pytest.mark.parametrize("name", [name for name in FILES if commands((EXAMPLES / name).read_text())])
def test_the_programs_take_the_commands(name: str) -> None:
    for program, *words in commands((EXAMPLES / name).read_text()):
        lines.parse(program, words)
        if program == "snakemake":
            assert words[words.index("--configfile") + 1] == f"docs/examples/{name}"
        for word in words:
            if word.startswith("docs/examples/"):
                assert (REPOSITORY / word).is_file(), f"{name}: {word}"


def test_every_example_is_run_or_planned_by_a_test() -> None:
    for name, test in RUN.items():
        assert f"examples/{name}" in (text := (REPOSITORY / test).read_text()) or f'"{name}"' in text, test
    assert {name.partition("/")[0] for name in FILES} == {*RUN, *PLANNED}


@pytest.mark.slow
def test_examples_with_pictures_are_planned(tmp_path: Path) -> None:
    """Their commands, the runs of the workflow as dry-runs."""
    material.checkout(tmp_path)
    shutil.copytree(EXAMPLES / "pixels", tmp_path / "docs" / "examples" / "pixels")
    for number in range(7):
        make_video(tmp_path / "videos" / f"{number}.mkv", "240x226", 3, rate=f"{20 + number}")
    duts(tmp_path / "videos" / "DUTS-TR", 6, 96)
    shutil.copytree(REPOSITORY / "config" / "models", tmp_path / "config" / "models", dirs_exist_ok=True)
    jobs: Counter[str] = Counter()
    for file in ("config", "saliency"):
        for program, *words in commands((EXAMPLES / "pixels" / f"{file}.yaml").read_text()):
            again = ["-n"] if program == "snakemake" else []
            done = material.shell(shlex.join([program, *again, *words]), tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
            jobs += parse(done.returncode, done.stdout + done.stderr).jobs
    assert jobs["encode_rung"] == 7 * 15
    assert jobs["fit_model"] == 4


def test_commands_go_on_over_comments() -> None:
    text = "# Text\n#   vmaf-train fit --seed N\n#     --output runs/sN\n# More\nkey: 1\n"
    assert commands(text) == [["vmaf-train", "fit", "--seed", "0", "--output", "runs/s0"]]
