from __future__ import annotations

from pathlib import Path

import pytest

from pyvmaf.base.files import relative
from pyvmaf.base.roots import DATASETS, locate, movable
from pyvmaf.errors import InputError

REPOSITORY = Path(__file__).parents[2]


def test_the_variable_is_expanded_as_a_shell_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VMAF_DATA_ROOT", raising=False)
    assert locate(f"{DATASETS}/nflx", "/x") == tmp_path / ".cache" / "vmaf-train" / "datasets" / "nflx"
    monkeypatch.setenv("VMAF_DATA_ROOT", "")
    assert locate(f"{DATASETS}/nflx", "/x") == tmp_path / ".cache" / "vmaf-train" / "datasets" / "nflx"
    monkeypatch.setenv("VMAF_DATA_ROOT", "/data/")
    assert locate(f"{DATASETS}/nflx/ref", "/x") == Path("/data/datasets/nflx/ref")
    monkeypatch.setenv("VMAF_DATA_ROOT", "~/data")
    assert locate(f"{DATASETS}/nflx", "/x") == tmp_path / "data" / "datasets" / "nflx"


@pytest.mark.parametrize(
    ("root", "place"), [("videos", "/x/videos"), ("/abs", "/abs"), ("a$b", "/x/a$b"), ("~", "/x/~")]
)
def test_other_roots_stay_as_they_are(root: str, place: str) -> None:
    assert locate(root, "/x") == Path(place)
    assert movable(place) is None


@pytest.mark.parametrize(
    "root",
    [
        "${HOME}/videos",
        "${VMAF_DATA_ROOT}/datasets/nflx",
        "${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/nflx",
        "${VMAF_DATA_ROOT:-/elsewhere}/datasets/nflx",
        f"x/{DATASETS}/nflx",
        DATASETS,
        f"{DATASETS}/",
        f"{DATASETS}/.",
        f"{DATASETS}/${{HOME}}",
        f"{DATASETS}/../../etc",
    ],
)
def test_other_variables_and_ways_out_are_refused(root: str) -> None:
    with pytest.raises(InputError, match=r"write \$\{VMAF_DATA_ROOT:-~/\.cache/vmaf-train\}/datasets/NAME"):
        locate(root, "/x")


def test_a_relative_data_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMAF_DATA_ROOT", "data")
    with pytest.raises(InputError, match="VMAF_DATA_ROOT is 'data', which is not an absolute path"):
        locate(f"{DATASETS}/nflx", "/x")
    assert movable("data/datasets/nflx") is None


def test_a_path_below_the_folder_is_named_by_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMAF_DATA_ROOT", str(tmp_path / "data"))
    path = tmp_path / "data" / "datasets" / "nflx" / "ref"
    assert movable("data/datasets/nflx/ref") == movable(path) == f"{DATASETS}/nflx/ref"
    assert locate(f"{DATASETS}/nflx/ref", "/x") == path
    assert movable(tmp_path / "data" / "datasets") is None
    assert movable(tmp_path / "data" / "datasets2" / "x") is None
    # The names that manifests have do not say where the folder is.
    assert relative(path / "a.yuv") == "a.yuv"
    assert relative(tmp_path / "videos" / "a.yuv") == "videos/a.yuv"
