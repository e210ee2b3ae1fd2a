"""MOS heads: layer normalisation and a bounded output against torch, their graphs, and the inputs that tables hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from numpy.typing import NDArray

from pyvmaf.base.files import sha256_file
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import shot_columns
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.judge import judge
from pyvmaf.models.regressor.graph import member_network
from pyvmaf.models.regressor.kernels import MlpKernel
from pyvmaf.models.regressor.networks import Mlp, build
from pyvmaf.models.regressor.rows import read_table
from pyvmaf.models.regressor.spec import Network, load_regressor
from pyvmaf.models.regressor.trainer import Member, StackedTrainer, stream, torch_threads
from pyvmaf.models.spec import Optimiser
from pyvmaf.quantized.quantize import quantize
from pyvmaf.registry.register import register
from pyvmaf.scoring.find import load_model
from pyvmaf.tables.clips import clip_table
from tests.make.commands import command

MODELS = Path(__file__).parents[2] / "config" / "models"
HEADS = ("konvid_mos_head_v1", "chug_hdr_mos_head_v1")
INT8 = {"mode": "static_qdq", "budget": 0.5, "rmse_max": 1, "srocc_min": 0.5}  # few rows and epochs
F64 = NDArray[np.float64]


def head(
    hidden: tuple[int, ...] = (7, 4), activation: str = "relu", dropout: float = 0.0, columns: int = 5, **keys: Any
) -> Mlp:
    keys |= {"hidden": hidden, "activation": activation, "dropout": dropout, "normalise": "layer", "output": "sigmoid"}
    return build(Network.model_validate(keys), columns, (1, 5))


def torch_head(network: Mlp, flat: F64) -> torch.nn.Sequential:
    """The network written with torch's own modules, in double precision."""
    inputs = network.sizes[0][0]
    norm = torch.nn.LayerNorm(inputs, eps=network.epsilon or 0.0, dtype=torch.float64)
    parts: list[torch.nn.Module] = [norm]
    start = 0
    with torch.no_grad():
        for place, (i, o) in enumerate(network.sizes):
            block = torch.from_numpy(flat[start : start + (i + 1) * o].reshape(o, i + 1))
            start += (i + 1) * o
            linear = torch.nn.Linear(i, o, dtype=torch.float64)
            linear.weight.copy_(block[:, :-1])
            linear.bias.copy_(block[:, -1])
            parts.append(linear)
            if place < len(network.sizes) - 1:
                parts.append(torch.nn.ReLU() if network.activation == "relu" else torch.nn.GELU())
        norm.weight.copy_(torch.from_numpy(flat[start : start + inputs]))
        norm.bias.copy_(torch.from_numpy(flat[start + inputs :]))
    return torch.nn.Sequential(*parts, torch.nn.Sigmoid())


def flat_of(module: torch.nn.Sequential) -> F64:
    """Its parameters in the order of ours."""
    blocks = [torch.cat([m.weight, m.bias[:, None]], 1).ravel() for m in module if isinstance(m, torch.nn.Linear)]
    norm = module[0]
    return torch.cat([*blocks, norm.weight, norm.bias]).detach().numpy()  # type: ignore[list-item]


def rows_of(n: int, columns: int = 5, seed: int = 0) -> tuple[F64, F64]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, columns)) * np.array([1, 10, 0.1, 3, 1])[:columns] + 2
    return X, 3 + 1.8 * np.tanh(X[:, 0] - X[:, 1] / 10 + rng.normal(0, 0.1, n))


@pytest.mark.parametrize("name", HEADS)
def test_a_head_has_the_published_inputs_and_parameters(name: str) -> None:
    spec = load_regressor(MODELS / f"{name}.yaml")
    network = member_network(spec, vocabulary("v4"))
    assert (network.sizes, network.activation, network.dropout) == (((12, 64), (64, 64), (64, 1)), "relu", 0.1)
    assert network.n_parameters == 24 + 12 * 64 + 64 + 64 * 64 + 64 + 64 + 1 == 5081
    assert network.bounds == (1, 5)
    assert [n.removesuffix("_mean") for n in spec.inputs.names] == [
        *("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2", "saliency", "saliency_var"),
        *("shot_count_norm", "shot_mean_len_norm", "shot_cut_density"),
    ]
    shared = ("inputs", "network", "optimiser", "epochs", "batch_size", "gates", "export")
    other = load_regressor(MODELS / f"{HEADS[0]}.yaml")
    assert [getattr(spec, key) for key in shared] == [getattr(other, key) for key in shared]


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize(("hidden", "epsilon"), [((), 10.0), ((6,), 1e-5), ((5, 4, 3), 0.1)])
def test_gradient_equals_autograd(activation: str, hidden: tuple[int, ...], epsilon: float) -> None:
    network = head(hidden, activation, normalise_epsilon=epsilon)
    k, rows = 3, 11
    g = torch.Generator().manual_seed(0)
    flat = torch.randn(k, network.n_parameters, generator=g, dtype=torch.float64)
    x = torch.randn(k, 6, rows, generator=g, dtype=torch.float64)
    x[:, -1] = 1
    y = torch.rand(k, 1, rows, generator=g, dtype=torch.float64)
    gradient = torch.zeros_like(flat)
    kernel = MlpKernel(network, flat, gradient, rows)
    kernel(x, y, torch.full((k, 1, rows), 2 / rows, dtype=torch.float64), [])
    for member in range(k):
        module = torch_head(network, flat[member].numpy())
        loss = torch.nn.functional.mse_loss(module(x[member, :-1].T)[:, 0], y[member, 0])
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter in module.parameters():
            assert parameter.grad is not None
            with torch.no_grad():
                parameter.copy_(parameter.grad)
        np.testing.assert_allclose(gradient[member].numpy(), flat_of(module), rtol=1e-10, atol=1e-13)
        assert float(kernel.twice_loss[member]) / 2 == pytest.approx(float(loss.detach()), rel=1e-12)


def test_training_equals_a_plain_loop() -> None:
    X, y = rows_of(150)
    network, optimiser = head(), Optimiser(name="adamw", lr=0.01, weight_decay=0.1)
    chosen = [Member("a", np.arange(0, 120)), Member("b", np.arange(50, 150))]
    trainer = StackedTrainer(network, optimiser, batch_size=32, epochs=4, seed=5, dtype=torch.float64)
    for one in trainer.fit(chosen, X, y):
        rows = one.member.taken()
        x = torch.from_numpy((X[rows] - X[rows].mean(0)) / X[rows].std(0))
        dataset = torch.utils.data.TensorDataset(x, torch.from_numpy((y[rows] - 1) / 4)[:, None])
        module = torch_head(network, network.initial(stream(5, one.member.held_out, "initial")))
        steps = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.1)
        order = stream(5, one.member.held_out, "order")
        for _ in range(4):
            for a, b in torch.utils.data.DataLoader(dataset, 32, sampler=order.permutation(len(x)).tolist()):
                steps.zero_grad()
                torch.nn.functional.mse_loss(module(a), b).backward()  # type: ignore[no-untyped-call]
                steps.step()
        np.testing.assert_allclose(one.parameters, flat_of(module), rtol=1e-8, atol=1e-10)
        flat = torch.from_numpy(np.asarray(one.parameters))
        ours = network.predict(flat, x)
        torch.testing.assert_close(ours, 1 + 4 * module(x)[:, 0])
        torch.testing.assert_close(network.as_module(flat).double()(x)[:, 0], ours)


def test_a_stacked_member_equals_the_same_member_alone() -> None:
    X, y = rows_of(900)
    codec = np.ones((len(y), 1))
    network = head((64, 64), "relu", 0.1, columns=6)
    chosen = [Member(f"s{i}", np.arange(i, n)) for i, n in enumerate((900, 800, 640, 333, 64))]
    trainer = StackedTrainer(network, Optimiser(name="adamw", weight_decay=1e-5), batch_size=64, epochs=6, seed=5)
    with torch_threads(1):
        for member, together in zip(chosen, trainer.fit(chosen, X, y, codec), strict=True):
            (alone,) = trainer.fit([member], X, y, codec)
            assert np.max(np.abs(alone.parameters - together.parameters)) <= 1e-6
            np.testing.assert_allclose(alone.losses, together.losses, rtol=1e-6)


# --- tables -----------------------------------------------------------------------------------------------------------

FEATURES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")


def clips(n: int = 80) -> dict[str, list[Any]]:
    """Videos of 20 contents whose opinion follows their features, as the head's published generator draws them."""
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {
        "corpus": ["konvid"] * n,
        "source": [f"content{i % 20}" for i in range(n)],
        "clip": [f"clip{i}" for i in range(n)],
        "codec": ["ugc"] * n,
        "encoder": ["libx264" if i % 2 else None for i in range(n)],
        "rung": ["given"] * n,
    }
    low = dict(zip(FEATURES, (0.4, 0.2, 0.3, 0.4, 0.5, 0), strict=True))
    columns |= {f"{name}_mean": rng.uniform(low[name], 30 if name == "motion2" else 0.98, n) for name in FEATURES}
    columns |= {"saliency_mean": rng.uniform(0, 0.6, n), "saliency_var": rng.uniform(0, 0.05, n)}
    shots = [shot_columns(int(count), 240 / 25 / int(count), 240) for count in rng.integers(1, 9, n)]
    columns |= {name: [shot[name] for shot in shots] for name in shots[0]}
    mos = 2.5 + 1.6 * columns["adm2_mean"] - 0.04 * columns["motion2_mean"] + 0.6 * columns["saliency_mean"]
    columns["mos"] = np.clip(mos + 0.3 * columns["vif_scale3_mean"] + rng.normal(0, 0.1, n), 1, 5)
    return {name: list(values) for name, values in columns.items()}


def write_table(path: Path, columns: dict[str, list[Any]]) -> Path:
    table = clip_table(columns, teacher="vmaf_v0.6.1", engine={"fingerprint": "of a test"})
    pq.write_table(table, path)
    return path


def write_spec(folder: Path, **changes: Any) -> Path:
    spec = yaml.safe_load((MODELS / f"{HEADS[0]}.yaml").read_text())
    for key, value in changes.items():
        spec[key] = spec[key] | value if isinstance(value, dict) else value
    path = folder / f"{HEADS[0]}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def test_from_a_table_to_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = write_table(Path("konvid.parquet"), clips())
    limits = {"mean_plcc_min": 0.3, "per_seed_min": 0.3, "pooled": {"rmse_max": 1}}
    config = write_spec(tmp_path, epochs=60, seeds=[0], gates=limits, quantised=[INT8])
    seed, verdict = Path("results/models") / HEADS[0] / "seed0", Path("results/models") / HEADS[0] / "verdict.json"
    done = fit(config, table, seed, seed=0)
    assert done.loso["run_provenance"]["entrypoint"] == "vmaf-train fit"
    assert done.loso["run_provenance"]["shared_trainer"] == "pyvmaf.models.regressor.fit"
    assert judge(config, [done.report], verdict)["verdict"] == "PROMOTE"
    onnx = seed / "model.onnx"
    sidecar = export(config, done.weights, verdict, table, onnx)
    assert (sidecar["input_name"], sidecar["codec"]["input_name"]) == ("features", "encoder_onehot")
    assert (sidecar["output_name"], sidecar["n_params"], sidecar["onnx_opset"]) == ("mos", 5081, 17)
    assert {"LayerNormalization", "Sigmoid"} <= set(sidecar["operators"])
    session = onnxruntime.InferenceSession(onnx)
    assert [(i.name, i.shape) for i in session.get_inputs()] == [
        ("features", ["batch", 11]),
        ("encoder_onehot", ["batch", 1]),
    ]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("mos", ["batch"])]

    rows = pq.read_table(table).to_pandas()
    model = load_model(onnx)
    scores = model.predict(rows).scores
    names = list(load_regressor(config).inputs.names)
    raw = {"features": rows[names].to_numpy(np.float32), "encoder_onehot": np.ones((80, 1), np.float32)}
    np.testing.assert_allclose(session.run(None, raw)[0], scores, rtol=1e-6)
    assert np.corrcoef(scores, rows["mos"])[0, 1] > 0.7
    wild = model.predict(rows.assign(**{name: 1e9 * rows[name] - 1e9 for name in names})).scores
    assert ((wild >= 1) & (wild <= 5)).all()

    # Every verb and call that reads the table takes the other names of its means, too.
    other = Path("other.parquet")
    renamed = with_other_names(pq.read_table(table))
    pq.write_table(renamed, other)
    np.testing.assert_array_equal(model.predict(renamed.to_pandas()).scores, scores)
    for words in (("eval", "--split", "all"), ("validate-norm",), ("cross-backend",)):
        first, second = (report_of(onnx, name, *words) for name in (table, other))
        assert first == second

    int8 = Path("results/quantized") / HEADS[0] / "seed0" / "static_qdq.onnx"
    assert quantize(config, onnx, done.weights, table, int8, mode="static_qdq")["passed"]
    registry = Path("results/registry/registry.json")
    register([verdict, onnx.with_suffix(".json"), int8.with_suffix(".json")], registry)
    assert [(e["id"], e["kind"]) for e in json.loads(registry.read_text())["models"]] == [(HEADS[0], "mos")]


def test_scores_outside_of_the_scale_are_left_out_and_counted(tmp_path: Path) -> None:
    columns = clips()
    columns["mos"][3], columns["mos"][11] = 0.4, 5.5
    data = read_table(write_table(tmp_path / "t.parquet", columns), load_regressor(write_spec(tmp_path)))
    assert data.dropped == {"rows": 2, "by_column": {"mos in [1, 5]": 2}}
    assert data.y.size == 78
    columns["mos"] = [20 * m for m in columns["mos"]]
    with pytest.raises(InputError, match=r"80 of 80 rows lack .*\(mos in \[1, 5\]: 80 rows\).*scale of mos"):
        read_table(write_table(tmp_path / "t.parquet", columns), load_regressor(write_spec(tmp_path)))


def test_a_table_without_a_labelled_row_leaves_no_weights(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet", clips() | {"mos": [None] * 80})
    with pytest.raises(InputError, match="none of 80 rows has a value of 'mos'"):
        fit(write_spec(tmp_path), table, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lacking", ["column", "values"])
def test_a_table_without_saliency_is_refused_with_what_to_do(tmp_path: Path, lacking: str) -> None:
    columns = clips()
    if lacking == "column":
        del columns["saliency_mean"]
    else:
        columns["saliency_mean"] = [None] * 80
    table = write_table(tmp_path / "t.parquet", columns)
    with pytest.raises(InputError, match=r"saliency_mean.*vmaf-train join"):
        fit(write_spec(tmp_path), table, tmp_path / "out", seed=0)
    context = ["saliency_var", "shot_count_norm", "shot_mean_len_norm", "shot_cut_density"]
    assert read_table(table, load_regressor(write_spec(tmp_path, inputs={"context": context}))).X.shape == (80, 10)


def with_other_names(table: pa.Table) -> pa.Table:
    """Give means the names that tables made elsewhere have for them."""
    other = {"saliency_mean": "saliency_mean_mean", "shot_cut_density": "shot_cut_density_mean", "adm2_mean": "adm2"}
    return table.rename_columns([other.get(name, name) for name in table.column_names])


def report_of(model: Path, table: Path, verb: str, *words: str) -> str:
    """Run a verb on a model and a table, and return its report without what names the table or is measured in time."""
    done = command(verb, "--model", model, "--features", table, *words, "--json", f"{verb}-{table.stem}.json")
    assert done.returncode == 0, done.stderr
    report = json.loads(Path(f"{verb}-{table.stem}.json").read_text())
    other = ("run_provenance", "trained_on_this_table")
    kept = {name: value for name, value in report.items() if name not in other and "latency" not in name}
    text = json.dumps(kept).replace(sha256_file(table), "")
    return text.replace(table.name, "").replace(f'"{table.stem}"', '""')


def test_means_have_either_name(tmp_path: Path) -> None:
    spec = load_regressor(write_spec(tmp_path))
    table = pq.read_table(write_table(tmp_path / "t.parquet", clips()))
    expected = read_table(tmp_path / "t.parquet", spec).X
    renamed = with_other_names(table)
    pq.write_table(renamed, tmp_path / "other.parquet")
    np.testing.assert_array_equal(read_table(tmp_path / "other.parquet", spec).X, expected)
    frames = renamed.append_column("frame_index", pa.array(range(80)))
    pq.write_table(frames, tmp_path / "frames.parquet")
    with pytest.raises(InputError, match="has no column 'adm2_mean', 'saliency_mean', 'shot_cut_density'"):
        read_table(tmp_path / "frames.parquet", spec)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": {"standardise": True}}, "set target.standardise: false"),
        ({"network": {"base": {"inputs": ["adm2_mean"], "limit": 1}}}, "set network.output: linear"),
        ({"inputs": {"guard": "none"}}, "set inputs.guard: clamp"),
        ({"network": {"normalise": "none"}}, "set normalise: layer"),
        ({"inputs": {"codec": "v1"}}, "vocabulary v1 has several slots"),
        ({"export": {"output_name": "encoder_onehot"}}, "encoder_onehot is the name of another tensor"),
        ({"export": {"codec_name": "features"}}, "features is the name of another tensor"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_regressor(write_spec(tmp_path, **changes))
