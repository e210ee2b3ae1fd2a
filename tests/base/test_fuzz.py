"""Variants of documents and tables: a value, or one line that says what is wrong."""

from __future__ import annotations

from itertools import islice

from tests.fuzz.documents import KINDS, findings, mutants


def test_no_variant_of_a_file_is_answered_otherwise() -> None:
    assert findings(seed=7, count=12) == []


def test_variants_are_the_same_for_the_same_seed() -> None:
    for kind in KINDS:
        few, many = list(mutants(kind, 3, 4)), list(islice(mutants(kind, 3, 9), 4))
        assert few == many
        assert few != list(mutants(kind, 4, 4))
