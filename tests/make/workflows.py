"""Snakemake runs and plans of a small workflow: two real clips, two codecs, two rungs each."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pyvmaf.base.files import sha256_file
from pyvmaf.base.outputs import MANIFEST_SUFFIX
from tests.make import warm
from tests.make.commands import command
from tests.make.runs import once
from tests.make.videos import REPOSITORY

SNAKEFILE = REPOSITORY / "workflow" / "Snakefile"
PROFILE = REPOSITORY / "profiles" / "default"


@dataclass(frozen=True)
class Planned:
    """Result of a dry-run.

    Attributes:
        code: exit status.
        jobs: number of planned jobs of each rule, without the target rules.
        text: everything that Snakemake printed.
    """

    code: int
    jobs: Counter[str]
    text: str

    @property
    def rules(self) -> set[str]:
        return set(self.jobs)


def parse(code: int, text: str) -> Planned:
    """Read the table of jobs that a run or a dry-run printed.

    Args:
        code: exit status.
        text: everything that Snakemake printed.
    """
    jobs: Counter[str] = Counter()
    # A dry-run with --quiet prints the table twice: the first is enough.
    table = re.search(r"Job stats:\n.*?\n-+ +-+\n(.*?)\ntotal ", text, re.DOTALL)
    for line in table.group(1).splitlines() if table else []:
        rule, count = line.split()
        if not rule.startswith("all"):
            jobs[rule] += int(count)
    return Planned(code, jobs, text)


@dataclass(frozen=True)
class Case:
    """A dry-run to make.

    Attributes:
        arguments: words of the command line.
        edits: changes of a copy of the checkout: (file, old text, new text); an empty old text is the end of the file.
        libvmaf: identity of libvmaf, if the plan is to be made as with another build.
        code: a verb, if the plan is to be made as with other code in its entry module.
    """

    arguments: tuple[str, ...] = ()
    edits: tuple[tuple[str, str, str], ...] = ()
    libvmaf: str | None = None
    code: str | None = None


def snakemake(folder: Path, *arguments: str, check: bool = True, server: int = 0) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in `folder`, which is not the checkout; it and its jobs are forks (`tests.make.warm`).

    Args:
        folder: the working folder.
        arguments: further words of the command line.
        check: whether the run has to succeed.
        server: number of the process that they are forks of; each has hashes of another seed.
    """
    environment = warm.environment(server=server)
    words = ["--snakefile", str(SNAKEFILE), "--profile", str(PROFILE), *arguments]
    command = [warm.python(server), "-m", "snakemake", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def drive(
    folder: Path,
    cases: Mapping[str, list[str]],
    edits: tuple[tuple[str, str, str], ...] = (),
    libvmaf: str | None = None,
    code: Mapping[str, str | None] | None = None,
) -> dict[str, tuple[int, str]]:
    """Run Snakemake command lines in `folder` by one process; return exit status and output of each. See `Case`."""
    done = subprocess.run(
        [warm.python(), str(REPOSITORY / "tests" / "workflow" / "driver.py")],
        input=json.dumps(
            {
                "cwd": str(folder),
                "edits": edits,
                "libvmaf": libvmaf,
                "cases": cases,
                "code": dict(code or {}),
            }
        ),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {name: (code, text) for name, (code, text) in json.loads(done.stdout).items()}


def plan(folder: Path, cases: Mapping[str, Case]) -> dict[str, Planned]:
    """Dry-run every case in `folder`; cases with the same code share one process."""
    plans: dict[str, Planned] = {}
    head = ["--snakefile", str(SNAKEFILE), "--profile", str(PROFILE), "--nolock", "--quiet", "rules", "host", "-n"]
    for edits, libvmaf in dict.fromkeys((case.edits, case.libvmaf) for case in cases.values()):
        same_code = {
            name: [*head, *case.arguments]
            for name, case in cases.items()
            if (case.edits, case.libvmaf) == (edits, libvmaf)
        }
        outcomes = drive(folder, same_code, edits, libvmaf, {name: cases[name].code for name in same_code})
        plans.update({name: parse(code, text) for name, (code, text) in outcomes.items()})
    return plans


def plan_once(session: Path, name: str, prepare: Callable[[], tuple[Path, Mapping[str, Case]]]) -> dict[str, Planned]:
    """Plan the folder and cases that `prepare` returns, in one test process for all."""

    def run(folder: Path) -> None:
        outcomes = {case: [planned.code, planned.text] for case, planned in plan(*prepare()).items()}
        (folder / "outcomes.json").write_text(json.dumps(outcomes))

    outcomes = json.loads((once(session, name, run) / "outcomes.json").read_text())
    return {case: parse(code, text) for case, (code, text) in outcomes.items()}


def write_yaml(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def timings(results: Path) -> set[str]:
    """Return the files that hold measured times, as the manifests declare them."""
    files = set()
    for manifest in results.rglob(f"*{MANIFEST_SUFFIX}"):
        for item in json.loads(manifest.read_text())["run"]["timings"].values():
            entries = item if isinstance(item, list) else [item]
            files |= {entry["path"].removeprefix("results/") for entry in entries}
    return files


def artefacts(results: Path) -> dict[str, str]:
    """Return the hash of every file that is the same for every run; for a manifest, the hash of its content."""
    hashes, timed = {}, timings(results)
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results).as_posix()
        if name.endswith(MANIFEST_SUFFIX):
            hashes[name] = json.loads(path.read_text())["content_sha256"]
        elif name not in timed:
            hashes[name] = sha256_file(path)
    return hashes


def write_small_model(folder: Path, **changes: Any) -> None:
    """Write a model of few epochs and easy gates, `small`; keyword arguments replace top-level keys."""
    model = yaml.safe_load((REPOSITORY / "config" / "models" / "vmaf_tiny_v2.yaml").read_text())
    model.update({"name": "small", "epochs": 20, "batch_size": 16, "seeds": [0, 1], **changes})
    # Two sources with few frames teach a model too little for real limits.
    model["gates"] = {
        "mean_plcc_min": -1,
        "plcc_spread_max": 2,
        "per_seed_min": -1,
        "hard_negatives": {
            "identical_min": -1000,
            "flat_min": -1000,
            "black_max": 1000,
            "swapped_max": 1000,
            "teacher_error_max": 1000,
            "range_margin": 1000,
        },
        "monotonicity": {"tolerance": 1000},
        "extrapolation": {"worst_plcc_min": None},
    }
    model["quantised"] = [{"mode": "static_qdq", "budget": 2, "rmse_max": 1000}]
    write_yaml(folder / "config" / "models" / "small.yaml", model)


def prepare_small_run(folder: Path, clips: Mapping[str, Path]) -> None:
    """Write a configuration with two real, rated clips as a folder corpus, a model of few epochs, two codecs, two rungs each."""
    videos = folder / "videos"
    videos.mkdir(parents=True)
    for name in ("carphone", "bikes_1"):
        shutil.copyfile(clips[name], videos / f"{name}.mkv")
    scan = ["manifest-scan", "--root", str(videos), "--name", "mine", "--output", "config/corpora/mine.yaml"]
    assert command(*scan, cwd=folder).returncode == 0
    corpus = folder / "config" / "corpora" / "mine.yaml"
    data = yaml.safe_load(corpus.read_text())
    data["mos_scale"] = [1, 5]
    for entry, mos in zip(data["entries"], (4.25, 2.75), strict=True):
        entry |= {"frames": [0, 15], "mos": mos, "mos_std": 0.5, "n_ratings": 24}
    write_yaml(corpus, data)
    write_small_model(folder)
    write_yaml(
        folder / "small.yaml",
        {
            "corpora": ["mine"],
            "codecs": ["libx264", "libsvtav1"],
            "models": ["small"],
            "ladders": {
                "libx264": {"presets": ["medium"], "crfs": [30, 44]},
                "libsvtav1": {"presets": [10], "crfs": [40, 60]},
            },
        },
    )
