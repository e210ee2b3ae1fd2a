"""``python -m bench [NAME...]``: run every ``bench_NAME.py`` of this folder, or those named."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from pyvmaf.errors import unknown_name


def main() -> int:
    """Run them one after another; 1 where a bar is missed."""
    names = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    wanted = sys.argv[1:] or names
    for name in wanted:
        if name not in names:
            print(f"error: {unknown_name('benchmark', name, names)}", file=sys.stderr)
            return 2
    results = {name: bool(import_module(f"bench.bench_{name}").main()) for name in wanted}
    missed = [name for name, met in results.items() if not met]
    print(f"every bar is met: {', '.join(results)}" if not missed else f"bars missed in: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
