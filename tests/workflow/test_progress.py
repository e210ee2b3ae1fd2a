"""What a run prints: one line on a terminal, plain lines elsewhere, and the log of a job that fails."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from snakemake_logger_plugin_pyvmaf import Run
from tests.make import warm

SNAKEFILE = """
rule all:
    input: "three"

rule one:
    output: "one"
    log: "one.log"
    shell: "echo the reason > {log}; [ -e fine ] && touch {output}"

rule two:
    output: "two"
    shell: "touch {output}"

rule three:
    input: "one", "two"
    output: "three"
    shell: "touch {output}"
"""


def test_time_left_is_what_the_jobs_of_each_rule_took() -> None:
    run = Run({"encode": 4, "fit": 2}, now=0.0)
    assert run.seconds_left(10.0) is None
    for job in range(2):
        run.start(job, "encode", now=0.0)
        run.finish(job, now=10.0)
    # Two at a time: two encodes and two fits, of which nothing is known yet, at 10 s each.
    assert run.seconds_left(10.0) == pytest.approx(20.0)
    run.start(2, "fit", now=10.0)
    run.fail(2)
    run.start(2, "fit", now=20.0)
    run.finish(2, now=60.0)
    # 60 s of work in 60 s: two encodes at 10 s and a fit at 40 s.
    assert run.seconds_left(60.0) == pytest.approx(60.0)
    run.start(3, "fit", now=60.0)
    assert run.seconds_left(70.0) == pytest.approx(20.0 + 30.0)
    assert run.line(70.0) == "3 of 6 jobs done (50 %) · fit · about 50 s left"
    # It is late by 100 s, and the encodes are done in the meantime.
    for job in (4, 5):
        run.start(job, "encode", now=70.0)
        run.finish(job, now=80.0)
    assert run.seconds_left(200.0) == pytest.approx(100.0)


def test_no_job_is_divided() -> None:
    run = Run({"encode": 8, "fit": 2}, now=0.0)
    for job in range(8):
        run.start(job, "encode", now=0.0)
        run.finish(job, now=10.0)
    run.start(8, "fit", now=10.0)
    run.finish(8, now=110.0)
    run.start(9, "fit", now=110.0)
    # 180 s of work in 110 s, but one job remains.
    assert run.seconds_left(120.0) == pytest.approx(90.0)


def command(folder: Path) -> list[str]:
    (folder / "Snakefile").write_text(SNAKEFILE)
    return [warm.python(), "-m", "snakemake", "--cores", "1", "--show-failed-logs", "--logger", "pyvmaf"]


def test_a_failed_job_shows_its_log_though_rules_are_quiet(tmp_path: Path) -> None:
    words = [*command(tmp_path), "--quiet", "rules", "reason", "host"]
    failed = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.count("\nthe reason\n") == 1
    (tmp_path / "fine").touch()
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "jobid" not in done.stderr
    assert "Select jobs" not in done.stderr
    assert "\x1b" not in done.stderr
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Nothing to be done" in again.stderr


def test_dry_runs_and_lists_of_commands_are_snakemakes_own(tmp_path: Path) -> None:
    words = command(tmp_path)
    planned = subprocess.run([*words, "-n"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "rule three:" in planned.stdout + planned.stderr
    (tmp_path / "fine").touch()
    listed = subprocess.run([*words, "--printshellcmds"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Shell command: touch three" in listed.stderr


def test_a_terminal_shows_one_line(tmp_path: Path) -> None:
    words = command(tmp_path)
    (tmp_path / "fine").touch()
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(words, cwd=tmp_path, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
        assert process.wait() == 0
    os.close(ours)
    assert "4/4" in text.decode()
    assert "100%" in text.decode()
    assert "jobid" not in text.decode()
