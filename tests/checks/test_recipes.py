"""Recipes of classes of content: the published figures, the formulas by other libraries, and what is refused."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.checks.recipes import interval_width, saliency_fraction, target_offset
from tests.make.commands import command, refusal


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(mos: float, width: int | None = 960, height: int | None = 540, **more: Any) -> dict[str, Any]:
    return {"src": "a.mp4", "width": width, "height": height, "mos": mos, "mos_scale": [1, 5], **more}


def calibrated(output: Path, *words: object) -> dict[str, Any]:
    done = command("calibrate-recipes", *words, "-o", output)
    assert done.returncode == 0, done.stderr
    body: dict[str, Any] = json.loads(output.read_text())
    return body


def keys(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "_provenance"}


def test_scores_distributed_like_the_published_corpus_give_the_published_recipes(tmp_path: Path) -> None:
    """Mean 3.3273, median 3.4, quartiles 3.0 and 3.8, 19.8 % low landscape videos, 93.8 % of one size."""
    scores = [2.36375] * 2400 + [3.0] * 1600 + [3.4] * 2000 + [3.8] * 2000 + [4.2] * 2000
    tall = [1980 <= index < 2600 for index in range(len(scores))]
    rows = [row(mos, *((540, 960) if high else (960, 540))) for mos, high in zip(scores, tall, strict=True)]
    labels = write(tmp_path / "labels.jsonl", rows)
    body = calibrated(tmp_path / "recipes.json", labels, "--rows-expected", 153841, "--corpus-name", "konvid-150k")
    assert {name: keys(recipe) for name, recipe in body["recipes"].items()} == {
        "ugc": {
            "tight_interval_max_width": 3.5, "force_single_rung": False, "saliency_intensity": "default",
            "target_vmaf_offset": 1.5,
        },
        "animation": {
            "tight_interval_max_width": 1.75, "force_single_rung": True, "saliency_intensity": "aggressive",
            "target_vmaf_offset": 2.0,
        },
        "screen_content": {"saliency_intensity": "very_aggressive", "target_vmaf_offset": 1.0},
        "live_action_hdr": {"tight_interval_max_width": 1.4, "target_vmaf_offset": 0.0},
    }  # fmt: skip
    ugc = body["recipes"]["ugc"]["_provenance"]
    assert (ugc["saliency_benefit_fraction"], ugc["resolution_dominance"]) == (0.198, 0.938)
    sources = {name: recipe["_provenance"]["source"] for name, recipe in body["recipes"].items()}
    assert sources == {name: "measured" if name == "ugc" else "proxy" for name in sources}
    metadata = body["metadata"]
    assert {key: metadata[key] for key in ("schema_version", "phase", "single_rung_dominance_fraction")} == {
        "schema_version": 1, "phase": "F.5", "single_rung_dominance_fraction": 0.9
    }  # fmt: skip
    assert metadata["mos_to_vmaf_mapping"] == {"slope": 20, "intercept": 0}
    assert metadata["saliency_cut_points"] == {"aggressive": 0.3, "very_aggressive": 0.55}
    assert metadata["ugc_baseline_mos"] == {
        "mean": 3.3273, "median": 3.4, "n": 10000, "stdev": round(statistics.stdev(scores), 4)
    }  # fmt: skip
    corpus = metadata["corpus"]
    assert (corpus["name"], corpus["rows_total_expected"], corpus["rows_in_jsonl"]) == ("konvid-150k", 153841, 10000)


@given(st.lists(st.floats(1, 5), min_size=3, max_size=60))
def test_the_formulas(mos: list[float]) -> None:
    vmaf = [20 * score for score in mos]
    low, _, high = statistics.quantiles(vmaf, n=4)
    mean = statistics.fmean(vmaf)
    offset, before = target_offset(mos)
    if len(mos) < 4:
        assert (offset, before) == (0, 0)
    else:
        assert before == pytest.approx((low + high) / 2 - mean, abs=1e-9)
        assert offset == pytest.approx(max(-2, min(2, before)), abs=0.0501)
        assert -2 <= offset <= 2
    width, before = interval_width(mos)
    assert before == pytest.approx((high - low) * 1.645 / 0.674, abs=1e-9)
    assert width == pytest.approx(max(1.5, min(3.5, before)), abs=0.00501)


def test_no_rows() -> None:
    assert (target_offset([]), interval_width([]), saliency_fraction([])) == ((0, 0), (3, 3), 0.1)


def test_published_labels_by_class(shared_data: Path, tmp_path: Path) -> None:
    """Real tables of four datasets, each figure computed again with pandas."""
    chug = tmp_path / "chug.jsonl"
    assert command("labels", shared_data / "mos/chug.csv", "-d", "chug", "-o", chug).returncode == 0
    konvid, youtube = shared_data / "mos/konvid_1k.csv", shared_data / "mos/youtube_ugc.csv"
    words: list[object] = [konvid, youtube, f"live_action_hdr={chug}", "--scale", "1,5", "--class-column", "category"]
    words += ["--mos-column", "mos", "--mos-column", "MOSFull", "--class", "animation=Animation"]
    words += ["--class", "live_action_hdr=HDR"]
    body = calibrated(tmp_path / "recipes.json", *words)

    tables = [pd.read_csv(konvid), pd.read_csv(youtube).rename(columns={"MOSFull": "mos"}), pd.read_csv(shared_data / "mos/chug.csv")]  # fmt: skip
    tables[2]["mos"] = 1 + tables[2]["mos_j"] / 25
    tables[0]["class"], tables[2]["class"] = "ugc", "live_action_hdr"
    tables[1]["class"] = tables[1]["category"].map({"Animation": "animation", "HDR": "live_action_hdr"}).fillna("ugc")
    every = pd.concat([table[["mos", "width", "height", "class"]] for table in tables])
    assert body["metadata"]["corpus"]["rows_in_jsonl"] == len(every)
    for name, part in every.groupby("class"):
        recipe, facts = body["recipes"][name], body["recipes"][name]["_provenance"]
        vmaf = 20 * part["mos"]
        low, _, high = statistics.quantiles(vmaf, n=4)
        assert facts["source"] == "measured"
        assert facts["rows_used"] == len(part)
        assert recipe["target_vmaf_offset"] == round((low + high) / 2 - vmaf.mean(), 1)
        assert facts["width_before_limits"] == pytest.approx((high - low) * 1.645 / 0.674)
        assert recipe["tight_interval_max_width"] == 3.5
        share = ((part["width"] >= part["height"]) & (part["mos"] < 3)).mean()
        assert facts["saliency_benefit_fraction"] == round(share, 3)
        assert recipe["saliency_intensity"] == ("aggressive" if share >= 0.3 else "default")
        assert facts["resolution_dominance"] == round(part[["width", "height"]].value_counts(normalize=True).max(), 3)
    # What opinion scores do not say stays a proxy in a measured class, too.
    animation = body["recipes"]["animation"]
    assert animation["force_single_rung"]
    assert animation["_provenance"]["keys"] == {
        "target_vmaf_offset": "measured", "tight_interval_max_width": "measured", "saliency_intensity": "proxy",
        "force_single_rung": "proxy",
    }  # fmt: skip
    assert body["recipes"]["screen_content"]["_provenance"]["source"] == "proxy"


def test_rows_without_a_score_or_a_size_are_counted(tmp_path: Path) -> None:
    rows = [row(3), row(4, None, None), row(2.5), {**row(1), "mos": None}, row(5), row(1)]
    body = calibrated(
        tmp_path / "recipes.json", write(tmp_path / "a.jsonl", rows), "--min-class-rows", 4, "--max-rows", 5
    )
    corpus = body["metadata"]["corpus"]
    assert (corpus["rows_in_jsonl"], corpus["rows_used_for_calibration"]) == (5, 4)
    assert (corpus["files"][0]["without_score"], corpus["files"][0]["without_size"]) == (1, 1)
    assert body["recipes"]["ugc"]["_provenance"]["saliency_benefit_fraction"] == round(1 / 3, 3)


def test_without_sizes_saliency_is_not_stated(tmp_path: Path) -> None:
    labels = write(tmp_path / "a.jsonl", [row(1 + index / 10, None, None) for index in range(40)])
    body = calibrated(tmp_path / "recipes.json", labels)
    assert "saliency_intensity" not in body["recipes"]["ugc"]
    assert "ugc has no saliency_intensity: no row states the size of its video" in body["metadata"]["corpus"]["notes"]


@pytest.mark.parametrize(
    ("rows", "words", "message"),
    [
        ([row(3)] * 29, [], "class ugc, which every proxy is derived from, has 29 rated videos, but 30 are needed"),
        ([row(3), row(7)], [], "line 2: MOS 7 lies outside of its scale, 1 to 5"),
        ([{"src": "a", "mos": 3}], [], "line 1 has no mos_scale: name the scale of such rows with --scale LOW,HIGH"),
        ([{"src": "a", "score": 3}], [], "line 1 has no column mos: name it with --mos-column; it has src, score"),
        ([{"mos": "x", "mos_scale": [1, 5]}], [], "line 1 has mos 'x', which is not a number"),
        ([row(3, 0)], [], "line 1 has a size of 0x540, which no video has"),
        ([row(3)], ["anime={labels}"], "unknown class of content 'anime'"),
        ([row(3)], ["animation={labels}"], "is given twice: its videos would count twice"),
        ([row(3)], ["--class", "animation=A"], "--class-column and --class belong together"),
        ([row(3)], ["--class-column", "c", "--class", "animation"], "--class 'animation' is not of the form CLASS=VALUE"),
        ([row(3)], ["--class-column", "c", "--class", "animation=A", "--class", "ugc=A"], "'A' is of two classes"),
    ],
)  # fmt: skip
def test_refusals(rows: list[dict[str, Any]], words: list[str], message: str, tmp_path: Path) -> None:
    labels = write(tmp_path / "a.jsonl", rows)
    more = [word.format(labels=labels) for word in words]
    assert message in refusal("calibrate-recipes", labels, *more, "-o", tmp_path / "recipes.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
