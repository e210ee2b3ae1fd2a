"""A cache that cannot be used costs time and a warning; a video that changes meanwhile costs the run, not the cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.errors import IntegrityError
from pyvmaf.features.ladder import Ladder, extract_ladder
from pyvmaf.features.options import Compute, Reading, Window

SHORT = Reading(window=Window(stop=4))


def measure(pair: tuple[Path, Path], cache: Path | None, **more: object) -> Ladder:
    compute = Compute(cache=cache, **more)  # type: ignore[arg-type]
    return extract_ladder(pair[0], {"d": pair[1]}, features="adm2", reading=SHORT, compute=compute)


def a_file(folder: Path) -> Path:
    (folder / "cache").write_text("not a folder")
    return folder / "cache"


def below_a_file(folder: Path) -> Path:
    return a_file(folder) / "below"


def a_link_to_nothing(folder: Path) -> Path:
    (folder / "cache").symlink_to(folder / "absent" / "far")
    (folder / "absent").write_text("")
    return folder / "cache"


def with_files_for_folders(folder: Path) -> Path:
    (folder / "cache").mkdir()
    for name in range(256):
        (folder / "cache" / f"{name:02x}").touch()
    return folder / "cache"


def not_writable(_: Path) -> Path:
    # Also for root, whom no permission stops.
    return Path("/proc/sys/absent")


@pytest.mark.parametrize(
    "place", [a_file, below_a_file, a_link_to_nothing, with_files_for_folders, not_writable], ids=lambda f: f.__name__
)
def test_the_run_goes_on_without_it(pair: tuple[Path, Path], tmp_path: Path, place: Callable[[Path], Path]) -> None:
    cache = place(tmp_path)
    expected = measure(pair, None)
    measured = measure(pair, cache)
    np.testing.assert_array_equal(measured.rungs["d"].features["adm2"], expected.rungs["d"].features["adm2"])
    [message] = measured.damaged
    assert message.startswith(f"the cache {cache} cannot be written, and the scores of this run are not kept: ")
    assert "\n" not in message
    assert measured.cached == 0


def pipe(entry: Path) -> None:
    os.mkfifo(entry)


def link_to_itself(entry: Path) -> None:
    entry.symlink_to(entry)


def endless(entry: Path) -> None:
    entry.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", [pipe, link_to_itself, endless, Path.mkdir], ids=lambda f: f.__name__)
def test_an_entry_that_is_no_file_is_computed_again(
    pair: tuple[Path, Path], tmp_path: Path, kind: Callable[[Path], None]
) -> None:
    cache = tmp_path / "cache"
    expected = measure(pair, cache)
    for entry in list(cache.rglob("*.scores")):
        entry.unlink()
        kind(entry)
    measured = measure(pair, cache)
    np.testing.assert_array_equal(measured.rungs["d"].vmaf, expected.rungs["d"].vmaf)
    assert "it is not a file): it will be computed again" in measured.damaged[0]
    # All but a folder is replaced.
    assert (measure(pair, cache).damaged == []) == (kind is not Path.mkdir)


def test_a_folder_that_is_deleted_meanwhile(pair: tuple[Path, Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()

    def delete(_done: int, _total: int, _label: str | None = None) -> None:
        shutil.rmtree(cache, ignore_errors=True)

    expected = measure(pair, None)
    measured = measure(pair, cache, progress=delete)
    np.testing.assert_array_equal(measured.rungs["d"].vmaf, expected.rungs["d"].vmaf)
    assert measured.damaged == []
    assert measure(pair, cache).cached > 0


@pytest.mark.parametrize("side", [0, 1])
def test_scores_of_a_video_that_was_replaced_are_not_kept(pair: tuple[Path, Path], tmp_path: Path, side: int) -> None:
    copies = tuple(shutil.copy(video, tmp_path) for video in pair)
    moving = Path(copies[side])

    def replace(_done: int, _total: int, _label: str | None = None) -> None:
        shutil.copyfile(pair[1 - side], tmp_path / "new")
        os.replace(tmp_path / "new", moving)

    with pytest.raises(IntegrityError, match="was changed or replaced while it was read"):
        measure((Path(copies[0]), Path(copies[1])), tmp_path / "cache", progress=replace)
    assert not list((tmp_path / "cache").rglob("*.scores"))
