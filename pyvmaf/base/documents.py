"""The table of documents: every kind of JSON file that verbs write, and the class that describes it."""

from __future__ import annotations

from importlib import import_module

from pyvmaf.base.document import Document
from pyvmaf.base.files import dumps
from pyvmaf.base.table import Table
from pyvmaf.errors import unknown_name

DOCUMENTS: Table[str] = {
    "corpus": "pyvmaf.corpora.manifest.CorpusManifest",
    "failure": "pyvmaf.corpora.failure.Failure",
    "fetch": "pyvmaf.corpora.fetched.FetchManifest",
    "licence": "pyvmaf.corpora.fetched.LicenceAccepted",
    "fit": "pyvmaf.models.verdicts.FitReport",
    "verdict": "pyvmaf.models.verdicts.Verdict",
    "mirror": "pyvmaf.models.imported.mirror.MirrorManifest",
    "conversion": "pyvmaf.models.imported.conversion.Conversion",
    "eval-saliency-per-mb": "pyvmaf.checks.saliency.SaliencyEvaluation",
    "score": "pyvmaf.scoring.report.ScoreReport",
    "comparison": "pyvmaf.scoring.report.ComparisonReport",
    "calibration": "pyvmaf.scoring.calibration.Calibration",
    "shots": "pyvmaf.scoring.shots.ShotReport",
    "sidecar": "pyvmaf.runtime.sidecar.Sidecar",
    "ensemble": "pyvmaf.runtime.manifest.EnsembleManifest",
    "int8": "pyvmaf.quantized.report.Int8Report",
    "eval": "pyvmaf.checks.evaluate.Evaluation",
    "probe": "pyvmaf.encodes.probe.ProbeReport",
    "predictor": "pyvmaf.scoring.predictors.PredictorReport",
    "sweep": "pyvmaf.checks.sweep.document.SweepReport",
    "recipes": "pyvmaf.checks.recipes.Recipes",
    "nr-threshold": "pyvmaf.checks.nr_threshold.NrThreshold",
    "suggest": "pyvmaf.scoring.suggest.SuggestReport",
    "record": "pyvmaf.encodes.record.Record",
    "registry": "pyvmaf.registry.entry.Registry",
    "verify": "pyvmaf.registry.verify.VerifyReport",
    "trace": "pyvmaf.registry.trace.Trace",
    "summary": "pyvmaf.reports.summary.Summary",
    "check-ops": "pyvmaf.checks.check_ops.CheckOps",
    "validate-model": "pyvmaf.checks.validate_model.ModelValidation",
    "audit-learned-filter": "pyvmaf.checks.audit_filter.FilterAudit",
    "audit-compat": "pyvmaf.checks.audit_compat.AuditCompat",
    "validate-norm": "pyvmaf.checks.validate_norm.ValidateNorm",
    "cross-backend": "pyvmaf.checks.cross_backend.CrossBackend",
    "profile": "pyvmaf.checks.profile.Profile",
    "bisect-model-quality": "pyvmaf.checks.bisect.Bisection",
    "bisect-cache": "pyvmaf.checks.bisect_cache.BisectCache",
    "tune": "pyvmaf.studies.reports.Tuning",
    "feature-correlation": "pyvmaf.studies.reports.FeatureCorrelation",
    "signal-mix-audit": "pyvmaf.studies.reports.SignalMixAudit",
    "subset-sweep": "pyvmaf.studies.reports.SubsetSweep",
    "join-batch": "pyvmaf.labels.batch.JoinBatch",
    "audit": "pyvmaf.workflow.audit.report.Audit",
}
"""Dotted name of the class, by the name of the document."""


def document(name: str) -> type[Document]:
    """Return the class of a document.

    Raises:
        InputError: there is no document of this name.
    """
    if name not in DOCUMENTS:
        raise unknown_name("document", name, DOCUMENTS)
    module, _, attribute = DOCUMENTS[name].rpartition(".")
    kind: type[Document] = getattr(import_module(module), attribute)
    return kind


def schema_json(name: str) -> str:
    """Return the published JSON schema of a document as text.

    Raises:
        InputError: there is no document of this name.
    """
    return dumps(document(name).json_schema())
