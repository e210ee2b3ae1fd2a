"""The record of a distorted version that exists already, of which the corpus file says how it was made."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

from pyvmaf.base.files import content_hash
from pyvmaf.corpora.pairs import Pair, Reference
from pyvmaf.encodes.record import Record, Transfer, shot_facts
from pyvmaf.video.probe import Video

_UNKNOWN = "unknown"


def pair_record(reference: Reference, video: Video, pair: Pair, path: Path, pix_fmt: str) -> Record:
    """Return the record of a distorted version. Paths are those of the corpus file, below its root.

    The bitrate is the one of the corpus file, else that of the file; it is null for a raw file, which has no rate of its
    own.

    Args:
        reference: entry of the reference.
        video: facts about the reference.
        pair: entry of the distorted version.
        path: its file.
        pix_fmt: its pixel format.
    """
    size = path.stat().st_size
    own_rate = None if pair.raw is not None else size * 8 / 1000 / video.seconds
    identity = {"src_sha256": reference.sha256, "pair_sha256": pair.sha256}
    return Record(
        run_id=content_hash(identity)[:16],
        src=reference.path,
        src_sha256=reference.sha256,
        width=video.format.width,
        height=video.format.height,
        pix_fmt=pix_fmt,
        framerate=float(Fraction(video.format.fps)),
        duration_s=video.seconds,
        encoder=pair.encoder,
        encoder_version=None if pair.encoder is None else _UNKNOWN,
        preset=pair.preset,
        crf=pair.crf,
        extra_params=[],
        encode_path=pair.path,
        encode_size_bytes=size,
        bitrate_kbps=own_rate if pair.bitrate_kbps is None else pair.bitrate_kbps,
        ffmpeg_version=_UNKNOWN,
        clip_mode="full",
        hdr_transfer=cast("Transfer", video.transfer),
        hdr_primaries=video.primaries,
        hdr_forced=False,
        **shot_facts(video),
    )
