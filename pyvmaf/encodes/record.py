"""The record of an encode: one row of the corpus table, schema version 3, with 54 keys.

Keys and meanings follow the corpus schema of vmaf-tune (25 keys in version 1, ``clip_mode`` added in version 2, 28 in
version 3). A value that is measured later is null. A value that this project does not measure is the schema's own
"unavailable" (0.0, an empty string, false), and the encode's manifest names it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from math import fsum, sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Count, Document, Name, Positive, Sha256, Size
from pyvmaf.errors import InputError, unknown_name

if TYPE_CHECKING:
    from pyvmaf.video.probe import Video

_AboveZero = Annotated[float, Field(gt=0)]
_Mean = Annotated[
    float | None, Field(description="Mean over the frames; null until measured or if the feature is unavailable.")
]
_Deviation = Annotated[
    Size | None,
    Field(description="Standard deviation (ddof 0) over the frames; null until measured or if unavailable."),
]
_Internal = Annotated[
    float, Field(description="From inside the encoder, over its pictures; 0.0 if it does not say it.")
]

Transfer = Literal["", "smpte2084", "arib-std-b67"]
"""HDR transfer functions by FFmpeg's names; empty for SDR."""


class Record(Document):
    """How a reference was encoded, and the measurements of the result."""

    title: ClassVar[str] = "Corpus row, schema version 3: one encode of one reference (encodes/…/{rung}.json)"

    schema_version: Literal[3] = Field(default=3, description="Version of this schema.")
    run_id: str = Field(
        pattern=r"^[0-9a-f]{16}$", description="16 hex digits that identify reference, encoder and arguments."
    )
    timestamp: str | None = Field(
        default=None,
        description="Time of the encode, ISO 8601; null if the row holds nothing that varies between runs.",
    )
    src: Name = Field(description="The reference, relative to the run's folder.")
    src_sha256: Sha256 = Field(description="SHA-256 of the reference's bytes.")
    width: Positive = Field(description="Luma samples across.")
    height: Positive = Field(description="Luma samples down.")
    pix_fmt: Name = Field(description="Pixel format of the encode, FFmpeg's name.")
    framerate: _AboveZero = Field(description="Frames per second.")
    duration_s: _AboveZero = Field(description="Frames over frames per second.")
    encoder: Name | None = Field(
        description="FFmpeg's name of the encoder; null if no encoder made the distorted clip, or if it is unknown."
    )
    encoder_version: Name | None = Field(
        description="The encoder's own version; 'unknown' if its log does not tell; null without an encoder."
    )
    preset: Name | None = Field(description="Preset of the encoder; null without an encoder, or if it is unknown.")
    crf: Count | None = Field(
        description="Quality number: CRF, or QP if the encoder does not have CRF; null without an encoder, or if it is unknown."
    )
    extra_params: list[str] = Field(
        description="Every other option that shaped the bytes, in the order of the command."
    )
    encode_path: Name = Field(description="The encode, relative to the run's folder.")
    encode_size_bytes: Positive = Field(description="Size of the file.")
    bitrate_kbps: _AboveZero | None = Field(
        description="Bits of the file over its duration, in 1000 bit/s; null for a raw file whose encode's rate is unknown."
    )
    encode_time_ms: Size | None = Field(
        default=None, description="Duration of the encode; null if the row holds nothing that varies between runs."
    )
    vmaf_score: float | None = Field(
        default=None, description="Mean VMAF over the frames, 0 to 100; null until measured."
    )
    vmaf_model: str | None = Field(default=None, description="Name of the VMAF model; null until measured.")
    score_time_ms: Size | None = Field(default=None, description="Duration of the measurement; null if unknown.")
    ffmpeg_version: Name = Field(description="Version of the FFmpeg that encoded; 'unknown' of a pair that existed.")
    vmaf_binary_version: str | None = Field(
        default=None, description="Identity of the libvmaf that measured; null until then."
    )
    exit_status: Literal[0] = Field(
        default=0, description="Exit status of the encoder; only successful encodes have a row."
    )
    clip_mode: str = Field(
        pattern=r"^(full|sample_[0-9]+s)$", description="full, or sample_<N>s for an excerpt of N seconds."
    )
    hdr_transfer: Transfer = Field(description="HDR transfer; empty for SDR.")
    hdr_primaries: str = Field(description="Colour primaries of an HDR reference; empty for SDR.")
    hdr_forced: bool = Field(description="HDR was requested, not detected.")
    shot_count: Positive = Field(description="Shots of the reference.")
    shot_avg_duration_sec: _AboveZero = Field(description="Mean duration of its shots.")
    shot_duration_std_sec: Size = Field(description="Standard deviation (ddof 0) of their durations.")
    adm2_mean: _Mean = None
    vif_scale0_mean: _Mean = None
    vif_scale1_mean: _Mean = None
    vif_scale2_mean: _Mean = None
    vif_scale3_mean: _Mean = None
    motion2_mean: _Mean = None
    adm2_std: _Deviation = None
    vif_scale0_std: _Deviation = None
    vif_scale1_std: _Deviation = None
    vif_scale2_std: _Deviation = None
    vif_scale3_std: _Deviation = None
    motion2_std: _Deviation = None
    enc_internal_qp_mean: _Internal = 0.0
    enc_internal_qp_std: _Internal = 0.0
    enc_internal_bits_mean: _Internal = 0.0
    enc_internal_bits_std: _Internal = 0.0
    enc_internal_mv_mean: _Internal = 0.0
    enc_internal_mv_std: _Internal = 0.0
    enc_internal_itex_mean: _Internal = 0.0
    enc_internal_ptex_mean: _Internal = 0.0
    enc_internal_intra_ratio: _Internal = 0.0
    enc_internal_skip_ratio: _Internal = 0.0


SCHEMA_VERSION = 3

KEYS = tuple(Record.model_fields)
"""All keys, in the order of the schema versions that added them."""

INTERNALS = tuple(key for key in KEYS if key.startswith("enc_internal_"))
"""Statistics from inside an encoder; the schema defines 0.0 for those that it does not say (`pyvmaf.codecs.internals`)."""

ROW_FEATURES = tuple(
    key.removesuffix("_mean") for key in KEYS if key.endswith("_mean") and not key.startswith("enc_internal_")
)
"""Training names of the features that have a mean and a standard deviation in a row: the canonical six."""

MEASURED = (
    *("timestamp", "encode_time_ms", "vmaf_score", "vmaf_model", "score_time_ms", "vmaf_binary_version"),
    *(f"{name}_{statistic}" for statistic in ("mean", "std") for name in ROW_FEATURES),
)
"""Keys that are null until the features are measured and the clocks are read."""


def shot_facts(video: Video) -> dict[str, Any]:
    """Return the keys about the shots of a reference."""
    # Not NumPy: to import it takes longer than the rest of this module.
    rate = float(Fraction(video.format.fps))
    shots = [(last - first + 1) / rate for first, last in video.shots]
    mean = fsum(shots) / len(shots)
    return {
        "shot_count": len(shots),
        "shot_avg_duration_sec": mean,
        "shot_duration_std_sec": sqrt(fsum((shot - mean) ** 2 for shot in shots) / len(shots)),
    }


def unavailable(record: Record, stated: Collection[str] = ()) -> dict[str, str]:
    """Return the keys of a fresh record that hold no measurement, each with the reason; for the manifest.

    Args:
        record: the record.
        stated: keys whose values came with the encode.
    """
    unknown = [name for name in INTERNALS if name not in stated]
    reasons = dict.fromkeys(unknown, "the encoder does not state it, or only in another encode; 0.0 stands for that")
    reasons.update(dict.fromkeys(MEASURED, "measured later; null until then"))
    if not record.hdr_transfer:
        reasons.update(dict.fromkeys(("hdr_transfer", "hdr_primaries"), "the reference is not an HDR video"))
    return reasons


def complete(
    record: Record,
    *,
    vmaf: float | None,
    vmaf_model: str,
    features: Mapping[str, tuple[float | None, float | None]],
    vmaf_binary_version: str,
    encode_seconds: float | None = None,
    score_seconds: float | None = None,
    timestamp: str | None = None,
) -> Record:
    """Return a copy of `record` with the values that were measured after the encode.

    Args:
        record: the record as `encode` left it.
        vmaf: mean VMAF over the frames, 0 to 100; None if it could not be computed.
        vmaf_model: name of the model.
        features: training name → (mean, standard deviation with ddof 0) over the frames. Names outside of the
            canonical six are refused, absent ones stay null. NaN counts as absent.
        vmaf_binary_version: identity of the libvmaf that measured.
        encode_seconds, score_seconds: durations, None if unknown.
        timestamp: time of the encode, ISO 8601.

    Raises:
        InputError: the schema does not have a key for a feature, or a value is infinite.
    """
    values: dict[str, float | str | None] = {
        "vmaf_score": _number(vmaf),
        "vmaf_model": vmaf_model,
        "vmaf_binary_version": vmaf_binary_version,
        "encode_time_ms": _milliseconds(encode_seconds),
        "score_time_ms": _milliseconds(score_seconds),
        "timestamp": timestamp,
    }
    for name, (mean, std) in features.items():
        if name not in ROW_FEATURES:
            raise unknown_name("feature of a corpus row", name, ROW_FEATURES)
        values[f"{name}_mean"], values[f"{name}_std"] = _number(mean), _number(std)
    return Record(**{**record.as_json(), **values})


def _number(value: float | None) -> float | None:
    if value is None or value != value:
        return None
    if value in (float("inf"), float("-inf")):
        raise InputError(f"a corpus row cannot hold {value}: the measurement went wrong")
    return float(value)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
