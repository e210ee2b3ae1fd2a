"""Pages of the gallery: the tutorials of docs/, run on a few short clips of the embedded corpus, and what they wrote.

The run is that of the pages: their commands in their order, in one folder, in this process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from docs.site.blocks import PageError, blocks, calls, commands
from tests.make.commands import command as run_verb
from tests.make.videos import ffmpeg_program, prepare_embedded

REPOSITORY = Path(__file__).parents[2]
TUTORIALS = ("score", "compare", "train", "program")

CLIPS = {"bikes": "bikes_1", "carphone": "carphone", "city": "city_1", "film": "bigbuckbunny"}
"""Clips of the tutorials, by clips of the embedded corpus."""

SHOWN = {
    "pair.html": ("Scores of a pair", "curves, distribution, worst frames, conversions, files"),
    "versions.html": ("Several versions", "ranks, rate and quality, BD-rate, the worst frame of each"),
    "results/reports/report.html": ("A run", "models, cross-validation, verdicts, int8, provenance"),
    "results/reports/models/mine_tiny.html": ("A model", "its card: data, figures, gates, limits of use, hashes"),
    "correlation.svg": ("A study", "how features go with each other and with the target"),
    "mix.svg": ("An audit of signals", "which groups of features carry the score of sources that were held out"),
}
"""Files that the gallery shows: their titles and contents."""

LATER = ("snakemake", "make")
"""Programs whose calls take minutes; the tests of the pages run them with a smaller configuration."""


@contextmanager
def home(folder: Path) -> Iterator[None]:
    """Let `~` be a folder, for this process and for those that it starts."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("HOME")
        if before is not None:
            os.environ["HOME"] = before


def material(folder: Path) -> None:
    """Put the videos of the tutorials into a folder: a second of four clips, 160 samples wide, and a larger one."""
    clips, _ = prepare_embedded()
    for name, key in CLIPS.items():
        _cut(clips[key], folder / "ref" / f"{name}.mkv", 160, 24)
        _cut(clips[key], folder / "home" / "videos" / f"{name}.mkv", 160, 12)
    _cut(clips["bikes_1"], folder / "reference.mkv", 480, 30)


def _cut(source: Path, target: Path, width: int, frames: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    words = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", "-i", str(source), "-frames:v", str(frames)]
    subprocess.run([*words, "-vf", f"scale={width}:-2", "-qp", "0", "-preset", "ultrafast", str(target)], check=True)


def follow(folder: Path, page: str) -> dict[str, str]:
    """Run every block of a tutorial in a folder; return the page's command of each file that it wrote.

    Raises:
        PageError: a command did not exit with status 0.
    """
    text = (REPOSITORY / "docs" / "tutorial" / f"{page}.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "__main__"}
    written: dict[str, str] = {}
    for block in blocks(text):
        if block.language == "yaml":
            # The only file that a tutorial has its readers write.
            path = folder / "config" / "models" / "mine_tiny.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.language == "python":
            with chdir(folder), redirect_stdout(StringIO()):
                exec(compile(block.text, f"{page}.md:{block.line}", "exec"), names)  # noqa: S102
        for command in commands(block) if block.language == "console" else []:
            before = {path for path in SHOWN if (folder / path).exists()}
            for program, *words in calls(command, folder):
                if program in LATER:
                    continue
                done = run_verb(*words, cwd=folder)
                if done.returncode:
                    raise PageError(f"{page}.md: {' '.join(words)}: status {done.returncode}: {done.stderr}")
            written |= {path: command for path in SHOWN if (folder / path).exists() and path not in before}
    return written


def run(folder: Path) -> dict[str, str]:
    """Run all tutorials in a folder; return the command of each file that the gallery shows."""
    material(folder)
    written: dict[str, str] = {}
    with home(folder / "home"):
        for page in TUTORIALS:
            written |= follow(folder, page)
    return written


def collect(folder: Path, written: dict[str, str], gallery: Path) -> None:
    """Put the files of a run into the gallery, with the list that the site's page of them is made from.

    Raises:
        PageError: the run did not write one of them.
    """
    shutil.rmtree(gallery, ignore_errors=True)
    gallery.mkdir(parents=True)
    entries = []
    for path, (title, shows) in SHOWN.items():
        if path not in written:
            raise PageError(f"no tutorial wrote {path}")
        # The page of a run links to its cards: both keep their folders.
        place = (
            gallery / "pages" / Path(path).relative_to("results/reports" if path.startswith("results/reports") else ".")
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / path, place)
        entries.append(
            {"path": place.relative_to(gallery).as_posix(), "title": title, "shows": shows, "command": written[path]}
        )
    (gallery / "pages.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
