"""What each split protocol makes of a table, and what a fit reports of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvmaf.base.coded import Coded
from pyvmaf.errors import InputError
from pyvmaf.models.crossval import beside_folds, make_folds
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.regressor.rows import TrainingTable, Whole, read_table
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.models.spec import Split, parse_spec
from pyvmaf.models.weights import load_weights
from pyvmaf.runtime.sidecar import UNTRAINED
from pyvmaf.splits import content_hash_split, hash_split, used
from tests.make.commands import command
from tests.make.models import SpecWriter
from tests.make.tables import table_columns, write_table

MODES = ("netflix-source", "konvid-holdout", "netflix-source-and-konvid-holdout", "netflix-only", "konvid-only")


def split_of(**keys: Any) -> Split:
    spec = {"name": "m", "description": "d", "inputs": {}, "network": {"hidden": [4]}, "epochs": 1, "split": keys}
    return parse_spec(spec, "m.yaml").split


def table_of(**keys: list[str]) -> TrainingTable:
    columns = {name: Coded.of(values) for name, values in keys.items()}
    n = next(iter(columns.values())).size
    return TrainingTable(
        path=Path("t.parquet"),
        sha256="",
        features=(),
        X=np.zeros((n, 0)),
        codec=None,
        y=np.zeros(n),
        groups=columns["source"],
        keys=columns,
        rows={},
        n_total=n,
        dropped={},
        whole=Whole(np.zeros((n, 0)), None, np.zeros(n)),
    )


SPLITS = st.one_of(
    st.builds(
        lambda by: {"protocol": "leave_one_out", "by": by}, st.sampled_from(["source", "group", "clip", "codec"])
    ),
    st.builds(
        lambda by, k, seed: {"protocol": "kfold", "by": by, "k": k, "seed": seed},
        st.sampled_from(["source", "group", "clip"]),
        st.integers(2, 4),
        st.integers(0, 3),
    ),
    st.builds(
        lambda by, k: {"protocol": "hash_kfold", "by": by, "k": k},
        st.sampled_from(["source", "group", "clip"]),
        st.integers(2, 6),
    ),
    st.builds(
        lambda by, val, test: {"protocol": "hash", "by": by, "val_share": val, "test_share": test},
        st.sampled_from(["source", "group", "clip"]),
        st.floats(0, 0.4),
        st.floats(0.1, 0.5),
    ),
    st.builds(
        lambda by, seed: {"protocol": "content_hash", "by": by, "seed": seed},
        st.sampled_from(["source", "clip"]),
        st.text(max_size=3),
    ),
    st.builds(
        lambda by, mode, share, seed: {
            "protocol": "holdout",
            "by": by,
            "mode": mode,
            "primary": "netflix",
            "secondary": "konvid",
            "source": "s0" if by == "source" else "s0-0",
            "share": share,
            "seed": seed,
        },
        st.sampled_from(["source", "clip"]),
        st.sampled_from(MODES),
        st.floats(0.05, 0.6),
        st.integers(0, 3),
    ),
)


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 2), st.sampled_from(["x264", "av1"]), st.booleans()),
        min_size=1,
        max_size=80,
    ),
    keys=SPLITS,
    beside=st.sampled_from([None, "group", "clip"]),
)
def test_no_source_is_on_both_sides_of_any_fold_of_any_protocol(
    rows: list[tuple[int, int, str, bool]], keys: dict[str, Any], beside: str | None
) -> None:
    split = split_of(**keys, beside=beside)
    table = table_of(
        source=[f"s{s}" for s, *_ in rows],
        clip=[f"s{s}-{c}" for s, c, *_ in rows],
        group=[f"g{s // 3}" for s, *_ in rows],
        codec=[codec for *_, codec, _ in rows],
        corpus=["netflix" if primary else "konvid" for *_, primary in rows],
    )
    refused = ""
    try:
        folds = make_folds(split, table) + beside_folds(split, table)[0]
    except InputError as err:
        refused = str(err)
    if refused:
        assert refused.startswith("t.parquet: ")
        return
    values = table.keys[split.by]
    for fold in folds:
        sides = [fold.train, fold.val, fold.test]
        assert fold.train.size
        assert fold.test.size
        for name, column in (("source", table.keys["source"]), (split.by, values)):
            if name == split.by and ":" in fold.held_out:
                continue
            seen = [set(column[rows].tolist()) for rows in sides]
            assert not (seen[0] & seen[1]) | (seen[0] & seen[2]) | (seen[1] & seen[2]), (fold.held_out, name)
        assert np.unique(np.concatenate(sides)).size == sum(side.size for side in sides)
    if split.protocol in ("leave_one_out", "kfold", "hash_kfold"):
        main = [fold for fold in folds if ":" not in fold.held_out]
        tested = np.sort(np.concatenate([fold.test for fold in main]))
        assert tested.tolist() == used(main).train.tolist() == list(range(len(rows)))


def test_what_shares_sources_says_so() -> None:
    table = table_of(source=["a", "a", "b", "b"], codec=["x264", "av1", "x264", "av1"])
    with pytest.raises(InputError) as caught:
        make_folds(split_of(by="codec"), table)
    assert "source 'a' is on both sides of fold 'av1', and so are 1 others" in str(caught.value)
    assert "split.shared_sources: true" in str(caught.value)
    assert [f.held_out for f in make_folds(split_of(by="codec", shared_sources=True), table)] == ["av1", "x264"]


def test_a_group_that_tells_nothing_new_is_not_left_out_beside() -> None:
    sources = ["a", "b", "c"]
    split = split_of(beside="group")
    assert beside_folds(split_of(), table_of(source=sources)) == ([], None)
    assert (
        beside_folds(split, table_of(source=sources, group=["x", "y", "z"]))[1]
        == "group divides the rows as source does"
    )
    assert beside_folds(split, table_of(source=sources, group=["x"] * 3))[1] == "the table has one group only"
    folds, why = beside_folds(split, table_of(source=sources, group=["x", "x", "y"]))
    assert ([f.held_out for f in folds], why) == (["group:x", "group:y"], None)


def test_several_columns_are_left_out_beside() -> None:
    split = split_of(beside=["group", "codec", "corpus"], shared_sources=True)
    columns = {"group": ["x", "x", "y"], "codec": ["a", "b", "b"], "corpus": ["c"] * 3}
    folds, why = beside_folds(split, table_of(source=["a", "b", "c"], **columns))
    assert ([f.held_out for f in folds], why) == (["group:x", "group:y", "codec:a", "codec:b"], None)
    assert [f.test.tolist() for f in folds] == [[0, 1], [2], [0], [1, 2]]
    alone = beside_folds(split_of(beside=["corpus"]), table_of(source=["a", "b", "c"], **columns))
    assert alone == ([], "the table has one corpus only")


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"k": 3}, "k is not a key of protocol leave_one_out, but of kfold"),
        ({"protocol": "hash_kfold", "seed": 3}, "seed is not a key of protocol hash_kfold, but of kfold"),
        ({"protocol": "kfold", "mode": "primary-only"}, "mode is not a key of protocol kfold, but of holdout"),
        ({"protocol": "kfold", "seed": "a"}, "the seed of kfold is a whole number of 0 or more, not 'a'"),
        ({"protocol": "content_hash", "seed": 3}, "the seed of content_hash is text"),
        ({"protocol": "hash", "val_share": 0.6, "test_share": 0.4}, "leave nothing to train on"),
        ({"protocol": "holdout"}, "holdout needs a mode: primary-source, secondary-holdout"),
        ({"protocol": "holdout", "mode": "netflix-source"}, "mode primary-source needs primary"),
        ({"protocol": "holdout", "mode": "primary-only", "primary": "a"}, "mode primary-only needs source"),
        ({"protocol": "holdout", "mode": "konvid-only"}, "mode secondary-only needs secondary"),
        ({"protocol": "loso"}, "split.protocol = 'loso'"),
        ({"protcol": "kfold"}, "unknown key 'split.protcol': did you mean 'protocol'"),
    ],
)
def test_a_split_that_means_nothing_is_refused(split: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        split_of(**split)
    assert said in str(caught.value)


def test_names_of_the_combined_trainer_mean_the_general_modes() -> None:
    for given_name, mode in zip(
        MODES,
        (
            "primary-source",
            "secondary-holdout",
            "primary-source-and-secondary-holdout",
            "primary-only",
            "secondary-only",
        ),
        strict=True,
    ):
        keys = {"protocol": "holdout", "primary": "a", "secondary": "b", "source": "c"}
        assert split_of(mode=given_name, **keys) == split_of(mode=mode, **keys)


# -- fit -----------------------------------------------------------------------------------------


def report_of(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def test_the_group_beside_changes_no_other_member(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    plain = fit(write_spec(), table, tmp_path / "plain", seed=0, epochs=2)
    both = fit(write_spec(split={"beside": "group"}), table, tmp_path / "both", seed=0, epochs=2)
    a, b = load_weights(plain.weights), load_weights(both.weights)
    assert b.held_out == ["scene0", "scene1", "scene2", "scene3", "group:film0", "group:film1", None]
    for name in a.held_out:
        assert np.array_equal(a.tensors["parameters"][a.index(name)], b.tensors["parameters"][b.index(name)])
    assert plain.predictions.read_bytes() == both.predictions.read_bytes()
    old, new = report_of(plain.report), report_of(both.report)
    assert (old["beside"], old["no_beside"]) == (None, None)
    assert old["folds"] == new["folds"]
    beside = new["beside"]
    assert (beside["by"], beside["n_folds"]) == ("group", 2)
    n = len(table_columns()["vmaf"])
    assert [(f["held_out"], f["n_train"], f["n_val"]) for f in beside["folds"]] == [
        ("group:film0", n // 2, n // 2),
        ("group:film1", n // 2, n // 2),
    ]
    assert beside["min_plcc"] == min(f["plcc"] for f in beside["folds"])
    # The member that saw neither scene of film0 is the one that a split by group fits.
    alone = load_weights(fit(write_spec(split={"by": "group"}), table, tmp_path / "g", seed=0, epochs=2).weights)
    place = alone.index("film0")
    np.testing.assert_array_equal(alone.tensors["scaler_mean"][place], b.tensors["scaler_mean"][b.index("group:film0")])


@pytest.mark.parametrize("protocol", ["hash", "content_hash"])
def test_one_fold_with_validation_rows(tmp_path: Path, write_spec: SpecWriter, protocol: str) -> None:
    columns = table_columns(sources=30, frames=2)
    path = write_table(tmp_path / "t.parquet", columns)
    source = np.asarray(columns["source"])
    shares = {"val_share": 0.2, "test_share": 0.2} if protocol == "hash" else {}
    sides = hash_split(source, 0.2, 0.2) if protocol == "hash" else content_hash_split(source)
    assert {"train", "val", "test"} == set(sides.tolist())
    result = fit(write_spec(split={"protocol": protocol, **shares}), path, tmp_path / "out", seed=0, epochs=3)
    report = report_of(result.report)
    (fold,) = report["folds"]
    assert (fold["held_out"], fold["n_train"], fold["n_val"]) == (
        "test",
        *(int((sides == s).sum()) for s in ("train", "test")),
    )
    assert fold["validation"]["n"] == int((sides == "val").sum())
    assert fold["validation"]["plcc"] != fold["plcc"]
    assert report["std_plcc"] is None
    assert report["split"]["protocol"] == protocol
    if protocol == "content_hash":
        assert (report["split"]["policy"], report["split"]["seed"]) == ("content-name-blake2s-80-10-10", "chug-hdr-v1")
    rows = pq.read_table(result.predictions).to_pandas()
    assert set(rows["source"]) == set(source[sides == "test"])
    weights = load_weights(result.weights)
    X = np.column_stack([columns[n] for n in weights.info["features"]])
    # Neither test nor validation rows shape the fold's scaler; all of them that of the model on all rows.
    np.testing.assert_allclose(weights.tensors["scaler_mean"][0], X[sides == "train"].mean(0), rtol=1e-12)
    np.testing.assert_allclose(weights.tensors["scaler_mean"][1], X.mean(0), rtol=1e-12)


def test_kfold_and_leaving_out_clips(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    report = fit(
        write_spec(split={"protocol": "kfold", "k": 2, "seed": 1}), table, tmp_path / "k", seed=0, epochs=1
    ).loso
    assert [f["held_out"] for f in report["folds"]] == ["fold0", "fold1"]
    assert report["split"] == {
        "protocol": "kfold",
        "by": "source",
        "shared_sources": False,
        "k": 2,
        "seed": 1,
        "rows_not_used": 0,
    }
    report = fit(write_spec(split={"by": "clip"}), table, tmp_path / "c", seed=0, epochs=1).loso
    assert [f["held_out"] for f in report["folds"]] == ["clip0", "clip1", "clip2", "clip3"]


def test_holdout_leaves_the_other_corpus_out_of_the_shipped_model(tmp_path: Path, write_spec: SpecWriter) -> None:
    columns = table_columns(sources=6)
    columns["corpus"] = ["netflix" if s in ("scene0", "scene1", "scene2") else "konvid" for s in columns["source"]]
    path = write_table(tmp_path / "t.parquet", columns)
    X = np.column_stack([columns[n] for n in ("adm2", "motion2")])
    corpus, source = np.asarray(columns["corpus"]), np.asarray(columns["source"])
    both = {"protocol": "holdout", "primary": "netflix", "secondary": "konvid", "source": "scene1"}
    inputs = {"features": ["adm2", "motion2"]}

    found = fit(
        write_spec(inputs=inputs, split={**both, "mode": "netflix-only"}), path, tmp_path / "a", seed=0, epochs=1
    )
    weights, report = load_weights(found.weights), found.loso
    assert weights.held_out == ["primary-only", None]
    np.testing.assert_allclose(weights.tensors["scaler_mean"][1], X[corpus == "netflix"].mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        weights.tensors["scaler_mean"][0], X[(corpus == "netflix") & (source != "scene1")].mean(0), rtol=1e-12
    )
    assert report["split"]["rows_not_used"] == int((corpus == "konvid").sum())
    assert set(pq.read_table(found.predictions).to_pandas()["source"]) == {"scene1"}

    found = fit(
        write_spec(inputs=inputs, split={**both, "mode": "netflix-source"}), path, tmp_path / "b", seed=0, epochs=1
    )
    weights = load_weights(found.weights)
    np.testing.assert_allclose(weights.tensors["scaler_mean"][0], X[source != "scene1"].mean(0), rtol=1e-12)
    np.testing.assert_allclose(weights.tensors["scaler_mean"][1], X.mean(0), rtol=1e-12)

    with pytest.raises(
        InputError, match=r"t\.parquet: unknown primary corpus of the split 'netflx': did you mean 'netflix'"
    ):
        fit(write_spec(split={**both, "mode": "netflix-only", "primary": "netflx"}), path, tmp_path / "c", seed=0)


def test_what_a_split_names_must_be_in_the_table(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    for split in ({"by": "scene"}, {"beside": "scene"}):
        with pytest.raises(InputError, match=r"made\.parquet has no column 'scene'; it has: corpus, group, source"):
            fit(write_spec(split=split), table, tmp_path / "out", seed=0)
    columns = table_columns()
    del columns["corpus"]
    path = write_table(tmp_path / "t.parquet", columns)
    holdout = {"protocol": "holdout", "mode": "primary-only", "primary": "a", "source": "b"}
    with pytest.raises(InputError, match="has no column 'corpus'"):
        fit(write_spec(split=holdout), path, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()
    # A table may lack a source where the split goes by something else.
    del columns["source"]
    fit(write_spec(split={"by": "clip"}), write_table(path, columns), tmp_path / "out", seed=0, epochs=1)


def test_a_division_without_a_test_side(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    spec = write_spec(split={"protocol": "hash", "by": "corpus"})
    with pytest.raises(InputError, match=r"made\.parquet: 1 values? .* cannot be divided into rows for training"):
        fit(spec, table, tmp_path / "out", seed=0)


def test_no_labels_no_checkpoint(tmp_path: Path, write_spec: SpecWriter) -> None:
    columns = table_columns()
    columns["vmaf"] = [float("nan")] * len(columns["vmaf"])
    path = write_table(tmp_path / "t.parquet", columns)
    spec = write_spec(rows={"max_dropped_share": 0.99})
    done = command("fit", "-c", spec, "--features", path, "--output", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {path}: none of 432 rows has a value of 'vmaf', which model small is to predict: there is nothing to "
        "learn from\n"
    )
    assert not (tmp_path / "out").exists()


def test_rows_without_a_group_are_counted(tmp_path: Path) -> None:
    columns = table_columns()
    columns["group"][3] = None
    path = write_table(tmp_path / "t.parquet", columns)
    spec = RegressorSpec.model_validate(
        {
            "name": "m",
            "description": "d",
            "inputs": {},
            "network": {"hidden": []},
            "epochs": 1,
            "split": {"beside": "group"},
        }
    )
    assert read_table(path, spec).dropped == {"rows": 1, "by_column": {"group": 1}}


# -- initial weights -----------------------------------------------------------------------------


def test_initial_weights_are_exported_without_libvmaf(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    spec = write_spec()
    program = (
        "import sys; from pyvmaf import cli\n"
        "try: cli.main()\n"
        "except SystemExit as stopped: assert not stopped.code\n"
        "loaded = [name for name in sys.modules if name.startswith('pyvmaf._native')]\n"
        "assert not loaded, loaded\n"
    )
    words = ["fit", "--config", spec, "--features", table, "--epochs", 0, "--output", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sidecar = report_of(tmp_path / "out" / "model.json")
    assert (sidecar["verdict"], sidecar["gates"], sidecar["epochs"]) == (UNTRAINED, None, 0)
    assert (tmp_path / "out" / "model.onnx.manifest.json").is_file()


def test_initial_weights_are_never_registered(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    from pyvmaf.registry.by_hand import register_model

    spec = write_spec()
    weights = fit(spec, table, tmp_path / "out", seed=0, epochs=0).weights
    export(spec, weights, None, None, tmp_path / "out" / "model.onnx")
    with pytest.raises(InputError, match="holds initial weights: train and judge it first"):
        register_model(
            tmp_path / "out" / "model.onnx",
            kind="fr",
            registry=tmp_path / "registry.json",
            dataset="made",
            license="BSD-2-Clause-Patent",
            train_commit="x",
        )
    assert not (tmp_path / "registry.json").exists()


def test_initial_weights_are_held_whatever_they_score(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    from pyvmaf.models.judge import judge

    anything = {"mean_plcc_min": -1, "per_seed_min": -1, "plcc_spread_max": 2}
    spec = write_spec(gates={**anything, "hard_negatives": None, "monotonicity": None})
    report = fit(spec, table, tmp_path / "out", seed=0, epochs=0).report
    verdict = judge(spec, [report], tmp_path / "verdict.json", seeds=[0])
    assert (verdict["verdict"], verdict["recommendation"]) == ("HOLD", "seeds [0] hold their initial weights")


def test_trained_weights_need_a_verdict(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    spec = write_spec()
    trained = fit(spec, table, tmp_path / "out", seed=0, epochs=1)
    done = command("export", "-c", spec, "--checkpoint", trained.weights, "-o", tmp_path / "m.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert "trained for 1 epochs: judge them, and name the verdict and the table" in done.stderr
    assert not (tmp_path / "m.onnx").exists()
    initial = fit(spec, table, tmp_path / "zero", seed=0, epochs=0)
    assert export(spec, initial.weights, None, None, tmp_path / "m.onnx")["verdict"] == UNTRAINED
