"""What would run, asked of Snakemake itself: counts, refusals, and how far a change reaches."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyvmaf.base.code import identity
from pyvmaf.base.families import uses
from pyvmaf.base.section import Section
from pyvmaf.base.verbs import VERBS
from pyvmaf.workflow.config import Config, Ladder, Report, Table, Threads
from tests.make.videos import REPOSITORY, ffmpeg_program
from tests.make.workflows import Case, Planned, plan, plan_once, write_yaml

MAKE_VIDEO = {"fetch_corpus", "prepare_clip", "collect_corpus", "encode_rung"}
FROM_LADDERS = {"extract_features", "build_shard", "combine_table"}
FROM_FEATURES = FROM_LADDERS | {"hard_negatives"}
FROM_FIT = {"fit_model", "judge_model"}
FROM_EXPORT = {"export_model", "quantize_model"}
CLOSING = {"register_models", "render_report", "render_card", "summarize_run"}
FROM_TABLE = FROM_FIT | FROM_EXPORT | CLOSING
SMALL = ("--configfile", "small.yaml")


@pytest.fixture(scope="module")
def fresh(session_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Planned]:
    """Plans in a folder in which nothing has run."""
    return plan_once(session_folder, "plans-fresh", lambda: (tmp_path_factory.mktemp("fresh"), FRESH))


# Plans of models need no more ladders.
NARROW = "codecs=[libx264, libvvenc]"
FRESH = {
    "default": Case(),
    "two codecs": Case(("--config", "codecs=[libx264, libvvenc]", "models=[vmaf_tiny_v2]", "seeds=[5]")),
    "all seeds": Case(("--config", "seeds=null", "threads={fit_model: 2}")),
    "no int8": Case(("--config", "quantized=[]", NARROW)),
    "features": Case(("--config", NARROW, "--", "all_features")),
    "models": Case(("--config", NARROW, "--", "all_models")),
    "ensemble": Case(("--config", "models=[vmaf_tiny_v2, fr_regressor_v2_ensemble]", NARROW)),
    "one member": Case(("--config", "models=[fr_regressor_v2_ensemble]", "seeds=[3]", NARROW)),
    "typo": Case(("--config", "codcs=[libx264]")),
    "wrong value": Case(("--config", "backend=gpu")),
    "absent backend": Case(("--config", "backend=cuda")),
    "unknown model": Case(("--config", "models=[vmaf_tiny]")),
    "unknown rung": Case(("results/encodes/embedded/carphone/libx264/medium-crf99.mkv",)),
}


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
    assert fresh["features"].rules == MAKE_VIDEO | {"extract_features"}
    assert "export_model" in fresh["models"].rules
    assert not fresh["models"].rules & {"quantize_model", "register_models"}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("typo", "unknown key 'codcs': did you mean 'codecs'"),
        ("wrong value", "unknown backend 'gpu'"),
        ("absent backend", "this build of pyvmaf computes on the processor only"),
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
    "checkpoints": (["transnet_v2"], {"fetch_checkpoint", "convert_checkpoint", "render_checkpoint_card"} | CLOSING),
    "seeds": ([0], {"judge_model"} | FROM_EXPORT | CLOSING),
    "quantized": ([], CLOSING),
    "features": (["canonical6", "psnr_y"], FROM_FEATURES | FROM_TABLE),
    "teacher": ("vmaf_v0.6.1neg", FROM_FEATURES | FROM_TABLE),
    "backend": ("libvmaf", FROM_FEATURES | FROM_TABLE),
    "backends": ({"mine": "libvmaf"}, FROM_LADDERS | FROM_TABLE),
    "ffmpeg": (ffmpeg_program(), {"prepare_clip", "collect_corpus", "encode_rung"} | FROM_FEATURES | FROM_TABLE),
    "cache": ("elsewhere", set()),
    "corpora_folder": ("config/../config/corpora", set()),
    "models_folder": ("config/../config/models", set()),
    "ladders.libx264.corpora": (["mine"], set()),
    "ladders.libx264.crfs": ([30, 44, 50], {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.presets": (["fast"], {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.encoder": ("libx265", {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.bit_depth": (10, {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.extra": (["-g", "8"], {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "ladders.libx264.recipes": ({"noaq": ["-aq-mode", "0"]}, {"encode_rung"} | FROM_LADDERS | FROM_TABLE),
    "tables.default.corpora": (["mine"], set()),
    "tables.default.codecs": (["libx264"], {"combine_table"} | FROM_TABLE),
    "tables.default.unit": ("clip", {"combine_table"} | FROM_TABLE),
    "tables.default.mos_scale": ([0, 100], {"combine_table"} | FROM_TABLE),
    "tables.default.mos_maps": ({"mine": "phase-f"}, {"combine_table"} | FROM_TABLE),
    "tables.default.mixed_engines": (True, {"combine_table"} | FROM_TABLE),
    "labels": ({"konvid-1k": {"file": "KoNViD_1k_mos.csv"}}, set()),
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
    # Keys of a ladder without an encoder: see `test_one_more_distortion_leaves_the_others_alone`.
    inside -= {f"ladders.libx264.{key}" for key in BLUR}
    # Labels are refused for corpora that have scores: see tests/workflow/test_labels.py.
    inside -= {"tables.default.labels"}
    # What pictures rebuild: see tests/workflow/test_frames.py.
    pictures = {"pictures", "images", "tables.default.pictures", "tables.default.images"}
    keys = inside | (set(Config.model_fields) - {place.partition(".")[0] for place in sections})
    assert set(LEAVES) == keys - pictures


BLUR = {"distortion": "filter", "strengths": [0.5, 2, 4], "settings": {"filter": "gblur=sigma={strength}"}}


# Every key of a model's file but its name, a value other than the one in use, and the rules that this plans again.
MODEL_LEAVES: dict[str, tuple[Any, set[str]]] = {
    "kind": ("mos", FROM_TABLE),
    "description": ("Other words", FROM_EXPORT | CLOSING),
    "license": ("MIT", FROM_EXPORT | CLOSING),
    "inputs": ({"guard_margin": {"motion2": 0.5}}, FROM_TABLE),
    "network": ({"hidden": [16, 4]}, FROM_TABLE),
    "device": ("cuda", FROM_TABLE),
    "target": ({"range": [0, 110]}, FROM_TABLE),
    "optimiser": ({"lr": 0.002}, FROM_TABLE),
    "epochs": (21, FROM_TABLE),
    "batch_size": (32, FROM_TABLE),
    "seeds": ([0, 1, 2], FROM_TABLE),
    "split": ({"by": "group"}, FROM_TABLE),
    "gates": ({"mean_plcc_min": -0.5}, {"judge_model"} | FROM_EXPORT | CLOSING),
    "rows": ({"max_dropped_share": 0.1}, FROM_TABLE),
    "export": ({"tolerance": 2e-6}, {"judge_model"} | FROM_EXPORT | CLOSING),
    "quantised": ([{"mode": "static_qdq", "budget": 1, "rmse_max": 1000}], {"quantize_model"} | CLOSING),
    "ensemble": ({}, {"ensemble_models"} | CLOSING),
}

FROM_VIDEO = {"prepare_clip", "collect_corpus", "encode_rung"} | FROM_FEATURES | FROM_TABLE
# Hard negatives are of clips and their scenes, and not of how they were rated.
RATED = {"collect_corpus", "build_shard", "combine_table"} | FROM_TABLE
# Every key of a clip in a corpus file, and three of the file itself. What is cut out and how is the video's business,
# labels are not: no encode is made again for a scene that was named wrongly.
CORPUS_LEAVES: dict[str, tuple[Any, set[str]]] = {
    "license": ("CC0-1.0", {"collect_corpus"}),
    "root": ("elsewhere", FROM_VIDEO),
    "entries.path": ("elsewhere/bikes_1.mkv", FROM_VIDEO),
    "entries.sha256": ("0" * 64, FROM_VIDEO),
    "entries.key": ("bikes_again", FROM_VIDEO),
    "entries.frames": ([1, 15], FROM_VIDEO),
    "entries.crop": ("160x128", FROM_VIDEO),
    "entries.scale": ("160x68", FROM_VIDEO),
    "entries.pix_fmt": ("yuv420p10le", FROM_VIDEO),
    "entries.stream": (0, FROM_VIDEO),
    "entries.raw": ({"size": "320x136"}, FROM_VIDEO),
    "entries.source": ("street", {"collect_corpus"} | FROM_FEATURES | FROM_TABLE),
    "entries.group": ("film", {"collect_corpus"} | FROM_FEATURES | FROM_TABLE),
    "mos_scale": ([0, 5], RATED),
    # How many files may be skipped is the shard's business; no clip, encode or feature is made again.
    "on_error": ("skip", RATED),
    "max_failed_share": (0.2, set()),
    "entries.mos": (3.5, RATED),
    "entries.mos_std": (0.75, RATED),
    "entries.n_ratings": (30, RATED),
    "entries.probe": (None, {"collect_corpus"}),
}

ENCODER = (
    'Encoder(name="libaom-av1", presets=("6", "8"), preset_default="6", crf_min=0, crf_max=63, crf_default=35, '
    'bit_depths=(8, 10), chroma=("420",), aliases=("aom",), version="aom", preset_option="-cpu-used")'
)
VOCABULARY = (
    'Vocabulary(version="v7", slots=(*_V1, "libaom-av1", UNKNOWN), preset_ordinals=_V1_ORDINALS, preset_missing=0.5, '
    "quality=None)"
)
FEATURE = (
    'Feature("vif_scale0_neg", Request("vif", (("vif_enhn_gain_limit", "1.0"),)), "integer_vif_scale0_egl_1", 0, 1, 23.2, '
    '"VIF without enhancement gain")'
)
# What follows a verb: its own rule, and those that read what it writes.
FOLLOWERS: dict[str, set[str]] = {
    "prepare": FROM_VIDEO,
    "encode": {"encode_rung"} | FROM_LADDERS | FROM_TABLE,
    "extract-features": FROM_LADDERS | FROM_TABLE,
    "hard-negatives": {"hard_negatives"} | FROM_TABLE,
    "shard": {"build_shard", "combine_table"} | FROM_TABLE,
    "combine": {"combine_table"} | FROM_TABLE,
    "fit": FROM_TABLE,
    "judge": {"judge_model"} | FROM_EXPORT | CLOSING,
    "export": FROM_EXPORT | CLOSING,
    "quantize-int8": {"quantize_model"} | CLOSING,
    "register": CLOSING,
    "report": {"render_report"},
    "card": {"render_card"},
    "summary": {"summarize_run"},
}
CODE = "\nADDED = 1\n"
# An edit of the checkout, and the verbs whose code it is.
CODE_OF: dict[str, tuple[tuple[str, str, str], set[str]]] = {
    "code that prepares": (("pyvmaf/corpora/prepare.py", "", CODE), {"prepare"}),
    "code that encodes": (("pyvmaf/encodes/encode.py", "", CODE), {"encode"}),
    "code that measures ladders": (("pyvmaf/features/stage.py", "", CODE), {"extract-features"}),
    "code that measures negatives": (("pyvmaf/features/negatives.py", "", CODE), {"hard-negatives"}),
    "code of tables": (("pyvmaf/tables/build.py", "", CODE), {"shard", "combine"}),
    "code that trains": (("pyvmaf/models/regressor/trainer.py", "", CODE), {"fit", "export", "quantize-int8"}),
    "code that exports": (("pyvmaf/models/export.py", "", CODE), {"export"}),
    "code that judges": (("pyvmaf/models/judge.py", "", CODE), {"judge"}),
    "code of int8 variants": (("pyvmaf/quantized/modes.py", "", CODE), {"quantize-int8"}),
    "code of the registry": (("pyvmaf/registry/register.py", "", CODE), {"register"}),
    "code of charts": (("pyvmaf/reports/charts.py", "", CODE), {"report", "card"}),
    "code of the summary": (("pyvmaf/reports/summary.py", "", CODE), {"summary", "report", "card"}),
    "files": (("pyvmaf/base/files.py", "", CODE), set(FOLLOWERS)),
    "splits": (("pyvmaf/splits.py", "", CODE), {"fit", "judge", "export", "quantize-int8"}),
    "a style sheet": (("pyvmaf/reports/assets/page.css", "", "\n"), {"report", "card"}),
}
# Rows that rules carry hashes of are no code.
ROWS: dict[str, tuple[tuple[str, str, str], set[str]]] = {
    "an option of a feature": (
        ("pyvmaf/features/catalog.py", '("adm_skip_aim", "true")', '("adm_skip_aim", "false")'),
        {"extract-features", "hard-negatives"},
    ),
    "an option of an encoder in use": (
        ("pyvmaf/codecs/encoders.py", 'thread_params=("lp={threads}",),', 'thread_params=("lp={threads}", "tune=0"),'),
        {"encode"},
    ),
}
# Edits that change nothing. Each of these replanned one stage or all of them when identity was that of a folder.
NOTHING: dict[str, tuple[str, str, str]] = {
    "an encoder more": ("pyvmaf/codecs/encoders.py", "] = (\n    Encoder(", f"] = (\n    {ENCODER},\n    Encoder("),
    "an option of an encoder that is not in use": (
        "pyvmaf/codecs/encoders.py",
        'options=("-b:v", "0", "-cpu-used", "4"),',
        'options=("-b:v", "0", "-cpu-used", "5"),',
    ),
    "a vocabulary more": (
        "pyvmaf/codecs/vocabularies.py",
        "        # The same for the encoders",
        f"        {VOCABULARY},\n        # The same for the encoders",
    ),
    "a feature more": (
        "pyvmaf/features/catalog.py",
        '    Feature("psnr_y"',
        f'    {FEATURE},\n    Feature("psnr_y"',
    ),
    "a key of clips more": (
        "pyvmaf/corpora/spec.py",
        "    raw: Raw | None",
        "    stereo: bool = Field(default=False)\n    raw: Raw | None",
    ),
    "a section of models more": (
        "pyvmaf/models/spec.py",
        "class Gates(Section):",
        "class More(Section):\n    x: int = 1\n\n\nclass Gates(Section):",
    ),
    "a file that nothing imports": ("pyvmaf/models/image.py", "", CODE),
    "the streaming session": ("pyvmaf/scoring/session.py", "", CODE),
    "the pools of the command line": ("pyvmaf/scoring/scores.py", "", CODE),
    "a word of an error": ("pyvmaf/errors.py", 'hint = f"did you mean', 'hint = f"perhaps you mean'),
    "a package of a verb": ("pyvmaf/base/verbs.py", '("av", "imageio-ffmpeg")', '("av", "imageio-ffmpeg", "numpy")'),
    "the words of a message": (
        "pyvmaf/models/judge.py",
        "fit it first, then name each",
        "fit it, then name every",
    ),
    "a comment": ("pyvmaf/models/regressor/trainer.py", "", "# Words.\n"),
    "the command line": ("pyvmaf/cli/models.py", "", CODE),
    "the audit": ("pyvmaf/workflow/audit/audit.py", "", CODE),
    "a study": ("pyvmaf/studies/tune.py", "", CODE),
}
# Plans of edits of code itself: of what all verbs import, and of what the family of a model brings.
PLANNED_CODE = ("files", "code that trains")


def test_every_key_of_models_and_clips_states_what_it_rebuilds() -> None:
    from pyvmaf.corpora.spec import Entry
    from pyvmaf.models.spec import spec_class

    assert {*MODEL_LEAVES, "name"} == set(spec_class("fr").model_fields)
    assert {key.removeprefix("entries.") for key in CORPUS_LEAVES if "." in key} == set(Entry.model_fields)


def _flipped(config: Mapping[str, Any], place: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(dict(config))
    *parents, last = place.split(".")
    inner = changed
    for name in parents:
        inner = inner.setdefault(name, {})
        # Of a list the first entry.
        inner = inner[0] if isinstance(inner, list) else inner
    inner[last] = value
    return changed


@pytest.fixture(scope="module")
def after(session_folder: Path, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Planned]:
    """Plans in a folder in which everything has run, each with one thing changed."""

    def prepare() -> tuple[Path, Mapping[str, Case]]:
        folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("after") / "run"))
        return folder, _changes(folder)

    return plan_once(session_folder, "plans-after", prepare)


def _changes(folder: Path) -> dict[str, Case]:
    config = yaml.safe_load((folder / "small.yaml").read_text())
    model = yaml.safe_load((folder / "config" / "models" / "small.yaml").read_text())
    corpus = yaml.safe_load((folder / "config" / "corpora" / "mine.yaml").read_text())
    flips = folder / "flips"
    cases = {"nothing": Case(SMALL)}
    for place, (value, _) in LEAVES.items():
        write_yaml(flips / f"{place}.yaml", _flipped(config, place, value))
        cases[place] = Case(("--configfile", f"flips/{place}.yaml"))
    # A map is of no use without the scale that it maps to, which is refused.
    mapped = _flipped(config, "tables.default", {"mos_scale": [0, 100], "mos_maps": {"mine": "phase-f"}})
    write_yaml(flips / "tables.default.mos_maps.yaml", mapped)
    # A table of clips is of no use to a model of frames, which is refused: another model is trained on it.
    clips = {
        **model,
        "name": "clips",
        "inputs": {"features": ["adm2_mean"]},
        "target": {"column": "vmaf_mean"},
        "rows": {},
    }
    write_yaml(folder / "config" / "models" / "clips.yaml", clips)
    cases["tables.default.unit"] = Case((*cases["tables.default.unit"].arguments, "--config", "models=[clips]"))
    for key, (value, _) in MODEL_LEAVES.items():
        changed = {**model[key], **value} if isinstance(value, dict) and isinstance(model.get(key), dict) else value
        write_yaml(flips / f"model {key}" / "small.yaml", {**model, key: changed})
        cases[f"model {key}"] = Case((*SMALL, "--config", f"models_folder=flips/model {key}"))
    corpus["root"] = "../../videos"
    for place, (value, _) in CORPUS_LEAVES.items():
        write_yaml(flips / f"clip {place}" / "mine.yaml", _flipped(corpus, place, value))
        cases[f"clip {place}"] = Case((*SMALL, "--config", f"corpora_folder=flips/clip {place}"))
    for copy_of_videos in (flips / "clip root" / "elsewhere", folder / "videos" / "elsewhere"):
        shutil.copytree(folder / "videos", copy_of_videos, ignore=shutil.ignore_patterns("elsewhere"))
    write_yaml(flips / "clip root" / "mine.yaml", {**corpus, "root": "elsewhere"})

    write_yaml(folder / "config" / "models" / "second.yaml", {**model, "name": "second"})
    write_yaml(
        folder / "config" / "corpora" / "other.yaml",
        {**corpus, "name": "other", "entries": corpus["entries"][:1]},
    )
    (flips / "comment").mkdir()
    (flips / "comment" / "small.yaml").write_text(
        f"# A comment.\n{yaml.safe_dump(dict(reversed(model.items())), sort_keys=False)}"
    )
    cases["comment"] = Case((*SMALL, "--config", "models_folder=flips/comment"))
    one_more = copy.deepcopy(corpus)
    one_more["entries"].append({**one_more["entries"][0], "key": "again", "frames": [16, 29]})
    write_yaml(flips / "clip" / "mine.yaml", one_more)
    cases["one more clip"] = Case((*SMALL, "--config", "corpora_folder=flips/clip"))
    blurred = {**config, "ladders": {**config["ladders"], "blur": BLUR}, "codecs": [*config["codecs"], "blur"]}
    write_yaml(flips / "blur.yaml", blurred)
    cases["one more distortion"] = Case(("--configfile", "flips/blur.yaml"))
    cases |= {f"code of {verb}": Case(SMALL, code=verb) for verb in FOLLOWERS}
    cases |= {name: Case(SMALL, (CODE_OF[name][0],)) for name in PLANNED_CODE}
    cases |= {name: Case(SMALL, (edit,)) for name, (edit, _) in ROWS.items()}
    cases["edits that change nothing"] = Case(SMALL, tuple(NOTHING.values()))
    cases["another libvmaf"] = Case(SMALL, libvmaf="libvmaf-0123456789abcdef")
    return cases


def test_a_second_run_has_nothing_to_do(after: Mapping[str, Planned]) -> None:
    assert after["nothing"].code == 0
    assert "Nothing to be done" in after["nothing"].text
    assert not after["nothing"].jobs


@pytest.mark.parametrize("place", [*LEAVES])
def test_a_changed_key_rebuilds_what_uses_it(after: Mapping[str, Planned], place: str) -> None:
    assert after[place].code == 0, after[place].text
    assert after[place].rules == LEAVES[place][1], after[place].text


@pytest.mark.parametrize("key", [*MODEL_LEAVES])
def test_a_changed_model_rebuilds_from_where_it_matters(after: Mapping[str, Planned], key: str) -> None:
    assert after[f"model {key}"].code == 0, after[f"model {key}"].text
    assert after[f"model {key}"].rules == MODEL_LEAVES[key][1], after[f"model {key}"].text


@pytest.mark.parametrize("place", [*CORPUS_LEAVES])
def test_a_changed_clip_rebuilds_from_where_it_matters(after: Mapping[str, Planned], place: str) -> None:
    found = after[f"clip {place}"]
    assert found.code == 0, found.text
    assert found.rules == CORPUS_LEAVES[place][1], found.text
    # The other clip stays as it is.
    if place.startswith("entries.") and "prepare_clip" in found.rules:
        assert (found.jobs["prepare_clip"], found.jobs["encode_rung"]) == (1, 4)


def test_one_more_rung_leaves_the_others_alone(after: Mapping[str, Planned]) -> None:
    jobs = after["ladders.libx264.crfs"].jobs
    # One per clip; its ladder is put together anew, from the cache but for that rung.
    assert (jobs["encode_rung"], jobs["extract_features"], jobs["build_shard"]) == (2, 2, 1)


def test_one_more_distortion_leaves_the_others_alone(after: Mapping[str, Planned]) -> None:
    planned = after["one more distortion"]
    # Three rungs for each of two clips.
    assert [planned.jobs[rule] for rule in ("encode_rung", "extract_features", "build_shard")] == [6, 2, 1]
    assert planned.rules == {"encode_rung"} | FROM_LADDERS | FROM_TABLE


def test_one_more_clip_leaves_the_others_alone(after: Mapping[str, Planned]) -> None:
    jobs = after["one more clip"].jobs
    assert after["one more clip"].rules == FROM_VIDEO
    assert (jobs["prepare_clip"], jobs["encode_rung"], jobs["extract_features"]) == (1, 4, 2)
    assert jobs["build_shard"] == 2


def test_one_more_seed_leaves_the_others_alone(after: Mapping[str, Planned]) -> None:
    jobs = after["model seeds"].jobs
    # The verdict is over all seeds and stands in every exported file.
    assert (jobs["fit_model"], jobs["judge_model"], jobs["export_model"]) == (1, 1, 3)


def test_one_more_model_leaves_the_others_alone(after: Mapping[str, Planned]) -> None:
    jobs = after["models"].jobs
    assert (jobs["fit_model"], jobs["judge_model"], jobs["export_model"], jobs["quantize_model"]) == (2, 1, 2, 2)
    # Cards show a model beside the others that the registry holds.
    assert jobs["render_card"] == 2


def test_comments_and_the_order_of_keys_rebuild_nothing(after: Mapping[str, Planned]) -> None:
    assert "Nothing to be done" in after["comment"].text


@pytest.mark.parametrize("name", [*PLANNED_CODE, *ROWS])
def test_an_edit_rebuilds_what_it_decides_and_what_follows(after: Mapping[str, Planned], name: str) -> None:
    _, verbs = (CODE_OF | ROWS)[name]
    assert after[name].code == 0, after[name].text
    assert after[name].rules == set().union(*(FOLLOWERS[verb] for verb in verbs)), after[name].text


def test_edits_of_what_decides_no_result_rebuild_nothing(after: Mapping[str, Planned]) -> None:
    planned = after["edits that change nothing"]
    assert planned.code == 0, planned.text
    assert planned.rules == set(), planned.text


@pytest.mark.parametrize("verb", [*FOLLOWERS])
def test_changed_code_of_a_verb_rebuilds_what_it_computes_and_what_follows(
    after: Mapping[str, Planned], verb: str
) -> None:
    """Which code is that of a verb, the next test says."""
    planned = after[f"code of {verb}"]
    # Two verbs may have one module.
    same = {other for other in FOLLOWERS if VERBS[other].entry == VERBS[verb].entry}
    assert planned.code == 0, planned.text
    assert planned.rules == set().union(*(FOLLOWERS[other] for other in same)), planned.text


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, str, str] | None], dict[str, str]]:
    """A function that returns the identities of verbs, for a model of the family `fr`, in a copy with an edit."""
    folder = tmp_path_factory.mktemp("identities")

    def of(edit: tuple[str, str, str] | None) -> dict[str, str]:
        root = Path(tempfile.mkdtemp(dir=folder)) / "pyvmaf"
        shutil.copytree(REPOSITORY / "pyvmaf", root, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        if edit is not None:
            name, old, new = edit
            assert not old, "edits of code go to the end of a file"
            with (root.parent / name).open("a") as stream:
                stream.write(new)
        return {verb: identity(verb, uses(verb, "fr"), root=root) for verb in FOLLOWERS}

    return of


def test_an_edit_changes_the_code_of_the_verbs_that_compute_with_it(
    identities: Callable[[tuple[str, str, str] | None], dict[str, str]],
) -> None:
    before = identities(None)
    for name, (edit, verbs) in CODE_OF.items():
        changed = {verb for verb, digest in identities(edit).items() if digest != before[verb]}
        assert changed == verbs, name


def test_another_libvmaf_rebuilds_features_and_no_encode(after: Mapping[str, Planned]) -> None:
    assert after["another libvmaf"].rules == FROM_FEATURES | FROM_TABLE


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, times of files included."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def test_a_touched_file_rebuilds_nothing_unless_it_is_large(run: Path) -> None:
    touched = (
        "small.yaml",
        "config/corpora/mine.yaml",
        "config/models/small.yaml",
        "videos/carphone.mkv",
        "results/corpora/mine/carphone.mkv",
        "results/encodes/mine/carphone/libx264/medium-crf44.mkv",
        "results/features/mine/carphone/libx264.parquet",
        "results/shards/mine/libx264.parquet",
        "results/tables/default.parquet",
        "results/models/small/seed0/weights.safetensors",
        "results/models/small/seed0/model.onnx",
        "results/registry/registry.json",
    )
    for name in touched:
        assert (run / name).stat().st_size < 1_000_000
        os.utime(run / name)
    assert plan(run, {"touched": Case(SMALL)})["touched"].rules == set()
    # Beyond a megabyte Snakemake compares no bytes: a newer time is a change.
    table = run / "results" / "tables" / "default.parquet"
    with table.open("ab") as stream:
        stream.truncate(1_000_001)
    assert plan(run, {"large": Case(SMALL)})["large"].rules == FROM_TABLE


def test_a_changed_environment_file_rebuilds_nothing_without_conda(finished_run: Path, tmp_path: Path) -> None:
    """What it pins stands in the manifests: an audit names other versions. With conda Snakemake plans by itself."""
    for name in ("workflow", "rules", "config", "envs"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    for path in (tmp_path / "envs").iterdir():
        path.write_text(path.read_text() + "# Words.\n")
        if path.suffix == ".yaml":
            env = yaml.safe_load(path.read_text())
            env["dependencies"][0] = "python=3.12.1"
            write_yaml(path, env)
    own = ("--snakefile", str(tmp_path / "workflow" / "Snakefile"))
    found = plan(finished_run, {"environments": Case((*SMALL, *own))})["environments"]
    assert "Nothing to be done" in found.text


def test_it_works_from_another_folder(fresh: Mapping[str, Planned]) -> None:
    # All plans above were made outside of the checkout.
    assert fresh["default"].code == 0
    assert not (REPOSITORY / "results" / "corpora" / "mine").exists()
