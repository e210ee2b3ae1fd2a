"""``vmaf-train calibrate-nr-threshold``: from which score of a model without a reference an encode reaches a VMAF.

Clips are encoded over a grid of CRFs, and each encode is measured with and without its reference. A line maps the model's scores
to VMAF; every clip is predicted by a line that was fitted without it. A relation that is too weak leaves a report to read, and
nothing that a program could use.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pyvmaf.base.code import identity
from pyvmaf.base.document import Call, Count, Document, Name, Part, Positive, RunProvenance, Sha256, Size, publish
from pyvmaf.base.files import content_hash, sha256_file, write_json, write_text
from pyvmaf.base.manifest import package_versions, write_manifest
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.checks.calibrate import interval, line
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.corpora.find import is_video_name
from pyvmaf.encodes.encode import encode
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.metrics import finite, plcc, rmse, srocc
from pyvmaf.models.gates.gate import Row, shown
from pyvmaf.models.verdicts import GateReport
from pyvmaf.reports.markdown import cell
from pyvmaf.runtime.load import Model
from pyvmaf.scoring.calibration import Interval, Mapping
from pyvmaf.scoring.find import is_path, load_model
from pyvmaf.scoring.looked import looks
from pyvmaf.scoring.score import score
from pyvmaf.video.ffmpeg import ffmpeg

TEACHER = "vmaf_v0.6.1"

CLIPS_MIN = 10
"""Least number of clips: the encodes of one clip are not independent of each other."""

_LEAST_CLIPS, _LEAST_CRFS = 3, 2
_VMAF = (0.0, 100.0)

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Grid:
    """The encodes of each clip.

    Attributes:
        codec: name or alias of the encoder.
        preset: its speed; None for the encoder's default.
        crfs: quality numbers.
    """

    codec: str = "libx264"
    preset: str | None = None
    crfs: tuple[int, ...] = (20, 26, 32, 38, 44)


@dataclass(frozen=True)
class Limits:
    """Limits of a calibration.

    Attributes:
        samples_min: least number of encodes.
        plcc_min: least PLCC of predictions for clips that were left out.
    """

    samples_min: int = 100
    plcc_min: float = 0.85


class Clip(Part):
    """A clip that was encoded."""

    name: Name
    sha256: Sha256


class Sample(Part):
    """An encode."""

    clip: Name
    crf: int
    nr: float = Field(description="Score of the model, mean over the frames that were scored")
    vmaf: Size = Field(description="VMAF against the clip, mean over the same frames")
    predicted: Size = Field(description="VMAF by a line that was fitted without this clip")


class Decisions(Part):
    """What the threshold says of encodes of clips that were left out, each with the threshold of the others' line."""

    right: Count = Field(description="Accepted, and the target is reached")
    wrong: Count = Field(description="Accepted, and it is not reached")
    missed: Count = Field(description="Not accepted, although it is reached")
    rejected: Count = Field(description="Not accepted, and it is not reached")


class NrThreshold(Document):
    """A mapping of a model's scores to VMAF with the threshold for a target, and the gate that says whether to use it."""

    title: ClassVar[str] = "Report of calibrate-nr-threshold (nr_threshold.json): the score that stands for a VMAF"

    schema_version: Literal[1] = 1
    model: Name
    model_sha256: Sha256
    codec: Name
    preset: Name
    crfs: list[int]
    teacher: Name
    target_vmaf: Size
    subsample: Positive = Field(description="Every n-th frame was scored")
    corpora: list[Name] = Field(description="Names of the folders and files that were asked for")
    clips: Annotated[list[Clip], Field(min_length=_LEAST_CLIPS)]
    n_samples: Positive
    mapping: Mapping = Field(description="VMAF = intercept + slope x score, fitted to all samples")
    threshold: float | None = Field(description="Score from which the target is predicted; null: VMAF does not rise")
    plcc: Interval = Field(description="Of VMAF predicted for clips left out; the interval is for the number of clips")
    srocc: Interval = Field(description="Of the model's scores themselves")
    rmse: Size = Field(description="Of the predictions for clips left out, VMAF")
    constant_rmse: Size = Field(description="Of the mean of the other clips as the prediction")
    decisions: Decisions
    verdict: Literal["PROMOTE", "HOLD"]
    allowed_weak: bool = Field(description="Written although the verdict is HOLD, because the caller asked for it")
    gate: GateReport
    samples: list[Sample]
    run_provenance: RunProvenance


@publishes("calibrate-nr-threshold")
def calibrate_nr_threshold(
    model: str | os.PathLike[str],
    corpora: Sequence[Path],
    output: Path,
    report: Path | None = None,
    *,
    grid: Grid = Grid(),
    target: float = 93.0,
    limits: Limits = Limits(),
    allow_weak: bool = False,
    subsample: int = 8,
    threads: int = 1,
    program: str = "embedded",
    registry: str | os.PathLike[str] | None = None,
    cache: Path | None = None,
    advance: Advance | None = None,
) -> NrThreshold:
    """Calibrate the threshold of a model that scores without a reference.

    Args:
        model: id of a registered model, or path of an ONNX file.
        corpora: pristine clips, and folders of clips.
        output: the calibration (.json); written only if it keeps the limits, or with `allow_weak`.
        report: the report to read (.md), which is always written; None for `output` with the suffix ``.md``.
        grid: the encodes of each clip.
        target: VMAF that the threshold stands for.
        limits: what a good calibration keeps.
        allow_weak: write `output` although a limit is missed.
        subsample: score every n-th frame.
        threads: of encoder and scores.
        program: which FFmpeg.
        registry: as in `pyvmaf.load_model`.
        cache: folder where the two scores of each encode are kept by the hash of what decides them; None for none.
        advance: called with (encodes done, encodes in all).

    Returns:
        The calibration.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: the model does not score pictures, there are fewer than three clips or two CRFs, a clip is given twice, or a
            clip cannot be encoded.
    """
    text = report or output.with_suffix(".md")
    claim(output, text)
    if not _VMAF[0] < target < _VMAF[1]:
        raise InputError(f"--target is a VMAF between 0 and 100, not {target:g}")
    entry = find_encoder(grid.codec)
    preset = entry.check_preset(grid.preset or entry.preset_default)
    crfs = sorted({entry.check_crf(crf) for crf in grid.crfs})
    if len(crfs) < _LEAST_CRFS:
        raise InputError(f"--crf names {len(crfs)} quality numbers, but the relation of a clip needs {_LEAST_CRFS}")
    loaded = load_model(Path(model) if is_path(model) else str(model), registry=registry)
    if not looks(loaded) or not isinstance(loaded, Model) or loaded.sidecar.get("task") != "score":
        raise InputError(f"model {loaded.name} does not score pictures: a threshold is of a model without a reference")
    clips = _clips(corpora)
    call = Call(
        "calibrate-nr-threshold",
        args={
            "model": loaded.name,
            "model_sha256": loaded.sidecar["sha256"],
            "codec": entry.name,
            "preset": preset,
            "crfs": crfs,
            "target": target,
            "min_calibration_samples": limits.samples_min,
            "min_plcc": limits.plcc_min,
            "allow_weak_calibration": allow_weak,
            "subsample": subsample,
            "threads": threads,
            "corpora": [path.name for path in corpora],
        },
        inputs={"clips": list(clips.values())},
    )
    samples: list[tuple[str, int, float, float]] = []
    for name, path in clips.items():
        for crf in crfs:
            nr, vmaf = _kept(cache, path, (entry.name, preset, crf), loaded, subsample, threads, program)
            samples.append((name, crf, nr, vmaf))
            if advance is not None:
                advance(len(samples), len(clips) * len(crfs))
    figures = relate(
        [name for name, *_ in samples],
        np.array([nr for *_, nr, _ in samples]),
        np.array([vmaf for *_, vmaf in samples]),
        target,
    )
    gate = _gate(len(samples), len(clips), figures, limits)
    document = NrThreshold(
        model=loaded.name,
        model_sha256=str(loaded.sidecar["sha256"]),
        codec=entry.name,
        preset=preset,
        crfs=crfs,
        teacher=TEACHER,
        target_vmaf=target,
        subsample=subsample,
        corpora=[path.name for path in corpora],
        clips=[Clip(name=name, sha256=sha256_file(path)) for name, path in clips.items()],
        n_samples=len(samples),
        mapping=figures.mapping,
        threshold=figures.threshold,
        plcc=interval(figures.plcc, len(clips)),
        srocc=interval(figures.srocc, len(clips)),
        rmse=figures.rmse,
        constant_rmse=figures.constant_rmse,
        decisions=figures.decisions,
        verdict="PROMOTE" if gate.passed else "HOLD",
        allowed_weak=allow_weak and not gate.passed,
        gate=gate,
        samples=[
            Sample(clip=name, crf=crf, nr=nr, vmaf=vmaf, predicted=guess)
            for (name, crf, nr, vmaf), guess in zip(samples, figures.predicted.tolist(), strict=True)
        ],
        run_provenance=call.provenance(),
    )
    write_text(text, markdown(document))
    write_manifest(text, verb=call.verb, args=call.args, inputs=call.inputs, outputs={"report": text})
    return publish(document, output if gate.passed or allow_weak else None, call)


def _clips(corpora: Sequence[Path]) -> dict[str, Path]:
    """Find the clips of files and folders, by name.

    Raises:
        MissingFileError: a file or folder is not there.
        InputError: two clips have one name or the same content, or there are too few.
    """
    found: dict[str, Path] = {}
    contents: dict[str, Path] = {}
    for place in corpora:
        if not place.exists():
            raise MissingFileError(f"no such file or folder: {place}")
        inside = sorted(path for path in place.iterdir() if path.is_file()) if place.is_dir() else [place]
        for path in inside:
            if place.is_dir() and not is_video_name(path.name):
                continue
            reading(path)
            other = found.setdefault(path.stem, path)
            same = contents.setdefault(sha256_file(path), path)
            if other is not path or same is not path:
                raise InputError(
                    f"{other if other is not path else same} and {path} are one clip, by name or content: it would count "
                    "twice; name one"
                )
    if len(found) < _LEAST_CLIPS:
        raise InputError(
            f"{', '.join(map(str, corpora))}: {len(found)} clips, but a line that leaves one out needs {_LEAST_CLIPS}"
        )
    return found


class _Measured(Part):
    """Scores of an encode, as the cache keeps them."""

    nr: float
    vmaf: float


def _kept(
    cache: Path | None,
    path: Path,
    how: tuple[str, str, int],
    model: Model,
    subsample: int,
    threads: int,
    program: str,
) -> tuple[float, float]:
    """Return the scores of an encode from the cache, or measure it."""
    if cache is None:
        return _measure(path, how, model, subsample, threads, program)
    decides = {
        "clip": sha256_file(path),
        "encode": how,
        "encoder": encoder_rung(*how).identity,
        "ffmpeg": ffmpeg(program).version,
        "model": model.sidecar["sha256"],
        "subsample": subsample,
        "threads": threads,
        "code": identity("calibrate-nr-threshold"),
        "packages": package_versions("calibrate-nr-threshold"),
    }
    file = cache / f"{content_hash(decides)[:32]}.nr.json"
    try:
        found = _Measured.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        found = None
    if found is None:
        nr, vmaf = _measure(path, how, model, subsample, threads, program)
        found = _Measured(nr=nr, vmaf=vmaf)
        write_json(file, found.as_json(), at_once=True)
    return found.nr, found.vmaf


def _measure(
    path: Path, how: tuple[str, str, int], model: Model, subsample: int, threads: int, program: str
) -> tuple[float, float]:
    """Encode a clip; return the model's score and the VMAF of the encode, means over the same frames."""
    codec, preset, crf = how
    with tempfile.TemporaryDirectory(prefix="vmaf-train-") as folder:
        encoded = Path(folder) / "encode.mkv"
        encode(path, encoded, encoder_rung(codec, preset, crf), threads=threads, program=program)
        alone = score(None, encoded, model=model, subsample=subsample, threads=threads)[model.name]
        beside = score(path, encoded, model=TEACHER, subsample=subsample, threads=threads)["vmaf"]
    return float(np.mean(alone)), float(np.mean(beside))


@dataclass(frozen=True)
class Figures:
    """What the samples say; `predicted` [n] is VMAF by lines that were fitted without the sample's clip."""

    mapping: Mapping
    threshold: float | None
    predicted: NDArray[np.float64]
    plcc: float | None
    srocc: float | None
    rmse: float
    constant_rmse: float
    decisions: Decisions


def relate(clips: Sequence[str], nr: NDArray[np.float64], vmaf: NDArray[np.float64], target: float) -> Figures:
    """Relate the scores of a model to VMAF.

    Args:
        clips: clip of each sample [n].
        nr: scores of the model [n].
        vmaf: VMAF [n].
        target: VMAF that the threshold stands for.
    """
    names = np.array(clips)
    predicted, constant = np.empty_like(vmaf), np.empty_like(vmaf)
    accepted = np.zeros(vmaf.size, dtype=bool)
    for name in dict.fromkeys(clips):
        out = names == name
        fitted = line(nr[~out], vmaf[~out])
        predicted[out] = fitted.apply(nr[out], _VMAF)
        constant[out] = vmaf[~out].mean()
        limit = _threshold(fitted, target)
        accepted[out] = False if limit is None else nr[out] >= limit
    reached = vmaf >= target
    mapping = line(nr, vmaf)
    return Figures(
        mapping=mapping,
        threshold=_threshold(mapping, target),
        predicted=predicted,
        plcc=finite(plcc(predicted, vmaf)),
        srocc=finite(srocc(nr, vmaf)),
        rmse=rmse(predicted, vmaf),
        constant_rmse=rmse(constant, vmaf),
        decisions=Decisions(
            right=int((accepted & reached).sum()),
            wrong=int((accepted & ~reached).sum()),
            missed=int((~accepted & reached).sum()),
            rejected=int((~accepted & ~reached).sum()),
        ),
    )


def _threshold(mapping: Mapping, target: float) -> float | None:
    return (target - mapping.intercept) / mapping.slope if mapping.slope > 0 else None


def _gate(n: int, clips: int, figures: Figures, limits: Limits) -> GateReport:
    """Compare what was measured with the limits."""
    few = None if n >= limits.samples_min else f"{n} samples are too few: at least {limits.samples_min} are needed"
    alike = None if clips >= CLIPS_MIN else f"{clips} clips are too few: at least {CLIPS_MIN} are needed"
    slope = figures.mapping.slope
    falls = None if slope > 0 else f"VMAF does not rise with the score (slope {slope:.4g})"
    agrees = figures.plcc is not None and figures.plcc >= limits.plcc_min
    what = "PLCC of clips left out"
    weak = None if agrees else f"{what} is {shown(figures.plcc, 3)}: at least {limits.plcc_min:g} is needed"
    rows = [
        ("samples", Row("samples", str(n), f"at least {limits.samples_min}", few is None, few)),
        ("clips", Row("clips", str(clips), f"at least {CLIPS_MIN}", alike is None, alike)),
        ("slope", Row("slope of the mapping", f"{slope:.4g}", "above 0", falls is None, falls)),
        ("plcc", Row(what, shown(figures.plcc, 3), f"at least {limits.plcc_min:g}", agrees, weak)),
    ]
    reasons = [row.why for _, row in rows if row.why]
    return GateReport.model_validate(
        {"passed": not reasons, "reasons": reasons, "rows": [row.as_json(name) for name, row in rows]}
    )


def markdown(document: NrThreshold) -> str:
    """Return a calibration as a page of Markdown."""
    threshold = "none: VMAF does not rise with the score" if document.threshold is None else f"{document.threshold:.4f}"
    low, high = (shown(end, 2) for end in (document.plcc.low, document.plcc.high))
    choice = document.decisions
    lines = [
        f"# NR threshold of {document.model}",
        "",
        f"{document.verdict}: " + ("; ".join(document.gate.reasons) or "every limit is kept"),
        "",
        f"{len(document.clips)} clips, {document.codec} {document.preset}, CRF {', '.join(map(str, document.crfs))}: "
        f"{document.n_samples} samples; every {document.subsample}th frame; VMAF by {document.teacher}.",
        "",
        "| gate | measured | limit | passed |",
        "|---|---|---|---|",
        *(
            f"| {row.what} | {row.measured} | {row.limit} | {'yes' if row.passed else 'NO'} |"
            for row in document.gate.rows or ()
        ),
        "",
        "| figure | value |",
        "|---|---|",
        f"| mapping | VMAF = {document.mapping.intercept:.4f} + {document.mapping.slope:.4f} x score |",
        f"| threshold for VMAF {document.target_vmaf:g} | {threshold} |",
        f"| PLCC of clips left out | {shown(document.plcc.value, 4)} ({low} to {high}) |",
        f"| SROCC of the scores | {shown(document.srocc.value, 4)} |",
        f"| RMSE of clips left out, of a constant | {document.rmse:.3f}, {document.constant_rmse:.3f} VMAF |",
        f"| accepted rightly, wrongly | {choice.right}, {choice.wrong} |",
        f"| rejected rightly, wrongly | {choice.rejected}, {choice.missed} |",
        "",
        "| clip | CRF | score | VMAF | predicted |",
        "|---|---|---|---|---|",
        *(
            f"| {cell(item.clip)} | {item.crf} | {item.nr:.4f} | {item.vmaf:.3f} | {item.predicted:.3f} |"
            for item in document.samples
        ),
    ]
    return "\n".join(lines) + "\n"
