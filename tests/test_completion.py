"""What a shell is told when somebody presses Tab: the protocol of the completion script, without the shell."""

from __future__ import annotations

import subprocess
import sys

import pytest


def offered(line: str) -> set[str]:
    """Words offered for the last, unfinished word of a command line."""
    words = line.split(" ")
    done = subprocess.run(
        [f"{sys.prefix}/bin/vmaf-train"],
        env={
            "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
            "_VMAF_TRAIN_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vmaf-train feature", {"features", "feature-correlation"}),
        ("vmaf-train quan", {"quantize-int8"}),
        ("vmaf-train tune --ob", {"--objective"}),
        ("vmaf-train tune --backend ", {"optuna", "ray"}),
        ("vmaf-train score --backend ", {"cpu"}),
        ("vmaf-train score --features canonical6,cam", {"canonical6,cambi"}),
        ("vmaf-train subset-sweep --subsets canonical6,B-ssim", {"canonical6,B-ssimulacra2"}),
    ],
)
def test_verbs_options_and_names_are_completed(line: str, expected: set[str]) -> None:
    assert offered(line) == expected


def test_every_verb_is_offered() -> None:
    from typer.main import get_command

    from pyvmaf.cli import app

    verbs = get_command(app).commands  # type: ignore[attr-defined]
    assert offered("vmaf-train ") == {name for name, verb in verbs.items() if not verb.hidden}
