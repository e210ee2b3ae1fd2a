"""What every rule has, read from the files themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyvmaf.base.verbs import STAGES, VERBS
from tests.workflow.conftest import prepare_small_run, snakemake

REPOSITORY = Path(__file__).parents[2]
FILES = [*sorted((REPOSITORY / "rules").glob("*.smk")), REPOSITORY / "workflow" / "Snakefile"]
HEAVY = {
    *("prepare_clip", "encode_rung", "extract_features", "hard_negatives", "fit_model", "quantize_model"),
    "render_report",
}


def _rules() -> dict[str, tuple[Path, str]]:
    found = {}
    for path in FILES:
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            match = re.match(r"rule (\w+):\n", block)
            assert match
            found[match.group(1)] = (path, block)
    return found


RULES = _rules()
JOBS = {name for name, (_, block) in RULES.items() if "shell:" in block}


def test_there_is_a_file_per_stage() -> None:
    assert {path.stem for path in FILES} == {*STAGES, "common", "Snakefile"}
    assert JOBS >= HEAVY


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_says_what_it_does(name: str) -> None:
    _, block = RULES[name]
    assert re.match(rf'rule {name}:\n    """[A-Z].*\."""\n', block)
    for word in ("run:", "script:", "notebook:", "message:", "checkpoint "):
        assert not re.search(rf"^\s*{word}", block, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(JOBS))
def test_every_job_is_complete(name: str) -> None:
    path, block = RULES[name]
    for directive in ("input", "output", "log", "conda", "threads", "resources", "params", "shell"):
        # What is fetched comes from nowhere in the run.
        if (name, directive) != ("fetch_corpus", "input"):
            assert re.search(rf"^    {directive}:", block, re.MULTILINE), f"{name} has no {directive}"
    assert ("benchmark:" in block) >= (name in HEAVY)
    assert re.search(r"mem_mb=", block)
    assert re.search(r"runtime=", block)
    assert "ensure(" in block
    assert "non_empty=True" in block
    assert f'"logs/{name}/' in block
    shell = block.partition("shell:")[2]
    verb = re.findall(r"vmaf-train ([a-z0-9-]+)", shell)[0]
    assert f'code=identity("{verb}"' in block, f"{name} is planned with another verb's code"
    assert "--code {params.code:q}" in block
    assert VERBS[verb].stage == path.stem
    assert shell.count("vmaf-train ") == 1
    assert "> {log:q} 2>&1" in shell
    # What is put into a shell line is quoted, numbers aside.
    for word in re.findall(r"\{([^}]+)\}", shell):
        assert word.endswith(":q") or word in ("threads", "wildcards.seed", "params.options[points]"), word


@pytest.mark.parametrize("name", sorted(JOBS))
def test_every_artefact_has_a_manifest(name: str) -> None:
    _, block = RULES[name]
    artefacts = re.findall(r'ensure\(\s*"([^"]+)"', block)
    manifests = re.findall(r'manifest="([^"]+)\.manifest\.json"', block)
    assert len(manifests) == 1
    assert manifests[0] in artefacts


def test_logic_stays_out_of_the_rules() -> None:
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
    named = {env for _, block in RULES.values() for env in re.findall(r'"\.\./envs/(\w+)\.yaml"', block)}
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


def test_an_environment_without_a_checkout_says_what_to_set(tmp_path: Path) -> None:
    script = next((REPOSITORY / "envs").glob("*.post-deploy.sh"))
    done = subprocess.run(
        ["bash", str(script)], cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/bin:/usr/bin"}
    )
    assert done.returncode == 1
    assert f"no checkout of vmaf-train in {tmp_path}: set PYVMAF_SOURCE" in done.stderr


def test_parsing_the_workflow_imports_nothing_heavy(tmp_path: Path) -> None:
    # Only parsed: where pandas is installed, Snakemake's own planner imports it.
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "--snakefile", str(FILES[-1]), "--list-rules"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert {"snakemake.workflow", "pyvmaf.workflow.plan", "pyvmaf.base.code"} <= imported
    # numpy is what Snakemake's own reports bring along.
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
@pytest.mark.xdist_group("workflow")
@pytest.mark.parametrize(("given", "limit"), [((), "None"), (("--max-jobs-per-timespan", "7/2s"), "7 in 2")])
def test_only_a_limit_that_somebody_asked_for_slows_jobs_down(
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
