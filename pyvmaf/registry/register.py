"""The registry: which models ship, and the hash of everything that says why.

One entry per promoted model. Its ONNX file is that of the seed whose mean PLCC over the folds is the median
of all seeds (the lower one of two, the smaller seed of equals). Choosing the best seed instead would pick it
on the very rows that were held out to judge it, and so promise more than another run gives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pyvmaf.base import layout
from pyvmaf.base.files import dumps, read_json, sha256_bytes, sha256_file, write_json
from pyvmaf.base.manifest import write_manifest
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError, unknown_name

REGISTRY_NAME = "registry.json"
SELECTION_RULE = "median mean PLCC over the seeds (the lower of two, the smaller seed of equals)"
KINDS = ("fr", "nr", "filter", "mos", "saliency")

# A registry and a sidecar are read before anything is trusted, so a huge one is refused unread.
_MAX_JSON_BYTES = 1 << 20
_QUANT_MODES = {"dynamic": "dynamic", "static": "static", "static_qdq": "static", "qat": "qat"}


@dataclass(frozen=True)
class Shipped:
    """What `register` wrote.

    Attributes:
        path: the registry.
        models: ids that ship.
        held: id and reason of each model that does not.
        int8_refused: id, mode and reason of each int8 variant that failed its gate.
        ensembles_refused: id and reason of each ensemble whose intervals failed theirs; a single seed ships instead.
    """

    path: Path
    models: tuple[str, ...]
    held: tuple[tuple[str, str], ...]
    int8_refused: tuple[tuple[str, str, str], ...]
    ensembles_refused: tuple[tuple[str, str], ...] = ()


@cache
def schema(name: str) -> dict[str, Any]:
    """A published JSON schema of this stage: ``registry`` or ``verify``."""
    import json

    text = resources.files("pyvmaf.registry").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def violations(data: Any, name: str) -> list[str]:
    """What in `data` is not as the schema `name` says, one sentence each; empty where all is well."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema(name))
    errors = sorted(validator.iter_errors(data), key=lambda err: [str(part) for part in err.absolute_path])
    return [f"{'.'.join(str(part) for part in err.absolute_path) or 'the file'}: {err.message}" for err in errors]


def _read_small(path: Path) -> Any:
    try:
        size = path.stat().st_size
    except FileNotFoundError as err:
        raise MissingFileError(f"no such file: {path}") from err
    if size > _MAX_JSON_BYTES:
        raise IntegrityError(f"{path} has {size} bytes; a registry or sidecar has at most {_MAX_JSON_BYTES}: refused")
    return read_json(path)


def _mapping(path: Path) -> dict[str, Any]:
    data = _read_small(path)
    if not isinstance(data, dict):
        raise IntegrityError(f"{path} holds {type(data).__name__}, not an object: it was not written by this program")
    return data


def _need(data: Mapping[str, Any], key: str, path: Path) -> Any:
    try:
        return data[key]
    except KeyError as err:
        raise IntegrityError(f"{path} has no key {key!r}: write it again with this version") from err


# ---------------------------------------------------------------------------------------------------------
# What the stages before left behind


@dataclass(frozen=True)
class _Verdict:
    path: Path
    model: str
    promoted: bool
    data: dict[str, Any]

    @property
    def per_seed(self) -> dict[int, float]:
        return {int(seed): float(plcc) for seed, plcc in self.data["gate"]["per_seed_plccs"].items()}


@dataclass(frozen=True)
class _Sidecar:
    path: Path
    model: str
    seed: int
    data: dict[str, Any]

    @property
    def onnx(self) -> Path:
        return self.path.parent / str(self.data.get("onnx", "model.onnx"))


@dataclass(frozen=True)
class _Int8:
    path: Path
    model: str
    seed: int
    mode: str
    data: dict[str, Any]

    @property
    def onnx(self) -> Path:
        return self.path.with_suffix(".onnx")


def find_artefacts(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The JSON files among `paths` that `register` reads; a folder stands for those below it.

    Raises:
        MissingFileError: one of `paths` does not exist.
        InputError: nothing was found.
    """
    found: list[Path] = []
    for given in map(Path, paths):
        if given.is_dir():
            kinds = (layout.VERDICT, layout.SIDECAR, layout.ENSEMBLE, layout.INT8_REPORT)
            found += [path for kind in kinds for path in kind.files(given)]
        elif given.exists():
            found.append(given)
        else:
            raise MissingFileError(f"no such file: {given}")
    if not found:
        raise InputError("there is nothing to register: name verdicts, sidecars and int8 reports, or a results folder")
    return found


class _Artefacts:
    def __init__(self, paths: Sequence[Path]) -> None:
        self.verdicts: dict[str, _Verdict] = {}
        self.sidecars: dict[str, dict[int, _Sidecar]] = {}
        self.int8: dict[tuple[str, int], list[_Int8]] = {}
        self.ensembles: dict[str, tuple[Path, dict[str, Any]]] = {}
        for path in paths:
            self.add(path)
        if not self.verdicts:
            raise InputError("there is no verdict.json among the files: a model without a verdict is not registered")

    def add(self, path: Path) -> None:
        data = _mapping(path)
        if "verdict" in data and "gate" in data:
            model = str(data["model"])
            if model in self.verdicts:
                raise InputError(f"two verdicts on {model}: {self.verdicts[model].path} and {path}")
            self.verdicts[model] = _Verdict(path, model, data["verdict"] == "PROMOTE", data)
        elif str(data.get("kind")).endswith("_ensemble"):
            model = str(_need(data, "id", path))
            if model in self.ensembles:
                raise InputError(f"two ensembles of {model}: {self.ensembles[model][0]} and {path}")
            self.ensembles[model] = (path, data)
        elif "onnx_opset" in data:
            model, seed = layout.model_and_seed(path)
            self.sidecars.setdefault(model, {})[seed] = _Sidecar(path, model, seed, data)
        elif "passed" in data and "drop" in data:
            model, seed = layout.model_and_seed(path)
            self.int8.setdefault((model, seed), []).append(_Int8(path, model, seed, path.stem, data))
        else:
            raise InputError(
                f"{path} is neither a verdict, a sidecar, an ensemble nor an int8 report: its keys are {', '.join(sorted(data)[:8])}"
            )


def choose_seed(per_seed: Mapping[int, float]) -> int:
    """The seed that ships: median mean PLCC, the lower of two, the smaller seed of equals.

    Args:
        per_seed: mean PLCC over the folds, by seed.

    Raises:
        InputError: there is no seed.
    """
    if not per_seed:
        raise InputError("a verdict without seeds: judge the model again")
    ranked = sorted(per_seed, key=lambda seed: (per_seed[seed], seed))
    middle = per_seed[ranked[(len(ranked) - 1) // 2]]
    return min(seed for seed in ranked if per_seed[seed] == middle)


def hold_reason(gate: Mapping[str, Any]) -> str:
    """Why a gate says no, with each measured value that missed and its threshold."""

    def figure(value: float | None) -> str:
        return "not defined (constant predictions)" if value is None else f"{value:.4f}"

    reasons = []
    if not gate["mean_plcc_pass"]:
        reasons.append(f"mean PLCC {figure(gate['mean_plcc'])}, at least {gate['mean_plcc_threshold']:g} is asked for")
    if not gate["plcc_spread_pass"]:
        spread = figure(gate["plcc_spread"])
        reasons.append(f"spread of PLCC over the seeds {spread}, at most {gate['plcc_spread_max']:g} is allowed")
    if not gate["per_seed_pass"]:
        worst = ", ".join(f"seed {s}: {figure(gate['per_seed_plccs'][str(s)])}" for s in gate["failing_seeds"])
        reasons.append(f"PLCC of a seed below {gate['per_seed_min']:g} ({worst})")
    parts = (gate.get(part, {}) for part in ("pooled", "hard_negatives", "monotonicity", "extrapolation"))
    reasons += [part["why"] for part in parts if part.get("passed") is False]
    return "; ".join(reasons) or "the verdict gives no reason"


def int8_reason(report: Mapping[str, Any]) -> str:
    """Why an int8 variant was refused: each limit that it missed with the measured value, and what the allowlist says."""
    return "; ".join(report["missed"]) or "its report gives no reason"


def _pinned(path: Path, expected: str, where: Path) -> str:
    """The hash of `path`, which must be the one that `where` pins."""
    found = sha256_file(path)
    if found != expected:
        raise IntegrityError(f"{path} hashes to {found}, but {where} pins {expected}: not registered")
    return found


def _relative(path: Path, registry: Path) -> str:
    return Path(os.path.relpath(path, registry.parent)).as_posix()


class _Builder:
    def __init__(self, registry: Path, found: _Artefacts) -> None:
        self.registry = registry
        self.found = found
        self.files: list[Path] = []
        self.refused: list[tuple[str, str, str]] = []
        self.ensembles_refused: list[tuple[str, str]] = []

    def name(self, path: Path) -> str:
        self.files.append(path)
        return _relative(path, self.registry)

    def held(self, verdict: _Verdict) -> dict[str, Any]:
        return {
            "id": verdict.model,
            "reason": hold_reason(verdict.data["gate"]),
            "gate": verdict.data["gate"],
            "verdict": self.name(verdict.path),
            "verdict_sha256": sha256_file(verdict.path),
        }

    def entry(self, verdict: _Verdict) -> dict[str, Any]:
        per_seed = verdict.per_seed
        seed = choose_seed(per_seed)
        sidecars = self.found.sidecars.get(verdict.model, {})
        if seed not in sidecars:
            have = ", ".join(map(str, sorted(sidecars))) or "none"
            raise InputError(
                f"model {verdict.model} ships seed {seed}, but of its sidecars only these seeds were named: {have}"
            )
        sidecar = sidecars[seed]
        data = sidecar.data
        if data["name"] != verdict.model:
            raise IntegrityError(
                f"{sidecar.path} says it is of {data['name']!r}, but it lies where {verdict.model!r} does"
            )
        table = self.table_of(verdict, sidecar)
        weights = sidecar.path.with_name("weights.safetensors")
        entry = {
            "id": verdict.model,
            "kind": data["kind"],
            "onnx": self.name(sidecar.onnx),
            "sha256": _pinned(sidecar.onnx, _need(data, "sha256", sidecar.path), sidecar.path),
            "opset": data["onnx_opset"],
            "license": data["license"],
            "dataset": data["dataset"],
            "train_commit": data["train_commit"],
            "train_config_hash": data["train_config_hash"],
            "smoke": False,
            "sidecar": self.name(sidecar.path),
            "sidecar_sha256": sha256_file(sidecar.path),
            "weights": self.name(weights),
            "weights_sha256": _pinned(weights, verdict.data["per_seed"][str(seed)]["weights_sha256"], verdict.path),
            "verdict": self.name(verdict.path),
            "verdict_sha256": sha256_file(verdict.path),
            "table_sha256": table,
            "gate": verdict.data["gate"],
            "selection": {
                "rule": SELECTION_RULE,
                "seed": seed,
                "candidates": [{"seed": s, "mean_plcc": per_seed[s]} for s in sorted(per_seed)],
            },
        }
        if data.get("description"):
            entry["description"] = str(data["description"])[:256]
        entry.update(self.int8(verdict.model, seed, entry["sha256"]))
        entry.update(self.ensemble(verdict))
        return entry

    def table_of(self, verdict: _Verdict, sidecar: _Sidecar) -> str:
        judged = str(verdict.data["corpus"]["sha256"])
        trained = sidecar.data["dataset_sha256"]
        if trained != judged:
            raise IntegrityError(
                f"{verdict.path} judged the table {judged}, but {sidecar.path} was trained on {trained}: judge it again"
            )
        return judged

    def ensemble(self, verdict: _Verdict) -> dict[str, Any]:
        if verdict.model not in self.found.ensembles:
            return {}
        path, data = self.found.ensembles[verdict.model]
        judged = sha256_file(verdict.path)
        if data["verdict_sha256"] != judged:
            raise IntegrityError(
                f"{path} was made from the verdict {data['verdict_sha256']}, but {verdict.path} is {judged}: make it again"
            )
        named = {"manifest": self.name(path), "manifest_sha256": sha256_file(path)}
        gate = data["coverage_gate"]
        if data["verdict"] != "PROMOTE":
            reason = gate["why"] or "its members are held"
            self.ensembles_refused.append((verdict.model, reason))
            return {"ensemble_refused": {"reason": reason, **named}}
        members = []
        for member in data["members"]:
            onnx, sidecar = path.parent / member["onnx"], path.parent / member["sidecar"]
            members.append(
                {
                    "seed": member["seed"],
                    "onnx": self.name(onnx),
                    "sha256": _pinned(onnx, member["sha256"], path),
                    "sidecar": self.name(sidecar),
                    "sidecar_sha256": _pinned(sidecar, member["sidecar_sha256"], path),
                }
            )
        return {
            "ensemble": {
                **named,
                "interval": data["confidence"]["interval"],
                "nominal_coverage": gate["nominal_coverage"],
                "empirical_coverage": gate["empirical_coverage"],
                "members": members,
            }
        }

    def int8(self, model: str, seed: int, fp32: str) -> dict[str, Any]:
        passed: list[tuple[float, str, _Int8]] = []
        refused = []
        for report in sorted(self.found.int8.get((model, seed), []), key=lambda r: r.mode):
            if report.data["passed"]:
                passed.append((float(report.data["drop"]), report.mode, report))
                continue
            reason = int8_reason(report.data)
            self.refused.append((model, report.mode, reason))
            refused.append(
                {
                    "mode": report.mode,
                    "reason": reason,
                    "drop": report.data["drop"],
                    "budget": report.data["budget"],
                    "report": self.name(report.path),
                    "report_sha256": sha256_file(report.path),
                }
            )
        fields: dict[str, Any] = {"int8_refused": refused} if refused else {}
        if not passed:
            return {"quant_mode": "fp32", **fields}
        drop, _, best = min(passed, key=lambda item: item[:2])
        pinned = best.data["fp32"]["sha256"]
        if pinned != fp32:
            raise IntegrityError(f"{best.path} was made from the ONNX file {pinned}, but {model} ships {fp32}")
        return {
            "quant_mode": _QUANT_MODES[best.data["mode"]],
            "int8": self.name(best.onnx),
            "int8_sha256": _pinned(best.onnx, best.data["int8"]["sha256"], best.path),
            "int8_report": self.name(best.path),
            "int8_report_sha256": sha256_file(best.path),
            "quant_calibration_set": ", ".join(best.data["calibration"]["sources"]),
            "quant_accuracy_budget_plcc": best.data["budget"],
            "quant_drop_plcc": drop,
            **fields,
        }


# ---------------------------------------------------------------------------------------------------------
# Writing and reading registries

# Path and hash of what an entry names; those that are absent from an entry are skipped.
_PINS = (
    ("onnx", "sha256"),
    ("sidecar", "sidecar_sha256"),
    ("weights", "weights_sha256"),
    ("verdict", "verdict_sha256"),
    ("int8", "int8_sha256"),
    ("int8_report", "int8_report_sha256"),
)


def pins(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What an entry names, as (role, path, sha256): the model's own files, then those of its ensemble."""
    for name, pin in _PINS:
        if name in entry:
            yield name, entry[name], entry[pin]
    for key in ("ensemble", "ensemble_refused"):
        if key in entry:
            yield f"{key} manifest", entry[key]["manifest"], entry[key]["manifest_sha256"]
    for member in entry.get("ensemble", {}).get("members", ()):
        yield f"member {member['seed']}", member["onnx"], member["sha256"]
        yield f"sidecar of member {member['seed']}", member["sidecar"], member["sidecar_sha256"]


def _validated(data: dict[str, Any], path: Path) -> dict[str, Any]:
    wrong = violations(data, "registry")
    if wrong:
        raise PyvmafError(f"{path} would not be a valid registry: {'; '.join(wrong[:3])}: not written")
    return data


def register(
    paths: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
) -> Shipped:
    """Write the registry of what verdicts, sidecars and int8 reports say, every hash computed anew.

    Args:
        paths: ``verdict.json`` of each model, ``model.json`` of each model and seed, ``ensemble.json`` where there is
            one, and the JSON report of each int8 variant, in any order; or a results folder, which stands for all of
            those below it.
        output: the registry to write, with its manifest beside it. What was there is replaced.

    Returns:
        What ships and what does not. A held model is listed under ``held`` with its measured values; an int8
        variant that failed its gate is listed with its reason and left out.

    Raises:
        MissingFileError: a file that was named, or that a sidecar names, is not there.
        InputError: a model's sidecar for the seed that ships was not given, or there is no verdict.
        IntegrityError: a file is not the one that its sidecar, ensemble, report or verdict pins.
    """
    registry = Path(output)
    read = find_artefacts(paths)
    found = _Artefacts(read)
    builder = _Builder(registry, found)
    verdicts = [found.verdicts[model] for model in sorted(found.verdicts)]
    models = [builder.entry(v) for v in verdicts if v.promoted]
    held = [builder.held(v) for v in verdicts if not v.promoted]
    data = _validated({"schema_version": 1, "models": models, "held": held}, registry)
    write_json(registry, data)
    named = set(builder.files)
    write_manifest(
        registry,
        verb="register",
        args={"output": registry},
        inputs={"named": sorted(named), "read": sorted(set(read) - named)},
        outputs={"registry": registry},
        details={"models": [m["id"] for m in models], "held": [h["id"] for h in held]},
    )
    return Shipped(
        path=registry,
        models=tuple(m["id"] for m in models),
        held=tuple((h["id"], h["reason"]) for h in held),
        int8_refused=tuple(builder.refused),
        ensembles_refused=tuple(builder.ensembles_refused),
    )


def check_registry(path: str | os.PathLike[str]) -> list[str]:
    """What is wrong with a registry and the files that it lists, one sentence each; empty where all is well.

    Raises:
        MissingFileError: there is no such file.
    """
    registry = Path(path)
    try:
        data = _read_small(registry)
    except IntegrityError as err:
        return [str(err)]
    wrong = [f"is not as the schema says: {sentence}" for sentence in violations(data, "registry")]
    if wrong:
        return wrong
    ids = [entry["id"] for entry in [*data["models"], *data["held"]]]
    wrong += [f"lists {name!r} more than once" for name in sorted({i for i in ids if ids.count(i) > 1})]
    for entry in data["models"]:
        for name, named, pin in pins(entry):
            try:
                found = sha256_file(registry.parent / named)
            except MissingFileError:
                wrong.append(f"{entry['id']}: {name} {named} is not there")
                continue
            if found != pin:
                wrong.append(f"{entry['id']}: {name} {named} hashes to {found}, registered was {pin}")
    return wrong


def load_registry(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A registry whose form is as its schema says (the files it lists are not hashed; see `check_registry`).

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is too large, not JSON, or not as the schema says.
    """
    registry = Path(path)
    data = _mapping(registry)
    wrong = violations(data, "registry")
    if wrong:
        raise IntegrityError(f"{registry} is not a valid registry: {'; '.join(wrong[:3])}")
    return data


def find_entry(path: str | os.PathLike[str], name: str) -> dict[str, Any]:
    """The entry of a model that ships.

    Raises:
        MissingFileError, IntegrityError: as `load_registry`.
        InputError: no such model, or it is held.
    """
    data = load_registry(path)
    entries: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in data["models"]}
    for held in data["held"]:
        if held["id"] == name:
            raise InputError(f"model {name!r} is held, not shipped: {held['reason']}")
    if name not in entries:
        raise unknown_name("model", name, entries)
    return entries[name]


def resolve(path: str | os.PathLike[str], name: str, *, int8: bool = False) -> Path:
    """The ONNX file of a registered model, its bytes checked against the registry.

    Args:
        path: the registry.
        name: a model's id.
        int8: the quantised variant instead. There is no fall-back to fp32 where none ships.

    Raises:
        InputError: no such model, or it is held, or it has no int8 variant.
        IntegrityError: the file's bytes are not those that were registered.
    """
    registry = Path(path)
    entry = find_entry(registry, name)
    if int8 and "int8" not in entry:
        why = "; ".join(f"{r['mode']}: {r['reason']}" for r in entry.get("int8_refused", [])) or "none was made"
        raise InputError(f"model {name!r} ships no int8 variant ({why})")
    file, pin = ("int8", "int8_sha256") if int8 else ("onnx", "sha256")
    onnx = registry.parent / str(entry[file])
    _pinned(onnx, entry[pin], registry)
    return onnx


# ---------------------------------------------------------------------------------------------------------
# One model by hand


def register_model(
    model: str | os.PathLike[str],
    *,
    kind: str,
    dataset: str,
    license: str,  # noqa: A002  (the option's name in the published command)
    train_commit: str,
    registry: str | os.PathLike[str] | None = None,
    name: str | None = None,
    description: str | None = None,
    train_config: str | os.PathLike[str] | None = None,
    normalization: str | os.PathLike[str] | None = None,
    output_range: tuple[float, float] = (0.0, 100.0),
) -> Path:
    """Write the sidecar of one ONNX file and enter it into a registry, other entries untouched.

    Where `export` left a sidecar beside the file, that one is kept: what is given must agree with it, and a held
    model is refused. Otherwise no verdict stands behind the model, and its entry says so in ``notes``.

    Args:
        model: the ONNX file; its sidecar is ``<stem>.json`` beside it.
        kind: one of `KINDS`.
        dataset: what it was trained on.
        license: licence of the weights, an SPDX expression.
        train_commit: commit of the training code.
        registry: the registry to add to; ``registry.json`` beside the model by default, made if absent.
        name: the model's id; the file's stem by default.
        description: one sentence, at most 256 characters.
        train_config: the file it was trained by; its hash goes into the sidecar.
        normalization: JSON file ``{"mean": [...], "std": [...]}`` with what a caller must apply, one value per
            input column; none for a graph that takes raw features.
        output_range: smallest and largest value to expect.

    Returns:
        The registry.

    Raises:
        InputError: an unknown kind, a graph with other than one output or with operators that are not allowed, a
            held model, or a sidecar that says otherwise.
        PyvmafError: the entry would not be as the schema says (an id that is not allowed, a text too long).
    """
    path = Path(model)
    target = Path(registry) if registry is not None else path.with_name(REGISTRY_NAME)
    beside = path.with_suffix(".json")
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    opset, inputs, outputs = _signature(path)
    if len(outputs) != 1:
        raise InputError(f"{path} has {len(outputs)} outputs ({', '.join(outputs)}); a registered model has one")
    sha = sha256_file(path)
    exported = _mapping(beside) if beside.exists() else {}
    written_by_hand = "verdict" not in exported
    if written_by_hand:
        sidecar: dict[str, Any] = {
            "schema_version": 1,
            "name": name or path.stem,
            "kind": kind,
            "onnx": path.name,
            "onnx_opset": opset,
            "sha256": sha,
            "input_name": inputs[0],
            "input_names": inputs,
            "output_name": outputs[0],
            "input_normalization": None if normalization is None else _normalization(Path(normalization)),
            "expected_output_range": list(output_range),
            "dataset": dataset,
            "train_commit": train_commit,
            "train_config_hash": None if train_config is None else f"sha256:{sha256_file(train_config)}",
            "license": license,
        }
    else:
        sidecar = exported
        _agrees(sidecar, beside, {"name": name, "kind": kind, "dataset": dataset, "license": license, "sha256": sha})
        if sidecar["verdict"] == "UNTRAINED":
            raise InputError(f"{beside} says that {sidecar['name']} holds initial weights: train and judge it first")
        if sidecar["verdict"] != "PROMOTE":
            raise InputError(f"{beside} says that {sidecar['name']} is held: {hold_reason(sidecar['gates'])}")
    entry: dict[str, Any] = {
        "id": sidecar["name"],
        "kind": kind,
        "onnx": _relative(path, target),
        "sha256": sha,
        "opset": opset,
        "license": license,
        "dataset": dataset,
        "train_commit": train_commit,
        "train_config_hash": sidecar["train_config_hash"],
        "smoke": False,
        "quant_mode": "fp32",
        "sidecar": _relative(beside, target),
        "sidecar_sha256": sha256_bytes(dumps(sidecar).encode()) if written_by_hand else sha256_file(beside),
    }
    if written_by_hand:
        entry["notes"] = "Entered by hand: no verdict stands behind it."
    else:
        entry |= {"gate": sidecar["gates"], "table_sha256": sidecar["dataset_sha256"]}
    if description or sidecar.get("description"):
        entry["description"] = description or sidecar["description"]
    data: dict[str, Any] = {"schema_version": 1, "models": [], "held": []}
    if target.exists():
        data = load_registry(target)
    data["models"] = sorted([*(e for e in data["models"] if e["id"] != entry["id"]), entry], key=lambda e: str(e["id"]))
    data["held"] = [h for h in data["held"] if h["id"] != entry["id"]]
    _validated(data, target)
    if written_by_hand:
        write_json(beside, sidecar)
    write_json(target, data)
    inputs_read: dict[str, Path] = {"model": path}
    if train_config is not None:
        inputs_read["train_config"] = Path(train_config)
    write_manifest(
        target,
        verb="register",
        args={"model": path, "kind": kind, "dataset": dataset, "license": license, "train_commit": train_commit},
        inputs=inputs_read if written_by_hand else {**inputs_read, "sidecar": beside},
        outputs={"registry": target, "sidecar": beside} if written_by_hand else {"registry": target},
    )
    return target


def _agrees(sidecar: Mapping[str, Any], path: Path, given: Mapping[str, str | None]) -> None:
    for key, value in given.items():
        if value is not None and sidecar[key] != value:
            raise InputError(f"{path} says {key} {sidecar[key]!r}, but {value!r} was given: they must be the same")


def _normalization(path: Path) -> dict[str, list[float]]:
    data = _mapping(path)
    if set(data) != {"mean", "std"} or not all(isinstance(v, list) for v in data.values()):
        raise InputError(f'{path}: a normalisation is {{"mean": [...], "std": [...]}}, not {", ".join(sorted(data))}')
    if len(data["mean"]) != len(data["std"]):
        raise InputError(f"{path}: {len(data['mean'])} means, but {len(data['std'])} standard deviations")
    return {name: [float(value) for value in data[name]] for name in ("mean", "std")}


def _signature(path: Path) -> tuple[int, list[str], list[str]]:
    """Opset, input names and output names of an ONNX file whose operators are all allowed."""
    from pyvmaf.runtime import allowlist

    graph = allowlist.parse(allowlist.read_model(path), str(path))
    allowlist.check(graph, str(path))
    opset = next(int(o.version) for o in graph.opset_import if o.domain in ("", "ai.onnx"))
    constants = {tensor.name for tensor in graph.graph.initializer}
    return (
        opset,
        [i.name for i in graph.graph.input if i.name not in constants],
        [o.name for o in graph.graph.output],
    )
