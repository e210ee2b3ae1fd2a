"""Another kind is one new file and one row: each line of the design's table, added to a copy, and what it replans."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.make.workflows import Case, Planned, plan_once

SMALL = ("--configfile", "small.yaml")
LADDERS = {"encode_rung", "extract_features", "build_shard", "combine_table"}
FROM_FIT = {"fit_model", "judge_model", "export_model", "quantize_model"}
CLOSING = {"register_models", "render_report", "render_card", "summarize_run"}
VERDICTS = {"judge_model", "export_model", "quantize_model"} | CLOSING


TOGETHER = "all that replan nothing"
NEAREST = Path(__file__).parents[1] / "models" / "nearest.py"


@dataclass(frozen=True)
class Addition:
    """One more of a kind of thing.

    Attributes:
        files: new files by path, with their text.
        rows: edits of files that exist: (file, text before which the row goes, row).
        replanned: rules that the addition alone plans again.
        use: options of a run that uses it.
        planned: rules that such a run plans; None if there is nothing to use.
    """

    files: Mapping[str, str]
    rows: tuple[tuple[str, str, str], ...] = ()
    replanned: frozenset[str] = frozenset()
    use: tuple[str, ...] = ()
    planned: frozenset[str] | None = None

    @property
    def edits(self) -> tuple[tuple[str, str, str], ...]:
        new = tuple((path, "", text) for path, text in self.files.items())
        return new + tuple((path, old, row + old) for path, old, row in self.rows)

    @property
    def lines(self) -> int:
        return sum(len(row.strip().splitlines()) for _, _, row in self.rows)


ADDITIONS: dict[str, Addition] = {
    "feature": Addition(
        {},
        (
            (
                "pyvmaf/features/catalog.py",
                '    Feature("psnr_y"',
                '    Feature("vif_scale0_neg", Request("vif", (("vif_enhn_gain_limit", "1.0"),)), "integer_vif_scale0_egl_1", '
                '0, 1, 23.2, "VIF without enhancement gain"),\n',
            ),
        ),
        use=("--config", "features=[canonical6, vif_scale0_neg]"),
        planned=frozenset({"extract_features", "hard_negatives", "build_shard", "combine_table"} | FROM_FIT | CLOSING),
    ),
    "encoder": Addition(
        {},
        (
            (
                "pyvmaf/codecs/encoders.py",
                '    Encoder(\n        name="libvpx-vp9",',
                '    Encoder(name="libaom-av1", presets=("6", "8"), preset_default="6", crf_min=0, crf_max=63, '
                'crf_default=35, bit_depths=(8, 10), chroma=("420",), aliases=("aom",), version="aom", '
                'preset_option="-cpu-used"),\n',
            ),
        ),
        use=(
            "--config",
            "codecs=[libx264, libsvtav1, libaom-av1]",
            "ladders={libaom-av1: {presets: [8], crfs: [30, 50]}}",
        ),
        planned=frozenset(LADDERS | FROM_FIT | CLOSING),
    ),
    "codec vocabulary": Addition(
        {},
        (
            (
                "pyvmaf/codecs/vocabularies.py",
                "        # The same for the encoders",
                '        Vocabulary(version="v7", slots=(*_V1, "libaom-av1", UNKNOWN), preset_ordinals=_V1_ORDINALS, '
                "preset_missing=0.5, quality=None),\n",
            ),
        ),
    ),
    "engine": Addition(
        {
            "pyvmaf/engines/nothing.py": '"""An engine for a plan."""\n\nclass Nothing:\n    name = "nothing"\n\n'
            '    def identity(self):\n        return "nothing-1"\n\n\nENGINE = Nothing()\n'
        },
        (("pyvmaf/engines/__init__.py", '"libvmaf": "pyvmaf.engines', '"nothing": "pyvmaf.engines.nothing", '),),
    ),
    "kind of corpus": Addition(
        {
            "pyvmaf/corpora/lists.py": '"""Corpora of the kind ``list``."""\n\nfrom typing import Literal\n\n'
            "from pydantic import Field\n\nfrom pyvmaf.corpora.folder import Spec as Folder\n\n\nclass Spec(Folder):\n"
            '    """Videos of a list."""\n\n    kind: Literal["list"] = Field(description="Videos of a list.")\n'
        },
        (("pyvmaf/corpora/__init__.py", '    "folder": Kind(', '    "list": Kind("pyvmaf.corpora.lists", CLIPS),\n'),),
        use=("--config", "corpora=[mine, listed]"),
        planned=frozenset({"prepare_clip", "collect_corpus", "hard_negatives"} | LADDERS | FROM_FIT | CLOSING),
    ),
    "distortion": Addition(
        {
            "pyvmaf/encodes/blur.py": '"""The distortion ``blur``."""\n\nfrom pyvmaf.encodes.filter import FilterRung\n\n\n'
            "def ladder(name, keys):\n"
            '    return [FilterRung("gblur=sigma={strength}", strength) for strength in keys["strengths"]]\n'
        },
        (("pyvmaf/encodes/distortion.py", '    "filter": "pyvmaf', '    "blur": "pyvmaf.encodes.blur",\n'),),
        use=("--config", "codecs=[libx264, libsvtav1, soft]", "ladders={soft: {distortion: blur, strengths: [1, 3]}}"),
        planned=frozenset(LADDERS | FROM_FIT | CLOSING),
    ),
    "model family": Addition(
        {"pyvmaf/models/nearest.py": NEAREST.read_text()},
        (
            (
                "pyvmaf/base/families.py",
                '    "fr": "pyvmaf.models.regressor",',
                '    "nearest": "pyvmaf.models.nearest",\n',
            ),
        ),
        use=("--config", "models=[small, near]"),
        planned=frozenset({"fit_model", "judge_model", "export_model"} | CLOSING),
    ),
    "report section": Addition(
        {
            "pyvmaf/reports/pages/run/hello.py": '"""One more section."""\n\n\ndef section(report):\n    return None\n',
        },
        (
            ("pyvmaf/reports/pages/run/page.py", "    provenance.section,\n)", "    hello.section,\n"),
            (
                "pyvmaf/reports/pages/run/page.py",
                "from pyvmaf.reports.pages.run.report import",
                "from pyvmaf.reports.pages.run import hello\n",
            ),
        ),
        replanned=frozenset({"render_report"}),
    ),
}


@pytest.fixture(scope="module")
def plans(session_folder: Path, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Planned]:
    """Plans in a folder in which everything has run, from copies of the checkout with additions.

    Additions that replan nothing are in one copy: what is not planned after all of them, none of them plans.
    """

    def prepare() -> tuple[Path, Mapping[str, Case]]:
        folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("additions") / "run"))
        mine = (folder / "config" / "corpora" / "mine.yaml").read_text()
        listed = mine.replace("name: mine", "name: listed").replace("kind: folder", "kind: list")
        (folder / "config" / "corpora" / "listed.yaml").write_text(listed)
        near = {"name": "near", "kind": "nearest", "description": "A table of one feature", "quantised": []}
        (folder / "config" / "models" / "near.yaml").write_text(yaml.safe_dump(near))
        together = tuple(edit for addition in ADDITIONS.values() if not addition.replanned for edit in addition.edits)
        cases = {TOGETHER: Case(SMALL, together)}
        for name, addition in ADDITIONS.items():
            if addition.replanned:
                cases[name] = Case(SMALL, addition.edits)
            if addition.planned is not None:
                cases[f"use of {name}"] = Case((*SMALL, *addition.use), together)
        return folder, cases

    return plan_once(session_folder, "plans-additions", prepare)


def _plan_of(name: str, plans: Mapping[str, Planned]) -> Planned:
    return plans[name if ADDITIONS[name].replanned else TOGETHER]


@pytest.fixture(scope="module", autouse=True)
def _table(plans: Mapping[str, Planned], request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what each addition takes and replans."""
    yield
    lines = [f"{'addition':18} {'files':>5} {'lines':>5}  replanned"]
    for name, addition in ADDITIONS.items():
        rules = ", ".join(sorted(_plan_of(name, plans).rules)) or "nothing"
        lines.append(f"{name:18} {len(addition.files):5} {addition.lines:5}  {rules}")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(lines))


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_replans_nothing_that_exists(plans: Mapping[str, Planned], name: str) -> None:
    planned = _plan_of(name, plans)
    assert planned.code == 0, planned.text
    assert planned.rules == ADDITIONS[name].replanned, planned.text


@pytest.mark.parametrize("name", [name for name, addition in ADDITIONS.items() if addition.planned is not None])
def test_an_addition_is_planned_if_a_configuration_names_it(plans: Mapping[str, Planned], name: str) -> None:
    planned = plans[f"use of {name}"]
    assert planned.code == 0, planned.text
    assert planned.rules == set(ADDITIONS[name].planned or ()), planned.text


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_is_one_file_or_row(name: str) -> None:
    addition = ADDITIONS[name]
    assert len(addition.files) <= 1
    # A section of a page is imported and listed.
    assert addition.lines <= (2 if name == "report section" else 1)
