#!/usr/bin/env bash
# Snakemake runs this once in each new environment, with the run's working folder as the current one: build this
# package from the checkout there, or from the one that PYVMAF_SOURCE names. libvmaf's build needs a C and a C++
# compiler, cargo, nasm, xxd and pkg-config on PATH.
set -euo pipefail
source=${PYVMAF_SOURCE:-$PWD}
if ! grep -qs '^name = "vmaf-train"' "$source/pyproject.toml"; then
    echo "error: no checkout of vmaf-train in $source: set PYVMAF_SOURCE to its folder" >&2
    exit 1
fi
"$CONDA_PREFIX/bin/python" -m pip install --no-deps --no-build-isolation "$source"
