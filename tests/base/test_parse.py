"""JSON and YAML of anybody: one value, or one line that says what is wrong."""

from __future__ import annotations

import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base.parse import parse_json, parse_yaml
from pyvmaf.errors import InputError, IntegrityError

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_json_is_what_the_standard_library_reads(value: object) -> None:
    for written in (json.dumps(value), json.dumps(value, ensure_ascii=False).encode()):
        assert parse_json(written, "x") == value


@given(st.dictionaries(text, values, max_size=4))
def test_yaml_is_what_pyyaml_reads(value: dict[str, object]) -> None:
    written = yaml.safe_dump(value, allow_unicode=True).encode()
    assert parse_yaml(written, "x") == yaml.safe_load(written)


def nested(opening: str, closing: str, depth: int) -> str:
    return opening * depth + "1" + closing * depth


JSON = {
    '{"a": 1, "b": {"c": 1, "c": 2}}': "the key 'c' occurs twice",
    '{"a": 1, "\\u0061": 1}': "the key 'a' occurs twice",
    "[NaN]": "NaN is not a JSON number",
    '{"a": -Infinity}': "-Infinity is not a JSON number",
    "1e400": "larger than any number",
    "9" * 5_000: "a number has 5000 digits",
    '["\\ud800"]': "half of a surrogate pair",
    '{"\\uDFFF": 1}': "half of a surrogate pair",
    nested("[", "]", 101): "nested more than 100 deep",
    nested('{"a":', "}", 5_000): "nested more than 100 deep",
    "[" * 200_000: "nested more than 100 deep",
    "": "is not JSON",
    '{"a": 1': "is not JSON",
    "[1] [2]": "is not JSON",
    '"a\nb"': "is not JSON",
}


@pytest.mark.parametrize("written", JSON, ids=lambda written: written[:12])
def test_json_that_is_refused(written: str) -> None:
    for data in (written, written.encode()):
        with pytest.raises(IntegrityError, match=rf"^model\.json .*{JSON[written]}.*") as caught:
            parse_json(data, "model.json")
        assert len(str(caught.value)) < 300
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff", b"\xfe\xff\x00[", b'"\xed\xa0\x80"', b"\x00", b"\xef\xbb\xbf[]"])
def test_bytes_that_are_not_utf_8(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="x is not JSON"):
        parse_json(data, "x")


def test_depth_is_that_of_nesting_and_not_of_brackets() -> None:
    assert parse_json(nested("[", "]", 100), "x")
    assert len(parse_json(json.dumps([[[]]] * 1_000), "x")) == 1_000
    assert parse_json(json.dumps("[" * 1_000), "x") == "[" * 1_000


def laughs(levels: int, wide: int = 9) -> str:
    lines = [f"k0: &k0 [{', '.join(['x'] * wide)}]"]
    lines += [f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * wide)}]" for n in range(1, levels)]
    return "\n".join(lines)


YAML = {
    "codecs: [a]\ncodecs: [b]": r"the key 'codecs' occurs twice in one mapping \(line 2\)",
    "a:\n  - {sha256: x, 'sha256': y}": "the key 'sha256' occurs twice",
    "23: medium": "the key '23' is not text",
    "no: 1": "the key 'no' is not text",
    "2024-01-01: 1": "is not text",
    "[1, 2]: 3": "is not text",
    "null: 3": "is not text",
    "a: .inf": "not a finite number",
    "a: -.INF": "not a finite number",
    "a: .nan": "not a finite number",
    "a: 1.0e+999": "not a finite number",
    "a: " + "9" * 5_000: "a number has 5000 digits",
    "a: 0x" + "f" * 5_000: "digits",
    "a: 2024-13-01": "is not YAML: month must be in",
    "a: !!int x": "is not YAML",
    "a: !!python/object/apply:os.system [ls]": "is not a kind of value",
    "a: !!set {x}": "is not a kind of value",
    "a: !!binary aGFsbG8=": "is not a kind of value",
    laughs(12): "aliases stand for more than 100000 values",
    "a: &a [*a]": r"\*a names nothing before it",
    "a: *b": r"\*b names nothing before it",
    "a: " + nested("[", "]", 120): "nested more than 100 deep",
    "a: " + nested("{a: ", "}", 20_000): "nested more than 100 deep",
    "- " * 500_000: "nested more than 100 deep",
    "? " * 20_000 + "x": "nested more than 100 deep",
    "[" * 1_000_000: "nested more than 100 deep",
    "\n".join(" " * n + f"k{n}:" for n in range(200)): "nested more than 100 deep",
    "a: b\n\t- c": "is not YAML",
    "a: 1\n---\nb: 2": "is not YAML: expected a single document",
    "a: [1": "is not YAML",
    "- a": "holds list, not a mapping",
    "text": "holds str, not a mapping",
    "a: \x00": "is not YAML",
}


@pytest.mark.parametrize("written", YAML, ids=lambda written: written[:12])
def test_yaml_that_is_refused(written: str) -> None:
    with pytest.raises(InputError, match=rf"^mine\.yaml .*{YAML[written]}.*") as caught:
        parse_yaml(written.encode(), "mine.yaml")
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"a: \xff", b"\xff\xfea", b"a: \xed\xa0\x80"])
def test_yaml_of_other_bytes(data: bytes) -> None:
    with pytest.raises(InputError, match="x is not YAML"):
        parse_yaml(data, "x")


def test_yaml_that_is_usual() -> None:
    assert parse_yaml(b"", "x") == parse_yaml(b"# nothing\n", "x") == {}
    merged = parse_yaml(b"base: &base {a: 1, b: 2}\nuse:\n  <<: *base\n  b: 3\nagain: *base\n", "x")
    assert merged == {"base": {"a": 1, "b": 2}, "use": {"a": 1, "b": 3}, "again": {"a": 1, "b": 2}}
    assert parse_yaml(laughs(4).encode(), "x").keys() == {"k0", "k1", "k2", "k3"}
    assert parse_yaml(b"'23': x\na: 1:30\nb: 1.5e+3\nc: 1_000.5", "x") == {"23": "x", "a": 90, "b": 1500.0, "c": 1000.5}
    assert math.isclose(parse_yaml(b"a: 1e-5\nb: 1.0e-05", "x")["b"], 1e-5)
