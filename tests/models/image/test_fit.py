"""Training of models of pictures: determinism, folds, figures, resuming, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy import stats

from pyvmaf.errors import InputError
from pyvmaf.models.families import Run
from pyvmaf.models.fit import CHECKPOINTS, fit
from pyvmaf.models.gates.gate import Judged, Seed
from pyvmaf.models.image.fit import fit as fit_family
from pyvmaf.models.image.gates import GATES
from pyvmaf.models.image.graph import member_state, network_of
from pyvmaf.models.image.lesson import PictureLesson
from pyvmaf.models.image.networks import MobileNetTiny, ResidualFilter, n_parameters
from pyvmaf.models.image.rows import read_rows
from pyvmaf.models.image.scores import scores
from pyvmaf.models.image.trainer import Member, Module
from pyvmaf.models.weights import load_weights
from tests.make.pictures import FILTER, SCORE, image_spec, write_pictures, write_spec


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    fit(write_spec(folder, SCORE), pictures, folder / "seed0", seed=0)
    return folder / "seed0"


def test_networks_have_the_published_sizes() -> None:
    assert n_parameters(MobileNetTiny()) == 19_105
    assert n_parameters(ResidualFilter(16, 4)) == 18_865


def test_the_same_seed_gives_the_same_weights(tmp_path: Path, pictures: Path, fitted: Path) -> None:
    again = fit(write_spec(tmp_path, SCORE), pictures, tmp_path / "seed0", seed=0).weights
    assert again.read_bytes() == (fitted / "weights.safetensors").read_bytes()
    other = fit(write_spec(tmp_path, SCORE), pictures, tmp_path / "seed1", seed=1).weights
    assert not np.array_equal(
        load_weights(again).tensors["head.weight"],
        load_weights(other).tensors["head.weight"],
    )


def test_folds_hold_out_whole_sources_and_figures_are_of_them(fitted: Path) -> None:
    report = json.loads((fitted / "loso.json").read_text())
    rows = pq.read_table(fitted / "predictions.parquet").to_pandas()
    assert report["n_folds"] == 2
    assert len(rows) == 40
    assert rows.groupby("source")["fold"].nunique().max() == 1
    for source, figures in report["pictures"]["per_source"].items():
        part = rows[rows["source"] == source]
        assert figures["n"] == len(part) == 10
        assert figures["srocc"] == pytest.approx(stats.spearmanr(part["prediction"], part["target"]).statistic)
    errors = []
    for fold in rows["fold"].unique():
        inside = rows["fold"] == fold
        errors.append(rows[inside]["target"] - rows[~inside]["target"].mean())
    constant = np.sqrt(np.mean(np.square(np.concatenate(errors))))
    assert report["pictures"]["constant"]["rmse"] == pytest.approx(constant)


def test_an_interrupted_fit_goes_on_to_the_same_weights(tmp_path: Path, pictures: Path, fitted: Path) -> None:
    config, output = write_spec(tmp_path, SCORE), tmp_path / "seed0"
    steps: list[int] = []

    def interrupt(done: int, total: int, loss: float) -> None:
        steps.append(done)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, pictures, output, seed=0, on_epoch=interrupt)
    assert not (output / "weights.safetensors").exists()
    kept = sorted((output / CHECKPOINTS).iterdir())
    assert len(kept) == 2
    assert all(path.suffix == ".safetensors" for path in kept)
    later: list[int] = []
    result = fit(config, pictures, output, seed=0, on_epoch=lambda done, total, loss: later.append(done))
    assert steps == [1, 2, 3]
    assert later == [4, 5, 6]
    assert result.weights.read_bytes() == (fitted / "weights.safetensors").read_bytes()
    assert not (output / CHECKPOINTS).exists()


def test_a_filter_is_judged_by_the_psnr_of_what_it_makes(tmp_path: Path, pictures: Path) -> None:
    result = fit(write_spec(tmp_path, FILTER), pictures, tmp_path / "seed0", seed=0)
    rows = pq.read_table(result.predictions).to_pandas()
    assert len(rows) == 32  # pristine pictures are not filtered
    gain = rows["prediction"] - rows["target"]
    assert gain.abs().max() > 0
    initial = fit(write_spec(tmp_path, FILTER), pictures, tmp_path / "seed1", seed=0, epochs=0)
    untouched = pq.read_table(initial.predictions).to_pandas()
    # The last layer starts at zero; answers are float32.
    assert untouched["prediction"].to_numpy() == pytest.approx(untouched["target"].to_numpy(), abs=1e-5)


def test_the_gain_of_a_filter_is_that_of_the_8_bits_that_it_writes(tmp_path: Path, pictures: Path) -> None:
    spec = image_spec(write_spec(tmp_path, FILTER))
    data = read_rows(spec, pictures)
    row = np.flatnonzero(data.y < 60)[:1]
    picture, pristine = (
        np.asarray(one, np.float64) for one in (data.picture(int(row[0])), data.reference(int(row[0])))
    )
    for answer in (
        picture + 0.4 * np.sign(pristine - picture),  # less than half a level: nothing is left of it
        picture + (pristine - picture) / 5,
        2 * picture - 100,  # leaves the range on both sides
    ):
        (found,) = scores(spec, lambda _, answer=answer: (answer / 255)[None, None], data, row)  # type: ignore[misc]
        written = np.clip(np.round(answer), 0, 255)
        assert found == pytest.approx(10 * np.log10(255**2 / np.mean((written - pristine) ** 2)), abs=1e-4)
    (found,) = scores(spec, lambda _: ((picture + 0.4) / 255)[None, None], data, row)
    assert found == pytest.approx(data.y[row[0]])


@pytest.mark.parametrize("harm", [1, 3])
def test_the_loss_of_a_gain_weighs_harm(tmp_path: Path, pictures: Path, harm: float) -> None:
    spec = image_spec(write_spec(tmp_path, FILTER, loss={"name": "gain", "floor": 1e-6, "harm": harm}))
    data = read_rows(spec, pictures)
    row = int(np.flatnonzero(data.y < 60)[0])
    before, target = (
        torch.from_numpy(one[None, None] / np.float64(255)) for one in (data.picture(row), data.reference(row))
    )

    def loss(share: float) -> float:
        """The loss where a share of the error is taken away, in dB."""
        network: Any = lambda x: x + share * (target - x)  # noqa: E731
        batch = before, target, torch.ones(1), torch.zeros(1, dtype=torch.int64)
        return 10 * float(PictureLesson(spec, data).loss(network, batch)) / float(np.log(10))

    assert loss(0.2) == pytest.approx(20 * np.log10(0.8), abs=1e-3)
    assert loss(-0.2) == pytest.approx(harm * 20 * np.log10(1.2), abs=1e-3)
    assert "harm" not in (
        spec.training()["loss"] if harm == 1 else {}
    )  # weights of versions without it stay what they were


def test_a_filter_makes_a_share_of_the_change_that_it_learned(tmp_path: Path, pictures: Path) -> None:
    network = FILTER["network"]
    state: dict[float, dict[str, Any]] = {}
    for share in (1.0, 0.5):
        config = write_spec(tmp_path / str(share), FILTER, network={**network, "share": share})
        weights = load_weights(fit(config, pictures, tmp_path / f"out{share}", seed=0, epochs=1).weights)
        state[share] = member_state(weights, None)
        made = network_of(image_spec(config), state[share])
        picture = torch.from_numpy(read_rows(image_spec(config), pictures).picture(1)[None, None] / np.float32(255))
        with torch.no_grad():
            state[share]["change"] = (made(picture) - picture).numpy()
    assert np.abs(state[1.0]["change"]).max() > 1e-3
    inside = np.abs(state[1.0]["change"]) < 0.02  # not clipped at black or white
    assert state[0.5]["change"][inside] == pytest.approx(state[1.0]["change"][inside] / 2, abs=1e-6)
    with pytest.raises(InputError, match=r"qat trains the whole change again, but network\.share is below 1"):
        image_spec(
            write_spec(tmp_path, FILTER, network={**network, "share": 0.5}, quantised=[{"mode": "qat", "budget": 1}])
        )


def test_a_filter_starts_blind_to_brightness() -> None:
    torch.manual_seed(1)
    network = ResidualFilter(8, 1)
    with torch.no_grad():
        network.outwards.weight.fill_(0.1)
        dark, light = (network(torch.full((1, 1, 24, 24), level))[..., 8:-8, 8:-8] for level in (0.2, 0.8))
    assert torch.allclose(light - dark, torch.full_like(dark, 0.6), atol=1e-5)


def test_early_stopping_ends_before_the_last_epoch(tmp_path: Path, pictures: Path) -> None:
    spec = image_spec(
        write_spec(tmp_path, SCORE, early_stopping={"patience": 1, "share": 0.5}, optimiser={"name": "adam", "lr": 0.5})
    )
    epochs: list[int] = []
    fit_family(spec, Run(pictures, 0, 30, on_epoch=lambda done, total, loss: epochs.append(done)))
    assert 0 < len(epochs) < 90


def test_weights_and_max_rows_change_what_is_trained_on(tmp_path: Path, pictures: Path) -> None:
    few = fit(write_spec(tmp_path, SCORE, sampling={"max_rows": 12}), pictures, tmp_path / "few", seed=0, epochs=1).loso
    assert (few["table"]["rows"], few["table"]["rows_used"]) == (40, 12)
    assert {figures["n"] for figures in few["pictures"]["per_source"].values()} == {3}
    plain, weighted = (
        load_weights(fit(write_spec(tmp_path, SCORE, sampling=s), pictures, tmp_path / n, seed=0, epochs=1).weights)
        for n, s in (("plain", {}), ("weighted", {"weights": [{"below": 50, "weight": 4.0}]}))
    )
    assert not np.array_equal(plain.tensors["head.weight"], weighted.tensors["head.weight"])


def test_stages_have_losses_rates_and_pictures_of_their_own(tmp_path: Path, pictures: Path) -> None:
    quality = pq.read_table(pictures)["vmaf"].to_numpy()
    below = float(np.median(quality[quality < 100]))
    stages = [
        {"epochs": 4, "below": below, "loss": {"name": "relative_l1", "power": 0.0}},
        {"epochs": 2, "lr": 0.001},
    ]
    spec = image_spec(write_spec(tmp_path, FILTER, stages=stages))
    data = read_rows(spec, pictures)
    rows = np.arange(data.y.size)
    lesson = PictureLesson(spec, data)
    first, second = lesson.phases(6)
    assert [(phase.epochs, phase.lr) for phase in (first, second)] == [(4, 0.002), (2, 0.001)]
    assert [phase.epochs for phase in lesson.phases(3)] == [2, 1]
    assert [phase.epochs for phase in lesson.phases(1)] == [1]
    low = int(np.count_nonzero(quality[quality < 100] < below))
    assert 0 < low < rows.size
    batches: list[Any] = [phase.lesson.batches(rows, "x") for phase in (first, second)]
    assert [sum(len(batch[0]) for batch in one) for one in batches] == [low, rows.size]
    crop = torch.full((1, 1, 8, 8), 0.5)
    target, weight = crop + 0.1, torch.ones(1)
    losses = [
        float(phase.lesson.loss(torch.nn.Identity(), (crop, target, weight, torch.zeros(1, dtype=torch.int64))))
        for phase in (first, second)
    ]
    assert losses == pytest.approx([0.1, 0.1 / 0.102])
    module = Module(spec, lesson, lesson.network(), Member("", rows, rows[:0]), 0, 6)
    factor = module._rates()
    steps = 4 * -(-low // 8)
    assert [factor(step) for step in (0, steps // 2, steps)] == pytest.approx([1.0, 0.5, 0.5])
    plain, staged = (
        load_weights(fit(config, pictures, tmp_path / name, seed=0, epochs=3).weights)
        for name, config in (
            ("plain", write_spec(tmp_path / "plain", FILTER)),
            ("staged", write_spec(tmp_path / "staged", FILTER, stages=stages)),
        )
    )
    assert "stages" not in plain.info["training"]  # weights of versions without stages stay what they were
    assert not np.array_equal(plain.tensors["outwards.weight"], staged.tensors["outwards.weight"])
    none = write_spec(tmp_path / "none", FILTER, stages=[{"epochs": 6, "below": -1.0}])
    with pytest.raises(InputError, match=r"no picture to train on has a score below -1, which a stage of small_filter"):
        fit(none, pictures, tmp_path / "out", seed=0)


@pytest.mark.parametrize(
    ("changes", "columns", "message"),
    [
        ({"crops": {"train": 32, "judge": 96}}, {}, r"40 of 40 pictures are smaller than the crops of 96x96"),
        ({"target": {"column": "mos"}}, {}, r"no column mos \(the target of small_nr\)"),
        ({}, {"vmaf": [None] * 40}, r"none of 40 pictures can be trained on \(40 lack vmaf\)"),
        (
            {},
            {"vmaf": [None] * 10 + [50.0] * 30},
            r"10 of 40 pictures have no vmaf, more than rows.max_dropped_share 0.05",
        ),
        ({"target": {"range": [0, 50]}}, {}, r"have a vmaf outside of target.range \[0, 50\]"),
        ({"split": {"protocol": "kfold", "k": 2, "by": "nothing"}}, {}, r"has no column nothing, which split needs"),
    ],
)
def test_tables_that_cannot_be_trained_on(
    tmp_path: Path, changes: dict[str, Any], columns: dict[str, Any], message: str
) -> None:
    table = write_pictures(tmp_path / "t.parquet", **columns)
    with pytest.raises(InputError, match=message):
        fit(write_spec(tmp_path, SCORE, **changes), table, tmp_path / "out", seed=0, epochs=1)
    assert not (tmp_path / "out").exists()


def test_pictures_in_colour_are_refused(tmp_path: Path) -> None:
    table = write_pictures(tmp_path / "t.parquet", colour="rgb24")
    with pytest.raises(InputError, match="holds pictures of pixel format rgb24, but small_nr takes gray ones"):
        fit(write_spec(tmp_path, SCORE), table, tmp_path / "out", seed=0, epochs=1)


def test_a_filter_needs_pristine_pictures(tmp_path: Path) -> None:
    nothing: list[Any] = [None] * 40
    table = write_pictures(tmp_path / "t.parquet", reference_file=nothing, reference_row=nothing)
    with pytest.raises(InputError, match="row 1 has no pristine picture, which a filter is trained on"):
        fit(write_spec(tmp_path, FILTER), table, tmp_path / "out", seed=0, epochs=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": {"column": "reference"}}, "answers with a score, so target.column must not be reference"),
        ({"loss": {"name": "relative_l1"}}, "relative_l1 is not a loss of a score"),
        ({"precision": "16-mixed"}, "precision: 16-mixed needs device: cuda"),
        (FILTER | {"augmentation": {"light": 0.1}}, "augmentation.light is for scores"),
        (FILTER | {"stages": [{"epochs": 5}]}, "stages have 5 epochs together, but epochs is 6"),
        ({"stages": [{"epochs": 2, "loss": {"name": "relative_l1"}}]}, "relative_l1 is not a loss of a score"),
        ({"ensemble": {}}, "set ensemble: null"),
        ({"rows": {"negatives": True}}, "rows.negatives are rows of features"),
        ({"quantised": [{"mode": "dynamic"}]}, "quantised mode dynamic is not for convolutions"),
        ({"gates": {}}, "gates: nothing would be judged"),
        ({"network": {"type": "resnet"}}, "network.type = 'resnet'"),
    ],
)
def test_specs_that_contradict_themselves(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        image_spec(write_spec(tmp_path, SCORE, **changes))


def test_the_loss_within_sources_ignores_their_levels(tmp_path: Path, pictures: Path) -> None:
    changes = {"loss": {"name": "smooth_l1", "beta": 4, "within": 1}, "sampling": {"together": 5}}
    spec = image_spec(write_spec(tmp_path, SCORE, **changes))
    lesson = PictureLesson(spec, read_rows(spec, pictures))
    batch = next(iter(lesson.batches(np.arange(40), 0)))
    assert len(batch[0]) == 8
    assert len(torch.unique(batch[3])) <= 2  # groups of five
    sources, targets = torch.tensor([0, 0, 1, 1]), torch.tensor([0.5, -0.5, 0.25, -0.25])
    inputs, weights = torch.zeros(4, 1, 8, 8), torch.ones(4)
    shifted = torch.tensor([1.5, 0.5, 0.25, -0.25])[:, None]

    def loss(answers: torch.Tensor, within: float) -> float:
        spec = image_spec(write_spec(tmp_path, SCORE, loss={"within": within}, sampling={"together": 2}))
        network: Any = lambda _: answers  # noqa: E731
        return float(PictureLesson(spec, lesson.data).loss(network, (inputs, targets, weights, sources)))

    assert loss(shifted, 1) == loss(shifted, 0)  # the first source is off by a constant
    assert loss(-targets[:, None], 1) > loss(-targets[:, None], 0)


def test_averaged_weights_ship_and_survive_an_interruption(tmp_path: Path, pictures: Path) -> None:
    config = write_spec(tmp_path, SCORE, schedule={"name": "one_cycle", "averaging": 0.9})
    plain = load_weights(fit(write_spec(tmp_path / "p", SCORE), pictures, tmp_path / "plain", seed=0).weights)
    whole = fit(config, pictures, tmp_path / "whole", seed=0).weights
    assert not np.array_equal(load_weights(whole).tensors["head.weight"], plain.tensors["head.weight"])

    def interrupt(done: int, total: int, loss: float) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, pictures, tmp_path / "cut", seed=0, on_epoch=interrupt)
    assert fit(config, pictures, tmp_path / "cut", seed=0).weights.read_bytes() == whole.read_bytes()


def test_figures_of_versions_are_of_means_over_their_pictures(fitted: Path) -> None:
    report = json.loads((fitted / "loso.json").read_text())["pictures"]["versions"]
    rows = pq.read_table(fitted / "predictions.parquet").to_pandas().fillna({"codec": ""})
    means = rows.groupby(["clip", "codec", "rung"], observed=True)[["target", "prediction"]].mean().reset_index()
    assert report["pooled"]["n"] == len(means) == 20
    assert report["pooled"]["srocc"] == pytest.approx(stats.spearmanr(means["target"], means["prediction"]).statistic)
    for source, figures in report["per_source"].items():
        part = means[means["clip"] == source]
        assert figures["srocc"] == pytest.approx(stats.spearmanr(part["prediction"], part["target"]).statistic)


def test_gates_are_on_versions_where_the_spec_says_so(tmp_path: Path, fitted: Path) -> None:
    report = json.loads((fitted / "loso.json").read_text())
    for unit, figures in (("picture", report), ("version", report["pictures"]["versions"])):
        spec = image_spec(write_spec(tmp_path, SCORE, gates=SCORE["gates"] | {"unit": unit, "within": {"rows_min": 3}}))
        judged = Judged(spec, [Seed(0, fitted / "loso.json", report)])
        measured = {gate.name: gate.measure(judged) for gate in GATES}
        assert measured["pooled"]["figures"]["srocc"]["mean"] == figures["pooled"]["srocc"]
        pictures = report["pictures"] if unit == "picture" else figures
        assert measured["within"]["mean"] == pytest.approx(pictures["within"]["mean_srocc"])
        assert measured["constant"]["rmse_share"] == pytest.approx(
            figures["pooled"]["rmse"] / pictures["constant"]["rmse"]
        )
