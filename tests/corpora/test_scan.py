from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.io import PeriodicityDetector

from pyvmaf.corpora.fetch import fetch
from pyvmaf.corpora.find import find_videos
from pyvmaf.corpora.folder import Spec
from pyvmaf.corpora.keys import clip_key, key_of
from pyvmaf.corpora.opinions import read_opinions
from pyvmaf.corpora.prepare import prepare
from pyvmaf.corpora.scan import Options, Scan, scan
from pyvmaf.corpora.spec import load_corpus, load_videos, parse_corpus
from pyvmaf.corpora.write import read_existing, to_yaml, write_corpus
from pyvmaf.encodes.encode import encode
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.features.stage import extract_features
from pyvmaf.video.format import Format
from tests.make.commands import command, refusal

Make = Callable[..., Path]
REPOSITORY = Path(__file__).parents[2]


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


def as_it_is(path: Path) -> Spec | None:
    """The corpus of a folder that exists."""
    found = read_existing(path)
    assert found is None or isinstance(found, Spec)
    return found


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
    write_corpus(result, path)
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
    result = scan(tmp_path, "films", options=Options(cut=True))
    found = {entry.key: (entry.frames, entry.source, entry.group) for entry in result.corpus.entries}
    # The cuts that the embedded corpus states.
    bikes = [(0, 29), (30, 75), (76, 136), (137, 186), (187, 241)]
    expected = {f"bikes_{n}": (frames, f"bikes_{n}", "bikes") for n, frames in enumerate(bikes, start=1)}
    for n, frames in enumerate([(0, 115), (116, 189)], start=1):
        expected[f"citycc0_{n}"] = (frames, f"citycc0_{n}", "citycc0")
    assert found == expected
    assert result.remarks == ["left out, shorter than --min-frames: bikes.mp4 frames 242 to 249"]


def test_labels_are_joined_and_what_does_not_match_is_said(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("\ufeffkey,mos,more\nFirst Clip.mkv,3.5,x\nsub/b,71,y\nelsewhere,1,z\n", encoding="utf-8")
    result = scan(folder, "mine", labels=labels, mos_scale=(0, 100))
    assert result.corpus.mos_scale == (0, 100)
    assert {entry.key: entry.mos for entry in result.corpus.entries} == {"first_clip": 3.5, "sub_b": 71, "sub_c": None}
    assert {"labels without video: elsewhere", "videos without label: sub_c"} <= set(result.remarks)
    with pytest.raises(InputError, match=r"does not say which scale its scores are on: give it, .*--mos-scale 1,5"):
        scan(folder, "mine", labels=labels)
    with pytest.raises(InputError, match="sub_b: MOS 71 lies outside of its scale, 1 to 5"):
        scan(folder, "mine", labels=labels, mos_scale=(1, 5))


def test_rows_of_the_verb_labels_are_joined_by_file_name_with_scenes(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"src": "First Clip.mkv", "mos": 3.5, "mos_std_dev": 0.25, "n_ratings": 0, "content": "Film 1_a.mp4"},
        {"src": "b.mp4", "mos": 2, "mos_std_dev": 0.0, "n_ratings": 7, "content": "ein Blümchen"},
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = scan(folder, "mine", labels=labels, labels_source="content", mos_scale=(1, 5))
    first, second, third = result.corpus.entries
    assert (first.mos, first.mos_std, first.n_ratings, first.source) == (3.5, 0.25, None, "Film 1_a.mp4")
    assert (second.mos, second.mos_std, second.n_ratings) == (2, None, 7)
    assert (second.source, second.group) == (key_of("ein Blümchen"),) * 2
    assert (third.mos, third.source) == (None, "sub_c")
    # Without the option each file is a scene.
    plain = scan(folder, "mine", labels=labels, mos_scale=(1, 5))
    assert [entry.source for entry in plain.corpus.entries] == ["first_clip", "sub_b", "sub_c"]
    with pytest.raises(InputError, match=r"line 1: 'First Clip.mkv' has no scene, which names its scene"):
        scan(folder, "mine", labels=labels, labels_source="scene", mos_scale=(1, 5))
    labels.write_text('{"src": "b.mp4"}\n')
    with pytest.raises(InputError, match=r"line 1 is not a row of vmaf-train labels: .* the keys src and mos"):
        read_opinions(labels)
    labels.write_text("key,mos\n")
    with pytest.raises(IntegrityError, match="line 1 is not JSON"):
        read_opinions(labels)
    labels.write_text("[" * 100_000 + "\n")
    with pytest.raises(IntegrityError, match="line 1 "):
        read_opinions(labels)


def test_spread_and_number_of_ratings_come_with_labels(folder: Path, tmp_path: Path) -> None:
    labels, path = tmp_path / "labels.csv", tmp_path / "mine.yaml"
    labels.write_text("key,n_ratings,mos,mos_std\nFirst Clip,24,3.5,.75\nsub/b,,2,\n")
    scanned(folder, path, labels=labels, mos_scale=(1, 5))
    entries = {entry.key: (entry.mos, entry.mos_std, entry.n_ratings) for entry in load_videos(path).entries}
    assert entries == {"first_clip": (3.5, 0.75, 24), "sub_b": (2, None, None), "sub_c": (None, None, None)}
    # A corpus file keeps its scale, and what it says of a video.
    labels.write_text("key,n_ratings,mos,mos_std\nFirst Clip,25,3.5,.75\nsub/b,30,2,0.5\n")
    result = scanned(folder, path, labels=labels)
    assert "kept: the n_ratings 24 of first_clip, for which the file of labels has 25" in result.remarks
    assert load_videos(path).entries[1].n_ratings == 30
    with pytest.raises(InputError, match=r"has mos_scale \[1.0, 5.0\], but \[0, 100\] is given"):
        scanned(folder, path, labels=labels, mos_scale=(0, 100))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,score\na,1\n", "must have the columns key and mos, but has key, score"),
        ("", "must have the columns key and mos, but has none"),
        ("key,mos\na,good\n", "line 2: mos 'good' of 'a' is not a number"),
        ("key,mos\na\n", "line 2: mos '' of 'a' is not a number"),
        ("key,mos\na,3,5\n", "line 2 has 3 cells, but the file has 2 columns"),
        ("key,mos\na,1_0\n", "mos '1_0' of 'a' is not a number"),
        ("key,mos\na,\u0663\n", "mos '\u0663' of 'a' is not a number"),
        ("key,mos\na,1e999\n", "which is too large"),
        ("key;mos\na;3,5\n", "must have the columns key and mos, but has key;mos"),
        ("key,mos,mos\na,1,2\n", "has the column mos twice"),
        ("key,mos\n,1\n", "line 2 has no key"),
        ('key,mos\n"a,1\n', "is not a CSV file in UTF-8"),
        ("key,mos,mos_std\na,1,-1\n", "line 2: mos_std of 'a' is -1, but a deviation is 0 or more"),
        ("key,mos,n_ratings\na,1,2.5\n", "line 2: n_ratings of 'a' is 2.5, which is not a number of ratings"),
        ("key,mos,n_ratings\na,1,0\n", "line 2: n_ratings of 'a' is 0, which is not a number of ratings"),
        ("key,mos\na,nan\n", "line 2: mos of 'a' is nan"),
        ("key,mos\na,1\na.mkv,2\n", r"line 3: 'a\.mkv' has two scores, 1\.0 and 2\.0"),
    ],
)
def test_label_files_with_mistakes(tmp_path: Path, text: str, message: str) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(text)
    with pytest.raises(InputError, match=message):
        read_opinions(labels)
    with pytest.raises(MissingFileError, match="no such file"):
        read_opinions(tmp_path / "none.csv")


def test_broken_videos_fail_the_scan_or_are_left_out_with_their_reason(folder: Path, make_video: Make) -> None:
    (folder / "broken.mkv").write_text("no video")
    whole = make_video("long.mkv", "64x48", 100).read_bytes()
    (folder / "half.mkv").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"broken\.mkv is not a video .* \(--skip-broken leaves such files out\)"):
        scan(folder, "mine")
    result = scan(folder, "mine", options=Options(skip_broken=True))
    reasons = dict(
        line.removeprefix("left out, broken: ").split(": ", 1) for line in result.remarks if "broken" in line
    )
    assert set(reasons) == {"broken.mkv", "half.mkv"}
    assert "truncated" in reasons["half.mkv"]
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
    (entry,) = scan(root, "mine", options=Options(raw=Format.parse("64x48", "yuv420p", "50"))).corpus.entries
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
    assert "will be converted: bgr0.mkv from bgr0 to yuv444p, and to limited range and BT.709" in result.remarks
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
        ("é-1.mkv", "e_1"),
        ("no_suffix", "no_suffix"),
    ],
)
def test_keys(path: str, key: str) -> None:
    assert clip_key(path) == key


@pytest.mark.parametrize(
    "names",
    [
        ["\u96fb\u5f71.mkv", "\u8996\u983b.mkv"],
        ["\u96fb1.mkv", "\u89961.mkv"],
        ["!.mkv", "?.mkv"],
        ["a" * 99, "a" * 98 + "b"],
    ],
)
def test_names_that_lose_something_have_keys_of_their_own(names: list[str]) -> None:
    assert len({clip_key(name) for name in names}) == len(names)


@given(st.text(min_size=1, max_size=300) | st.builds(str.__mul__, st.text(min_size=1, max_size=4), st.integers(1, 60)))
def test_every_key_is_safe_in_a_path_and_a_wildcard(path: str) -> None:
    key = clip_key(path)
    assert 0 < len(key) <= 90
    assert re.fullmatch("[a-z0-9][a-z0-9_]*", key)
    assert PeriodicityDetector().is_periodic(key) is None


def corpus_of(paths: list[str], **keys: str) -> Spec:
    entries = [
        {"key": f"k{index}", "path": path, "sha256": "a" * 64, "source": "s", "group": "g"}
        for index, path in enumerate(paths)
    ]
    corpus = parse_corpus({"name": "n", "kind": "folder", "license": "", "root": "r", "entries": entries, **keys})
    assert isinstance(corpus, Spec)
    return corpus


# Anything that a file system takes as a name, and what YAML reads as something else than text.
ODD = "null ~ yes 1e3 0x10 2024-01-01 # {a} [a] &a *a !a ' \" %a --- ... ? | > = << . \\ \x7f \x01 \t \n \r\n \u0085 \u2028"
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
NAMES |= st.sampled_from(["- a", "a: b", "# a", " a", "a ", "a\nb", "a\u0085b", " ", *ODD.split(" ")])


@settings(max_examples=60)
@given(st.lists(NAMES, min_size=1, max_size=4), NAMES)
def test_every_name_is_read_back_from_a_corpus_file(names: list[str], text: str) -> None:
    corpus = corpus_of(names, root=text, license=text, description=text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.yaml"
        write_corpus(Scan(corpus), path)
        assert load_corpus(path) == corpus
        # Nothing is new: not a byte changes.
        before = path.read_bytes()
        assert not write_corpus(Scan(corpus), path)
        more = corpus_of([*names, text], root=text, license=text, description=text)
        assert write_corpus(Scan(more, (more.entries[-1].key,)), path)
        assert load_corpus(path) == more
        assert path.read_bytes().startswith(before)


def scanned(root: Path, path: Path, **more: Any) -> Scan:
    result = scan(root, "mine", base=path.parent, existing=as_it_is(path), **more)
    write_corpus(result, path)
    return result


def test_a_second_scan_keeps_what_the_file_says(folder: Path, tmp_path: Path, make_video: Make) -> None:
    path = tmp_path / "mine.yaml"
    scanned(folder, path, license_="CC0")
    text = path.read_text()
    assert not scanned(folder, path).added
    assert path.read_text() == text
    # A person edits the file.
    edited = text.replace(
        "group: sub_b", "group: film  # the same film\n    mos: 3.5\n    frames: [2, 20]\n    crop: 64x48"
    )
    edited = edited.replace("key: first_clip", "key: opening").replace("source: first_clip", "source: scene_1")
    edited = edited.replace("kind: folder", "kind: folder\nmos_scale: [1, 5]")
    assert edited != text
    path.write_text(edited)
    shutil.copy(make_video("new.mkv", "64x48", 7), folder / "new.mkv")
    result = scanned(folder, path)
    assert result.added == ("new",)
    assert path.read_text().startswith(edited)
    entries = {entry.key: entry for entry in load_videos(path).entries}
    assert list(entries) == ["opening", "sub_b", "sub_c", "new"]
    assert (entries["opening"].source, entries["sub_b"].group, entries["sub_b"].mos) == ("scene_1", "film", 3.5)
    assert entries["sub_b"].frames == (2, 20)


def test_a_second_scan_names_what_is_gone_changed_or_moved(folder: Path, tmp_path: Path, make_video: Make) -> None:
    path = tmp_path / "mine.yaml"
    scanned(folder, path)
    before = load_corpus(path)
    (folder / "sub" / "c.y4m").unlink()
    shutil.copy(make_video("new.mkv", "64x48", 7), folder / "First Clip.mkv")
    result = scanned(folder, path)
    assert [line.split(":")[0] for line in result.remarks if "left out" not in line] == ["changed", "gone"]
    assert load_corpus(path) == before
    (folder / "sub" / "b.MP4").rename(folder / "moved.mp4")
    result = scanned(folder, path)
    assert "moved: sub/b.MP4 is now moved.mp4: its entries keep their keys" in result.remarks
    assert load_videos(path).entry("sub_b").path == "moved.mp4"


def test_entries_that_were_written_by_hand_are_found(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    scanned(folder, path)
    (folder / "link.mkv").symlink_to("First Clip.mkv")
    path.write_text(path.read_text().replace("path: First Clip.mkv", "path: link.mkv").replace("sub/b", "./sub//b"))
    path.write_text(path.read_text().replace("key: first_clip", "key: opening"))
    result = scanned(folder, path)
    assert result.added == ("first_clip",)
    assert "the same bytes: First Clip.mkv and link.mkv: both have the source first_clip" in result.remarks
    assert not [line for line in result.remarks if line.startswith(("gone", "changed"))]


def test_labels_are_joined_to_a_file_that_exists(folder: Path, tmp_path: Path) -> None:
    path, labels = tmp_path / "mine.yaml", tmp_path / "labels.csv"
    scanned(folder, path)
    path.write_text(path.read_text().replace("group: sub_b", "group: sub_b\n    mos: 2") + "mos_scale: [1, 5]\n")
    labels.write_text("key, mos\nsub/b.MP4, 4\nFirst Clip, 3\n")
    result = scanned(folder, path, labels=labels)
    assert {e.key: e.mos for e in load_videos(path).entries} == {"first_clip": 3, "sub_b": 2, "sub_c": None}
    assert "kept: the mos 2.0 of sub_b, for which the file of labels has 4.0" in result.remarks


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.mkv", "precious", "a corpus file ends in .yaml"),
        ("notes.yaml", "a: [", "is not a corpus file"),
        ("notes.yaml", "just: notes", "is not a corpus file"),
        ("notes.yaml", "name: n\nkind: folder\n", "is not a corpus file"),
        ("notes.yaml", (REPOSITORY / "config/corpora/embedded.yaml").read_text(), "is a corpus of kind packages"),
    ],
)
def test_a_scan_never_replaces_another_file(
    folder: Path, tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    assert message in refusal("manifest-scan", "--root", folder, "--name", "mine", "--output", tmp_path / name)
    assert (tmp_path / name).read_text() == content


def test_a_scan_of_another_folder_or_name_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    scanned(folder, path)
    with pytest.raises(InputError, match=r"describes .*My videos, not .*sub: choose another --output"):
        scanned(folder / "sub", path)
    with pytest.raises(InputError, match="is called 'mine', not 'other'"):
        scan(folder, "other", base=tmp_path, existing=as_it_is(path))


def test_files_of_the_same_bytes_have_one_source(folder: Path) -> None:
    shutil.copy(folder / "First Clip.mkv", folder / "again.mkv")
    result = scan(folder, "mine")
    entries = {entry.key: entry for entry in result.corpus.entries}
    assert entries["again"].source == entries["first_clip"].source
    assert any(line.startswith("the same bytes: ") for line in result.remarks)


def test_nothing_in_a_folder_is_passed_over_in_silence(folder: Path, tmp_path: Path, make_video: Make) -> None:
    """Each file is taken or named."""
    for name, options in {
        "cap.m2ts": ("-f", "mpegts", "-mpegts_m2ts_mode", "1", "-c:v", "mpeg2video"),
        "cap2.mts": ("-f", "mpegts", "-mpegts_m2ts_mode", "1", "-c:v", "mpeg2video"),
        "x.mxf": (
            "-c:v",
            "mpeg2video",
        ),
        "disc.vob": ("-f", "vob", "-c:v", "mpeg2video"),
        "old.wmv": (
            "-c:v",
            "wmv2",
        ),
        "download.part": ("-f", "matroska", "-c:v", "libx264"),
        "no suffix": ("-f", "mp4", "-c:v", "libx264"),
        "stream.bin": ("-f", "mpegts", "-c:v", "libx264"),
    }.items():
        shutil.copy(make_video(f"of_{name}", "64x48", 12, "-pix_fmt", "yuv420p", *options), folder / name)
    (folder / "list.txt").write_text("ffconcat version 1.0\nfile 'First Clip.mkv'\n")
    (folder / "list.m3u8").write_text("#EXTM3U\n")
    (folder / "empty").write_bytes(b"")
    os.mkfifo(folder / "pipe.mkv")
    (folder / "link.mkv").symlink_to(folder / "sub" / "c.y4m")
    (folder / "broken link.mkv").symlink_to("nowhere")
    (folder / "linked folder").symlink_to(tmp_path)
    (folder / ".hidden folder").mkdir()
    (folder / "{clip}.mkv").write_bytes(b"")
    (folder / os.fsdecode(b"latin\xe4.mkv")).write_bytes(b"")
    result = scan(folder, "mine")
    paths = {entry.path for entry in result.corpus.entries}
    text = "\n".join(result.remarks)
    for path in os.listdir(folder):
        shown = path if path.isprintable() else ascii(path)[1:-1]
        if path not in paths and Path(path).suffix not in (".txt", ".m3u8") and path not in ("sub", "empty"):
            assert f"left out: {shown}: " in text, path
    assert {"cap.m2ts", "cap2.mts", "x.mxf", "disc.vob", "old.wmv", "download.part", "no suffix", "stream.bin"} <= paths
    assert "left out, not videos by name or content: 2 .txt, 1 without suffix, 1 .m3u8" in text


def test_any_name_works_from_scan_to_features(
    tmp_path: Path, make_video: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        "-dash.mkv",
        "%03d.mkv",
        "a:b.mkv",
        "file:x.mkv",
        "{.mkv",
        "new\nline.mkv",
        " q'\".mkv ",
        "*?[x].mkv",
        "\u96fb.mkv",
    ]
    root = tmp_path / "videos"
    root.mkdir()
    monkeypatch.chdir(root)
    for index, name in enumerate(names):
        shutil.copy(make_video("odd.mkv", "96x96", 5), name)
        with open(name, "ab") as stream:
            # An element that readers of Matroska skip: the files differ.
            stream.write(b"\xec\x81" + bytes([index]))
    result = scan(Path(), "odd", base=tmp_path)
    path = tmp_path / "odd.yaml"
    write_corpus(result, path)
    corpus = load_videos(path)
    assert {entry.path for entry in corpus.entries} == {*names}
    for entry in corpus.entries:
        assert prepare(corpus, entry.key, root, tmp_path / f"{entry.key}.mkv").video.frames == 5
    labels = {"corpus": "odd", "group": "g", "source": "s", "clip": "c", "codec": "libx264"}
    for name in names:
        target = Path(name).with_name(f"{Path(name).stem}.out.mkv")
        encode(Path(name), target, encoder_rung("libx264", "ultrafast", 40))
        ladder = extract_features(Path(name), {"r": target}, tmp_path / "t.parquet", labels=labels).ladder
        assert ladder is not None
        assert ladder.frames == 5


def test_names_that_a_workflow_cannot_hold(tmp_path: Path, make_video: Make) -> None:
    root = tmp_path / "{root}"
    root.mkdir()
    shutil.copy(make_video("a.mkv"), root)
    with pytest.raises(InputError, match="which a workflow takes for a wildcard"):
        scan(root, "mine")


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


def test_what_files_say_about_their_pictures(tmp_path: Path, make_video: Make, ffmpeg: str) -> None:
    """Interlaced material is left out; what is turned or converted is said."""
    fields = ("-vf", "setfield=tff", "-flags", "+ilme+ildct", "-x264-params", "tff=1")
    shutil.copy(make_video("i.mkv", "64x48", 6, "-c:v", "libx264", *fields), tmp_path / "fields.mkv")
    full = ("-vf", "scale=out_range=pc,format=yuvj420p", "-c:v", "libx264", "-qp", "0", "-color_range", "pc")
    shutil.copy(make_video("full.mkv", "64x48", 6, *full), tmp_path / "full.mkv")
    upright = make_video("u.mp4", "64x48", 6)
    command = [ffmpeg, "-v", "error", "-display_rotation", "90", "-i", str(upright), "-c", "copy"]
    subprocess.run([*command, str(tmp_path / "turned.mp4")], check=True)
    with pytest.raises(InputError, match=r"fields.mkv is interlaced \(6 of its frames .* \(--skip-broken leaves"):
        scan(tmp_path, "mine")
    result = scan(tmp_path, "mine", options=Options(skip_broken=True))
    assert [entry.key for entry in result.corpus.entries] == ["full", "turned"]
    (probe,) = [entry.probe for entry in result.corpus.entries if entry.key == "turned"]
    assert probe is not None
    assert (probe.width, probe.height) == (48, 64)
    remarks = "\n".join(result.remarks)
    assert "left out: fields.mkv: " in remarks
    assert "full.mkv from yuvj420p to yuv420p, and from full to limited range" in remarks
    assert "turned.mp4 is turned by 90 degrees to the left, as players show it" in remarks
