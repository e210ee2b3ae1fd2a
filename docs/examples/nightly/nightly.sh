#!/bin/sh
# A nightly job: are the tools as they were, and is every model of a series still good?
#   docs/examples/nightly/nightly.sh bisect TABLE MODEL…
# BISECT is the folder of build-bisect-cache, made once and kept. TABLE and MODELs are those of the project, oldest model first.
# Exit status 1 says that material, tools or a model are not what they were; 2 is an error.
set -eu
bisect=$1
shift
[ -e "$bisect/features.parquet" ] || vmaf-train build-bisect-cache --out "$bisect"
# Would the same rows and the same bytes of models be built today?
vmaf-train build-bisect-cache --out "$bisect" --check
# Models that are known to be good: a bad one is a change of the tools.
vmaf-train bisect-model-quality --features "$bisect/features.parquet" --min-plcc 0.85 --every --fail-on-first-bad "$bisect"/models/*.onnx
[ $# -eq 0 ] && exit
table=$1
shift
vmaf-train bisect-model-quality --features "$table" --min-plcc 0.95 --fail-on-first-bad "$@"
