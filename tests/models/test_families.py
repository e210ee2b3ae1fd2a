"""A second family is one file and one row of a table: it goes through every verb, and its spec through the plan."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import pyvmaf
from pyvmaf.base.code import identity, modules
from pyvmaf.base.families import CONVERTED, FAMILIES, load_part, uses
from pyvmaf.errors import InputError
from pyvmaf.models.spec import parse_spec, spec_class
from pyvmaf.workflow.config import model_schema_yaml
from pyvmaf.workflow.plan import conform, read_numbers
from tests.make import warm
from tests.make.runs import once
from tests.make.tables import table_columns, write_table

PACKAGE = Path(pyvmaf.__file__).parent
NEAREST = Path(__file__).with_name("nearest.py")
GATES = {"plcc_spread_max": 0.5, "mean_plcc_min": 0.5, "per_seed_min": 0.5, "monotonicity": {"tolerance": 30}}
Data = dict[str, Any]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one more family: a file and a row."""

    def make(root: Path) -> None:
        package = root / "pyvmaf"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        native = find_spec("pyvmaf._native")
        assert native is not None
        assert native.origin is not None
        for path in (Path(native.origin), Path(native.origin).with_name("_native_build.json")):
            shutil.copy(path, package / path.name)
        shutil.copy(NEAREST, package / "models" / "nearest.py")
        table = package / "base" / "families.py"
        text = table.read_text()
        row = '    "fr": "pyvmaf.models.regressor",\n'
        assert text.count(row) == 1
        table.write_text(text.replace(row, f'    "nearest": "pyvmaf.models.nearest",\n{row}'))
        write_table(root / "made.parquet", table_columns())
        spec = {"name": "near", "kind": "nearest", "description": "d", "seeds": [0, 1], "gates": GATES}
        (root / "near.yaml").write_text(yaml.safe_dump(spec))

    return once(tmp_path_factory.mktemp("families"), "copy", make)


def python(copy: Path, program: str, *words: object, forked: bool = True) -> str:
    """Run a program that imports the copy, in a fork that has the libraries or in a new process."""
    start = (
        "import sys\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__module__.startswith('_editable')]\n"
        f"sys.path.insert(0, {str(copy)!r})\n"
    )
    done = subprocess.run(
        [warm.python() if forked else sys.executable, "-c", start + program, *map(str, words)],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


MAIN = "from pyvmaf import cli\nsys.argv[0] = 'vmaf-train'\ncli.main()\n"


def test_a_second_family_goes_through_every_verb(copy: Path) -> None:
    for seed in (0, 1):
        python(copy, MAIN, "fit", "-c", "near.yaml", "--features", "made.parquet", "--seed", seed, "-o", f"seed{seed}")
    reports = ["seed0/loso.json", "seed1/loso.json"]
    judged = python(copy, MAIN, "judge", "-c", "near.yaml", "-o", "verdict.json", *reports)
    assert judged.startswith("PROMOTE near")
    assert "order within ladders" in judged
    words = ["--verdict", "verdict.json", "--features", "made.parquet", "-o", "seed0/model.onnx"]
    python(copy, MAIN, "export", "-c", "near.yaml", "--checkpoint", "seed0/weights.safetensors", *words)
    sidecar = json.loads((copy / "seed0" / "model.json").read_text())
    assert (sidecar["kind"], sidecar["feature"], sidecar["verdict"]) == ("nearest", "adm2", "PROMOTE")
    assert sidecar["run_provenance"]["engine"]["fingerprint"] != identity("export", uses("export", "fr"))

    model = "--model", "seed0/model.onnx", "--features", "made.parquet", "--split", "all"
    python(copy, MAIN, "eval", *model, "--output", "eval.json")
    report = json.loads((copy / "eval.json").read_text())
    columns = table_columns()
    x, y = np.asarray(columns["adm2"], np.float32), np.asarray(columns["vmaf"])
    program = (
        "import json, numpy as np, pyvmaf\n"
        "scores = pyvmaf.load_model('seed0/model.onnx').predict({'adm2': np.array(json.loads(sys.argv[1]))}).scores\n"
        "print(json.dumps(scores.tolist()))\n"
    )
    scores = np.array(json.loads(python(copy, program, json.dumps(x.tolist()))))
    assert report["rmse"] == pytest.approx(np.sqrt(np.mean((scores - y) ** 2)), abs=1e-4)
    held_out = pq.read_table(copy / "seed0" / "predictions.parquet").to_pandas()
    assert set(held_out["fold"]) == set(columns["source"])


def test_a_family_without_a_part_says_so(copy: Path) -> None:
    program = (
        "from pyvmaf.models.families import int8_part\n"
        "from pyvmaf.errors import InputError\n"
        "try: int8_part('nearest')\n"
        "except InputError as err: print(err)\n"
    )
    assert "models of kind 'nearest' have no int8" in python(copy, program)


def test_a_second_family_changes_the_code_of_no_verb_of_the_first(copy: Path) -> None:
    for verb in ("fit", "judge", "export", "ensemble", "quantize-int8", "eval"):
        used = uses(verb, "fr")
        assert identity(verb, used, root=copy / "pyvmaf") == identity(verb, used), verb


def test_each_verb_has_its_own_parts_of_the_family() -> None:
    """A gate, the exporter or a judge is no code of a fit; a gate's code is the judge's."""

    def closure(verb: str) -> set[str]:
        return set(modules(verb, uses(verb, "fr")))

    gates = {name for name in closure("judge") if name.startswith("pyvmaf.models.gates")}
    assert len(gates) >= 6
    assert "pyvmaf.models.regressor.gates" in closure("judge")
    for verb in ("fit", "quantize-int8", "eval"):
        assert not closure(verb) & (gates | {"pyvmaf.models.judge", "pyvmaf.models.export"}), verb
    assert not {n for n in closure("judge") if n.rpartition(".")[2] in ("trainer", "kernels", "export")}
    assert "pyvmaf.models.regressor.trainer" in closure("fit")


# -- specs in the plan -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema(copy: Path) -> Data:
    """The schema of model files with two families, as `vmaf-train config --write` generates it."""
    text = python(copy, "from pyvmaf.workflow.config import model_schema_yaml\nprint(model_schema_yaml())\n")
    return dict(yaml.safe_load(text))


def regressor(**changes: Any) -> Data:
    return {"name": "m", "description": "d", "inputs": {}, "network": {"hidden": [4]}, "epochs": 1} | changes


def test_the_plan_fills_the_defaults_of_each_family(schema: Data) -> None:
    near = conform({"name": "near", "kind": "nearest", "description": "d"}, schema, "near.yaml")
    assert (near["feature"], near["points"], near["epochs"]) == ("adm2", 16, 1)
    assert near["gates"]["monotonicity"] == {"tolerance": 1.0}
    assert "inputs" not in near
    first = conform(regressor(), schema, "m.yaml")
    # A file that names no kind is read as the class of that kind reads it.
    assert first == json.loads(parse_spec(regressor(), "m.yaml").model_dump_json())
    assert conform(regressor(kind="mos"), schema, "m.yaml")["kind"] == "mos"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            {"name": "n", "kind": "nearest", "description": "d", "pionts": 3},
            "unknown key 'pionts': did you mean 'points'",
        ),
        ({"name": "n", "kind": "nearest", "description": "d", "points": 1}, "points: 1 is less than the minimum of 2"),
        ({"name": "n", "kind": "nearst", "description": "d"}, "unknown kind 'nearst': did you mean 'nearest'"),
        ({"name": "n", "kind": "nearest"}, "'description' is a required property"),
        (regressor(network={"hidden": [4], "activaton": "relu"}), "did you mean 'activation'"),
        (regressor(points=3), "unknown key 'points'"),
    ],
)
def test_the_plan_names_what_is_wrong_by_the_family_that_was_meant(schema: Data, data: Data, says: str) -> None:
    with pytest.raises(InputError) as caught:
        conform(data, schema, "x.yaml")
    assert str(caught.value).startswith("x.yaml: ")
    assert says in str(caught.value)


def test_a_union_without_a_default_needs_its_discriminator() -> None:
    choice = {"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}}
    schema = {"discriminator": {"propertyName": "kind"}, "oneOf": [choice]}
    with pytest.raises(InputError, match="key 'kind' is missing; valid: a"):
        conform({"n": 1}, schema, "x")
    assert read_numbers({"kind": "a", "n": "3"}, schema) == {"kind": "a", "n": 3}


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_each_family_says_which_keys_each_step_reads(kind: str) -> None:
    known = set(spec_class(kind).model_fields)
    reads = spec_class(kind).reads()
    assert all(set(keys) <= known for keys in reads.values())
    assert not {"gates", "seeds", "description"} & set(reads.get("fit", ()))
    assert (kind in CONVERTED) == ("fit" not in reads)
    choices = yaml.safe_load(model_schema_yaml())["oneOf"]
    kinds = [(choice["properties"]["kind"], choice["reads"]) for choice in choices]
    assert any(kind in values.get("enum", [values.get("const")]) and own == reads for values, own in kinds)


# -- use of a finished file --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in FAMILIES if kind not in CONVERTED])
def test_a_family_that_is_trained_has_every_part(kind: str) -> None:
    for part, names in {
        "spec": ["SPEC"], "fit": ["fit"], "gates": ["GATES"], "graph": ["graph"], "trials": ["trials"],
        "describe": ["describe"], "predictor": ["block", "predictor", "ensemble_keys", "SHARED"],
    }.items():  # fmt: skip
        assert all(hasattr(load_part(kind, part), name) for name in names), part


def test_loading_a_model_imports_no_trainer_judge_or_exporter(copy: Path, request: pytest.FixtureRequest) -> None:
    onnx = Path(__file__).parents[1] / "artefacts/0.1.0/results/models/frame_model/seed0/model.onnx"
    program = (
        "import json\n"
        "from pyvmaf.runtime.load import load_model\n"
        "load_model(sys.argv[1])\n"
        "print(json.dumps([name for name in sys.modules if name.startswith(('pyvmaf', 'torch'))]))\n"
    )
    loaded = set(json.loads(python(copy, program, onnx, forked=False)))
    assert "pyvmaf.models.regressor.predictor" in loaded
    assert not {name for name in loaded if name.partition(".")[0] == "torch"}
    ends = {name.rpartition(".")[2] for name in loaded if not name.startswith("pyvmaf.runtime.")}
    assert not ends & {"trainer", "kernels", "judge", "export", "fit", "gates", "graph", "spec", "rows"}
