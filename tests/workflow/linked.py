"""Environments of chosen distributions of this one, made of links: without downloads or copies of gigabytes."""

from __future__ import annotations

import re
import shutil
import sys
import venv
from collections.abc import Collection, Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.make.videos import REPOSITORY

PROJECT = "vmaf-train"

# At its end, each process writes the files of its modules into the folder that its environment variable names.
_WITNESS = """
import atexit, os, sys

def _note(folder=os.environ.get("IMPORTED_TO")):
    if folder:
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        with open(os.path.join(folder, f"{os.getpid()}.txt"), "a", encoding="utf-8") as stream:
            stream.writelines(f"{file}\\n" for file in sorted(filter(None, files)))

atexit.register(_note)
"""


@cache
def installed() -> dict[str, metadata.Distribution]:
    """Return the distributions of the running Python by canonical name."""
    return {canonicalize_name(found.metadata["Name"]): found for found in metadata.distributions()}


def closure(wanted: Iterable[str]) -> set[str]:
    """Return the names of `wanted` (requirements such as "ray[tune]") and of everything that they require."""
    waiting = [Requirement(item) for item in wanted]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        item = waiting.pop()
        known = (canonicalize_name(item.name), frozenset(item.extras))
        if known in seen:
            continue
        seen.add(known)
        for line in installed()[known[0]].requires or ():
            needed = Requirement(line)
            if _applies(needed.marker, item.extras):
                waiting.append(needed)
    return {name for name, _ in seen}


def _applies(marker: Marker | None, extras: Collection[str]) -> bool:
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or ("",))


def pins(environment: Path) -> dict[str, str]:
    """Read what pip installs into a conda environment: version by canonical name."""
    dependencies = yaml.safe_load(environment.read_text())["dependencies"]
    found = next(item["pip"] for item in dependencies if isinstance(item, dict))
    return {canonicalize_name(name): version for name, _, version in (pin.partition("==") for pin in found)}


def locked() -> dict[str, str]:
    """Read the versions of requirements/lock.txt for this Python, by canonical name."""
    found: dict[str, str] = {}
    for line in (REPOSITORY / "requirements" / "lock.txt").read_text().splitlines():
        match = re.match(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)\s*(?:;\s*(.*?))?\s*\\?$", line)
        if match and (match[3] is None or Marker(match[3]).evaluate()):
            found[canonicalize_name(match[1])] = match[2]
    return found


@cache
def _owners() -> dict[str, set[str]]:
    """Return the distributions that own files below each name of site-packages."""
    owners: dict[str, set[str]] = {}
    for name, distribution in installed().items():
        for file in distribution.files or ():
            if ".." not in file.parts and file.parts[0] != "__pycache__":
                owners.setdefault(file.parts[0], set()).add(name)
    return owners


def make(folder: Path, packages: Collection[str]) -> Path:
    """Make a virtual environment of links to exactly `packages`, and a copy of this package as pip would install it.

    Args:
        folder: the folder to make; it must not exist.
        packages: canonical names of installed distributions; their requirements are not added.

    Returns:
        The environment's folder of programs.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    bin_folder = folder / "bin"
    site = next(folder.glob("lib/python*/site-packages"))
    for name in packages:
        distribution = installed()[name]
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if file.parts[:3] == ("..", "..", "..") and file.parts[3] == "bin":
                _program(bin_folder, source)
            elif ".." not in file.parts and file.parts[0] != "__pycache__":
                # The folder of one package is one link; a shared folder (nvidia, google) is made of links to files.
                shared = not _owners()[file.parts[0]] <= set(packages)
                target = site / (file if shared else file.parts[0])
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.symlink_to(
                        source if shared else source.parents[len(file.parts) - 2] if len(file.parts) > 1 else source
                    )
    add_package(site, bin_folder)
    (site / "_witness.py").write_text(_WITNESS)
    (site / "_witness.pth").write_text("import _witness\n")
    return bin_folder


def _program(bin_folder: Path, source: Path) -> None:
    """Write a script anew, because it starts with the path of its Python; link any other program."""
    target = bin_folder / source.name
    with source.open("rb") as stream:
        script = stream.read(2) == b"#!"
    if not script:
        target.symlink_to(source)
        return
    _, _, text = source.read_text().partition("\n")
    target.write_text(f"#!{bin_folder}/python\n{text}")
    target.chmod(0o755)


def add_package(site: Path, bin_folder: Path) -> None:
    """Put a copy of this package into an environment, and its program."""
    import pyvmaf._native

    # With what Python has compiled, which each environment would compile again.
    shutil.copytree(REPOSITORY / "pyvmaf", site / "pyvmaf", ignore=shutil.ignore_patterns("*.so"))
    built = Path(str(pyvmaf._native.__file__))
    for path in (built, *built.parent.glob("_native*.json")):
        if not (site / "pyvmaf" / path.name).exists():
            (site / "pyvmaf" / path.name).symlink_to(path)
    recorded = Path(str(installed()[PROJECT].locate_file("")))
    information = next(recorded.glob(f"{PROJECT.replace('-', '_')}-*.dist-info"))
    (site / information.name).symlink_to(information)
    _program(bin_folder, Path(sys.executable).parent / PROJECT)


def imported(folder: Path) -> set[str]:
    """Return the distributions whose modules processes with ``IMPORTED_TO=folder`` loaded."""
    lines = {line for path in folder.glob("*.txt") for line in path.read_text().splitlines()}
    found: set[str] = set()
    for line in lines:
        parts = Path(line).parts
        if "site-packages" in parts:
            found |= _owners().get(parts[parts.index("site-packages") + 1], set())
    return found - {PROJECT}
