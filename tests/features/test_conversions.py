"""Conversions of pairs that exist: the features of ``score`` with the same options, in the spec and in the manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import pyvmaf
from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.corpora.ladders import made_from
from pyvmaf.corpora.pairs import Spec
from pyvmaf.corpora.spec import parse_corpus
from pyvmaf.errors import InputError
from pyvmaf.features.table import read_table
from tests.make.commands import command, refusal

Convert = Callable[..., Path]
LOSSLESS = ("-c:v", "ffv1")
COLUMNS = ("adm2", "vif_scale0", "vif_scale3", "motion2", "vmaf")


@pytest.fixture(scope="module")
def reference(pair: tuple[Path, Path], convert: Convert) -> Path:
    return convert(pair[0], "corpus_sixteen.mkv", "-frames:v", "16", *LOSSLESS)


def spec(folder: Path, reference: Path, distorted: Path, **keys: Any) -> dict[str, Any]:
    """The keys of a corpus of one pair, whose files are copied into a folder."""
    for path in (reference, distorted):
        if not (folder / path.name).exists():
            shutil.copy(path, folder / path.name)
    version = {"rung": "one", "codec": "libx264", "path": distorted.name, "sha256": sha256_file(distorted)}
    entry = {"key": "clip", "path": reference.name, "sha256": sha256_file(reference), "source": "s", "group": "g"}
    head = {"name": "mine", "kind": "pairs", "license": "none", "root": str(folder)}
    return {**head, "entries": [{**entry, "pairs": [version]}], **keys}


CASES: list[tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any], dict[str, Any]]] = [
    ("crop", (), ("-vf", "pad=192:160:0:0"), {"crop": ["distorted=176x144+0+0"]}, {"crop": ["distorted=176x144+0+0"]}),
    ("pad", ("-vf", "pad=192:160:8:8"), (), {"pad": ["distorted=192x160+8+8"]}, {"pad": ["distorted=192x160+8+8"]}),
    ("range", (), ("-vf", "scale=out_range=full", "-color_range", "pc"), {"range": "limited"}, {"range": "limited"}),
    ("scaler", (), ("-vf", "scale=88:72"), {"scaler": "lanczos"}, {"scale": True, "scaler": "lanczos"}),
    ("offset", (), ("-vf", "trim=start_frame=3,setpts=PTS-STARTPTS"), {"offset": 3}, {"offset": 3}),
    ("fps", (), ("-vf", "fps=15"), {"fps": "nearest"}, {"pair_by": "nearest"}),
    (
        "deinterlace",
        ("-vf", "setfield=tff", "-flags", "+ilme+ildct", "-c:v", "libx264", "-qp", "0", "-x264-params", "tff=1"),
        (),
        {"deinterlace": "auto"},
        {"deinterlace": "auto"},
    ),
]


@pytest.mark.parametrize(("name", "first", "second", "keys", "options"), CASES, ids=[case[0] for case in CASES])
def test_features_are_those_of_score(
    name: str,
    first: tuple[str, ...],
    second: tuple[str, ...],
    keys: dict[str, Any],
    options: dict[str, Any],
    reference: Path,
    convert: Convert,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = convert(reference, f"corpus_{name}.mkv", *(first or ("-vf", "null")), *(() if "-c:v" in first else LOSSLESS))
    theirs = convert(reference, f"corpus_{name}_30.mkv", *second, "-c:v", "libx264", "-crf", "30")
    Path("mine.yaml").write_text(yaml.safe_dump(spec(tmp_path, ours, theirs, convert=keys)))
    done = command("extract-features", "--corpus", "mine.yaml", "-o", "mine.parquet")
    assert done.returncode == 0, done.stderr
    table = read_table("mine.parquet").to_pandas()
    scores = pyvmaf.score(ours, theirs, **options)
    for column in COLUMNS:
        np.testing.assert_array_equal(table[column].to_numpy(), scores[column])
    manifest = read_manifest("mine.parquet")
    assert manifest["args"]["convert"] == {"clip": keys}
    noted = [note for note in scores.notes if str(theirs) in note or str(ours) in note]
    # A corpus scales versions of another size in any case, and says so in words of its own.
    assert len(manifest["details"]["notes"]) == len(noted) + (name == "scaler")


def test_a_reference_has_conversions_of_its_own(reference: Path, tmp_path: Path) -> None:
    value = spec(tmp_path, reference, reference, convert={"range": "limited"})
    value["entries"][0]["convert"] = {"crop": ["96x96"]}
    corpus = parse_corpus(value)
    assert isinstance(corpus, Spec)
    assert corpus.conversions(corpus.entries[0]).options == {"crop": ("96x96",)}
    assert made_from(value, value["entries"][0], "libx264")["convert"] == {"crop": ["96x96"]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"convert": {"fps": "half"}}, "convert.fps"),
        ({"convert": {"crop": ["left"]}}, "a part of the picture is written"),
        ({"convert": {"offset": "soon"}}, "write frames as a number, or seconds with an s"),
        ({"convert": {"offset": "xs"}}, "is not of the form N"),
        ({"convert": {"scaler": "cubic"}}, "convert.scaler"),
        ({"convert": {"speed": 2}}, "unknown key"),
        ({"convert": {"offset": 3}, "max_frames": 8}, "leave out max_frames"),
        ({"convert": {"deinterlace": "bob"}, "max_frames": 8}, "leave out max_frames"),
    ],
)
def test_what_cannot_be_done_is_refused(keys: dict[str, Any], message: str, reference: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        parse_corpus(spec(tmp_path, reference, reference, **keys))


def test_an_interlaced_reference_needs_to_be_converted(
    reference: Path, convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("-vf", "setfield=tff", "-flags", "+ilme+ildct", "-c:v", "libx264", "-qp", "0", "-x264-params", "tff=1")
    fields = convert(reference, "corpus_fields.mkv", *words)
    Path("mine.yaml").write_text(yaml.safe_dump(spec(tmp_path, fields, fields)))
    assert "is interlaced" in refusal("extract-features", "--corpus", "mine.yaml", "-o", "mine.parquet")


def test_an_old_file_is_not_planned_again(reference: Path, tmp_path: Path) -> None:
    """A rule carries the keys that are set: neither a file without the key nor an empty one differs from one of before."""
    from pyvmaf.workflow.plan import set_keys

    value = spec(tmp_path, reference, reference)
    old = set_keys(made_from(value, value["entries"][0], "libx264"))
    assert "convert" not in old
    assert set_keys(made_from({**value, "convert": {}}, value["entries"][0], "libx264")) == old
    filled = parse_corpus(value).model_dump(mode="json")
    assert "convert" not in set_keys(made_from(filled, filled["entries"][0], "libx264"))
