"""The verb ``probe``: how hard a clip is to encode, from a fast encode of a part of it.

One pass: of each `PERIOD` decoded frames x264 encodes the first `STRETCH`, of them a band in the middle that is as wide as the picture,
with settings that are the same for every clip. How many bytes that takes, and how much quality it leaves, says more about what
another encode of the clip will look like than any property of its pictures. The encode happens in memory; nothing is kept of it but
the sizes of its pictures and its VMAF.

The band has the clip's own samples, because scaling takes away just the detail that is costly. Frames follow each other for as long as
an encoder plans ahead: how well they are predicted from each other decides how much quality it spends on each.

A result depends on nothing but the bytes of the clip, the settings, and the libraries, so that it can be kept by their hash.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.code import identity
from pyvmaf.base.document import Call, Count, Document, Name, Part, Positive, RunProvenance, Sha256, Size, publish
from pyvmaf.base.extras import require
from pyvmaf.base.files import atomic_path, content_hash, dumps, sha256_file, write_text
from pyvmaf.base.manifest import package_versions, write_manifest
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.codecs.encoders import ENCODERS, has_avx512
from pyvmaf.encodes.quality import Quality
from pyvmaf.errors import InputError, IntegrityError, UnavailableError
from pyvmaf.video.agree import refuse_interlaced
from pyvmaf.video.reader import Reader
from pyvmaf.video.shots import HEIGHT, WIDTH, ShotDetector

if TYPE_CHECKING:
    import av

ENCODER = "libx264"
CRF = 32
OPTIONS: Mapping[str, str] = {
    "preset": "ultrafast",
    "crf": str(CRF),
    "forced-idr": "1",
    # What decides the quality of a picture in the slower presets, which ultrafast leaves out: how often later pictures use it
    # (mbtree), and where the eye sees errors (aq-mode).
    "x264-params": "bframes=3:b-adapt=1:mbtree=1:rc-lookahead=40:aq-mode=1:weightp=1:scenecut=40:keyint=250:threads=1:log-level=none",
}
"""Settings of the fast encode. A prediction depends on them: they are part of every report."""

PERIOD, STRETCH = 96, 24
"""Of so many frames so many are encoded: the first ones."""

SCORED = 3
"""The VMAF of the encode is measured on one of so many pictures: a mean does not need each, and it is most of the work."""

MEASURED = 8
"""Of so many frames at the beginning of a stretch luma is measured, on pictures of a quarter of the width and height."""

BAND = 12
"""What share of a picture's lines the band has: one of so many, in whole rows of macroblocks."""

LEAST_LINES = 48
"""Lines of a band at least: VMAF needs 33."""

SMALLEST = 34
"""Shorter side, in samples, of a clip that can be probed."""

SALIENCY_FRAMES = 3
"""About how many frames the saliency of a clip is measured on."""

SAMPLE_FRAMES = 48
"""Frames of a sample of a long clip."""

_START = b"\0\0\1"
_USER_DATA = _START + b"\6\5"
"""Start of a unit of H.264 with data of the user (ITU-T H.264, 7.3.1 and D.1.6)."""

Advance = Callable[[int, int], None]


_NONE = "no model for saliency is registered"


class Saliency(NamedTuple):
    """What measures saliency.

    Attributes:
        name, sha256: of the model.
        measure: gives mean and variance of the map of each n-th frame of a video, 0 to 1.
    """

    name: str
    sha256: str
    measure: Callable[[Path, int], Iterable[tuple[float, float]]]


class FastEncode(Part):
    """How the fast encode was made."""

    encoder: Name
    width: Positive = Field(description="Of the band of each picture that is encoded")
    height: Positive
    options: dict[str, str]


class SaliencyModel(Part):
    """The model that measured saliency."""

    id: Name
    sha256: Sha256 = Field(description="Of its ONNX file")


class Facts(Part):
    """The numbers that a prediction reads, in the order of its inputs; a number that was not measured is null."""

    probe_bitrate_kbps: float = Field(gt=0, description="Rate of the fast encode, 1000 bit/s")
    probe_i_bytes: Size = Field(description="Mean bytes of an I picture of the fast encode")
    probe_p_bytes: Size = Field(description="Of a P picture; 0 if there is none")
    probe_b_bytes: Size = Field(description="Of a B picture; 0 if there is none")
    probe_vmaf: Size = Field(description=f"Mean VMAF (v0.6.1) of one in {SCORED} pictures of the fast encode")
    saliency_mean: float | None = Field(ge=0, le=1, description="Mean of the saliency maps")
    saliency_var: float | None = Field(ge=0, le=1, description="Mean of the variances of the saliency maps")
    frame_diff_mean: Size = Field(description="Mean |difference| of luma between neighbouring frames, of 255")
    luma_mean: Size = Field(description="Mean of luma, of 255")
    luma_var: Size = Field(description="Mean over the frames of the variance of luma within a frame")
    shot_length_frames: float = Field(gt=0, description="Mean length of a shot: frames over shots")
    fps: float = Field(gt=0)
    width: Positive
    height: Positive


class ProbeReport(Document):
    """How hard a clip is to encode."""

    title: ClassVar[str] = "Probe of a clip: sizes of the pictures of a fast encode, and statistics of luma"

    schema_version: Literal[3] = 3
    video: Name
    sha256: Sha256 = Field(description="Of the clip")
    frames: Positive = Field(description="Frames that were looked at")
    encoded: Positive = Field(description="Frames among them that the fast encode has")
    samples: Count = Field(description="Stretches of frames that they are of; 0: the whole clip")
    pictures: dict[Literal["I", "P", "B"], Count] = Field(description="Pictures of the fast encode by type")
    encode: FastEncode
    facts: Facts
    saliency: SaliencyModel | None
    absent: dict[str, Name] = Field(description="Facts that are null, with the reason")
    run_provenance: RunProvenance


class _Sizes:
    """Sizes of coded pictures by type."""

    def __init__(self) -> None:
        self.bytes: dict[str, list[int]] = {"I": [], "P": [], "B": []}
        self._latest: int | None = None

    def add(self, packets: Iterable[av.Packet[Any]]) -> None:
        for packet in packets:
            stamp = packet.pts or 0
            # In the order of coding, a picture that is shown before one that was coded already is a B picture.
            kind = "I" if packet.is_keyframe else "B" if self._latest is not None and stamp < self._latest else "P"
            self.bytes[kind].append(packet.size - (_settings_bytes(bytes(packet)) if self._latest is None else 0))
            self._latest = stamp if self._latest is None else max(self._latest, stamp)

    def mean(self, kind: str) -> float:
        sizes = self.bytes[kind]
        return sum(sizes) / len(sizes) if sizes else 0.0

    @property
    def total(self) -> int:
        return sum(map(sum, self.bytes.values()))

    @property
    def count(self) -> int:
        return sum(map(len, self.bytes.values()))


def _settings_bytes(data: bytes) -> int:
    """Length of the message (SEI) in the first coded picture that holds x264's version and settings: 700 bytes of every clip."""
    start = data.find(_USER_DATA)
    return 0 if start < 0 else max(data.find(_START, start + len(_USER_DATA)) - start, 0)


class _Luma:
    """Statistics of luma over frames that follow each other, from every second sample either way.

    The sums are whole numbers below 2 ** 53, which float64 holds exactly, in whatever order they are added.
    """

    def __init__(self) -> None:
        self.means: list[float] = []
        self.variances: list[float] = []
        self.differences: list[float] = []
        self._before: NDArray[np.float64] | None = None

    def add(self, luma: NDArray[np.uint8], *, starts: bool) -> None:
        values = luma[::2, ::2].astype(np.float64).ravel()
        n, total = values.size, int(values.sum())
        self.means.append(total / n)
        # Not values @ values, whose threads wait busily for each other.
        self.variances.append((n * int((values * values).sum()) - total * total) / (n * n))
        if self._before is not None and not starts:
            self.differences.append(int(np.abs(values - self._before).sum()) / n)
        self._before = values


@publishes("probe")
def probe(
    path: Path,
    output: Path | None = None,
    *,
    samples: int = 0,
    saliency: Saliency | None = None,
    why_no_saliency: str = _NONE,
    cache: Path | None = None,
    advance: Advance | None = None,
) -> ProbeReport:
    """Measure how hard a clip is to encode.

    The same clip, settings and libraries give the same numbers on every run.

    Args:
        path: the clip.
        output: the report as JSON; None to write nothing.
        samples: measure so many stretches of `SAMPLE_FRAMES` frames, spread over the clip, each from a key frame on; 0 for
            every frame.
        saliency: what measures saliency; None leaves those numbers out.
        why_no_saliency: the reason that the report then states.
        cache: folder where reports are kept by the hash of what decides them; None for none.
        advance: called as frames are done.

    Raises:
        MissingFileError, InputError, IntegrityError: as `Reader`; also if the clip is interlaced or smaller than `SMALLEST`.
        UnavailableError: PyAV was built without x264.
    """
    if samples < 0:
        raise InputError(f"--samples is a number of stretches, 0 for the whole clip, not {samples}")
    return _probe(path, output, samples, saliency, why_no_saliency, cache, advance)


def _probe(
    path: Path,
    output: Path | None,
    samples: int,
    saliency: Saliency | None,
    why_no_saliency: str = _NONE,
    cache: Path | None = None,
    advance: Advance | None = None,
) -> ProbeReport:
    reading(path)
    if output is not None:
        claim(output)
    model = None if saliency is None else SaliencyModel(id=saliency.name, sha256=saliency.sha256)
    sha256 = sha256_file(path)
    call = Call("probe", args={"samples": samples, "saliency": saliency and saliency.name}, inputs={"video": path})
    kept = None if cache is None else cache / f"{_key(sha256, samples, model)}.probe.json"
    report = None if kept is None else _kept(kept)
    if report is None:
        report = _measure(path, sha256, samples, saliency, model, why_no_saliency, call.provenance(), advance)
        if kept is not None:
            write_text(kept, dumps(report.as_json()), at_once=True)
    else:
        report = report.model_copy(update={"video": path.name, "run_provenance": call.provenance()})
    return publish(report, output, call)


@publishes("probe")
def probe_table(
    paths: Sequence[Path],
    output: Path,
    *,
    samples: int = 0,
    saliency: Saliency | None = None,
    cache: Path | None = None,
    advance: Advance | None = None,
) -> int:
    """Write the facts of several clips as a table that `join` puts beside rows of encodes: a row per clip.

    Args:
        paths: the clips; the stem of each is its ``clip``.
        output: the table, parquet; facts that were not measured are left out.
        samples, saliency, cache: as in `probe`.
        advance: called with (clips done, clips in all).

    Returns:
        The number of rows.

    Raises:
        PyvmafError: as `probe`; also if two clips have one stem.
    """
    require("a table of probes", "pyarrow", extra="train")
    import pyarrow as pa
    import pyarrow.parquet as pq

    stems = [path.stem for path in paths]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise InputError(f"two of the videos would both be the clip {twice[0]!r}: rename one of them")
    claim(output)
    rows: list[dict[str, Any]] = []
    for done, path in enumerate(paths, start=1):
        report = _probe(path, None, samples, saliency, _NONE, cache)
        facts = {name: value for name, value in report.facts if name not in ("width", "height", "fps")}
        rows.append({"clip": path.stem, **{name: value for name, value in facts.items() if value is not None}})
        if advance is not None:
            advance(done, len(paths))
    with atomic_path(output) as temporary:
        pq.write_table(pa.Table.from_pylist(rows), temporary, compression="zstd")
    write_manifest(
        output,
        verb="probe",
        args={"samples": samples, "saliency": None if saliency is None else saliency.name},
        inputs={"videos": list(paths)},
        outputs={"table": output},
        details={"rows": len(rows)},
    )
    return len(rows)


def _key(sha256: str, samples: int, model: SaliencyModel | None) -> str:
    """Hash of everything that decides a report."""
    return content_hash(
        {
            "clip": sha256,
            "samples": samples,
            "options": dict(OPTIONS),
            "saliency": None if model is None else model.sha256,
            "code": identity("probe"),
            "packages": package_versions("probe"),
        }
    )


def _kept(path: Path) -> ProbeReport | None:
    """Read a report of the cache; None if there is none that is whole."""
    if not path.is_file():
        return None
    try:
        return ProbeReport.parse(path.read_bytes(), os.fspath(path))
    except IntegrityError:
        return None


def _measure(
    path: Path,
    sha256: str,
    samples: int,
    saliency: Saliency | None,
    model: SaliencyModel | None,
    why_no_saliency: str,
    provenance: RunProvenance,
    advance: Advance | None,
) -> ProbeReport:
    reader = Reader(path)
    form = reader.presentation.format(reader.coded)
    rate = Fraction(form.fps)
    band = _Band(path, form.width, form.height)
    fast, luma, shots = _FastEncode(band.width, band.lines, rate), _Luma(), ShotDetector()
    total = SAMPLE_FRAMES * samples or reader.stated_frames or 0
    small = _Scaler(max(form.width // 4, 1), max(form.height // 4, 1), "yuv420p")
    # A few samples of a frame are enough to find cuts.
    shrink = _Scaler(WIDTH, HEIGHT, "gray")
    since = 0
    for index, (frame, starts) in enumerate(_stretches(reader, samples)):
        since = 0 if starts else since + 1
        place = since % PERIOD
        if place < MEASURED:
            luma.add(_luma(small(frame)), starts=place == 0)
        if place < STRETCH:
            fast.add(band.of(frame), starts=place == 0)
        shots.add_thumbnail(_luma(shrink(frame)))
        if advance is not None:
            advance(index + 1, total)
    sizes, vmaf = fast.finish()
    if error := refuse_interlaced(path, reader.interlaced, reader.stream.field_order):
        raise error
    every = max(1, shots.frames // SALIENCY_FRAMES)
    salient = [] if saliency is None else list(saliency.measure(path, every))
    facts = Facts(
        probe_bitrate_kbps=float(sizes.total * 8 * rate / sizes.count / 1000),
        probe_i_bytes=sizes.mean("I"),
        probe_p_bytes=sizes.mean("P"),
        probe_b_bytes=sizes.mean("B"),
        probe_vmaf=vmaf,
        saliency_mean=float(np.mean([mean for mean, _ in salient])) if salient else None,
        saliency_var=float(np.mean([variance for _, variance in salient])) if salient else None,
        frame_diff_mean=float(np.mean(luma.differences)) if luma.differences else 0.0,
        luma_mean=float(np.mean(luma.means)),
        luma_var=float(np.mean(luma.variances)),
        shot_length_frames=shots.frames / len(shots.shots()),
        fps=float(rate),
        width=form.width,
        height=form.height,
    )
    return ProbeReport(
        video=path.name,
        sha256=sha256,
        frames=shots.frames,
        encoded=sizes.count,
        samples=samples,
        pictures={"I": len(sizes.bytes["I"]), "P": len(sizes.bytes["P"]), "B": len(sizes.bytes["B"])},
        encode=FastEncode(encoder=ENCODER, width=band.width, height=band.lines, options=dict(OPTIONS)),
        facts=facts,
        saliency=model,
        absent={name: why_no_saliency for name, value in facts if value is None},
        run_provenance=provenance,
    )


class _Band:
    """The middle lines of pictures of one size, as 8-bit pictures 4:2:0 whose sides are even.

    Args:
        path: the clip, for messages.
        width, height: of its pictures.

    Raises:
        InputError: the pictures are too small.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        if min(width, height) < SMALLEST:
            raise InputError(f"{path} is {width}x{height}: a probe needs {SMALLEST} samples or more on either side")
        self.width = width // 2 * 2
        self.lines = min(max(round(height / BAND / 16) * 16, LEAST_LINES), height // 2 * 2)
        # A multiple of 4 is the first of its lines in a plane of any subsampling.
        self._first = (height - self.lines) // 2 // 4 * 4
        self._scale = _Scaler(self.width, self.lines, "yuv420p")

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the band of a picture."""
        import av

        if frame.format.has_palette or frame.format.is_bit_stream:
            frame = frame.reformat(format="yuv420p", threads=1)
        part = av.VideoFrame(self.width, self.lines, frame.format.name)
        part.color_range, part.colorspace = frame.color_range, frame.colorspace
        for whole, cut in zip(frame.planes, part.planes, strict=True):
            first = self._first // round(frame.height / whole.height)
            columns = min(whole.line_size, cut.line_size)
            _rows(cut)[:, :columns] = _rows(whole)[first : first + cut.height, :columns]
        return self._scale(part)


class _FastEncode:
    """The fast encode, picture by picture, with its sizes and its quality.

    Raises:
        UnavailableError: PyAV was built without the encoder.
    """

    def __init__(self, width: int, height: int, rate: Fraction) -> None:
        import av

        self._context, self._sizes = _encoder(width, height, rate), _Sizes()
        self._decoder = av.CodecContext.create("h264", "r")
        self._decoder.thread_count = 1
        self._quality = Quality(width, height)
        # Pictures that were encoded and not decoded yet, by their number.
        self._waiting: dict[int, av.VideoFrame] = {}
        self._count = 0

    def add(self, frame: av.VideoFrame, *, starts: bool) -> None:
        frame.pts, frame.time_base = self._count, self._context.time_base
        # The first frame of a stretch has nothing to be predicted from.
        frame.pict_type = 1 if starts else 0
        self._waiting[self._count] = frame
        self._count += 1
        self._take(self._context.encode(frame))

    def finish(self) -> tuple[_Sizes, float]:
        """Return the sizes of the pictures, and their mean VMAF."""
        self._take(self._context.encode(None))
        self._measure(self._decoder.decode(None))
        return self._sizes, self._quality.mean()

    def _take(self, packets: Sequence[av.Packet[Any]]) -> None:
        self._sizes.add(packets)
        for packet in packets:
            self._measure(self._decoder.decode(packet))

    def _measure(self, decoded: Iterable[Any]) -> None:
        for picture in decoded:
            measured = _luma(picture) if picture.pts % SCORED == 0 else None
            self._quality.add(_luma(self._waiting.pop(picture.pts)), measured)


def _encoder(width: int, height: int, rate: Fraction) -> av.VideoCodecContext:
    """Open the fast encoder.

    Raises:
        UnavailableError: PyAV was built without it.
    """
    import av

    try:
        context = av.CodecContext.create(ENCODER, "w")
    except av.codec.codec.UnknownCodecError as err:
        raise UnavailableError(
            f"this build of PyAV does not have {ENCODER}: install a wheel of the package av"
        ) from err
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    # What a CRF means depends on how long a frame is shown.
    context.time_base, context.framerate = 1 / rate, rate
    context.options = dict(OPTIONS)
    if has_avx512():
        context.options["x264-params"] += "".join(f":{entry}" for entry in ENCODERS[ENCODER].avx512_params)
    context.thread_count = 1
    return context


class _Scaler:
    """Scales frames one after another, with what the first one took to prepare."""

    def __init__(self, width: int, height: int, pix_fmt: str) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformat = VideoReformatter().reformat
        self._form = (width, height, pix_fmt)

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        return self._reformat(frame, *self._form, interpolation="FAST_BILINEAR", threads=1)


def _rows(plane: av.video.plane.VideoPlane) -> NDArray[np.uint8]:
    """Bytes of a plane, [height, bytes of a line]."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height]


def _luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Luma samples of an 8-bit frame, [height, width]."""
    return _rows(frame.planes[0])[: frame.height, : frame.width]


def _stretches(reader: Reader, samples: int) -> Iterator[tuple[av.VideoFrame, bool]]:
    """Give the frames to measure, and whether each is the first of a stretch."""
    stamps = sorted(packet.pts for packet in reader.packets() if packet.pts is not None) if samples else []
    if len(stamps) <= samples * SAMPLE_FRAMES:
        # A clip that is no longer than its samples, or whose pictures have no time stamps, is measured as a whole.
        yield from ((frame, index == 0) for index, frame in enumerate(reader.frames()))
        return
    for number in range(samples):
        middle = len(stamps) * (2 * number + 1) // (2 * samples)
        stretch = reader.frames(since=stamps[middle - SAMPLE_FRAMES // 2])
        yield from ((frame, index == 0) for index, frame in enumerate(islice(stretch, SAMPLE_FRAMES)))
        stretch.close()
