# setup: make this checkout ready (CUDA=1: with CUDA; CUDA=0: without it again) · demo: the whole workflow on real clips · audit: what a run would do, and why
# test: every check · cuda: the extension with CUDA beside the installed one, for the tests (no GPU needed) · test-cuda: its tests · test-slurm: the workflow on a real SLURM of one node · bench: benchmarks and their bars
# docs: the documentation site in build/docs, which opens without a network; every link is checked
# wheel: a wheel in build/wheel with the tag that auditwheel gives it, tried in an empty environment without a compiler
# fuzz: damaged inputs and drawn examples in thousands, with the seed that repeats them
# sanitize: the native tests and hostile model files on a build with AddressSanitizer and UndefinedBehaviorSanitizer
cores ?= $(shell nproc)
bin := .venv/bin
export PATH := $(CURDIR)/$(bin):$(PATH)
# The hundreds of Pythons that a run or a test starts share what one has compiled.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo audit test tests cuda test-cuda slurm test-slurm sanitize lint style types rules docs wheel bench fuzz clean
# What does not use every core runs beside what does.
beside := $(MAKE) --no-print-directory -j$(cores) --output-sync=target

setup:
	@CUDA="$(CUDA)" scripts/setup.sh

demo: setup
	snakemake --cores $(cores) --quiet host
	vmaf-train summary

audit: setup
	vmaf-train audit $(args)

test: setup
	+@$(beside) types cuda style rules
	+@$(MAKE) --no-print-directory -j$(cores) tests slurm

tests: setup
	@MAKEFLAGS= pytest -n $(cores) --dist loadgroup -m 'not slurm'

# Its jobs wait for a queue most of the time. What it prints is kept apart from what the tests beside it print.
slurm: setup
	@mkdir -p .cache
	@! scripts/slurm.sh can || { $(MAKE) --no-print-directory test-slurm > .cache/slurm.log 2>&1; code=$$?; cat .cache/slurm.log; exit $$code; }

cuda: setup
	@MAKEFLAGS= python scripts/build_cuda.py --few

test-cuda: cuda
	pytest -n 0 -m cuda tests

# The plugin stays out of .venv, because with it every call of snakemake needs the program `which`.
test-slurm: setup
	@# It counts processors with nproc, which counts no more than OpenMP may use: jobs of two would wait for ever.
	env -u OMP_NUM_THREADS scripts/slurm.sh up
	pip install --quiet --no-deps --require-hashes --upgrade --target .cache/slurm -r requirements/slurm.txt
	trap 'scripts/slurm.sh down' EXIT; MAKEFLAGS= PYTHONPATH=$(CURDIR)/.cache/slurm pytest -n 0 -s -m slurm tests/slurm

sanitize: setup
	python scripts/sanitize.py $(args)

lint: setup
	+@$(beside) types style rules

style: setup
	ruff check
	ruff format --check
	clang-format --dry-run --Werror $$(find native tests bench -name '*.[ch]pp')

types: setup
	mypy

rules: setup
	snakefmt --check workflow/Snakefile rules
	snakemake --lint

docs: setup
	python -m docs.site.build

wheel: setup
	python scripts/wheel.py

bench: setup
	python -m bench

# A fixed seed repeats a run: make fuzz seed=7 share=0.1
fuzz: setup
	python -m tests.fuzz --share $(or $(share),1) $(if $(seed),--seed $(seed))
	pytest -n $(cores) --dist loadgroup -m hypothesis --hypothesis-profile thorough $(if $(seed),--hypothesis-seed $(seed))

clean:
	rm -rf build .cache results/*/ logs benchmarks .snakemake
