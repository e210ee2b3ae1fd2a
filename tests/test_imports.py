"""Data moves one way: no module of the package imports a higher layer, and no imports form a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pyvmaf

PACKAGE = Path(pyvmaf.__file__).parent

# From the foundation to the command line. A module imports from its own layer and from layers before it in this list.
LAYERS = (
    *("errors", "chunks", "base", "metrics", "splits", "video", "engines", "codecs"),
    *("corpora", "labels", "encodes", "features", "frames", "tables", "runtime", "models", "quantized"),
    *("registry", "scoring", "reports", "studies", "checks", "workflow", "cli"),
)
# Not layers: the extension, the package itself, and the program.
OUTSIDE = {"pyvmaf", "pyvmaf._native", "pyvmaf.__main__"}


@cache
def sources() -> dict[str, Path]:
    """Return the file of every module of the package by dotted name."""
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("pyvmaf", *path.relative_to(PACKAGE).with_suffix("").parts)
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports(path: Path, *, types: bool) -> Iterator[tuple[int, str]]:
    """Find the imports of this package's modules in a module, inside functions, too: line and dotted name.

    Args:
        path: the module's file.
        types: whether imports under ``if TYPE_CHECKING:`` count.
    """
    tree = ast.parse(path.read_text())
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING" and not types:
            hidden.update(inner for statement in node.body for inner in ast.walk(statement))
    known = sources()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.partition(".")[0] == "pyvmaf")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pyvmaf":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield node.lineno, full if full in known else str(node.module)


def layer(module: str) -> int:
    return LAYERS.index(module.split(".")[1])


def test_every_module_lies_in_a_layer() -> None:
    assert {name.split(".")[1] for name in sources() if name not in OUTSIDE} <= set(LAYERS)


def test_no_module_imports_a_higher_layer() -> None:
    upward = [
        f"{name}:{line} imports {target}"
        for name, path in sources().items()
        if name not in OUTSIDE
        for line, target in imports(path, types=False)
        if target not in OUTSIDE and layer(target) > layer(name)
    ]
    assert not upward, "\n".join(upward)


def test_no_imports_form_a_circle() -> None:
    """Imports for type checkers count, too: a type that two modules share belongs into a third."""
    graph = {
        name: {target for _, target in imports(path, types=True) if target in sources() and target not in OUTSIDE}
        for name, path in sources().items()
        if name not in OUTSIDE
    }
    circles: list[str] = []
    done: set[str] = set()

    def follow(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circles.append(" -> ".join((*trail[trail.index(name) :], name)))
            return
        if name in done:
            return
        for target in sorted(graph[name]):
            follow(target, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        follow(name, ())
    assert not circles, "\n".join(circles)


@pytest.mark.parametrize("entry", ["pyvmaf.runtime.load"])
def test_a_finished_model_needs_no_trainer_judge_or_exporter(entry: str) -> None:
    from pyvmaf.base.code import Uses, modules

    closure = set(modules("trace", Uses(modules=(entry,)))) - set(modules("trace"))
    training = {name for name in closure if name.split(".")[-1] in ("trainer", "kernels", "judge", "fit", "export")}
    assert not training
