"""The wheel that ``make wheel`` makes scores in an empty environment without a compiler."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.make.videos import REPOSITORY


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif("PYVMAF_REQUIRE_NETWORK" not in os.environ, reason="needs a package index")
def test_a_wheel_scores_in_an_empty_environment() -> None:
    variables = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", "--no-print-directory", "-o", "setup", "wheel"],
        cwd=REPOSITORY,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert re.search(r"manylinux\w+\.whl: .* equal to this checkout's$", done.stdout.strip())
