"""Words that a shell offers when somebody presses Tab: the protocol of the completion script, without the shell."""

from __future__ import annotations

import pytest
from typer.main import get_command

from pyvmaf.cli import build
from tests.make.commands import command


@pytest.fixture
def offered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Words offered for the last, unfinished word of the command line that is the parameter."""
    line = str(request.param)
    monkeypatch.setenv("_VMAF_TRAIN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    done = command()
    assert done.returncode == 0
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ("vmaf-train feature", {"features", "feature-correlation"}),
        ("vmaf-train quan", {"quantize-int8"}),
        ("vmaf-train tune --ob", {"--objective"}),
        ("vmaf-train tune --backend ", {"optuna", "ray"}),
        ("vmaf-train score --features canonical6,cie", {"canonical6,ciede2000"}),
        ("vmaf-train subset-sweep --subsets canonical6,B-ssim", {"canonical6,B-ssimulacra2"}),
    ],
    indirect=["offered"],
)
def test_verbs_options_and_names_are_completed(offered: set[str], expected: set[str]) -> None:
    assert offered == expected


@pytest.mark.parametrize("offered", ["vmaf-train "], indirect=True)
def test_every_verb_is_offered(offered: set[str]) -> None:
    verbs = get_command(build()).commands  # type: ignore[attr-defined]
    assert offered == {name for name, verb in verbs.items() if not verb.hidden}
