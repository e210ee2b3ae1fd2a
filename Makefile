# setup: make this checkout ready · demo: the whole line on real clips · audit: what a run would do, and why
# test: every check · bench: the bars
cores ?= $(shell nproc)
bin := .venv/bin
export PATH := $(CURDIR)/$(bin):$(PATH)

.PHONY: setup demo audit test lint bench clean

setup:
	@scripts/setup.sh

demo: setup
	snakemake --cores $(cores) --quiet rules reason host
	vmaf-train summary

audit: setup
	vmaf-train audit $(args)

test: lint
	pytest -n $(cores) --dist loadgroup

lint: setup
	ruff check
	ruff format --check
	mypy
	snakefmt --check workflow/Snakefile rules
	snakemake --lint

bench: setup
	python -m bench

clean:
	rm -rf build .cache results/*/ logs benchmarks .snakemake
