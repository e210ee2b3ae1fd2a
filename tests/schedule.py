"""Order of the tests, and their division among test processes.

pytest-xdist 3.8 groups tests by a change of their node ids that pytest 9.2 ignores: every test would go to whichever process
is free, and each process would make the fixtures of every module. Here a file is one piece of work, and the longest files
come first, so that no process has a long file left when the others are done.
"""

from __future__ import annotations

# Files that take more than 13 s of processor time, the longest piece first: while one process runs it, another makes the
# run that most others wait for.
LONGEST = (
    "tests/docs/test_commands.py",
    "tests/test_wheel.py",
    "tests/workflow/test_recovery.py",
    "tests/workflow/test_environments.py",
    "tests/workflow/test_plan.py",
    "tests/workflow/test_builders.py",
    "tests/scoring/test_shots.py",
    "tests/workflow/test_contributing.py",
    "tests/workflow/test_pairs.py",
    "tests/native/test_cuda_engine.py",
    "tests/studies/test_tune.py",
    "tests/encodes/test_encode.py",
    "tests/workflow/test_additions.py",
    "tests/workflow/test_frames.py",
    "tests/models/image/test_frozen.py",
    "tests/base/test_code.py",
)
# Files whose tests share only fixtures that all processes share: each test is a piece of work.
DIVISIBLE = ("tests/workflow/test_recovery.py",)


def rank(nodeid: str) -> int:
    """Return the place of a test's file in the order of work."""
    path = nodeid.partition("::")[0]
    return LONGEST.index(path) if path in LONGEST else len(LONGEST)


def piece(nodeid: str) -> str:
    """Return the name of the piece of work that a test belongs to."""
    path = nodeid.partition("::")[0]
    return nodeid if path in DIVISIBLE else path
