"""Pairs that exist: how names and lists become a corpus file, and what is refused."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base.files import read_yaml
from pyvmaf.corpora.ladders import ladders, strengths
from pyvmaf.corpora.names import Pattern, find_pairs
from pyvmaf.corpora.pairs import Spec
from pyvmaf.corpora.spec import load_corpus, load_videos, parse_corpus
from pyvmaf.errors import InputError, MissingFileError
from tests.make.commands import command, refusal

Make = Callable[..., Path]
RAW = ("-pix_fmt", "yuv420p", "-f", "rawvideo")
LAYOUT = ("--layout", "netflix", "--size", "64x48")
HASH = "0" * 64


@pytest.fixture
def netflix(tmp_path: Path, make_video: Make) -> Path:
    """Two references with two versions each, raw, with the names of the public Netflix corpus."""
    root = tmp_path / "nflx"
    for folder in ("ref", "dis"):
        (root / folder).mkdir(parents=True)
    for number, source in enumerate(("Tennis_24", "BigBuckBunny_25")):
        title, fps = source.split("_")
        picture = ("testsrc2", "testsrc")[number]
        shutil.copy(
            make_video(f"{title}.yuv", "64x48", 6, *RAW, source=picture), root / "ref" / f"{title}_{fps}fps.yuv"
        )
        for quality, height, rate in ((20, 288, 375), (90, 1080, 4300)):
            made = make_video(
                f"{title}{quality}.yuv", "64x48", 6, "-vf", f"noise=alls={100 - quality}", *RAW, source=picture
            )
            shutil.copy(made, root / "dis" / f"{title}_{quality}_{height}_{rate}.yuv")
    return root


@pytest.fixture
def listed(tmp_path: Path, make_video: Make) -> Path:
    """A folder with a reference and two encodes of it, and another reference with one."""
    root = tmp_path / "listed"
    root.mkdir()
    shutil.copy(make_video("r1.mkv", "64x48", 8), root / "one.mkv")
    shutil.copy(make_video("r2.mkv", "64x48", 8, source="testsrc"), root / "two.mkv")
    for name, picture, crf in (("one_a", "testsrc2", 30), ("one_b", "testsrc2", 45), ("two_a", "testsrc", 40)):
        made = make_video(
            f"{name}.mp4", "64x48", 8, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", str(crf), source=picture
        )
        shutil.copy(made, root / f"{name}.mp4")
    return root


def scan(root: Path, *words: object) -> Spec:
    """Scan pairs as the command does, and read the corpus file."""
    path = root.parent / "mine.yaml"
    done = command("manifest-scan", "--kind", "pairs", "--root", root, "--name", "mine", "--output", path, *words)
    assert done.returncode == 0, done.stderr
    corpus = load_corpus(path)
    assert isinstance(corpus, Spec)
    return corpus


def refused(root: Path, *words: object) -> str:
    path = root.parent / "mine.yaml"
    message = refusal("manifest-scan", "--kind", "pairs", "--root", root, "--name", "mine", "--output", path, *words)
    assert not path.exists()
    return message


def table(root: Path, *rows: dict[str, Any]) -> Path:
    path = root.parent / "pairs.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def pair(reference: str, distorted: str, **more: Any) -> dict[str, Any]:
    return {"reference": reference, "distorted": distorted, **more}


def test_names_of_the_netflix_corpus(netflix: Path) -> None:
    corpus = scan(netflix, *LAYOUT)
    assert [(entry.key, entry.source, entry.group) for entry in corpus.entries] == [
        ("bigbuckbunny", "BigBuckBunny", "BigBuckBunny"),
        ("tennis", "Tennis", "Tennis"),
    ]
    tennis = corpus.reference("tennis")
    assert tennis.raw is not None
    assert tennis.raw.model_dump() == {"size": "64x48", "pix_fmt": "yuv420p", "fps": "24"}
    found = {
        p.rung: (p.path, p.codec, p.bitrate_kbps, p.encoder, p.crf, p.raw.fps if p.raw else "") for p in tennis.pairs
    }
    assert found == {
        "20_288_375": ("dis/Tennis_20_288_375.yuv", "given", 375, None, None, "24"),
        "90_1080_4300": ("dis/Tennis_90_1080_4300.yuv", "given", 4300, None, None, "24"),
    }
    assert tennis.strengths("given") == {"20_288_375": -375, "90_1080_4300": -4300}


def test_names_of_the_ugc_corpus(tmp_path: Path, make_video: Make) -> None:
    root = tmp_path / "ugc"
    (root / "Sports").mkdir(parents=True)
    for stem, picture in (("Sports_360P-1234", "testsrc"), ("Sports_720P-9abc", "testsrc2")):
        shutil.copy(make_video(f"{picture}.mp4", "64x48", 6, source=picture), root / "Sports" / f"{stem}_orig.mp4")
        for version in ("cbr", "vod", "vodlb"):
            shutil.copy(
                make_video(f"{version}.webm", "64x48", 6, "-c:v", "libvpx-vp9"),
                root / "Sports" / f"{stem}_{version}.webm",
            )
    corpus = scan(root, "--layout", "ugc")
    assert [entry.key for entry in corpus.entries] == ["sports_360p_1234", "sports_720p_9abc"]
    assert [entry.source for entry in corpus.entries] == ["Sports_360P-1234", "Sports_720P-9abc"]
    for entry in corpus.entries:
        assert {(p.rung, p.codec, p.encoder) for p in entry.pairs} == {
            (rung, "libvpx-vp9", "libvpx-vp9") for rung in ("cbr", "vod", "vodlb")
        }
        assert all(p.bitrate_kbps for p in entry.pairs)


def test_a_list_says_more_than_names(listed: Path) -> None:
    rows = (
        pair(
            "one.mkv",
            "one_a.mp4",
            codec="x264",
            preset="medium",
            crf=30,
            mos=4.5,
            mos_std=0.7,
            n_ratings=20,
            source="A b",
        ),
        pair("one.mkv", "one_b.mp4", codec="h264", preset="medium", mos=2.25, source="A b"),
        pair("two.mkv", "two_a.mp4", mos=3.0, extra="x"),
    )
    corpus = scan(listed, "--pairs-csv", table(listed, *rows), "--mos-scale", "1,5")
    one, two = corpus.entries
    assert (one.source, corpus.mos_scale) == ("A b", (1.0, 5.0))
    found = [(p.rung, p.codec, p.encoder, p.preset, p.crf, p.mos, p.mos_std, p.n_ratings) for p in one.pairs]
    # The CRF of the second is in its stream.
    assert found == [
        ("medium-crf30", "libx264", "libx264", "medium", 30, 4.5, 0.7, 20),
        ("medium-crf45", "libx264", "libx264", "medium", 45, 2.25, None, None),
    ]
    assert [(p.rung, p.codec, p.crf) for p in two.pairs] == [("two_a", "libx264", 40)]
    assert one.strengths("libx264") == {"medium-crf30": 30, "medium-crf45": 45}
    assert corpus.ratings().encodes["one", "libx264", "medium-crf30"] == {"mos": 4.5, "mos_std": 0.7, "n_ratings": 20}


def test_what_is_written_is_read_back_and_a_second_scan_adds_nothing(netflix: Path) -> None:
    first = scan(netflix, *LAYOUT)
    before = (netflix.parent / "mine.yaml").read_bytes()
    assert scan(netflix) == first
    assert (netflix.parent / "mine.yaml").read_bytes() == before


def test_a_second_scan_adds_pairs_and_keeps_the_rest(netflix: Path) -> None:
    late = netflix / "dis" / "Tennis_90_1080_4300.yuv"
    aside = late.rename(netflix.parent / late.name)
    scan(netflix, *LAYOUT)
    path = netflix.parent / "mine.yaml"
    value = read_yaml(path)
    value["entries"][0]["source"] = "Bunny"
    value["max_frames"] = 4
    path.write_text(yaml.safe_dump(value))
    aside.rename(late)
    corpus = scan(netflix)
    assert (corpus.reference("bigbuckbunny").source, corpus.max_frames) == ("Bunny", 4)
    assert [p.rung for p in corpus.reference("tennis").pairs] == ["20_288_375", "90_1080_4300"]


def test_a_file_without_entries_is_filled_and_keeps_its_comments(
    netflix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(netflix.parent)
    path = Path("config/corpora/mine.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(
        "# Nobody has the hashes.\nname: mine\nkind: pairs\nlicense: research\nroot: ../../nflx\n"
        "layout: {reference: 'ref/{source}_{fps}fps.yuv', distorted: ['dis/{source}_{quality}_{height}_{bitrate}.yuv'], "
        "raw: {size: 64x48}}\nentries: []\n"
    )
    with pytest.raises(InputError) as refused:
        load_videos(path)
    [words] = [part for part in str(refused.value).split("vmaf-train ")[1:] if part.startswith("manifest-scan")]
    assert command(*words.split()).returncode == 0
    assert path.read_text().startswith("# Nobody has the hashes.\n")
    assert len(load_videos(path).entries) == 2
    assert "vmaf-train manifest-scan" in str(refused.value)


def test_another_number_of_frames(listed: Path, make_video: Make) -> None:
    shutil.copy(make_video("short.mp4", "64x48", 5), listed / "one_b.mp4")
    rows = [pair("one.mkv", "one_a.mp4"), pair("one.mkv", "one_b.mp4")]
    message = refused(listed, "--pairs-csv", table(listed, *rows))
    assert "line 3: frame counts differ: the reference one.mkv has 8, one_b.mp4 has 5" in message
    corpus = scan(listed, "--pairs-csv", table(listed, *rows), "--skip-broken")
    assert [p.path for entry in corpus.entries for p in entry.pairs] == ["one_a.mp4"]


@pytest.mark.parametrize(
    ("reference", "distorted", "message"),
    [
        (
            "nothing/{source}.yuv",
            "dis/{source}_*.yuv",
            "pattern 'nothing/{source}.yuv' matches none of the 6 files, such as",
        ),
        ("ref/{source}_{fps}fps.yuv", "dis/{source}.mkv", "pattern 'dis/{source}.mkv' matches none of the 6 files"),
        ("ref/{name}.yuv", "dis/{source}_{n}.yuv", "have no part in common"),
        ("ref/{source}_{fps}fps.yuv", "*/{source}_*.yuv", "matches both"),
        ("ref/{source}_{fps.yuv", "dis/{source}_*.yuv", "has a '{' that belongs to no part"),
    ],
)
def test_patterns_that_do_not_fit(netflix: Path, reference: str, distorted: str, message: str) -> None:
    words = ("--reference-pattern", reference, "--distorted-pattern", distorted, "--size", "64x48")
    assert message in refused(netflix, *words)


def test_a_distorted_version_without_a_reference(netflix: Path) -> None:
    (netflix / "ref" / "Tennis_24fps.yuv").unlink()
    message = refused(netflix, *LAYOUT)
    assert (
        "no reference matches 'ref/{source}_{fps}fps.yuv' for dis/Tennis_20_288_375.yuv, dis/Tennis_90_1080_4300.yuv"
        in message
    )
    assert [entry.key for entry in scan(netflix, *LAYOUT, "--skip-broken").entries] == ["bigbuckbunny"]


def test_a_distorted_version_of_two_references(netflix: Path) -> None:
    shutil.copy(netflix / "ref" / "Tennis_24fps.yuv", netflix / "ref" / "Tennis_30fps.yuv")
    message = refused(netflix, *LAYOUT)
    assert "would be a distorted version of ref/Tennis_24fps.yuv and of ref/Tennis_30fps.yuv" in message


def test_a_raw_file_of_another_size(netflix: Path) -> None:
    message = refused(netflix, "--layout", "netflix", "--size", "62x48")
    assert "BigBuckBunny_25fps.yuv has 27648 bytes, which is 6.194 frames of 62x48 yuv420p" in message
    path = netflix / "dis" / "Tennis_20_288_375.yuv"
    path.write_bytes(path.read_bytes()[:-1])
    assert "Tennis_20_288_375.yuv has 27647 bytes" in refused(netflix, *LAYOUT)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("one.mkv", "one_a.mp4"), ("one.mkv", "one_a.mp4")], "line 3: the pair of one.mkv and one_a.mp4 is in .* line 2, too"),
        ([("one.mkv", "one_a.mp4"), ("one.mkv", "./one_a.mp4")], "line 3: the pair of one.mkv and ./one_a.mp4 is in .* line 2"),
        # Swapped columns: a reference has several versions, so it would be a version of several references.
        ([("one_a.mp4", "one.mkv"), ("one_b.mp4", "one.mkv")], "one.mkv is a distorted version of one_b.mp4 here and of one_a.mp4"),
        ([("one.mkv", "one_a.mp4"), ("two_a.mp4", "one.mkv")], "line 3: one.mkv is a distorted version here and the reference in"),
        ([("one.mkv", "nowhere.mp4")], "line 2: no such file: .*nowhere.mp4"),
        ([("one.mkv", "../../secret.mp4")], "would lie outside"),
        ([("one.mkv", "")], "line 2 names no file in the column distorted"),
    ],
)  # fmt: skip
def test_lists_that_are_wrong(listed: Path, rows: list[tuple[str, str]], message: str) -> None:
    path = table(listed, *(pair(*row) for row in rows))
    import re

    assert re.search(message, refused(listed, "--pairs-csv", path))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"codec": "libx265"}, "codec is 'libx265', but the stream of one_a.mp4 is of libx264"),
        ({"crf": 31}, "CRF is 31, but the stream of one_a.mp4 says CRF 30"),
        ({"crf": "x"}, "crf is 'x', but it has to be a number"),
        ({"bitrate": 0}, "bitrate is '0', but it has to be a number above 0"),
        ({"mos": 6}, "MOS 6 lies outside of its scale, 1 to 5"),
        ({"mos_std": 1}, "has mos_std or n_ratings, but no mos"),
    ],
)
def test_cells_that_are_wrong(listed: Path, more: dict[str, Any], message: str) -> None:
    path = table(listed, pair("one.mkv", "one_a.mp4", **more))
    assert message in refused(listed, "--pairs-csv", path, "--mos-scale", "1,5")


def test_scores_need_a_scale(listed: Path) -> None:
    assert "--mos-scale" in refused(listed, "--pairs-csv", table(listed, pair("one.mkv", "one_a.mp4", mos=3)))


def test_columns_have_to_be_named(listed: Path) -> None:
    path = table(listed, {"ref": "one.mkv", "dis": "one_a.mp4"})
    assert "not reference and distorted: name them with --reference-column" in refused(listed, "--pairs-csv", path)
    words = ("--reference-column", "ref", "--distorted-column", "dis")
    assert len(scan(listed, "--pairs-csv", path, *words).entries) == 1


def test_swapped_columns_of_single_pairs_are_noticed(listed: Path) -> None:
    path = table(listed, pair("one_b.mp4", "one.mkv"), pair("two_a.mp4", "two.mkv"))
    target = listed.parent / "mine.yaml"
    done = command(
        *(
            "manifest-scan",
            "--kind",
            "pairs",
            "--root",
            listed,
            "--name",
            "mine",
            "--output",
            target,
            "--pairs-csv",
            path,
        )
    )
    assert done.returncode == 0
    assert "every reference has fewer bytes than its distorted version: if the two sides are swapped" in done.stderr


def test_swapped_columns_are_refused_where_the_list_describes_the_other_side(listed: Path, make_video: Make) -> None:
    """The list says what the streams of the references say, and those of the distorted versions do not."""
    rows = [
        pair("one_b.mp4", "one.mkv", codec="libx264", crf=45),
        pair("two_a.mp4", "two.mkv", codec="libx264", crf=40),
    ]
    message = refused(listed, "--pairs-csv", table(listed, *rows))
    assert "CRF is 45, but the stream of one.mkv says a constant quantiser of 0" in message
    assert "that of one_b.mp4 is of libx264 with CRF 45: are the two columns swapped?" in message
    # A distorted version that states nothing.
    shutil.copy(make_video("r1_ffv1.mkv", "64x48", 8, "-pix_fmt", "yuv420p", "-c:v", "ffv1"), listed / "one_ffv1.mkv")
    message = refused(listed, "--pairs-csv", table(listed, pair("one_b.mp4", "one_ffv1.mkv", crf=45)))
    assert "which one_ffv1.mkv does not state; that of one_b.mp4 is of libx264 with CRF 45" in message
    # The other way round the list is right.
    rows = [pair("one_ffv1.mkv", "one_b.mp4", codec="libx264", crf=45)]
    assert len(scan(listed, "--pairs-csv", table(listed, *rows)).entries) == 1


def test_swapped_columns_are_refused_where_bytes_repeat(listed: Path) -> None:
    """One reference that lies there under several names becomes a distorted version of several references."""
    shutil.copy(listed / "one.mkv", listed / "one_again.mkv")
    path = table(listed, pair("one_a.mp4", "one.mkv"), pair("one_b.mp4", "one_again.mkv"))
    message = refused(listed, "--pairs-csv", path)
    assert "one_again.mkv has the bytes of one.mkv, a distorted version of another reference: are the two" in message
    # The right way round two references of one content have one source.
    path = table(listed, pair("one.mkv", "one_a.mp4"), pair("one_again.mkv", "one_b.mp4"))
    assert len({entry.source for entry in scan(listed, "--pairs-csv", path).entries}) == 1


def test_a_file_on_both_sides_under_two_names_is_refused(listed: Path) -> None:
    shutil.copy(listed / "one.mkv", listed / "copy.mkv")
    for rows in (
        [pair("one.mkv", "one_a.mp4"), pair("one_b.mp4", "copy.mkv")],
        [pair("one_b.mp4", "copy.mkv"), pair("one.mkv", "one_a.mp4")],
    ):
        message = refused(listed, "--pairs-csv", table(listed, *rows))
        assert "on the other side elsewhere: are the two columns swapped?" in message


def test_files_that_changed_or_are_gone_are_named(netflix: Path) -> None:
    scan(netflix, *LAYOUT)
    (netflix / "dis" / "Tennis_20_288_375.yuv").unlink()
    path = netflix / "ref" / "Tennis_24fps.yuv"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    target = netflix.parent / "mine.yaml"
    before = target.read_bytes()
    done = command("manifest-scan", "--output", target)
    assert (done.returncode, target.read_bytes()) == (0, before)
    assert "gone: dis/Tennis_20_288_375.yuv" in done.stderr
    assert "changed: ref/Tennis_24fps.yuv: it has SHA-256" in done.stderr


def test_two_sides_that_are_one_file(listed: Path) -> None:
    corpus = scan(listed, "--pairs-csv", table(listed, pair("one.mkv", "one.mkv"), pair("two.mkv", "two.mkv")))
    assert {(p.codec, p.bitrate_kbps) for entry in corpus.entries for p in entry.pairs} == {("identity", None)}


def entry(key: str, *pairs: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {"key": key, "path": f"{key}.mkv", "sha256": HASH, "source": key, "group": key}
    return base | more | {"pairs": list(pairs)}


def version(rung: str, path: str, **more: Any) -> dict[str, Any]:
    return {"rung": rung, "path": path, "sha256": HASH, **more}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [entry("a", version("x", "x.mkv"), version("x", "y.mkv"))],
            "a has two pairs 'x' of codec given, x.mkv and y.mkv",
        ),
        ([entry("a", version("x", "x.mkv"), version("y", "x.mkv"))], "a has the pair x.mkv twice"),
        (
            [entry("a", version("x", "x.mkv")), entry("b", version("x", "x.mkv"))],
            "x.mkv is a distorted version of a and of b",
        ),
        ([entry("a", version("x", "b.mkv")), entry("b", version("x", "x.mkv"))], "are the two sides swapped"),
        ([entry("a")], "at least 1 item"),
        ([entry("a", version("x", "x.mkv"), crop="8x8")], "a has crop or pix_fmt, but pairs are measured as they are"),
        ([entry("a", version("x", "x.mkv", mos=3))], "does not say on which scale"),
        ([entry("a", version("x", "x.mkv", codec="imported"))], "names shards of tables"),
        ([entry("a", version("x/y", "x.mkv"))], "should match pattern"),
    ],
)
def test_corpus_files_that_are_wrong(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_corpus({"name": "mine", "kind": "pairs", "license": "", "root": ".", "entries": entries})
    assert message in str(refused.value)


def test_strength_orders_all_rungs_or_none() -> None:
    both = {"a": {"crf": 20, "bitrate_kbps": 900.0}, "b": {"crf": 30, "bitrate_kbps": 400.0}}
    assert strengths(both) == {"a": 20, "b": 30}
    assert strengths({**both, "c": {"bitrate_kbps": 100.0}}) == {"a": -900, "b": -400, "c": -100}
    assert all(value != value for value in strengths({**both, "c": {}}).values())


def test_ladders_are_by_codec() -> None:
    found = ladders({"pairs": [version("x", "x.mkv"), version("x", "y.mkv", codec="libx264"), version("z", "z.mkv")]})
    assert {codec: list(rungs) for codec, rungs in found.items()} == {"given": ["x", "z"], "libx264": ["x"]}


WORD = st.text("abcXYZ09-", min_size=1, max_size=8)


@given(st.lists(WORD, min_size=1, max_size=4, unique=True), st.lists(WORD, min_size=1, max_size=4, unique=True))
def test_every_pair_that_names_make_is_found(sources: list[str], versions: list[str]) -> None:
    """Whatever the words are: each version belongs to the reference of its source and to no other."""
    references = [f"ref/{source}.yuv" for source in sources]
    distorted = [f"dis/{source}_{name}.yuv" for source in sources for name in versions]
    found = find_pairs([*references, *distorted], "ref/{source}.yuv", ("dis/{source}_{version}.yuv",))
    assert {(item.reference, item.distorted) for item in found.pairs} == {
        (f"ref/{source}.yuv", f"dis/{source}_{name}.yuv") for source in sources for name in versions
    }
    assert (found.alone, found.unpaired, found.others) == ((), (), ())


def test_the_parts_of_a_pattern() -> None:
    pattern = Pattern.of("**/{source}_{n:one|two}.*")
    assert pattern.match("a/b/film_x_two.mp4") == {"source": "film_x", "n": "two"}
    assert pattern.match("film_one.webm") == {"source": "film", "n": "one"}
    assert pattern.match("film_three.webm") is None
    assert pattern.match("a/film_one/b.webm") is None


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    from pyvmaf.corpora.scan_pairs import scan_pairs

    with pytest.raises(MissingFileError, match="no such folder"):
        scan_pairs(tmp_path / "nowhere", "mine")
