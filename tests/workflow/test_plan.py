"""What would run, asked of Snakemake itself: counts, refusals, and how far a change reaches."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyvmaf.config import Config, Ladder, Report, Section, Table, Threads
from tests.workflow.conftest import REPOSITORY, Case, Planned, plan, write_yaml

pytestmark = pytest.mark.xdist_group("workflow")

MAKE_VIDEO = {"fetch_corpus", "prepare_clip", "collect_corpus", "encode_rung"}
FROM_LADDERS = {"extract_features", "build_shard", "combine_table"}
FROM_FEATURES = FROM_LADDERS | {"hard_negatives"}
FROM_FIT = {"fit_model", "judge_model"}
FROM_EXPORT = {"export_model", "quantize_model"}
CLOSING = {"register_models", "render_report", "render_card", "summarize_run"}
FROM_TABLE = FROM_FIT | FROM_EXPORT | CLOSING
SMALL = ("--configfile", "small.yaml")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Planned]:
    """Plans in a folder in which nothing has run."""
    folder = tmp_path_factory.mktemp("fresh")
    return plan(
        folder,
        {
            "default": Case(),
            "two codecs": Case(("--config", "codecs=[libx264, libvvenc]", "models=[vmaf_tiny_v2]", "seeds=[5]")),
            "all seeds": Case(("--config", "seeds=null", "threads={fit_model: 2}")),
            "no int8": Case(("--config", "quantized=[]")),
            "features": Case(("all_features",)),
            "models": Case(("all_models",)),
            "ensemble": Case(("--config", "models=[vmaf_tiny_v2, fr_regressor_v2_ensemble]")),
            "one member": Case(("--config", "models=[fr_regressor_v2_ensemble]", "seeds=[3]")),
            "typo": Case(("--config", "codcs=[libx264]")),
            "wrong value": Case(("--config", "backend=gpu")),
            "unknown model": Case(("--config", "models=[vmaf_tiny]")),
            "unknown rung": Case(("results/encodes/embedded/carphone/libx264/medium-crf99.mkv",)),
        },
    )


def test_the_default_run(fresh: Mapping[str, Planned]) -> None:
    assert fresh["default"].jobs == {
        "fetch_corpus": 1,
        "prepare_clip": 9,
        "collect_corpus": 1,
        "encode_rung": 180,
        "extract_features": 45,
        "build_shard": 5,
        "combine_table": 1,
        "hard_negatives": 1,
        "fit_model": 9,
        "judge_model": 3,
        "export_model": 9,
        "quantize_model": 36,
        "register_models": 1,
        "render_report": 1,
        "render_card": 3,
        "summarize_run": 1,
    }


def test_the_seeds_of_a_model_that_asks_for_it_become_an_ensemble(fresh: Mapping[str, Planned]) -> None:
    assert fresh["ensemble"].jobs["ensemble_models"] == 1
    assert fresh["ensemble"].jobs["export_model"] == 8
    assert "ensemble_models" not in fresh["one member"].jobs


def test_a_narrower_run(fresh: Mapping[str, Planned]) -> None:
    jobs = fresh["two codecs"].jobs
    assert (jobs["encode_rung"], jobs["extract_features"], jobs["build_shard"]) == (72, 18, 2)
    assert (jobs["fit_model"], jobs["judge_model"], jobs["quantize_model"]) == (1, 1, 4)
    assert fresh["all seeds"].jobs == fresh["default"].jobs
    assert "quantize_model" not in fresh["no int8"].jobs
    assert fresh["no int8"].jobs["register_models"] == 1


def test_targets_stop_where_they_say(fresh: Mapping[str, Planned]) -> None:
    assert fresh["features"].rules == {"fetch_corpus", "prepare_clip", "encode_rung", "extract_features"}
    assert "export_model" in fresh["models"].rules
    assert not fresh["models"].rules & {"quantize_model", "register_models"}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("typo", "unknown key 'codcs': did you mean 'codecs'"),
        ("wrong value", "'gpu' is not one of ['cpu', 'cuda']"),
        ("unknown model", "'vmaf_tiny': did you mean 'vmaf_tiny_v"),
        ("unknown rung", "medium-crf99"),
    ],
)
def test_mistakes_are_refused(fresh: Mapping[str, Planned], case: str, words: str) -> None:
    assert fresh[case].code == 1
    assert words in fresh[case].text


# Every key of the configuration, a value other than the one in use, and the rules that this plans again.
LEAVES: dict[str, tuple[Any, set[str]]] = {
    "corpora": (["mine", "other"], {"prepare_clip", "collect_corpus", "encode_rung"} | FROM_FEATURES | FROM_TABLE),
    "codecs": (["libx264"], {"combine_table"} | FROM_TABLE),
    "models": (["small", "second"], FROM_TABLE),
    "seeds": ([0], {"judge_model"} | FROM_EXPORT | CLOSING),
    "quantized": ([], CLOSING),
    "features": (["canonical6", "psnr_y"], FROM_FEATURES | FROM_TABLE),
    "teacher": ("vmaf_v0.6.1neg", FROM_FEATURES | FROM_TABLE),
    "backend": ("cuda", FROM_FEATURES | FROM_TABLE),
    "ffmpeg": ("system", {"prepare_clip", "collect_corpus", "encode_rung"} | FROM_FEATURES | FROM_TABLE),
    "cache": ("elsewhere", set()),
    "corpora_folder": ("config/../config/corpora", set()),
    "models_folder": ("config/../config/models", set()),
    "ladders.libx264.crfs": ([30, 44, 50], {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.presets": (["fast"], {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.encoder": ("libx265", {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.bit_depth": (10, {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.extra": (["-g", "8"], {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "tables.default.corpora": (["mine"], set()),
    "tables.default.codecs": (["libx264"], {"combine_table"} | FROM_TABLE),
    "tables.default.unit": ("clip", {"combine_table"} | FROM_TABLE),
    "report.points": (100, {"render_report", "render_card"}),
    "threads.encode_rung": (2, {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "threads.extract_features": (1, set()),
    "threads.fit_model": (2, set()),
}


def test_every_key_states_what_it_rebuilds() -> None:
    sections: dict[str, type[Section]] = {
        "ladders.libx264": Ladder,
        "tables.default": Table,
        "report": Report,
        "threads": Threads,
    }
    inside = {f"{place}.{key}" for place, section in sections.items() for key in section.model_fields}
    assert set(LEAVES) == inside | (set(Config.model_fields) - {place.partition(".")[0] for place in sections})


def _flipped(config: Mapping[str, Any], place: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(dict(config))
    *parents, last = place.split(".")
    inner = changed
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return changed


@pytest.fixture(scope="module")
def after(finished_run: Path) -> Mapping[str, Planned]:
    """Plans in a folder in which everything has run, each with one thing changed."""
    config = yaml.safe_load((finished_run / "small.yaml").read_text())
    model = yaml.safe_load((finished_run / "config" / "models" / "small.yaml").read_text())
    corpus = yaml.safe_load((finished_run / "config" / "corpora" / "mine.yaml").read_text())
    cases = {"nothing": Case(SMALL)}
    for place, (value, _) in LEAVES.items():
        write_yaml(finished_run / "flips" / f"{place}.yaml", _flipped(config, place, value))
        cases[place] = Case(("--configfile", f"flips/{place}.yaml"))
    second = {**model, "name": "second"}
    other = {**corpus, "name": "other", "entries": corpus["entries"][:1]}
    write_yaml(finished_run / "config" / "models" / "second.yaml", second)
    write_yaml(finished_run / "config" / "corpora" / "other.yaml", other)
    changes: dict[str, dict[str, Any]] = {
        "epochs": {"epochs": 21},
        "gates": {"gates": {"mean_plcc_min": -0.5, "plcc_spread_max": 2, "per_seed_min": -1}},
        "budget": {"quantised": [{"mode": "static_qdq", "budget": 1, "rmse_max": 1000}]},
        "licence": {"license": "MIT"},
    }
    for name, change in changes.items():
        folder = finished_run / "flips" / name
        write_yaml(folder / "small.yaml", {**model, **change})
        cases[name] = Case((*SMALL, "--config", f"models_folder=flips/{name}"))
    folder = finished_run / "flips" / "comment"
    write_yaml(folder / "small.yaml", dict(reversed(model.items())))
    with (folder / "small.yaml").open("a") as stream:
        stream.write("# A comment.\n")
    cases["comment"] = Case((*SMALL, "--config", "models_folder=flips/comment"))
    one_more = copy.deepcopy(corpus)
    one_more["root"] = "../../videos"
    one_more["entries"].append({**one_more["entries"][0], "key": "again", "frames": [16, 29]})
    write_yaml(finished_run / "flips" / "clip" / "mine.yaml", one_more)
    cases["clip"] = Case((*SMALL, "--config", "corpora_folder=flips/clip"))
    for stage in ("corpora", "encodes", "features", "tables", "models", "quantized", "registry", "reports"):
        cases[f"code of {stage}"] = Case(SMALL, {stage: "0" * 16})
    return plan(finished_run, cases)


def test_a_second_run_has_nothing_to_do(after: Mapping[str, Planned]) -> None:
    assert after["nothing"].code == 0
    assert "Nothing to be done" in after["nothing"].text
    assert not after["nothing"].jobs


@pytest.mark.parametrize("place", [*LEAVES])
def test_a_changed_key_rebuilds_what_uses_it(after: Mapping[str, Planned], place: str) -> None:
    assert after[place].code == 0, after[place].text
    assert after[place].rules == LEAVES[place][1], after[place].text


def test_a_new_rung_leaves_the_others_alone(after: Mapping[str, Planned]) -> None:
    jobs = after["ladders.libx264.crfs"].jobs
    assert (jobs["encode_rung"], jobs["extract_features"], jobs["build_shard"]) == (2, 2, 1)


def test_a_new_clip_leaves_the_others_alone(after: Mapping[str, Planned]) -> None:
    jobs = after["clip"].jobs
    assert (jobs["prepare_clip"], jobs["encode_rung"], jobs["extract_features"]) == (1, 4, 2)
    assert jobs["build_shard"] == 2


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ("epochs", FROM_TABLE),
        ("gates", {"judge_model"} | FROM_EXPORT | CLOSING),
        ("budget", {"quantize_model"} | CLOSING),
        ("licence", FROM_EXPORT | CLOSING),
        ("comment", set()),
    ],
)
def test_a_changed_model_rebuilds_from_where_it_matters(
    after: Mapping[str, Planned], change: str, rules: set[str]
) -> None:
    assert after[change].rules == rules, after[change].text


@pytest.mark.parametrize(
    ("stage", "rules"),
    [
        ("corpora", (MAKE_VIDEO - {"fetch_corpus"}) | FROM_FEATURES | FROM_TABLE),
        ("encodes", {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
        ("features", FROM_FEATURES | FROM_TABLE),
        ("tables", {"build_shard", "combine_table"} | FROM_TABLE),
        ("models", FROM_TABLE),
        ("quantized", {"quantize_model"} | CLOSING),
        ("registry", CLOSING),
        ("reports", {"render_report", "render_card", "summarize_run"}),
    ],
)
def test_changed_code_rebuilds_its_stage_and_what_follows(
    after: Mapping[str, Planned], stage: str, rules: set[str]
) -> None:
    assert after[f"code of {stage}"].rules == rules, after[f"code of {stage}"].text


def test_it_works_from_another_folder(fresh: Mapping[str, Planned]) -> None:
    # All plans above were made outside of the checkout.
    assert fresh["default"].code == 0
    assert not (REPOSITORY / "results" / "corpora" / "mine").exists()
