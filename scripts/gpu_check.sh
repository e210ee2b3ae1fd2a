#!/usr/bin/env bash
# Checks and times the kernels of CUDA on this machine's device, in less than four minutes and without a network:
#
#   scripts/gpu_check.sh [--out FOLDER] [--image FATBIN] [--quick]
#
# It needs the built extension and a Python of its version with NumPy: $PYTHON, .venv, or the machine's own. A build
# without CUDA will do with --image, a fatbin of native/cuda/kernels/kernels.cu.
# FOLDER (build/gpu-check) gets raw.txt and verdict.json. Exit status: 0 everything equals the processor, 1 something does
# not, 2 it could not be tried, 3 there is no device, driver or compiled kernel.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in .venv/bin/python python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null && "$candidate" scripts/gpu_check.py --can-run 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "gpu_check: no Python here can load the built extension and NumPy: set PYTHON, or run make setup" >&2
    exit 2
fi
exec timeout --kill-after=10 235 "$python" scripts/gpu_check.py "$@"
