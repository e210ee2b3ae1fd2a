"""Model cards: their values are those of the run's files."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import chdir
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pyvmaf.base.files import sha256_file, write_json
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.registry.verify import verify
from pyvmaf.reports.pages.card.int8 import size_sentence, speed_sentence
from pyvmaf.reports.pages.card.page import write_cards
from pyvmaf.reports.pages.run.page import write_report
from pyvmaf.reports.read import read_run
from tests.make.commands import command
from tests.make.pages import Parsed

CARDS = Path("results/reports/models")


@pytest.fixture(scope="module")
def cards(finished_results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The HTML of every card of the finished run, by model."""
    folder = tmp_path_factory.mktemp("cards")
    with chdir(finished_results.parent):
        written = write_cards(["results"], folder, report="../report.html", points=40)
    return {path.stem: path.read_text(encoding="utf-8") for path in written}


def facts(page: Parsed, caption: str) -> dict[str, str]:
    return {row[0]: row[1] for row in page.table(caption)[1:]}


def test_every_model_has_a_card_that_needs_nothing_but_itself(cards: dict[str, str]) -> None:
    assert set(cards) == {"small", "held"}
    for html in cards.values():
        page = Parsed(html)
        assert page.open == []
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids))
        hrefs = [a["href"] or "" for t, a in page.tags if t == "a"]
        assert {h for h in hrefs if not h.startswith("#")} == {"../report.html"}
        assert {h[1:] for h in hrefs if h.startswith("#")} <= set(ids)
        policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
        assert policy.startswith("default-src 'none'")
        for key in ("data", "specs"):
            assert json.loads(page.scripts[key])
            assert "http" not in page.scripts[key]


def test_figures_per_fold_and_seed_are_those_of_the_predictions(cards: dict[str, str], finished_results: Path) -> None:
    head, *body, means = Parsed(cards["small"]).table("Agreement with vmaf per held-out source")
    frames = [pd.read_parquet(finished_results / f"models/small/seed{s}/predictions.parquet") for s in (0, 1)]
    assert len(body) == frames[0]["fold"].nunique()
    averages = []
    for line in body:
        row = dict(zip(head, line, strict=True))
        parts = [frame[frame["fold"] == row["source"]] for frame in frames]
        plcc = [stats.pearsonr(p["prediction"], p["target"])[0] for p in parts]
        srocc = [stats.spearmanr(p["prediction"], p["target"])[0] for p in parts]
        assert [row["PLCC, seed 0"], row["PLCC, seed 1"]] == [f"{v:.5f}" for v in plcc]
        assert row["PLCC"] == f"{np.mean(plcc):.5f} ± {np.std(plcc, ddof=1):.5f}"
        assert row["SROCC"] == f"{np.mean(srocc):.5f} ± {np.std(srocc, ddof=1):.5f}"
        assert int(re.sub(r"\D", "", row["rows"])) == len(parts[0])
        averages.append(plcc)
    assert dict(zip(head, means, strict=True))["PLCC, seed 0"] == f"{np.mean([a[0] for a in averages]):.5f}"


def test_the_limits_say_what_the_error_is_of(cards: dict[str, str], finished_results: Path) -> None:
    reports = [json.loads((finished_results / f"models/small/seed{s}/loso.json").read_text()) for s in (0, 1)]
    said = re.search(
        r"An error as small as the RMSE of the cross-validation, (\S+), on other material",
        unescape(cards["small"]),
    )
    assert said is not None
    assert said[1] in {f"{report['mean_rmse']:.2f}" for report in reports}
    assert "kept inside by the graph" in facts(Parsed(cards["small"]), "Overview")["output"]


def test_data_ranges_and_hashes_are_those_of_the_files(cards: dict[str, str], finished_results: Path) -> None:
    page = Parsed(cards["small"])
    table = pd.read_parquet(finished_results / "tables" / "default.parquet")
    assert facts(page, "Training table")["SHA-256 of the table"] == sha256_file(
        finished_results / "tables" / "default.parquet"
    )
    head, *body = page.table("Table: 3 sources of 2 groups in 1 corpus")
    for line in body:
        row = dict(zip(head, line, strict=True))
        part = table[table["source"] == row["source"]]
        assert int(row["rows"]) == len(part)
        assert row["vmaf min"] == f"{part['vmaf'].min():.1f}"
        assert row["median"] == f"{part['vmaf'].median():.1f}"
    ranges = {row[0]: row[1:3] for row in page.table("Range of each input")[1:]}
    for name, (low, high) in ranges.items():
        assert [low, high] == [f"{table[name].min():.4f}", f"{table[name].max():.4f}"]
    hashes = {cell for row in page.table("SHA-256 of all files") for cell in row}
    for name in (
        "models/small/seed0/model.onnx",
        "models/small/seed1/weights.safetensors",
        "models/small/verdict.json",
    ):
        assert sha256_file(finished_results / name) in hashes


def test_the_card_of_a_held_model_says_so(cards: dict[str, str]) -> None:
    page = Parsed(cards["held"])
    assert facts(page, "Overview")["verdict"] == "✗ HOLD"
    assert facts(page, "Overview")["registry"] == "held: not for use"
    assert "It is held: not for use." in cards["held"]
    assert "the model is not shipped: mean PLCC" in cards["held"]
    assert facts(Parsed(cards["small"]), "Overview")["registry"] == "shipped"
    assert "not shipped" not in cards["small"]


def test_the_card_says_what_int8_costs(cards: dict[str, str], finished_results: Path) -> None:
    page = Parsed(cards["small"])
    head, *body = page.table("All variants on held-out rows")
    row = dict(zip(head, body[0], strict=True))
    report = json.loads((finished_results / "quantized/small/seed0/static_qdq.json").read_text())
    measured = read_manifest(finished_results / "quantized/small/seed0/static_qdq.onnx")["run"]["measured"]
    assert row["drop"] == f"{report['drop']:+.6f}"
    assert row["int8 ms"] == f"{measured['latency_int8']['p50_ms']:.4f}"
    fp32, int8 = report["fp32"]["bytes"], report["int8"]["bytes"]
    assert int8 > fp32, "a network this small grows"
    assert (
        f"static_qdq is larger than the fp32 file, {int8 / fp32:.2f} times: {int8:,} against {fp32:,} bytes"
        in cards["small"]
    )


def test_coverage_of_an_ensemble_is_that_of_its_manifest(results: Path) -> None:
    from pyvmaf.models.ensemble import make_ensemble
    from tests.make.runs import write_model

    home = Path("results/models/small")
    config = write_model(Path("another"), "small", ensemble={"coverage_tolerance": 0.5})
    sidecars = [home / f"seed{seed}" / "model.json" for seed in (0, 1)]
    manifest = make_ensemble(
        config, home / "verdict.json", sidecars, Path("results/tables/default.parquet"), home / "ensemble.json"
    )
    (card,) = write_cards(["results"], CARDS, models=["small"])
    page = Parsed(card.read_text())
    overview = facts(page, "Ensemble of the seeds")
    assert overview["verdict"] == "✓ PROMOTE"
    assert overview["members"] == "seed 0, seed 1"
    coverage = manifest["eval"]["rows"]["coverage"]
    lines = page.table("Coverage of intervals with a nominal coverage of 95.0 %")[1:]
    assert {(row[0], row[1]) for row in lines} >= {("rows", method) for method in coverage}
    for row in lines:
        if row[0] == "rows":
            assert row[2] == f"{100 * coverage[row[1]]['empirical_coverage']:.2f}"
            assert row[4] == coverage[row[1]]["worst_unit"]
    assert verify("results").clean


@pytest.mark.parametrize(("int8", "word"), [(250, "larger"), (50, "smaller")])
def test_the_card_says_whether_int8_saves_space(int8: int, word: str) -> None:
    assert size_sentence("m", 100, int8).split()[2] == word


@pytest.mark.parametrize(("factor", "word"), [(1.5, "slower"), (0.5, "faster")])
def test_the_card_says_whether_int8_saves_time(factor: float, word: str) -> None:
    assert speed_sentence("m", factor).split()[2] == word


def test_the_commands_are_those_of_the_manifests(results: Path) -> None:
    """A file that a command made is shown with the command as it was typed."""
    import shlex

    from tests.make.commands import command

    config = Path("config/models/small.yaml")
    for seed in (0, 1):
        home = f"results/models/small/seed{seed}"
        words = ("fit", "--config", config, "--features", "results/tables/default.parquet", "--seed", seed, "-o", home)
        done = command(*words, cwd=Path.cwd())
        assert done.returncode == 0, done.stderr
    (card,) = write_cards(["results"], CARDS, models=["small"])
    assert shlex.join(["vmaf-train", *map(str, words)]) in card.read_text()


def test_the_command_links_both_ways_and_verify_accounts_for_all(results: Path) -> None:
    done = command("card", "results", "--points", "20")
    assert done.returncode == 0, done.stderr
    write_report(read_run(["results"]), "results/reports/report.html", cards="models")
    page = Parsed(Path("results/reports/report.html").read_text())
    links = {a["href"] for t, a in page.tags if t == "a" and not (a["href"] or "").startswith("#")}
    assert links == {"models/held.html", "models/small.html"}
    for link in links:
        assert (Path("results/reports") / str(link)).is_file()
    assert verify("results").clean


def test_only_latencies_differ_from_run_to_run(results: Path) -> None:
    (card,) = write_cards(["results"], CARDS, models=["small"])
    first, hashed = card.read_text(), read_manifest(card)["content_sha256"]
    path = Path("results/quantized/small/seed0/static_qdq.onnx.manifest.json")
    body = json.loads(path.read_text())
    body["run"]["measured"]["latency_int8"]["p50_ms"] = 12.3456
    path.write_text(json.dumps(body))
    write_cards(["results"], CARDS, models=["small"])
    assert "12.3456" in card.read_text()
    assert card.read_text() != first
    assert read_manifest(card)["content_sha256"] == hashed


def test_an_unknown_model_is_refused(results: Path) -> None:
    with pytest.raises(InputError, match=r"'smal'.*'small'"):
        write_cards(["results"], CARDS, models=["smal"])


def test_a_table_that_the_model_was_not_trained_on_is_refused(results: Path) -> None:
    other = Path("other.parquet")
    shutil.copy("results/models/small/seed0/predictions.parquet", other)
    with pytest.raises(IntegrityError, match=f"{sha256_file(other)}.*--features"):
        write_cards(["results"], CARDS, models=["small"], table=other)


def test_a_card_without_the_table_says_so(results: Path) -> None:
    Path("results/tables/default.parquet").unlink()
    write_cards(["results"], CARDS, models=["small"])
    page = Parsed((CARDS / "small.html").read_text())
    assert not [caption for caption in page.tables if caption.startswith("Table: ")]
    assert facts(page, "Training table")["table"] == "default"


def test_predictions_that_do_not_fit_the_report_are_refused(results: Path) -> None:
    for seed in (0, 1):
        path = Path(f"results/models/small/seed{seed}/loso.json")
        body = json.loads(path.read_text())
        body["folds"][1]["srocc"] -= 1e-6
        write_json(path, body)
    with pytest.raises(IntegrityError, match="SROCC"):
        write_cards(["results"], CARDS, models=["small"])
