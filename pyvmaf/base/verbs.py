"""The table of verbs: the stage that each belongs to, the module that computes it, and the packages behind its bytes."""

from __future__ import annotations

from typing import NamedTuple

from pyvmaf.errors import unknown_name

STAGES = ("corpora", "labels", "encodes", "features", "frames", "tables", "models", "quantized", "registry", "reports")
"""Stages of the workflow, in the order in which data flows."""

BY_HAND = ("checks", "scoring", "studies", "workflow")
"""Groups of verbs that no rule calls."""

# Packages whose version can change the bytes of what a stage writes.
_VIDEO = ("av", "imageio-ffmpeg")
_FEATURES = ("av", "numpy", "pyarrow")
_TABLES = ("numpy", "pyarrow")
_MODELS = ("numpy", "onnx", "onnxruntime", "pyarrow", "scipy", "torch")
_REPORTS = ("altair", "jinja2", "numpy", "pandas", "vl-convert-python")
_CHECKS = ("numpy", "onnx", "onnxruntime", "pyarrow", "scipy")
_STUDIES = ("numpy", "pyarrow", "scikit-learn", "scipy", "torch")


class Verb(NamedTuple):
    """One verb of ``vmaf-train`` that writes an artefact.

    Attributes:
        stage: one of `STAGES` or `BY_HAND`.
        entry: dotted name of the module that computes it; its code and that of its imports identify the verb.
        packages: distributions whose versions stand in the verb's manifests.
    """

    stage: str
    entry: str
    packages: tuple[str, ...]


VERBS: dict[str, Verb] = {
    "fetch": Verb("corpora", "pyvmaf.corpora.fetch", _VIDEO),
    "prepare": Verb("corpora", "pyvmaf.corpora.prepare", _VIDEO),
    "manifest": Verb("corpora", "pyvmaf.corpora.collect", _VIDEO),
    "manifest-scan": Verb("corpora", "pyvmaf.corpora.scan", _VIDEO),
    "labels": Verb("labels", "pyvmaf.labels.labels", ("av", "openpyxl", "scipy")),
    "aggregate": Verb("labels", "pyvmaf.labels.aggregate", ()),
    "join": Verb("labels", "pyvmaf.labels.join", _TABLES),
    "join-batch": Verb("labels", "pyvmaf.labels.batch", _TABLES),
    "encode": Verb("encodes", "pyvmaf.encodes.encode", _VIDEO),
    "probe": Verb("encodes", "pyvmaf.encodes.probe", ("av", "numpy")),
    "extract-features": Verb("features", "pyvmaf.features.stage", _FEATURES),
    "hard-negatives": Verb("features", "pyvmaf.features.negatives", _FEATURES),
    "extract-frames": Verb("frames", "pyvmaf.frames.verb", (*_FEATURES, "safetensors")),
    "shard": Verb("tables", "pyvmaf.tables.build", _TABLES),
    "import-table": Verb("tables", "pyvmaf.tables.imports", _TABLES),
    "merge": Verb("tables", "pyvmaf.tables.merge", ()),
    "combine": Verb("tables", "pyvmaf.tables.build", _TABLES),
    "combine-pictures": Verb("tables", "pyvmaf.tables.pictures", (*_TABLES, "pandas", "safetensors")),
    "fit": Verb("models", "pyvmaf.models.fit", (*_MODELS, "pytorch-lightning")),
    "judge": Verb("models", "pyvmaf.models.judge", _MODELS),
    "export": Verb("models", "pyvmaf.models.export", _MODELS),
    "ensemble": Verb("models", "pyvmaf.models.ensemble", _MODELS),
    "eval": Verb("models", "pyvmaf.checks.evaluate", _MODELS),
    "fetch-checkpoint": Verb("models", "pyvmaf.models.imported.checkpoint", ()),
    "convert": Verb("models", "pyvmaf.models.imported.convert", (*_MODELS, "safetensors")),
    "shots": Verb("scoring", "pyvmaf.scoring.shots", ("av", "numpy", "onnxruntime")),
    "saliency": Verb("scoring", "pyvmaf.scoring.saliency", ("av", "numpy", "onnxruntime", "pyarrow")),
    "mask-pictures": Verb("scoring", "pyvmaf.scoring.masks", ("numpy", "onnxruntime", "pyarrow", "safetensors")),
    "eval-saliency-per-mb": Verb("checks", "pyvmaf.checks.saliency", ("av", "numpy", "onnxruntime")),
    "calibrate": Verb("checks", "pyvmaf.checks.calibrate", ("av", "numpy", "onnxruntime", "scipy")),
    "collect-gpu-calibration": Verb("checks", "pyvmaf.checks.gpu_calibration", _FEATURES),
    "predictor-report": Verb(
        "checks", "pyvmaf.checks.predictor", ("numpy", "onnxruntime", "pandas", "pyarrow", "scipy")
    ),
    "analyze-sweep": Verb("checks", "pyvmaf.checks.sweep.sweep", (*_REPORTS, "pyarrow", "scipy")),
    "calibrate-recipes": Verb("checks", "pyvmaf.checks.recipes", ("numpy",)),
    "build-bisect-cache": Verb("checks", "pyvmaf.checks.bisect_cache", ("numpy", "onnx", "pyarrow")),
    "calibrate-nr-threshold": Verb(
        "checks", "pyvmaf.checks.nr_threshold", ("av", "imageio-ffmpeg", "numpy", "onnxruntime", "scipy")
    ),
    "suggest": Verb("scoring", "pyvmaf.scoring.suggest", ("av", "imageio-ffmpeg", "numpy", "onnxruntime")),
    "filter": Verb("scoring", "pyvmaf.scoring.filtering", ("av", "numpy", "onnxruntime")),
    "quantize-int8": Verb("quantized", "pyvmaf.quantized.quantize", _MODELS),
    "register": Verb("registry", "pyvmaf.registry.register", ()),
    "verify": Verb("registry", "pyvmaf.registry.verify", ()),
    "trace": Verb("registry", "pyvmaf.registry.trace", ()),
    "report": Verb("reports", "pyvmaf.reports.pages.run.page", _REPORTS),
    "card": Verb("reports", "pyvmaf.reports.pages.card.page", _REPORTS),
    "summary": Verb("reports", "pyvmaf.reports.summary", _REPORTS),
    "check-ops": Verb("checks", "pyvmaf.checks.check_ops", _CHECKS),
    "validate-model": Verb("checks", "pyvmaf.checks.validate_model", (*_CHECKS, "torch")),
    "audit-learned-filter": Verb("checks", "pyvmaf.checks.audit_filter", (*_CHECKS, "torchmetrics")),
    "audit-compat": Verb("checks", "pyvmaf.checks.audit_compat", _CHECKS),
    "validate-norm": Verb("checks", "pyvmaf.checks.validate_norm", _CHECKS),
    "cross-backend": Verb("checks", "pyvmaf.checks.cross_backend", _CHECKS),
    "profile": Verb("checks", "pyvmaf.checks.profile", _CHECKS),
    "bisect-model-quality": Verb("checks", "pyvmaf.checks.bisect", _CHECKS),
    "tune": Verb("studies", "pyvmaf.studies.tune", _STUDIES),
    "feature-correlation": Verb("studies", "pyvmaf.studies.correlation", _STUDIES),
    "signal-mix-audit": Verb("studies", "pyvmaf.studies.mix", _STUDIES),
    "subset-sweep": Verb("studies", "pyvmaf.studies.subsets", _STUDIES),
    "audit": Verb("workflow", "pyvmaf.workflow.audit.audit", ()),
}
"""Every verb that writes an artefact, by its name on the command line."""


def verb(name: str) -> Verb:
    """The row of a verb.

    Raises:
        InputError: there is none.
    """
    if name not in VERBS:
        raise unknown_name("verb", name, VERBS)
    return VERBS[name]
