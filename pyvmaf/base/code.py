"""The identity of the code behind a verb, so that a workflow can see a change inside this package.

A verb's identity is a hash over the syntax trees of its entry module (`pyvmaf.base.verbs`) and of every module of this
package that it imports, directly or not, over the files that those modules name with `resource`, and over what else
the plan says that the verb uses (a family of models, an engine). Rules carry it as a parameter; every verb refuses to
run if its own differs. Nothing that is hashed is imported.

Left out of a syntax tree, because it decides no value that a verb writes:

* comments, docstrings, formatting and line numbers;
* the words of an exception: arguments of what is raised, of a call whose name ends in ``Error`` or ``Warning``, and of
  `unknown_name`;
* descriptions: the keyword ``description`` of ``Field``;
* data, which the plan hashes by row or by value: names that are annotated as `Table` or `Row` (`pyvmaf.base.table`),
  and the fields of a `Section`, because rules carry the values of the keys that they read;
* imports under ``if TYPE_CHECKING:``.

The command line (``pyvmaf.cli``) and the ``__init__`` of a package from which only another module is taken do not
count either.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pyvmaf.base.files import cache_folder, write_json
from pyvmaf.base.verbs import verb

_PACKAGE = "pyvmaf"
_DIGITS = 16

# Raise this when the way of hashing changes: identities of before are then not those of now.
_SCHEME = "2"

# Never followed: these parse, print, start the program, word errors, name the verbs and extras, or compute this very hash.
_OUTSIDE = (
    *("pyvmaf.cli", "pyvmaf.__main__", "pyvmaf.errors"),
    *("pyvmaf.base.code", "pyvmaf.base.extras", "pyvmaf.base.verbs", "pyvmaf._native"),
)

# The package's `__init__` offers the whole library, lazily: following it would make everything depend on everything.
_SHALLOW = frozenset({"pyvmaf"})

_DATA_ANNOTATIONS = frozenset({"Table", "Row"})
_SECTION = "Section"

_PARTS = Path("logs", "code")

# Old versions of sources pile up in the store while somebody edits; beyond this many it is emptied of them.
_MOST_ENTRIES = 1000


class _Module(NamedTuple):
    """What one source file contributes.

    Attributes:
        tree: hash of the syntax tree.
        top: names imported when the module is imported, as candidates ("pyvmaf.a.b" may be module or attribute).
        lazy: names imported inside functions.
        resources: files that it reads, seen from its folder.
    """

    tree: str
    top: tuple[str, ...]
    lazy: tuple[str, ...]
    resources: tuple[str, ...]


class Uses(NamedTuple):
    """What a verb uses that its imports do not say, because data choose it.

    Attributes:
        modules: dotted names: a family of models, a kind of corpus, a distortion, an engine.
        facts: what decides results and is not in a syntax tree, as (name, value): the identity of an engine.
    """

    modules: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


NOTHING = Uses()


def modules(name: str, uses: Uses = NOTHING, *, root: Path | None = None) -> tuple[str, ...]:
    """Dotted names of the modules whose code makes up a verb, sorted.

    Args:
        name: a verb.
        uses: what it uses beside its imports.
        root: a package folder to look at instead of the installed one.

    Raises:
        InputError: there is no such verb.
    """
    return tuple(sorted(_closure((verb(name).entry, *uses.modules), _folder(root))))


def identity(name: str, uses: Uses = NOTHING, *, root: Path | None = None) -> str:
    """16 hex digits that change when the code that computes a verb changes.

    Args:
        name: a verb.
        uses: what it uses beside its imports.
        root: a package folder to hash instead of the installed one.

    Raises:
        InputError: there is no such verb.
    """
    return _identity(verb(name).entry, uses, _folder(root))


def record_parts(name: str, uses: Uses, folder: Path) -> None:
    """Write what a verb's identity is made of, so that an audit can later say which part changed.

    One small file per identity in ``logs/code`` below `folder`. It is not an error if it cannot be written.
    """
    path = folder / _PARTS / f"{identity(name, uses)}.json"
    if path.exists():
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"verb": name, "parts": _parts(verb(name).entry, uses, _folder(None))})


def recorded_parts(digest: str, folder: Path) -> dict[str, str] | None:
    """The parts of the code with identity `digest`, by name; None if neither this code nor a run has it.

    Args:
        digest: an identity.
        folder: where runs worked; see `record_parts`.
    """
    for (entry, uses, root), known in _IDENTITIES.items():
        if known == digest:
            return _parts(entry, uses, root)
    try:
        return dict(json.loads((folder / _PARTS / f"{digest}.json").read_bytes())["parts"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


# Identities that this process worked out.
_IDENTITIES: dict[tuple[str, Uses, Path], str] = {}


def _folder(root: Path | None) -> Path:
    return Path(__file__).parents[1] if root is None else root.resolve()


def _identity(entry: str, uses: Uses, root: Path) -> str:
    key = (entry, uses, root)
    if key not in _IDENTITIES:
        parts = _parts(*key)
        lines = [f"scheme {_SCHEME}", f"entry {entry}", *(f"{part} {digest}" for part, digest in parts.items())]
        _IDENTITIES[key] = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS]
    return _IDENTITIES[key]


@cache
def _parts(entry: str, uses: Uses, root: Path) -> dict[str, str]:
    """The identity of each part of a verb: modules, the files that they read, facts."""
    closure = _closure((entry, *uses.modules), root)
    parts = {f"module {name}": closure[name].tree for name in sorted(closure)}
    for path in _resources(closure, root):
        parts[f"data {path.relative_to(root).as_posix()}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return parts | dict(uses.facts)


@cache
def _closure(entries: tuple[str, ...], root: Path) -> dict[str, _Module]:
    """The entry modules and every module that they import, by dotted name."""
    store = _store()
    waiting = list(entries)
    closure: dict[str, _Module] = {}
    while waiting:
        name = waiting.pop()
        if name in closure or any(name == out or name.startswith(f"{out}.") for out in _OUTSIDE):
            continue
        path = _source(name, root)
        if path is None:
            # `from pyvmaf.a import b` was noted as "pyvmaf.a.b": here b is a name inside pyvmaf.a.
            waiting += [name.rpartition(".")[0]] if "." in name else []
            continue
        module = store.module(name, path)
        closure[name] = module
        waiting += module.top if name in _SHALLOW else (*module.top, *module.lazy)
    store.save()
    return closure


def _resources(closure: Mapping[str, _Module], root: Path) -> list[Path]:
    """The files that modules read, and those in the folders that they read."""
    files: set[Path] = set()
    for name, module in closure.items():
        source = _source(name, root)
        for named in module.resources if source is not None else ():
            path = source.parent / named if source is not None else root
            files.update(p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())
    return sorted(files)


@cache
def _source(name: str, root: Path) -> Path | None:
    """The file of a dotted name; None if it is not a module of this package, or a compiled one."""
    base = root.joinpath(*name.split(".")[1:])
    for path in (base.with_name(f"{base.name}.py") if base != root else base, base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _read(name: str, path: Path, text: bytes) -> _Module:
    tree = ast.parse(text)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    top, lazy, resources = _Imports(package).of(tree)
    words: list[str] = []
    _spell(tree, words)
    digest = hashlib.sha256("".join(words).encode("utf-8", "surrogatepass")).hexdigest()
    return _Module(digest, top, lazy, resources)


def _spell(node: ast.AST, out: list[str]) -> None:
    """Append a syntax tree as text to `out`: class names and fields that are not empty.

    Leaving out empty fields makes the text the same for Python versions that differ only in having added an
    optional field.
    """
    out.append(type(node).__name__)
    if isinstance(node, ast.Constant):
        out.append(f"({type(node.value).__name__} {node.value!r})")
        return
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        _spell(node.exc.func, out)
        return
    out.append("(")
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            out.append(f"{field}=")
            _spell(value, out)
        elif isinstance(value, list):
            items = _counted(node, field, value)
            if items:
                out.append(f"{field}=[")
                for item in items:
                    if isinstance(item, ast.AST):
                        _spell(item, out)
                    else:
                        out.append(f"{item!r},")
                out.append("]")
        elif value is not None:
            out.append(f"{field}={value!r},")
    out.append(")")


def _counted(node: ast.AST, field: str, items: list[Any]) -> list[Any]:
    """The items of a field that count; see the module's description."""
    if isinstance(node, ast.Call):
        name = _name(node.func)
        if name.endswith(("Error", "Warning")) or name == "unknown_name":
            return []
        if name == "Field" and field == "keywords":
            return [item for item in items if item.arg != "description"]
        return items
    section = isinstance(node, ast.ClassDef) and field == "body" and _is_section(node)
    return [item for item in items if not (isinstance(item, ast.stmt) and _is_data(item, section))]


def _is_data(statement: ast.stmt, in_section: bool) -> bool:
    if isinstance(statement, ast.Expr):
        # Statements that are just a string are docstrings, of modules, functions or attributes.
        return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    if isinstance(statement, ast.AnnAssign):
        return in_section or _annotation(statement.annotation) in _DATA_ANNOTATIONS
    if isinstance(statement, ast.ClassDef):
        return _is_section(statement) and all(_is_data(inner, True) for inner in statement.body)
    return False


def _is_section(node: ast.ClassDef) -> bool:
    return any(_name(base) == _SECTION for base in node.bases)


def _annotation(node: ast.expr) -> str:
    return _name(node.value if isinstance(node, ast.Subscript) else node)


def _name(node: ast.expr) -> str:
    """The last part of a dotted name; empty for any other expression."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


class _Imports(ast.NodeVisitor):
    """Collects the imports of this package's modules, and the files that are named with `resource`."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._depth = 0
        self._names: tuple[set[str], set[str]] = (set(), set())
        self._resources: set[str] = set()

    def of(self, tree: ast.Module) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        self.visit(tree)
        top, lazy = self._names
        return tuple(sorted(top)), tuple(sorted(lazy)), tuple(sorted(self._resources))

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
        for child in node.orelse if _name(node.test) == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(child)

    def _inside(self, node: ast.AST) -> None:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _inside  # noqa: N815 (names set by the base class)

    def visit_Call(self, node: ast.Call) -> None:
        if _name(node.func) == "resource":
            self._resources.update(
                str(arg.value) for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            )
        self.generic_visit(node)


class _Store:
    """Remembers what each source text came to, because walking all syntax trees takes half a second.

    One file in the user's cache folder, keyed by the hash of the source text: an entry can be missing but never
    out of date. Where nothing can be written the trees are walked every time.
    """

    def __init__(self) -> None:
        self._path = cache_folder() / f"code-{_SCHEME}.{sys.implementation.cache_tag}.json"
        self._new = False
        try:
            entries = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            entries = None
        self._entries: dict[str, Any] = entries if isinstance(entries, dict) else {}
        self._used: set[str] = set()
        # A process keeps what it read first; the closures of verbs share most modules.
        self._modules: dict[tuple[str, Path], _Module] = {}
        # The code that reads the trees is part of every key: editing it makes all entries new.
        self._reader = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()

    def module(self, name: str, path: Path) -> _Module:
        if (name, path) not in self._modules:
            self._modules[name, path] = self._look_up(name, path)
        return self._modules[name, path]

    def _look_up(self, name: str, path: Path) -> _Module:
        text = path.read_bytes()
        key = hashlib.sha256(f"{self._reader} {name} {path.name}\n".encode() + text).hexdigest()
        self._used.add(key)
        if key in self._entries:
            tree, top, lazy, resources = self._entries[key]
            return _Module(tree, tuple(top), tuple(lazy), tuple(resources))
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
