"""Registration of the models of a run: those that are promoted, with the hash of everything behind that.

The ONNX file of an entry is that of the seed whose mean PLCC over the folds is the median of all seeds (the lower of
two, the smaller seed of equals). The best seed would be chosen on the very rows that were held out to judge it, and so
promise more than another run gives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pyvmaf.base import layout
from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.imported.conversion import Conversion
from pyvmaf.models.verdicts import PROMOTE, Verdict
from pyvmaf.quantized.report import Int8Report
from pyvmaf.registry.entry import (
    Candidate,
    Entry,
    Gate,
    Held,
    RefusedEnsemble,
    RefusedInt8,
    Registry,
    Selection,
    ShippedEnsemble,
    ShippedMember,
    choose_seed,
    pinned,
    relative_to,
)
from pyvmaf.runtime.manifest import EnsembleManifest, Member
from pyvmaf.runtime.sidecar import Sidecar

_D = TypeVar("_D")

SELECTION_RULE = "median mean PLCC over the seeds (the lower of two, the smaller seed of equals)"

# Value of an entry's `quant_mode` by mode of quantisation.
_QUANT_MODES = {"dynamic": "dynamic", "static": "static", "static_qdq": "static", "qat": "qat"}


@dataclass(frozen=True)
class Registered:
    """Outcome of `register`.

    Attributes:
        path: the registry.
        models: ids that ship.
        held: id and reason of each model that does not.
        int8_refused: id, mode and reason of each int8 variant that failed its gate.
        ensembles_refused: id and reason of each ensemble whose intervals failed their gate; a single seed ships.
    """

    path: Path
    models: tuple[str, ...]
    held: tuple[tuple[str, str], ...]
    int8_refused: tuple[tuple[str, str, str], ...]
    ensembles_refused: tuple[tuple[str, str], ...]


def find_artefacts(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the JSON files that `register` reads; a folder stands for those below it.

    Raises:
        MissingFileError: one of `paths` does not exist.
        InputError: there are none.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            kinds = (layout.VERDICT, layout.SIDECAR, layout.ENSEMBLE, layout.INT8_REPORT, layout.CONVERSION)
            files += [file for kind in kinds for file in kind.files(path)]
        elif path.exists():
            files.append(path)
        else:
            raise MissingFileError(f"no such file: {path}")
    if not files:
        raise InputError("there is nothing to register: name verdicts, sidecars and int8 reports, or a results folder")
    return files


class _Artefacts:
    """The documents of earlier stages, by model, seed and mode."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.verdicts: dict[str, tuple[Path, Verdict]] = {}
        self.sidecars: dict[tuple[str, int], tuple[Path, Sidecar]] = {}
        self.int8: dict[tuple[str, int], list[tuple[Path, Int8Report]]] = {}
        self.ensembles: dict[str, tuple[Path, EnsembleManifest]] = {}
        self.conversions: dict[str, tuple[Path, Conversion]] = {}
        for path in paths:
            self._add(path)
        if not self.verdicts and not self.conversions:
            raise InputError(
                "there is no verdict.json or conversion.json among the files: a model without a verdict is not registered"
            )
        if twice := sorted(self.verdicts.keys() & self.conversions.keys()):
            raise InputError(
                f"{self.verdicts[twice[0]][0]} and {self.conversions[twice[0]][0]} are both of the model {twice[0]}: name one "
                "of them"
            )

    def _add(self, path: Path) -> None:
        """Read a file as the kind of document that its path in the layout of results states."""
        absolute = os.path.abspath(path)
        if layout.VERDICT.match(absolute):
            verdict = Verdict.read(path)
            self._add_once(self.verdicts, verdict.model, path, verdict)
        elif layout.CONVERSION.match(absolute):
            conversion = Conversion.read(path)
            self._add_once(self.conversions, conversion.model, path, conversion)
        elif layout.ENSEMBLE.match(absolute):
            ensemble = EnsembleManifest.read(path)
            self._add_once(self.ensembles, ensemble.id, path, ensemble)
        elif layout.SIDECAR.match(absolute):
            self.sidecars[layout.model_and_seed(path)] = (path, Sidecar.read(path))
        elif layout.INT8_REPORT.match(absolute) and not layout.LOSO.match(absolute):
            self.int8.setdefault(layout.model_and_seed(path), []).append((path, Int8Report.read(path)))
        else:
            raise InputError(
                f"{path} is not a verdict (…/<model>/verdict.json), a sidecar (…/<model>/seed<number>/model.json), an "
                "ensemble (…/<model>/ensemble.json), an int8 report (…/<model>/seed<number>/<mode>.json) or the report of a "
                "conversion (…/<model>/converted/conversion.json)"
            )

    @staticmethod
    def _add_once(documents: dict[str, tuple[Path, _D]], model: str, path: Path, document: _D) -> None:
        if model in documents:
            raise InputError(f"{documents[model][0]} and {path} are both of the model {model}: name one of them")
        documents[model] = (path, document)


class _Builder:
    """Builds the entries of a registry and notes the files that they name."""

    def __init__(self, registry: Path, artefacts: _Artefacts) -> None:
        self.registry = registry
        self.artefacts = artefacts
        self.files: list[Path] = []
        self.int8_refused: list[tuple[str, str, str]] = []
        self.ensembles_refused: list[tuple[str, str]] = []

    def build(self) -> Registry:
        models, held = [], []
        judged: dict[str, tuple[Path, Verdict | Conversion]] = {**self.artefacts.verdicts, **self.artefacts.conversions}
        for model in sorted(judged):
            path, verdict = judged[model]
            if verdict.verdict != PROMOTE:
                held.append(self._held(model, path, verdict))
            elif isinstance(verdict, Verdict):
                models.append(self._entry(model, path, verdict))
            else:
                models.append(self._converted(model, path, verdict))
        return Registry(models=models, held=held)

    def _name(self, path: Path) -> str:
        self.files.append(path)
        return relative_to(path, self.registry)

    def _held(self, model: str, path: Path, verdict: Verdict | Conversion) -> Held:
        gate = Gate(**verdict.gate.as_json())
        return Held(
            id=model, reason=gate.why_held(), gate=gate, verdict=self._name(path), verdict_sha256=sha256_file(path)
        )

    def _entry(self, model: str, path: Path, verdict: Verdict) -> Entry:
        per_seed = {int(seed): fit.mean_plcc for seed, fit in verdict.per_seed.items() if fit.mean_plcc is not None}
        seed = choose_seed(per_seed)
        sidecar_path, sidecar = self._sidecar(model, seed)
        onnx = sidecar_path.with_name(sidecar.onnx)
        weights = sidecar_path.with_name("weights.safetensors")
        files: dict[str, Any] = {
            "onnx": self._name(onnx),
            "sha256": pinned(onnx, sidecar.sha256, sidecar_path),
            "sidecar": self._name(sidecar_path),
            "sidecar_sha256": sha256_file(sidecar_path),
            "weights": self._name(weights),
            "weights_sha256": pinned(weights, verdict.per_seed[str(seed)].weights_sha256, path),
            "verdict": self._name(path),
            "verdict_sha256": sha256_file(path),
        }
        return Entry(
            id=model,
            kind=sidecar.kind,
            opset=sidecar.onnx_opset,
            license=sidecar.license,
            dataset=sidecar.dataset,
            train_commit=sidecar.train_commit,
            train_config_hash=sidecar.train_config_hash,
            smoke=False,
            description=sidecar.description or None,
            table_sha256=_judged_table(path, verdict, sidecar_path, sidecar),
            gate=Gate(**verdict.gate.as_json()),
            selection=Selection(
                rule=SELECTION_RULE,
                seed=seed,
                candidates=[Candidate(seed=number, mean_plcc=per_seed[number]) for number in sorted(per_seed)],
            ),
            **files,
            **self._int8(model, seed, files["sha256"]),
            **self._ensemble(model, path),
        )

    def _converted(self, model: str, path: Path, report: Conversion) -> Entry:
        """Build the entry of a published checkpoint; the report of its conversion is its verdict."""
        sidecar_path = path.with_name("model.json")
        sidecar_sha256 = pinned(sidecar_path, report.sidecar_sha256, path)
        sidecar = Sidecar.read(sidecar_path)
        onnx, weights = path.with_name(sidecar.onnx), path.with_name("weights.safetensors")
        return Entry(
            id=model,
            kind=report.kind,
            onnx=self._name(onnx),
            sha256=pinned(onnx, report.onnx_sha256, path),
            opset=report.opset,
            license=report.license,
            dataset=sidecar.dataset,
            train_commit=sidecar.train_commit,
            smoke=False,
            description=report.description or None,
            gate=Gate(**report.gate.as_json()),
            sidecar=self._name(sidecar_path),
            sidecar_sha256=sidecar_sha256,
            weights=self._name(weights),
            weights_sha256=pinned(weights, report.weights_sha256, path),
            verdict=self._name(path),
            verdict_sha256=sha256_file(path),
            quant_mode="fp32",
        )

    def _sidecar(self, model: str, seed: int) -> tuple[Path, Sidecar]:
        if (model, seed) not in self.artefacts.sidecars:
            seeds = [number for name, number in sorted(self.artefacts.sidecars) if name == model]
            raise InputError(
                f"model {model} ships seed {seed}, but of its sidecars only these seeds were named: "
                f"{', '.join(map(str, seeds)) or 'none'}"
            )
        path, sidecar = self.artefacts.sidecars[model, seed]
        if sidecar.name != model:
            raise IntegrityError(f"{path} says it is of {sidecar.name!r}, but it lies in a folder of {model!r}")
        return path, sidecar

    def _ensemble(self, model: str, verdict: Path) -> dict[str, Any]:
        """Build the keys of an entry that describe the ensemble."""
        if model not in self.artefacts.ensembles:
            return {}
        path, ensemble = self.artefacts.ensembles[model]
        judged = sha256_file(verdict)
        if ensemble.verdict_sha256 != judged:
            raise IntegrityError(
                f"{path} was made from the verdict {ensemble.verdict_sha256}, but {verdict} is {judged}: make it again"
            )
        manifest, manifest_sha256 = self._name(path), sha256_file(path)
        gate = ensemble.coverage_gate
        if ensemble.verdict != PROMOTE or gate.empirical_coverage is None:
            reason = gate.why or "its members are held"
            self.ensembles_refused.append((model, reason))
            refused = RefusedEnsemble(reason=reason, manifest=manifest, manifest_sha256=manifest_sha256)
            return {"ensemble_refused": refused}
        shipped = ShippedEnsemble(
            manifest=manifest,
            manifest_sha256=manifest_sha256,
            interval=ensemble.confidence.interval,
            nominal_coverage=gate.nominal_coverage,
            empirical_coverage=gate.empirical_coverage,
            members=[self._member(path, member) for member in ensemble.members],
        )
        return {"ensemble": shipped}

    def _member(self, manifest: Path, member: Member) -> ShippedMember:
        onnx, sidecar = manifest.parent / member.onnx, manifest.parent / member.sidecar
        return ShippedMember(
            seed=member.seed,
            onnx=self._name(onnx),
            sha256=pinned(onnx, member.sha256, manifest),
            sidecar=self._name(sidecar),
            sidecar_sha256=pinned(sidecar, member.sidecar_sha256, manifest),
        )

    def _int8(self, model: str, seed: int, fp32: str) -> dict[str, Any]:
        """Build the keys of an entry that describe int8 variants: of those that passed, the smallest drop ships."""
        passed: list[tuple[float, str, Path, Int8Report]] = []
        refused = []
        for path, report in sorted(self.artefacts.int8.get((model, seed), ()), key=lambda item: item[0].stem):
            if report.passed and report.drop is not None:
                passed.append((report.drop, path.stem, path, report))
            else:
                refused.append(self._refused(model, path, report))
        if not passed:
            return {"quant_mode": "fp32", "int8_refused": refused or None}
        drop, _, path, report = min(passed, key=lambda item: item[:2])
        if report.model != model:
            raise IntegrityError(f"{path} reports on model {report.model!r}, but lies in a folder of {model!r}")
        if report.fp32.sha256 != fp32:
            raise IntegrityError(f"{path} was made from the ONNX file {report.fp32.sha256}, but {model} ships {fp32}")
        onnx = path.with_suffix(".onnx")
        return {
            "quant_mode": _QUANT_MODES[report.mode],
            "int8": self._name(onnx),
            "int8_sha256": pinned(onnx, report.int8.sha256, path),
            "int8_report": self._name(path),
            "int8_report_sha256": sha256_file(path),
            "quant_calibration_set": ", ".join(report.calibration.sources),
            "quant_accuracy_budget_plcc": report.budget,
            "quant_drop_plcc": drop,
            "int8_refused": refused or None,
        }

    def _refused(self, model: str, path: Path, report: Int8Report) -> RefusedInt8:
        reason = "; ".join(report.missed) or "its report gives no reason"
        self.int8_refused.append((model, path.stem, reason))
        return RefusedInt8(
            mode=path.stem,
            reason=reason,
            drop=report.drop,
            budget=report.budget,
            report=self._name(path),
            report_sha256=sha256_file(path),
        )


def _judged_table(verdict_path: Path, verdict: Verdict, sidecar_path: Path, sidecar: Sidecar) -> str:
    """Return the hash of the table of a verdict, which must be that of the training."""
    judged, trained = verdict.corpus.sha256, sidecar.dataset_sha256
    if trained != judged:
        raise IntegrityError(
            f"{verdict_path} judged the table {judged}, but {sidecar_path} was trained on {trained}: judge it again"
        )
    return judged


@publishes("register")
def register(paths: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str]) -> Registered:
    """Write the registry from verdicts, sidecars, ensembles and int8 reports; every file is hashed anew.

    Args:
        paths: ``verdict.json`` of each model, ``model.json`` of each model and seed, ``ensemble.json`` if there is
            one, ``conversion.json`` of each converted checkpoint, and the JSON report of each int8 variant, in any order; or a results folder, which stands for all of
            those below it.
        output: the registry, written with a manifest beside it. A previous one is replaced.

    Returns:
        The models that ship and those that do not. A held model is listed under ``held`` with its measured values; an
        int8 variant that failed its gate is listed with its reason and left out.

    Raises:
        MissingFileError: a file that was named, or that a sidecar names, does not exist.
        InputError: the sidecar of the seed that ships was not given, or there is no verdict.
        IntegrityError: a file is not the one that its sidecar, ensemble, report or verdict pins.
    """
    path = Path(output)
    files = find_artefacts(paths)
    builder = _Builder(path, _Artefacts(files))
    registry = builder.build()
    registry.write(path)
    named = set(builder.files)
    write_manifest(
        path,
        verb="register",
        args={"output": path},
        inputs={"named": sorted(named), "read": sorted(set(files) - named)},
        outputs={"registry": path},
        details={"models": [entry.id for entry in registry.models], "held": [held.id for held in registry.held]},
    )
    return Registered(
        path=path,
        models=tuple(entry.id for entry in registry.models),
        held=tuple((held.id, held.reason) for held in registry.held),
        int8_refused=tuple(builder.int8_refused),
        ensembles_refused=tuple(builder.ensembles_refused),
    )
