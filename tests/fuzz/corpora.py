"""Random changes of corpus files, model files and configurations, and folders of files with hostile names.

A change is refused in one line, or the plan is sound. What a configuration that passes `vmaf-train config` plans may fail
with a `PyvmafError` and nothing else. Run many by hand with ``python -m tests.fuzz.corpora --count 1000 --seed 0``; a
failure names its seed.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from pyvmaf.base.files import read_yaml, sha256_file
from pyvmaf.corpora.folder import Spec
from pyvmaf.corpora.keys import clip_key
from pyvmaf.corpora.scan import Scan
from pyvmaf.corpora.spec import load_corpus, parse_corpus
from pyvmaf.corpora.write import write_corpus
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.encodes.filter import rung as filter_rung
from pyvmaf.errors import PyvmafError
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.tables.imports import import_table
from pyvmaf.workflow import config as configuration
from pyvmaf.workflow.check import check
from pyvmaf.workflow.plan import Plan, conform
from tests.make.videos import REPOSITORY

BUNDLED = REPOSITORY / "config"
SCHEMAS = REPOSITORY / "workflow" / "schemas"

WORDS = (
    *(
        "",
        " ",
        "a",
        "-y",
        "-i",
        "--",
        "../..",
        "/",
        "/dev/zero",
        "{clip}",
        "{}",
        "%03d",
        "$(touch x)",
        "`x`",
        "; x",
        "'",
    ),
    *('"', "\n", "\r\n", "\t", "\\", "\u2028", "\u202e", "\x7f", "é", "電影", "null", "~", "yes", "1e3", "- a", "# a"),
    *("a" * 300, "a\nb", "!!python/object", "&a *a", "libx264", "medium", "cpu", "vmaf", "adm2", "mine", "default"),
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    51,
    63,
    64,
    255,
    1 << 31,
    1 << 32,
    1 << 63,
    10**30,
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
)
CORPUS = {
    "name": "mine",
    "kind": "folder",
    "license": "CC0",
    "root": "videos",
    "mos_scale": [1, 5],
    "entries": [
        {
            "key": key,
            "path": f"{key}.mkv",
            "sha256": "a" * 64,
            "source": key,
            "group": "film",
            "frames": [0, 9],
            "crop": "64x48",
            "scale": "64x48",
            "pix_fmt": "yuv420p",
            "mos": 3.5,
            "probe": {"width": 96, "height": 64, "pix_fmt": "yuv420p", "fps": "25", "frames": 30},
        }
        for key in ("a", "b")
    ],
}
CONFIG = {
    "corpora": ["mine"],
    "codecs": ["libx264", "soft"],
    "models": ["small"],
    "seeds": [0, 1],
    "features": ["canonical6"],
    "ladders": {
        "libx264": {"presets": ["medium"], "crfs": [23, 40], "extra": ["-g", "50"]},
        "soft": {"distortion": "filter", "strengths": [1, 2], "settings": {"filter": "gblur=sigma={strength}"}},
    },
    "tables": {"default": {"unit": "frame", "codecs": ["libx264"]}},
    "threads": {"encode_rung": 1},
}
SOURCE_ROW = ("src", "encoder", "crf", "width", "mos", *(f"{name}_mean" for name in CANONICAL6))
MODEL = read_yaml(BUNDLED / "models" / "fr_regressor_v1.yaml") | {"name": "small"}
SOURCES: tuple[tuple[str, dict[str, Any]], ...] = (("corpus", CORPUS), ("config", CONFIG), ("model", MODEL))


def _value(chance: random.Random) -> Any:
    """Something that may stand where another value is expected."""
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: chance.choice(WORDS),
        lambda: chance.choice(NUMBERS),
        lambda: chance.choice((None, True, False, [], {})),
        lambda: [chance.choice(WORDS), chance.choice(NUMBERS)],
        lambda: {chance.choice(WORDS): chance.choice(NUMBERS)},
        lambda: "".join(
            chr(chance.choice((chance.randrange(1, 128), chance.randrange(128, 0xD800)))) for _ in range(9)
        ),
    )
    return chance.choice(kinds)()


def mutate(value: Any, chance: random.Random) -> Any:
    """Return a copy of a YAML value with one change at some depth."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {name: inner for name, inner in value.items() if name != key}
        if chance.random() < 0.05:
            return value | {chance.choice(WORDS): _value(chance)}
        return value | {key: mutate(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        change = chance.choice(("inner", "inner", "remove", "repeat"))
        if change == "remove":
            return value[:place] + value[place + 1 :]
        if change == "repeat":
            return [*value, copy.deepcopy(value[place])]
        return [*value[:place], mutate(value[place], chance), *value[place + 1 :]]
    return _value(chance)


def write_files(values: dict[str, Any]) -> None:
    """Write the files of a run into the working folder."""
    for path, name in (("config/corpora/mine.yaml", "corpus"), ("config/models/small.yaml", "model")):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(yaml.safe_dump(values[name]), encoding="utf-8")
    Path("config.yaml").write_text(yaml.safe_dump(values["config"]), encoding="utf-8")


def try_plan(seed: int) -> str:
    """Plan a run of which one file was changed; return "refused" or "sound".

    Raises:
        Exception: the failure that is looked for.
    """
    chance = random.Random(seed)
    values = {name: copy.deepcopy(value) for name, value in SOURCES}
    name = chance.choice([name for name, _ in SOURCES])
    for _ in range(chance.choice((1, 1, 1, 2))):
        values[name] = mutate(values[name], chance)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_files(values)
        try:
            configuration.load(Path("config.yaml"))
            config = conform(read_yaml("config.yaml"), read_yaml(SCHEMAS / "config.schema.yaml"), "configuration")
            plan = Plan(config, BUNDLED, SCHEMAS)
            check(plan)
        except PyvmafError as err:
            _check_message(err)
            return "refused"
        # What rules ask of a plan.
        for codec in plan.codecs:
            for rung in plan.rungs(codec):
                plan.rung(codec, rung).options()
        for model in plan.models:
            plan.modes(model), plan.seeds(model), plan.table(plan.model(model).table)
        for corpus, clip in plan.clips():
            plan.corpus(corpus).made_from(clip)
        return "sound"


def try_names(seed: int) -> str:
    """Write a corpus of files with odd names and read it back; return "sound".

    Raises:
        Exception: the failure that is looked for.
    """
    chance = random.Random(seed)
    names = ["".join(chance.choice(WORDS) for _ in range(chance.randint(1, 4))).replace("/", "_") for _ in range(4)]
    names = [name for name in dict.fromkeys(names) if name] or ["a"]
    entries = [
        {"key": f"{clip_key(name)[:80]}_{index}", "path": name, "sha256": "a" * 64, "source": "s", "group": "g"}
        for index, name in enumerate(names)
    ]
    corpus = parse_corpus({"name": "n", "kind": "folder", "license": names[0], "root": names[-1], "entries": entries})
    assert isinstance(corpus, Spec)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.yaml"
        write_corpus(Scan(corpus), path)
        assert load_corpus(path) == corpus
    return "sound"


def try_rows(seed: int) -> str:
    """Import rows of another program of which some were changed; return "refused" or "sound".

    Raises:
        Exception: the failure that is looked for.
    """
    chance = random.Random(seed)
    row: dict[str, Any] = {
        "src": "/v/film/scene.mkv",
        "encoder": "libx264",
        "preset": "medium",
        "crf": 28,
        "width": 640,
    }
    row |= {"height": 360, "framerate": 25.0, "duration_s": 4.0, "bitrate_kbps": 812.5, "vmaf_score": 91.25, "mos": 3.5}
    row |= {f"{name}_mean": 0.5 for name in CANONICAL6}
    rows: list[Any] = [row | {"crf": crf} for crf in range(20, 30)]
    if chance.random() < 0.4:
        frame = {key: value for key, value in row.items() if not key.endswith("_mean")} | dict.fromkeys(CANONICAL6, 0.5)
        rows = [frame | {"frame_index": index, "vmaf": 80.0} for index in range(10)]
    for _ in range(chance.choice((1, 1, 3))):
        place = chance.randrange(len(rows))
        rows[place] = mutate(rows[place], chance)
    as_lines = chance.random() < 0.6
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        path = Path("rows.jsonl" if as_lines else "rows.csv")
        path.write_bytes(_lines(rows) if as_lines else _table(rows))
        if chance.random() < 0.2:
            data = bytearray(path.read_bytes())
            data[chance.randrange(len(data))] = chance.randrange(256)
            path.write_bytes(bytes(data))
        item = {"path": path.name, "sha256": sha256_file(path)}
        columns = {"source": "src", "clip": "src", "codec": "encoder", "crf": "crf", "width": "width", "mos": "mos"}
        share = chance.choice((0.05, 0.5))
        keys: dict[str, Any] = {"name": "rows", "license": "", "root": "."}
        keys |= (
            {"kind": "corpus-jsonl", "rows": {"files": [item], "max_bad_share": share}}
            if as_lines
            else {
                "kind": "feature-log",
                "log": {"tables": [item], "columns": columns, "teacher": "t", "max_bad_share": share},
            }
        )
        Path("rows.yaml").write_text(yaml.safe_dump(keys))
        try:
            done = import_table(Path("rows.yaml"), Path("rows.parquet"), Path("records.jsonl"))
        except PyvmafError as err:
            _check_message(err)
            assert not Path("rows.parquet").exists()
            return "refused"
        table = pq.read_table("rows.parquet")
        assert table.num_rows == done.rows > 0
        details = done.details
        assert len(details["bad"]) <= share * details["rows_in"]
        if done.unit == "clip":
            assert done.rows + len(details["bad"]) + sum(details["dropped"].values()) == details["rows_in"]
        return "sound"


def _lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode(errors="surrogatepass")


def _table(rows: list[Any]) -> bytes:
    mappings = [row if isinstance(row, dict) else {"src": row} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, [str(key) for key in SOURCE_ROW], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(mappings)
    return text.getvalue().encode(errors="surrogatepass")


def try_options(seed: int) -> str:
    """Ask for encodes with random extra options and filters; return "refused" or "sound".

    Raises:
        Exception: the failure that is looked for.
    """
    chance = random.Random(seed)
    good = (["-g", "50"], ["-bf:v", "2"], ["-x264-params", "keyint=5:bframes=2"], ["-tune", "film"])
    bad = (*WORDS, "-crf", "-x264-params", "stats=x", "keyint=5:crf=1", "-c:v", "-g")
    extra = [word for pair in chance.sample(good, chance.randint(0, 3)) for word in pair]
    for _ in range(chance.choice((0, 0, 1, 2))):
        extra.insert(chance.randint(0, len(extra)), chance.choice(bad))
    graphs = ["gblur=sigma={strength}", "hue=s=0", "split[a][b];[a]gblur={strength}[c];[b][c]blend=all_expr='(A+B)/2'"]
    hostile = ("movie=x", "metadata=print:file=x", "gblur=/sigma=x", "[a]", "", "'", "x", "mov\\\\ie=x", "'movie'=x")
    filters = chance.sample(graphs, chance.randint(1, 3))
    for _ in range(chance.choice((0, 0, 1))):
        filters.insert(chance.randint(0, len(filters)), chance.choice(hostile))
    graph = chance.choice((",", ";")).join(filters)
    refused = 0
    calls: tuple[Callable[[], object], ...] = (
        lambda: encoder_rung("libx264", "medium", 30, extra=extra).options(),
        lambda: filter_rung(chance.choice((1.0, -1.0, float("nan"))), {"filter": graph}).options(),
    )
    for call in calls:
        try:
            call()
        except PyvmafError as err:
            _check_message(err)
            refused += 1
    # A filter that reads or writes files never passes.
    assert refused or not ("movie" in graph or "metadata" in graph), graph
    return "refused" if refused else "sound"


def _check_message(err: PyvmafError) -> None:
    """A refusal says something, without a traceback in it."""
    text = str(err)
    assert text.strip(), "an empty message"
    assert "Traceback" not in text, text


CHECKS: dict[str, Callable[[int], str]] = {
    "plan": try_plan,
    "names": try_names,
    "options": try_options,
    "rows": try_rows,
}


def run(name: str, count: int, seed: int) -> Counter[str]:
    """Make `count` attempts of a kind, from `seed` on; return how many were refused and how many are sound.

    Raises:
        AssertionError: an attempt failed; the message names its seed.
    """
    outcomes: Counter[str] = Counter()
    for number in range(seed, seed + count):
        try:
            outcomes[CHECKS[name](number)] += 1
        except Exception as err:
            raise AssertionError(f"{name}, seed {number}: {type(err).__name__}: {err}") from err
    return outcomes


def main() -> None:
    """Run all kinds and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in CHECKS:
        print(name, dict(run(name, arguments.count, arguments.seed)))


if __name__ == "__main__":
    main()
