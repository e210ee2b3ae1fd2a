#!/usr/bin/env python3
"""Build a wheel, have auditwheel state the systems that it runs on, and score a pair in an empty environment without a compiler.

auditwheel comes from the pinned packages of ``requirements/wheel.txt``, into ``.cache/wheel``. The wheel is left in ``build/wheel``. The
new environment takes wheels only, and its ``PATH`` has nothing but its own programs; the scores have to be those of this checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
LOCK = REPOSITORY / "requirements" / "wheel.txt"
PACKAGES = REPOSITORY / ".cache" / "wheel"
BUILD = REPOSITORY / "build" / "wheel"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")

CARRIED = ("pyvmaf/py.typed", "pyvmaf/_native.pyi", "pyvmaf/_native_build.json")
"""Files that type checkers and `pyvmaf.engine` look for."""

MOST_BYTES = 250e6
"""Size of an environment that scores."""


class WheelError(Exception):
    """The wheel lacks something, or does not do what the checkout does."""


def install_tools() -> None:
    """Install the packages of the lock, unless they are there."""
    stamp = PACKAGES / "stamp"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        shutil.rmtree(PACKAGES, ignore_errors=True)
        subprocess.run([*PIP, "install", "--no-deps", "--require-hashes", "--target", PACKAGES, "-r", LOCK], check=True)
        stamp.write_text(wanted)


def build() -> Path:
    """Build the wheel of this checkout, beside the build of the installed extension."""
    plain = BUILD / "plain"
    shutil.rmtree(plain, ignore_errors=True)
    options = ["-C", f"build-dir={BUILD}/objects", "-C", f"cmake.define.PYVMAF_CACHE_DIR={REPOSITORY}/build/libvmaf"]
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", *options, "-w", plain, REPOSITORY], check=True)
    [wheel] = plain.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        missing = set(CARRIED) - set(archive.namelist())
    if missing:
        raise WheelError(f"{wheel.name} lacks {', '.join(sorted(missing))}")
    return wheel


def auditwheel(*words: object) -> str:
    """Run auditwheel and return what it prints."""
    variables = {
        **os.environ,
        "PYTHONPATH": str(PACKAGES),
        "PATH": os.pathsep.join((str(PACKAGES / "bin"), os.environ["PATH"])),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        [sys.executable, "-m", "auditwheel", *map(str, words)], env=variables, capture_output=True, text=True
    )
    if done.returncode:
        raise WheelError(f"auditwheel {words[0]}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def repair(wheel: Path) -> Path:
    """Give the wheel the tag of the oldest systems that it runs on."""
    print(auditwheel("show", wheel).strip())
    repaired = BUILD / "repaired"
    shutil.rmtree(repaired, ignore_errors=True)
    auditwheel("repair", "--wheel-dir", repaired, wheel)
    [made] = repaired.glob("*.whl")
    if "manylinux" not in made.name:
        raise WheelError(f"{made.name} has no tag that an index takes")
    return made


def scored(python: str, pair: tuple[Path, Path], variables: dict[str, str], folder: Path) -> str:
    """Score a pair in a Python and return the rows."""
    command = [python, "-m", "pyvmaf", "score", *map(str, pair), "-o", "-", "--format", "csv"]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=True).stdout


def try_out(wheel: Path) -> dict[str, object]:
    """Install the wheel in a new environment without a compiler, score a pair there, and compare.

    Raises:
        WheelError: the scores are others than those of this checkout.
    """
    sys.path.insert(0, str(REPOSITORY))
    from tests.make.videos import make_video

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = make_video(folder / "a.mkv", "240x176", 6), make_video(folder / "b.mkv", "240x176", 6, "-crf", "40")
        subprocess.run([sys.executable, "-m", "venv", folder / "new"], check=True)
        python = str(folder / "new" / "bin" / "python")
        settings = {
            key: value for key, value in os.environ.items() if re.match(r"PIP_|HTTPS?_PROXY|SSL_|REQUESTS_", key, re.I)
        }
        bare = {**settings, "PATH": str(folder / "new" / "bin"), "HOME": name}
        for program in ("cc", "gcc", "c++", "clang", "cargo", "nasm", "cmake"):
            if shutil.which(program, path=bare["PATH"]):
                raise WheelError(f"the new environment finds {program}")
        install = [
            python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "install",
            "--only-binary",
            ":all:",
            str(wheel),
        ]
        subprocess.run(install, env=bare, check=True, cwd=folder)
        new, own = scored(python, pair, bare, folder), scored(sys.executable, pair, dict(os.environ), folder)
        if new != own:
            raise WheelError("the scores in the new environment are others than those of this checkout")
        facts = "import json, pyvmaf; print(json.dumps([pyvmaf.engine()['libvmaf'], pyvmaf.__file__]))"
        done = subprocess.run([python, "-c", facts], env=bare, cwd=folder, capture_output=True, text=True, check=True)
        version, home = json.loads(done.stdout)
        if not home.startswith(name):
            raise WheelError(f"the new environment took {home}")
        files = (folder / "new").glob("lib/python*/site-packages/**/*")
        size = sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink())
        if size > MOST_BYTES:
            raise WheelError(f"the new environment has {size / 1e6:.0f} MB, more than {MOST_BYTES / 1e6:.0f}")
    return {"libvmaf": version, "frames": new.count("\n") - 1}


def main() -> int:
    """Build, repair, try out; print what was found."""
    try:
        install_tools()
        wheel = repair(build())
        found = try_out(wheel)
    except (WheelError, subprocess.CalledProcessError) as error:
        print(f"wheel: {error}", file=sys.stderr)
        return 1
    size = wheel.stat().st_size / 1e6
    print(f"{wheel}: {size:.1f} MB; {found['frames']} frames scored in an empty environment, equal to this checkout's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
