"""The audit of a small workflow that really runs, against what Snakemake itself reports of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyvmaf.workflow.audit.planned import Change
from pyvmaf.workflow.audit.reasons import UPSTREAM, describe
from pyvmaf.workflow.audit.report import Audit
from tests.make import warm
from tests.make.documents import read_as

SNAKEFILE = """
configfile: "config.yaml"

rule all:
    input: "joined.txt"

rule make:
    input: "source.txt"
    output: "parts/{n}.txt"
    params:
        settings=lambda wildcards: config["settings"],
    benchmark: "benchmarks/make/{n}.tsv"
    shell: "sleep .05; cat {input} > {output}"

rule join:
    input: lambda wildcards: expand("parts/{n}.txt", n=config["parts"])
    output: "joined.txt"
    shell: "cat {input} > {output}"
"""
CONFIG: dict[str, Any] = {"parts": [1, 2, 3], "settings": {"rate": 1, "epochs": 2, "widths": [16, 8]}}


def snakemake(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [warm.python(), "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit") / "run"
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "source.txt").write_text("x\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    snakemake(folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy, times of files included: what Snakemake recorded names no folder."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def audit(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    command = [warm.python(), "-m", "pyvmaf", "audit", "--output", str(folder.parent / "audit.json"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    report = folder.parent / "audit.json"
    return done.returncode, read_as(Audit, report).as_json() if report.is_file() else {}, done.stdout + done.stderr


def configure(folder: Path, **changes: Any) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG | changes))


def newer(folder: Path) -> None:
    (folder / "source.txt").write_text("y\n")
    after = os.stat(folder / "joined.txt").st_mtime + 5
    os.utime(folder / "source.txt", (after, after))


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda folder: None,
    "parameter": lambda folder: configure(folder, settings=CONFIG["settings"] | {"rate": 2, "epochs": 1}),
    "one more": lambda folder: configure(folder, parts=[1, 2, 3, 4]),
    "missing": lambda folder: (folder / "parts" / "2.txt").unlink(),
    "newer": newer,
    "command": lambda folder: (folder / "Snakefile").write_text(SNAKEFILE.replace("sleep .05", "sleep .06")),
}
SAID = {
    "parameter": {"make": {"settings.rate: 1 -> 2", "settings.epochs: 2 -> 1"}},
    "one more": {"make": {"the output does not exist"}, "join": {"further inputs: parts/4.txt"}},
    "missing": {"make": {"the output does not exist"}},
    "newer": {"make": {"changed after the output was made: source.txt"}},
    "command": {"make": {"the rule's command has changed"}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_says_what_snakemake_plans_and_why(name: str, run: Path) -> None:
    CHANGES[name](run)
    lines = [line.split("\t") for line in snakemake(run, "--summary").splitlines() if "\t" in line]
    planned = {line[0] for line in lines[1:] if line[-1] == "update pending"}
    code, report, text = audit(run)
    # Where a part is missing whose join is there, Snakemake makes neither: nothing that is asked for is missing.
    assert {item["path"] for item in report["artefacts"]} == planned
    assert code == (1 if planned else 0), text
    assert report["nothing_to_do"] is (not planned)
    if not planned:
        assert "Nothing to be done" in text
        return
    found: dict[str, set[str]] = {}
    for group in report["groups"]:
        found.setdefault(group["rule"], set()).update(group["reasons"])
    assert found == SAID[name]
    for item in report["artefacts"]:
        assert item["because"]
    assert report["pending"] == sum(rule["pending"] for rule in report["rules"]) == len(planned)


def test_the_price_comes_from_what_such_jobs_cost(run: Path) -> None:
    for n, seconds in ((1, 60), (2, 120), (3, 180)):
        head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
        (run / f"benchmarks/make/{n}.tsv").write_text(f"{head}{seconds}\t-\t-\t-\t-\t-\t-\t-\t-\t{seconds / 2}\n")
    configure(run, parts=[1, 2, 3, 4, 5])
    _, report, _ = audit(run)
    make = next(rule for rule in report["rules"] if rule["rule"] == "make")
    # Two new parts at the median of 30, 60 and 90 CPU seconds; the join was never measured.
    assert (make["pending"], make["cpu_minutes"], make["unmeasured_jobs"]) == (2, 2.0, 0)
    assert (report["cpu_minutes"], report["unmeasured_jobs"]) == (2.0, 1)
    configure(run, settings={"rate": 9})
    _, report, _ = audit(run)
    assert report["cpu_minutes"] == 3.0
    [group] = report["groups"]
    assert group["jobs"] == 3
    assert group["then"] == [{"rule": "join", "jobs": 1}]


def test_forced_and_partial_targets(run: Path) -> None:
    code, report, _ = audit(run, "--forcerun", "join")
    assert code == 1
    assert [group["reasons"] for group in report["groups"]] == [["it is forced"]]
    code, report, _ = audit(run, "parts/1.txt")
    assert (code, report["jobs"]) == (0, 1)


def test_what_snakemake_refuses_is_one_line(run: Path) -> None:
    for arguments, said in (
        (("nonsense.txt",), "No rule to produce nonsense"),
        (("--no-such-option",), "--no-such-opt"),
    ):
        code, _, text = audit(run, *arguments)
        assert code == 2
        assert said in text
        assert "Traceback" not in text
    (run / "Snakefile").write_text("rule all:\n    input: 3 +\n")
    code, _, text = audit(run)
    assert code == 2
    assert "Traceback" not in text


def test_it_writes_nothing_into_the_run(run: Path) -> None:
    def state() -> dict[Path, int]:
        # Snakemake keeps a log of every start.
        kept = (path for path in run.rglob("*") if path.is_file() and path.parent.name != "log")
        return {path: path.stat().st_mtime_ns for path in kept}

    before = state()
    audit(run, "--forceall")
    assert state() == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (["3"], {"seed": 4}, ("seed: 3 -> 4",)),
        ([], {"seed": 4}, ("seed is new: 4",)),
        (["'a'"], {}, ("no longer used: a",)),
        (
            ["{'a': {'b': 1, 'c': [1, 2]}, 'd': 0}"],
            {"reads": {"a": {"b": 1, "c": [1, 3]}, "e": 0}},
            ("reads.a.c: [1, 2] -> [1, 3]", "reads.d was removed, it was 0", "reads.e is new: 0"),
        ),
        (
            ["['--codec', 'libx264', '--preset', 'medium', '--crf', '23']"],
            {"options": ["--codec", "libx264", "--preset", "slow", "--crf", "23"]},
            ("options: --preset medium -> slow",),
        ),
        # Rows of tables are recorded with their hashes, which mean nothing to a reader.
        (
            ["{'adm2': '11', 'motion2': '22', 'old': '33'}"],
            {"rows": {"adm2": "11", "motion2": "99", "psnr_y": "44"}},
            ("table rows have changed: motion2", "further table rows: psnr_y", "table rows no longer used: old"),
        ),
        # Two dictionaries: each is held against the one with the same keys.
        (
            ["{'x': 1, 'y': 1}", "{'p': 1}"],
            {"one": {"p": 2}, "two": {"x": 1, "y": 2}},
            ("one.p: 1 -> 2", "two.y: 1 -> 2"),
        ),
        # What the inputs are made of is a name for much: the jobs before say what changed.
        (["'made of 00'", "3"], {"made_of": "made of 11", "seed": 4}, (UPSTREAM, "seed: 3 -> 4")),
        (["'made of 00'"], {"made_of": "made of 00"}, ()),
    ],
)
def test_parameters_in_words(old: list[str], new: dict[str, Any], said: tuple[str, ...]) -> None:
    assert describe(Change("parameters", tuple(old), new), lambda _: None) == said


def test_the_part_of_the_code_that_changed_is_named() -> None:
    parts = {
        "aa": {"module a": "1", "module b": "1", "module c": "1"},
        "bb": {"module a": "2", "module b": "1", "data d": "1"},
    }
    change = Change("parameters", ("'aa'",), {"code": "bb"})
    assert describe(change, parts.get) == ("the code has changed: module a, data d (new), module c (removed)",)
    assert "not recorded" in describe(change, lambda _: None)[0]
