"""Pages about models that look at pictures, and about published checkpoints."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest

from pyvmaf.base import layout
from pyvmaf.base.files import read_json
from pyvmaf.registry.register import register
from pyvmaf.reports.pages.card.page import write_cards
from pyvmaf.reports.pages.run.page import write_report
from pyvmaf.reports.read import read_run
from pyvmaf.reports.summary import write_summary
from tests.make.pages import Parsed
from tests.make.pictures import FILTER, SCORE, shipped, write_pictures


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a score and a filter of pictures, registered."""
    folder = tmp_path_factory.mktemp("looking")
    (folder / "results" / "tables").mkdir(parents=True)
    with chdir(folder):
        table = write_pictures(folder / layout.TABLE.path(table="pictures"))
        for spec in (SCORE, FILTER):
            shipped(Path("results/models") / spec["name"], spec, table)
        register(["results"], layout.REGISTRY.path())
    return folder


@pytest.fixture(scope="module")
def cards(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parsed]:
    with chdir(run):
        written = write_cards(["results"], tmp_path_factory.mktemp("cards"))
    return {path.stem: Parsed(path.read_text(encoding="utf-8")) for path in written}


def facts(page: Parsed, caption: str) -> dict[str, str]:
    return {row[0]: row[1] for row in page.table(caption)[1:]}


def test_a_card_says_how_a_model_is_fed(cards: dict[str, Parsed], run: Path) -> None:
    score, filtered = (facts(cards[name], "Overview") for name in ("small_nr", "small_filter"))
    assert score["kind"] == "image, no-reference: it scores pictures of the distorted video only"
    assert score["inputs"] == "gray pictures, black 0 and white 1"
    assert score["size of pictures"] == "at least 64x64: the mean over 3 squares of that size count"
    assert filtered["size of pictures"] == "any"
    assert filtered["reach of a sample"] == "4 samples on each side"
    levels = read_json(run / "results/models/small_nr/seed0/model.json")["trained_levels"]
    rows = cards["small_nr"].table("Range of each figure of a picture over the training pictures")[1:]
    assert [row[0] for row in rows] == sorted(levels)
    assert float(rows[0][1]) == pytest.approx(levels[rows[0][0]][0], rel=1e-3)


def test_a_card_counts_the_pictures_of_each_source(cards: dict[str, Parsed]) -> None:
    for page in cards.values():
        assert page.open == []
        head, *rows = page.table("Table: 4 sources of 2 groups in 1 corpus")
        assert {row[head.index("source")] for row in rows} == {f"scene{number}" for number in range(4)}
        assert {row[head.index("rows")] for row in rows} == {"10"}


def test_the_pages_of_the_run_take_such_models(run: Path, tmp_path: Path) -> None:
    with chdir(run):
        assert write_report(read_run(["results"]), tmp_path / "report.html") > 100_000
        write_summary(["results"], tmp_path / "summary.json")
    page = Parsed((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    models = {model["model"] for model in read_json(tmp_path / "summary.json")["models"]}
    assert models == {"small_nr", "small_filter"}
