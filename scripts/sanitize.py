#!/usr/bin/env python3
"""Run the kernels, the native tests and hostile model files under tools that watch memory and arithmetic.

CMake builds the extension and the pinned libvmaf in ``build/sanitize``, both with GCC, whose AddressSanitizer and
UndefinedBehaviorSanitizer come with it. Any finding ends the process with a report, unless `SUPPRESSED` has its file and
kind. The kernels also run under valgrind, if it is installed: a program without Python, compiled as for users. All of it
takes about 16 minutes of processor time, a part of it to build libvmaf, which later runs find in the cache.

    python scripts/sanitize.py --kernels
    python scripts/sanitize.py --models 500 -- tests/native -k "not fork"
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
BUILD = REPOSITORY / "build" / "sanitize"
PLAIN = REPOSITORY / "build" / "valgrind"

_CAMBI = (
    "CAMBI keeps max_log_contrast in 16 bits at an odd multiple of two bytes; libvmaf writes and compares it as an int "
    "whose upper half is padding, and x86 reads it wherever it lies"
)
_SUMS = (
    "ADM sums products of 16-bit samples modulo 2**32 and subtracts their offset, after which the sum is in range again; "
    "the tests compare all instruction sets bit for bit"
)
_ZERO = "the vectors of ADM normalise every denominator, also those that are 0, whose results are masked out afterwards"
_NEGATIVE = (
    "a negative product is shifted to the left before it is divided, which GCC and clang define as a multiplication"
)
_TAPS = "pairs of filter taps, which may be negative, are packed into one constant"
SUPPRESSED: dict[str, str] = {
    "alignment:opt.c": _CAMBI,
    "alignment:feature_name.c": _CAMBI,
    **{f"signed-integer-overflow:{name}.c": _SUMS for name in ("integer_adm", "adm_avx2", "adm_avx512")},
    "shift-base:integer_adm.c": _NEGATIVE,
    **{f"shift-exponent:adm_avx{name}.c": _ZERO for name in (2, 512)},
    **{f"shift-base:adm_avx{name}.c": _TAPS for name in (2, 512)},
}
"""Known findings in libvmaf, as UndefinedBehaviorSanitizer's suppressions, with the reason why each is harmless."""

TESTS = ("tests/native",)
# Memory is not measured here, the wheel's licences and symbols are those of another build, and a fork copies the
# sanitizer's state.
LEFT_OUT = "not test_memory and not test_build and not forked"


def configure(folder: Path, *options: str) -> None:
    """Configure a build with GCC."""
    compilers = ["-DCMAKE_C_COMPILER=gcc", "-DCMAKE_CXX_COMPILER=g++"]
    options = (*options, f"-DPython_EXECUTABLE={sys.executable}")
    subprocess.run(["cmake", "-G", "Ninja", "-S", REPOSITORY, "-B", folder, *compilers, *options], check=True)


def check_kernels(seed: int, rounds: int) -> None:
    """Run the kernels alone, with sanitizers and under valgrind.

    Raises:
        CalledProcessError: a finding, or results that depend on the instruction set.
    """
    configure(BUILD, "-DPYVMAF_SANITIZE=ON")
    programs: list[tuple[Path, list[str]]] = [(BUILD, [])]
    valgrind = shutil.which("valgrind")
    if valgrind:
        configure(PLAIN, f"-DPYVMAF_CACHE_DIR={REPOSITORY / 'build' / 'libvmaf'}")
        programs.append((PLAIN, [valgrind, "-q", "--error-exitcode=9"]))
    else:
        print("sanitize: valgrind is not installed, so the kernels run with sanitizers only")
    for folder, watcher in programs:
        subprocess.run(["cmake", "--build", folder, "--target", "kernels_driver"], check=True)
        driver = [str(folder / "kernels_driver"), str(rounds), str(seed)]
        options = {"ASAN_OPTIONS": "detect_odr_violation=0", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
        subprocess.run([*watcher, *driver], check=True, env={**os.environ, **options})


def build() -> None:
    """Configure and build the extension."""
    configure(BUILD, "-DPYVMAF_SANITIZE=ON")
    subprocess.run(["cmake", "--build", BUILD], check=True)


def environment() -> dict[str, str]:
    """Return the environment of a process that loads the extension: the sanitizers' libraries come first."""
    names = ("libasan.so", "libubsan.so", "libstdc++.so.6")
    libraries = [subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip() for name in names]
    suppressions = BUILD / "suppressions.txt"
    suppressions.write_text("".join(f"{line}\n" for line in SUPPRESSED))
    return {
        **os.environ,
        "LD_PRELOAD": ":".join(libraries),
        # Python frees little at its end.
        "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": f"halt_on_error=1:print_stacktrace=1:suppressions={suppressions}",
        "PYTHONPATH": str(REPOSITORY),
    }


def load() -> None:
    """Put the sanitized extension in the place of the installed one."""
    import pyvmaf

    (path,) = BUILD.glob("_native.*.so")
    spec = importlib.util.spec_from_file_location("pyvmaf._native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pyvmaf._native"] = module
    spec.loader.exec_module(module)
    vars(pyvmaf)["_native"] = module


def check_models(seed: int, count: int) -> int:
    """Check variants of model files in this process; return how many are findings."""
    import tempfile

    from tests.fuzz.models_json import check, mutants

    findings = 0
    with tempfile.TemporaryDirectory() as folder:
        for mutant in mutants(seed, count):
            path = Path(folder, mutant.name)
            path.write_bytes(mutant.data)
            try:
                check(path, mutant.scores)
            except Exception as error:
                findings += 1
                print(f"{mutant.name}: {type(error).__name__}: {error}")
    print(f"sanitize: {count} model files of seed {seed}: {findings} findings")
    return findings


def main() -> int:
    """Build, and start a second process that loads the result and runs the tests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=500, help="variants of model files to try")
    parser.add_argument("--kernels", action="store_true", help="run the kernels alone, and nothing else")
    parser.add_argument("--rounds", type=int, default=40, help="random frames, sizes and options for the kernels")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loaded", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("tests", nargs="*", help="arguments of pytest; by default the native tests")
    arguments = parser.parse_args()
    if not arguments.loaded:
        check_kernels(arguments.seed, arguments.rounds)
        if arguments.kernels:
            return 0
        build()
        return subprocess.run([sys.executable, __file__, "--loaded", *sys.argv[1:]], env=environment()).returncode
    import pytest

    # Children of tests start without the sanitizers, which belong to this extension.
    os.environ.pop("LD_PRELOAD")
    load()
    findings = check_models(arguments.seed, arguments.models)
    words = arguments.tests or [*TESTS, "-k", LEFT_OUT]
    # Sanitizers report to the file of standard error, which pytest must not catch.
    status = pytest.main(["-q", "-n", "0", "--capture=sys", "-p", "no:cacheprovider", *words])
    return int(bool(findings)) or int(status)


if __name__ == "__main__":
    sys.exit(main())
