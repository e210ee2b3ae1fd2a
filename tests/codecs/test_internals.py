"""What encoders state about themselves: against FFmpeg's own statistics of each picture, and by hand."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.base.manifest import read_manifest
from pyvmaf.codecs.internals import internals
from pyvmaf.encodes.encode import encode
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.encodes.record import INTERNALS
from tests.make.builders import cut

LOG = """\
[libx264 @ 0x5634] frame I:1     Avg QP:27.06  size:  1058
[libx264 @ 0x5634] frame P:5     Avg QP:29.58  size:   250
[libx264 @ 0x5634] frame B:6     Avg QP:30.31  size:   104
[libx264 @ 0x5634] consecutive B-frames: 16.7% 33.3% 50.0%  0.0%
[libx264 @ 0x5634] mb I  I16..4: 32.2% 58.9%  8.9%
[libx264 @ 0x5634] mb P  I16..4:  3.2%  2.7%  0.3%  P16..4: 31.8%  4.9%  1.7%  0.0%  0.0%    skip:55.4%
[libx264 @ 0x5634] mb B  I16..4:  0.3%  0.2%  0.1%  B16..8: 22.3%  1.3%  0.2%  direct: 0.2%  skip:75.5%  L0:33.4% L1:65.3% BI: 1.4%
"""


@pytest.fixture(scope="module")
def clip(embedded_corpus: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(embedded_corpus["bikes_1"], tmp_path_factory.mktemp("clip") / "clip.mkv", 9, "-vf", "crop=128:96")


def test_means_weigh_types_by_their_pictures() -> None:
    found = internals("libx264", LOG)
    assert found["qp_mean"] == pytest.approx((27.06 + 5 * 29.58 + 6 * 30.31) / 12)
    assert found["intra_ratio"] == pytest.approx((100.0 + 5 * 6.2 + 6 * 0.6) / 1200)
    assert found["skip_ratio"] == pytest.approx((5 * 55.4 + 6 * 75.5) / 1200)
    # x265 puts the number of pictures before a comma, and states no blocks.
    text = "x265 [info]: frame I:      1, Avg QP:27.26  kb/s: 167.60\nx265 [info]: frame B:      3, Avg QP:30.84  kb/s: 41\n"
    assert internals("libx265", text) == {"qp_mean": pytest.approx((27.26 + 3 * 30.84) / 4)}


def test_a_log_that_says_nothing_or_stops_in_between_states_nothing_false() -> None:
    assert internals("libx264", "") == internals("libsvtav1", LOG) == {}
    without_b = "\n".join(line for line in LOG.splitlines() if "mb B" not in line)
    assert set(internals("libx264", without_b)) == {"qp_mean"}


@pytest.mark.parametrize(
    ("codec", "preset", "extra"),
    # FFmpeg knows the quantiser of a picture before x264 varies it from block to block.
    [("libx264", "medium", ["-aq-mode", "0", "-mbtree", "0"]), ("libx265", "ultrafast", [])],
)
def test_quantisers_and_sizes_are_those_of_each_picture(
    clip: Path, ffmpeg: str, tmp_path: Path, codec: str, preset: str, extra: list[str]
) -> None:
    """FFmpeg writes the quantiser (to .1) and the size of each picture into a file of its own."""
    done = encode(clip, tmp_path / "encode.mkv", encoder_rung(codec, preset, 30, extra=extra))
    arguments = read_manifest(done.path)["details"]["arguments"]
    words = [ffmpeg, "-v", "error", "-i", str(clip), "-map", "0:v", *arguments, "-vstats_file", str(tmp_path / "stats")]
    subprocess.run([*words, "-f", "matroska", str(tmp_path / "again.mkv")], check=True)
    lines = re.findall(r"q= *(-?[\d.]+) f_size= *(\d+)", (tmp_path / "stats").read_text())
    quantisers, sizes = np.array(lines, dtype=float).T
    record = done.record
    assert record.enc_internal_qp_mean == pytest.approx(quantisers.mean(), abs=0.06)
    assert record.enc_internal_bits_mean == pytest.approx(8 * sizes.mean(), rel=0.002)
    assert record.enc_internal_bits_std == pytest.approx(8 * sizes.std(), rel=0.002)
    assert record.enc_internal_mv_mean == 0


@pytest.mark.parametrize(
    ("codec", "preset", "stated"),
    [
        ("libx264", "veryfast", {"bits_mean", "bits_std", "qp_mean", "intra_ratio", "skip_ratio"}),
        ("libsvtav1", "12", {"bits_mean", "bits_std"}),
        ("libvpx-vp9", "realtime", {"bits_mean", "bits_std"}),
    ],
)
def test_the_manifest_lists_what_is_not_stated(
    clip: Path, tmp_path: Path, codec: str, preset: str, stated: set[str]
) -> None:
    done = encode(clip, tmp_path / "encode.mkv", encoder_rung(codec, preset, 40))
    unknown = {name for name in read_manifest(done.path)["details"]["unavailable"] if name in INTERNALS}
    assert {name for name in INTERNALS if name not in unknown} == {f"enc_internal_{name}" for name in stated}
    assert all(done.record.as_json()[name] == 0 for name in unknown)
    assert all(done.record.as_json()[f"enc_internal_{name}"] > 0 for name in stated)
    whole = done.record.enc_internal_bits_mean * 9 / 8
    assert whole < done.record.encode_size_bytes < whole + 3000
