"""The whole line on two real clips: its results and its report. A second run from scratch: test_recovery.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.make.commands import command
from tests.make.workflows import snakemake

pytestmark = pytest.mark.slow


def test_a_run_leaves_every_kind_of_result(finished_run: Path) -> None:
    results = finished_run / "results"
    assert (results / "registry" / "registry.json").is_file()
    assert (results / "reports" / "report.html").read_text().lstrip().lower().startswith("<!doctype html")
    models = json.loads((results / "reports" / "summary.json").read_text())["models"]
    assert [model["model"] for model in models] == ["small"]
    assert json.loads((results / "models" / "small" / "verdict.json").read_text())["seeds"] == [0, 1]
    assert "<h1>small</h1>" in (results / "reports" / "models" / "small.html").read_text()
    assert 'href="models/small.html"' in (results / "reports" / "report.html").read_text()
    # Nothing is half-written, and rules with costly jobs were measured.
    assert not list(results.rglob(".*.tmp*"))
    assert list((finished_run / "benchmarks" / "fit_model").rglob("*.tsv"))
    assert len(list((finished_run / "logs" / "encode_rung").rglob("*.log"))) == 8


def test_every_file_is_accounted_for(finished_run: Path) -> None:
    done = command("verify", "results", cwd=finished_run)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_report_of_snakemake_loads_nothing_from_the_network(finished_run: Path) -> None:
    snakemake(finished_run, "--configfile", "small.yaml", "--report", "snakemake.html")
    page = (finished_run / "snakemake.html").read_text()
    assert "report.html" in page
    assert not re.findall(r"""<(?:script|link|img)\b[^>]*\b(?:src|href)=["']https?:""", page)
