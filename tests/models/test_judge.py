"""Verdicts: every gate against figures computed another way, and what judge refuses."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyvmaf.base.files import sha256_file
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.features.cases import AT_LEAST, AT_MOST, CASES
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.gates.correlation import Correlation, correlation
from pyvmaf.models.gates.extrapolation import Extrapolation as ExtrapolationGate
from pyvmaf.models.gates.extrapolation import extrapolation
from pyvmaf.models.gates.gate import Seed
from pyvmaf.models.gates.hard_negatives import allowed, hard_negatives
from pyvmaf.models.gates.monotonicity import monotonicity
from pyvmaf.models.judge import judge
from pyvmaf.models.regressor.gates import frame_columns, scores
from pyvmaf.models.regressor.spec import RegressorSpec, load_regressor
from pyvmaf.models.spec import Extrapolation, Gates, HardNegatives, Monotonicity, parse_spec
from pyvmaf.models.verdicts import RegressorGates, Verdict
from pyvmaf.models.weights import load_weights, save_weights
from pyvmaf.runtime.load import load_model
from tests.make.commands import command
from tests.make.models import SpecWriter, spec_file
from tests.make.tables import table_columns, write_negatives, write_table

LENIENT = {
    "mean_plcc_min": 0.8,
    "per_seed_min": 0.8,
    "plcc_spread_max": 0.1,
    # The formula of the table has no frames far from a ladder's.
    "hard_negatives": {"black_max": 80, "swapped_max": 80, "teacher_error_max": 80, "range_margin": 200},
    "extrapolation": {"worst_plcc_min": 0.5},
}


@dataclasses.dataclass(frozen=True)
class Line:
    """Two seeds of a model, fitted."""

    spec: Path
    table: Path
    negatives: Path
    reports: list[Path]

    def seeds(self) -> list[Seed]:
        return [Seed(n, path, json.loads(path.read_text())) for n, path in enumerate(self.reports)]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    root = tmp_path_factory.mktemp("line")
    table = write_table(root / "made.parquet", table_columns())
    spec = spec_file(root, gates=LENIENT, split={"by": "source", "beside": "group"})
    reports = [fit(spec, table, root / f"seed{s}", seed=s).report for s in (0, 1)]
    return Line(spec, table, write_negatives(root / "negatives.parquet", "made", ["a", "b", "c"]), reports)


@pytest.fixture
def limits(tmp_path: Path, line: Line) -> Callable[..., Path]:
    """The line's spec with other gates."""

    def write(**changes: Any) -> Path:
        return spec_file(tmp_path, gates=LENIENT | changes, split={"by": "source", "beside": "group"})

    return write


# -- the verdict -------------------------------------------------------------------------------------------------


def test_promote(tmp_path: Path, line: Line) -> None:
    out = tmp_path / "verdict.json"
    words = ["judge", "-c", line.spec, "--negatives", line.negatives, "--output", out, "--seeds", "0,1"]
    done = command(*words, *line.reports, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("PROMOTE small: mean PLCC 0.9")
    assert {row.split(",")[0].split()[0] for row in done.stdout.splitlines() if ", worst clip" in row} == set(CASES)
    verdict = Verdict.read(out).as_json()
    reports = [json.loads(p.read_text()) for p in line.reports]
    means = [r["mean_plcc"] for r in reports]
    assert verdict["verdict"] == "PROMOTE"
    assert (verdict["gate"]["passed"], verdict["gate"]["reasons"], list(verdict["gates_not_judged"])) == (
        True,
        [],
        ["pooled"],
    )
    assert verdict["gate"]["mean_plcc"] == pytest.approx(np.mean(means))
    assert verdict["gate"]["plcc_spread"] == pytest.approx(abs(means[0] - means[1]))
    assert verdict["gate"]["std_plcc"] == pytest.approx(np.std(means, ddof=1))
    assert verdict["corpus"]["sha256"] == sha256_file(line.table)
    assert verdict["per_seed"]["1"]["report_sha256"] == sha256_file(line.reports[1])
    for figure in ("plcc", "srocc", "krocc", "rmse"):
        values = [r[f"mean_{figure}"] for r in reports]
        assert verdict["over_seeds"][figure]["std"] == pytest.approx(np.std(values, ddof=1))
        for place, fold in enumerate(reports[0]["folds"]):
            both = [r["folds"][place][figure] for r in reports]
            found = verdict["per_fold"][fold["held_out"]][figure]
            assert found == pytest.approx(
                {"mean": np.mean(both), "std": np.std(both, ddof=1), "min": min(both), "max": max(both)}
            )
    mean, worst = (
        np.mean([r["mean_rmse"] for r in reports]),
        max(f["rmse"] for r in reports for f in r["beside"]["folds"]),
    )
    assert f"mean RMSE on held-out rows, {mean:.2f}, is that of material like the table's" in verdict["recommendation"]
    assert (
        f"held out whole, it was up to {worst:.2f}. Material unlike it may get several times as much"
        in verdict["recommendation"]
    )
    again = tmp_path / "again.json"
    assert judge(line.spec, line.reports, again, negatives=line.negatives)["verdict"] == "PROMOTE"
    # Only the command line differs, which is noted.
    first, second = json.loads(out.read_text()), json.loads(again.read_text())
    assert {k for k in first if first[k] != second[k]} <= {"run_provenance"}


def test_hold_names_each_gate_that_says_no(tmp_path: Path, line: Line, limits: Callable[..., Path]) -> None:
    out = tmp_path / "verdict.json"
    strict = limits(
        mean_plcc_min=0.9999,
        hard_negatives={**LENIENT["hard_negatives"], "flat_min": 150, "teacher_error_max": 0},  # type: ignore[dict-item]
        extrapolation={"worst_plcc_min": 0.99999},
    )
    words = ["judge", "-c", strict, "--negatives", line.negatives, "-o", out, *line.reports]
    done = command(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout[:10]) == (1, "HOLD small")
    verdict = Verdict.read(out).as_json()
    for text in ("below 0.9999", "hard negatives, frozen", "unseen by seed"):
        assert text in verdict["recommendation"]
        assert text in done.stdout.replace("\n", " ")
    assert verdict["gate"]["mean_plcc_pass"] is verdict["gate"]["extrapolation"]["passed"] is False
    assert verdict["gate"]["monotonicity"]["passed"] is True
    assert verdict["recommendation"] == "; ".join(verdict["gate"]["reasons"])
    assert command(*words, "--as-result", cwd=tmp_path).returncode == 0


def test_without_hard_negatives_a_model_is_held_unless_its_spec_says_so(
    tmp_path: Path, line: Line, limits: Callable[..., Path]
) -> None:
    out = tmp_path / "verdict.json"
    done = command("judge", "-c", line.spec, "-o", out, *line.reports, cwd=tmp_path)
    assert done.returncode == 1
    assert "hard negatives were not judged" in done.stdout.replace("\n", " ")
    verdict = Verdict.read(out).as_json()
    assert verdict["gate"]["hard_negatives"]["passed"] is False
    assert set(verdict["gates_not_judged"]) == {"pooled", "hard_negatives"}
    off = limits(hard_negatives=None, monotonicity=None)
    verdict = judge(off, line.reports, out)
    assert verdict["verdict"] == "PROMOTE"
    assert set(verdict["gates_not_judged"]) == {"pooled", "hard_negatives", "monotonicity"}
    # A table that nobody holds anything against is not looked at.
    assert judge(off, line.reports, out, negatives=tmp_path / "absent")["verdict"] == "PROMOTE"


def test_a_report_that_is_not_there_ends_with_exit_code_2(tmp_path: Path, line: Line) -> None:
    out = tmp_path / "verdict.json"
    done = command("judge", "-c", line.spec, "-o", out, tmp_path / "absent.json", cwd=tmp_path)
    assert (done.returncode, out.exists()) == (2, False)
    assert "absent.json" in done.stderr


@pytest.mark.parametrize(
    ("reports", "seeds", "says"),
    [
        ((0, 1), (0, 1, 2), r"but \[2\] were not reported"),
        ((0, 0), None, "seed 0 is reported twice"),
        ((), None, "no reports"),
    ],
)
def test_reports_and_seeds_that_do_not_fit(
    tmp_path: Path, line: Line, reports: tuple[int, ...], seeds: tuple[int, ...] | None, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        judge(line.spec, [line.reports[n] for n in reports], tmp_path / "verdict.json", seeds=seeds)
    assert not (tmp_path / "verdict.json").exists()


def test_reports_of_another_model(tmp_path: Path, line: Line, write_spec: SpecWriter) -> None:
    with pytest.raises(InputError, match="reports on model 'small', not on 'other'"):
        judge(write_spec("other"), line.reports, tmp_path / "verdict.json")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda r: r["table"].update(sha256="0" * 64), InputError, "different tables"),
        (lambda r: r.update(train_config_hash=f"sha256:{'0' * 64}"), InputError, "different training settings"),
        (lambda r: r.pop("folds"), IntegrityError, "folds"),
        (lambda r: None, MissingFileError, "fit leaves it beside"),
    ],
)
def test_a_report_that_was_changed_or_moved(
    tmp_path: Path, line: Line, change: Callable[[dict[str, Any]], None], error: type[Exception], says: str
) -> None:
    report = json.loads(line.reports[1].read_text())
    change(report)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(report))
    with pytest.raises(error, match=says):
        judge(line.spec, [line.reports[0], path], tmp_path / "verdict.json")
    assert not (tmp_path / "verdict.json").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "predictions.parquet"])
def test_files_of_another_fit_beside_a_report(tmp_path: Path, line: Line, name: str) -> None:
    copy = tmp_path / "seed0"
    shutil.copytree(line.reports[0].parent, copy)
    shutil.copyfile(line.reports[1].with_name(name), copy / name)
    with pytest.raises(IntegrityError, match=f"{name} has sha256"):
        judge(line.spec, [copy / "loso.json"], tmp_path / "verdict.json", negatives=line.negatives, seeds=[0])


def test_a_table_of_negatives_that_is_not_there(tmp_path: Path, line: Line) -> None:
    with pytest.raises(MissingFileError, match="absent"):
        judge(line.spec, line.reports, tmp_path / "verdict.json", negatives=tmp_path / "absent.parquet")


def test_all_seeds_of_the_spec_are_judged_unless_others_are_named(tmp_path: Path, line: Line) -> None:
    verdict = tmp_path / "verdict.json"
    with pytest.raises(InputError, match=r"has the seeds \[0, 1\], but \[1\] were not reported: .* --seeds 0$"):
        judge(line.spec, line.reports[:1], verdict, negatives=line.negatives)
    assert not verdict.exists()
    words = ["judge", "--config", line.spec, "--output", verdict, "--negatives", line.negatives, line.reports[0]]
    assert command(*words, cwd=tmp_path).returncode == 2
    assert command(*words, "--seeds", "0", cwd=tmp_path).returncode == 0
    judged = json.loads(verdict.read_text())
    assert (judged["seeds"], judged["seeds_not_judged"]) == ([0], [1])
    # One seed has no spread: it is not said to have passed.
    assert (judged["gate"]["plcc_spread"], judged["gate"]["plcc_spread_pass"]) == (None, None)
    assert judged["gates_not_judged"]["spread over seeds"] == "one seed has no spread"
    Verdict.read(verdict)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(verdict="FINE"),
        lambda v: v["gate"].pop("monotonicity"),
        lambda v: v["gate"]["monotonicity"].update(violations=-1),
        lambda v: v["gate"]["hard_negatives"]["cases"]["black"].pop("worst"),
        lambda v: v.update(note="all is well"),
        lambda v: v["per_seed"].clear(),
    ],
)
def test_a_verdict_is_held_against_its_schema(
    tmp_path: Path, line: Line, change: Callable[[dict[str, Any]], Any]
) -> None:
    out = tmp_path / "verdict.json"
    judge(line.spec, line.reports, out, negatives=line.negatives)
    verdict = json.loads(out.read_text())
    Verdict.read(out)
    change(verdict)
    out.write_text(json.dumps(verdict))
    with pytest.raises(IntegrityError, match="does not conform to Verdict on a model"):
        Verdict.read(out)


def test_each_gate_gives_rows_that_agree_with_its_block(tmp_path: Path, line: Line) -> None:
    """A row that does not pass has a reason, and a part passes if and only if none of its rows fails."""
    out = tmp_path / "verdict.json"
    judge(line.spec, line.reports, out, negatives=line.negatives)
    gate = Verdict.read(out).gate
    assert isinstance(gate, RegressorGates)
    rows = gate.rows or []
    assert {row.gate for row in rows} == {"correlation", "pooled", "hard_negatives", "monotonicity", "extrapolation"}
    for name in ("pooled", "hard_negatives", "monotonicity", "extrapolation"):
        own = [row for row in rows if row.gate == name]
        block = getattr(gate, name)
        assert block.passed == (None if own[0].passed is None else all(row.passed for row in own))
    assert all(row.why for row in rows if not row.passed)
    assert not any(row.why for row in rows if row.passed)
    assert sum(row.gate == "hard_negatives" for row in rows) == len(CASES) + 1


# -- correlation -------------------------------------------------------------------------------------------------


def test_a_seed_without_a_plcc_fails() -> None:
    found = correlation(Gates(), {0: 0.99, 1: None})
    assert (found["mean_plcc"], found["mean_plcc_pass"], found["failing_seeds"]) == (None, False, [1])
    assert found["plcc_spread_pass"] is False


@settings(deadline=None)
@given(
    plccs=st.dictionaries(st.integers(0, 9), st.floats(0.9, 1.0), min_size=1),
    mean_min=st.floats(0.9, 1.0),
    seed_min=st.floats(0.9, 1.0),
    spread_max=st.floats(0.0, 0.1),
)
def test_correlation_is_three_conditions(
    plccs: dict[int, float], mean_min: float, seed_min: float, spread_max: float
) -> None:
    found = correlation(Gates(mean_plcc_min=mean_min, per_seed_min=seed_min, plcc_spread_max=spread_max), dict(plccs))
    values = np.array(list(plccs.values()))
    assert found["mean_plcc_pass"] == bool(values.mean() >= mean_min)
    assert found["plcc_spread_pass"] == (bool(np.ptp(values) <= spread_max) if values.size > 1 else None)
    assert found["failing_seeds"] == sorted(s for s, p in plccs.items() if p < seed_min)
    rows = Correlation().rows(found)
    assert [row.passed for row in rows] == [
        found["mean_plcc_pass"],
        found["plcc_spread_pass"],
        found["per_seed_pass"],
    ]
    assert all((row.why is None) == bool(row.passed) for row in rows)


# -- hard negatives ----------------------------------------------------------------------------------------------


def judged_negatives(spec: RegressorSpec, table: Path | None, seeds: Sequence[Seed]) -> dict[str, Any]:
    """The block of the gate, for a regressor."""
    return hard_negatives(spec, table, seeds, frame_columns, scores)


@given(case=st.sampled_from(list(CASES)), teacher=st.floats(0, 100), error=st.floats(0, 50))
def test_the_teacher_never_fails_its_own_gate(case: str, teacher: float, error: float) -> None:
    least, largest = allowed(case, teacher, HardNegatives(teacher_error_max=error))
    bounds = (-math.inf if least is None else least, math.inf if largest is None else largest)
    assert bounds[0] <= teacher <= bounds[1]
    assert bounds != (-math.inf, math.inf)


def test_limits_mean_what_the_cases_mean() -> None:
    ordinary = HardNegatives()
    assert allowed("identical", 99.5, ordinary) == (89.5, None)
    assert allowed("identical", 100.0, ordinary) == (90.0, None)
    assert allowed("black", 3.0, ordinary) == (None, 20.0)
    # A clip that begins in black is, of black frames, a good copy; the teacher says so.
    assert allowed("black", 95.0, ordinary) == (None, 105.0)
    assert allowed("swapped", 11.0, ordinary) == (None, 21.0)
    assert allowed("frozen", 20.0, ordinary) == (10.0, 30.0)
    assert allowed("flat_reference", 95.0, ordinary) == (85.0, 105.0)


def exported(line: Line, folder: Path) -> list[Any]:
    """The models that ship, loaded as a user does."""
    verdict = folder / "v.json"
    judge(line.spec, line.reports, verdict)
    models = []
    for report in line.reports:
        onnx = folder / report.parent.name / "model.onnx"
        export(line.spec, report.with_name("weights.safetensors"), verdict, line.table, onnx)
        models.append(load_model(onnx))
    return models


def test_scores_are_those_of_the_models_that_ship(tmp_path: Path, line: Line) -> None:
    found = judged_negatives(load_regressor(line.spec), line.negatives, line.seeds())
    data = pd.read_parquet(line.negatives)
    predictions = [model.predict(data) for model in exported(line, tmp_path)]
    answers, frames = (np.stack([getattr(p, key) for p in predictions]) for key in ("answers", "scores"))
    assert (answers > 100).any()
    assert found["range"]["lowest"] == pytest.approx(answers.min(), abs=1e-4)
    assert found["range"]["highest"] == pytest.approx(answers.max(), abs=1e-4)
    assert (frames == np.clip(answers, 0, 100)).all()
    assert found["table"]["rows_used"] == len(data)
    assert found["cases_missing"] == []
    for case, entry in found["cases"].items():
        rows = (data["case"] == case).to_numpy()
        means = np.stack([pd.Series(f[rows]).groupby(data["clip"][rows].astype(str).to_numpy()).mean() for f in frames])
        assert entry["scores"] == pytest.approx([means.min(), means.max()], abs=1e-4)
        assert entry["clips"] == 3
        least, largest = entry["worst"]["at_least"], entry["worst"]["at_most"]
        below = -math.inf if least is None else least - means.min()
        above = -math.inf if largest is None else means.max() - largest
        room = max(below, above)
        assert entry["worst"]["beyond"] == pytest.approx(room, abs=1e-4)
        assert entry["passed"] == (room <= 0)


@pytest.mark.parametrize(
    ("change", "case"),
    [
        ({"black_max": -500, "teacher_error_max": 0}, "black"),
        ({"swapped_max": -500, "teacher_error_max": 0}, "swapped"),
        ({"identical_min": 500, "teacher_error_max": 0}, "identical"),
        ({"flat_min": 500, "teacher_error_max": 0}, "flat"),
        ({"teacher_error_max": 0.01}, "frozen"),
        ({"teacher_error_max": 0.01}, "flat_reference"),
        ({"range_margin": 0}, None),
    ],
)
def test_each_limit_can_fail(tmp_path: Path, line: Line, change: dict[str, float], case: str | None) -> None:
    spec = load_regressor(line.spec)
    limits = spec.gates.hard_negatives
    assert limits is not None
    strict = spec.model_copy(
        update={"gates": spec.gates.model_copy(update={"hard_negatives": limits.model_copy(update=change)})}
    )
    assert judged_negatives(spec, line.negatives, line.seeds())["passed"] is True
    # A teacher that bends no limit, whatever the model says.
    data = pd.read_parquet(line.negatives)
    far = np.where(
        data["case"].isin([*AT_LEAST]),
        500.0,
        np.where(data["case"].isin([*AT_MOST]), -500.0, data["vmaf"]),
    )
    data.assign(vmaf=far).to_parquet(tmp_path / "far.parquet")
    found = judged_negatives(strict, tmp_path / "far.parquet", line.seeds())
    assert found["passed"] is False
    if case is None:
        assert found["range"]["passed"] is False
        assert "outside of [0, 100]" in found["why"]
        assert found["range"]["outside"] > 0
    else:
        entry = found["cases"][case]
        assert entry["passed"] is False
        assert f"hard negatives, {case}" in found["why"]
        assert entry["worst"]["clip"] in entry["why"]


def test_rows_that_a_loaded_model_refuses_are_left_out(tmp_path: Path, line: Line) -> None:
    data = pd.read_parquet(line.negatives)
    spec = load_regressor(line.spec)
    gaps = data.copy()
    gaps.loc[gaps["case"] == "flat", "vif_scale2"] = math.inf
    gaps.to_parquet(tmp_path / "gaps.parquet")
    found = judged_negatives(spec, tmp_path / "gaps.parquet", line.seeds())
    assert found["cases_missing"] == ["flat"]
    assert found["table"]["rows_used"] == len(data) - int((data["case"] == "flat").sum())
    data.assign(motion2=math.nan).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputError, match=r"none of \d+ rows has all features"):
        judged_negatives(spec, tmp_path / "none.parquet", line.seeds())
    data.drop(columns="adm2").to_parquet(tmp_path / "lacks.parquet")
    with pytest.raises(InputError, match="no column 'adm2'"):
        judged_negatives(spec, tmp_path / "lacks.parquet", line.seeds())


def test_a_model_that_overflows_is_held(tmp_path: Path, line: Line) -> None:
    weights = load_weights(line.reports[0].with_name("weights.safetensors"))
    huge = dataclasses.replace(
        weights,
        path=tmp_path / "weights.safetensors",
        tensors={**weights.tensors, "parameters": np.full_like(weights.tensors["parameters"], 3e38)},
    )
    save_weights(huge)
    report = json.loads(line.reports[0].read_text()) | {"weights_sha256": sha256_file(huge.path)}
    found = judged_negatives(load_regressor(line.spec), line.negatives, [Seed(0, tmp_path / "loso.json", report)])
    assert found["passed"] is False
    assert found["range"]["outside"] > 0
    json.dumps(found, allow_nan=False)


def test_a_model_of_something_else_is_not_judged_on_frames(line: Line) -> None:
    spec = load_regressor(line.spec)
    other = spec.model_copy(update={"target": spec.target.model_copy(update={"column": "mos"})})
    found = judged_negatives(other, line.negatives, line.seeds())
    assert (found["judged"], found["passed"]) == (False, None)


@pytest.mark.parametrize(("vocabulary", "told"), [("v1", {"unknown"}), ("v3", {"libx264", "libx265", "libsvtav1"})])
def test_what_a_model_is_told_about_the_codec(tmp_path: Path, line: Line, vocabulary: str, told: set[str]) -> None:
    spec = spec_file(
        tmp_path, inputs={"features": "canonical6", "codec": vocabulary}, epochs=2, seeds=[0], gates=LENIENT
    )
    report = fit(spec, line.table, tmp_path / "seed0", seed=0).report
    found = judged_negatives(load_regressor(spec), line.negatives, [Seed(0, report, json.loads(report.read_text()))])
    assert set(found["codecs"]) == told
    assert {entry["worst"]["codec"] for entry in found["cases"].values()} <= told


# -- order within a ladder ---------------------------------------------------------------------------------------


def predictions(folder: Path, rows: Sequence[Mapping[str, Any]], number: int = 0) -> Seed:
    """A seed whose predictions are those rows."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "predictions.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return Seed(number, folder / "loso.json", {"predictions_sha256": sha256_file(path)})


def ladder(predicted: Mapping[int, float], target: Mapping[int, float], clip: str = "c", frames: int = 3) -> list[Any]:
    """Rows of one ladder whose means are those figures by CRF."""
    return [
        {
            "source": "s", "clip": clip, "codec": "libx264", "preset": "medium", "rung": f"medium-crf{crf}", "crf": crf,
            "prediction": predicted[crf] + frame - (frames - 1) / 2, "target": target[crf] - frame + (frames - 1) / 2,
        }
        for crf in predicted
        for frame in range(frames)
    ]  # fmt: skip


def test_a_pair_in_the_wrong_order_is_found(tmp_path: Path) -> None:
    teacher = {20: 95.0, 30: 80.0, 40: 60.0}
    seeds = [
        predictions(tmp_path / "a", ladder(teacher, teacher), 3),
        predictions(tmp_path / "b", ladder({20: 95.0, 30: 59.0, 40: 60.5}, teacher), 4),
    ]
    found = monotonicity(Monotonicity(tolerance=1.0), seeds)
    assert (found["passed"], found["pairs"], found["violations"]) == (False, 6, 1)
    assert found["worst"] == {
        "seed": 4, "source": "s", "clip": "c", "codec": "libx264", "preset": "medium", "crf": [30, 40],
        "predicted": pytest.approx([59.0, 60.5]), "teacher": pytest.approx([80.0, 60.0]),
        "excess": pytest.approx(1.5),
    }  # fmt: skip
    assert found["per_seed"]["3"]["ordered_share"] == 1
    assert found["per_seed"]["4"]["ordered_share"] == pytest.approx(2 / 3)
    assert "CRF 30 gets 59.00 and CRF 40 60.50 (teacher 80.00 and 60.00)" in found["why"]
    assert monotonicity(Monotonicity(tolerance=1.6), seeds)["passed"] is True


def test_what_the_teacher_has_in_the_wrong_order_is_not_held_against_a_model(tmp_path: Path) -> None:
    teacher = {20: 80.0, 30: 83.0}
    seeds = [predictions(tmp_path, ladder({20: 79.0, 30: 82.5}, teacher))]
    found = monotonicity(Monotonicity(tolerance=1.0), seeds)
    assert (found["passed"], found["ordered_share"], found["teacher_ordered_share"]) == (True, 0, 0)
    assert found["worst"]["excess"] == pytest.approx(0.5)


@settings(max_examples=40)
@given(
    values=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(("x", "y")), st.integers(0, 6), st.floats(0, 100), st.floats(0, 100)),
        min_size=2,
        max_size=30,
    ),
    tolerance=st.floats(0, 20),
)  # fmt: skip
def test_every_pair_counts(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[str, str, int, float, float]], tolerance: float
) -> None:
    """Against a loop over all rows."""
    rows = [
        {"source": clip, "clip": clip, "codec": "k", "preset": preset, "rung": f"{preset}-crf{crf}", "crf": crf,
         "prediction": p, "target": t}
        for clip, preset, crf, p, t in values
    ]  # fmt: skip
    encodes: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for clip, preset, crf, p, t in values:
        encodes.setdefault((clip, preset, crf), []).append((p, t))
    means = {key: np.mean(pair, axis=0) for key, pair in encodes.items()}
    pairs = [
        (means[one], means[two])
        for one, two in itertools.permutations(means, 2)
        if one[:2] == two[:2] and one[2] < two[2]
    ]
    beyond = [(two[0] - one[0]) - max(0, two[1] - one[1]) - tolerance for one, two in pairs]
    # Whether a pair exactly on the limit counts depends on the last digit of a mean.
    assume(all(abs(value) > 1e-9 for value in beyond))
    folder = tmp_path_factory.mktemp("pairs")
    found = monotonicity(Monotonicity(tolerance=tolerance), [predictions(folder, rows)])
    if not pairs:
        assert (found["judged"], found["passed"]) == (False, None)
        return
    assert found["pairs"] == len(pairs)
    assert found["violations"] == sum(value > 0 for value in beyond)
    assert found["passed"] == (max(beyond) <= 0)
    assert found["worst"]["excess"] - tolerance == pytest.approx(max(beyond))
    # Whether two equal means are in order depends on their last digits, too.
    surely, perhaps = (sum(two[0] > one[0] + margin for one, two in pairs) for margin in (1e-9, -1e-9))
    assert surely - 1e-6 <= (1 - found["ordered_share"]) * len(pairs) <= perhaps + 1e-6


def test_a_table_without_ladders_has_no_order(tmp_path: Path) -> None:
    rows = [{"source": "s", "prediction": 1.0, "target": 1.0}]
    assert monotonicity(Monotonicity(), [predictions(tmp_path / "a", rows)])["judged"] is False
    one = ladder({20: 90.0}, {20: 90.0})
    assert monotonicity(Monotonicity(), [predictions(tmp_path / "b", one)])["passed"] is None
    unknown = [{**row, "crf": None} for row in ladder({20: 90.0, 30: 95.0}, {20: 90.0, 30: 80.0})]
    assert monotonicity(Monotonicity(), [predictions(tmp_path / "c", unknown)])["judged"] is False


# -- held out beside ---------------------------------------------------------------------------------------------


def beside(number: int, plccs: Mapping[str, float | None]) -> Seed:
    folds = [{"held_out": f"group:{n}", "plcc": p, "srocc": p, "krocc": p, "rmse": 1.0} for n, p in plccs.items()]
    return Seed(number, Path("loso.json"), {"beside": {"by": "group", "folds": folds}})


def test_the_worst_group_of_the_worst_seed(line: Line) -> None:
    seeds = [beside(0, {"a": 0.99, "b": 0.97}), beside(1, {"a": 0.98, "b": 0.91})]
    found = extrapolation(Extrapolation(worst_plcc_min=0.95), seeds)
    assert (found["passed"], found["worst_plcc"]) == (False, 0.91)
    assert found["worst"] == {"seed": 1, "held_out": "b"}
    assert found["why"] == "PLCC on the group 'b', unseen by seed 1, is 0.9100, at least 0.95 is required"
    assert found["per_seed"]["0"]["std"] == pytest.approx(np.std([0.99, 0.97], ddof=1))
    assert found["per_fold"]["group:b"]["plcc"]["mean"] == pytest.approx(0.94)
    assert extrapolation(Extrapolation(worst_plcc_min=0.9), seeds)["passed"] is True
    constant = extrapolation(Extrapolation(), [beside(0, {"a": 0.99, "b": None})])
    assert (constant["passed"], constant["worst_plcc"], constant["worst"]["held_out"]) == (False, None, "b")
    reported = extrapolation(Extrapolation(worst_plcc_min=None), seeds)
    assert (reported["passed"], reported["worst_plcc"]) == (True, 0.91)
    nothing = extrapolation(Extrapolation(), [Seed(0, Path("loso.json"), {})])
    assert (nothing["judged"], nothing["passed"]) == (False, None)
    # What fit writes is what is read.
    real = extrapolation(Extrapolation(), line.seeds())
    worst = min(f["plcc"] for seed in line.seeds() for f in seed.report["beside"]["folds"])
    assert real["worst_plcc"] == worst
    assert real["worst"]["held_out"] in ("film0", "film1")


def test_seeds_are_above_simpler_answers_in_the_mean() -> None:
    def seed(number: int, sroccs: Mapping[str, float]) -> Seed:
        report = beside(number, sroccs)
        for fold in report.report["beside"]["folds"]:
            fold["baselines"] = {"vmaf_mean": {"srocc": 0.8}, "ridge": {"srocc": 0.9}}
        return report

    limits = Extrapolation(worst_plcc_min=None, above_baselines=True)
    seeds = [seed(0, {"a": 0.97, "b": 0.89}), seed(1, {"a": 0.96, "b": 0.93})]
    found = extrapolation(limits, seeds)
    assert (found["passed"], found["why"]) == (True, None)
    assert found["least_gain"] == {
        "held_out": "b",
        "srocc": pytest.approx(0.91),
        "baseline": "ridge",
        "baseline_srocc": pytest.approx(0.9),
        "gain": pytest.approx(0.01),
    }
    worse = extrapolation(limits, [seed(0, {"a": 0.97, "b": 0.89}), seed(1, {"a": 0.96, "b": 0.90})])
    assert worse["why"] == (
        "mean SROCC on 'b', which was not trained on, is 0.8950, not above that of ridge alone, 0.9000"
    )
    rows = ExtrapolationGate().rows(worse)
    assert [(row.what, row.passed) for row in rows] == [
        ("worst unseen group", True),
        ("least above the baselines", False),
    ]
    assert "least_gain" not in extrapolation(Extrapolation(worst_plcc_min=None), seeds)
    nothing = extrapolation(limits, [beside(0, {"a": 0.97})])
    assert (nothing["passed"], nothing["why"][:40]) == (False, "gates.extrapolation.above_baselines is s")
    assert [row.passed for row in ExtrapolationGate().rows(nothing)] == [False]
    level = extrapolation(Extrapolation(worst_plcc_min=0.0), [beside(0, {"a": 0.0})])
    assert level["passed"] is ExtrapolationGate().rows(level)[0].passed is True


def test_gates_are_on_by_default() -> None:
    spec = parse_spec({"name": "m", "description": "d", "inputs": {}, "network": {"hidden": []}, "epochs": 1}, "m.yaml")
    assert spec.gates == Gates()
    assert None not in (spec.gates.hard_negatives, spec.gates.monotonicity, spec.gates.extrapolation.worst_plcc_min)
