"""Each file of envs/ pins what the verbs of its rules import, in the versions of the lock, and nothing else.

Every verb runs in such an environment, made of links to the packages installed here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.make.logs import Log
from tests.make.videos import REPOSITORY, make_video
from tests.make.workflows import PROFILE, SNAKEFILE, artefacts, drive, snakemake, timings, write_yaml
from tests.workflow import linked
from tests.workflow.loaded import JOBS, SOURCES

ENVIRONMENTS = sorted(path.stem for path in (REPOSITORY / "envs").glob("*.yaml"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
# The system's own programs, as a conda environment sees them, too.
SYSTEM = os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin"))


def environment_of(rule: str) -> str:
    found = re.search(r'conda:\s*"\.\./envs/(\w+)\.yaml"', SOURCES[rule].text)
    assert found, f"{rule} names no environment"
    return found[1]


# --- pins of the files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_pins_are_exact_complete_and_those_of_the_lock(name: str) -> None:
    path = REPOSITORY / "envs" / f"{name}.yaml"
    found, locked = linked.pins(path), linked.locked()
    assert found == {package: locked.get(package) for package in found}
    # pip would install a dependency that the file does not pin in any version.
    assert linked.closure(found) == set(found)
    names = [pin.partition("==")[0] for pin in yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]]
    assert names == sorted(set(names))
    python = next(item for item in yaml.safe_load(path.read_text())["dependencies"] if item.startswith("python="))
    assert python.startswith("python={}.{}.".format(*sys.version_info)), "links to this Python's packages say nothing"


def test_every_environment_is_used() -> None:
    assert {environment_of(rule) for rule in JOBS} == set(ENVIRONMENTS)


# --- each verb in its own environment ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A planned job: its rule, its outputs, and its command."""

    rule: str
    outputs: tuple[str, ...]
    command: str


def planned(text: str) -> dict[str, Job]:
    """Find the first job of each rule in the output of a dry-run."""
    pattern = r"^rule (\w+):\n(?:    .*\n)*?    output: (.*)\n(?:    .*\n)*?Shell command: (.*)$"
    jobs: dict[str, Job] = {}
    for rule, outputs, command in re.findall(pattern, text, re.MULTILINE):
        jobs.setdefault(rule, Job(rule, tuple(outputs.split(", ")), command))
    return jobs


@dataclass(frozen=True)
class Ran:
    """The folder of the jobs, their results, and the folder in which their environments noted imported files."""

    folder: Path
    ended: Mapping[str, subprocess.CompletedProcess[str]]
    jobs: Mapping[str, Job]
    noted: Path


def run_job(job: Job, folder: Path, programs: Path, noted: Path) -> subprocess.CompletedProcess[str]:
    """Run a job's command as Snakemake would, with nothing of this Python on any path."""
    for path in re.findall(r" > (\S+) 2>&1$", job.command):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    for output in job.outputs:
        (folder / output).unlink(missing_ok=True)
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
    noted.mkdir(parents=True, exist_ok=True)
    passed = {key: os.environ[key] for key in os.environ if key.startswith(("PIP_", "HOME", "XDG_", "SSL_", "OMP_"))}
    variables = passed | {"PATH": f"{programs}{os.pathsep}{SYSTEM}", "IMPORTED_TO": str(noted)}
    command = re.sub(r" > (\S+) 2>&1$", r" 2>&1 | tee \1", job.command)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=variables, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each environment a folder of programs that see its packages only. pip is there, as conda brings it."""
    folder = tmp_path_factory.mktemp("environments")
    pins = {name: linked.pins(REPOSITORY / "envs" / f"{name}.yaml") for name in ENVIRONMENTS}
    return {name: linked.make(folder / name, {*pins[name], "pip"}) for name in ENVIRONMENTS}


def write_label_files(folder: Path) -> str:
    """Write the spec of a rated dataset and its labels in two forms; return the key `labels` of a configuration."""
    from openpyxl import Workbook  # type: ignore[import-untyped]
    from scipy.io import savemat

    form = {"name": "scores", "key": ["video"], "mos": ["mos"], "rows": [2, 2]}
    spec = {
        "name": "rated",
        "description": "Two videos",
        "license": "none",
        "version": "1",
        "scale": [1, 5],
        "aggregated": "1-5-acr",
        "videos": ["{key}.mkv"],
        "layouts": [form | {"form": "xlsx", "sheet": "MOS"}, form | {"form": "mat"}],
    }
    write_yaml(folder / "config" / "labels" / "rated.yaml", spec)
    rows = {"carphone": 4.25, "bikes_1": 2.5}
    book = Workbook()
    book.active.title = "MOS"
    for row in (("video", "mos"), *rows.items()):
        book.active.append(row)
    book.save(folder / "book.xlsx")
    savemat(folder / "matrix.mat", {"video": [[name] for name in rows], "mos": [[mos] for mos in rows.values()]})
    return "{book: {dataset: rated, file: book.xlsx, videos: videos}}"


def write_pictures(folder: Path) -> None:
    """Write rated images, a model of them, a published checkpoint, and pictures.yaml, a configuration with these."""
    rows = ["image,source,mos"]
    for number in range(4):
        make_video(folder / "images" / f"{number}.png", "96x80", 1, "-update", "1")
        rows.append(f"{number}.png,scene{number},{number + 1}")
    (folder / "images" / "list.csv").write_text("\n".join(rows) + "\n")
    model = yaml.safe_load((REPOSITORY / "config" / "models" / "nr_metric_v1.yaml").read_text())
    model |= {"name": "pictures", "epochs": 1, "crops": {"train": 64, "judge": 64, "views": 1}, "quantised": []}
    model |= {"split": {"protocol": "kfold", "k": 2, "by": "source"}, "gates": {"constant": {"rmse_share_max": 1000}}}
    model["target"] = {"table": "pictures", "column": "mos", "range": [1, 5]}
    write_yaml(folder / "more" / "pictures.yaml", model)
    shutil.copyfile(REPOSITORY / "config" / "models" / "u2netp.yaml", folder / "more" / "u2netp.yaml")
    write_yaml(
        folder / "pictures.yaml",
        {
            "pictures": {"gray": {"count": 2, "crop": "96x80"}},
            "images": {"rated": {"source": "images/list.csv", "mos_scale": [1, 5]}},
            "tables": {
                "default": {"corpora": ["mine"]},
                "pictures": {"pictures": "gray", "corpora": [], "images": ["rated"]},
            },
            "checkpoints": ["u2netp"],
        },
    )


def questions(folder: Path, log: Path) -> dict[str, Job]:
    """Plan one job of every rule: of the finished run, a corpus of packages, tables, an ensemble, and QAT."""
    shutil.copytree(log.parent, folder / "tables")
    shutil.copyfile(log, folder / "config" / "corpora" / "logged.yaml")
    corpus = yaml.safe_load(log.read_text())
    write_yaml(folder / "config" / "corpora" / "logged.yaml", corpus | {"root": "../../tables"})
    model = yaml.safe_load((folder / "config" / "models" / "small.yaml").read_text())
    model["ensemble"] = {"nominal_coverage": 0.9, "method": "normalised", "coverage_tolerance": 0.5}
    model["quantised"] = [{"mode": mode, "budget": 2, "rmse_max": 1000} for mode in ("qat", "static_qdq")]
    write_yaml(folder / "more" / "small.yaml", model)
    write_yaml(folder / "kfold" / "small.yaml", model | {"split": {"protocol": "kfold", "by": "source", "k": 2}})
    labels = write_label_files(folder)
    more = [
        "--config",
        f"labels={labels}",
        "corpora=[mine, logged, embedded]",
        "models_folder=more",
    ]
    write_pictures(folder)
    targets = ["results/shards/logged/imported.parquet", "results/corpora/embedded/.packages/fetched.json"]
    targets += [
        "results/labels/aggregated.jsonl",
        "results/models/small/ensemble.json",
        "results/quantized/small/seed0/qat.onnx",
        "results/frames/gray/mine/carphone/libx264.safetensors",
        "results/models/u2netp/converted/conversion.json",
    ]
    looked = ["results/models/pictures/seed0/weights.safetensors", "results/reports/models/u2netp.html"]
    head = [
        "--snakefile",
        str(SNAKEFILE),
        "--profile",
        str(PROFILE),
        "--nolock",
        "-n",
        "-p",
        "--configfile",
        "small.yaml",
    ]
    further_head = [*head, "pictures.yaml"]
    cases = {
        "run": [*head, "--forceall"],
        "more": [*further_head, "-R", "ensemble_models", *more, "--", *targets],
        "pictures": [*further_head, *more, "models=[small, pictures]", "--", *looked],
    }
    answers = drive(folder, cases)
    for name, (code, text) in answers.items():
        assert code == 0, f"{name}: {text}"
    run, further, of_pictures = (planned(answers[name][1]) for name in cases)
    further |= {name: job for name, job in of_pictures.items() if name not in further}
    # First the jobs of the run: its pages would show the additions, such as an ensemble.
    # Labels, pictures and checkpoints are read before they are put together, converted and shown.
    last = {"aggregate_labels", "combine_pictures", "convert_checkpoint", "render_checkpoint_card"}
    rest = sorted(JOBS - set(run), key=lambda rule: (rule in last, rule))
    found = {**run, **{rule: further[rule] for rule in rest}}
    fit = found["fit_model"]
    kfold = fit.command.replace("config/models/small.yaml", "kfold/small.yaml").replace(
        "results/models", "kfold/models"
    )
    assert kfold.count("kfold") == 2
    command = f"{kfold.partition(' > ')[0]} > kfold.log 2>&1"
    book = found["read_labels"].command
    matrix = (
        book.replace("book.xlsx", "matrix.mat")
        .replace("labels/book", "labels/matrix")
        .replace("_labels/book", "_labels/matrix")
    )
    assert matrix.count("matrix") == 3
    return found | {
        "read_labels (matrix)": Job("read_labels", (), matrix),
        "quantize_model (qat)": further["quantize_model"],
        "fit_model (kfold)": Job("fit_model", (), command),
        "fit_model (pictures)": of_pictures["fit_model"],
    }


@pytest.fixture(scope="module")
def ran(finished_run: Path, programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Ran:
    base = tmp_path_factory.mktemp("verbs")
    folder, noted = base / "run", base / "imported"
    shutil.copytree(finished_run, folder)
    # With a cache, no job would need libvmaf.
    shutil.rmtree(folder / "results" / "cache")
    (base / "log").mkdir()
    jobs = questions(folder, Log(base / "log").corpus_file())
    ended = {}
    for name, job in jobs.items():
        environment = environment_of(job.rule)
        ended[name] = run_job(job, folder, programs[environment], noted / environment)
    return Ran(folder, ended, jobs, noted)


MORE_JOBS = ("read_labels (matrix)", "fit_model (kfold)", "fit_model (pictures)", "quantize_model (qat)")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*sorted(JOBS), *MORE_JOBS])
def test_a_verb_runs_with_the_packages_of_its_environment(name: str, ran: Ran) -> None:
    done = ran.ended[name]
    if name == "fetch_corpus" and "cannot download" in done.stdout and "PYVMAF_REQUIRE_NETWORK" not in os.environ:
        pytest.skip("there is no package index")
    assert done.returncode == 0, f"{environment_of(ran.jobs[name].rule)}.yaml: {done.stdout}{done.stderr}"


def test_results_do_not_depend_on_the_environment(ran: Ran, finished_run: Path) -> None:
    before, after = artefacts(finished_run / "results"), artefacts(ran.folder / "results")
    compared = set(before) & set(after) - timings(ran.folder / "results")
    assert len([name for name in compared if not name.startswith("cache/")]) > 40
    assert {name for name in compared if before[name] != after[name]} == set()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_holds_no_more_than_its_verbs_import(name: str, ran: Ran) -> None:
    """Every pin is a dependency of the project that some verb loaded, builds this package, or is needed by such a one."""
    project = PROJECT["project"]
    items = [*project["dependencies"], *(item for items in project["optional-dependencies"].values() for item in items)]
    declared = {canonicalize_name(Requirement(item).name) for item in items} - {linked.PROJECT}
    loaded = linked.imported(ran.noted / name)
    builds = {canonicalize_name(Requirement(item).name) for item in PROJECT["build-system"]["requires"]}
    pinned = set(linked.pins(REPOSITORY / "envs" / f"{name}.yaml"))
    # FFmpeg's program is run from its package, which is not imported; scripts of pages may be kept from an earlier run.
    located = {"video": {"imageio-ffmpeg"}, "report": {"vl-convert-python"}}.get(name, set())
    # typer says what is wrong with a command line; a sound one does without it.
    assert pinned == linked.closure((loaded & declared & pinned) | builds | located | {"typer"})
    assert loaded <= pinned | {"pip", "setuptools"}


def test_an_environment_without_a_package_fails(ran: Ran, tmp_path: Path) -> None:
    job = ran.jobs["collect_corpus"]
    pins = set(linked.pins(REPOSITORY / "envs" / "video.yaml"))
    programs = linked.make(tmp_path / "less", pins - {"pydantic"})
    done = run_job(job, ran.folder, programs, tmp_path / "imported")
    assert done.returncode != 0
    assert "No module named 'pydantic'" in done.stdout


# --- conda is optional --------------------------------------------------------------------------------


def test_only_the_conda_profile_asks_for_conda() -> None:
    for path in (REPOSITORY / "profiles").glob("*/*.yaml"):
        profile: dict[str, Any] = yaml.safe_load(path.read_text())
        asks = any(key in profile for key in ("software-deployment-method", "sdm", "deployment-method", "use-conda"))
        assert asks == (path.parent.name == "conda"), path


def test_a_plan_needs_no_conda(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin"))
    assert not any(shutil.which(name, path=programs) for name in ("conda", "mamba", "micromamba"))
    monkeypatch.setenv("PATH", programs)
    done = snakemake(finished_run, "--configfile", "small.yaml", "-n", "--nolock")
    assert "Nothing to be done" in done.stdout + done.stderr
    assert list((finished_run / ".snakemake").glob("conda/*")) == []
