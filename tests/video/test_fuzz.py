"""A few damaged videos of `tests.fuzz.videos`: refused, or scored as FFmpeg decodes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.videos import Checker, mutants


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checker]:
    checker = Checker(tmp_path_factory.mktemp("fuzz"))
    yield checker
    checker.close()


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_damaged_videos_are_refused_or_scored_as_ffmpeg_decodes_them(checker: Checker, seed: int) -> None:
    answers = {}
    for number, mutant in enumerate(mutants(checker.videos, seed, 12)):
        answers[number, mutant.name, mutant.kind] = checker.check(mutant)
    assert not {key: answer for key, answer in answers.items() if answer.failed}
    assert {answer.verdict for answer in answers.values()} >= {"refused"}


def test_whole_videos_are_scored(checker: Checker, tmp_path: Path) -> None:
    from tests.fuzz.videos import Mutant

    answers = {name: checker.check(Mutant(name, "", path.read_bytes())) for name, path in checker.videos.items()}
    assert {name for name, answer in answers.items() if answer.verdict != "scored"} == set()
