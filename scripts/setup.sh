#!/usr/bin/env bash
# Makes this checkout ready to run: system packages, .venv from the lock with hashes, the extension.
# Idempotent: when nothing changed since the last run it only compares one hash.
# CUDA=1 builds the extension with CUDA, and so do later runs until CUDA=0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
venv=.venv
stamp=$venv/.setup-stamp
with_cuda=$venv/.cuda

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 2
}

case ${CUDA:-} in
'') cuda=$([ -f "$with_cuda" ] && echo 1 || echo 0) ;;
0 | 1) cuda=$CUDA ;;
*) die "CUDA=$CUDA: must be 1 (build with CUDA) or 0 (without)" ;;
esac

# What the environment is made from. The extension's sources are part of it, Python sources are not:
# the install is editable.
inputs() {
    find requirements/lock.txt requirements/cuda.txt pyproject.toml CMakeLists.txt cmake native scripts -type f \
        -not -path '*/vendor/*' -not -path '*/target/*' -not -name Cargo.lock -not -name '*.pyc' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum
    "$python" --version 2>&1
    echo "cuda $cuda"
    pwd # an editable install points at this folder
}

install_packages() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get -qq install -y --no-install-recommends "$@" >/dev/null 2>&1 ||
            { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@" >/dev/null; }
    ' sh "$@"
}

system_packages() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc)
    command -v c++ >/dev/null || missing+=(g++)
    command -v make >/dev/null || missing+=(make)
    command -v cargo >/dev/null || missing+=(cargo)
    command -v nasm >/dev/null || missing+=(nasm)
    command -v xxd >/dev/null || missing+=(xxd)
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    command -v "$python" >/dev/null || missing+=(python3)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
    if ! "$python" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null; then
        missing+=(python3-dev)
    fi
    # Not needed, but its libvmaf is 5 to 10 % faster than gcc's, with the same bits.
    local wanted=()
    command -v clang++ >/dev/null || wanted+=(clang)
    if [ ${#missing[@]} -eq 0 ] && [ ${#wanted[@]} -eq 0 ]; then return; fi
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        if sudo -n true 2>/dev/null; then
            root=(sudo -n)
        elif [ ${#missing[@]} -eq 0 ]; then
            return
        else
            die "missing system packages: ${missing[*]} (install them, for example: apt-get install ${missing[*]})"
        fi
    fi
    if ! command -v apt-get >/dev/null; then
        [ ${#missing[@]} -eq 0 ] || die "missing system packages: ${missing[*]} (there is no apt-get here to install them with)"
        return
    fi
    say "installing ${missing[*]} ${wanted[*]}"
    if [ ${#missing[@]} -gt 0 ]; then
        install_packages "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
    fi
    if [ ${#wanted[@]} -gt 0 ]; then
        install_packages "${wanted[@]}" || say "going on without ${wanted[*]}: libvmaf will be built with $(cc --version | head -n 1)"
    fi
}

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(inputs | sha256sum)" ]; then
    exit 0
fi

system_packages
"$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' ||
    die "Python 3.11 or later is needed, $python is $("$python" --version 2>&1); set PYTHON to another one"

rm -f "$stamp"
if ! "$venv/bin/python" -c '' 2>/dev/null; then
    say "making $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
locked=$venv/.lock-stamp
pip() { "$venv/bin/python" -m pip "$@" --quiet --disable-pip-version-check; }

# Entries of the lock, with their hashes.
entries() {
    awk -v names="$*" 'BEGIN { split(names, list); for (i in list) wanted[list[i]] }
        /^[^ #]/ { split($1, pin, "=="); keep = pin[1] in wanted } keep' requirements/lock.txt
}

build() {
    local options=()
    if [ "$cuda" = 1 ]; then
        local toolkit
        toolkit=$("$venv/bin/python" scripts/build_cuda.py --toolkit)
        options=(-C cmake.define.PYVMAF_CUDA=ON -C "cmake.define.PYVMAF_CUDA_TOOLKIT=$toolkit")
        say "building the extension with CUDA (libvmaf from its pinned source; one to two minutes)"
    else
        # What an earlier configuration left behind would count otherwise.
        options=(-C cmake.define.PYVMAF_CUDA=OFF)
        say "building the extension (libvmaf from its pinned source; about half a minute)"
    fi
    PATH="$PWD/$venv/bin:$PATH" pip install --no-build-isolation --no-deps "${options[@]}" --editable .
}

if [ "$(cat "$locked" 2>/dev/null)" = "$(sha256sum <requirements/lock.txt)" ]; then
    build
else
    # What builds the extension comes first: it is built while the rest is downloaded and unpacked.
    entries cmake meson ninja packaging pathspec pybind11 scikit-build-core >"$venv/tools.txt"
    pip install --require-hashes --no-deps -r "$venv/tools.txt"
    build &
    building=$!
    say "installing requirements/lock.txt (about 6 GB with torch; a few minutes)"
    pip install --no-compile --require-hashes -r requirements/lock.txt || { wait "$building"; exit 1; }
    # pip compiles on one core, and the tests of the packages, too, a fifth of all. A package may have files for another
    # Python, which is no error.
    "$venv/bin/python" -m compileall -q -q -j 0 -x '/(tests|torch/testing)/' "$venv"/lib/python3*/site-packages || true
    wait "$building"
    sha256sum <requirements/lock.txt >"$locked"
fi
"$venv/bin/python" -c 'import pyvmaf; pyvmaf.engine()'
if [ "$cuda" = 1 ]; then touch "$with_cuda"; else rm -f "$with_cuda"; fi
inputs | sha256sum >"$stamp"
say "ready: $venv/bin/vmaf-train"
