"""The commands of docs/c1_by_hand.md, on a small corpus of real pairs with the layout and the names of Netflix Public."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.make.commands import command
from tests.make.videos import REPOSITORY, ffmpeg_program

SCENES = {"bikes_1": "OldTownCross", "carphone": "FoxBird", "bikes_4": "CrowdRun", "bigbuckbunny": "BigBuckBunny"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = REPOSITORY / "docs" / "c1_by_hand.md"


def commands() -> list[list[str]]:
    """The command lines of the page, as words."""
    blocks = "".join(re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL))
    text = blocks.replace("\\\n", " ").replace('"$(git rev-parse HEAD)"', COMMIT)
    return [shlex.split(line.removeprefix("$ ")) for line in text.splitlines()]


def raw(source: Path, target: Path, *words: str) -> None:
    """Decode the first frames of a video to a raw one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", "-i", str(source), "-frames:v", "12", *words]
    subprocess.run([*made, "-pix_fmt", "yuv420p", "-f", "rawvideo", str(target)], check=True)


def netflix(folder: Path, clips: dict[str, Path]) -> None:
    """References and distorted versions as raw video, 320x180."""
    for clip, scene in SCENES.items():
        reference = folder / "ref" / f"{scene}_25fps.yuv"
        raw(clips[clip], reference, "-vf", "scale=320:180")
        for quality, crf in ((20, 48), (45, 38), (70, 30), (90, 20)):
            coded = folder / f"{scene}.mkv"
            words = [
                "-f",
                "rawvideo",
                "-s",
                "320x180",
                "-r",
                "25",
                "-i",
                str(reference),
                "-c:v",
                "libx264",
                "-crf",
                f"{crf}",
            ]
            subprocess.run([ffmpeg_program(), "-nostdin", "-v", "error", "-y", *words, str(coded)], check=True)
            raw(coded, folder / "dis" / f"{scene}_{quality}_180_{10 * quality}.yuv")
            coded.unlink()


def test_the_commands_of_the_page(tmp_path: Path, embedded_corpus: dict[str, Path]) -> None:
    netflix(tmp_path / "netflix", embedded_corpus)
    (tmp_path / "config/models").mkdir(parents=True)
    shutil.copy(REPOSITORY / "config/models/fr_tiny_v1.yaml", tmp_path / "config/models")
    words = commands()
    assert [line[1] for line in words] == [
        *("manifest-scan", "extract-features", "fit", "judge", "export", "eval", "register")
    ]
    words[0] += ["--size", "320x180"]  # the corpus itself is 1920x1080
    said = {}
    for program, verb, *options in words:
        assert program == "vmaf-train"
        done = command(verb, *options, cwd=tmp_path)
        assert done.returncode == 0, f"{verb}: {done.stderr}"
        said[verb] = done.stdout

    rows = pd.read_parquet(tmp_path / "ai/data/nflx.parquet")
    assert len(rows) == 4 * 4 * 12
    assert set(rows["source"]) == set(SCENES.values())
    sidecar = json.loads((tmp_path / "model/tiny/vmaf_tiny_fr_v1.json").read_text())
    stated = {
        key: sidecar[key] for key in ("name", "kind", "onnx_opset", "input_name", "dataset", "license", "train_commit")
    }
    assert stated == {
        "name": "fr_tiny_v1",
        "kind": "fr",
        "onnx_opset": 17,
        "input_name": "features",
        "dataset": "nflx",
        "license": "CDLA-Permissive-2.0",
        "train_commit": COMMIT,
    }
    assert sidecar["n_params"] == 4673
    report = json.loads((tmp_path / "runs/fr_tiny_v1/loso.json").read_text())
    predictions = pd.read_parquet(tmp_path / "runs/fr_tiny_v1/predictions.parquet")
    assert report["folds"][0]["plcc"] == pytest.approx(predictions["prediction"].corr(predictions["target"]))
    assert report["folds"][0]["plcc"] > 0.95
    assert all(word in said["eval"] for word in ("PLCC", "SROCC", "RMSE"))
    registry = json.loads((tmp_path / "model/tiny/registry.json").read_text())
    assert [entry["id"] for entry in registry["models"]] == ["fr_tiny_v1"]
