"""Run the benchmarks of this folder: ``python -m bench [NAME...]``."""

from __future__ import annotations

import argparse
import ast
import sys
from importlib import import_module
from pathlib import Path

from pyvmaf.errors import unknown_name


def summaries() -> dict[str, str]:
    """Return the first sentence of each benchmark's docstring, by name; nothing is imported for it."""
    files = sorted(Path(__file__).parent.glob("bench_*.py"))
    texts = {file: ast.get_docstring(ast.parse(file.read_text())) or "" for file in files}
    return {
        file.stem.removeprefix("bench_"): " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
        for file, text in texts.items()
    }


def main() -> int:
    """Run benchmarks one after another; return 1 if a bar is missed and 2 for an unknown name."""
    known = summaries()
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Run benchmarks. Each prints figures, most of them ratios to a named peer, with the bar beside them.",
        epilog="benchmarks:\n" + "\n".join(f"  {name:12}{text}" for name, text in known.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark; by default all of them")
    names = parser.parse_args().names or list(known)
    for name in names:
        if name not in known:
            print(f"error: {unknown_name('benchmark', name, known)}", file=sys.stderr)
            return 2
    results = {name: bool(import_module(f"bench.bench_{name}").main()) for name in names}
    missed = [name for name, met in results.items() if not met]
    print(f"bars missed in: {', '.join(missed)}" if missed else f"every bar is met: {', '.join(results)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
