"""The page of a run: parsed like a browser does, with its numbers compared with those of the run's files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base.files import write_json
from pyvmaf.errors import IntegrityError
from pyvmaf.models.verdicts import Verdict
from pyvmaf.registry.verify import verify
from pyvmaf.reports.elements import NONE, render_element, table, text
from pyvmaf.reports.gates import gate_rows
from pyvmaf.reports.measures import evenly, held_out, out_of_range
from pyvmaf.reports.pages.run.page import write_report
from pyvmaf.reports.read import read_run, read_shards
from tests.make.commands import command
from tests.make.pages import Parsed

PAGE = Path("results/reports/report.html")


@pytest.fixture(scope="module")
def page(finished_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    target = tmp_path_factory.mktemp("page") / "report.html"
    size = write_report(read_run([finished_results]), target, points=50)
    html = target.read_text(encoding="utf-8")
    assert size == len(html.encode()) < 5_000_000
    return Parsed(html)


def rows_of(page: Parsed, name: str) -> list[dict[str, Any]]:
    """A data set as the page's own script unfolds it."""
    columns = json.loads(page.scripts["data"])[name]
    whole = {k: c if isinstance(c, list) else [c["words"][i] for i in c["at"]] for k, c in columns.items()}
    return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]


def test_the_page_needs_nothing_but_itself(page: Parsed) -> None:
    assert page.open == []
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            if name in ("src", "href", "action", "data", "srcset", "poster", "background"):
                assert (value or "").startswith("#"), (tag, name, value)
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "img", "base")]
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "connect-src" not in policy  # so that default-src forbids every request
    for key in ("data", "specs"):
        assert "http" not in page.scripts[key]


def test_the_page_can_be_read_without_seeing_or_scripts(page: Parsed) -> None:
    assert ("html", {"lang": "en"}) in page.tags
    figures = [a for t, a in page.tags if a.get("class") == "chart"]
    assert len(figures) == len(json.loads(page.scripts["specs"]))
    assert all(a["data-label"] for a in figures)
    assert all(page.tables), "every table has a caption"
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.tags:
        if tag == "a":
            assert (attrs["href"] or "")[1:] in ids
        if tag == "th":
            assert attrs.get("scope") in ("row", "col")


def test_every_field_that_a_chart_names_is_in_its_data(page: Parsed) -> None:
    data = json.loads(page.scripts["data"])

    def fields(node: Any) -> set[str]:
        if isinstance(node, dict):
            if "datasets" in node or ("data" in node and str(node["data"].get("name", "")).startswith("data-")):
                return set()
            own = {node["field"]} if isinstance(node.get("field"), str) else set()
            return own.union(*(fields(v) for v in node.values()))
        return set().union(*(fields(v) for v in node)) if isinstance(node, list) else set()

    for key, spec in json.loads(page.scripts["specs"]).items():
        named = spec["data"]["name"]
        assert fields({k: v for k, v in spec.items() if k not in ("data", "datasets")}) <= set(data[named]), key


def test_the_numbers_are_those_of_the_files(page: Parsed, finished_results: Path) -> None:
    import pandas as pd
    from scipy import stats

    head, *body = page.table("Agreement with the teacher")
    small = dict(zip(head, next(row for row in body if row[0] == "small"), strict=True))
    plcc, rmse = [], []
    for seed in (0, 1):
        frame = pd.read_parquet(finished_results / f"models/small/seed{seed}/predictions.parquet")
        folds = [part for _, part in frame.groupby("fold", observed=True)]
        plcc.append(np.mean([stats.pearsonr(f["prediction"], f["target"])[0] for f in folds]))
        rmse.append(np.mean([np.sqrt(np.mean((f["prediction"] - f["target"]) ** 2)) for f in folds]))
        for row in page.table("All folds of all seeds"):
            if row[0] == "small" and row[2] == str(seed):
                part = frame[frame["fold"] == row[1]]
                assert row[3] == f"{stats.pearsonr(part['prediction'], part['target'])[0]:.4f}"
                assert row[5] == f"{stats.kendalltau(part['prediction'], part['target'])[0]:.4f}"
    assert small["PLCC"] == f"{np.mean(plcc):.4f} ± {np.std(plcc, ddof=1):.4f}"
    assert small["RMSE"] == f"{np.mean(rmse):.3f} ± {np.std(rmse, ddof=1):.3f}"
    assert small["verdict"] == "✓ PROMOTE"
    sizes = {(finished_results / f"models/small/seed{s}/model.onnx").stat().st_size for s in (0, 1)}
    assert int(re.sub(r"\D", "", small["ONNX bytes"])) in sizes


def test_verdicts_have_the_values_of_their_files(page: Parsed, finished_results: Path) -> None:
    for name in ("small", "held"):
        verdict = Verdict.read(finished_results / f"models/{name}/verdict.json")
        rows = [[cell or NONE for cell in row] for row in page.table(f"Gates of {name}")[1:]]
        expected = gate_rows(verdict)
        assert [row[:3] for row in rows] == [[r.what, r.measured or NONE, r.limit or NONE] for r in expected]
        signs = {True: "✓ pass", False: "✗ fail", None: "not judged"}
        assert [row[3] for row in rows] == [signs[r.passed] for r in expected]
        assert f"{verdict.over_seeds['plcc']['mean']:.5f}" in {row[1] for row in rows}


def test_points_and_curves_are_rows_of_the_run(page: Parsed, finished_results: Path) -> None:
    points = rows_of(page, "fit-small")
    assert len(points) == 3 * 50
    shards = read_shards(sorted(finished_results.glob("shards/*/*.parquet")), ["adm2"])
    teacher = shards.set_index(["clip", "rung", "frame_index"])["vmaf"]
    for point in points:
        assert point["target"] == pytest.approx(teacher[point["clip"], point["rung"], point["frame"]], abs=6e-4)
    rates = rows_of(page, "rates")
    assert len(rates) == 3 * 3 * 4
    means = shards.groupby(["clip", "codec", "rung"])["vmaf"].mean()
    for rate in rates:
        assert rate["vmaf"] == pytest.approx(means[rate["panel"], rate["codec"], rate["rung"]], abs=6e-5)
        assert rate["low"] <= rate["vmaf"]


def test_the_share_out_of_range_counts_what_the_fold_did_not_see(page: Parsed, finished_results: Path) -> None:
    names = ["adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2"]
    frame = read_shards(sorted(finished_results.glob("shards/*/*.parquet")), names)
    shares = out_of_range(read_run([finished_results]), frame)
    assert {s["models"] for s in shares} == {"held, small"}
    for share in shares:
        inside = frame[frame["source"] == share["fold"]][names]
        others = frame[frame["source"] != share["fold"]][names]
        outside = [
            any(row[n] < others[n].min() or row[n] > others[n].max() for n in names) for _, row in inside.iterrows()
        ]
        assert share["share"] == pytest.approx(np.mean(outside))
    # By the formula the scene with the most motion lies outside.
    assert max(shares, key=lambda s: s["share"])["feature"] == "motion2"
    assert len(page.table("Share of a fold's")) == 1 + len(shares)


def test_the_same_run_gives_the_same_bytes_in_any_order(results: Path) -> None:
    write_report(read_run(["results"]), PAGE)
    first = PAGE.read_bytes()
    manifest = json.loads(Path(f"{PAGE}.manifest.json").read_text())["content_sha256"]
    # Clock readings in the corpus rows are no part of the page.
    for path in results.glob("shards/*/*.jsonl"):
        path.write_text(re.sub(r'"encode_time_ms": [\d.]+', '"encode_time_ms": 7.5', path.read_text()))
    files = [p for p in results.rglob("*") if p.suffix in (".json", ".jsonl", ".parquet") and "manifest" not in p.name]
    files = [p for p in files if not {"tables", "features"} & set(p.parts)]
    write_report(read_run(["results"]), PAGE)
    assert PAGE.read_bytes() == first
    assert json.loads(Path(f"{PAGE}.manifest.json").read_text())["content_sha256"] == manifest
    write_report(read_run(list(reversed(files))), PAGE)
    assert PAGE.read_bytes() == first


def test_the_command_leaves_a_page_that_verify_accounts_for(results: Path) -> None:
    done = command("report", "results", "--points", "20")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"wrote {PAGE}")
    assert verify("results").clean


def test_a_page_of_reports_alone_has_no_empty_sections(results: Path) -> None:
    write_report(read_run(sorted(results.glob("models/*/seed*/loso.json"))), PAGE)
    page = Parsed(PAGE.read_text())
    titles = [a["id"] for t, a in page.tags if t == "h2"]
    assert titles == ["summary", "loso", "provenance"]


def test_a_loso_report_that_is_not_of_the_predictions_is_refused(results: Path) -> None:
    path = results / "models/small/seed0/loso.json"
    body = json.loads(path.read_text())
    body["folds"][1]["plcc"] += 1e-6
    write_json(path, body)
    seed = read_run(["results"]).models["small"].seeds[0]
    with pytest.raises(IntegrityError, match=r"PLCC of fold bikes_0 .* fit the model again"):
        held_out(seed, 100, 9)


def test_many_folds_are_drawn_as_their_worst(finished_results: Path) -> None:
    seed = read_run([finished_results]).models["small"].seeds[0]
    points, folds = held_out(seed, 30, 2)
    assert len(folds) == 3
    best = max(folds, key=lambda f: f["plcc"])["held_out"]
    drawn = {panel.split(" ")[0] for panel in points["panel"]}
    assert drawn == {f["held_out"] for f in folds} - {best}
    assert len(points) == 2 * 30


@given(st.integers(0, 5000), st.integers(2, 500))
def test_evenly_taken_rows_are_distinct_ordered_and_reach_both_ends(n: int, most: int) -> None:
    rows = evenly(n, most).tolist()
    assert len(rows) == min(n, most)
    assert rows == sorted(set(rows))
    if n:
        assert (rows[0], rows[-1]) == (0, n - 1)


@given(st.text(max_size=40))
def test_text_in_tables_stays_text(value: str) -> None:
    rows = Parsed(render_element(table("caption", ("a", "b"), [[text(value), text("x")]]))).table("caption")
    # Browsers read both line ends as one; this parser keeps them.
    clean = value.replace("\r\n", "\n")
    assert len(rows) == 2
    assert len(rows[1]) == 2
    assert rows[1][0].replace("\r\n", "\n") == clean


def test_one_more_section_is_a_function_and_a_row(
    finished_results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pyvmaf.reports.elements import Section, number
    from pyvmaf.reports.pages.run import page as module
    from pyvmaf.reports.pages.run.report import Report

    def section(report: Report) -> Section:
        rows = [[text(model.name), number(len(model.seeds))] for model in report.run.models.values()]
        return Section("seeds", "Seeds", (table("Seeds of each model", ("model", "seeds"), rows),))

    monkeypatch.setattr(module, "SECTIONS", (*module.SECTIONS, section))
    write_report(read_run([finished_results]), tmp_path / "report.html", points=20)
    added = Parsed((tmp_path / "report.html").read_text())
    assert added.table("Seeds of each model")[1:] == [["held", "1"], ["small", "2"]]
    assert ("a", {"href": "#seeds"}) in added.tags
