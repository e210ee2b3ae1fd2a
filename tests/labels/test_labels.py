"""Rows of rated videos: probed, resumed, put on one scale, and joined to features."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError
from pyvmaf.labels.aggregate import aggregate
from pyvmaf.labels.join import join
from pyvmaf.labels.labels import PARTIAL, labels
from tests.make.commands import command
from tests.make.videos import make_video

SPEC: dict[str, Any] = {
    "name": "small",
    "description": "Rated videos for tests",
    "license": "none",
    "version": "1",
    "scale": [1, 5],
    "aggregated": "1-5-acr",
    "videos": ["{key}.mkv", "{key}_540p.mkv"],
    "extra": {"content": "content"},
    "layouts": [
        {
            "name": "scores.csv",
            "key": ["id"],
            "mos": ["mos"],
            "deviation": ["sd"],
            "parts": {"content": ["content"]},
            "rows": [2, 100],
        }
    ],
}
SCORES = {"100001": 4.5, "100002": 3.25, "100003": 2.0, "100004": 1.0}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    make_video(folder / "100001.mkv", "64x48", 12)
    make_video(folder / "100002_540p.mkv", "80x64", 6, rate="30")
    shutil.copy(folder / "100001.mkv", folder / "100003.mkv")
    make_video(folder / "100004.mkv", "64x64", 4)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, changes in {"small": {}, "other": {"name": "other", "scale": [0, 100], "aggregated": "0-100"}}.items():
        path = Path("config/labels") / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(SPEC | changes))
    write_scores(SCORES)
    return tmp_path


def write_scores(scores: dict[str, float], deviation: float = 0.5, name: str = "scores.csv") -> Path:
    path = Path(name)
    rows = [f"{key},{mos},{deviation},film" for key, mos in scores.items()]
    path.write_text("\n".join(["id,mos,sd,content", *rows]) + "\n")
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(videos: Path | None, output: Path = Path("out.jsonl"), **options: Any) -> Any:
    return labels(Path("config/labels/small.yaml"), Path("scores.csv"), output, videos=videos, **options)


def test_rows_say_what_files_are(home: Path, videos: Path) -> None:
    done = run(videos)
    assert (done.rows, done.missing, done.unreadable, done.resumed) == (4, [], [], 0)
    first, second, *_ = rows_of(Path("out.jsonl"))
    assert first == {
        "src": "100001.mkv",
        "src_sha256": sha256_file(videos / "100001.mkv"),
        "src_size_bytes": (videos / "100001.mkv").stat().st_size,
        "width": 64,
        "height": 48,
        "framerate": 25.0,
        "duration_s": pytest.approx(0.48, abs=0.01),
        "pix_fmt": "yuv420p",
        "encoder_upstream": "h264",
        "mos": 4.5,
        "mos_std_dev": 0.5,
        "n_ratings": 0,
        "mos_scale": [1, 5],
        "mos_map": "1-5-acr",
        "mos_native": 4.5,
        "mos_native_scale": [1, 5],
        "corpus": "small",
        "corpus_version": "1",
        "content": "film",
    }
    assert (second["src"], second["framerate"]) == ("100002_540p.mkv", 30.0)
    assert read_manifest("out.jsonl")["details"]["rows"] == 4
    run(videos, Path("again.jsonl"))
    assert Path("again.jsonl").read_bytes() == Path("out.jsonl").read_bytes()


def test_without_videos_rows_say_nothing_of_files(home: Path) -> None:
    assert run(None).rows == 4
    assert {row["src_sha256"] for row in rows_of(Path("out.jsonl"))} == {None}


@pytest.mark.parametrize("cut", [0, 7])
def test_an_interrupted_run_goes_on(home: Path, videos: Path, cut: int) -> None:
    class Stop(Exception):  # noqa: N818
        pass

    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        run(videos, advance=stop)
    partial = Path(f"out.jsonl{PARTIAL}")
    assert not Path("out.jsonl").exists()
    data = partial.read_bytes()
    partial.write_bytes(data[: len(data) - cut])
    seen: list[int] = []
    done = run(videos, advance=lambda done, _total: seen.append(done))
    assert (done.rows, done.resumed) == (4, 2 if cut else 3)
    assert seen == ([3, 4] if cut else [4])
    assert not partial.exists()
    run(videos, Path("whole.jsonl"))
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_rows_of_other_labels_are_not_gone_on_with(home: Path, videos: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(videos, advance=lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    write_scores(SCORES | {"100004": 1.5})
    assert run(videos).resumed == 0
    assert rows_of(Path("out.jsonl"))[3]["mos"] == 1.5


def test_videos_that_are_not_there_are_counted_and_limited(home: Path, videos: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for name in ("100001.mkv", "100003.mkv"):
        shutil.copy(videos / name, some)
    (some / "100004.mkv").write_bytes(b"no video")
    with pytest.raises(
        InputError,
        match=r"1 of 4 videos of small are not in .* and 1 cannot be read, .*\(--max-missing-share\): 100002 is not there",
    ):
        run(some)
    assert not Path("out.jsonl").exists()
    done = run(some, max_missing_share=0.5)
    assert (done.rows, done.missing) == (2, ["100002"])
    assert done.unreadable[0].startswith("100004: ")
    assert [row["src"] for row in rows_of(Path("out.jsonl"))] == ["100001.mkv", "100003.mkv"]


def test_one_scale_and_each_video_once(home: Path, videos: Path) -> None:
    run(videos)
    rows = [{key: value for key, value in row.items() if key != "mos_map"} for row in rows_of(Path("out.jsonl"))]
    better = [{**rows[0], "corpus": "other", "mos": 70.0, "mos_std_dev": 4.0}]
    strange = [{**rows[1], "corpus": "nobody"}, {**rows[1], "mos": 7}, {**rows[3], "src_sha256": None, "src": "x"}]
    Path("b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*better, *strange]))
    counts = aggregate([Path("out.jsonl"), Path("b.jsonl")], Path("all.jsonl"))
    assert counts == {
        "rows_in": 8,
        "rows_out": 4,
        "dropped_unknown_corpus": 1,
        "dropped_bad_scale": 1,
        # 100003 is a copy of 100001, and b.jsonl has it a third time, with the smaller deviation.
        "cross_corpus_dedups": 2,
        "without_hash": 1,
        "inputs_seen": 2,
    }
    found = {row["src"]: row for row in rows_of(Path("all.jsonl"))}
    assert (found["100001.mkv"]["mos"], found["100001.mkv"]["corpus_source"]) == (70.0, "other")
    assert (found["100002_540p.mkv"]["mos"], found["100002_540p.mkv"]["mos_std_dev"]) == (56.25, 12.5)
    assert (found["100002_540p.mkv"]["mos_native"], found["x"]["mos"]) == (3.25, 0.0)
    assert all(row["mos_scale"] == [0, 100] for row in found.values())
    # A row may itself say how it comes to the common scale.
    Path("e.jsonl").write_text(json.dumps({**rows[1], "corpus": "nobody", "mos_map": "1-5-acr"}) + "\n")
    aggregate([Path("e.jsonl")], Path("f.jsonl"))
    assert [row["mos"] for row in rows_of(Path("f.jsonl"))] == [56.25]
    Path("c.jsonl").write_text('{"src": "a", "corpus": "small"}\n')
    with pytest.raises(InputError, match="line 1 lacks mos"):
        aggregate([Path("c.jsonl")], Path("d.jsonl"))
    assert not Path("d.jsonl").exists()


def write_table(names: list[str], path: Path = Path("t.parquet")) -> Path:
    column = pa.array(names).dictionary_encode()
    pq.write_table(pa.table({"clip": column, "adm2": [float(i) for i in range(len(names))]}), path, row_group_size=3)
    return path


CLIPS = ["k_100001_a", "k_100001_a", "k_100002_b", "k_100009_c", "k_100001_a"]


def test_scores_are_put_beside_rows(home: Path) -> None:
    run(None)
    audit = join(
        write_table(CLIPS),
        [Path("out.jsonl")],
        Path("rated.parquet"),
        Path("rated.json"),
        feature_pattern="([0-9]{6,})",
        label_pattern="([0-9]{6,})",
    )
    rated = pq.read_table("rated.parquet").to_pandas()
    assert rated["mos"].tolist()[:3] == [4.5, 4.5, 3.25]
    assert rated["mos"].isna().tolist() == [False, False, False, True, False]
    assert rated["adm2"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (audit["rows"], audit["rows_matched"], audit["keys_matched"]) == (5, 4, 2)
    assert audit["rows_without_label"] == {"keys": 1, "first": ["k_100009_c"]}
    assert audit["labels_without_row"] == {"keys": 2, "first": ["100003", "100004"]}
    assert json.loads(Path("rated.json").read_text()) == audit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no row of t.parquet has a key of the labels: keys of rows are 'k_100001_a', .* --feature-key-regex"),
        ({"feature_pattern": "[0-9]+"}, "has 0 groups: put the part that is the key"),
        ({"feature_pattern": "("}, "is no regular expression"),
        ({"feature_pattern": "([0-9])"}, "finds 2 keys in 'k_100001_a'"),
        ({"feature_key": "name"}, "has no column 'name'; it has clip, adm2"),
        ({"label_pattern": "(1000)"}, "several labels have the key '1000', with scores 4.5 and 3.25"),
        ({"label_pattern": "(x)"}, "the pattern of the labels finds no key in '100001.mkv'"),
        ({"label_key": "name"}, "line 1 lacks name"),
    ],
)
def test_joins_that_are_refused_write_nothing(home: Path, options: dict[str, Any], message: str) -> None:
    run(None)
    with pytest.raises(InputError, match=message):
        join(write_table(CLIPS), [Path("out.jsonl")], Path("rated.parquet"), Path("rated.json"), **options)
    assert not list(Path().glob("rated*"))


def test_the_commands(home: Path, videos: Path, tmp_path: Path) -> None:
    done = command("labels", "scores.csv", "--dataset", "small", "--videos", videos, "-o", "x.jsonl", cwd=home)
    assert (done.returncode, done.stdout) == (0, "x.jsonl: 4 videos, read as scores.csv\n")
    assert command("aggregate", "x.jsonl", "-o", "y.jsonl", cwd=home).stdout == "y.jsonl: 3 of 4 rows of 1 files\n"
    write_table(CLIPS)
    words = ["--feature-key-regex", "([0-9]{6,})", "--label-key-regex", "([0-9]{6,})"]
    done = command("join", "t.parquet", "x.jsonl", "-o", "z.parquet", *words, cwd=home)
    assert done.stdout == "z.parquet: 4 of 5 rows have a score, of 2 videos\n"
    wrong = command("labels", "scores.csv", "--dataset", "smal", "-o", "x.jsonl", cwd=home)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "unknown dataset 'smal': did you mean 'small'" in wrong.stderr
    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    nowhere = command("labels", "scores.csv", "--dataset", "small", "-o", "x.jsonl", cwd=tmp_path / "elsewhere")
    assert "unknown dataset 'small': there are no specs in config/labels" in nowhere.stderr
