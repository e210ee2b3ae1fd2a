"""Suggestions of CRFs: the search against every curve, the hull against its definition, and the verbs from a table to an encode."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base.files import sha256_file
from pyvmaf.codecs.encoders import ENCODERS
from pyvmaf.encodes.probe import Facts, probe
from pyvmaf.scoring.hull import hull
from pyvmaf.scoring.search import TOLERANCE, Expected, bent, search
from tests.make.builders import cut
from tests.make.commands import command, refusal

EXAMPLE = Path(__file__).parents[2] / "docs/examples/predictor/predictor_v2.yaml"
CRFS = range(1, 64)

drops = st.lists(st.floats(0, 6), min_size=63, max_size=63)


@given(drops=drops, predicted=drops, target=st.floats(1, 99))
def test_a_search_ends_at_the_target_or_says_why(drops: list[float], predicted: list[float], target: float) -> None:
    truth, curve = (np.maximum(100 - np.cumsum(one), 0) for one in (drops, predicted))
    asked: list[int] = []

    def measure(crf: int) -> float:
        asked.append(crf)
        return float(truth[crf - 1])

    found = search(Expected(CRFS, curve), target, measure, most=63)
    assert len(asked) == len(set(asked))
    possible = bool((np.abs(truth - target) <= TOLERANCE).any())
    assert (abs(truth[found.crf - 1] - target) <= TOLERANCE) == possible == (found.why is None)


def test_a_good_prediction_needs_one_encode_and_others_few() -> None:
    truth = np.array([100 - 3 * 2 ** ((crf - 20) / 6) for crf in CRFS]).clip(0)

    def encodes(expected: Expected) -> int:
        found = search(expected, 90, lambda crf: float(truth[crf - 1]))
        assert found.why is None
        return len(found.measured)

    assert encodes(Expected(CRFS, truth)) == 1
    for loss in (0.6, 0.8, 1.3, 1.6):
        assert encodes(Expected(CRFS, (100 - loss * (100 - truth)).clip(0))) == 2
    assert encodes(Expected.neutral(ENCODERS["libsvtav1"])) <= 4


def test_a_bent_curve_keeps_its_corners_and_lies_above_the_line() -> None:
    corners, values = [1, 20, 40, 63], [99.0, 95.0, 80.0, 30.0]
    line = np.interp(CRFS, corners, values)
    curve = bent(CRFS, line, [20, 40, 99])
    assert curve[[crf - 1 for crf in corners]] == pytest.approx(values)
    assert (curve >= line - 1e-9).all()
    assert curve[29] > line[29] + 1
    assert (np.diff(curve) < 0).all()


def test_a_curve_goes_through_what_was_measured_and_is_surer_near_it() -> None:
    expected = Expected(CRFS, np.array([100 - 3 * 2 ** ((crf - 20) / 6) for crf in CRFS]).clip(0))
    curve, left = expected.given({30: 93.0})
    assert curve[29] == 93
    assert left[29] == 0
    assert ((curve >= expected.curve) & (curve <= 100)).all()
    assert (np.diff(curve[29:]) <= 0).all()
    assert left[30] < left[40] < 1
    again, less = expected.given({30: 93.0, 40: 70.0})
    assert again[39] == 70
    assert (less <= left + 1e-9).all()
    # Another encoder, of which the clip loses as much less than is expected, is expected to lose less.
    other = Expected(range(1, 52), np.linspace(99, 20, 51))
    told = replace(other, others=tuple(expected.deviations({30: 93.0})))
    moved, unsure = told.given({})
    assert (moved >= other.curve).all()
    assert moved[10] > other.curve[10] + 1
    assert 0.4 < unsure[10] < 0.8
    assert told.given({20: 60.0})[0][19] == 60


def test_a_search_that_cannot_says_between_what() -> None:
    found = search(Expected(CRFS, np.linspace(100, 0, 63)), 50, lambda crf: 80.0 if crf < 30 else 20.0)
    assert found.why == "CRF 29 has 80.00 and CRF 30 has 20.00: there is none between"
    assert (
        search(Expected(CRFS, np.full(63, 50.0)), 90, lambda crf: 60.0 - crf / 10).why
        == "the smallest CRF, 1, has no more than 59.90"
    )


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 100)), min_size=1, max_size=12))
def test_no_mixture_is_above_the_hull(points: list[tuple[int, int]]) -> None:
    every = [(float(rate), float(quality)) for rate, quality in points]
    kept = hull(every)
    assert set(kept) <= set(every)
    assert max(quality for _, quality in every) == kept[-1][1]
    for rate, quality in every:
        x = math.log(rate)
        below = [
            a[1] + (b[1] - a[1]) * (x - math.log(a[0])) / (math.log(b[0]) - math.log(a[0]))
            for a, b in combinations(kept, 2)
            if a[0] <= rate <= b[0]
        ]
        flat = [q for r, q in kept if r <= rate]
        assert quality <= max([*below, *flat]) + 1e-6


@pytest.fixture(scope="module")
def table(embedded_corpus: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of encodes of real clips, whose quality is a formula of the CRF and of the probe."""
    rows = []
    for clip in ("bikes_1", "bikes_2", "bikes_4", "carphone", "bikes_3"):
        facts = probe(embedded_corpus[clip]).facts.model_dump()
        hard = math.log(facts["probe_bitrate_kbps"] / facts["width"])
        for crf in (18, 24, 30, 36, 42):
            quality = 100 / (1 + math.exp((crf - 38 + 2 * hard) / 6))
            labels = {"corpus": "embedded", "group": clip, "source": clip, "clip": clip, "codec": "libx264"}
            how = {
                "encoder": "libx264",
                "preset": "medium",
                "crf": crf,
                "rung": f"medium-crf{crf}",
                "strength": float(crf),
            }
            rate = math.log2(facts["probe_bitrate_kbps"]) - (crf - 32) / 6
            known = {k: v for k, v in facts.items() if v is not None}
            rows.append({**labels, **how, **known, "vmaf_mean": quality, "bitrate_log2": rate})
    path = tmp_path_factory.mktemp("predictor") / "predictor.parquet"
    meta = {"unit": "clip", "features": [], "unavailable": {}, "model": "vmaf_v0.6.1", "engine": {"fingerprint": "0"}}
    from pyvmaf.base.parquet import METADATA_KEY

    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata({METADATA_KEY: json.dumps(meta).encode()}), path)
    return path


@pytest.fixture(scope="module")
def predictor(table: Path) -> Path:
    """The example's predictor, trained on those rows by the verbs."""
    folder = table.parent
    for seed in (0, 1):
        done = command("fit", "--config", EXAMPLE, "--seed", seed, "--features", table, "--output", folder / f"s{seed}")
        assert done.returncode == 0, done
    reports = [folder / f"s{seed}" / "loso.json" for seed in (0, 1)]
    verdict, onnx = folder / "verdict.json", folder / "model.onnx"
    done = command("judge", "--config", EXAMPLE, *reports, "--seeds", "0,1", "--output", verdict)
    assert done.returncode in (0, 1), done
    words: list[object] = ["--checkpoint", folder / "s0/weights.safetensors", "--verdict", verdict, "--features", table]
    assert command("export", "--config", EXAMPLE, *words, "--output", onnx).returncode == 0
    fits = [word for seed in (0, 1) for word in ("--fit", folder / f"s{seed}")]
    words = ["--features", table, "--output", folder / "predictor.json", "--codec", "vp9", "--as-result"]
    done = command("predictor-report", onnx, *fits, *words)
    assert done.returncode == 0, done
    return folder / "predictor.json"


@pytest.fixture(scope="module")
def rated(predictor: Path) -> Path:
    """The same with the example's predictor of bitrate."""
    folder, config = predictor.parent, EXAMPLE.with_name("predictor_v2_rate.yaml")
    words: list[object] = ["--features", folder / "predictor.parquet"]
    assert command("fit", "--config", config, "--seed", 0, *words, "--output", folder / "r0").returncode == 0
    verdict, onnx = folder / "rate-verdict.json", folder / "rate.onnx"
    done = command("judge", "--config", config, folder / "r0/loso.json", "--seeds", "0", "--output", verdict)
    assert done.returncode in (0, 1), done
    how = ("--checkpoint", folder / "r0/weights.safetensors", "--verdict", verdict)
    assert command("export", "--config", config, *how, *words, "--output", onnx).returncode == 0
    rate, output = folder / "predictor_rate.json", folder / "rated.json"
    more = ("--fit", folder / "r0", "--output", rate, "--as-result")
    assert command("predictor-report", onnx, *words, *more).returncode == 0
    fits = ("--fit", folder / "s0", "--fit", folder / "s1", "--output", output, "--as-result")
    assert command("predictor-report", folder / "model.onnx", *words, *fits, "--rate", rate).returncode == 0
    return output


def test_rates_are_predicted_beside_the_quality(rated: Path, embedded_corpus: dict[str, Path], tmp_path: Path) -> None:
    from pyvmaf import load_model

    own = json.loads(rated.with_name("predictor_rate.json").read_text())["codecs"][0]
    held_out = pq.read_table(rated.parent / "r0" / "predictions.parquet").to_pandas()
    errors = held_out["prediction"] - held_out["target"]
    assert own["rate_error"] == pytest.approx(np.median(np.abs(2**errors - 1)))
    clip, output = embedded_corpus["bikes_1"], tmp_path / "found.json"
    done = command("suggest", clip, "--predictor", rated, "--target", 80, "--output", output)
    assert "predicted convex hull" in done.stdout
    curve = json.loads(output.read_text())["suggestions"][0]["curve"]
    rates = [point["bitrate_kbps"] for point in curve]
    assert rates == sorted(rates, reverse=True)
    model, facts = load_model(rated.with_name("rate.onnx")), probe(clip).facts.model_dump()
    row = {name: np.array([float(facts[name])]) for name in model.features}
    for point in (curve[20], curve[33]):
        assert math.log2(point["bitrate_kbps"]) == pytest.approx(
            float(model.predict(row, ("libx264", "medium", point["crf"])).scores[0]), abs=1e-6
        )
        assert point["bitrate_high"] / point["bitrate_kbps"] == pytest.approx(2 ** own["half_width"])
        assert point["bitrate_kbps"] / point["bitrate_low"] == pytest.approx(2 ** own["half_width"])
    on_hull = {(point["bitrate_kbps"], point["vmaf"]) for point in curve if point["hull"]}
    assert sorted(on_hull) == hull([(point["bitrate_kbps"], point["vmaf"]) for point in curve])
    words = ("suggest", clip, "--predictor")
    assert "predictor_rate.json predicts the bitrate: name a predictor of VMAF" in refusal(
        *words, rated.with_name("predictor_rate.json")
    )
    for name in ("rated.json", "model.onnx", "model.json", "predictor_rate.json", "rate.onnx", "rate.json"):
        (tmp_path / name).write_bytes(rated.with_name(name).read_bytes())
    (tmp_path / "predictor_rate.json").write_text(
        rated.with_name("predictor_rate.json").read_text().replace("predictor_v2_rate", "other")
    )
    assert "rated.json names" in refusal(*words, tmp_path / "rated.json")


def test_the_report_is_of_the_fit_that_was_exported(predictor: Path) -> None:
    words = ("--features", predictor.parent / "predictor.parquet", "--output", predictor.with_name("other.json"))
    message = refusal("predictor-report", predictor.with_name("model.onnx"), "--fit", predictor.parent / "s1", *words)
    assert "which are in none of" in message


def test_the_report_has_each_codec_and_fold(predictor: Path) -> None:
    body = json.loads(predictor.read_text())
    by_codec = {item["codec"]: item for item in body["codecs"]}
    assert by_codec["libvpx-vp9"]["status"] == "missing-rows"
    own = by_codec["libx264"]
    seeds = [pq.read_table(predictor.parent / f"s{seed}" / "predictions.parquet").to_pandas() for seed in (0, 1)]
    # Of the seed that was exported.
    assert (body["seed"], body["seeds"]) == (0, [0, 1])
    errors = np.abs(seeds[0]["prediction"] - seeds[0]["target"])
    assert own["mae"] == pytest.approx(errors.mean())
    # Of 25 errors at least 90 % lie within the half width, by the rank 24 of a split conformal interval.
    assert own["half_width"] == pytest.approx(np.sort(errors)[23])
    assert {fold["held_out"]: fold["n"] for fold in own["folds"]} == dict.fromkeys(
        ("bikes_1", "bikes_2", "bikes_3", "bikes_4", "carphone"), 5
    )
    for fold in own["folds"]:
        rows = np.asarray(seeds[0]["fold"].astype(str) == fold["held_out"])
        assert fold["plcc"] == pytest.approx(np.corrcoef(seeds[0]["prediction"][rows], seeds[0]["target"][rows])[0, 1])
    assert body["summary"]["n_missing_rows"] == 1
    assert own["crfs"] == [18, 24, 30, 36, 42]
    facts, coded = set(Facts.model_fields), {f"probe_{of}" for of in ("bitrate_kbps", "i_bytes", "p_bytes", "b_bytes")}
    assert set(body["facts_not_read"]) == facts - {"probe_vmaf", "frame_diff_mean", *coded}
    assert (own["status"] == "pass") == (own["failure_reasons"] == [])


def test_suggest_predicts_and_measures(predictor: Path, embedded_corpus: dict[str, Path], tmp_path: Path) -> None:
    from pyvmaf import score

    clip = embedded_corpus["bikes_1"]
    words = ("suggest", clip, "--predictor", predictor, "--cache", tmp_path / "cache", "--preset", "ultrafast")
    done = command(*words, "--target", 80, "--output", tmp_path / "plain.json")
    plain = json.loads((tmp_path / "plain.json").read_text())["suggestions"][0]
    assert done.returncode == (1 if plain["why"] else 0)
    values = [point["vmaf"] for point in plain["curve"]]
    assert values == sorted(values, reverse=True)
    reaching = [point["crf"] for point in plain["curve"] if point["vmaf"] >= 80]
    assert plain["crf"] == max(reaching, default=None)

    done = command(*words, "--target", 80, "--verify", "--output", tmp_path / "verified.json")
    found = json.loads((tmp_path / "verified.json").read_text())["suggestions"][0]
    assert done.returncode == (0 if found["verified"] else 1)
    nearest = min(found["measured"], key=lambda one: abs(one["vmaf"] - 80))
    assert (abs(nearest["vmaf"] - 80) <= 0.5) == found["verified"]
    encode = tmp_path / "again.mkv"
    how = ("--codec", "libx264", "--preset", "ultrafast", "--crf", nearest["crf"])
    assert command("encode", clip, encode, *how).returncode == 0
    assert nearest["vmaf"] == pytest.approx(float(np.mean(score(clip, encode)["vmaf"])), abs=1e-9)


def test_each_encode_is_made_once(
    predictor: Path, embedded_corpus: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pyvmaf.encodes.encoder import EncoderRung
    from pyvmaf.scoring.suggest import suggest
    from pyvmaf.scoring.trials import Work

    made: list[int] = []
    encode, labels = EncoderRung.encode, list[str]()

    def noted(self: EncoderRung, *given: Any, **how: Any) -> Any:
        made.append(self.crf)
        return encode(self, *given, **how)

    monkeypatch.setattr(EncoderRung, "encode", noted)
    clip = cut(embedded_corpus["bikes_1"], tmp_path / "clip.mkv", 6)

    def found(target: float, cache: Path | None) -> dict[int, float]:
        [item] = suggest(
            clip,
            predictor,
            ["libx264"],
            target,
            verify=True,
            preset="ultrafast",
            work=Work(cache=cache),
            advance=lambda _done, _total, label: labels.append(label),
        ).suggestions
        assert item.corrected is not None
        assert item.measured is not None
        corrected = {point.crf: point.vmaf for point in item.corrected}
        assert all(corrected[one.crf] == one.vmaf for one in item.measured)
        return {one.crf: one.vmaf for one in item.measured}

    first = found(80, None)
    assert sorted(made) == sorted(first)
    assert {f"libx264 CRF {made[0]}: {what}" for what in ("encode", "measure")} <= set(labels)
    made.clear()
    kept = {**found(80, tmp_path / "cache"), **found(78, tmp_path / "cache"), **found(80, tmp_path / "cache")}
    assert kept.items() >= first.items()
    assert sorted(made) == sorted(kept)


def test_a_registered_predictor_is_found(
    predictor: Path, embedded_corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = cut(embedded_corpus["bikes_1"], tmp_path / "clip.mkv", 6)
    words = ("suggest", clip, "--target", 80, "--preset", "ultrafast", "--output", tmp_path / "found.json")
    assert "name one with --predictor, or measure encodes with --verify" in refusal(*words)
    done = command(*words, "--verify", "--plot", "--codec", "x264")
    assert "libx264: no predictor is named or registered" in done.stdout
    body = json.loads((tmp_path / "found.json").read_text())
    [item] = body["suggestions"]
    assert (body["predictor"], body["predictor_sha256"], item["predicted"], item["curve"]) == (None, None, None, [])
    assert done.returncode == (0 if item["verified"] else 1)
    assert done.stdout.count("o") >= len(item["measured"])

    home = tmp_path / "results/models/predictor_v2/seed0"
    home.mkdir(parents=True)
    for name in ("model.onnx", "model.json", "predictor.json"):
        (home / name).write_bytes((predictor.parent / name).read_bytes())
    sidecar = json.loads((home / "model.json").read_text())
    # The rows are of a formula: whatever the gates say of it, it can be registered as a model without a verdict.
    entry = {
        "id": "predictor_v2",
        "kind": "fr",
        "onnx": "../models/predictor_v2/seed0/model.onnx",
        "sha256": sidecar["sha256"],
    }
    described = {
        "sidecar": "../models/predictor_v2/seed0/model.json",
        "sidecar_sha256": sha256_file(home / "model.json"),
    }
    registry = tmp_path / "results/registry/registry.json"
    registry.parent.mkdir()
    registry.write_text(json.dumps({"schema_version": 1, "models": [{**entry, **described}], "held": []}))
    command(*words)
    assert json.loads((tmp_path / "found.json").read_text())["predictor"] == "predictor_v2"
    assert "no predictor is named or registered" in refusal(*words, "--pool", "p5")
    twin = {**entry, **described, "id": "twin"}
    registry.write_text(json.dumps({"schema_version": 1, "models": [{**entry, **described}, twin], "held": []}))
    assert "lists 2 predictors of the mean (predictor_v2, twin): choose with --predictor" in refusal(*words)
    done = command(*words[:2], "-p", predictor, "--verify", "--codec", "vp9", "--target", "70")
    assert "libvpx-vp9: predictor_v2 does not know it" in done.stdout


def test_stretches_stand_for_a_long_clip(
    predictor: Path, embedded_corpus: dict[str, Path], ffmpeg: str, tmp_path: Path
) -> None:
    from pyvmaf import score

    slow, part = tmp_path / "slow.mkv", tmp_path / "part.mkv"
    for source, options, target in (
        (embedded_corpus["bikes_1"], ["-vf", "settb=1,setpts=N", "-frames:v", "24", "-r", "1"], slow),
        (slow, ["-vf", "trim=start_frame=7:end_frame=17,setpts=PTS-STARTPTS"], part),
    ):
        subprocess.run([ffmpeg, "-v", "error", "-i", source, *options, "-c:v", "ffv1", target], check=True)
    words = ("suggest", slow, "--predictor", predictor, "--preset", "ultrafast", "--output", tmp_path / "found.json")
    done = command(*words, "--target", 70, "--verify", "--stretches", 1, "--cache", tmp_path / "cache")
    assert "of a part of the clip, quality and bitrate alike: frames 7 to 16" in done.stdout
    body = json.loads((tmp_path / "found.json").read_text())
    assert body["sample"] == {"stretches": [[7, 16]]}
    assert body["sha256"] == sha256_file(slow)
    made = body["suggestions"][0]["measured"][0]
    encode = tmp_path / "encode.mkv"
    how = ("--codec", "libx264", "--preset", "ultrafast", "--crf", made["crf"])
    assert command("encode", part, encode, *how).returncode == 0
    assert made["vmaf"] == pytest.approx(float(np.mean(score(part, encode)["vmaf"])), abs=1e-9)
    # Stretches that are longer than the clip are the clip, which the cache tells from its part.
    command(*words, "--target", 70, "--verify", "--stretches", 3, "--cache", tmp_path / "cache")
    assert "sample" not in json.loads((tmp_path / "found.json").read_text())
    assert "--stretches needs --verify" in refusal(*words, "--stretches", 2)


def test_smaller_versions_are_measured_at_the_size_of_the_clip(
    predictor: Path, embedded_corpus: dict[str, Path], ffmpeg: str, tmp_path: Path
) -> None:
    from pyvmaf import score

    clip = cut(embedded_corpus["bikes_1"], tmp_path / "clip.mkv", 6)
    words = ("suggest", clip, "--predictor", predictor, "--preset", "ultrafast", "--target", 55)
    command(*words, "--verify", "--height", "136,68", "--output", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())["suggestions"]
    assert [item["height"] for item in found] == [136, 68]
    small = tmp_path / "small.mkv"
    how = ["-vf", "scale=160:68:flags=lanczos+accurate_rnd", "-c:v", "ffv1", str(small)]
    subprocess.run([ffmpeg, "-v", "error", "-i", str(clip), *how], check=True)
    for item, source in zip(found, (clip, small), strict=True):
        made = item["measured"][0]
        encode = tmp_path / f"{item['height']}.mkv"
        options = ("--codec", "libx264", "--preset", "ultrafast", "--crf", made["crf"])
        assert command("encode", source, encode, *options).returncode == 0
        vmaf = score(clip, encode, scale=item["height"] == 68)["vmaf"]
        assert made["vmaf"] == pytest.approx(float(np.mean(vmaf)), abs=1e-6)
    every = [(point["bitrate_kbps"], point["vmaf"]) for item in found for point in item["measured"]]
    on_hull = [(p["bitrate_kbps"], p["vmaf"]) for item in found for p in item["measured"] if p["hull"]]
    assert sorted(on_hull) == hull(every)
    for height, message in (
        ("68", "--height needs --verify"),
        ("137", "has 136 lines: name its own height or an even one"),
        ("68,68", "names a height twice"),
        ("tall", "is not a list of whole numbers"),
    ):
        more = () if height == "68" else ("--verify",)
        assert message in refusal(*words, "--height", height, *more)


def test_what_a_predictor_cannot_answer_is_refused(
    predictor: Path, embedded_corpus: dict[str, Path], tmp_path: Path
) -> None:
    clip = embedded_corpus["bikes_1"]
    words = ("suggest", clip, "--predictor", predictor)
    assert "codec of this predictor" in refusal(*words, "--codec", "svtav1")
    assert "predicts the mean of the frames, but --pool is p5" in refusal(*words, "--pool", "p5")
    assert "between 0 and 100, not 100" in refusal(*words, "--target", "100")
    moved = tmp_path / "predictor.json"
    moved.write_text(predictor.read_text())
    assert "no such file" in refusal("suggest", clip, "--predictor", moved)
    assert Facts.model_fields.keys() >= {"probe_bitrate_kbps", "probe_vmaf"}


def test_a_recipe_moves_the_target(predictor: Path, embedded_corpus: dict[str, Path], tmp_path: Path) -> None:
    labels = tmp_path / "rated.jsonl"
    rated = [{"mos": 2 + (index % 7) ** 2 / 24, "mos_scale": [1, 5], "width": 64, "height": 48} for index in range(40)]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rated))
    recipes = tmp_path / "recipes.json"
    assert command("calibrate-recipes", labels, "-o", recipes).returncode == 0
    words = ("suggest", embedded_corpus["bikes_1"], "--predictor", predictor, "--target", 80)

    def suggested(*more: object) -> dict[str, Any]:
        command(*words, *more, "--output", tmp_path / "found.json")
        body: dict[str, Any] = json.loads((tmp_path / "found.json").read_text())
        return body

    moved = suggested("--recipes", recipes, "--class", "animation")
    used = json.loads(recipes.read_text())["recipes"]["animation"]
    assert moved["target"] == 80 + used["target_vmaf_offset"]
    assert moved["recipe"] == {
        "content_class": "animation",
        "sha256": sha256_file(recipes),
        "source": "proxy",
        "asked": 80,
        "target_vmaf_offset": used["target_vmaf_offset"],
        "tight_interval_max_width": used["tight_interval_max_width"],
    }
    plain = suggested("--target", moved["target"])
    assert plain["suggestions"] == moved["suggestions"]
    assert "recipe" not in plain
    assert "target 80 +2 is 82" in command(*words, "--recipes", recipes, "--class", "animation").stdout
    assert "belong together" in refusal(*words, "--class", "ugc")
    assert "unknown class of content 'anime'" in refusal(*words, "--recipes", recipes, "--class", "anime")
    high = refusal(*words, "--target", "99", "--recipes", recipes, "--class", "animation")
    assert "moves the target of 99 by +2 to 101, which no encode can have" in high
