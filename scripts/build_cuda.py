#!/usr/bin/env python3
"""Build the extension with CUDA beside the installed one, in ``build/cuda``, on a machine with or without a GPU.

NVIDIA's compiler comes from the pinned packages of ``requirements/cuda.txt``, into ``.cache/cuda``; nothing of it becomes
part of the extension. Python uses the extension if ``PYTHONPATH`` names the folder that the script prints:

    PYTHONPATH=$(scripts/build_cuda.py) python -c 'import pyvmaf; print(pyvmaf.engine())'

``make setup CUDA=1`` installs such an extension instead. ``make cuda`` builds with ``--few``: machine code for the oldest device,
which has the least memory for a block, and PTX of the newest; tests without a device run none of it.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
LOCK = REPOSITORY / "requirements" / "cuda.txt"
PACKAGES = REPOSITORY / ".cache" / "cuda"
TOOLKIT = PACKAGES / "nvidia" / "cu13"
BUILD = REPOSITORY / "build" / "cuda"
SITE = BUILD / "site"
FEW = ("sm_75", "compute_120")

# Python imports a module of this name when it starts, so that processes started by tests take the same extension.
_CUSTOMIZE = """\
import importlib.abc
import importlib.util
import sys


class Extension(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, {path!r}) if name == "pyvmaf._native" else None


sys.meta_path.insert(0, Extension())
"""


def install_toolkit() -> Path:
    """Install the packages of the lock, unless they are there; return the toolkit's folder."""
    stamp = PACKAGES / "stamp"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print("build_cuda: installing NVIDIA's compiler (101 MB)", file=sys.stderr)
        shutil.rmtree(PACKAGES, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--no-deps", "--require-hashes", "--target", PACKAGES, "-r", LOCK], check=True, stdout=sys.stderr
        )
        stamp.write_text(wanted)
    return TOOLKIT


def build(toolkit: Path, architectures: tuple[str, ...] = ()) -> Path:
    """Configure and build the extension; return the folder for ``PYTHONPATH``.

    Args:
        toolkit: folder of NVIDIA's compiler.
        architectures: what to have code for, as nvcc names it; by default what an installed extension has.
    """
    options = ["-DPYVMAF_CUDA=ON", f"-DPYVMAF_CUDA_TOOLKIT={toolkit}", f"-DPython_EXECUTABLE={sys.executable}"]
    options.append(f"-DPYVMAF_CUDA_CODE={' '.join(architectures)}")
    command = [sys.executable, "-m", "cmake"]
    subprocess.run([*command, "-G", "Ninja", "-S", REPOSITORY, "-B", BUILD, *options], check=True, stdout=sys.stderr)
    subprocess.run([*command, "--build", BUILD], check=True, stdout=sys.stderr)
    (extension,) = BUILD.glob("_native.*.so")
    SITE.mkdir(exist_ok=True)
    (SITE / "sitecustomize.py").write_text(_CUSTOMIZE.format(path=str(extension)))
    return SITE


def main() -> int:
    """Install the compiler, build, and print the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--toolkit", action="store_true", help="install the compiler only, and print its folder")
    parser.add_argument("--few", action="store_true", help=f"have code for {' '.join(FEW)} only")
    arguments = parser.parse_args()
    try:
        toolkit = install_toolkit()
        print(toolkit if arguments.toolkit else build(toolkit, FEW if arguments.few else ()))
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd[:5]))
        print(f"build_cuda: `{command} …` ended with status {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
