"""Pictures of videos, ladders and pairs, against the planes of the same frames; calls that were cut off."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyvmaf.base.files import read_json, sha256_file
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.frames import sampling
from pyvmaf.frames.cache import SUFFIX
from pyvmaf.frames.pictures import Pictures
from pyvmaf.frames.spec import PictureSet
from pyvmaf.frames.stage import Subject, Taken, extract_frames, video_subject
from pyvmaf.video.reader import Reader
from tests.make.commands import command, refusal

Make = Callable[..., Path]
GRAY = ("-c:v", "ffv1", "-pix_fmt", "gray")


def take(video: Path, output: Path, cache: Path | None = None, advance: Any = None, **keys: Any) -> Taken:
    pictures = PictureSet.of(**keys)
    return extract_frames(output, lambda: video_subject(video, pictures, {}), pictures, cache=cache, advance=advance)


def pictures_of(output: Path) -> list[NDArray[np.uint8]]:
    read = Pictures.open(output.with_suffix(".parquet"))
    return [read.picture(row) for row in range(len(read))]


@pytest.fixture(scope="module")
def gray(make_video: Make) -> Path:
    return make_video("frames-gray.mkv", "64x48", 12, *GRAY)


GROUPS = "keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0"
VIDEOS = {
    "closed.mkv": ("-c:v", "libx264", "-preset", "veryfast", "-x264-params", GROUPS),
    # A call goes on from the start: what FFmpeg decodes from within such a group is not what was coded.
    "open.mkv": ("-c:v", "libx264", "-preset", "veryfast", "-x264-params", f"{GROUPS}:open-gop=1"),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", f"{GROUPS}:open-gop=1:log-level=error"),
    "transport.ts": ("-c:v", "libx264", "-preset", "veryfast", "-x264-params", GROUPS),
    "sliced.avi": ("-c:v", "mpeg4", "-g", "8", "-bf", "2"),
}
"""40 frames with a key frame every 8, and B-frames."""


@pytest.fixture(scope="module")
def groups(make_video: Make) -> Path:
    """A video whose time stamps start late."""
    return make_video("frames-groups.mkv", "64x48", 40, *VIDEOS["closed.mkv"], "-output_ts_offset", "1.2")


@pytest.fixture(scope="module")
def ladder(make_video: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A clip and two encodes of it, with their records."""
    clip = make_video("frames-clip.mkv", "64x48", 12, *("-c:v", "ffv1", "-pix_fmt", "yuv420p"))
    folder = tmp_path_factory.mktemp("ladder")
    for crf in (20, 45):
        words = ("--codec", "libx264", "--preset", "veryfast", "--crf", crf)
        assert command("encode", clip, folder / f"veryfast-crf{crf}.mkv", *words).returncode == 0
    return clip, [f"veryfast-crf{crf}={folder / f'veryfast-crf{crf}.mkv'}" for crf in (20, 45)]


def test_pictures_are_those_frames_and_that_part(gray: Path, tmp_path: Path) -> None:
    taken = take(gray, tmp_path / "a.safetensors", every=5, crop="20x10+3+4")
    planes = [frame[0] for frame in Reader(gray).planes()]
    expected = [planes[index][4:14, 3:23] for index in (0, 5, 10)]
    assert np.array_equal(pictures_of(tmp_path / "a.safetensors"), expected)
    assert (taken.pictures, taken.pairs, taken.size) == (3, 0, "20x10")
    rows = Pictures.open(tmp_path / "a.parquet").rows.to_pandas()
    assert rows["frame_index"].tolist() == [0, 5, 10]
    assert set(rows["clip"]) == {"frames-gray"}
    assert rows[["vmaf", "codec", "rung"]].isna().all(axis=None)


def test_the_manifest_states_counts_and_files(gray: Path, tmp_path: Path) -> None:
    take(gray, tmp_path / "a.safetensors", count=2)
    manifest = read_json(tmp_path / "a.safetensors.manifest.json")
    assert {role: item["sha256"] for role, item in manifest["outputs"].items()} == {
        "pictures": sha256_file(tmp_path / "a.safetensors"),
        "table": sha256_file(tmp_path / "a.parquet"),
    }
    expected = {"pictures": 2, "pairs": 0, "frames": 2, "size": "64x48", "colour": "gray", "rungs": [None]}
    assert manifest["details"] == expected


def test_the_same_call_gives_the_same_bytes(gray: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        take(gray, tmp_path / name / "x.safetensors", tmp_path / "cache", per_second=5)
    for file in ("x.safetensors", "x.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(("colour", "channels"), [("rgb24", 3), ("bgr24", 3), ("rgba", 4), ("bgra", 4)])
def test_channels_come_in_the_order_of_the_name(make_video: Make, tmp_path: Path, colour: str, channels: int) -> None:
    words = ("-vf", "geq=r=255:g=0:b=0", "-c:v", "ffv1", "-pix_fmt", "bgr0")
    red = make_video("frames-red.mkv", "16x16", 1, *words)
    take(red, tmp_path / "a.safetensors", count=1, colour=colour)
    pixel = pictures_of(tmp_path / "a.safetensors")[0][8, 8]
    assert pixel.shape == (channels,)
    assert pixel[colour.index("r")] > 240
    assert max(pixel[colour.index(name)] for name in "gb") < 10
    assert channels == 3 or pixel[3] == 255


def test_a_ladder_and_its_pristine_pictures(ladder: tuple[Path, list[str]], tmp_path: Path) -> None:
    clip, rungs = ladder
    names = ("--corpus", "mine", "--clip", "one", "--source", "one", "--group", "film", "--count", 3)
    for codec, words in (("x264", rungs), ("reference", [])):
        output = tmp_path / f"{codec}.safetensors"
        done = command(
            "extract-frames", "--reference", clip, "--codec", codec, *names, "-o", output, *words, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    rows = Pictures.open(tmp_path / "x264.parquet").rows.to_pandas()
    assert rows["rung"].tolist() == ["veryfast-crf20"] * 3 + ["veryfast-crf45"] * 3
    assert rows["frame_index"].tolist() == [2, 6, 10] * 2
    assert rows["strength"].tolist() == [20.0] * 3 + [45.0] * 3
    assert set(rows["codec"]) == {"x264"}
    assert set(rows["encoder"]) == {"libx264"}
    pristine = Pictures.open(tmp_path / "reference.parquet").rows.to_pandas()
    assert pristine["vmaf"].tolist() == [100.0] * 3
    assert set(pristine["rung"]) == {"reference"}
    assert pristine["codec"].isna().all()
    errors = [
        np.abs(np.subtract(picture, other, dtype=np.int16)).mean()
        for start in (0, 3)
        for picture, other in zip(
            pictures_of(tmp_path / "x264.safetensors")[start : start + 3],
            pictures_of(tmp_path / "reference.safetensors"),
            strict=True,
        )
    ]
    # The same frames: they differ by what the encoder lost, more where it lost more.
    assert 0 < max(errors[:3]) < min(errors[3:])
    assert read_json(tmp_path / "x264.safetensors.manifest.json")["details"]["pairs"] == 6


def test_a_ladder_of_another_reference_is_refused(ladder: tuple[Path, list[str]], gray: Path, tmp_path: Path) -> None:
    names = ("--corpus", "mine", "--clip", "one", "--source", "one", "--group", "film", "--codec", "x", "--count", 3)
    text = refusal("extract-frames", "--reference", gray, *names, "-o", tmp_path / "a.safetensors", *ladder[1])
    assert "was encoded from a reference with SHA-256" in text
    assert not list(tmp_path.iterdir())


class Decoded:
    """Counts the frames that are decoded, and where decoding began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames, self.since = 0, list[int | None]()
        original = Reader.frames

        def frames(reader: Reader, *, threads: int = 1, since: int | None = None) -> Iterator[Any]:
            self.since.append(since)
            for frame in original(reader, threads=threads, since=since):
                self.frames += 1
                yield frame

        monkeypatch.setattr(Reader, "frames", frames)


def cut_off(at: int) -> Callable[[int, int], None]:
    def advance(done: int, total: int) -> None:
        if done == at:
            raise KeyboardInterrupt

    return advance


def test_a_call_that_was_cut_off_goes_on_where_it_was(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_PART_PICTURES", 4)
    take(groups, tmp_path / "whole.safetensors", every=2)
    with pytest.raises(KeyboardInterrupt):
        take(groups, tmp_path / "a.safetensors", tmp_path / "cache", cut_off(16), every=2)
    assert not list(tmp_path.glob("*a.safetensors*"))
    decoded = Decoded(monkeypatch)
    taken = take(groups, tmp_path / "a.safetensors", tmp_path / "cache", every=2)
    assert taken.cached == 16
    assert not taken.damaged
    # Frames 24 to 30 are compared with those kept; 32 to 38 are new. The key frame before them is 24 or 16.
    assert decoded.since != [None]
    assert decoded.frames <= 24
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    decoded.frames = 0
    assert take(groups, tmp_path / "b.safetensors", tmp_path / "cache", every=2).cached == 20
    assert decoded.frames == 0


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.parametrize("every", [1, 3])
def test_where_a_call_goes_on_does_not_matter(
    make_video: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, every: int
) -> None:
    video = make_video(f"frames-{name}", "64x48", 40, *VIDEOS[name])
    monkeypatch.setattr(sampling, "_PART_PICTURES", 2)
    take(video, tmp_path / "whole.safetensors", tmp_path / "cache", every=every)
    for step in (2, 3):
        for entry in sorted((tmp_path / "cache").rglob(f"*{SUFFIX}"), key=sha256_file)[::step]:
            entry.unlink()
        take(video, tmp_path / "a.safetensors", tmp_path / "cache", every=every)
        assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_pictures_that_are_not_found_again_are_taken_from_the_start(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a file had other pictures behind its index than in a whole pass."""
    monkeypatch.setattr(sampling, "_PART_PICTURES", 4)
    take(groups, tmp_path / "whole.safetensors", every=2)
    with pytest.raises(KeyboardInterrupt):
        take(groups, tmp_path / "a.safetensors", tmp_path / "cache", cut_off(16), every=2)
    original = sampling._Sampler._decode

    def other(self: Any, part: tuple[int, ...]) -> Any:
        entry = original(self, part)
        again = self._frames is not None and self._next - 1 == part[-1] and part[0] == 24 and not calls
        calls.append(part)
        return type(entry)(np.invert(entry.pixels), entry.stamps) if again else entry

    calls: list[tuple[int, ...]] = []
    monkeypatch.setattr(sampling._Sampler, "_decode", other)
    take(groups, tmp_path / "a.safetensors", tmp_path / "cache", every=2)
    assert calls == [(24, 26, 28, 30), (32, 34, 36, 38)]
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_a_damaged_entry_is_made_again(groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_PART_PICTURES", 4)
    take(groups, tmp_path / "a.safetensors", tmp_path / "cache", every=2)
    for number, entry in enumerate(sorted((tmp_path / "cache").rglob(f"*{SUFFIX}"))):
        data = bytearray(entry.read_bytes())
        data[-1] ^= 1
        entry.write_bytes(data if number else data[: len(data) // 2])
    taken = take(groups, tmp_path / "b.safetensors", tmp_path / "cache", every=2)
    assert len(taken.damaged) == 5
    assert all("is damaged" in text for text in taken.damaged)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert take(groups, tmp_path / "c.safetensors", tmp_path / "cache", every=2).cached == 20


def test_another_size_or_codec_computes_only_what_is_missing(gray: Path, groups: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert take(gray, tmp_path / "a.safetensors", cache, count=3).cached == 0
    assert take(gray, tmp_path / "b.safetensors", cache, count=3, size="32x24").cached == 0
    assert take(groups, tmp_path / "c.safetensors", cache, count=3).cached == 0
    assert take(gray, tmp_path / "d.safetensors", cache, count=3).cached == 3
    assert take(gray, tmp_path / "e.safetensors", cache, count=3, size="32x24").cached == 3


def test_a_damaged_video_is_refused(groups: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    path.write_bytes(groups.read_bytes()[:-900])
    with pytest.raises(IntegrityError, match=r"cut\.mkv is (damaged|truncated)"):
        take(path, tmp_path / "a.safetensors", every=1)
    assert [file.name for file in tmp_path.iterdir()] == ["cut.mkv"]


def test_a_crop_that_does_not_fit_leaves_nothing_behind(gray: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"frames-gray\.mkv: a crop to 65x48 does not fit"):
        take(gray, tmp_path / "a.safetensors", count=1, crop="65x48")
    assert not list(tmp_path.iterdir())


def test_a_version_of_another_size_is_scaled_to_that_of_the_reference(
    gray: Path, make_video: Make, tmp_path: Path
) -> None:
    other = make_video("frames-small.mkv", "32x24", 12, *GRAY)
    pictures = PictureSet.of(count=2)

    def both() -> Subject:
        first, second = (video_subject(path, pictures, {}) for path in (gray, other))
        first.versions += second.versions
        return first

    small = PictureSet.of(count=2, size="16x12")
    assert extract_frames(tmp_path / "a.safetensors", both, small).size == "16x12"
    assert extract_frames(tmp_path / "b.safetensors", both, pictures).size == "64x48"


def test_pairs_that_exist(make_video: Make, tmp_path: Path) -> None:
    for name, encoder in {"one.mkv": ["ffv1"], "one_a.mkv": ["libx264", "-crf", "40"]}.items():
        made = make_video(f"frames-{name}", "64x48", 12, "-c:v", *encoder, "-pix_fmt", "yuv420p")
        shutil.copy(made, tmp_path / name)
    (tmp_path / "list.csv").write_text("reference,distorted\none.mkv,one_a.mkv\n")
    corpus = tmp_path / "found.yaml"
    words = ("--pairs-csv", tmp_path / "list.csv", "--name", "found", "--output", corpus)
    assert command("manifest-scan", "--kind", "pairs", "--root", tmp_path, *words).returncode == 0
    for codec in ("libx264", "reference"):
        options = ("--clip", "one", "--codec", codec, "--count", 2, "-o", tmp_path / f"{codec}.safetensors")
        done = command("extract-frames", "--corpus", corpus, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    take(tmp_path / "one.mkv", tmp_path / "alone.safetensors", frames=[3, 9])
    assert np.array_equal(pictures_of(tmp_path / "reference.safetensors"), pictures_of(tmp_path / "alone.safetensors"))
    rows = Pictures.open(tmp_path / "libx264.parquet").rows.to_pandas()
    assert rows[["corpus", "clip", "codec"]].drop_duplicates().to_numpy().tolist() == [["found", "one", "libx264"]]
    text = refusal(
        "extract-frames", "--corpus", corpus, "--clip", "one", "--codec", "x", "--count", 1, "-o", "x.safetensors"
    )
    assert "unknown codec of one 'x'" in text
