"""The code that a page depends on: another verb's code must not make pages again."""

from __future__ import annotations

from pyvmaf.base.code import modules


def test_a_card_needs_no_code_of_the_stages_before_it() -> None:
    stages = ("corpora", "encodes", "features", "frames", "tables", "models", "quantized", "engines", "scoring")
    assert not [name for name in modules("card") if name.split(".")[1] in stages]
