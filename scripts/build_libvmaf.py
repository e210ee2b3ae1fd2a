#!/usr/bin/env python3
"""Build the pinned libvmaf as a static library and print its folder.

CMake runs this script while it configures; it can also be run by hand. cargo downloads the source and
verifies its checksum, meson builds it. Each set of inputs (manifest, this script, compilers) has a
folder of its own in the cache, so a build that changes nothing takes milliseconds. The script uses the
standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

# Options of libvmaf's meson build. Its command-line tools, tests and pages are not needed.
MESON_OPTIONS = (
    "--buildtype=release",
    "--default-library=static",
    "--libdir=lib",
    "-Db_staticpic=true",
    "-Db_ndebug=if-release",
    "-Dbuilt_in_models=true",
    "-Denable_asm=true",
    "-Denable_avx512=true",
    "-Denable_float=false",
    "-Denable_cuda=false",
    "-Denable_tests=false",
    "-Denable_docs=false",
    "-Denable_tools=false",
    # Compilers differ in which operations they fuse into one rounding; the numbers must not depend on the compiler.
    "-Dc_args=-ffp-contract=off",
    "-Dcpp_args=-ffp-contract=off",
)

# Further options of a build that looks for errors of memory and undefined behaviour (scripts/sanitize.py). The vectors of
# ADM count the leading zeros of every denominator, also of those that are 0, whose results are masked out afterwards; a
# suppression does not stop that report.
SANITIZE_OPTIONS = (
    "-Db_sanitize=address,undefined",
    "-Db_lundef=false",
    "-Ddebug=true",
    # At -O3 GCC takes minutes over the checks in a single file of vectors, and finds no more.
    "-Doptimization=1",
    "-Dc_args=-ffp-contract=off -fno-sanitize=builtin",
)

# A build with CUDA differs in this option alone: what the processor computes stays the same, so the recipe does, too.
CUDA_OPTION = ("-Denable_cuda=false", "-Denable_cuda=true")

# What a build with CUDA has code for, as nvcc names it: libvmaf's own list for CUDA 13, which its build chooses by the version
# of the compiler. Here it is one list for libvmaf and for own kernels, whatever the version.
ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120", "compute_120")

# Where libvmaf's build has its list, the last line before the list is used.
GENCODE = ("src/meson.build", "    message('CUDA gencode = @0@'.format(gencode))\n")

# (file below libvmaf/, text that must occur exactly once, replacement). Every CPU with AVX2 has
# LZCNT and BMI; without these flags the compiler writes "count leading zeros" as a slower loop in
# VIF's logarithms. Results stay bit-identical, and the code path is still chosen at run time.
EDITS = (
    (
        "src/meson.build",
        "avx2_cflags = ['-mavx', '-mavx2', '-mfma']",
        "avx2_cflags = ['-mavx', '-mavx2', '-mfma', '-mlzcnt', '-mbmi', '-mbmi2']",
    ),
    (
        "src/meson.build",
        "avx512_cflags = ['-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512cd', '-mavx512vl']",
        "avx512_cflags = ['-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512cd', '-mavx512vl', "
        "'-mlzcnt', '-mbmi', '-mbmi2']",
    ),
)

# Errors of libvmaf that are put right, each by edits of its source: its vectorised code then equals its plain C. They
# change scores of some frames of some extractors only, which `Engine.identity_for` tells apart, so they are no part of
# the recipe: what was measured otherwise stays valid.
#
# adm-last-column (Netflix/vmaf#1564): the wavelets of ADM took the last column of a band, whose filter ends on a mirrored
# sample, as any other if the columns after the first filled whole vectors, and read beyond the row. Counting one column
# less leaves it to the loop for the rest. Where the columns do not fill whole vectors, the count is the same.
#
# adm-masking (Netflix/vmaf#1610): plain C rounds a fifteenth of a coefficient to 16 bits, which wrap from 15360 on, as
# lines one sample wide of black and white give. Vectors of 32 bits kept what C cuts off.
#
# adm-gain: plain C cuts off the fraction of a coefficient times a gain limit that is not whole, vectors rounded it. Such
# limits take plain C.
REPAIRS = {
    "adm-last-column": tuple(
        (
            f"src/feature/x86/adm_{extension}.c",
            f"- ((((w + 1) / 2) - 1) % {columns});",
            f"- 1 - ((((w + 1) / 2) - 2) % {columns});",
        )
        for extension, columns in (("avx2", 16), ("avx2", 4), ("avx512", 64), ("avx512", 32), ("avx512", 8))
    ),
    "adm-masking": tuple(
        (
            f"src/feature/x86/adm_{extension}.c",
            f"_mm{bits}_sub_epi32(src{band}1, flt{band}1)",
            f"_mm{bits}_sub_epi32(_mm{bits}_srai_epi32(_mm{bits}_slli_epi32(src{band}1, 16), 16), flt{band}1)",
        )
        for extension, bits in (("avx2", 256), ("avx512", 512))
        for band in range(3)
    ),
    "adm-gain": tuple(
        (
            "src/feature/integer_adm.c",
            f"s->{function} = {function}_{extension};",
            f"if (s->adm_enhn_gain_limit == (int)s->adm_enhn_gain_limit) s->{function} = {function}_{extension};",
        )
        for extension in ("avx2", "avx512")
        for function in ("adm_decouple", "adm_decouple_s123")
    ),
}

BUILT_IN_MODELS = (
    "vmaf_v0_6_1",
    "vmaf_b_v0_6_3",
    "vmaf_v0_6_1neg",
    "vmaf_4k_v0_6_1",
    "vmaf_4k_v0_6_1neg",
    *(f"vmaf_v1_0_16_{rate}{view}" for rate in ("", "hfr_") for view in ("3d0h", "3d0h_2160", "5d0h", "1d5h_2160")),
)

# Increase this if the binding changes the samples that reach libvmaf (for example how chroma is cut):
# features measured before would then differ from features measured now.
BINDING_REVISION = 1


class BuildError(Exception):
    """A problem outside this script; the message names it and the remedy."""


class Cuda(NamedTuple):
    """What a build with CUDA needs.

    Attributes:
        toolkit: folder with bin/nvcc, include/cuda.h and the runtime's static library below lib or lib64.
        headers: folder with the two headers of ffnvcodec/ that libvmaf includes, which load the driver.
        architectures: what to have code for, as nvcc names it.
    """

    toolkit: Path
    headers: Path
    architectures: tuple[str, ...] = ARCHITECTURES

    @property
    def compiler(self) -> str:
        """Version of nvcc, such as "13.0.88"."""
        nvcc = self.toolkit / "bin" / "nvcc"
        if not nvcc.is_file():
            raise BuildError(f"{nvcc} is missing: install CUDA's compiler with `make setup CUDA=1`")
        output = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"V(\d+\.\d+\.\d+)", output)
        if version is None:
            raise BuildError(f"`{nvcc} --version` does not name a version")
        return version[1]

    def inputs(self) -> dict[str, str]:
        """Return what decides the build."""
        texts = {path.name: path.read_text() for path in sorted((self.headers / "ffnvcodec").iterdir())}
        return {"nvcc": self.compiler, "architectures": " ".join(self.architectures), **texts}

    def edit(self, source: Path) -> None:
        """Put the architectures in the place of libvmaf's list."""
        codes = [f"-gencode=arch={code.replace('sm_', 'compute_')},code={code}" for code in self.architectures]
        name, line = GENCODE
        replace(source / name, line, f"    gencode = {['--fatbin', *codes]}\n{line}")

    def environment(self) -> dict[str, str]:
        """Return the variables under which meson and ninja find the toolkit and the headers."""
        libraries = (str(path) for path in (self.toolkit / "lib", self.toolkit / "lib64") if path.is_dir())
        return {
            "PATH": os.pathsep.join((str(self.toolkit / "bin"), os.environ.get("PATH", ""))),
            "CPATH": os.pathsep.join((str(self.headers), str(self.toolkit / "include"))),
            "LIBRARY_PATH": os.pathsep.join(libraries),
        }


def architectures(tree: Path) -> str:
    """Return what a build with CUDA has code for, as nvcc names it: "sm_75 … compute_120", from meson's log."""
    log = (tree / "meson-logs" / "meson-log.txt").read_text(errors="replace")
    line = re.search(r"CUDA gencode = (.*)", log)
    codes = re.findall(r"code=((?:sm|compute)_\d+)", line[1]) if line else []
    if not codes:
        raise BuildError("meson's log does not name the CUDA architectures")
    return " ".join(codes)


def recipe() -> dict[str, object]:
    """Return what decides libvmaf's numbers at all frames, apart from its source and the compiler."""
    return {"meson": MESON_OPTIONS, "edits": EDITS, "binding": BINDING_REVISION}


def digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def first_line(*command: str) -> str:
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return output.splitlines()[0].strip()


def run(command: list[str], cwd: Path, env: dict[str, str], log: Path) -> None:
    with log.open("ab") as sink:
        sink.write(("$ " + " ".join(command) + "\n").encode())
        sink.flush()
        status = subprocess.run(command, cwd=cwd, env=env, stdout=sink, stderr=sink).returncode
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise BuildError(f"{tail}\n`{' '.join(command[:3])} …` ended with status {status}")


def need_tools() -> None:
    # Debian's package names. CMake checks the compilers before this script runs.
    packages = {"cargo": "cargo", "nasm": "nasm", "xxd": "xxd", "pkg-config": "pkg-config"}
    missing = sorted(package for tool, package in packages.items() if not shutil.which(tool))
    if missing:
        raise BuildError(
            f"libvmaf's build needs {', '.join(missing)}: install with `apt-get install {' '.join(missing)}`"
        )


def meson_command() -> list[str]:
    if importlib.util.find_spec("mesonbuild") is not None:
        return [sys.executable, "-m", "mesonbuild.mesonmain"]
    meson = shutil.which("meson")
    if meson is None:
        raise BuildError("meson is missing: `pip install meson ninja` in the build's environment")
    return [meson]


def ninja_path(ninja: str | None) -> str:
    of_environment = str(Path(sys.executable).with_name("ninja"))
    for candidate in (ninja, of_environment, shutil.which("ninja"), shutil.which("ninja-build")):
        if candidate and Path(candidate).name.startswith("ninja") and shutil.which(candidate):
            return candidate
    raise BuildError("ninja is missing: `pip install ninja` in the build's environment")


def vendor(manifest: Path, work: Path, env: dict[str, str], log: Path) -> Path:
    """Fetch the crate below `work` (cargo verifies its checksums) and return its folder."""
    package = work / "package"
    package.mkdir()
    shutil.copy(manifest, package / "Cargo.toml")
    (package / "lib.rs").touch()
    run(["cargo", "vendor", "--versioned-dirs", "vendor"], package, env, log)
    crates = sorted(package.glob("vendor/vmaf-head-sys-*"))
    if len(crates) != 1:
        raise BuildError(f"cargo vendor made {len(crates)} folders of vmaf-head-sys, not 1")
    return crates[0]


def vendored_commit(crate: Path) -> str:
    text = (crate / "vendored" / "VMAF_VERSION").read_text()
    match = re.search(r"^commit: ([0-9a-f]{40})$", text, re.MULTILINE)
    if match is None:
        raise BuildError("vendored/VMAF_VERSION of the crate does not name libvmaf's commit")
    return match.group(1)


def edit(source: Path) -> None:
    """Apply `EDITS` and `REPAIRS` to the source tree."""
    for name, old, new in (*EDITS, *(one for edits in REPAIRS.values() for one in edits)):
        replace(source / name, old, new)


def replace(path: Path, old: str, new: str) -> None:
    """Replace text that a file must hold exactly once."""
    text = path.read_text()
    if text.count(old) != 1:
        raise BuildError(f"{path.name}: the text to replace occurs {text.count(old)} times, not once: {old!r}")
    path.write_text(text.replace(old, new))


def check_models(library: Path) -> None:
    """Check that the library contains each model: if xxd fails, libvmaf builds without them, silently."""
    data = library.read_bytes()
    missing = [name for name in BUILT_IN_MODELS if f"src_{name}_json".encode() not in data]
    if missing:
        raise BuildError(f"{library.name} lacks the built-in models {', '.join(missing)}")


def keep_licences(crate: Path, target: Path) -> None:
    """Copy the licence texts of the library's parts from its source."""
    target.mkdir(parents=True)
    vmaf = crate / "vendored" / "vmaf"
    shutil.copy(vmaf / "LICENSE", target / "libvmaf.txt")
    features = vmaf / "libvmaf" / "src" / "feature"
    sources = {
        "xiph.txt": features / "third_party" / "xiph" / "psnr_hvs.c",
        "iqa.txt": features / "iqa" / "convolve.c",
    }
    for name, path in sources.items():
        text = path.read_text(errors="replace")
        comment = re.match(r"\s*/\*(.*?)\*/", text, re.DOTALL)
        if comment is None or "Redistribution" not in comment.group(1):
            raise BuildError(f"{path.name} does not start with its licence")
        lines = (line.strip().lstrip("*").strip() for line in comment.group(1).splitlines())
        (target / name).write_text("\n".join(lines).strip() + "\n")


def build(
    manifest: Path,
    prefix: Path,
    cc: str,
    cxx: str,
    ninja: str | None,
    jobs: int,
    more: tuple[str, ...] = (),
    cuda: Cuda | None = None,
) -> None:
    need_tools()
    meson = meson_command()
    env = {
        **os.environ,
        "CC": cc,
        "CXX": cxx,
        "NINJA": ninja_path(ninja),
        # Flags of the environment must not change the library's numbers.
        **dict.fromkeys(("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"), ""),
        **(cuda.environment() if cuda else {}),
    }
    options = [CUDA_OPTION[1] if cuda and option == CUDA_OPTION[0] else option for option in MESON_OPTIONS]
    with tempfile.TemporaryDirectory(prefix="build-", dir=prefix.parent) as name:
        work = Path(name)
        log = prefix.parent / "build.log"
        log.write_bytes(b"")
        crate = vendor(manifest, work, env, log)
        source = crate / "vendored" / "vmaf" / "libvmaf"
        edit(source)
        if cuda:
            cuda.edit(source)
        staged = work / "prefix"
        # The rules for nvcc take headers from ../src.
        tree = source / "build"
        run(
            [*meson, "setup", str(tree), str(source), f"--prefix={staged}", *options, *more],
            work,
            env,
            log,
        )
        run([*meson, "compile", "-C", str(tree), "-j", str(jobs)], work, env, log)
        run([*meson, "install", "-C", str(tree), "--no-rebuild"], work, env, log)
        check_models(staged / "lib" / "libvmaf.a")
        keep_licences(crate, staged / "licences")
        commit = vendored_commit(crate)
        pc = staged / "lib" / "pkgconfig" / "libvmaf.pc"
        version = re.search(r"^Version: (\S+)$", pc.read_text(), re.MULTILINE)
        if version is None:
            raise BuildError(f"{pc.name} does not contain a version")
        # The installed file names the staging folder; the prefix must be the final folder.
        text = re.sub(r"^prefix=.*$", f"prefix={prefix}", pc.read_text(), flags=re.MULTILINE)
        pc.write_text(text)
        facts = {
            "version": version.group(1),
            "commit": commit,
            "crate": crate.name,
            "recipe": digest(recipe()),
            "repairs": " ".join(REPAIRS),
            "flags_text": " ".join(option.removeprefix("-D") for option in options),
            "compiler": first_line(cc, "--version"),
            "nvcc": cuda.compiler if cuda else "",
            "architectures": architectures(tree) if cuda else "",
        }
        (staged / "libvmaf.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
        staged.rename(prefix)


def compilers(cc: str, cxx: str) -> tuple[str, str]:
    """Return the compilers for libvmaf: clang if it is installed and `cc` is the system's default, else those passed.

    clang makes VIF 7 % and ADM 10 % faster than gcc 12 does, with the same bits.
    """

    def resolved(command: str) -> Path | None:
        path = shutil.which(command)
        return Path(path).resolve() if path else None

    clang, clangxx = shutil.which("clang"), shutil.which("clang++")
    chosen = resolved(cc) not in {resolved(name) for name in ("cc", "gcc")}
    return (cc, cxx) if chosen or not clang or not clangxx else (clang, clangxx)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--manifest", type=Path, required=True, help="Cargo.toml that pins the crate")
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps finished builds")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--cxx", default="c++")
    parser.add_argument("--ninja", help="ninja to use; by default that of this environment")
    parser.add_argument("--sanitize", action="store_true", help="with AddressSanitizer, by the compilers passed")
    parser.add_argument("--cuda", type=Path, help="CUDA toolkit to build the CUDA path with; by default it is left out")
    parser.add_argument("--cuda-headers", type=Path, help="folder of the headers that load CUDA's driver")
    parser.add_argument(
        "--architectures",
        default=" ".join(ARCHITECTURES),
        help="what a build with CUDA has code for, separated by spaces",
    )
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    manifest: Path = arguments.manifest.resolve()
    more = SANITIZE_OPTIONS if arguments.sanitize else ()
    # Libraries of two compilers' sanitizers do not go together.
    cc, cxx = (arguments.cc, arguments.cxx) if more else compilers(arguments.cc, arguments.cxx)
    cuda = None
    if arguments.cuda:
        headers = arguments.cuda_headers or manifest.parents[1] / "cuda"
        cuda = Cuda(arguments.cuda.resolve(), headers.resolve(), tuple(arguments.architectures.split()))
    cache: Path = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    try:
        inputs = {
            "manifest": manifest.read_text(),
            "script": Path(__file__).read_text(),
            "cc": first_line(cc, "--version"),
            "cxx": first_line(cxx, "--version"),
            **({"sanitize": list(more)} if more else {}),
            **({"cuda": cuda.inputs()} if cuda else {}),
        }
        prefix = cache / digest(inputs)[:16]
        # Two builds that share a cache (an editable install and a wheel) take turns.
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (prefix / "libvmaf.json").is_file():
                build(manifest, prefix, cc, cxx, arguments.ninja, arguments.jobs, more, cuda)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(prefix)
    return 0


if __name__ == "__main__":
    sys.exit(main())
