"""The instructions of CONTRIBUTING.md, followed in a copy of the checkout: patches, files and commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.make.videos import REPOSITORY, make_video

PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
COPIED = (
    *("CMakeLists.txt", "pyproject.toml", "config", "docs", "envs", "profiles", "pyvmaf", "requirements", "rules"),
    *("snakemake_logger_plugin_pyvmaf", "tests", "workflow"),
)

pytestmark = pytest.mark.slow


def blocks(section: str, language: str) -> list[tuple[str, str]]:
    """Find the code blocks of a section, each with the file name before it, or ""."""
    pattern = rf"(?:^`([\w./]+)`:\n\n)?^```{language}\n(.*?)^```"
    return re.findall(pattern, SECTIONS[section], re.MULTILINE | re.DOTALL)


def commands(section: str) -> list[str]:
    [(_, text)] = blocks(section, "console")
    return [line.removeprefix("$ ") for line in text.splitlines()]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment that sees every installed package but this one, so that a checkout comes first."""
    folder = tmp_path_factory.mktemp("contributing") / "environment"
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    site = next(folder.glob("lib/python*/site-packages"))
    # A line in a .pth file adds the folder, but not what its own .pth files start, such as the editable install.
    (site / "installed.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n")
    for name in ("vmaf-train", "snakemake", "snakefmt", "pytest"):
        _, _, text = (Path(sys.executable).parent / name).read_text().partition("\n")
        (folder / "bin" / name).write_text(f"#!{folder}/bin/python\n{text}")
        (folder / "bin" / name).chmod(0o755)
    return folder / "bin"


@pytest.fixture
def checkout(tmp_path: Path, embedded_corpus: Mapping[str, Path]) -> Path:
    """A copy of this checkout with one short video in it."""
    import pyvmaf._native

    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.so"))
        else:
            shutil.copyfile(source, folder / name)
    built = Path(str(pyvmaf._native.__file__))
    for path in (built, built.with_name("_native_build.json")):
        (folder / "pyvmaf" / path.name).symlink_to(path)
    (folder / "videos").mkdir()
    shutil.copyfile(embedded_corpus["carphone"], folder / "videos" / "clip.mkv")
    return folder


def follow(section: str, checkout: Path, programs: Path) -> dict[str, str]:
    """Follow the instructions of a section; return the output of each command."""
    for _, patch in blocks(section, "diff"):
        # The position of a block is found by its lines, not by the numbers of its head.
        done = subprocess.run(
            ["git", "apply", "--recount", "--unidiff-zero", "-C1", "-"],
            input=located(patch, checkout), cwd=checkout, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{section}: {done.stderr}"
    for name, text in blocks(section, "yaml"):
        assert name, f"{section}: a file without a name"
        (checkout / name).write_text(text)
    variables = {
        **os.environ,
        "PATH": os.pathsep.join((str(programs), os.environ["PATH"])),
        "PYTHONPATH": str(checkout),
    }
    # The commands of a section share what Python has compiled.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    printed = {}
    for command in commands(section):
        done = subprocess.run(["bash", "-c", command], cwd=checkout, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        printed[command] = done.stdout + done.stderr
    return printed


def located(patch: str, checkout: Path) -> str:
    """Return `patch` with the line number of its line of context."""
    head, numbers, body = re.split(r"^(@@ .*? @@\n)", patch, flags=re.MULTILINE)
    [path] = re.findall(r"^--- a/(.*)$", head, re.MULTILINE)
    [context] = [line[1:] for line in body.splitlines() if line.startswith(" ")]
    lines = (checkout / path).read_text().splitlines()
    assert lines.count(context) == 1, f"{path} has {lines.count(context)} lines {context!r}"
    assert numbers
    at, added = lines.index(context) + 1, sum(line.startswith("+") for line in body.splitlines())
    return f"{head}@@ -{at},1 +{at},{added + 1} @@\n{body}"


def jobs(text: str) -> dict[str, int]:
    table = re.search(r"Job stats:\n.*?\n-+ +-+\n(.*?)\ntotal ", text, re.DOTALL)
    assert table, text
    return {name: int(count) for name, count in (line.split() for line in table[1].splitlines())}


def test_every_section_has_a_test() -> None:
    assert set(SECTIONS) == {"A feature", "An encoder", "A corpus", "A model", "A rule"}
    assert sum(len(commands(section)) for section in SECTIONS) == PAGE.count("\n$ ")


def test_a_feature(checkout: Path, programs: Path) -> None:
    listed, scored, planned = follow("A feature", checkout, programs).values()
    assert "vif_scale0_neg" in listed
    assert "vif_scale0_neg" in scored
    header, first, *_ = (checkout / "scores.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    # The feature is 1 for two equal pictures.
    assert float(row["vif_scale0_neg"]) == pytest.approx(1, abs=1e-3)
    assert jobs(planned)["extract_features"] == 45
    assert "vif_scale0_neg" in (checkout / "scores.csv").read_text()


def test_an_encoder(checkout: Path, programs: Path) -> None:
    encoded, planned = follow("An encoder", checkout, programs).values()
    assert "clip.mkv" in encoded
    assert '"libaom-av1"' in (checkout / "clip.json").read_text()
    assert jobs(planned)["encode_rung"] == 9 * (4 + 2)


def test_a_corpus(checkout: Path, programs: Path) -> None:
    # The models of a whole run leave out one source after the other.
    make_video(checkout / "videos" / "other.mkv", "176x144", 12)
    _, _, planned = follow("A corpus", checkout, programs).values()
    assert (checkout / "results" / "corpora" / "mine" / "clip.mkv").is_file()
    found = jobs(planned)
    assert "prepare_clip" not in found
    assert found["encode_rung"] == 2 * 20


def test_a_model(checkout: Path, programs: Path) -> None:
    whole, variant = (jobs(text) for text in follow("A model", checkout, programs).values())
    assert whole["fit_model"] == whole["quantize_model"] == variant["quantize_model"] == 1
    assert "register_models" not in variant


def test_a_rule(checkout: Path, programs: Path) -> None:
    _, linted, tested, planned = follow("A rule", checkout, programs).values()
    assert "Congratulations" in linted
    assert " passed" in tested
    found = jobs(planned)
    assert found["evaluate_model"] == found["export_model"] == 1
