"""A driver of CUDA that runs the kernels on the processor, for tests on machines without a device."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

from pyvmaf.engines.cuda import engine
from pyvmaf.engines.device import process
from tests.make import cuda_computer

REPOSITORY = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("cuda_driver.cpp")
COMPILER = (
    *("g++", "-std=c++17", "-O1", "-g1", "-ffp-contract=off", "-fPIC", "-shared", "-fvisibility=hidden"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror"),
)


@cache
def folder() -> Path:
    """Build the driver, unless its sources have been built before, and return the folder with its libcuda.so.1."""
    headers = sorted([*REPOSITORY.glob("native/cuda/kernels/*.hpp"), *REPOSITORY.glob("native/kernels/*.hpp")])
    digest = hashlib.sha256("".join(COMPILER).encode())
    for file in [SOURCE, *headers]:
        digest.update(file.read_bytes())
    library = REPOSITORY / ".cache" / "tests" / "cuda" / digest.hexdigest()[:16] / "libcuda.so.1"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        part = library.with_name(f"part-{os.getpid()}")
        subprocess.run([*COMPILER, "-I", REPOSITORY / "native", SOURCE, "-o", part], check=True)
        part.replace(library)
    return library.parent


@contextmanager
def fake_driver(**settings: str) -> Iterator[None]:
    """Let child processes that start here load the driver, with settings of cuda_driver.cpp."""
    names = ("libasan.so", "libubsan.so", "libstdc++.so.6")
    libraries = [subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip() for name in names]
    environment = {
        "LD_LIBRARY_PATH": str(folder()),
        "LD_PRELOAD": ":".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python frees little at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        **settings,
    }
    with patch.object(process, "_processes", {}):
        try:
            with patch.dict(os.environ, environment), patch.object(engine, "device", cuda_computer):
                yield
        finally:
            process._stop_all()
