"""Sweeps of encodes: fronts against their definition, differences against lines that are known, and the example as a run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base.manifest import read_manifest
from pyvmaf.checks.sweep.document import SweepReport
from pyvmaf.checks.sweep.encodes import options_beside, rate_mode, read_encodes
from pyvmaf.checks.sweep.fronts import front
from pyvmaf.codecs.encoders import ENCODERS, recipe_of, rung_name
from pyvmaf.encodes.record import Record
from pyvmaf.scoring.bdrate import Point, bd_score
from tests.make.builders import cut, planned, use_example
from tests.make.commands import command, refusal

NOAQ = ["-aq-mode", "0"]


def rows(src: str, options: Sequence[str], gain: float, rates: Sequence[float] = (100, 200, 400, 800)) -> Iterator[str]:
    """Encodes of x264 whose VMAF is a line over the logarithm of the bitrate."""
    for crf, kbps in zip((40, 34, 28, 22), rates, strict=False):
        vmaf = 20 + 10 * np.log2(kbps / 100) + gain
        params = ENCODERS["libx264"].arguments("medium", crf, "yuv420p", options)[8:]
        row = {"src": src, "encoder": "libx264", "preset": "medium", "crf": crf, "bitrate_kbps": kbps}
        yield json.dumps(
            row | {"vmaf_score": vmaf, "extra_params": params, "encode_time_ms": 1000 + 500 * bool(options)}
        )


def write(path: Path, *parts: Iterator[str]) -> Path:
    path.write_text("\n".join(line for part in parts for line in part) + "\n")
    return path


def analyze(tmp_path: Path, *parts: Iterator[str], more: Sequence[object] = ()) -> tuple[int, SweepReport]:
    done = command("analyze-sweep", write(tmp_path / "rows.jsonl", *parts), "-o", tmp_path / "sweep", *more)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, SweepReport.read(tmp_path / "sweep" / "sweep.json")


def test_a_difference_at_equal_bitrate_is_that_of_the_lines(tmp_path: Path) -> None:
    """Other bitrates on the same two lines: the difference is their distance, whatever the points."""
    shifted = (130.0, 210.0, 390.0, 700.0)
    code, report = analyze(
        tmp_path,
        rows("a.mkv", (), 0),
        rows("a.mkv", NOAQ, -0.25, shifted),
        rows("b.mkv", (), 0),
        rows("b.mkv", NOAQ, 0.75, shifted),
    )
    [item] = report.comparisons
    assert (item.recipe, item.options, item.preset) == ("-aq-mode 0", "-aq-mode 0", "medium")
    assert item.vmaf_mean == pytest.approx(0.25)
    assert item.vmaf_mean_worst == pytest.approx(-0.25)
    assert item.vmaf_p5 is None
    assert item.time_ratio == pytest.approx(1.5)
    # The bitrate for equal quality: 10 VMAF are one doubling.
    assert [clip.bd_rate_percent for clip in item.clips] == pytest.approx([(2**0.025 - 1) * 100, (2**-0.075 - 1) * 100])
    assert [(clip.from_kbps, clip.to_kbps) for clip in item.clips] == [pytest.approx((130, 700))] * 2
    assert (code, report.verdict) == (0, "PROMOTE")


@pytest.mark.parametrize(
    ("gains", "more", "why"),
    [
        ((-0.1, -0.1), (), "loses 0.100 VMAF at equal bitrate, mean over sources: nothing is allowed"),
        ((-0.1, -0.1), ("--max-loss", "0.2"), None),
        ((2.0, -0.7), (), "loses 0.700 VMAF at equal bitrate, worst source: no more than 0.5 is allowed"),
        ((2.0, -0.7), ("--max-source-loss", "1"), None),
        ((0.0, 0.0), (), None),
    ],
)
def test_a_recipe_that_loses_is_refused(
    tmp_path: Path, gains: tuple[float, float], more: Sequence[str], why: str | None
) -> None:
    bare = [rows(f"{name}.mkv", (), 0) for name in "ab"]
    ours = [rows(f"{name}.mkv", NOAQ, gain) for name, gain in zip("ab", gains, strict=True)]
    code, report = analyze(tmp_path, *bare, *ours, more=more)
    assert (code, report.verdict, report.gate.passed) == ((0, "PROMOTE", True) if why is None else (1, "HOLD", False))
    assert report.gate.reasons == ([] if why is None else [f"libx264 medium -aq-mode 0 {why}"])
    text = (tmp_path / "sweep" / "sweep.md").read_text()
    assert text.startswith(f"# Sweep of encodes\n\n{report.verdict}: ")
    assert text.count("| libx264 medium") == len(report.gate.rows or ())


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        ([rows("a.mkv", NOAQ, 0, (100, 200, 400))], "a curve needs at least 4 rungs, one has 3"),
        ([rows("b.mkv", NOAQ, 0)], "there are no bare encodes with this preset and rate mode"),
        ([rows("a.mkv", NOAQ, 0, (1000, 2000, 4000, 8000))], "they have no bitrate in common"),
        ([rows("a.mkv", ["-maxrate", "1M", "-bufsize", "2M"], 0)], "there are no bare encodes with this preset"),
    ],
)
def test_a_recipe_that_cannot_be_compared_is_not_let_through(
    tmp_path: Path, ours: list[Iterator[str]], why: str
) -> None:
    code, report = analyze(tmp_path, rows("a.mkv", (), 0), *ours)
    assert (code, report.verdict) == (1, "HOLD")
    [reason] = report.gate.reasons
    assert why in reason
    assert "cannot be compared on 1 of 1 clips" in reason


def test_a_sweep_without_recipes_has_fronts(tmp_path: Path) -> None:
    worse = json.loads(next(rows("a.mkv", (), -7, (150,)))) | {"preset": "fast"}
    code, report = analyze(tmp_path, rows("a.mkv", (), 0), iter([json.dumps(worse)]))
    assert (code, report.comparisons, report.gate.rows) == (0, [], [])
    [group] = report.groups
    assert (group.n_encodes, [point.kbps for point in group.pareto]) == (5, [100, 200, 400, 800])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_a_front_holds_what_nothing_dominates(values: list[tuple[int, int, int]]) -> None:
    array = np.array(values)
    above = (array[:, None] >= array[None]).all(-1) & (array[:, None] > array[None]).any(-1)
    assert front([tuple(map(float, item)) for item in values]) == (~above.any(0)).tolist()


@given(
    st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 100)), min_size=4, max_size=9, unique_by=lambda p: p[0])
)
def test_a_curve_does_not_differ_from_itself_and_by_a_shift_if_shifted(points: list[tuple[int, int]]) -> None:
    curve = [Point(float(kbps), float(score)) for kbps, score in points]
    assert bd_score(curve, curve[::-1]).difference == 0
    assert bd_score(curve, [Point(p.kbps, p.score + 3) for p in curve]).difference == pytest.approx(3)


EXTRAS = {
    "libx264": ["-aq-mode", "0", "-x264-params", "bframes=3:ref=2"],
    "libx265": ["-tune", "grain", "-x265-params", "aq-mode=0"],
    "libsvtav1": ["-svtav1-params", "tune=0"],
    "libvvenc": ["-qpa", "0"],
    "libvpx-vp9": ["-tune", "psnr"],
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("threads", [1, 3])
def test_options_of_a_recipe_are_found_again(encoder: str, threads: int) -> None:
    entry = ENCODERS[encoder]
    for extra in ([], EXTRAS[encoder]):
        words = entry.arguments(entry.preset_default, entry.crf_default, "yuv420p", extra, threads)[8:]
        found = options_beside(encoder, entry.preset_default, entry.crf_default, words, "here")
        assert found == extra
    assert rate_mode(encoder, []) == ("qp" if encoder == "libvvenc" else "crf")
    assert rate_mode(encoder, ["-x265-params", "aq-mode=0:vbv-maxrate=500"]).startswith("capped")


def test_a_recipe_is_part_of_the_name_of_a_rung() -> None:
    assert rung_name("medium", 23) == "medium-crf23"
    assert recipe_of(rung_name("medium", 23, "noaq"), "medium", 23) == "noaq"
    assert recipe_of(rung_name("medium", 23), "medium", 23) == ""
    assert recipe_of("tier_3", "medium", 23) == ""


def test_files_that_are_no_encodes_are_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "rows.jsonl", rows("a.mkv", (), 0))

    def refused(*paths: Path) -> str:
        message = refusal("analyze-sweep", *paths, "-o", tmp_path / "sweep")
        assert not (tmp_path / "sweep").exists() or not list((tmp_path / "sweep").iterdir())
        return message

    assert "are both the encode a, libx264 medium CRF 40" in refused(
        good, write(tmp_path / "b.jsonl", rows("a.mkv", (), 1))
    )
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text(good.read_text()[:-20])
    assert f"{damaged}, line 4" in refused(damaged)
    text = tmp_path / "text.jsonl"
    text.write_text(json.dumps({"src": "a.mkv", "encoder": "x264", "crf": "high", "bitrate_kbps": 3, "vmaf": 5}) + "\n")
    assert "has crf 'high', which is not a number" in refused(text)
    text.write_text(json.dumps({"src": "a.mkv", "encoder": "x264", "crf": 20, "vmaf": 5}) + "\n")
    assert "no row is an encode with a bitrate and a VMAF" in refused(text)
    text.write_text(json.dumps({"src": "a.mkv", "encoder": "x264", "crf": 20, "bitrate_kbps": 3, "vmaf": 101}) + "\n")
    assert "has a VMAF of 101, but VMAF is from 0 to 100" in refused(text)
    text.write_text(json.dumps({"src": "a.mkv", "encoder": "x264", "crf": 20.5, "bitrate_kbps": 3, "vmaf": 5}) + "\n")
    assert "has CRF 20.5, but only whole quality numbers are read" in refused(text)
    assert "neither a shard (.parquet) nor a table of corpus rows (.jsonl)" in refused(tmp_path / "rows.csv")


def test_rows_of_other_programs_may_hold_nan(tmp_path: Path) -> None:
    """vmaf-tune writes NaN for features that it does not have; without a VMAF a row is no encode."""
    lines = [json.loads(line) | {"adm2_mean": float("nan")} for line in rows("a.mkv", (), 0)]
    lines[0]["vmaf_score"] = float("nan")
    lines[0].pop("vmaf", None)
    found = read_encodes([write(tmp_path / "rows.jsonl", map(json.dumps, lines))])
    assert (len(found.encodes), found.left_out) == (len(lines) - 1, 1)


def test_two_meanings_of_a_recipe_are_refused(tmp_path: Path) -> None:
    lines = [*rows("a.mkv", (), 0), *rows("a.mkv", NOAQ, 0)]
    for crf, line in zip((40, 34, 28, 22), lines[4:], strict=True):
        assert json.loads(line)["crf"] == crf
    from pyvmaf.checks.sweep.compare import compare_recipes
    from pyvmaf.errors import InputError

    encodes = read_encodes([write(tmp_path / "rows.jsonl", iter(lines))]).encodes
    mixed = [encode._replace(recipe="noaq", options=f"-aq-mode {index}") for index, encode in enumerate(encodes[4:])]
    with pytest.raises(InputError, match="recipe noaq of libx264 medium stands for different options"):
        compare_recipes([*encodes[:4], *mixed])


# --- the example ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(embedded_corpus: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the example on a crop of a clip."""
    folder = tmp_path_factory.mktemp("sweep")
    cut(embedded_corpus["bikes_1"], folder / "videos" / "bikes.mkv", 6, "-vf", "crop=96:80")
    done = command(
        *("manifest-scan", "--root", "videos", "--name", "mine", "--output", "config/corpora/mine.yaml"), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    words = use_example("sweep", folder)
    shards = [f"results/shards/mine/{codec}.parquet" for codec in ("libx264", "libsvtav1")]
    jobs = planned(folder, {"sweep": [*words, "--", *shards]})["sweep"]
    assert jobs.rules["encode_rung"] == 2 * 4 * 3 + 4 * 2
    jobs.run()
    return folder


def test_the_example_as_a_run(run: Path) -> None:
    [line] = [
        line.removeprefix("#").strip()
        for line in (run / "docs/examples/sweep/config.yaml").read_text().splitlines()
        if "analyze-sweep" in line
    ]
    done = command(*shlex.split(line)[1:], cwd=run)
    report = SweepReport.read(run / "sweep" / "sweep.json")
    assert done.returncode == (0 if report.gate.passed else 1), done.stderr
    assert {(item.encoder, item.preset, item.recipe) for item in report.comparisons} == {
        ("libx264", "veryfast", "noaq"),
        ("libx264", "veryfast", "nomixed"),
        ("libx264", "medium", "noaq"),
        ("libx264", "medium", "nomixed"),
        ("libsvtav1", "10", "sharp"),
    }
    assert [(group.encoder, group.rate_mode, group.n_encodes) for group in report.groups] == [
        ("libsvtav1", "crf", 8),
        ("libx264", "crf", 24),
    ]
    page = (run / "sweep" / "sweep.html").read_text()
    assert "Recipes against the bare encoder" in page
    assert report.verdict in page
    assert set(read_manifest(run / "sweep" / "sweep.json")["outputs"]) == {"report", "table", "text", "page"}


def test_each_row_of_the_table_is_an_encode_of_the_run(run: Path) -> None:
    command("analyze-sweep", "results/shards/mine/libx264.parquet", "-o", "again", cwd=run)
    table = pq.read_table(run / "again" / "pareto.parquet").to_pylist()
    assert len(table) == 24
    frames = pq.read_table(run / "results/shards/mine/libx264.parquet").to_pandas()
    for row in table:
        rung = rung_name(row["preset"], row["crf"], row["recipe"])
        record = Record.read(run / f"results/encodes/mine/bikes/libx264/{rung}.json")
        assert row["kbps"] == record.bitrate_kbps
        vmaf = frames.loc[frames["rung"] == rung, "vmaf"].to_numpy()
        assert row["vmaf_mean"] == pytest.approx(vmaf.mean())
        assert row["vmaf_p5"] == pytest.approx(np.percentile(vmaf, 5))
        assert row["encode_seconds"] >= 0
    points = [(row["kbps"], row["vmaf_mean"]) for row in table]
    beaten = [any(k <= kbps and v >= vmaf and (k, v) != (kbps, vmaf) for k, v in points) for kbps, vmaf in points]
    assert [row["front_mean"] for row in table] == [not value for value in beaten]


def test_recipes_are_options_of_encoders_only() -> None:
    from pyvmaf.encodes import encoder, identity
    from pyvmaf.errors import InputError

    keys: dict[str, Any] = {
        "encoder": None,
        "presets": ["medium"],
        "crfs": [20],
        "bit_depth": None,
        "extra": ["-g", "50"],
    }
    rungs = encoder.ladder("libx264", {**keys, "recipes": {"noaq": NOAQ}})
    assert [rung.name for rung in rungs] == ["medium-crf20", "medium-noaq-crf20"]
    assert rungs[1].options()[-1] == "--extra=-g 50 -aq-mode 0"
    with pytest.raises(InputError, match="'-qmax' is refused: it overrules the quality number"):
        encoder.ladder("libx264", {**keys, "recipes": {"cheat": ["-qmax", "10"]}})
    with pytest.raises(InputError, match="has the key 'recipes'"):
        identity.ladder("original", {"recipes": {"noaq": NOAQ}})
