"""The workflow as a module of another one, in another folder, in the catalog and in Snakemake's report."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.make import warm
from tests.make.videos import REPOSITORY
from tests.make.workflows import PROFILE, artefacts, prepare_small_run, snakemake
from tests.workflow.loaded import SOURCES, rules


def example() -> str:
    """The Snakefile of docs/workflow.md, for this checkout."""
    page = (REPOSITORY / "docs" / "workflow.md").read_text()
    [block] = re.findall(r"^```snakemake\n(module quality:.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert "/path/to/checkout" in block
    return str(block).replace("/path/to/checkout", str(REPOSITORY))


def outer(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [warm.python(), "-m", "snakemake", "--workflow-profile", str(PROFILE), *arguments]
    done = subprocess.run(command, cwd=folder, env=warm.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_another_workflow_imports_this_one(
    finished_run: Path, embedded_corpus: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    prepare_small_run(folder, embedded_corpus)
    config = {"quality": yaml.safe_load((folder / "small.yaml").read_text())}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    own = 'rule count:\n    input: "quality/results/corpora/mine/corpus.json"\n    output: "count.txt"\n'
    own += '    shell: "grep -c sha256 {input} > {output}"\n'
    (folder / "Snakefile").write_text(f'configfile: "config.yaml"\n\n\n{own}\n\n{example()}')

    planned = outer(folder, "-n", "--quiet", "rules", "host", "--", "quality_all")
    jobs = dict(re.findall(r"^quality_(\w+) +(\d+)$", planned.stdout + planned.stderr, re.MULTILINE))
    # Everything that the same configuration plans alone, under the prefix.
    assert jobs["encode_rung"] == "8"
    assert jobs["fit_model"] == "2"
    assert set(jobs) == {*SOURCES} - {
        *("fetch_corpus", "import_table", "ensemble_models", "read_labels", "aggregate_labels"),
        *("extract_frames", "extract_images", "combine_pictures", "fetch_checkpoint", "convert_checkpoint"),
        "render_checkpoint_card",
        *(rule for rule in SOURCES if rule.startswith("all_")),
    }

    # The first rule of the importing workflow stays the default.
    outer(folder, "--cores", "2")
    assert int((folder / "count.txt").read_text()) > 0
    made = artefacts(folder / "quality" / "results")
    alone = artefacts(finished_run / "results")
    clips = {name for name in made if name.endswith(".mkv")}
    assert clips == {"corpora/mine/bikes_1.mkv", "corpora/mine/carphone.mkv"}
    assert {name: made[name] for name in clips} == {name: alone[name] for name in clips}
    assert not (folder / "results").exists()
    assert (folder / "quality" / "logs" / "prepare_clip" / "mine" / "carphone.log").is_file()
    again = outer(folder, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_it_runs_in_another_folder_with_options_of_the_command_line(
    finished_run: Path, embedded_corpus: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    prepare_small_run(folder, embedded_corpus)
    here = tmp_path / "here"
    here.mkdir()
    words = [
        "--config",
        "corpora=[mine]",
        "models=[small]",
        "codecs=[libx264]",
        "seeds=[0]",
        "--directory",
        str(folder),
    ]
    target = "results/corpora/mine/carphone.mkv"
    snakemake(here, "--cores", "1", *words, "--", target)
    assert (folder / target).read_bytes() == (finished_run / target).read_bytes()
    assert not [path for path in here.iterdir() if path.name != ".snakemake"]
    again = snakemake(here, "-n", *words, "--", target)
    assert "Nothing to be done" in again.stdout + again.stderr


# --- catalog and report -------------------------------------------------------------------------------------


def test_the_catalog_file_states_usage() -> None:
    found = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())
    usage = found["usage"]
    assert usage["report"] is True
    assert usage["software-stack-deployment"] == {"conda": True, "apptainer": False, "apptainer+conda": False}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    for path in ("workflow/Snakefile", "config/README.md", "config/config.yaml", "workflow/schemas/config.schema.yaml"):
        assert (REPOSITORY / path).is_file()


def test_files_for_people_are_in_the_report() -> None:
    reported = {name: path for name, rule in rules().items() for path in rule.output if "report" in path.flags}
    assert set(reported) == {
        *("judge_model", "register_models", "render_report", "render_card", "render_checkpoint_card", "summarize_run")
    }
    captions = set()
    for name, path in reported.items():
        flag = path.flags["report"]
        caption = Path(flag.caption.get_path_or_uri(secret_free=True))
        captions.add(caption.name)
        words = caption.read_text()
        # A wildcard that the rule does not have would end the report.
        used = set(re.findall(r"snakemake\.wildcards\.(\w+)", words))
        wildcards = set(re.findall(r"\{(\w+)", path))
        assert used <= wildcards, caption
        assert len(words) > 80
        assert flag.category in ("Models", "Run")
        assert flag.labels["file"]
        assert ("model" in flag.labels) == ("model" in wildcards), name
    files = {path.name for path in (REPOSITORY / "workflow" / "report").glob("*.rst")}
    assert files == captions | {"workflow.rst"}


@pytest.mark.slow
def test_the_report_has_every_file_with_category_labels_and_caption(finished_run: Path, tmp_path: Path) -> None:
    archive = tmp_path / "report.zip"
    snakemake(finished_run, "--nolock", "--configfile", "small.yaml", "--report", str(archive))
    with zipfile.ZipFile(archive) as stored:
        [page] = [name for name in stored.namelist() if name.endswith("report.html") and name.count("/") == 1]
        text = stored.read(page).decode()
    results, categories = (
        json.JSONDecoder().raw_decode(text, re.search(rf"\b{name} = (?=\{{)", text).end())[0]  # type: ignore[union-attr]
        for name in ("results", "categories")
    )
    expected = {
        "results/models/small/verdict.json": ("Models", {"model": "small", "file": "verdict"}),
        "results/reports/models/small.html": ("Models", {"model": "small", "file": "card"}),
        "results/registry/registry.json": ("Run", {"file": "registry"}),
        "results/reports/report.html": ("Run", {"file": "page"}),
        "results/reports/summary.json": ("Run", {"file": "summary"}),
    }
    assert set(results) == set(expected)
    for path, (category, labels) in expected.items():
        assert results[path]["labels"] == labels
        assert len(results[path]["caption"]) > 80
        assert [name for name, inner in categories.items() if any(path in paths for paths in inner.values())] == [
            category
        ]
