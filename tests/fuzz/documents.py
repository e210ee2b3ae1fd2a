"""Damaged, foreign and hostile variants of the JSON, YAML and parquet files that verbs read.

``python -m tests.fuzz.documents --seed 1 --count 500`` prints the findings, with the seed that makes them again.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pyvmaf.errors import PyvmafError

REPOSITORY = Path(__file__).parents[2]
OLD = REPOSITORY / "tests" / "artefacts" / "0.1.0"

# Texts that a value of JSON may be replaced by; not all of them are JSON.
VALUES = (
    *(
        "null",
        "true",
        '""',
        '"x"',
        "0",
        "-1",
        "1",
        "2",
        "65536",
        "2147483648",
        "1e308",
        "-1e308",
        "1e-320",
        "0.5",
        "1.0",
    ),
    *("[]", "{}", "[1]", "[[0, 0]]", '{"a": 1}', "NaN", "Infinity", "-Infinity", "1e999", "9" * 5_000, "-" + "9" * 400),
    *(
        '"\\ud800"',
        '"\\u0000"',
        '"\\u001b[31m"',
        '"[red]"',
        '"../../../etc/passwd"',
        '"/dev/zero"',
        '"a/' + "b/" * 900 + '"',
    ),
    *(
        '"' + "x" * 100_000 + '"',
        "[" * 5_000,
        "[" * 150 + "]" * 150,
        '{"a":' * 150 + "1" + "}" * 150,
        '{"a": 1, "a": 2}',
    ),
)
# Lines and words of YAML.
WORDS = (
    *(
        "null",
        "~",
        "''",
        "x",
        "0",
        "-5",
        "1" + "0" * 30,
        "9" * 5_000,
        ".nan",
        ".inf",
        "-.inf",
        "1e999",
        "0x10",
        "1:30",
        "yes",
    ),
    *(
        "2024-01-01",
        "2024-13-45",
        "[]",
        "{}",
        "[1, 2]",
        "{a: 1}",
        "[[[]]]",
        "!!python/object/apply:os.system [ls]",
        "!!set {x}",
    ),
    *(
        "!!binary aGFs",
        "&a [*a]",
        "*nothing",
        "[" * 5_000,
        "{a: " * 200,
        "- " * 5_000,
        "|\n",
        "'\\x00'",
        '"\\x1b[31m"',
        "'[red]'",
    ),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "'" + "x" * 50_000 + "'",
        "\t- x",
        "? x",
        "---",
        "...",
        "%YAML 3.0",
        "<<: *x",
        '"\\ud800"',
    ),
)


class Kind(NamedTuple):
    """A sort of file: sound ones, what reads it, and how variants are made."""

    bases: tuple[Path, ...]
    read: Callable[[Path], object]
    change: Callable[[random.Random, bytes], bytes]


def _flip(rng: random.Random, data: bytes) -> bytes:
    """Damage bytes, as disks and transfers do."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 30])):
        place = rng.randrange(len(changed) or 1)
        match rng.randrange(6):
            case 0:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                changed[place:place] = rng.randbytes(rng.randrange(1, 9))
            case 2:
                del changed[place : place + rng.randrange(1, 40)]
            case 3:
                other = rng.randrange(len(changed) or 1)
                changed[place:place] = changed[other : other + rng.randrange(1, 40)]
            case 4:
                del changed[rng.randrange(len(changed) or 1) + len(changed) // 2 :]
            case _:
                changed[place : place + 4] = rng.choice(
                    [b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"\r\n", b"\t", b"\x1b[2J"]
                )
    return bytes(changed)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _edit(rng: random.Random, data: bytes) -> bytes:
    """Change JSON in one to three places: other values, keys left out, added or repeated, parts swapped."""
    value = json.loads(data)
    texts: dict[str, str] = {}
    for number in range(rng.choice([1, 1, 2, 3])):
        places = list(_places(value))
        if not places:
            break
        *outer, key = rng.choice(places)
        inner = value
        for step in outer:
            inner = inner[step]
        mark = f"@{number}@"
        match rng.randrange(6):
            case 0:
                del inner[key]
            case 1 if isinstance(inner, dict):
                inner[rng.choice(["extra", "", "__class__", "schema", "sha256"])] = mark
            case 2 if isinstance(inner, dict):
                texts[json.dumps(mark)] = f"0, {json.dumps(key)}: {json.dumps(inner[key])}"
                inner[key] = mark
                continue
            case 3:
                *others, last = rng.choice(places)
                with suppress(KeyError, IndexError, TypeError):
                    source = value
                    for step in others:
                        source = source[step]
                    inner[key] = copy.deepcopy(source[last])
            case _:
                inner[key] = mark
        texts[json.dumps(mark)] = rng.choice(VALUES)
    text = json.dumps(value, indent=1)
    for mark, replacement in texts.items():
        text = text.replace(mark, replacement)
    return text.encode()


def _rehash(rng: random.Random, data: bytes) -> bytes:
    """Change a manifest and, now and then, write the hash that fits what was made of it."""
    from pyvmaf.base.files import content_hash

    changed = _edit(rng, data)
    with suppress(ValueError, RecursionError, AttributeError):
        body = json.loads(changed)
        if rng.random() < 0.7:
            body["content_sha256"] = content_hash({k: v for k, v in body.items() if k not in ("run", "content_sha256")})
            return json.dumps(body).encode()
    return changed


def _lines(rng: random.Random, data: bytes) -> bytes:
    """Change lines of YAML: other values, repeated and moved lines, other depths, anchors."""
    lines = data.decode().splitlines()
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(len(lines) or 1)
        line = lines[place] if lines else ""
        key, colon, _value = line.partition(":")
        match rng.randrange(8):
            case 0:
                lines[place : place + 1] = []
            case 1:
                lines.insert(place, line)
            case 2:
                lines.insert(rng.randrange(len(lines) + 1), line)
            case 3:
                lines[place : place + 1] = [" " * rng.randrange(1, 5) + line]
            case 4:
                lines[place : place + 1] = [line.lstrip()]
            case 5:
                lines.insert(
                    place,
                    " " * (len(line) - len(line.lstrip())) + rng.choice(["extra: ", "- ", ""]) + rng.choice(WORDS),
                )
            case _:
                lines[place : place + 1] = [f"{key}{colon} {rng.choice(WORDS)}" if colon else rng.choice(WORDS)]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _mixed(change: Callable[[random.Random, bytes], bytes]) -> Callable[[random.Random, bytes], bytes]:
    return lambda rng, data: (_flip if rng.random() < 0.3 else change)(rng, data)


def _document(name: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        from pyvmaf.base.documents import document

        return document(name).read(path)

    return read


def _registry(path: Path) -> object:
    from pyvmaf.registry.consistency import check_registry

    return check_registry(path)


def _sidecar(path: Path) -> object:
    from pyvmaf.runtime.load import read_pinned
    from pyvmaf.runtime.sidecar import check_sidecar

    return check_sidecar(read_pinned(path, None), str(path))


def _manifest(path: Path) -> object:
    from pyvmaf.registry.manifests import load_manifest
    from pyvmaf.registry.trace import trace
    from pyvmaf.registry.verify import verify

    artefact = path.with_name("artefact")
    artefact.write_text("x")
    manifest = shutil.copy(path, path.with_name("artefact.manifest.json"))
    verify(path.parent, threads=1)
    load_manifest(Path(manifest))
    return trace(artefact, tree=path.parent)


def _configuration(path: Path) -> object:
    from pyvmaf.workflow.config import load

    return load(path)


def _named(path: Path) -> Path:
    """Copy a YAML file to the name that its key ``name`` asks for."""
    name = re.search(rb"^name: ([a-z0-9_]+)\s*$", path.read_bytes(), re.MULTILINE)
    return path if name is None else Path(shutil.copy(path, path.with_name(f"{name[1].decode()}.yaml")))


def _corpus(path: Path) -> object:
    from pyvmaf.corpora.spec import load_corpus

    return load_corpus(_named(path))


def _model(path: Path) -> object:
    from pyvmaf.models.spec import load_spec

    return load_spec(_named(path))


def _table(path: Path) -> object:
    from pyvmaf.base.parquet import ParquetTable
    from pyvmaf.features.table import read_metadata
    from pyvmaf.tables.columns import floats, strings

    with ParquetTable(path) as table:
        read_metadata(table.schema, path)
        rows = table.read()
        for name in table.names:
            with suppress(PyvmafError):
                floats(rows, name)
        return [strings(rows, name) for name in ("source", "clip", "codec") if name in table.names]


def _old(pattern: str, most: int = 3) -> tuple[Path, ...]:
    return tuple(sorted((OLD / "results").rglob(pattern))[:most])


KINDS: dict[str, Kind] = {
    "registry.json": Kind(_old("registry.json"), _registry, _mixed(_edit)),
    "sidecar.json": Kind(_old("model.json"), _sidecar, _mixed(_edit)),
    "verdict.json": Kind(_old("verdict.json"), _document("verdict"), _mixed(_edit)),
    "loso.json": Kind(_old("loso.json"), _document("fit"), _mixed(_edit)),
    "int8.json": Kind(_old("static_qdq.json"), _document("int8"), _mixed(_edit)),
    "record.json": Kind(_old("*crf*.json"), _document("record"), _mixed(_edit)),
    "x.manifest.json": Kind(_old("*.manifest.json", 40), _manifest, _mixed(_rehash)),
    "config.yaml": Kind((REPOSITORY / "config" / "config.yaml",), _configuration, _mixed(_lines)),
    "corpus.yaml": Kind(
        (REPOSITORY / "config/corpora/embedded.yaml", OLD / "config/corpora/small.yaml"), _corpus, _mixed(_lines)
    ),
    "model.yaml": Kind(tuple(sorted((REPOSITORY / "config/models").glob("*.yaml"))), _model, _mixed(_lines)),
    "table.parquet": Kind(_old("default.parquet"), _table, _flip),
}


def mutants(kind: str, seed: int, count: int) -> Iterator[bytes]:
    """Make variants of a sort of file; the same for the same seed, whatever the count."""
    for number in range(count):
        rng = random.Random(zlib.crc32(f"{kind} {seed} {number}".encode()))
        base = rng.choice(KINDS[kind].bases).read_bytes()
        yield KINDS[kind].change(rng, base)


def check(kind: str, data: bytes, folder: Path) -> str | None:
    """Read a variant.

    Returns:
        What is wrong with the answer; None if it is a value, or an error of the package in one line.
    """
    path = folder / kind
    path.write_bytes(data)
    try:
        KINDS[kind].read(path)
    except PyvmafError as err:
        text = str(err)
        if not text.strip() or "\n" in text or len(text) > 3_000:
            return f"its message is not one line: {text[:300]!r}"
    except Exception as err:
        return f"{type(err).__name__}: {' '.join(str(err).split())[:300]}"
    return None


def findings(seed: int, count: int) -> list[str]:
    """Read `count` variants of each sort, and describe those that are answered wrongly."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for number, data in enumerate(mutants(kind, seed, count)):
                problem = check(kind, data, Path(folder))
                if problem is not None:
                    lines.append(f"{kind}, seed {seed}, number {number}: {problem}")
    return lines


def main() -> int:
    """Print the findings of a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    lines = findings(arguments.seed, arguments.count)
    print(f"documents: seed {arguments.seed}, {arguments.count} variants each, {len(lines)} findings", *lines, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
