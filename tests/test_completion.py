"""Words that a shell offers when somebody presses Tab: the protocol of the completion script without a shell, and in bash."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from pyvmaf.cli import build
from tests.make.commands import command
from tests.make.videos import REPOSITORY


@pytest.fixture
def offered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Words offered for the last, unfinished word of the command line that is the parameter."""
    line = str(request.param)
    monkeypatch.setenv("_VMAF_TRAIN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    done = command()
    assert done.returncode == 0
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ("vmaf-train feature", {"features", "feature-correlation"}),
        ("vmaf-train quan", {"quantize-int8"}),
        ("vmaf-train tune --ob", {"--objective"}),
        ("vmaf-train tune --backend ", {"optuna", "ray"}),
        ("vmaf-train encode a.mkv b.mkv --codec libx", {"libx264", "libx265"}),
        ("vmaf-train calibrate-nr-threshold clips --codec av", {"av1", "avc"}),
        ("vmaf-train score --features canonical6,cie", {"canonical6,ciede2000"}),
        ("vmaf-train subset-sweep --subsets canonical6,B-ssim", {"canonical6,B-ssimulacra2"}),
    ],
    indirect=["offered"],
)
def test_verbs_options_and_names_are_completed(offered: set[str], expected: set[str]) -> None:
    assert offered == expected


@pytest.mark.parametrize("offered", ["vmaf-train "], indirect=True)
def test_every_verb_is_offered(offered: set[str]) -> None:
    verbs = get_command(build()).commands  # type: ignore[attr-defined]
    assert offered == {name for name, verb in verbs.items() if not verb.hidden}


def in_bash(folder: Path, *words: str, script: str) -> str:
    """Run bash with a home of its own and this environment's programs."""
    variables = {"HOME": str(folder), "PATH": f"{sys.prefix}/bin:/usr/bin:/bin"}
    done = subprocess.run(["bash", *words, "-c", script], env=variables, capture_output=True, text=True, check=True)
    return done.stdout


OFFERED = """
COMP_WORDS=(vmaf-train quan) COMP_CWORD=1
_vmaf_train_completion vmaf-train quan vmaf-train
echo "${COMPREPLY[@]}"
"""


def test_the_line_of_the_readme_completes_in_bash(tmp_path: Path) -> None:
    [line] = re.findall(r'`(eval "\$\(vmaf-train [^`]*)`', (REPOSITORY / "README.md").read_text())
    assert in_bash(tmp_path, script=f"{line}\n{OFFERED}").split() == ["quantize-int8"]


def test_an_installed_completion_is_there_in_the_next_bash(tmp_path: Path) -> None:
    in_bash(tmp_path, script="vmaf-train --install-completion; true")
    assert in_bash(tmp_path, "-i", script=OFFERED).split() == ["quantize-int8"]
