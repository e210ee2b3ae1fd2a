"""The identity of the code behind a stage, so that a workflow can see a change inside this package.

A stage's fingerprint is a hash over the syntax trees (comments, docstrings, formatting and line numbers do
not count) of the modules of ``pyvmaf/<stage>/`` and of every module of this package that they import,
directly or not, plus the data files that those modules ship with, plus the native build's identity where
the stage computes with libvmaf. Rules carry it as a parameter; every verb refuses to run when its own
differs. Nothing that is hashed is imported.

What does not count: ``pyvmaf/cli`` (it parses and prints), imports under ``if TYPE_CHECKING:``, and the
``__init__`` of a package from which only another module is taken. See `modules` for what a stage is made of.

Packages whose verbs no rule calls (`ASIDE`) have fingerprints of their own, which their reports hold: editing
them replans nothing.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pyvmaf.errors import unknown_name

STAGES = ("corpora", "encodes", "features", "tables", "models", "quantized", "registry", "reports")

ASIDE = {"audit": "audit", "checks": "checks", "studies": "models/studies"}
"""Folders of code that people run by hand, by name: no part of a stage unless one of its modules imports them."""

_NATIVE_STAGES = frozenset({"features"})
_PACKAGE = "pyvmaf"
_DIGITS = 16

# Raise this when the way of hashing changes: fingerprints of before are then not those of now.
_SCHEME = "1"

# Never followed: these parse, print, start the program, compute this very hash, or have an identity of their own.
_OUTSIDE = ("pyvmaf.cli", "pyvmaf.__main__", "pyvmaf.fingerprint", "pyvmaf._native")

# Of these only the imports at the top are followed. Both import lazily, inside functions, on behalf of whoever
# calls: the package's `__init__` re-exports the whole library, and the manifest writer asks the stage that
# writes for its engine. Following them would make every stage depend on every other.
_SHALLOW = frozenset({"pyvmaf", "pyvmaf.provenance"})

# Beside modules, but never read by them at run time.
_NOT_DATA = frozenset({".py", ".pyc", ".pyi", ".so", ".md", ".typed"})

# What was built is a part of its own. Its file lies beside the modules of an installed package, but in no checkout.
_BUILD = "_native_build.json"

_PARTS = Path("logs", "engine")

# Old versions of sources pile up in the store while somebody edits; beyond this many it is emptied of them.
_MOST_ENTRIES = 1000


class _Module(NamedTuple):
    """What one source file contributes.

    Attributes:
        tree: hash of the syntax tree.
        top: names imported when the module is imported, as candidates ("pyvmaf.a.b" may be module or attribute).
        lazy: names imported inside functions.
        words: file names that stand in string constants, by which data files are found.
    """

    tree: str
    top: tuple[str, ...]
    lazy: tuple[str, ...]
    words: tuple[str, ...]


def uses_native(stage: str) -> bool:
    """Whether `stage` computes with libvmaf, so that another build of it gives another fingerprint."""
    return _known(stage) in _NATIVE_STAGES


def modules(stage: str, root: Path | None = None) -> tuple[str, ...]:
    """Dotted names of the modules whose code makes up `stage`, sorted.

    Args:
        stage: one of `STAGES` or `ASIDE`.
        root: a package folder to look at instead of the installed one.

    Raises:
        InputError: there is no such stage.
    """
    return tuple(sorted(_closure(_known(stage), _folder(root))))


def fingerprint(stage: str, root: Path | None = None) -> str:
    """16 hex digits that change when the code that computes `stage` changes.

    Args:
        stage: one of `STAGES` or `ASIDE`.
        root: a package folder to hash instead of the installed one.

    Raises:
        InputError: there is no such stage.
    """
    return _fingerprint(_known(stage), _folder(root))


def record_parts(stage: str, folder: Path) -> None:
    """Write down what the fingerprint of `stage` is made of, so that an audit can later say which part changed.

    One small file per fingerprint in ``logs/engine`` below `folder`. Not being able to write it is no error.
    """
    path = folder / _PARTS / f"{fingerprint(stage)}.json"
    if path.exists():
        return
    from pyvmaf.provenance import write_json

    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"stage": stage, "parts": _parts(stage, _folder(None))})


def recorded_parts(digest: str, folder: Path) -> dict[str, str] | None:
    """The parts of the code with fingerprint `digest`, by name; None where neither this code nor a run has it.

    Args:
        digest: a fingerprint.
        folder: where runs worked; see `record_parts`.
    """
    for stage in STAGES:
        if fingerprint(stage) == digest:
            return _parts(stage, _folder(None))
    try:
        parts = json.loads((folder / _PARTS / f"{digest}.json").read_bytes())["parts"]
    except (OSError, ValueError, KeyError):
        return None
    return dict(parts)


def _known(stage: str) -> str:
    if stage not in STAGES and stage not in ASIDE:
        raise unknown_name("stage", stage, (*STAGES, *ASIDE))
    return stage


def _folder(root: Path | None) -> Path:
    return Path(__file__).parent if root is None else root.resolve()


@cache
def _fingerprint(stage: str, root: Path) -> str:
    lines = [f"scheme {_SCHEME}", *(f"{part} {digest}" for part, digest in _parts(stage, root).items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS]


@cache
def _parts(stage: str, root: Path) -> dict[str, str]:
    """The identity of each part of a stage: modules, data files, the native build."""
    found = _closure(stage, root)
    parts = {f"module {name}": found[name].tree for name in sorted(found)}
    for path in _data_files(stage, root, found):
        parts[f"data {path.relative_to(root).as_posix()}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if stage in _NATIVE_STAGES:
        # Only this stage pays for knowing the native build.
        from pyvmaf.engine import identity

        parts["native"] = identity()
    return parts


@cache
def _closure(stage: str, root: Path) -> dict[str, _Module]:
    """Every module of the stage and those that they import, by dotted name."""
    store = _store()
    waiting = [_dotted(path, root) for path in _own(stage, root) if path.suffix == ".py"]
    found: dict[str, _Module] = {}
    while waiting:
        name = waiting.pop()
        if name in found or any(name == out or name.startswith(f"{out}.") for out in _OUTSIDE):
            continue
        path = _source(name, root)
        if path is None:
            # `from pyvmaf.a import b` was noted as "pyvmaf.a.b": here b is a name inside pyvmaf.a.
            waiting += [name.rpartition(".")[0]] if "." in name else []
            continue
        module = store.module(name, path)
        found[name] = module
        waiting += module.top if name in _SHALLOW else (*module.top, *module.lazy)
    store.save()
    return found


def _own(stage: str, root: Path) -> list[Path]:
    """Files in the folder of `stage`, less those of packages aside."""
    folder = root / ASIDE.get(stage, stage)
    apart = [root / path for name, path in ASIDE.items() if name != stage]
    found = (p for p in folder.rglob("*") if p.is_file() and not any(other in p.parents for other in apart))
    return sorted(found)


def _data_files(stage: str, root: Path, found: dict[str, _Module]) -> list[Path]:
    """The stage's own data files, and those that modules from elsewhere name and have beside them."""
    files = {p for p in _own(stage, root) if p.suffix not in _NOT_DATA and p.suffix and "__pycache__" not in p.parts}
    for name, module in found.items():
        path = _source(name, root)
        if path is not None:
            beside = (path.parent / word for word in module.words)
            files.update(p for p in beside if p.suffix not in _NOT_DATA and p.name != _BUILD and p.is_file())
    return sorted(files)


def _dotted(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join((_PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def _source(name: str, root: Path) -> Path | None:
    """The file of a dotted name, None where it is no module of this package (or a compiled one)."""
    base = root.joinpath(*name.split(".")[1:])
    for path in (base.with_name(f"{base.name}.py") if base != root else base, base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _read(name: str, path: Path, text: bytes) -> _Module:
    tree = ast.parse(text)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    top, lazy, names = _Imports(package).of(tree)
    words: list[str] = []
    _spell(tree, words)
    digest = hashlib.sha256("".join(words).encode("utf-8", "surrogatepass")).hexdigest()
    return _Module(digest, top, lazy, names)


def _spell(node: ast.AST, out: list[str]) -> None:
    """Append a syntax tree as text to `out`: class names and fields that are not empty.

    Leaving out empty fields makes the text the same for Python versions that differ only in having added an
    optional field. Statements that are just a string are docstrings, of modules, functions or attributes.
    """
    out.append(type(node).__name__)
    if isinstance(node, ast.Constant):
        out.append(f"({type(node.value).__name__} {node.value!r})")
        return
    out.append("(")
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            out.append(f"{field}=")
            _spell(value, out)
        elif isinstance(value, list):
            if value:
                out.append(f"{field}=[")
                for item in value:
                    if not isinstance(item, ast.AST):
                        out.append(f"{item!r},")
                    elif not (isinstance(item, ast.Expr) and _is_text(item.value)):
                        _spell(item, out)
                out.append("]")
        elif value is not None:
            out.append(f"{field}={value!r},")
    out.append(")")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


class _Imports(ast.NodeVisitor):
    """Collects the imports of this package's modules, and the strings that look like file names."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._depth = 0
        self._names: tuple[set[str], set[str]] = (set(), set())
        self._words: set[str] = set()

    def of(self, tree: ast.Module) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        self.visit(tree)
        top, lazy = self._names
        return tuple(sorted(top)), tuple(sorted(lazy)), tuple(sorted(self._words))

    def _add(self, name: str) -> None:
        if name == _PACKAGE or name.startswith(f"{_PACKAGE}."):
            self._names[self._depth > 0].add(name)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parents = self._package.split(".")
            parents = parents[: len(parents) - node.level + 1]
            base = ".".join((*parents, base)) if base else ".".join(parents)
        for alias in node.names:
            self._add(base if alias.name == "*" else f"{base}.{alias.name}")

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
        for child in node.orelse if name == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(child)

    def _inside(self, node: ast.AST) -> None:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _inside  # noqa: N815 (names set by the base class)

    def visit_Constant(self, node: ast.Constant) -> None:
        word = node.value
        if isinstance(word, str) and len(word) < 100 and "." in word[1:] and not set(word) & set(" \n/\\%{}*<>|:"):
            self._words.add(word)


class _Store:
    """Remembers what each source text came to, because walking all syntax trees takes half a second.

    One file in the user's cache folder, keyed by the hash of the source text: an entry can be missing but never
    out of date. Where nothing can be written the trees are walked every time.
    """

    def __init__(self) -> None:
        self._path = _cache_folder() / f"fingerprint-{_SCHEME}.{sys.implementation.cache_tag}.json"
        self._new = False
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            found = None
        self._entries: dict[str, Any] = found if isinstance(found, dict) else {}
        self._used: set[str] = set()
        # The code that reads the trees is part of every key: editing it makes all entries new.
        self._reader = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()

    def module(self, name: str, path: Path) -> _Module:
        text = path.read_bytes()
        key = hashlib.sha256(f"{self._reader} {name} {path.name}\n".encode() + text).hexdigest()
        self._used.add(key)
        if key in self._entries:
            tree, top, lazy, words = self._entries[key]
            return _Module(tree, tuple(top), tuple(lazy), tuple(words))
        module = self._entries[key] = _read(name, path, text)
        self._new = True
        return module

    def save(self) -> None:
        """Write what was learned; not being able to is no error."""
        if not self._new:
            return
        self._new = False
        if len(self._entries) > _MOST_ENTRIES:
            self._entries = {key: self._entries[key] for key in self._used}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(handle, "w") as stream:
                json.dump(self._entries, stream)
            os.replace(name, self._path)
        except OSError:
            return


@cache
def _store() -> _Store:
    return _Store()


def _cache_folder() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return Path(given or os.path.expanduser("~/.cache")) / _PACKAGE
