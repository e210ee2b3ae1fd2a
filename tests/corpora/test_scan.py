from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.corpora.fetch import fetch
from pyvmaf.corpora.prepare import prepare
from pyvmaf.corpora.scan import clip_key, find_videos, read_labels, scan, summary, to_yaml, write_corpus
from pyvmaf.corpora.spec import load_corpus
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.video.format import Format
from tests.make.commands import command, refusal

Make = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, make_video: Make) -> Path:
    """Videos of several kinds in sub-folders, a text file and a hidden one."""
    root = tmp_path / "My videos"
    (root / "sub").mkdir(parents=True)
    shutil.copy(make_video("a.mkv"), root / "First Clip.mkv")
    shutil.copy(make_video("b.mp4", "96x64", 30), root / "sub" / "b.MP4")
    shutil.copy(make_video("c.y4m", "64x48", 5, "-pix_fmt", "yuv420p"), root / "sub" / "c.y4m")
    (root / "notes.txt").write_text("no video")
    (root / ".hidden.mkv").write_text("no video")
    return root


def test_a_folder_becomes_a_corpus(folder: Path, tmp_path: Path) -> None:
    result = scan(folder, "mine", license_="CC0", base=tmp_path)
    entries = {entry.key: entry for entry in result.corpus.entries}
    assert list(entries) == ["first_clip", "sub_b", "sub_c"]
    for entry in entries.values():
        assert entry.source == entry.group == entry.key
        assert entry.sha256 == hashlib.sha256((folder / entry.path).read_bytes()).hexdigest()
        assert (entry.frames, entry.scale, entry.mos) == (None, None, None)
    probe = entries["sub_b"].probe
    assert probe is not None
    assert (probe.width, probe.height, probe.fps, probe.frames, probe.pix_fmt) == (96, 64, "25", 30, "yuv420p")
    assert result.corpus.root == "My videos"


def test_what_is_written_is_read_back_and_can_be_prepared(folder: Path, tmp_path: Path) -> None:
    result = scan(folder, "mine", license_="CC0: 'free' # really", description="a: b", base=tmp_path)
    path = tmp_path / "mine.yaml"
    write_corpus(result.corpus, path)
    corpus = load_corpus(path)
    assert corpus == result.corpus
    assert to_yaml(corpus) == path.read_text()
    files = fetch(corpus, path, tmp_path / "out" / ".packages").files
    assert len(files) == 3
    root = corpus.home(path, tmp_path / "out" / ".packages")
    assert prepare(corpus, "first_clip", root, tmp_path / "out" / "first_clip.mkv").plan.own_bytes
    done = prepare(corpus, "sub_c", root, tmp_path / "out" / "sub_c.mkv")
    assert (done.video.frames, done.plan.own_bytes) == (5, False)


def test_the_same_folder_gives_the_same_file(folder: Path) -> None:
    assert to_yaml(scan(folder, "mine").corpus) == to_yaml(scan(folder, "mine").corpus)


def test_shots_become_sources(embedded_files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("bikes.mp4", "cityCC0.mpg"):
        shutil.copy(embedded_files[name], tmp_path)
    result = scan(tmp_path, "films", cut=True)
    found = {entry.key: (entry.frames, entry.source, entry.group) for entry in result.corpus.entries}
    # The cuts that the embedded corpus states.
    bikes = [(0, 29), (30, 75), (76, 136), (137, 186), (187, 241)]
    expected = {f"bikes_{n}": (frames, f"bikes_{n}", "bikes") for n, frames in enumerate(bikes, start=1)}
    for n, frames in enumerate([(0, 115), (116, 189)], start=1):
        expected[f"citycc0_{n}"] = (frames, f"citycc0_{n}", "citycc0")
    assert found == expected
    assert result.short_shots == ("bikes.mp4 frames 242 to 249",)
    assert "left out, shorter than --min-frames: bikes.mp4 frames 242 to 249" in summary(result)


def test_labels_are_joined_and_what_does_not_match_is_said(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("\ufeffkey,mos,more\nFirst Clip.mkv,3.5,x\nsub/b,71,y\nelsewhere,1,z\n", encoding="utf-8")
    result = scan(folder, "mine", labels=labels)
    assert {entry.key: entry.mos for entry in result.corpus.entries} == {"first_clip": 3.5, "sub_b": 71, "sub_c": None}
    assert result.unmatched_labels == ("elsewhere",)
    assert result.unlabelled == ("sub_c",)
    assert {"labels without video: elsewhere", "videos without label: sub_c"} <= set(summary(result))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,score\na,1\n", "must have the columns key and mos, but has key, score"),
        ("", "must have the columns key and mos, but has none"),
        ("key,mos\na,good\n", "line 2: mos 'good' of 'a' is not a number"),
        ("key,mos\na\n", "line 2: mos None of 'a' is not a number"),
        ("key,mos\na,nan\n", "line 2: mos of 'a' is nan"),
        ("key,mos\na,1\na.mkv,2\n", r"line 3: 'a\.mkv' has two scores, 1\.0 and 2\.0"),
    ],
)
def test_label_files_with_mistakes(tmp_path: Path, text: str, message: str) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(text)
    with pytest.raises(InputError, match=message):
        read_labels(labels)
    with pytest.raises(MissingFileError, match="no such file"):
        read_labels(tmp_path / "none.csv")


def test_broken_videos_fail_the_scan_or_are_left_out_with_their_reason(folder: Path, make_video: Make) -> None:
    (folder / "broken.mkv").write_text("no video")
    whole = make_video("long.mkv", "64x48", 100).read_bytes()
    (folder / "half.mkv").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"broken\.mkv is not a video .* \(--skip-broken leaves such files out\)"):
        scan(folder, "mine")
    result = scan(folder, "mine", skip_broken=True)
    assert set(result.skipped) == {"broken.mkv", "half.mkv"}
    assert "truncated" in result.skipped["half.mkv"]
    assert len(result.corpus.entries) == 3
    (folder / "broken.mkv").unlink()
    with pytest.raises(IntegrityError, match=r"half\.mkv.*truncated"):
        scan(folder, "mine")


def test_two_files_with_one_key_are_refused(folder: Path) -> None:
    shutil.copy(folder / "First Clip.mkv", folder / "first-clip.mp4")
    with pytest.raises(InputError, match=r"First Clip\.mkv and first-clip\.mp4 would both get the key 'first_clip'"):
        scan(folder, "mine")


def test_raw_files_need_a_size(tmp_path: Path, make_video: Make) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    shutil.copy(make_video("s.yuv", "64x48", 5, "-pix_fmt", "yuv420p", "-f", "rawvideo"), root / "s.yuv")
    with pytest.raises(InputError, match=r"s\.yuv is raw video"):
        scan(root, "mine")
    (entry,) = scan(root, "mine", raw=Format.parse("64x48", "yuv420p", "50")).corpus.entries
    assert entry.raw is not None
    assert (entry.raw.size, entry.raw.fps) == ("64x48", "50")
    assert entry.probe is not None
    assert entry.probe.frames == 5


def test_formats_that_have_to_be_converted_are_written_down(tmp_path: Path, make_video: Make) -> None:
    root = tmp_path / "formats"
    root.mkdir()
    for pix_fmt in ("bgr0", "gray10le", "yuv444p12le"):
        shutil.copy(make_video(f"{pix_fmt}.mkv", "64x48", 3, "-pix_fmt", pix_fmt, "-c:v", "ffv1"), root)
    result = scan(root, "mine")
    assert {entry.key: entry.pix_fmt for entry in result.corpus.entries} == {
        "bgr0": "yuv444p",
        "gray10le": "yuv420p10le",
        "yuv444p12le": "yuv444p10le",
    }
    assert "will be converted: bgr0.mkv from bgr0 to yuv444p" in summary(result)
    for entry in result.corpus.entries:
        done = prepare(result.corpus, entry.key, root, tmp_path / f"{entry.key}.mkv")
        assert done.video.format.pix_fmt == entry.pix_fmt


def test_folders_without_videos(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such folder"):
        find_videos(tmp_path / "none")
    with pytest.raises(InputError, match="there are no videos in"):
        find_videos(tmp_path)
    with pytest.raises(InputError, match="'Mine!' is not a name for a corpus"):
        scan(tmp_path, "Mine!")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a/b/C d.mkv", "a_b_c_d"),
        ("x.y.mp4", "x_y"),
        ("é-1.mkv", "1"),
        ("no_suffix", "no_suffix"),
    ],
)
def test_keys(path: str, key: str) -> None:
    assert clip_key(path) == key


@given(st.text(min_size=1, max_size=300))
def test_every_key_is_safe_in_a_path_and_a_wildcard(path: str) -> None:
    try:
        key = clip_key(path)
    except InputError:
        assert not re.search(r"[A-Za-z0-9]", re.sub(r"\.[A-Za-z0-9]{1,5}$", "", path))
        return
    assert 0 < len(key) <= 100
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert not key.startswith("_")


def test_the_commands(folder: Path, tmp_path: Path) -> None:
    answer = command("manifest-scan", "--root", folder, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "config/corpora/my_videos.yaml: 3 clips of 3 sources\n"
    for words in (["fetch"], ["prepare"], ["manifest"]):
        answer = command(*words, "--corpus", "my_videos", cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
    made = sorted(path.name for path in (tmp_path / "results" / "corpora" / "my_videos").glob("*.mkv"))
    assert made == ["first_clip.mkv", "sub_b.mkv", "sub_c.mkv"]
    assert (tmp_path / "results" / "corpora" / "my_videos" / "corpus.json").is_file()

    message = refusal("prepare", "--corpus", "my_videos", "--clip", "sub_bb", "--output", "x.mkv", cwd=tmp_path)
    assert message.startswith("unknown clip of corpus my_videos 'sub_bb': did you mean 'sub_b'?")
    (folder / "broken.mkv").write_text("no video")
    message = refusal("manifest-scan", "--root", folder, "--output", "new.yaml", cwd=tmp_path)
    assert "broken.mkv is not a video" in message
    assert not (tmp_path / "new.yaml").exists()
