"""Predictions of registered models from the measured features of a pair of videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.codecs.vocabularies import UNKNOWN, encoder_name
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.features.catalog import CONTEXT, DEFAULT_MODEL, TEACHER, pooled_column
from pyvmaf.features.pool import pool
from pyvmaf.runtime.ensemble import AnyModel, Ensemble
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.scoring.origin import Origin, origin, properties, shots
from pyvmaf.scoring.scores import Scores
from pyvmaf.video.format import Format
from pyvmaf.video.piped import is_piped


class Pair:
    """A pair of videos whose frames were measured, and properties of the distorted one, which are read once."""

    def __init__(
        self,
        scores: Scores,
        distorted: Path,
        codec: tuple[str | None, str | int | None, float | None] | None,
        context: dict[str, float],
        raw: Format | None,
        stream: int | None = None,
    ) -> None:
        for name in context:
            if name not in CONTEXT:
                raise unknown_name("context", name, CONTEXT)
        self.scores = scores
        self._distorted, self._codec, self._context, self._raw = distorted, codec, context, raw
        self._stream = stream
        self._properties: dict[str, float] | None = None

    @cached_property
    def origin(self) -> Origin:
        """Encoder, preset and CRF of the distorted video."""
        if self._codec is None and is_piped(self._distorted):
            return Origin(None, None, None, "unknown")
        if self._codec is None:
            return origin(self._distorted, self._stream)
        encoder, preset, crf = self._codec
        return Origin(encoder, None if preset is None else str(preset), crf, "given")

    @cached_property
    def hdr(self) -> bool:
        """Whether the distorted video states a transfer function of HDR."""
        from pyvmaf.video.reader import Reader

        if is_piped(self._distorted):
            return False
        if self._raw is not None and self._distorted.suffix.lower() == ".yuv":
            return False
        return Reader(self._distorted, stream=self._stream).stream.colour.hdr

    def frames(self, name: str) -> NDArray[np.float64]:
        """Return a column of frames by its name in models."""
        if name != TEACHER or self.scores.model == DEFAULT_MODEL:
            return self.scores[name]
        return self.scores[DEFAULT_MODEL]

    def context(self, name: str, model: str) -> float:
        """Return a property of the distorted video.

        Raises:
            InputError: the property is not known.
        """
        if name in self._context:
            return self._context[name]
        if is_piped(self._distorted):
            raise InputError(
                f"model {model} reads {name} ({CONTEXT[name].about}), which the pipe {self._distorted} does not say: give it, with "
                f"--context {name}=NUMBER on the command line"
            )
        if self._properties is None:
            self._properties = properties(self._distorted, self._raw, self._stream)
        if CONTEXT[name].of == "shots" and name not in self._properties:
            self._properties |= shots(self._distorted, self._raw, self._stream)
        if name not in self._properties:
            raise InputError(
                f"model {model} reads {name} ({CONTEXT[name].about}), which {self._distorted} does not say: give it, "
                f"with --context {name}=NUMBER on the command line"
            )
        return self._properties[name]


def _columns(name: str) -> tuple[str, ...]:
    """Name the columns that a model can have: its score, and spread, low and high end of its interval."""
    return name, f"{name}_sigma", f"{name}_low", f"{name}_high"


def columns_of(model: AnyModel) -> tuple[str, ...]:
    """List the columns that a model adds to the scores of a pair."""
    return _columns(model.name) if isinstance(model, Ensemble) else (model.name,)


def predict(model: AnyModel, pair: Pair) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
    """Score a pair with a model.

    Returns:
        The model's columns with one value per frame, and the summary of the whole clip.

    Raises:
        InputError: no row has finite values of all inputs, or a property of the video is not known.
    """
    of_clip = any(pooled_column(name) for name in model.features)
    rows = _rows(model, pair, 1 if of_clip else len(pair.scores))
    usable = np.asarray(np.isfinite(np.column_stack(list(rows.values()))).all(axis=1), dtype=np.bool_)
    if not usable.any():
        empty = [name for name, values in rows.items() if not np.isfinite(values).any()]
        reasons = "; ".join(pair.scores.unavailable[name] for name in empty if name in pair.scores.unavailable)
        raise InputError(
            f"model {model.name} cannot score this pair: {', '.join(empty) or 'some feature'} has no finite value in any "
            f"frame{f' ({reasons})' if reasons else ''}"
        )
    reads_codec = model.sidecar.get("codec") is not None
    # Without any knowledge the model decides, because its vocabulary may not have an entry for unknown encoders.
    codec = pair.origin.triple if reads_codec and pair.origin.how != "unknown" else None
    prediction = model.predict({name: values[usable] for name, values in rows.items()}, codec)
    values = (prediction.scores, prediction.sigma, prediction.low, prediction.high)
    columns = {name: column for name, column in zip(_columns(model.name), values, strict=True) if column is not None}
    counted = _finite_frames(model, pair) if of_clip else usable
    summary = summary_of(model, prediction, of_clip, bounds=list(columns)[1:], left_out=int(np.count_nonzero(~counted)))
    if reads_codec:
        summary["codec"] = str(pair.origin)
    context = {name: float(rows[name][0]) for name in model.features if name in CONTEXT}
    if context:
        summary["context"] = context
    summary["unlike_training"] = list(unlike_training(model, pair))
    frames = np.ones(len(pair.scores), dtype=np.bool_) if of_clip else usable
    return {name: _spread_out(values, frames) for name, values in columns.items()}, summary


def unlike_training(model: AnyModel, pair: Pair) -> Iterator[str]:
    """Say in what the distorted video differs from all videos that a model was trained on, as far as its sidecar tells."""
    codecs, encoder = model.sidecar.get("trained_codecs"), pair.origin.encoder
    if (
        codecs
        and encoder not in (None, UNKNOWN)
        and _encoder(str(encoder)) not in {_encoder(codec) for codec in codecs}
    ):
        yield f"the video is of {encoder}, and the training data of {', '.join(codecs)}"
    if pair.hdr and not model.sidecar.get("trained_hdr"):
        known = "trained_hdr" in model.sidecar
        yield f"the video is HDR, and the training data {'has no HDR' if known else 'is not known to have any'}"


def _encoder(name: str) -> str:
    """Return the name of an encoder; a ladder that no encoder made keeps its own."""
    try:
        return encoder_name(name)
    except InputError:
        return name


def _rows(model: AnyModel, pair: Pair, count: int) -> dict[str, NDArray[np.float64]]:
    """Return a model's inputs, `count` values each: frames, or the one row of a clip."""
    rows: dict[str, NDArray[np.float64]] = {}
    for name in model.features:
        pooled = pooled_column(name)
        if name in CONTEXT:
            rows[name] = np.full(count, pair.context(name, model.name))
        elif pooled is not None:
            feature, stat = pooled
            rows[name] = np.array([pool(pair.frames(feature), [stat])[stat]])
        else:
            rows[name] = pair.frames(name)
    return rows


def _finite_frames(model: AnyModel, pair: Pair) -> NDArray[np.bool_]:
    """Tell of each frame whether it is in the pools of all features that a model of clips reads."""
    finite = np.ones(len(pair.scores), dtype=np.bool_)
    for name in model.features:
        pooled = pooled_column(name)
        if pooled is not None:
            finite &= np.isfinite(pair.frames(pooled[0]))
    return finite


def _spread_out(values: NDArray[np.float64], frames: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Put values in the frames that they belong to, and NaN in the others."""
    column = np.full(frames.size, np.nan)
    column[frames] = values
    return column


def summary_of(
    model: AnyModel, prediction: Prediction, of_clip: bool, *, bounds: Sequence[str], left_out: int
) -> dict[str, Any]:
    """Sum up a model's scores of a clip as JSON values.

    Args:
        model: the model.
        prediction: its scores of the frames, or of the whole clip.
        of_clip: which of both.
        bounds: columns that hold spreads and ends of intervals.
        left_out: frames without a score.
    """
    summary: dict[str, Any] = {
        "kind": model.sidecar["kind"],
        "of": "clip" if of_clip else "frames",
        "score": float(prediction.scores.mean()),
        "outside_training_range": {"share": prediction.outside_share, "by_feature": prediction.outside},
        "outside_output_range": prediction.unexpected_share,
        "frames_left_out": left_out,
        "bounds": list(bounds),
    }
    if isinstance(model, Ensemble):
        interval = _row_interval(prediction) if of_clip else model.mean_interval(prediction)
        summary |= {
            "interval": model.method,
            "nominal_coverage": model.nominal,
            "measured_coverage": model.manifest["coverage_gate"]["empirical_coverage"],
            "score_interval": None if interval is None else dict(zip(("sigma", "low", "high"), interval, strict=True)),
        }
    return summary


def _row_interval(prediction: Prediction) -> tuple[float, float, float] | None:
    """Return spread, low and high end of the one row of a clip."""
    if prediction.sigma is None or prediction.low is None or prediction.high is None:
        return None
    return float(prediction.sigma[0]), float(prediction.low[0]), float(prediction.high[0])


def warnings_of(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what a reader should know before trusting a score, one sentence each."""
    sentences = []
    for name, summary in summaries.items():
        outside = summary["outside_training_range"]
        if outside["share"]:
            shares = ", ".join(f"{feature} in {share:.0%}" for feature, share in outside["by_feature"].items())
            subject = "the clip lies" if summary["of"] == "clip" else f"{outside['share']:.1%} of the frames lie"
            sentences.append(
                f"{name}: {subject} outside the range of its training data ({shares}): expect larger errors"
            )
        sentences += [f"{name}: {what}: expect larger errors" for what in summary["unlike_training"]]
        if summary["frames_left_out"]:
            left_out = f"{summary['frames_left_out']} frames without finite features"
            sentences.append(
                f"{name}: {left_out} are not part of the score"
                if summary["of"] == "clip"
                else f"{name}: {left_out} have no score"
            )
    return sentences
