"""The code that a page depends on: the code of other verbs must not make pages again."""

from __future__ import annotations

import pytest

from pyvmaf.base.code import modules
from pyvmaf.base.families import uses

DOCUMENTS = {
    *("pyvmaf.models.verdicts", "pyvmaf.models.imported.conversion", "pyvmaf.quantized.report"),
    *("pyvmaf.runtime.manifest", "pyvmaf.runtime.sidecar", "pyvmaf.runtime.checkpoint"),
}
STAGES = ("corpora", "encodes", "engines", "features", "frames", "tables", "models", "quantized", "runtime", "scoring")


def test_a_card_needs_only_the_documents_of_the_stages_before_it() -> None:
    needed = {name for name in modules("card") if name.split(".")[1] in STAGES}
    # The family of a document is looked up by name, so its protocol counts as well.
    # What a card says of a model's inputs is its family's, whose form counts, and the table of what models do.
    assert needed <= DOCUMENTS | {"pyvmaf.runtime.predictor", "pyvmaf.models.shown", "pyvmaf.runtime.tasks"}


@pytest.mark.parametrize("verb", ["report", "card", "summary"])
def test_no_page_needs_code_that_trains_judges_or_exports(verb: str) -> None:
    used = modules(verb, uses(verb, "fr", "mos"))
    forbidden = ("trainer", "kernels", "fit", "judge", "export", "quantize", "qat", "extract", "ladder")
    assert not [name for name in used if name.rpartition(".")[2] in forbidden]


def test_a_page_depends_on_the_predictors_of_its_models() -> None:
    assert "pyvmaf.models.regressor.predictor" in modules("report", uses("report", "fr"))
