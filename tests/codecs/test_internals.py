"""What encoders state about themselves: the bytes stay, and the values are those of other sources about the same pictures."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.base.manifest import read_manifest
from pyvmaf.codecs.internals import internals
from pyvmaf.encodes.encode import Encoded, encode
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.encodes.record import INTERNALS
from pyvmaf.video.reader import Reader
from tests.make.builders import cut

QUANTISERS = {"bits_mean", "bits_std", "qp_mean", "qp_std"}
ALL = {name.removeprefix("enc_internal_") for name in INTERNALS}


@pytest.fixture(scope="module")
def clip(embedded_corpus: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(embedded_corpus["bikes_1"], tmp_path_factory.mktemp("clip") / "clip.mkv", 9, "-vf", "crop=128:96")


def _plain(ffmpeg: str, clip: Path, done: Encoded, output: Path, *more: str) -> str:
    """Encode with the options that the manifest states and nothing else; return FFmpeg's log."""
    arguments = read_manifest(done.path)["details"]["arguments"]
    if more and more[0] in arguments:
        arguments[arguments.index(more[0]) + 1] += f":{more[1]}"
        more = ()
    words = [ffmpeg, "-y", "-i", str(clip), "-map", "0:v", *arguments, *more, "-f", "matroska", str(output)]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def _packets(path: Path) -> list[bytes]:
    return [bytes(packet) for packet in Reader(path).packets()]


@pytest.mark.parametrize(
    ("codec", "preset", "extra", "stated"),
    [
        ("libx264", "medium", [], ALL),
        ("libx264", "ultrafast", ["-maxrate", "90k", "-bufsize", "90k"], ALL),
        ("libx265", "ultrafast", [], QUANTISERS),
        ("libsvtav1", "12", [], QUANTISERS),
        ("libvvenc", "faster", [], QUANTISERS),
        ("libvpx-vp9", "realtime", [], QUANTISERS),
    ],
)
def test_to_ask_an_encoder_leaves_its_bytes(
    clip: Path, ffmpeg: str, tmp_path: Path, codec: str, preset: str, extra: list[str], stated: set[str]
) -> None:
    done = encode(clip, tmp_path / "encode.mkv", encoder_rung(codec, preset, 34, extra=extra))
    _plain(ffmpeg, clip, done, tmp_path / "plain.mkv")
    assert _packets(done.path) == _packets(tmp_path / "plain.mkv")

    record = done.record.as_json()
    unknown = {name for name in read_manifest(done.path)["details"]["unavailable"] if name in INTERNALS}
    assert {name.removeprefix("enc_internal_") for name in set(INTERNALS) - unknown} == stated
    assert all(record[name] == 0 for name in unknown)
    sizes = np.array([8 * len(packet) for packet in _packets(done.path)])
    assert record["enc_internal_bits_mean"] == pytest.approx(sizes.mean())
    assert record["enc_internal_bits_std"] == pytest.approx(sizes.std())
    assert not {"-pass", "-vstats_file"} & set(record["extra_params"])


def test_x264_agrees_with_its_log_and_its_sizes(clip: Path, ffmpeg: str, tmp_path: Path) -> None:
    """The log of a plain encode has means by type of picture, rounded to .01 and .1 %."""
    done = encode(clip, tmp_path / "encode.mkv", encoder_rung("libx264", "medium", 30))
    log = _plain(ffmpeg, clip, done, tmp_path / "plain.mkv")
    pictures = {kind: (int(n), float(qp)) for kind, n, qp in re.findall(r"frame (\w):(\d+) +Avg QP:([\d.]+)", log)}
    blocks = dict(re.findall(r"mb (\w) +(.*)", log))
    total = sum(n for n, _ in pictures.values())
    intra = {kind: sum(map(float, re.findall(r"[\d.]+(?=%)", line)[:3])) for kind, line in blocks.items()}
    skipped = {kind: float(next(iter(re.findall(r"skip: *([\d.]+)%", line)), 0)) for kind, line in blocks.items()}
    record = done.record
    assert total == 9
    assert record.enc_internal_qp_mean == pytest.approx(sum(n * qp for n, qp in pictures.values()) / 9, abs=0.006)
    assert record.enc_internal_qp_std > 0
    for found, shares in ((record.enc_internal_intra_ratio, intra), (record.enc_internal_skip_ratio, skipped)):
        assert found == pytest.approx(sum(n * shares[kind] for kind, (n, _) in pictures.items()) / 900, abs=0.002)
    # Bits of slices are those of texture, of motion and modes, and headers. A packet is units after their lengths.
    slices = 0
    for packet in _packets(done.path):
        start = 0
        while start < len(packet):
            end = start + 4 + int.from_bytes(packet[start : start + 4])
            slices += 8 * (end - start) * (packet[start + 4] & 31 in (1, 5))
            start = end
    n = pictures["I"][0]
    texture = n * record.enc_internal_itex_mean + (9 - n) * record.enc_internal_ptex_mean
    assert 0.7 < (texture + 9 * record.enc_internal_mv_mean) / slices < 1
    assert record.enc_internal_mv_std > 0


def test_x264_in_numbers(tmp_path: Path) -> None:
    lines = [
        "#options: 128x96 fps=25/1 …",
        "in:0 out:0 type:I dur:2 cpbdur:2 q:34.03 aq:25.00 tex:900 mv:90 misc:10 imb:48 pmb:0 smb:0 d:- ref:;",
        "in:2 out:1 type:P dur:2 cpbdur:2 q:34.03 aq:29.00 tex:200 mv:30 misc:10 imb:6 pmb:30 smb:12 d:- ref:0 ;",
        "in:1 out:2 type:b dur:2 cpbdur:2 q:36.03 aq:30.00 tex:100 mv:0 misc:10 imb:0 pmb:8 smb:40 d:t ref:0 ;",
    ]
    (tmp_path / "s-0.log").write_text("\n".join(lines) + "\n")
    found = internals("libx264", tmp_path / "s", str)
    assert found["qp_mean"] == pytest.approx(28)
    assert found["qp_std"] == pytest.approx(np.std([25, 29, 30]))
    assert (found["mv_mean"], found["itex_mean"], found["ptex_mean"]) == (40, 900, 150)
    assert found["mv_std"] == pytest.approx(np.std([90, 30, 0]))
    assert (found["intra_ratio"], found["skip_ratio"]) == pytest.approx((54 / 144, 52 / 144))
    # Key frames only: no predicted picture has texture.
    (tmp_path / "s-0.log").write_text(lines[1] + "\n")
    assert "ptex_mean" not in internals("libx264", tmp_path / "s", str)


def test_an_encoder_that_states_nothing_has_no_values(tmp_path: Path) -> None:
    assert internals("libx264", tmp_path / "none", str) == internals("libvvenc", tmp_path / "none", str) == {}
    # An encoder that does not hand out the quantiser.
    (tmp_path / "s").write_text(
        "out= 0 st= 0 frame= 0 q= -0.0 f_size= 9 s_size= 0KiB time= 0 br= 0kbits/s avg_br= 0 type= ?\n"
    )
    assert internals("libx265", tmp_path / "s", str) == internals("another", tmp_path / "s", str) == {}


@pytest.mark.parametrize(
    ("codec", "preset"), [("libx265", "ultrafast"), ("libsvtav1", "12"), ("libvvenc", "faster"), ("libvpx-vp9", "good")]
)
def test_quantisers_are_those_of_other_sources(
    clip: Path, ffmpeg: str, tmp_path: Path, codec: str, preset: str
) -> None:
    done = encode(clip, tmp_path / "encode.mkv", encoder_rung(codec, preset, 34))
    stats, again = tmp_path / "stats", tmp_path / "again.mkv"
    if codec == "libx265":
        # Statistics of a first pass, which change what the stream says about settings.
        _plain(ffmpeg, clip, done, again, "-x265-params", f"pass=1:stats={stats}")
        quantisers = [float(value) for value in re.findall(r"q-aq:([\d.]+)", stats.read_text())]
    elif codec == "libsvtav1":
        # What the encoder hands out with each packet, rounded.
        _plain(ffmpeg, clip, done, again, "-vstats_file", str(stats))
        quantisers = [float(value) for value in re.findall(r"q= *([\d.]+)", stats.read_text())]
    elif codec == "libvvenc":
        log = _plain(ffmpeg, clip, done, again, "-vvenc-params", "verbosity=5")
        quantisers = [float(value) for value in re.findall(r"-SLICE, QP (\d+)", log)]
    else:
        # The headers of pictures, read by hand.
        quantisers = [_vp9_index(picture) / 4 for packet in _packets(done.path) for picture in _vp9_pictures(packet)]
    assert len(quantisers) >= 9
    expected = (np.mean(quantisers), np.std(quantisers))
    found = (done.record.enc_internal_qp_mean, done.record.enc_internal_qp_std)
    assert found == pytest.approx(expected, abs={"libx265": 0.06, "libsvtav1": 0.5}.get(codec, 1e-9))


def _vp9_pictures(packet: bytes) -> list[bytes]:
    """Split a packet by the index at its end (VP9 bitstream specification, annex B)."""
    marker = packet[-1]
    if marker >> 5 != 0b110:
        return [packet]
    width, count = (marker >> 3 & 3) + 1, (marker & 7) + 1
    index = packet[-1 - width * count : -1]
    sizes = [int.from_bytes(index[width * i : width * (i + 1)], "little") for i in range(count)]
    starts = np.cumsum([0, *sizes])
    return [packet[starts[i] : starts[i + 1]] for i in range(count)]


def _vp9_index(picture: bytes) -> int:
    """Read base_q_idx from the header of a picture of 4:2:0 with 8 bits (VP9 bitstream specification, 6.2)."""
    bits = "".join(f"{byte:08b}" for byte in picture[:64])
    at = 0

    def take(n: int) -> int:
        nonlocal at
        at += n
        return int(bits[at - n : at] or "0", 2)

    assert (take(2), take(2), take(1)) == (2, 0, 0)
    inter, shown, resilient = take(1), take(1), take(1)
    if not inter:
        assert take(24) == 0x498342
        assert take(3) != 7
        take(1 + 32)
        if take(1):
            take(32)
    else:
        intra_only = 0 if shown else take(1)
        reset = 0 if resilient else take(2)
        assert (intra_only, reset) == (0, 0)
        take(8 + 3 * 4)
        if not any(take(1) for _ in range(3)):
            take(32)
        if take(1):
            take(32)
        take(1)
        if not take(1):
            take(2)
    if not resilient:
        take(2)
    take(2)
    take(6 + 3)
    if take(1) and take(1):
        for n in (4, 2):
            for _ in range(n):
                if take(1):
                    take(7)
    return take(8)
