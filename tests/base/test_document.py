"""Documents: what a reader refuses, what its published schema refuses, and that what is written is read back."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from jsonschema import Draft202012Validator

from pyvmaf.base.document import Call, Count, Document, OptionalKey, Part, RunProvenance, Share, publish
from pyvmaf.base.documents import DOCUMENTS, document
from pyvmaf.base.files import dumps, write_json
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError, IntegrityError, MissingFileError

RESULTS = Path(__file__).parents[1] / "artefacts" / "0.1.0" / "results"
STORED = {
    "corpus": "corpora/*/corpus.json",
    "record": "encodes/*/*/*/*.json",
    "registry": "registry/registry.json",
}
"""Documents that version 0.1.0 wrote, by name."""


class Item(Part):
    """A part."""

    name: str
    share: Share | None
    note: OptionalKey[str] = None


class Sample(Document):
    """A document."""

    title: ClassVar[str] = "Sample of a document (sample.json)"
    max_bytes: ClassVar[int] = 4000

    schema_version: Literal[1] = 1
    items: list[Item]
    anything: dict[str, Any]
    count: OptionalKey[Count] = None
    run_provenance: RunProvenance


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """A call of a verb in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Call("check-ops", args={"n": 1}, inputs={})


def sample(call: Call) -> Sample:
    items = [Item(name="a", share=None), Item(name="b", share=0.5, note="half")]
    return Sample(items=items, anything={}, run_provenance=call.provenance())


def test_a_document_is_published_with_its_manifest_and_read_back(call: Call) -> None:
    path = Path("sample.json")
    written = publish(sample(call), path, call, details={"items": 2})
    body = json.loads(path.read_text())
    assert path.read_text() == dumps(body)
    assert body["items"] == [{"name": "a", "share": None}, {"name": "b", "share": 0.5, "note": "half"}]
    assert "count" not in body
    assert Sample.read(path) == written
    manifest = read_manifest(path)
    assert manifest["outputs"]["report"]["exists"]
    assert (manifest["args"], manifest["details"]) == ({"n": 1}, {"items": 2})
    Draft202012Validator(Sample.json_schema()).validate(body)


def test_nothing_is_written_without_an_output(call: Call, tmp_path: Path) -> None:
    publish(sample(call), None, call)
    assert list(tmp_path.iterdir()) == []


def test_the_hash_of_a_timed_document_is_no_part_of_the_content(call: Call) -> None:
    publish(sample(call), Path("sample.json"), call, timed=True)
    manifest = read_manifest("sample.json")
    assert manifest["outputs"] == {}
    assert manifest["run"]["timings"]["report"]["exists"]


def put(*keys: str | int, value: Any) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for key in keys[:-1]:
            body = body[key]
        body[keys[-1]] = value

    return change


def drop(*keys: str | int) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for key in keys[:-1]:
            body = body[key]
        del body[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (drop("items", 0, "name"), "items.0.name: the key is missing"),
        (drop("schema_version"), "the document: missing key schema_version"),
        (put("schema_version", value=2), "schema_version: should be 1, but is 2"),
        (put("items", 1, "share", value=1.5), "items.1.share: should be less than or equal to 1, but is 1.5"),
        (put("items", 1, "share", value="0.5"), "items.1.share: should be a valid number, but is '0.5'"),
        (put("items", 1, "nmae", value="b"), "items.1.nmae: this key is not allowed here"),
        (put("count", value=None), "count: null is not allowed, only leaving out the key"),
        (put("count", value=-1), "count: should be greater than or equal to 0, but is -1"),
        (put("count", value=1.5), "count: should be a valid integer, but is 1.5"),
        (drop("run_provenance", "engine"), "run_provenance.engine: the key is missing"),
    ],
)
def test_both_reader_and_schema_refuse(call: Call, change: Callable[[Any], None], problem: str) -> None:
    body = sample(call).as_json()
    change(body)
    with pytest.raises(IntegrityError) as caught:
        Sample.parse(json.dumps(body), "here.json")
    assert str(caught.value) == f"here.json does not conform to Sample of a document: {problem}"
    assert not Draft202012Validator(Sample.json_schema()).is_valid(body)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have(call: Call, number: float) -> None:
    body = sample(call).as_json()
    body["items"][1]["share"] = number
    with pytest.raises(IntegrityError, match=r"items\.1\.share: should be a finite number"):
        Sample.parse(json.dumps(body), "x")
    body["items"][1]["share"] = None
    body["anything"]["deep"] = [number]
    with pytest.raises(IntegrityError, match=r"(NaN|Infinity) is not a JSON number"):
        Sample.parse(json.dumps(body), "x")
    # The words may stand in a text.
    body["anything"]["deep"] = ["NaN", "Infinity"]
    Sample.parse(json.dumps(body), "x")


def test_files_that_are_no_documents(call: Call, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such file: none"):
        Sample.read("none")
    path = tmp_path / "x.json"
    path.write_text('{"schema_version": 1,')
    with pytest.raises(IntegrityError, match=r"x\.json is not JSON .*damaged or was cut short"):
        Sample.read(path)
    write_json(path, sample(call).as_json() | {"anything": {"long": "x" * 4000}})
    with pytest.raises(IntegrityError, match=r"has \d+ bytes, but such a file has at most 4000: refused"):
        Sample.read(path)


def test_only_the_first_problems_are_named() -> None:
    with pytest.raises(IntegrityError, match=r"; and 1 more$"):
        Sample.parse('{"schema_version": 3}', "x")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_has_a_title_and_a_schema(name: str) -> None:
    kind = document(name)
    assert kind.title
    Draft202012Validator.check_schema(kind.json_schema())


def test_a_document_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="did you mean 'registry'"):
        document("registri")


def paths(body: Any, *keys: str | int) -> Iterator[tuple[str | int, ...]]:
    """Every key in nested objects and lists; of a list only the first item."""
    if isinstance(body, dict):
        for key, value in body.items():
            yield (*keys, key)
            yield from paths(value, *keys, key)
    elif isinstance(body, list) and body:
        yield from paths(body[0], *keys, 0)


@pytest.mark.parametrize("name", STORED)
def test_stored_documents_are_read_and_any_change_of_them_is_judged_alike(name: str) -> None:
    """Reader and schema agree on every document in which one key is missing, null, of another type or new."""
    kind, files = document(name), sorted(RESULTS.glob(STORED[name]))
    files = [path for path in files if not path.name.endswith(".manifest.json")]
    assert files
    for path in files:
        assert dumps(kind.read(path).as_json()) == path.read_text()
    schema = Draft202012Validator(kind.json_schema())
    body = json.loads(files[0].read_text())
    refused = 0
    for keys in list(paths(body)):
        for change in (drop(*keys), put(*keys, value=None), put(*keys, value=[[]]), put(*keys[:-1], "new", value=1)):
            changed = copy.deepcopy(body)
            change(changed)
            try:
                kind.parse(json.dumps(changed), "x")
            except IntegrityError:
                assert not schema.is_valid(changed), (keys, changed)
                refused += 1
            else:
                assert schema.is_valid(changed), keys
    assert refused > 2 * len(kind.model_fields)


def test_reading_and_writing_documents_needs_no_jsonschema() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pyvmaf.base.documents import DOCUMENTS, document\n"
        "from pyvmaf.registry.consistency import check_registry\n"
        "check_registry(Path(sys.argv[1]) / 'registry' / 'registry.json')\n"
        "document('record')\n"
        "assert 'jsonschema' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(RESULTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
