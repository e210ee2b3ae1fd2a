"""Training on hard negatives: which member sees which of them, and what judges them then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError
from pyvmaf.models.fit import fit
from pyvmaf.models.graphs import member_graph
from pyvmaf.models.judge import judge
from pyvmaf.models.regressor.inputs import feeds, of_member
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.models.weights import load_weights
from tests.make.commands import command
from tests.make.models import spec_file
from tests.make.tables import table_columns, write_negatives, write_table

SCENES = ["scene0", "scene1", "scene2", "scene3"]
FEATURES = ["adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2"]
GATES: dict[str, Any] = {
    "mean_plcc_min": -1, "plcc_spread_max": 2, "per_seed_min": -1, "monotonicity": None,
    "extrapolation": {"worst_plcc_min": None},
    "hard_negatives": {"black_max": 90, "swapped_max": 90, "teacher_error_max": 90, "range_margin": 200},
}  # fmt: skip
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "made.parquet", table_columns())


@pytest.fixture
def negatives(tmp_path: Path) -> Path:
    return write_negatives(tmp_path / "negatives.parquet", "made", SCENES)


def spec(folder: Path, **changes: Any) -> Path:
    return spec_file(folder, epochs=3, seeds=[0], rows={"negatives": True}, gates=GATES, **changes)


def changed(negatives: Path, change: Change) -> Path:
    """A copy of the table with other rows."""
    path = negatives.with_name("changed.parquet")
    old = pq.read_table(negatives)
    pq.write_table(pa.Table.from_pandas(change(old.to_pandas()), preserve_index=False), path)
    return path


def members(folder: Path) -> dict[str | None, NDArray[np.float32]]:
    weights = load_weights(folder / "weights.safetensors")
    return dict(zip(weights.held_out, weights.tensors["parameters"], strict=True))


@pytest.mark.parametrize("codec", [None, "v1"])
def test_a_fold_sees_no_hard_negative_of_the_scene_that_it_holds_out(
    tmp_path: Path, table: Path, negatives: Path, codec: str | None
) -> None:
    config = spec(tmp_path, split={"beside": "group"}, inputs={"features": "canonical6", "codec": codec})
    fit(config, table, tmp_path / "before", seed=0, negatives=negatives)

    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        """Other scores wherever pictures of one scene are, on either side of a pair."""
        mine = (rows["source"] == "scene1") | (rows["other"] == "scene1")
        assert mine.sum() > (rows["source"] == "scene1").sum()
        return rows.assign(vmaf=rows["vmaf"].where(~mine, 100 - rows["vmaf"]))

    fit(config, table, tmp_path / "after", seed=0, negatives=changed(negatives, spoil))
    before, after = members(tmp_path / "before"), members(tmp_path / "after")
    group = pd.DataFrame(table_columns()).groupby("source")["group"].first()["scene1"]
    unseen = {"scene1", f"group:{group}"}
    assert unseen < set(before)
    for held_out, parameters in before.items():
        assert np.array_equal(parameters, after[held_out]) == (held_out in unseen), held_out


def test_scenes_that_the_table_does_not_have_are_not_trained_on(tmp_path: Path, table: Path, negatives: Path) -> None:
    """Clips of another corpus of the run, kept to judge on."""
    config = spec(tmp_path)
    fit(config, table, tmp_path / "before", seed=0, negatives=negatives)

    def more(rows: pd.DataFrame) -> pd.DataFrame:
        strange = rows.astype({"source": str, "other": str}).assign(source="elsewhere", vmaf=50.0)
        swapped = rows[rows["case"] == "swapped"].astype({"other": str}).assign(other="elsewhere", vmaf=50.0)
        return pd.concat([rows.astype({"source": str, "other": str}), strange, swapped])

    fit(config, table, tmp_path / "after", seed=0, negatives=changed(negatives, more))
    before, after = members(tmp_path / "before"), members(tmp_path / "after")
    for held_out, parameters in before.items():
        np.testing.assert_array_equal(parameters, after[held_out])


def test_the_report_states_them_and_its_figures_are_of_the_table(tmp_path: Path, table: Path, negatives: Path) -> None:
    result = fit(spec(tmp_path), table, tmp_path / "out", seed=0, negatives=negatives)
    n = pq.read_metadata(negatives).num_rows
    stated = {"name": "negatives", "sha256": sha256_file(negatives), "rows": n, "rows_used": n}
    assert result.loso["negatives"] == stated
    assert load_weights(result.weights).info["negatives"] == stated
    assert pq.read_metadata(result.predictions).num_rows == len(table_columns()["vmaf"]) == result.loso["pooled"]["n"]
    hashes = [entry["sha256"] for entry in read_manifest(result.weights)["inputs"]["negatives"]]
    assert hashes == [sha256_file(negatives)]
    plain = fit(spec(tmp_path), table, tmp_path / "plain", seed=0)
    assert plain.without_negatives
    assert "negatives" not in plain.loso
    # The range that inputs are guarded and judged by is that of all rows trained on.
    low = load_weights(result.weights).tensors["feature_low"][-1]
    assert low[0] == pytest.approx(0.15)


def test_the_command_says_what_is_missing_or_too_much(tmp_path: Path, table: Path, negatives: Path) -> None:
    words = ["fit", "-c", spec(tmp_path), "--features", table, "-o", tmp_path / "out"]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert "trained without, because --negatives names none" in done.stdout.replace("\n", " ")
    done = command(*words, "--negatives", negatives)
    assert done.returncode == 0, done.stderr
    assert "trained without" not in done.stdout
    plain = spec_file(tmp_path / "plain", epochs=1)
    done = command("fit", "-c", plain, "--features", table, "-o", tmp_path / "no", "--negatives", negatives)
    assert done.returncode == 2
    assert "set rows.negatives: true" in done.stderr.replace("\n", " ")
    done = command(*words[:-1], tmp_path / "no", "--negatives", tmp_path / "absent.parquet")
    assert done.returncode == 2
    assert "absent.parquet" in done.stderr
    assert not (tmp_path / "no").exists()
    with pytest.raises(InputError, match=r"rows\.negatives are frames with the teacher's score"):
        load_regressor(spec(tmp_path / "opinion", target={"column": "mos", "range": [1, 5]}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop(columns="other"), "no column 'other'"),
        (lambda rows: rows.drop(columns="adm2"), "no column 'adm2'"),
        (lambda rows: rows.assign(motion2=np.nan), r"none of \d+ rows has all features"),
        (lambda rows: rows.assign(vmaf=rows["vmaf"] * 2), r"outside of target\.range"),
    ],
)
def test_a_table_that_cannot_be_trained_on(
    tmp_path: Path, table: Path, negatives: Path, change: Change, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        fit(spec(tmp_path), table, tmp_path / "out", seed=0, negatives=changed(negatives, change))
    assert not (tmp_path / "out").exists()


def test_each_scene_is_judged_by_the_fold_that_did_not_see_it(tmp_path: Path, table: Path, negatives: Path) -> None:
    config = spec(tmp_path)
    result = fit(config, table, tmp_path / "seed0", seed=0, negatives=negatives)
    more = write_negatives(tmp_path / "more.parquet", "made", [*SCENES, "elsewhere"])
    verdict = judge(config, [result.report], tmp_path / "verdict.json", negatives=more)
    block = verdict["gate"]["hard_negatives"]
    data = pd.read_parquet(more)
    parsed, weights = load_regressor(config), load_weights(result.weights)
    scores = np.zeros(len(data))
    for source in data["source"].unique():
        rows = (data["source"] == source).to_numpy()
        held_out = source if source in SCENES else None
        prepare = of_member(parsed, weights, weights.index(held_out))
        session = ort.InferenceSession(member_graph(parsed, weights, held_out).data)
        X = data.loc[rows, FEATURES].to_numpy()
        scores[rows] = session.run(None, feeds(prepare.graph_inputs(X), None))[0]
    means = data.assign(score=scores).groupby(["case", "clip"], observed=True)["score"].mean()
    for case, entry in block["cases"].items():
        assert entry["scores"] == pytest.approx([means[case].min(), means[case].max()], abs=1e-4)
    assert block["rows_held_out"] == len(data) * 4 // 5
    other = fit(config, table, tmp_path / "seed1", seed=1)
    with pytest.raises(InputError, match="the reports come from different hard negatives"):
        judge(config, [result.report, other.report], tmp_path / "both.json", negatives=more, seeds=[0, 1])
    # A model that never saw a hard negative is judged by what ships, as before.
    plain = fit(config, table, tmp_path / "plain", seed=0)
    block = judge(config, [plain.report], tmp_path / "plain.json", negatives=more)["gate"]["hard_negatives"]
    assert "rows_held_out" not in block
    assert json.loads((tmp_path / "plain.json").read_text())["gate"]["hard_negatives"] == block
