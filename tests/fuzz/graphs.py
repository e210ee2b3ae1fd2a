"""Random damage to model files, sidecars, registries, reports and ensembles of a finished run, and what loading does then.

A damaged model is refused in one line, or its scores are finite and those of onnxruntime for the same file; if the damage
does not change what the files say, they are those of the untouched model. What is refused, `audit-compat` finds, too. Each mutant is loaded in a process of its own
with limits on memory and time. Run many by hand with ``python -m tests.fuzz.graphs --count 1000 --seed 0``; a failure names
its seed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import pyvmaf
from pyvmaf.base.files import dumps, sha256_file
from pyvmaf.checks.audit_compat import audit_compat
from pyvmaf.errors import PyvmafError
from pyvmaf.runtime.allowlist import ALLOWED
from pyvmaf.runtime.ensemble import AnyModel, Ensemble
from pyvmaf.runtime.load import Model

BASE = Path(__file__).parents[1] / "artefacts" / "0.1.0" / "results"
PARTS = ("registry", "models", "quantized")
TARGETS = ("frame_model", "frame_model.int8", "ensemble_model")
SECONDS, MEMORY = 30, 3 << 30
ROWS = 12
REGISTRY = Path("results/registry/registry.json")

Random = np.random.Generator


@dataclass(frozen=True)
class Files:
    """The files of the model that a mutant is about, below the working folder."""

    target: str
    onnx: Path
    sidecar: Path
    report: Path | None

    @staticmethod
    def of(target: str) -> Files:
        """Look them up in the registry."""
        entry = next(e for e in json.loads(REGISTRY.read_text())["models"] if e["id"] == target.partition(".")[0])
        home = REGISTRY.parent
        sidecar = Path(os.path.normpath(home / entry["sidecar"]))
        if target.endswith(".int8"):
            return Files(target, Path(os.path.normpath(home / entry["int8"])), sidecar, home / entry["int8_report"])
        return Files(target, Path(os.path.normpath(home / entry["onnx"])), sidecar, None)

    def pin(self) -> None:
        """Let every document name the hashes that the files have now, so that loading gets beyond them."""
        sha256 = sha256_file(self.onnx)
        if self.report is not None:
            self._edit(self.report, lambda body: body["int8"].update(sha256=sha256))
        else:
            for report in Path("results/quantized").glob(f"{self.target}/{self.onnx.parent.name}/*.json"):
                self._edit(report, lambda body: body["fp32"].update(sha256=sha256))
            self._edit(self.sidecar, lambda body: self._describe(body, sha256))
        self.pin_documents()

    def _describe(self, body: dict[str, Any], sha256: str) -> None:
        body["sha256"] = sha256
        # Sidecars may leave these out.
        for key in ("bytes", "operators"):
            body.pop(key, None)

    def pin_documents(self) -> None:
        """The same for sidecar, report and ensemble only."""
        for manifest in Path("results/models").glob("*/ensemble.json"):
            self._edit(manifest, lambda body, at=manifest: _pin_members(body, at.parent))  # type: ignore[misc]
        self._edit(REGISTRY, _pin_registry)

    @staticmethod
    def _edit(path: Path, change: Callable[[Any], Any]) -> None:
        try:
            body = json.loads(path.read_text())
            change(body)
            path.write_text(dumps(body))
        except (ValueError, KeyError, TypeError, AttributeError, FileNotFoundError, RecursionError):
            pass  # it is damaged itself


def _pin_members(body: dict[str, Any], home: Path) -> None:
    for member in body["members"]:
        member.update(sha256=sha256_file(home / member["onnx"]), sidecar_sha256=sha256_file(home / member["sidecar"]))


def _pin_registry(body: dict[str, Any]) -> None:
    for entry in body["models"]:
        _pin_entry(entry)


def _pin_entry(entry: dict[str, Any]) -> None:
    home = REGISTRY.parent
    for role in ("onnx", "sidecar", "int8", "int8_report"):
        if role in entry:
            entry["sha256" if role == "onnx" else f"{role}_sha256"] = sha256_file(home / entry[role])
    if "ensemble" in entry:
        shipped = entry["ensemble"]
        shipped["manifest_sha256"] = sha256_file(home / shipped["manifest"])
        _pin_members({"members": shipped["members"]}, home)


# -- damage ------------------------------------------------------------------------------------------------------


def damaged_bytes(random: Random, path: Path) -> None:
    """Flip, cut, insert or repeat bytes."""
    data = bytearray(path.read_bytes())
    start, length = int(random.integers(len(data))), int(random.integers(1, 64))
    match random.integers(5):
        case 0:
            for _ in range(length):
                data[random.integers(len(data))] ^= 1 << random.integers(8)
        case 1:
            data[random.integers(len(data))] ^= 1 << random.integers(8)
        case 2:
            del data[start : start + length]
        case 3:
            data[start:start] = random.bytes(length)
        case _:
            data[start:start] = data[start : start + length]
    path.write_bytes(data)


VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e308, 2**70, "", "x", [], {}, [[]], "../../../etc/passwd", "/dev/zero", "\u0000", 0.5, "NaN"),
    *([1, 2, 3], ["adm2"] * 6, {"mean": [0] * 6}, "0" * 64, [100, 0], [0, 0], "fr", "mos", "HOLD", "UNJUDGED"),
)


def damaged_json(random: Random, path: Path) -> None:
    """Drop, replace, swap or add values somewhere in a JSON file, or write what some readers fail at."""
    kind = random.integers(8)
    text = path.read_text()
    if kind == 0:
        path.write_text("[" * 100_000 if random.integers(2) else text.replace(": 0", ": " + "9" * 5000, 1))
        return
    if kind == 1:
        path.write_text(text.replace("0.", "NaN, 0.", 1) if random.integers(2) else text[: random.integers(len(text))])
        return
    body = json.loads(text)
    holders = list(_holders(body))
    holder, key = holders[random.integers(len(holders))]
    if kind in (2, 3):
        holder[key] = VALUES[random.integers(len(VALUES))]
    elif kind == 4:
        del holder[key]
    elif kind == 5:
        other, place = holders[random.integers(len(holders))]
        holder[key], other[place] = other[place], holder[key]
    elif isinstance(holder[key], float | int) and not isinstance(holder[key], bool):
        holder[key] = holder[key] * float(random.choice([-1, 0, 1.001, 2, 1e6]))
    elif isinstance(holder[key], list):
        holder[key] = holder[key] * 2 if random.integers(2) else holder[key][::-1]
    else:
        holder[f"{key}_more" if isinstance(key, str) else key] = holder[key]
    path.write_text(json.dumps(body))


def _holders(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(inner):
        if key != "run_provenance":
            yield value, key
            yield from _holders(item)


def damaged_graph(random: Random, path: Path) -> None:
    """Change nodes, attributes, constants, inputs or outputs of a graph."""
    model = onnx.load(path)
    for _ in range(int(random.integers(1, 4))):
        change = GRAPH_CHANGES[random.integers(len(GRAPH_CHANGES))]
        change(random, model)
    path.write_bytes(model.SerializeToString())


def _some(random: Random, items: Any) -> Any:
    return items[int(random.integers(len(items)))]


def _drop_node(random: Random, model: onnx.ModelProto) -> None:
    if model.graph.node:
        del model.graph.node[int(random.integers(len(model.graph.node)))]


def _repeat_node(random: Random, model: onnx.ModelProto) -> None:
    model.graph.node.append(_some(random, model.graph.node))


def _swap_nodes(random: Random, model: onnx.ModelProto) -> None:
    first, second = _some(random, model.graph.node), _some(random, model.graph.node)
    kept = onnx.NodeProto.FromString(first.SerializeToString())
    first.CopyFrom(second)
    second.CopyFrom(kept)


def _other_operator(random: Random, model: onnx.ModelProto) -> None:
    _some(random, model.graph.node).op_type = _some(random, sorted(ALLOWED))


def _other_input(random: Random, model: onnx.ModelProto) -> None:
    node = _some(random, model.graph.node)
    names = [t.name for t in model.graph.initializer] + [o for n in model.graph.node for o in n.output] + ["", "none"]
    if node.input:
        node.input[int(random.integers(len(node.input)))] = _some(random, names)


def _other_attribute(random: Random, model: onnx.ModelProto) -> None:
    node = _some(random, model.graph.node)
    name = _some(random, ["axis", "axes", "transA", "transB", "alpha", "keepdims", "to", "perm"])
    node.attribute.append(helper.make_attribute(name, _some(random, [0, 1, -1, 2, 7, [0, 1], 0.5, float("nan")])))


def _other_constant(random: Random, model: onnx.ModelProto) -> None:
    tensor = _some(random, model.graph.initializer)
    try:
        values = np.array(numpy_helper.to_array(tensor))
    except Exception:
        return
    match random.integers(6):
        case 0:
            values = values.astype(_some(random, [np.float32, np.float64, np.int64, np.int8, np.float16]))
        case 1:
            values = np.full_like(values, _some(random, [0, -1, 1, 100]))
        case 2 if values.dtype.kind == "f":
            values.reshape(-1)[int(random.integers(max(values.size, 1))) if values.size else 0 :] = np.nan
        case 3 if values.dtype.kind == "f":
            values = values * np.asarray(_some(random, [1e30, -1, 1e-30]), values.dtype)
        case 4:
            values = np.stack([values, values])
        case _:
            tensor.dims.append(int(_some(random, [0, 1, -1, 3, 1 << 40])))
            return
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def _cut_constant(random: Random, model: onnx.ModelProto) -> None:
    tensor = _some(random, model.graph.initializer)
    tensor.raw_data = tensor.raw_data[: int(random.integers(len(tensor.raw_data) + 1))]


def _external(random: Random, model: onnx.ModelProto) -> None:
    tensor = _some(random, model.graph.initializer)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=_some(random, ["model.json", "../model.onnx", "/etc/passwd", ""]))


def _opsets(random: Random, model: onnx.ModelProto) -> None:
    domain = _some(random, ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
    imported = helper.make_opsetid(domain, int(_some(random, [0, 1, 6, 13, 17, 18, 21, 22, 99, 1 << 40])))
    if random.integers(2):
        del model.opset_import[:]
    model.opset_import.append(imported)


def _function(random: Random, model: onnx.ModelProto) -> None:
    node = _some(random, model.graph.node)
    model.functions.append(
        helper.make_function(
            "", node.op_type, ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], model.opset_import
        )
    )


def _signature(random: Random, model: onnx.ModelProto) -> None:
    value = _some(random, [*model.graph.input, *model.graph.output])
    match random.integers(5):
        case 0:
            value.type.tensor_type.elem_type = int(random.integers(0, 20))
        case 1:
            value.type.tensor_type.shape.dim.add(dim_value=int(_some(random, [0, 1, 5, -1, 1 << 40])))
        case 2:
            value.name = f"{value.name}x"
        case 3:
            value.type.tensor_type.ClearField("shape")
        case _:
            dims = value.type.tensor_type.shape.dim
            if dims:
                _some(random, dims).dim_value = int(_some(random, [0, 1, 4, 6, 8, -1]))


def _more_outputs(random: Random, model: onnx.ModelProto) -> None:
    name = _some(random, [o for node in model.graph.node for o in node.output])
    model.graph.output.append(helper.make_empty_tensor_value_info(name))


def _more_inputs(random: Random, model: onnx.ModelProto) -> None:
    name = _some(random, [t.name for t in model.graph.initializer] + ["more"])
    model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]))


def _into_a_loop(random: Random, model: onnx.ModelProto) -> None:
    """Put loops around the score, or something that may be large."""
    last = model.graph.node[-1]
    old, last.output[0] = last.output[0], "before"
    rounds = int(_some(random, [0, 1, 3, 1000, 1024, 1 << 40]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(rounds, np.int64), "rounds"))
    grow = bool(random.integers(2))
    inner = (
        helper.make_node("Concat", ["v0", "v0"], ["o0"], axis=0) if grow else helper.make_node("Neg", ["v0"], ["o0"])
    )
    depth = int(random.integers(1, 5))
    for level in range(depth):
        info = helper.make_tensor_value_info
        body = helper.make_graph(
            [helper.make_node("Identity", [f"c{level}"], [f"d{level}"]), inner],
            f"body{level}",
            [
                info(f"i{level}", TensorProto.INT64, []),
                info(f"c{level}", TensorProto.BOOL, []),
                info(f"v{level}", TensorProto.FLOAT, None),
            ],
            [info(f"d{level}", TensorProto.BOOL, []), info(f"o{level}", TensorProto.FLOAT, None)],
        )
        outer = level == depth - 1
        inner = helper.make_node(
            "Loop",
            ["rounds", "", "before" if outer else f"v{level + 1}"],
            [old if outer else f"o{level + 1}"],
            body=body,
        )
    model.graph.node.append(inner)


def _large(random: Random, model: onnx.ModelProto) -> None:
    """Add something of a large size to the score."""
    last = model.graph.node[-1]
    old, last.output[0] = last.output[0], "before"
    size = int(_some(random, [0, 1, 3, 1 << 12, 1 << 20, 1 << 40]))
    dims = np.array([size] * int(random.integers(1, 4)), np.int64)
    model.graph.initializer.append(numpy_helper.from_array(dims, "large.shape"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "large.seed"))
    big = _some(
        random,
        [
            helper.make_node("ConstantOfShape", ["large.shape"], ["large"]),
            helper.make_node("Expand", ["large.seed", "large.shape"], ["large"]),
        ],
    )
    model.graph.node.extend(
        [
            big,
            helper.make_node("ReduceSum", ["large"], ["large.sum"], keepdims=0),
            helper.make_node("Add", ["before", "large.sum"], [old]),
        ]
    )


GRAPH_CHANGES: tuple[Callable[[Random, onnx.ModelProto], None], ...] = (
    *(_drop_node, _repeat_node, _swap_nodes, _other_operator, _other_input, _other_attribute, _other_constant),
    *(_cut_constant, _external, _opsets, _function, _signature, _more_outputs, _more_inputs, _into_a_loop, _large),
)


def renamed(random: Random, path: Path) -> None:
    """Change what does not count: names of nodes, texts, the order of constants, a constant that nobody reads."""
    model = onnx.load(path)
    for index, node in enumerate(model.graph.node):
        node.name = f"node{index}"
    model.doc_string, model.producer_version = "text", "9"
    tensors = [model.graph.initializer[index] for index in random.permutation(len(model.graph.initializer))]
    kept = [TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "unread"))
    path.write_bytes(model.SerializeToString())


def reordered(random: Random, path: Path) -> None:
    """Write the same JSON with other white space and another order of keys."""
    body = json.loads(path.read_text())
    keys = list(body)
    random.shuffle(keys)
    path.write_text(json.dumps({key: body[key] for key in keys}, indent=int(random.integers(4))))


# -- one mutant --------------------------------------------------------------------------------------------------


def mutate(seed: int) -> tuple[str, bool, str]:
    """Damage the files in the working folder.

    Returns:
        The model to load, whether its scores must be those of the untouched one, and what was done.
    """
    random = np.random.default_rng(seed)
    files = Files.of(str(random.choice(TARGETS)))
    documents = [files.sidecar, REGISTRY, *([files.report] if files.report else [])]
    documents += sorted(Path("results/models").glob("*/ensemble.json")) if files.target == "ensemble_model" else []
    kind = str(random.choice(["bytes", "graph", "graph", "graph", "json", "json", "json bytes", "same", "same json"]))
    pinned = bool(random.random() < 0.85)
    document = documents[int(random.integers(len(documents)))]
    if kind in ("bytes", "graph", "same"):
        {"bytes": damaged_bytes, "graph": damaged_graph, "same": renamed}[kind](random, files.onnx)
        if pinned or kind == "same":
            files.pin()
    else:
        {"json": damaged_json, "json bytes": damaged_bytes, "same json": reordered}[kind](random, document)
        if (pinned or kind == "same json") and document != REGISTRY:
            files.pin_documents()
    where = files.onnx if kind in ("bytes", "graph", "same") else document
    return files.target, kind.startswith("same"), f"{kind} of {where}{'' if pinned else ', not pinned'}"


def rows() -> tuple[NDArray[np.float64], tuple[str, str, int]]:
    """Rows that every model of the run can score."""
    X = np.random.default_rng(1).random((ROWS, 6)) * [0.4, 0.5, 0.5, 0.4, 0.3, 8] + [0.6, 0.3, 0.5, 0.6, 0.7, 0]
    return X, ("libx264", "medium", 30)


def scores_of(model: AnyModel) -> NDArray[np.float64]:
    """Score `rows` with a loaded model."""
    X, codec = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.predict(X[:, : len(model.features)], codec if model.sidecar["codec"] else None).scores


def plain_scores(model: AnyModel) -> NDArray[np.float64]:
    """The same by onnxruntime alone, from the bytes of the graphs and the numbers of the sidecar."""
    members = model.members if isinstance(model, Ensemble) else (model,)
    return np.asarray(np.mean([_plain(member) for member in members], axis=0))


def _plain(model: Model) -> NDArray[np.float64]:
    from pyvmaf.codecs.vocabularies import VOCABULARIES

    X, codec = rows()
    X = X[:, : len(model.features)]
    scaling, block = model.sidecar["input_normalization"], model.sidecar["codec"]
    if scaling is not None and not scaling["in_graph"]:
        X = (X - np.array(scaling["mean"])) / np.array(scaling["std"])
    feeds = {model.sidecar["input_name"]: X.astype(np.float32)}
    if block is not None:
        columns = VOCABULARIES[block["vocabulary"]].encode(*codec)
        feeds[block["input_name"]] = np.tile(np.asarray(columns, np.float32), (ROWS, 1))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.graph.data, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0], dtype=np.float64)


def outcome(seed: int, untouched: dict[str, list[float]]) -> tuple[str, str]:
    """Make and load a mutant in the working folder: what happened ("refused", "scored", or a failure), and details."""
    target, same, what = mutate(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = pyvmaf.load_model(target)
        scores = scores_of(model)
    except PyvmafError as err:
        text = str(err)
        if "\n" in text or not text or len(text) > 2000:
            return "not one line", f"{what}: {text}"
        return ("refused without a reason", f"{what}: {text}") if same else ("refused", f"{what}: {text}")
    except MemoryError:
        return "memory", what
    except BaseException:
        return "traceback", f"{what}: {traceback.format_exc()}"
    if scores.shape != (ROWS,) or not np.isfinite(scores).all():
        return "not finite", f"{what}: {scores}"
    expected = np.array(untouched[target]) if same else plain_scores(model)
    if not np.allclose(scores, expected, rtol=1e-4, atol=1e-2):
        return "other scores", f"{what}: {scores} for {expected}"
    return "scored", what


def audited(kind: str, details: str) -> tuple[str, str]:
    """Audit the folder: it ends whatever the files are, and finds an error where loading was refused."""
    try:
        report = audit_compat(Path("results"))
    except BaseException:
        return "traceback", f"audit of {details}: {traceback.format_exc()}"
    if kind == "refused" and not report.errors:
        return "not found by the audit", details
    return kind, details


def check(seed: int, untouched: dict[str, list[float]]) -> tuple[str, str]:
    """`outcome` in a process and a folder of its own, which are ended and removed whatever happens."""
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="pyvmaf-fuzz-") as folder:
        child = os.fork()
        if child == 0:
            _in_child(seed, untouched, Path(folder), writer)
        os.close(writer)
        end = time.monotonic() + 2 * SECONDS
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(reader)
                return "hang", f"seed {seed}: ended after {2 * SECONDS} s"
            time.sleep(0.005)
        with open(reader) as stream:
            text = stream.read()
    if not text:
        return "crash", f"seed {seed}: the process died"
    kind, details = json.loads(text)
    return kind, f"seed {seed}: {details}"


def _in_child(seed: int, untouched: dict[str, list[float]], folder: Path, writer: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY + _address_space(), MEMORY + _address_space()))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        copy_run(folder)
        with chdir(folder):
            result = outcome(seed, untouched)
            if seed % 5 == 0 and result[0] in GOOD:
                result = audited(*result)
    except BaseException:
        result = ("traceback", traceback.format_exc())
    os.write(writer, json.dumps(result).encode()[:60_000])
    os._exit(0)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def copy_run(folder: Path) -> None:
    """Copy the registry, the models and the int8 variants of the run to damage."""
    for part in PARTS:
        shutil.copytree(BASE / part, folder / "results" / part)


def untouched_scores() -> dict[str, list[float]]:
    """Scores of the models as they are, by id; in a process of its own, because a runtime's threads do not survive a fork."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        with chdir(BASE.parent):
            found = {target: scores_of(pyvmaf.load_model(target)).tolist() for target in TARGETS}
        os.write(writer, json.dumps(found).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as stream:
        found = json.load(stream)
    os.wait()
    return dict(found)


GOOD = ("refused", "scored")


def mutants(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Check `count` mutants from `seed` on: what happened to each, and details."""
    untouched = untouched_scores()
    for each in range(seed, seed + count):
        yield check(each, untouched)


def main() -> None:
    """Check many mutants."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    for kind, details in mutants(options.seed, options.count):
        counts[kind] += 1
        if kind not in GOOD or options.verbose:
            print(f"{kind}: {details}", flush=True)
    print(", ".join(f"{kind} {number}" for kind, number in sorted(counts.items())))
    sys.exit(any(kind not in GOOD for kind in counts))


if __name__ == "__main__":
    main()
