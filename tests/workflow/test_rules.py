"""Properties that every rule has."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyvmaf.base import layout
from pyvmaf.base.outputs import MANIFEST_SUFFIX
from pyvmaf.base.verbs import STAGES, VERBS
from tests.make.videos import REPOSITORY
from tests.make.workflows import prepare_small_run, snakemake
from tests.workflow.loaded import FILES, JOBS, SOURCES, rules

HEAVY = {
    *("prepare_clip", "encode_rung", "extract_features", "hard_negatives", "fit_model", "quantize_model"),
    "render_report",
}


def test_there_is_a_file_per_stage() -> None:
    assert {path.stem for path in FILES} == {*STAGES, "common", "Snakefile"}
    assert JOBS >= HEAVY


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_rule_has_a_docstring(name: str) -> None:
    assert re.fullmatch(r"[A-Z][^\n]*\.", rules()[name].docstring)
    for word in ("run:", "script:", "notebook:", "message:", "checkpoint "):
        assert not re.search(rf"^\s*{word}", SOURCES[name].text, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(JOBS))
def test_every_job_is_complete(name: str) -> None:
    rule, source = rules()[name], SOURCES[name]
    for directive in ("input", "output", "log", "conda", "threads", "resources", "params", "shell"):
        # The input of a fetch is outside the run.
        if not (name.startswith("fetch_") and directive == "input"):
            assert re.search(rf"^    {directive}:", source.text, re.MULTILINE), f"{name} has no {directive}"
    assert (rule.benchmark is not None) >= (name in HEAVY)
    assert {"mem_mb", "runtime"} <= {*rule.resources}
    assert [str(path) for path in rule.log] == [path for path in rule.log if path.startswith(f"logs/{name}/")] != []
    verb = re.findall(r"vmaf-train ([a-z0-9-]+)", rule.shellcmd)[0]
    assert re.search(rf'code=(lambda wildcards: )?[\w.()]*(identity|code)\(\s*"{verb}"', source.text), (
        f"{name} is planned with another verb's code"
    )
    assert "--code {params.code:q}" in rule.shellcmd
    assert VERBS[verb].stage == source.path.stem
    assert rule.shellcmd.count("vmaf-train ") == 1
    assert "> {log:q} 2>&1" in rule.shellcmd
    # Values in a shell line are quoted, except for numbers.
    for word in re.findall(r"\{([^}]+)\}", rule.shellcmd):
        assert word.endswith(":q") or word in ("threads", "wildcards.seed", "params.options[points]"), word


@pytest.mark.parametrize("name", sorted(JOBS))
def test_every_artefact_has_a_manifest(name: str) -> None:
    output = rules()[name].output
    artefacts = [path for path in output if path.flags.get("ensure", {}).get("non_empty")]
    manifests = [path for path in output if path.endswith(MANIFEST_SUFFIX)]
    assert [*manifests] == [output.manifest]
    assert manifests[0].removesuffix(MANIFEST_SUFFIX) in artefacts


def test_the_layout_names_every_result() -> None:
    """Rules hold no path of a result, and make files of every kind that the layout names."""
    kinds = {value.pattern for value in vars(layout).values() if isinstance(value, layout.ResultFile)}
    made = set()
    for name in JOBS:
        assert '"results/' not in SOURCES[name].text
        # Snakemake writes the constraint of a wildcard behind its name.
        made |= {re.sub(r"\{(\w+),[^{}]*\}", r"{\1}", path) for path in rules()[name].output}
    assert {path for path in made if not path.endswith(MANIFEST_SUFFIX)} == kinds - {layout.SEED_FOLDER.pattern}


def test_rules_hold_no_logic() -> None:
    for path in FILES:
        if path.stem != "common":
            assert not re.search(r"^(def|import|from|class|for|if) ", path.read_text(), re.MULTILINE) or (
                path.name == "Snakefile" and "min_version" in path.read_text()
            )
    assert "os.environ" not in "".join(path.read_text() for path in FILES)


def test_environments_are_the_locked_versions() -> None:
    """Every pin of every environment is the one that the project installs from."""
    import yaml
    from packaging.markers import Marker
    from packaging.utils import canonicalize_name

    locked: dict[str, str] = {}
    for line in (REPOSITORY / "requirements" / "lock.txt").read_text().splitlines():
        match = re.match(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)\s*(?:;\s*(.*?))?\s*\\?$", line)
        if match and (match[3] is None or Marker(match[3]).evaluate({"python_full_version": "3.11.13"})):
            locked[canonicalize_name(match[1])] = match[2]
    scripts = set()
    named = {env for source in SOURCES.values() for env in re.findall(r'"\.\./envs/(\w+)\.yaml"', source.text)}
    assert named == {path.stem for path in (REPOSITORY / "envs").glob("*.yaml")}
    for name in named:
        env = yaml.safe_load((REPOSITORY / "envs" / f"{name}.yaml").read_text())
        assert env["channels"] == ["conda-forge", "nodefaults"]
        *conda, pip = env["dependencies"]
        assert all(re.fullmatch(r"[\w.-]+=\d[\w.]*", pin) for pin in conda)
        for pin in pip["pip"]:
            package, _, version = pin.partition("==")
            assert locked.get(canonicalize_name(package)) == version, (
                f"{name}.yaml: {pin}, locked {locked.get(package)}"
            )
        scripts.add((REPOSITORY / "envs" / f"{name}.post-deploy.sh").read_text())
    assert len(scripts) == 1


def test_an_environment_without_a_checkout_names_the_variable_to_set(tmp_path: Path) -> None:
    script = next((REPOSITORY / "envs").glob("*.post-deploy.sh"))
    done = subprocess.run(
        ["bash", str(script)], cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/bin:/usr/bin"}
    )
    assert done.returncode == 1
    assert f"no checkout of vmaf-train in {tmp_path}: set PYVMAF_SOURCE" in done.stderr


def test_parsing_the_workflow_imports_nothing_heavy(tmp_path: Path) -> None:
    # Only parsed, because the planner of Snakemake imports pandas if it is installed.
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "--snakefile", str(FILES[-1]), "--list-rules"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert {"snakemake.workflow", "pyvmaf.workflow.plan", "pyvmaf.base.code"} <= imported
    # The reports of Snakemake import numpy.
    heavy = {
        "torch",
        "onnx",
        "onnxruntime",
        "pandas",
        "pyarrow",
        "scipy",
        "av",
        "pyvmaf._native",
        "pyvmaf.workflow.config",
    }
    assert not imported & heavy


@pytest.mark.slow
@pytest.mark.parametrize(("given", "limit"), [((), "None"), (("--max-jobs-per-timespan", "7/2s"), "7 in 2")])
def test_jobs_are_limited_per_time_span_only_on_request(
    embedded_corpus: Mapping[str, Path], tmp_path: Path, given: tuple[str, ...], limit: str
) -> None:
    prepare_small_run(tmp_path, embedded_corpus)
    found = "limit and f'{limit.max_jobs} in {limit.timespan:g}'"
    wrapper = f"""include: {str(REPOSITORY / "workflow" / "Snakefile")!r}
onsuccess:
    limit = workflow.scheduler.job_rate_limiter
    print("limit:", {found})
"""
    (tmp_path / "Snakefile").write_text(wrapper)
    own = ("--snakefile", "Snakefile", "--configfile", "small.yaml", "--cores", "1", *given)
    done = snakemake(tmp_path, *own, "results/corpora/mine/carphone.mkv")
    assert f"limit: {limit}\n" in done.stdout
