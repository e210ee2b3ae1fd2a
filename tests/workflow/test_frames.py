"""Pictures in the workflow: clips and their encodes, images, and a model that is trained on them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.base.files import read_json, read_yaml, sha256_file
from pyvmaf.frames.pictures import Pictures
from tests.make.commands import command
from tests.make.runs import once
from tests.make.videos import REPOSITORY, make_video
from tests.make.workflows import Case, Planned, plan_once, snakemake, write_yaml

pytestmark = pytest.mark.xdist_group("workflow")

SMALL = ("--configfile", "pixels.yaml")


def prepare(folder: Path, clips: Mapping[str, Path]) -> None:
    """Write a configuration with two real clips, a broken one, two images, and a model of one epoch."""
    (folder / "videos").mkdir(parents=True)
    for name in ("carphone", "bikes_1"):
        shutil.copyfile(clips[name], folder / "videos" / f"{name}.mkv")
    words = ("--root", "videos", "--name", "mine", "--output", "config/corpora/mine.yaml")
    assert command("manifest-scan", *words, cwd=folder).returncode == 0
    corpus = read_yaml(folder / "config" / "corpora" / "mine.yaml")
    for entry in corpus["entries"]:
        entry["frames"] = [0, 7]
    broken = folder / "videos" / "words.mkv"
    broken.write_text("This is a text.\n" * 50)
    names = dict.fromkeys(("key", "source", "group"), "words")
    corpus["entries"].append({**names, "path": broken.name, "sha256": sha256_file(broken)})
    skip = {"on_error": "skip", "max_failed_share": 0.5}
    write_yaml(folder / "config" / "corpora" / "mine.yaml", corpus | skip)
    for number in range(2):
        # A video of one frame whose name is that of an image is one.
        make_video(folder / "images" / f"{number}.png", "64x48", 1, "-update", "1")
        make_video(folder / "masks" / f"{number}.png", "64x48", 1, "-update", "1", "-pix_fmt", "gray")
    model = read_yaml(REPOSITORY / "config" / "models" / "nr_metric_v1.yaml")
    model |= {"name": "tiny", "epochs": 1, "crops": {"train": 64, "judge": 64, "views": 1}, "quantised": []}
    model |= {"split": {"protocol": "kfold", "k": 2, "by": "source"}}
    model["gates"] = {"constant": {"rmse_share_max": 1000}}
    write_yaml(folder / "config" / "models" / "tiny.yaml", model)
    write_yaml(
        folder / "pixels.yaml",
        {
            "corpora": ["mine"],
            "codecs": ["libx264"],
            "ladders": {"libx264": {"presets": ["veryfast"], "crfs": [30, 45]}},
            "models": ["tiny"],
            "pictures": {"gray": {"count": 2, "crop": "96x80"}, "colour": {"colour": "rgb24", "size": "32x24"}},
            "images": {"shapes": {"source": "images", "masks": "masks"}},
            "tables": {
                "pictures": {"pictures": "gray"},
                "saliency": {"pictures": "colour", "corpora": [], "images": ["shapes"]},
            },
        },
    )


@pytest.fixture(scope="module")
def trained(session_folder: Path, embedded_corpus: dict[str, Path]) -> Path:
    """A folder in which pictures were taken, put into tables, and a model was trained on them."""

    def run(folder: Path) -> None:
        prepare(folder, embedded_corpus)
        targets = ("results/models/tiny/seed0/weights.safetensors", "results/tables/saliency.parquet")
        snakemake(folder, *SMALL, "--cores", "2", "--", *targets)

    return once(session_folder, "trained-pictures", run)


@pytest.fixture(scope="module")
def plans(session_folder: Path, trained: Path) -> Mapping[str, Planned]:
    """Plans where the model was trained."""

    def cases() -> tuple[Path, Mapping[str, Case]]:
        target = ("--", "results/models/tiny/seed0/weights.safetensors")
        return trained, {
            "nothing": Case((*SMALL, *target)),
            "another crop": Case((*SMALL, "--config", "pictures={gray: {count: 2, crop: 64x64}}", *target)),
            "another image size": Case((*SMALL, "--config", "pictures={colour: {size: 16x12}}", *target)),
            "another rung": Case((*SMALL, "--config", "ladders={libx264: {crfs: [30, 45, 50]}}", *target)),
            "too large": Case((*SMALL, "--config", "pictures={gray: {count: 2, crop: 300x80}}", *target)),
            "no frames": Case((*SMALL, "--config", "pictures={gray: {count: null}}", *target)),
            "unknown": Case((*SMALL, "--config", "tables={pictures: {pictures: grey}}", *target)),
            "called reference": Case(
                (*SMALL, "--config", "codecs=[reference]", "ladders={reference: {encoder: libx264}}", *target)
            ),
        }

    return plan_once(session_folder, "plans-pictures", cases)


def test_distorted_pictures_have_scores_and_pristine_ones(trained: Path) -> None:
    pictures = Pictures.open(trained / "results" / "tables" / "pictures.parquet")
    rows = pictures.rows.to_pandas()
    assert rows.groupby(["clip", "rung"], observed=True).size().to_dict() == {
        (clip, rung): 2
        for clip in ("bikes_1", "carphone")
        for rung in ("reference", "veryfast-crf30", "veryfast-crf45")
    }
    assert pictures.picture(0).shape == (80, 96)
    assert rows["vmaf"].notna().all()
    for number, rung in enumerate(rows["rung"]):
        reference = pictures.reference(number)
        if rung == "reference":
            assert reference is None
        else:
            assert reference is not None
            error = np.abs(np.subtract(reference, pictures.picture(number), dtype=np.int16)).mean()
            assert 0.2 < error < 20


def test_a_clip_that_cannot_be_read_is_skipped_and_named(trained: Path) -> None:
    for codec, rungs in (
        ("libx264", ["veryfast-crf30", "veryfast-crf45"]),
        ("reference", ["reference"]),
    ):
        path = trained / f"results/frames/gray/mine/words/{codec}.safetensors.manifest.json"
        details = read_json(path)["details"]
        assert details["pictures"] == 0
        assert [(item["rung"], item["path"]) for item in details["failed"]] == [(rung, "words.mkv") for rung in rungs]


def test_images_and_masks_become_a_table(trained: Path) -> None:
    pictures = Pictures.open(trained / "results" / "tables" / "saliency.parquet")
    assert (len(pictures), pictures.colour, pictures.picture(0).shape) == (2, "rgb24", (24, 32, 3))
    assert pictures.mask(1) is not None


def test_the_model_was_trained_on_the_pictures(trained: Path) -> None:
    manifest = read_json(trained / "results/models/tiny/seed0/weights.safetensors.manifest.json")
    assert "results/tables/pictures.parquet" in str(manifest["inputs"])


def test_a_change_takes_only_the_pictures_that_it_is_about(plans: Mapping[str, Planned]) -> None:
    assert plans["nothing"].jobs == {}, plans["nothing"].text
    crop = plans["another crop"].jobs
    assert crop == {"extract_frames": 6, "combine_pictures": 1, "fit_model": 1}
    assert plans["another image size"].jobs == {}
    rung = plans["another rung"].jobs
    assert (rung["extract_frames"], rung["extract_features"]) == (3, 3)


def test_pictures_that_cannot_be_taken_are_refused_before_anything_runs(plans: Mapping[str, Planned]) -> None:
    for case, message in {
        "too large": "a crop to 300x80 does not fit into frames of 176x144",
        "no frames": "pictures.gray does not say which frames are taken",
        "unknown": "unknown pictures 'grey': did you mean 'gray'",
        "called reference": "is called as the pictures of pristine clips are: choose another name",
    }.items():
        assert plans[case].code == 1, case
        assert message in plans[case].text
