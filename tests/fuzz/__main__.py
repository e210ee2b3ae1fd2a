"""Run every kind of damage in its number: ``python -m tests.fuzz --seed 7``, or ``make fuzz seed=7``.

Each kind is a module that can be run alone, too (``python -m tests.fuzz.videos --count 300 --seed 7``).
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys

from pyvmaf.errors import unknown_name

COUNTS = {"videos": 2000, "graphs": 500, "documents": 300, "corpora": 300, "models_json": 500, "session": 1000}
"""Inputs of each kind in a whole run."""


def main() -> int:
    """Run the kinds one after another; 1 if any of them finds something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(COUNTS)}; by default all")
    parser.add_argument("--seed", type=int, help="by default another one each time; it is printed")
    parser.add_argument("--share", type=float, default=1.0, help="share of the inputs of a whole run")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 16) if options.seed is None else options.seed
    for kind in options.kinds:
        if kind not in COUNTS:
            parser.error(str(unknown_name("kind", kind, COUNTS)))
    found = []
    for kind in options.kinds or COUNTS:
        count = max(1, round(COUNTS[kind] * options.share))
        print(f"{kind}: {count} inputs, seed {seed}", flush=True)
        words = [sys.executable, "-m", f"tests.fuzz.{kind}", "--count", str(count), "--seed", str(seed)]
        if subprocess.run(words, check=False).returncode:
            found.append(kind)
    print(f"findings in: {', '.join(found)} (seed {seed})" if found else f"no findings (seed {seed})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
