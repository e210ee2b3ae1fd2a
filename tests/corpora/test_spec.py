from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pyvmaf.base import layout
from pyvmaf.corpora import packages
from pyvmaf.corpora.spec import KEY_PATTERN, NAME_PATTERN, find_corpus, load_corpus, load_videos
from pyvmaf.errors import InputError, MissingFileError

REPOSITORY = Path(__file__).parents[2]
SHA = "0" * 64


def write(path: Path, **changes: Any) -> Path:
    entry = {"key": "a", "path": "a.mkv", "sha256": SHA, "source": "a", "group": "a"}
    value: dict[str, Any] = {"name": "mine", "kind": "folder", "license": "CC0", "root": ".", "entries": [entry]}
    entry.update(changes.pop("entry", {}))
    value.update(changes)
    path.write_text(yaml.safe_dump(value))
    return path


def test_the_embedded_corpus_is_the_nine_scenes_of_four_films() -> None:
    corpus = load_corpus(REPOSITORY / "config" / "corpora" / "embedded.yaml")
    assert isinstance(corpus, packages.Spec)
    assert len(corpus.entries) == len({entry.source for entry in corpus.entries}) == 9
    assert len({entry.group for entry in corpus.entries}) == 4
    frames = [entry.frames for entry in corpus.entries if entry.group == "bikes"]
    assert frames == [(0, 29), (30, 75), (76, 136), (137, 186), (187, 241)]
    assert {package.sha256 for package in corpus.packages} == {
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        "4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licence": "CC0"}, r"unknown key 'licence': did you mean 'license'\?"),
        ({"entry": {"sha": SHA}}, r"unknown key 'entries\.0\.sha': did you mean 'sha256'\?"),
        ({"entry": {"scale": "640"}}, r"entries\.0\.scale: .*\(it is '640'\)"),
        ({"entry": {"key": "A-b"}}, r"entries\.0\.key: .*\(it is 'A-b'\)"),
        ({"entry": {"key": "../x"}}, r"entries\.0\.key"),
        ({"entry": {"frames": [5, 4]}}, r"entries\.0\.frames: frames 5 to 4 are not a range"),
        ({"entry": {"pix_fmt": "rgb24"}}, r"entries\.0\.pix_fmt.*'rgb24'"),
        ({"entry": {"raw": {"sizes": "4x4", "size": "4x4"}}}, r"'entries\.0\.raw\.sizes': did you mean 'size'\?"),
        ({"kind": "packages"}, "key 'packages' is missing; unknown key 'root'"),
        ({"kind": "foldr"}, "unknown kind of corpus 'foldr': did you mean 'folder'"),
        (
            {"kind": None},
            "key 'kind' is missing: it is one of packages, folder, pairs, feature-log, corpus-jsonl, frame-table",
        ),
        ({"packages": []}, "unknown key 'packages': valid are name, kind, license"),
        ({"root": None}, r"root: .*\(it is None\)"),
        ({"entries": []}, "entries are missing"),
        ({"entry": {"mos": 3.5}}, r"a has mos 3\.5, but the corpus does not say on which scale: add mos_scale"),
        ({"entry": {"mos": 71}, "mos_scale": [1, 5]}, r"a: MOS 71 lies outside of its scale, 1 to 5"),
        ({"entry": {"mos": float("nan")}, "mos_scale": [1, 5]}, r"is not a finite number"),
        ({"mos_scale": [5, 1]}, r"mos_scale \[5\.0, 1\.0\] is not a scale"),
        ({"mos_scale": [1, float("inf")]}, r"is not a finite number"),
        ({"entry": {"mos_std": 0.5}, "mos_scale": [1, 5]}, r"entries\.0: mos_std and n_ratings describe a mos"),
        ({"entry": {"mos": 3, "mos_std": -1}, "mos_scale": [1, 5]}, r"entries\.0\.mos_std"),
        ({"entry": {"mos": 3, "n_ratings": 0}, "mos_scale": [1, 5]}, r"entries\.0\.n_ratings"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "mine.yaml", **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_corpus(path)
    assert str(path) in str(caught.value)


def test_a_missing_key_and_a_double_key_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nkind: folder\nroot: .\nentries: []\n")
    with pytest.raises(InputError, match="key 'license' is missing"):
        load_corpus(path)
    entry = {"key": "a", "path": "a.mkv", "sha256": SHA, "source": "a", "group": "a"}
    with pytest.raises(InputError, match="two entries have the key 'a'"):
        load_corpus(write(path, entries=[entry, entry]))


def test_files_that_are_no_corpus(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    with pytest.raises(MissingFileError, match="no such file"):
        load_corpus(path)
    path.write_text("a: [1\n")
    with pytest.raises(InputError, match="is not YAML"):
        load_corpus(path)
    path.write_text("- 1\n")
    with pytest.raises(InputError, match="not a mapping of keys"):
        load_corpus(path)
    # Only data is read from YAML, never an object built.
    path.write_text("!!python/object/apply:os.getcwd []\n")
    with pytest.raises(InputError, match="is not YAML"):
        load_corpus(path)


def test_corpora_are_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match="no corpus mine"):
        find_corpus("mine")
    folder = tmp_path / "config" / "corpora"
    folder.mkdir(parents=True)
    path = write(folder / "mine.yaml")
    assert find_corpus("mine").resolve() == path
    assert find_corpus(path) == path
    with pytest.raises(InputError, match=r"unknown corpus 'mien': did you mean 'mine'\?"):
        find_corpus("mien")
    with pytest.raises(MissingFileError, match=r"no such corpus file: other\.yaml"):
        find_corpus("other.yaml")


def test_an_unknown_clip_is_refused_with_the_nearest_key(tmp_path: Path) -> None:
    corpus = load_videos(write(tmp_path / "mine.yaml", entry={"key": "bikes_1"}))
    with pytest.raises(InputError, match=r"unknown clip of corpus mine 'bikes_2': did you mean 'bikes_1'\?"):
        corpus.entry("bikes_2")


LOG: dict[str, Any] = {
    "teacher": "t",
    "tables": [{"path": "a.csv", "sha256": SHA}],
    "columns": {"clip": "pvs", "source": "src", "codec": "codec"},
}
ROWS: dict[str, Any] = {"files": [{"path": "a.jsonl", "sha256": SHA}]}


def write_tables(path: Path, kind: str, **changes: Any) -> Path:
    value: dict[str, Any] = {"name": "mine", "kind": kind, "license": "CC0", "root": "."}
    path.write_text(yaml.safe_dump(value | changes))
    return path


def test_a_corpus_of_tables_pins_each(tmp_path: Path) -> None:
    frames = [{"path": "f.npz", "sha256": SHA, "where": {"test": "1"}}]
    corpus = load_corpus(
        write_tables(tmp_path / "mine.yaml", "feature-log", log=LOG | {"frames": frames, "frame_key": "pvs"})
    )
    assert [item.path for item in corpus.pinned] == ["a.csv", "f.npz"]
    corpus = load_corpus(write_tables(tmp_path / "mine.yaml", "corpus-jsonl", rows=ROWS))
    assert [item.path for item in corpus.pinned] == ["a.jsonl"]


def test_tables_are_not_videos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of kind corpus-jsonl, which does not hold videos"):
        load_videos(write_tables(tmp_path / "mine.yaml", "corpus-jsonl", rows=ROWS))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("feature-log", {}, "key 'log' is missing"),
        ("corpus-jsonl", {"rows": ROWS, "log": LOG}, "unknown key 'log'"),
        ("folder", {"rows": ROWS}, "unknown key 'rows'"),
        ("feature-log", {"log": LOG, "root": None}, r"root: .*\(it is None\)"),
        ("feature-log", {"log": LOG | {"columns": {"clip": "pvs"}}}, "columns lacks source, codec"),
        ("feature-log", {"log": LOG | {"columns": LOG["columns"] | {"hight": "h"}}}, r"log\.columns\.hight"),
        ("feature-log", {"log": LOG | {"mos_scale": [5, 1]}}, r"mos_scale \[5\.0, 1\.0\] is not a scale"),
        ("feature-log", {"log": LOG | {"unit": "frame"}}, "unit: frame needs frames"),
        ("feature-log", {"log": LOG | {"frames": LOG["tables"]}}, "frames need frame_key"),
        ("feature-log", {"log": LOG | {"colums": {}}}, r"unknown key 'log\.colums': did you mean 'columns'"),
        ("corpus-jsonl", {"rows": ROWS | {"source": "a(b"}}, "'a\\(b' is not a regular expression"),
        ("corpus-jsonl", {"rows": ROWS | {"group": "ab"}}, "'ab' has no group"),
    ],
)
def test_mistakes_in_a_corpus_of_tables(tmp_path: Path, kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_corpus(write_tables(tmp_path / "mine.yaml", kind, **changes))


def test_names_of_corpora_and_clips_are_those_that_wildcards_take() -> None:
    assert f"^{layout.WILDCARDS['corpus']}$" == NAME_PATTERN
    assert f"^{layout.WILDCARDS['clip']}$" == KEY_PATTERN
