"""Small stand-ins of published datasets, and the jobs of a plan run in this process."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.make.commands import command
from tests.make.videos import REPOSITORY, ffmpeg_program
from tests.make.workflows import PROFILE, SNAKEFILE, drive

EXAMPLES = REPOSITORY / "docs" / "examples"

SNAKEMAKE = ("--snakefile", str(SNAKEFILE), "--profile", str(PROFILE), "--nolock", "-n", "-p")
"""Words of a dry-run that prints commands."""

_JOB = re.compile(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?Shell command: (.*)$", re.MULTILINE)
_DIRNAME = re.compile(r"\$\(dirname (\S+?)\)")


@dataclass(frozen=True)
class Jobs:
    """The jobs of a dry-run, in the order in which they can run.

    Attributes:
        folder: the working folder.
        commands: (rule, command line) of each.
    """

    folder: Path
    commands: Sequence[tuple[str, str]]

    @property
    def rules(self) -> Counter[str]:
        """Number of jobs of each rule."""
        return Counter(rule for rule, _ in self.commands)

    def run(self) -> None:
        """Run each command as ``vmaf-train`` in this process."""
        for rule, line in self.commands:
            words = shlex.split(_DIRNAME.sub(lambda found: os.path.dirname(found[1]), line.partition(" > ")[0]))
            assert words[0] == "vmaf-train", line
            done = command(*words[1:], cwd=self.folder)
            assert done.returncode == 0, f"{rule}: {line}\n{done.stderr}"


def planned(folder: Path, cases: Mapping[str, Sequence[str]]) -> dict[str, Jobs]:
    """Dry-run Snakemake command lines in `folder`; each has to succeed."""
    answers = drive(folder, {name: [*SNAKEMAKE, *words] for name, words in cases.items()})
    for name, (code, text) in answers.items():
        assert code == 0, f"{name}: {text}"
    return {name: Jobs(folder, _JOB.findall(text)) for name, (_, text) in answers.items()}


def use_example(name: str, folder: Path) -> tuple[str, str]:
    """Copy an example of the pages into a working folder, and return the words that choose its configuration."""
    home = folder / "docs" / "examples" / name
    shutil.copytree(EXAMPLES / name, home, dirs_exist_ok=True)
    return "--configfile", os.path.relpath(home / "config.yaml", folder)


def cut(source: Path, target: Path, frames: int, *options: str, before: Sequence[str] = ()) -> Path:
    """Write the first frames of a video with hardly any loss.

    Args:
        source: the video.
        target: the file to write; its folder is made.
        frames: number of frames.
        options: FFmpeg's of the output; x264 at CRF 8 unless they name an encoder or a format.
        before: FFmpeg's of the input.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    words = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", *before, "-i", str(source), "-an"]
    own = {"-c:v", "-f"} & set(options) or target.suffix == ".yuv"
    coded = () if own else ("-c:v", "libx264", "-crf", "8")
    subprocess.run([*words, "-frames:v", str(frames), *options, *coded, str(target)], check=True)
    return target
