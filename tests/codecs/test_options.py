"""Extra options of encodes: those that are taken reach the encoder, all others are refused."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.codecs.encoders import ENCODERS
from pyvmaf.codecs.options import OPTIONS, PARAMS, check_extra
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.errors import InputError
from pyvmaf.video.ffmpeg import ffmpeg

WORDS = {
    "tune": "0", "partitions": "p8x8", "motion-est": "hex", "me_method": "hex", "me": "hex", "direct-pred": "auto",
    "direct": "auto", "b-pyramid": "1", "nal-hrd": "none", "tier": "main", "level": "4", "level-idc": "4",
    "flags": "+cgop", "g": "50", "keyint": "50", "rc-lookahead": "20", "ctu": "32", "max-tu-size": "16",
    "min-cu-size": "8", "gopsize": "16", "maxrate": "900k", "bufsize": "1M", "lookahead": "20", "tune-content": "0",
    "pred-struct": "2", "psy-rd": "1", "crf_max": "40", "crf-max": "40", "aq-mode": "1", "lag-in-frames": "5", "slices": "1",
}  # fmt: skip
TUNES = {"libx264": "film", "libx265": "grain", "libvpx-vp9": "ssim"}
PROFILES = {"libx264": "high", "libx265": "main", "libvpx-vp9": "0"}

# They need one another, or exclude one another.
ALONE = {"nal-hrd", "intra-refresh", "bluray-compat", "slice-max-size", "slice-min-mbs", "slice-max-mbs", "slices-max"}


def example(encoder: str, name: str) -> str:
    return {"tune": TUNES, "profile": PROFILES}.get(name, {}).get(encoder) or WORDS.get(name, "1")


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("kind", ["options", "params"])
def test_every_option_of_the_table_is_one_of_the_encoder(encoder: str, kind: str) -> None:
    entry = ENCODERS[encoder]
    if kind == "options":
        names = [name for name in OPTIONS[encoder] if name not in ALONE]
        extra = [word for name in names for word in (f"-{name}:v", example(encoder, name))]
    elif entry.params_option is None:
        return
    else:
        names = [name for name in PARAMS[encoder] if name not in ALONE]
        extra = [entry.params_option, ":".join(f"{name}={example(encoder, name)}" for name in names)]
    words = entry.arguments(entry.presets[-1], entry.crf_default, entry.pixel_format("420", entry.bit_depths[0]), extra)
    command = [ffmpeg().path, "-hide_banner", "-nostdin", "-loglevel", "warning", "-f", "lavfi"]
    command += ["-i", "testsrc2=size=128x128:rate=25", "-frames:v", "3", *words, "-f", "null", "-"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # FFmpeg goes on after an entry that the encoder does not know.
    assert not re.search(r"unknown|unrecognized|error parsing|not found|unused", done.stderr, re.IGNORECASE), (
        done.stderr
    )


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("victim.mkv", "'victim.mkv' stands where an extra option of libx264 is expected"),
        ("-g 50 victim.mkv", "'victim.mkv' stands where"),
        ("-g", "-g of libx264 has no value"),
        ("-g -y", "-g of libx264 is '-y', but a whole number is expected"),
        ("-y", "inputs, outputs, frames"),
        ("-y 1", "inputs, outputs, frames"),
        ("-report", "reads or writes a file"),
        ("-report 1", "reads or writes a file"),
        ("-passlogfile x", "reads or writes a file"),
        ("-stats x", "reads or writes a file"),
        ("-flags +pass1", "of the form"),
        ("-pass 1", "reads or writes a file"),
        ("-x264opts stats=x", "write -x264-params"),
        *(
            (f"-{name} 1", "inputs, outputs, frames")
            for name in ("i", "map", "f", "vf", "filter:v", "frames:v", "r", "s", "ss", "t", "bsf")
        ),
        *((f"-{name} libx265", "codec chooses") for name in ("c:v", "c", "codec:v:0", "vcodec")),
        *((f"-{name} 10", "quality number alone") for name in ("crf", "qp", "b:v", "q:v", "b", "global_quality")),
        *((f"-{name} 10", "overrules the quality number") for name in ("qmin", "qmax")),
        ("-preset slow", "the key preset sets it"),
        ("-threads 4", "set the threads"),
        ("-colorspace bt709", "as the reference does"),
        ("-nosuch 1", "unknown extra option of libx264 'nosuch'"),
        ("-/g x", "stands where"),
        ("-g 1 -g 2", "given twice"),
        ("-g 1 -g:v 2", "given twice"),
        ("-g:a 1", "is for the stream 'a'"),
        *((f"-x264-params {key}=x", "reads or writes a file") for key in ("stats", "qpfile", "cqmfile", "dump-yuv")),
        *((f"-x264-params {key}=1", "quality number alone") for key in ("crf", "qp", "bitrate")),
        ("-x264-params keyint=5:crf=1", "quality number alone"),
        ("-x264-params keyint=5:stats=x", "reads or writes a file"),
        ("-x264-params key_int=1", "unknown entry in -x264-params of libx264 'key_int'"),
        ("-x264-params keyint", "has no value"),
        ("-x264-params bframes=1:bframes=2", "twice"),
        ("-x264-params min-keyint=1:min_keyint=2", "twice"),
        ("-x264-params psy=1:no-psy=1", "twice"),
        ("-x264-params threads=4", "set the threads"),
        ("-x264-params qpmax=20", "overrules"),
        ("-x264-params ''", "unknown entry"),
    ],
)
def test_options_that_are_refused_and_why(extra: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        encoder_rung("libx264", "medium", 30, extra=shlex.split(extra))
    with pytest.raises(InputError, match=re.escape(message)):
        ENCODERS["libx264"].arguments("medium", 30, "yuv420p", shlex.split(extra))


@pytest.mark.parametrize(
    ("encoder", "extra"),
    [
        ("libx265", "-x265-params csv=x"),
        ("libx265", "-x265-params pools=4"),
        ("libx265", "-x265-params lossless=1"),
        ("libsvtav1", "-svtav1-params lp=4"),
        ("libsvtav1", "-svtav1-params rc=1:tbr=500"),
        ("libsvtav1", "-svtav1-params stats=x"),
        ("libvvenc", "-vvenc-params threads=3"),
        ("libvvenc", "-vvenc-params qp=3"),
        ("libvpx-vp9", "-lossless 1"),
        ("libvpx-vp9", "-deadline best"),
        ("libvpx-vp9", "-b:v 1M"),
    ],
)
def test_other_encoders(encoder: str, extra: str) -> None:
    entry = ENCODERS[encoder]
    with pytest.raises(InputError):
        encoder_rung(encoder, entry.preset_default, entry.crf_default, extra=shlex.split(extra))


@given(
    st.sampled_from(sorted(ENCODERS)), st.lists(st.text(max_size=12) | st.sampled_from(["-g", "1", "-y", "-bf", "2"]))
)
def test_what_is_taken_is_options_of_the_table_and_nothing_else(encoder: str, words: list[str]) -> None:
    entry = ENCODERS[encoder]
    try:
        taken = check_extra(encoder, entry.params_option, words)
    except InputError:
        return
    names = [word.removeprefix("-").partition(":")[0] for word in taken.options[::2]]
    assert len(set(names)) == len(names)
    assert set(names) <= set(OPTIONS[encoder])
    assert sum(len(pair) for pair in (taken.options, taken.params)) <= len(words)
