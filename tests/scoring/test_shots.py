"""The shots of real videos by the published TransNet V2, and by thumbnails where no model is registered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pyvmaf.corpora.scan import Options, scan
from pyvmaf.errors import InputError
from pyvmaf.scoring.shots import finder, shots
from tests.make.checkpoints import converted
from tests.make.commands import command


@pytest.fixture(scope="session")
def registry(session_folder: Path) -> Path:
    """A registry with the published weights of TransNet V2."""
    return converted(session_folder, "transnet_v2") / "results/registry/registry.json"


@pytest.mark.network
def test_cuts_of_real_videos(shared_data: Path, registry: Path, tmp_path: Path) -> None:
    found = {}
    for name in ("bbb_cuts", "jwst_fade", "dog_park"):
        output = tmp_path / f"{name}.json"
        report = shots(shared_data / "clips" / f"{name}.mkv", output, registry=registry)
        assert json.loads(output.read_text())["model"]["id"] == "transnet_v2"
        found[name] = [(cut.frame, round(cut.probability or 0, 2)) for cut in report.cuts]
        assert report.shots[0][0] == 0
        assert report.shots[-1][1] == report.frames - 1
    assert found == {"bbb_cuts": [(5, 0.99), (98, 0.99)], "jwst_fade": [(62, 0.98)], "dog_park": []}


@pytest.mark.network
def test_a_scan_cuts_where_the_registered_model_says(shared_data: Path, registry: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "bbb_cuts.mkv").write_bytes((shared_data / "clips" / "bbb_cuts.mkv").read_bytes())
    named = finder(registry)
    assert named is not None
    assert named[0] == "transnet_v2"
    result = scan(folder, "films", options=Options(cut=True, min_frames=2, shots=named[1]))
    assert [entry.frames for entry in result.corpus.entries] == [(0, 4), (5, 97), (98, 103)]


def test_without_a_registered_model_thumbnails_find_cuts(make_video: Callable[..., Path], tmp_path: Path) -> None:
    video = make_video("still.mkv", "64x48", 12)
    missing = tmp_path / "registry.json"
    assert finder(missing) is None
    report = shots(video, registry=missing)
    assert (report.method, report.model, report.frames, report.cuts) == ("thumbnails", None, 12, [])
    with pytest.raises(InputError, match=r"between 0 and 1, not 1\.5"):
        shots(video, registry=missing, threshold=1.5)
    done = command("shots", video, "--registry", missing)
    assert done.returncode == 0
    assert "12 frames, by thumbnails" in done.stdout
