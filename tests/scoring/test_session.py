"""Streaming: complete rows one frame late, equal to the batch."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvmaf import engines
from pyvmaf.engines.libvmaf import engine
from pyvmaf.engines.libvmaf.engine import Libvmaf
from pyvmaf.engines.protocol import Requests, Stream
from pyvmaf.errors import InputError, NativeError
from pyvmaf.scoring.handed import Taking, read_frame
from pyvmaf.scoring.score import score
from pyvmaf.scoring.session import FrameWarning, Session
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Planes, Reader
from tests.fuzz import session as fuzz
from tests.make.interrupts import Interrupt

FEATURES = "canonical6,motion,motion3,psnr_cb"


@pytest.fixture(scope="module")
def frames(pair: tuple[Path, Path]) -> list[tuple[Planes, Planes]]:
    return list(zip(Reader(pair[0]).planes(), Reader(pair[1]).planes(), strict=True))


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_equal_the_batch(
    pair: tuple[Path, Path], frames: list[tuple[Planes, Planes]], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Contexts are renewed several times on the way.
    monkeypatch.setattr(engine, "BLOCK", 25)
    rows = list(Session(FEATURES, threads=threads).stream(frames))
    batch = score(*pair, features=FEATURES)
    assert [row["frame_index"] for row in rows] == list(range(120))
    for name, values in batch.columns.items():
        np.testing.assert_array_equal([row[name] for row in rows], values, err_msg=name)


def test_each_row_comes_one_frame_late(frames: list[tuple[Planes, Planes]]) -> None:
    with Session() as stream:
        assert stream.push(*frames[0]) == []
        for index in range(1, 6):
            assert [row["frame_index"] for row in stream.push(*frames[index])] == [index - 1]
        assert [row["frame_index"] for row in stream.finish()] == [5]
        with pytest.raises(NativeError, match="finished after 6 frames"):
            stream.push(*frames[6])


def test_pyav_frames_and_strided_planes_score_alike(
    pair: tuple[Path, Path], frames: list[tuple[Planes, Planes]]
) -> None:
    def av_frames(path: Path) -> list[av.VideoFrame]:
        with av.open(str(path)) as container:
            return [frame for frame, _ in zip(container.decode(video=0), range(8), strict=False)]

    def padded(planes: Planes) -> list[np.ndarray]:
        wide = [np.zeros((p.shape[0], p.shape[1] * 2 + 5), p.dtype) for p in planes]
        for w, p in zip(wide, planes, strict=True):
            w[:, : 2 * p.shape[1] : 2] = p
        return [w[:, : 2 * p.shape[1] : 2] for w, p in zip(wide, planes, strict=True)]

    plain = list(Session().stream(frames[:8]))
    assert list(Session().stream(zip(av_frames(pair[0]), av_frames(pair[1]), strict=True))) == plain
    assert list(Session().stream((padded(r), padded(d)) for r, d in frames[:8])) == plain


def test_arrays_of_other_libraries_are_read_in_place(frames: list[tuple[Planes, Planes]]) -> None:
    class Exchanged:
        """Nothing but the protocol: no buffer, no array interface."""

        def __init__(self, array: np.ndarray) -> None:
            self._array = array

        def __dlpack__(self, **options: Any) -> Any:
            assert not options.get("copy")
            return self._array.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self._array.__dlpack_device__()

    torch = pytest.importorskip("torch")
    plain = list(Session().stream(frames[:3]))
    exchange: Any
    for exchange in (torch.from_numpy, Exchanged):
        handed: Any = [tuple([exchange(np.array(p)) for p in side] for side in pair) for pair in frames[:3]]
        assert list(Session().stream(handed)) == plain
    luma = [tuple(torch.from_numpy(np.array(side[0]))[None] for side in pair) for pair in frames[:3]]
    assert list(Session().stream(luma)) == plain
    deep = torch.zeros((64, 128), dtype=torch.uint16)[:, ::2]
    read = read_frame([deep], "a frame", Taking())
    assert read.planes[0].ctypes.data == deep.data_ptr()
    assert (read.form.bit_depth, read.planes[0].strides) == (10, (256, 4))


@pytest.mark.parametrize(
    ("device", "message"),
    [((2, 1), "memory of a CUDA device, index 1: copy"), ((99, 0), "memory of a device of DLPack's type 99, index 0")],
)
def test_arrays_that_a_processor_cannot_read_are_refused(device: tuple[int, int], message: str) -> None:
    class Elsewhere:
        def __dlpack__(self, **_: Any) -> Any:
            raise AssertionError("nothing is asked for memory of a device")

        def __dlpack_device__(self) -> tuple[int, int]:
            return device

    for frame in (Elsewhere(), [Elsewhere()]):
        with Session() as session, pytest.raises(InputError, match=message):
            session.push(frame, frame)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"device": "meta", "dtype": "uint8"}, "cannot be read as an array"),
        ({"dtype": "float32", "requires_grad": True}, "cannot be read as an array"),
        ({"dtype": "bfloat16"}, "cannot be read as an array"),
        ({"dtype": "float32"}, "samples are float32"),
    ],
)
def test_tensors_without_samples_are_refused(words: dict[str, Any], message: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.zeros((64, 64), **{**words, "dtype": getattr(torch, words["dtype"])})
    with Session() as session, pytest.raises(InputError, match=message):
        session.push([tensor], [tensor])


def test_buffers_may_be_reused(frames: list[tuple[Planes, Planes]]) -> None:
    plain = list(Session().stream(frames[:6]))
    buffers = tuple(np.empty_like(p) for p in frames[0][0]), tuple(np.empty_like(p) for p in frames[0][1])
    with Session(threads=2) as stream:
        rows = []
        for pair in frames[:6]:
            for side, planes in zip(buffers, pair, strict=True):
                for buffer, plane in zip(side, planes, strict=True):
                    buffer[:] = plane
            rows += stream.push(*buffers)
            for side in buffers:
                for buffer in side:
                    buffer[:] = 0
        rows += stream.finish()
    assert rows == plain


def test_luma_only_and_a_single_frame(frames: list[tuple[Planes, Planes]], pair: tuple[Path, Path]) -> None:
    luma = [(r[:1], d[:1]) for r, d in frames[:3]]
    assert list(Session().stream(luma)) == list(Session().stream(frames[:3]))
    with Session("motion2,motion3,motion") as stream:
        stream.push(*frames[0])
        (row,) = stream.finish()
    batch = score(*pair, features="motion2,motion3,motion", frames=(0, 1))
    assert {n: row[n] for n in ("motion", "motion2")} == {n: batch[n][0] for n in ("motion", "motion2")}


def test_frames_of_two_formats_are_refused(frames: list[tuple[Planes, Planes]]) -> None:
    reference, distorted = frames[0]
    with (
        Session() as stream,
        pytest.raises(InputError, match="reference is 176x144 yuv420p, the distorted one is 176x144 gray"),
    ):
        stream.push(reference, distorted[:1])


def test_a_frame_of_another_size_is_refused(frames: list[tuple[Planes, Planes]]) -> None:
    reference, distorted = frames[0]
    with Session() as stream:
        stream.push(reference, distorted)
        half = tuple(p[: p.shape[0] // 2] for p in reference)
        with pytest.raises(InputError, match="frame 1 is 176x72 yuv420p, those before it were 176x144"):
            stream.push(half, half)


def test_samples_of_another_type_are_refused(frames: list[tuple[Planes, Planes]]) -> None:
    reference, distorted = frames[0]
    with Session() as stream, pytest.raises(InputError, match="samples are float64"):
        stream.push([reference[0] / 255.0], [distorted[0] / 255.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "adm"}, r"unknown feature 'adm': did you mean 'adm2'\?"),
        ({"model": "vmaf_v1.0.16_hfr_3d0h"}, "known at the end of a clip only"),
    ],
)
def test_features_and_models_that_a_session_does_not_have_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Session(**options)


@settings(max_examples=60)
@given(
    options=st.builds(
        fuzz.Options,
        layout=st.sampled_from(["420", "422", "444", "400"]),
        bits=st.sampled_from([8, 10, 12, 16]),
        threads=st.sampled_from([1, 2]),
    ),
    steps=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(list(fuzz.SAME)), st.sampled_from(list(fuzz.SAME))),
            st.tuples(st.sampled_from(list(fuzz.SAME)), st.sampled_from(list(fuzz.REFUSED))),
            st.tuples(st.sampled_from(list(fuzz.REFUSED)), st.sampled_from(list(fuzz.SAME))),
        ),
        min_size=1,
        max_size=7,
    ),
)
def test_a_refused_pair_changes_nothing(options: fuzz.Options, steps: list[tuple[str, str]]) -> None:
    fuzz.check(options, steps)


@pytest.mark.parametrize("seed", range(30))
def test_random_calls(seed: int) -> None:
    fuzz.check(*fuzz.draw(seed))


def test_a_refused_first_pair_leaves_the_session_open(frames: list[tuple[Planes, Planes]]) -> None:
    luma = [(r[:1], d[:1]) for r, d in frames[:4]]
    with Session("canonical6,psnr_cb") as session:
        with pytest.raises(InputError, match="feature 'psnr_cb' cannot be computed"):
            session.push(*luma[0])
        assert list(session.stream(frames[:4])) == list(Session("canonical6,psnr_cb").stream(frames[:4]))


def _interrupted(options: fuzz.Options, at: int, after: int) -> tuple[list[dict[str, Any]] | None, bool]:
    """Score five pairs, interrupt the call number `at`, and make it again.

    Returns:
        The rows, None if the session refused to go on; and whether the interrupt came before the call ended.
    """
    rows: list[dict[str, Any]] = []
    interrupt = Interrupt(after)
    with options.open() as session:
        for index in range(6):
            pair = fuzz.pair_of(index, options)
            for _ in range(2):
                try:
                    if index == at and interrupt.left == after:
                        sys.setprofile(interrupt)
                    rows += session.push(*pair) if index < 5 else session.finish()
                    break
                except NativeError:
                    return None, True
                except (KeyboardInterrupt, RuntimeError):
                    # The second is threading's, where an interrupt comes between a lock and its release.
                    continue
                finally:
                    sys.setprofile(None)
    return rows, interrupt.left < 0


# Python drops an exception that comes while a generator is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("at", [0, 3, 5])
def test_an_interrupted_call_is_repeated_or_ends_the_session(at: int, threads: int) -> None:
    options = fuzz.Options(threads=threads, features="adm2,motion2")
    want = list(options.open().stream(fuzz.pair_of(index, options) for index in range(5)))
    outcomes = set()
    # The first call opens contexts, which takes long.
    for after in count(0, 1 if at else 9):
        rows, interrupted = _interrupted(options, at, after)
        assert rows is None or rows == want, f"interrupted after {after} events"
        if not interrupted:
            break
        outcomes.add(rows is None)
    assert outcomes == {True, False}


def _interrupt_push(_number: int, frame: FrameType | None) -> None:
    """Handle a signal like Ctrl-C, if it comes inside of `Session.push`."""
    while frame is not None:
        if frame.f_code is Session.push.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_in_the_middle_never_gives_wrong_rows(frames: list[tuple[Planes, Planes]], threads: int) -> None:
    want = list(Session("adm2,motion2", None).stream(frames[:6]))
    previous = signal.signal(signal.SIGALRM, _interrupt_push)
    try:
        for delay in np.random.default_rng(0).uniform(1e-5, 4e-3, 40):
            rows: list[dict[str, Any]] = []
            with Session("adm2,motion2", None, threads=threads) as session:
                try:
                    for index, pair in enumerate(frames[:6]):
                        if index == 2:
                            signal.setitimer(signal.ITIMER_REAL, delay)
                        try:
                            new = session.push(*pair)
                        except KeyboardInterrupt:
                            new = session.push(*pair)
                        rows += new
                    rows += session.finish()
                except NativeError:
                    continue
            assert rows == want
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_an_interrupted_stream_ends_the_session(frames: list[tuple[Planes, Planes]]) -> None:
    def pairs() -> Iterator[tuple[Planes, Planes]]:
        yield from frames[:3]
        raise KeyboardInterrupt

    session = Session("adm2", None)
    rows = session.stream(pairs())
    assert next(rows)["frame_index"] == 0
    with pytest.raises(KeyboardInterrupt):
        list(rows)
    with pytest.raises(NativeError, match="KeyboardInterrupt stopped the session"):
        session.push(*frames[3])


class _Waiting(Libvmaf):
    """An engine whose streams wait inside `push` until they are let go."""

    name = "waiting"
    inside, go = threading.Event(), threading.Event()

    def stream(self, requests: Requests, form: Format) -> Stream:
        stream = super().stream(requests, form)
        push = stream.push

        def wait(reference: Planes, distorted: Planes | None) -> None:
            self.inside.set()
            assert self.go.wait(60)
            push(reference, distorted)

        stream.push = wait  # type: ignore[method-assign]
        return stream


ENGINE = _Waiting()


def test_a_call_during_another_is_refused(frames: list[tuple[Planes, Planes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ENGINES", {**engines.ENGINES, "waiting": __name__})
    session = Session("adm2,motion2", None, backend="waiting")
    rows: list[dict[str, Any]] = []
    other = threading.Thread(target=lambda: rows.extend(session.push(*frames[0])))
    other.start()
    assert ENGINE.inside.wait(60)
    with pytest.raises(NativeError, match="one thread at a time"):
        session.push(*frames[1])
    with pytest.raises(NativeError, match="one thread at a time"):
        session.finish()
    ENGINE.go.set()
    other.join()
    rows += list(session.stream(frames[1:4]))
    assert rows == list(Session("adm2,motion2", None).stream(frames[:4]))


def test_threads_that_share_a_session_get_each_row_once(frames: list[tuple[Planes, Planes]]) -> None:
    session = Session("psnr_y", None)
    accepted: list[int] = []
    rows: list[dict[str, Any]] = []

    def work(own: range) -> None:
        for index in own:
            try:
                rows.extend(session.push(*frames[index]))
                accepted.append(index)
            except NativeError:
                continue

    workers = [threading.Thread(target=work, args=(range(start, 80, 4),)) for start in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rows += session.finish()
    assert sorted(row["frame_index"] for row in rows) == list(range(len(accepted)))
    alone = [row["psnr_y"] for row in Session("psnr_y", None).stream([frames[i] for i in sorted(accepted)])]
    assert sorted(row["psnr_y"] for row in rows) == sorted(alone)


@pytest.mark.parametrize(
    "options",
    [
        *({"bits": bits} for bits in (0, -8, 7, 9, 11, 13, 17, 32, True, 8.0, "8")),
        *({"layout": layout} for layout in ("411", "", "yuv420p", None, 420)),
        *({"threads": threads} for threads in (0, -1, 1.5, "2", None)),
    ],
    ids=str,
)
def test_layouts_and_depths_that_there_are_not_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"bits|layout|threads"):
        Session(**options)


def _pictures(path: Path, number: int, **stated: int) -> list[av.VideoFrame]:
    """Decode the first frames of a file, and let them state another colour."""
    with av.open(str(path)) as container:
        pictures = [frame for frame, _ in zip(container.decode(video=0), range(number), strict=False)]
    for picture in pictures:
        for name, value in stated.items():
            setattr(picture, name, value)
    return pictures


_SDR = {"color_range": 1, "colorspace": 1, "color_trc": 1, "color_primaries": 1}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"color_range": 2}, "colour ranges differ"),
        ({"color_range": 2, "colorspace": 2, "color_trc": 2, "color_primaries": 2}, "colour ranges differ"),
        ({"colorspace": 6}, "colour matrices differ"),
        ({"color_trc": 18}, "transfer functions differ"),
        ({"color_trc": 16, "color_primaries": 9, "colorspace": 9}, "transfer functions differ"),
    ],
    ids=str,
)
@pytest.mark.parametrize("swapped", [False, True])
def test_frames_that_state_other_colours_are_refused(
    pair: tuple[Path, Path], stated: dict[str, int], message: str, swapped: bool
) -> None:
    ours, theirs = _pictures(pair[0], 3, **_SDR), _pictures(pair[1], 3, **_SDR)
    other = _pictures(pair[int(not swapped)], 2, **(_SDR | stated))
    session = Session("psnr_y", None)
    with pytest.raises(InputError, match=message):
        session.push(*((other[0], theirs[0]) if swapped else (ours[0], other[0])))
    rows = session.push(ours[0], theirs[0])
    # One side cannot change its colour on the way either, nor can both.
    for left, right in ((other[1], theirs[1]), (ours[1], other[1]), (other[1], other[1])):
        with pytest.raises(InputError, match="changes its colours"):
            session.push(left, right)
    rows += list(session.stream(zip(ours[1:], theirs[1:], strict=True)))
    assert rows == list(Session("psnr_y", None).stream(zip(ours, theirs, strict=True)))
    assert session.notes == []


def test_full_range_has_two_names(pair: tuple[Path, Path]) -> None:
    full = [p.reformat(format="yuvj420p", src_color_range=2, dst_color_range=2) for p in _pictures(pair[0], 2, **_SDR)]
    limited = _pictures(pair[1], 2, **_SDR)
    with Session("psnr_y", None) as session, pytest.raises(InputError, match="colour ranges differ"):
        session.push(full[0], limited[0])
    tagged = _pictures(pair[1], 2, **(_SDR | {"color_range": 2}))
    assert len(list(Session("psnr_y", None).stream(zip(full, tagged, strict=True)))) == 2


def test_a_doubt_about_colours_is_a_warning(pair: tuple[Path, Path]) -> None:
    ours, theirs = _pictures(pair[0], 3, **_SDR), _pictures(pair[1], 3, **(_SDR | {"color_primaries": 9}))
    session = Session("psnr_y", None)
    with pytest.warns(FrameWarning, match="colour primaries differ") as caught:
        rows = list(session.stream(zip(ours, theirs, strict=True)))
    assert len(caught) == len(session.notes) == 1
    assert rows == list(Session("psnr_y", None).stream(zip(ours, _pictures(pair[1], 3, **_SDR), strict=True)))


@pytest.mark.parametrize(
    "pix_fmt", ["nv12", "nv21", "yuvj420p", "yuv422p", "nv16", "yuyv422", "uyvy422", "p010le", "p210le"]
)
def test_frames_of_every_format_score_as_files_do(pair: tuple[Path, Path], pix_fmt: str) -> None:
    """Formats that hold the same samples in another order give the rows of planes."""
    form = Format(176, 144, pix_fmt).measurable
    assert form is not None

    # The j says that samples have full range: FFmpeg would convert them from another one.
    stays = {"src_color_range": 2, "dst_color_range": 2} if "j" in pix_fmt else {}

    def converted(path: Path, name: str) -> list[av.VideoFrame]:
        plain = [picture.reformat(format=form.pix_fmt, **stays) for picture in _pictures(path, 2)]
        return [picture.reformat(format=name, **stays) for picture in plain]

    features = "adm2,motion2,psnr_y,psnr_cb"
    want = list(Session(features).stream(zip(*(converted(path, form.pix_fmt) for path in pair), strict=True)))
    assert list(Session(features).stream(zip(*(converted(path, pix_fmt) for path in pair), strict=True))) == want


@pytest.mark.parametrize(
    ("pix_fmt", "size"), [("grayf32le", (64, 64)), ("bgra", (64, 64)), ("yuva420p", (64, 64)), ("xyz12le", (64, 64))]
)
def test_frames_of_other_formats_are_refused(pix_fmt: str, size: tuple[int, int]) -> None:
    frame = av.VideoFrame(*size, pix_fmt)
    with Session() as session, pytest.raises(InputError, match=pix_fmt):
        session.push(frame, frame)


def test_what_is_handed_over_is_named() -> None:
    rgb = np.zeros((360, 640, 3), np.uint8)
    masked = np.ma.masked_greater(np.zeros((64, 64), np.uint8), 3)
    for frame, message in (
        (rgb, r"shape \(360, 640, 3\), as RGB has it"),
        ([rgb], r"shape \(360, 640, 3\), as RGB has it"),
        (rgb[..., 0], r"one array of shape \(360, 640\)"),
        ([rgb[..., 0]] * 4, "has 4 planes"),
        ([rgb[..., 0]] * 3, r"plane 1 .* shape \(360, 640\), but \(180, 320\)"),
        ([masked], "masked"),
        (7, "type int"),
    ):
        with Session() as session, pytest.raises(InputError, match=message):
            session.push(frame, frame)  # type: ignore[arg-type]


def _run(ffmpeg: str, *words: object) -> None:
    subprocess.run([ffmpeg, "-nostdin", "-v", "error", "-y", *map(str, words)], check=True, timeout=120)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_frames_that_players_turn_are_turned(pair: tuple[Path, Path], ffmpeg: str, tmp_path: Path, angle: int) -> None:
    plain, turned, encode = tmp_path / "plain.mp4", tmp_path / "turned.mp4", tmp_path / "encode.mp4"
    _run(ffmpeg, "-i", pair[0], "-frames:v", 3, "-c:v", "libx264", "-qp", 0, plain)
    _run(ffmpeg, "-display_rotation:v:0", angle, "-i", plain, "-c", "copy", turned)
    # FFmpeg turns the pictures when it encodes.
    _run(ffmpeg, "-i", turned, "-c:v", "libx264", "-crf", 30, encode)
    session = Session()
    with pytest.warns(FrameWarning, match="turned by"):
        rows = list(session.stream(zip(_pictures(turned, 3), _pictures(encode, 3), strict=True)))
    batch = score(turned, encode)
    assert [row["vmaf"] for row in rows] == batch["vmaf"].tolist()
    assert min(batch["vmaf"]) > 60
    (note,) = session.notes
    assert "as players show it" in note


def test_interlaced_frames_against_progressive_ones_are_refused(
    pair: tuple[Path, Path], ffmpeg: str, tmp_path: Path
) -> None:
    interlaced = tmp_path / "interlaced.mkv"
    coding = ("-flags", "+ilme+ildct", "-x264-params", "tff=1", "-c:v", "libx264", "-crf", 20)
    _run(ffmpeg, "-i", pair[0], "-frames:v", 3, "-vf", "setfield=tff", *coding, interlaced)
    fields, whole = _pictures(interlaced, 3), _pictures(pair[1], 3)
    assert fields[0].interlaced_frame
    session = Session("psnr_y", None)
    for one, other in ((fields[0], whole[0]), (whole[0], fields[0])):
        with pytest.raises(InputError, match="is interlaced"):
            session.push(one, other)
    assert len(list(session.stream(zip(whole, whole, strict=True)))) == 3
    with pytest.warns(FrameWarning, match="interlaced"):
        assert len(list(Session("psnr_y", None).stream(zip(fields, fields, strict=True)))) == 3


def test_alpha_is_left_out_and_luma_compared_alone_on_request(pair: tuple[Path, Path]) -> None:
    pictures = [_pictures(path, 3) for path in pair]

    def reformatted(pix_fmt: str, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        return [frame.reformat(format=pix_fmt) for frame in frames]

    want = list(Session().stream(zip(*pictures, strict=True)))
    alpha = [reformatted("yuva420p", frames) for frames in pictures]
    with pytest.raises(InputError, match="alpha"):
        Session().push(alpha[0][0], alpha[1][0])
    assert list(Session(drop_alpha=True).stream(zip(*alpha, strict=True))) == want
    mixed = pictures[0], reformatted("yuv444p", pictures[1])
    with pytest.raises(InputError, match="yuv420p, the distorted one is 176x144 yuv444p"):
        Session().push(mixed[0][0], mixed[1][0])
    assert list(Session(luma_only=True).stream(zip(*mixed, strict=True))) == want


def test_a_conversion_of_samples_is_told(pair: tuple[Path, Path]) -> None:
    rgb = [[frame.reformat(format="rgb24") for frame in _pictures(path, 2)] for path in pair]
    session = Session()
    with pytest.warns(FrameWarning, match=r"is rgb24: converted to yuv444p by BT\.601"):
        assert len(list(session.stream(zip(*rgb, strict=True)))) == 2
    assert len(session.notes) == 2
