from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pyvmaf.base.files import read_json, sha256_file
from pyvmaf.base.manifest import manifest_path, read_manifest
from pyvmaf.codecs.encoders import ENCODERS
from pyvmaf.codecs.stated import stated
from pyvmaf.encodes.distortion import Reference
from pyvmaf.encodes.encode import Encoded
from pyvmaf.encodes.encode import encode as make_rung
from pyvmaf.encodes.encoder import bit_depth_for, encoder_rung, split_extra
from pyvmaf.encodes.record import Record
from pyvmaf.encodes.stated import check_record
from pyvmaf.encodes.transcode import IncompleteError, transcode
from pyvmaf.errors import InputError, MissingFileError, PyvmafError, UnavailableError
from pyvmaf.scoring.origin import origin
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.format import Colour
from pyvmaf.video.probe import inspect
from tests.make.commands import command, refusal


def encode(
    reference: Path, output: Path, codec: str, preset: str, crf: int, *, program: str = "embedded", **settings: Any
) -> Encoded:
    return make_rung(reference, output, encoder_rung(codec, preset, crf, **settings), program=program)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small moving picture, lossless."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    make(path, "96x64", 30, "-pix_fmt", "yuv420p", "-qp", "0")
    return path


def make(path: Path, size: str, frames: int, *options: str, source: str = "testsrc2") -> Path:
    command = [str(ffmpeg().path), "-nostdin", "-v", "error", "-y", "-f", "lavfi"]
    command += ["-i", f"{source}=size={size}:rate=25", "-frames:v", str(frames), *options, str(path)]
    subprocess.run(command, check=True)
    return path


def decode(path: Path, *options: str) -> bytes:
    """The frames as FFmpeg shows them, 8 bits."""
    command = [str(ffmpeg().path), "-v", "error", "-i", str(path), *options, "-f", "rawvideo", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


@pytest.mark.parametrize("name", ENCODERS)
def test_two_encodes_are_the_same_bytes_and_hold_every_frame(clip: Path, tmp_path: Path, name: str) -> None:
    entry = ENCODERS[name]
    runs = [
        encode(clip, tmp_path / str(n) / "rung.mkv", name, entry.preset_default, entry.crf_default) for n in range(2)
    ]
    assert runs[0].path.read_bytes() == runs[1].path.read_bytes()
    video = inspect(runs[0].path)
    assert video.frames == 30
    assert (video.format.width, video.format.height) == (96, 64)
    assert video.format.pix_fmt == ("yuv420p10le" if name == "libvvenc" else "yuv420p")
    assert runs[0].record.encoder_version != "unknown"
    # Nothing else may lie there: no log, no temporary file.
    assert left_behind(tmp_path / "0") == ["rung.json", "rung.mkv", "rung.mkv.manifest.json"]


@pytest.mark.parametrize("name", ENCODERS)
def test_a_smaller_quality_number_gives_a_larger_and_better_encode(clip: Path, tmp_path: Path, name: str) -> None:
    entry = ENCODERS[name]
    best, worst = (
        encode(clip, tmp_path / f"{crf}.mkv", name, entry.presets[-1], crf) for crf in (entry.crf_min, entry.crf_max)
    )
    assert best.record.encode_size_bytes > worst.record.encode_size_bytes
    assert psnr(clip, best.path) > psnr(clip, worst.path)


def psnr(one: Path, two: Path) -> float:
    total = 0.0
    with av.open(str(one)) as a, av.open(str(two)) as b:
        pairs = list(zip(a.decode(video=0), b.decode(video=0), strict=True))
        for left, right in pairs:
            difference = left.to_ndarray(format="gray").astype(float) - right.to_ndarray(format="gray")
            total -= float((difference**2).mean())
    return total / len(pairs)


@pytest.mark.parametrize("name", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_ten_bits_on_request(clip: Path, tmp_path: Path, name: str) -> None:
    entry = ENCODERS[name]
    done = encode(clip, tmp_path / "a.mkv", name, entry.preset_default, entry.crf_default, bit_depth=10)
    assert inspect(done.path).format.pix_fmt == done.record.pix_fmt == "yuv420p10le"
    assert read_manifest(done.path)["details"]["widened_from_bits"] == 8


def test_widening_to_ten_bits_multiplies_by_four(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.mkv"
    words = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p10le"]
    transcode(Reference(clip, inspect(clip)), target, words, "yuv420p10le", tool=ffmpeg(), what="widen")
    with av.open(str(clip)) as a, av.open(str(target)) as b:
        for left, right in zip(a.decode(video=0), b.decode(video=0), strict=True):
            # Lossless, so the samples themselves can be compared.
            assert (left.to_ndarray().astype(int) * 4 == right.to_ndarray()).all()


def test_the_record_and_the_manifest_say_what_was_done(
    embedded_corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tmp_path / "results" / "corpora"
    clips.mkdir(parents=True)
    for path in embedded_corpus["bikes_1"].parent.glob("bikes_1.mkv*"):
        shutil.copy(path, clips)
    monkeypatch.chdir(tmp_path)
    source = Path("results/corpora/bikes_1.mkv")
    done = encode(source, Path("results/encodes/slow-crf30.mkv"), "h264", "slow", 30, extra=["-g", "10"])
    row = read_json(done.record_path)
    assert row == done.record.as_json()
    assert Record.read(done.record_path) == done.record
    size = done.path.stat().st_size
    assert row["src"] == "results/corpora/bikes_1.mkv"
    assert row["src_sha256"] == sha256_file(source)
    assert row["encode_path"] == "results/encodes/slow-crf30.mkv"
    assert row["encode_size_bytes"] == size
    assert row["bitrate_kbps"] == pytest.approx(size * 8 / (30 / 25) / 1000)
    assert (row["encoder"], row["preset"], row["crf"]) == ("libx264", "slow", 30)
    assert row["extra_params"] == ["-threads", "1", "-g", "10"]
    assert (row["width"], row["height"], row["pix_fmt"], row["framerate"]) == (320, 136, "yuv420p", 25.0)
    assert (row["shot_count"], row["shot_avg_duration_sec"], row["shot_duration_std_sec"]) == (1, 1.2, 0.0)
    assert row["ffmpeg_version"] == ffmpeg().version
    assert row["timestamp"] is row["encode_time_ms"] is row["vmaf_score"] is row["adm2_mean"] is None
    body = read_manifest(done.path)
    assert body["details"]["frames"] == 30
    assert body["run"]["seconds"] == pytest.approx(done.seconds)
    assert {body["outputs"][role]["path"] for role in ("encode", "record")} == {
        row["encode_path"],
        str(done.record_path),
    }
    assert {"timestamp", "vmaf_score", "hdr_transfer"} <= set(body["details"]["unavailable"])
    # The I frames that the extra option asked for.
    with av.open(str(done.path)) as container:
        keys = [place for place, packet in enumerate(container.demux(video=0)) if packet.is_keyframe and packet.size]
    assert len(keys) == 3


def test_the_run_identity_depends_on_what_shapes_the_bytes(clip: Path, tmp_path: Path) -> None:
    one = encode(clip, tmp_path / "a" / "r.mkv", "libx264", "ultrafast", 40)
    same = encode(clip, tmp_path / "b" / "r.mkv", "avc", "ultrafast", 40)
    other = encode(clip, tmp_path / "c" / "r.mkv", "libx264", "ultrafast", 41)
    assert one.record.run_id == same.record.run_id != other.record.run_id


def test_the_frame_rate_is_kept(tmp_path: Path) -> None:
    source = make(tmp_path / "ntsc.mkv", "64x48", 24, "-r", "30000/1001", "-pix_fmt", "yuv420p", "-qp", "0")
    frames = inspect(source).frames
    for name in ("libx264", "libvvenc"):
        done = encode(source, tmp_path / f"{name}.mkv", name, ENCODERS[name].preset_default, 40)
        video = inspect(done.path)
        assert Fraction(video.format.fps) == Fraction(30000, 1001)
        assert video.frames == frames


def test_strange_time_stamps_change_nothing_and_pictures_are_turned(tmp_path: Path) -> None:
    vfr = make(tmp_path / "v.mp4", "64x48", 20, "-vf", "setpts=N*N/25/TB/4", "-fps_mode", "vfr", "-pix_fmt", "yuv420p")
    source = tmp_path / "turned.mp4"
    command = [str(ffmpeg().path), "-v", "error", "-display_rotation", "90", "-i", str(vfr), "-c", "copy", str(source)]
    subprocess.run(command, check=True)
    done = encode(source, tmp_path / "r.mkv", "libx264", "ultrafast", 0)
    video = inspect(done.path)
    assert (video.frames, video.format.width, video.format.height, video.remarks) == (20, 48, 64, ())
    assert (done.record.width, done.record.height) == (48, 64)
    # CRF 0 loses nothing, so that these are the pictures that FFmpeg shows of the source.
    shown = [decode(path, "-fps_mode", "passthrough") for path in (source, done.path)]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "libvvenc"])
def test_full_range_is_kept(tmp_path: Path, name: str) -> None:
    options = ["-vf", "scale=out_range=pc,format=yuvj420p", "-color_range", "pc", "-qp", "0"]
    source = make(tmp_path / "full.mp4", "64x48", 3, *options)
    entry = ENCODERS[name]
    done = encode(source, tmp_path / "r.mkv", name, entry.presets[-1], entry.crf_min)
    assert inspect(done.path).colour == inspect(source).colour != Colour()
    assert inspect(done.path).colour.range == "pc"
    assert done.record.pix_fmt == "yuv420p"
    means = [np.frombuffer(decode(path), np.uint8)[: 64 * 48].mean() for path in (source, done.path)]
    assert abs(means[0] - means[1]) < 1


def test_an_encoder_that_does_not_keep_full_range_is_not_used(tmp_path: Path) -> None:
    tags = "setparams=colorspace=bt709:color_trc=bt709:color_primaries=bt709"
    options = ["-vf", f"scale=out_range=pc,format=yuvj420p,{tags}", "-color_range", "pc", "-qp", "0"]
    source = make(tmp_path / "full.mp4", "64x48", 3, *options)
    with pytest.raises(InputError, match=r"with libvvenc: it does not keep .* \(pc/.* in the encode tv/"):
        encode(source, tmp_path / "out" / "r.mkv", "libvvenc", "faster", 30)
    assert not list((tmp_path / "out").iterdir())


def test_interlaced_references_are_refused(tmp_path: Path) -> None:
    options = ["-vf", "setfield=tff", "-flags", "+ilme+ildct", "-x264-params", "tff=1", "-pix_fmt", "yuv420p"]
    source = make(tmp_path / "fields.mkv", "64x48", 3, *options)
    with pytest.raises(InputError, match=r"fields.mkv is interlaced \(3 of its frames .* -vf bwdif"):
        encode(source, tmp_path / "out" / "r.mkv", "libx264", "ultrafast", 30)
    assert not (tmp_path / "out").exists()


def test_an_hdr_reference_says_so(tmp_path: Path) -> None:
    colours = ["-vf", "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc"]
    source = make(tmp_path / "hdr.mkv", "64x48", 5, "-pix_fmt", "yuv420p10le", "-qp", "0", *colours)
    record = encode(source, tmp_path / "r.mkv", "libx265", "ultrafast", 30).record
    assert (record.hdr_transfer, record.hdr_primaries, record.hdr_forced) == ("smpte2084", "bt2020", False)
    assert record.pix_fmt == "yuv420p10le"


def test_bits_are_never_lost_without_having_been_asked_for() -> None:
    x264, vvc = ENCODERS["libx264"], ENCODERS["libvvenc"]
    assert [bit_depth_for(x264, bits, None) for bits in (8, 10)] == [8, 10]
    assert [bit_depth_for(vvc, bits, None) for bits in (8, 10)] == [10, 10]
    assert bit_depth_for(x264, 10, 8) == 8
    with pytest.raises(InputError, match="the reference has 12 bits per sample, but libx264 writes 8, 10"):
        bit_depth_for(x264, 12, None)
    with pytest.raises(InputError, match="libvvenc writes 10 bits per sample, but 8 were asked for"):
        bit_depth_for(vvc, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("libx265", "medium", 52), "CRF 52 is outside of the range of libx265, 0 to 51"),
        (("libx265", "mediun", 30), r"unknown preset of libx265 'mediun': did you mean 'medium'\?"),
        (("libx26", "medium", 30), r"unknown codec 'libx26': did you mean 'libx26[45]'\?"),
    ],
)
def test_wrong_requests_leave_nothing(
    clip: Path, tmp_path: Path, arguments: tuple[str, str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        encode(clip, tmp_path / "out" / "r.mkv", *arguments)
    with pytest.raises(InputError, match=r"encodes are Matroska files, but .*r\.mp4"):
        encode(clip, tmp_path / "out" / "r.mp4", "libx264", "medium", 30)
    assert left_behind(tmp_path / "out") == []


def test_references_that_an_encoder_does_not_take(tmp_path: Path) -> None:
    odd = make(tmp_path / "odd.mkv", "65x49", 3, "-pix_fmt", "yuv420p", "-c:v", "ffv1", source="testsrc")
    with pytest.raises(InputError, match=r"libx264 takes no odd sizes, but .*odd\.mkv is 65x49 with chroma 420.*64x48"):
        encode(odd, tmp_path / "out" / "r.mkv", "libx264", "medium", 30)
    full = make(tmp_path / "444.mkv", "64x48", 3, "-pix_fmt", "yuv444p", "-c:v", "ffv1")
    with pytest.raises(InputError, match="libsvtav1 takes chroma 420, but the reference has 444"):
        encode(full, tmp_path / "out" / "r.mkv", "libsvtav1", "8", 30)
    text = tmp_path / "text.mkv"
    text.write_text("hello")
    with pytest.raises(InputError, match=r"text\.mkv is not a video"):
        encode(text, tmp_path / "out" / "r.mkv", "libx264", "medium", 30)
    with pytest.raises(MissingFileError, match=r"none\.mkv"):
        encode(tmp_path / "none.mkv", tmp_path / "out" / "r.mkv", "libx264", "medium", 30)
    assert left_behind(tmp_path / "out") == []


def test_an_option_that_ffmpeg_refuses_is_its_own_words(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(PyvmafError, match=r"cannot encode .*clip\.mkv with libx264: FFmpeg .*nosuchtune"):
        encode(clip, tmp_path / "out" / "r.mkv", "libx264", "medium", 30, extra=["-tune", "nosuchtune"])
    assert left_behind(tmp_path / "out") == []


def test_a_word_of_the_extra_options_is_never_another_file(clip: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim.mkv"
    victim.write_text("precious")
    words = ["encode", clip, tmp_path / "r.mkv", "--codec", "libx264", "--preset", "ultrafast", "--crf", "40"]
    for extra in (str(victim), f"-g {victim}", f"-g 1 {victim}", f"-x264-params stats={victim}:keyint=3"):
        assert "of libx264" in refusal(*words, f"--extra={extra}")
    assert victim.read_text() == "precious"
    assert left_behind(tmp_path) == ["victim.mkv"]


def test_the_environment_does_not_make_an_encode_write_other_files(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFREPORT", f"file={tmp_path / 'victim.log'}")
    encode(clip, tmp_path / "r.mkv", "libx264", "ultrafast", 40)
    assert left_behind(tmp_path) == ["r.json", "r.mkv", "r.mkv.manifest.json"]


@pytest.mark.parametrize(
    ("name", "crf", "bits"), [("libx264", 0, 8), ("libx264", 0, 10), ("libx264", 40, 8), ("libx265", 3, 8)]
)
def test_a_stream_states_the_settings_of_its_record(clip: Path, tmp_path: Path, name: str, crf: int, bits: int) -> None:
    done = encode(clip, tmp_path / "r.mkv", name, "ultrafast", crf, bit_depth=bits)
    found = stated(done.path)
    assert found is not None
    assert found.encoder == name
    assert [number for number in range(52) if found.agrees(number)] == [crf]


def test_an_encode_whose_stream_states_another_quality_is_refused(clip: Path, tmp_path: Path) -> None:
    # An FFmpeg that takes the number for something else.
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"""#!/bin/bash
exec "{ffmpeg().path}" "${{@/#-crf/-qp}}"
"""
    )
    program.chmod(0o755)
    with pytest.raises(
        PyvmafError, match=r"libx264 with CRF 30 was asked for, but the stream states .* quantiser of 30"
    ):
        encode(clip, tmp_path / "out" / "r.mkv", "libx264", "ultrafast", 30, program=str(program))
    assert left_behind(tmp_path / "out") == []


@pytest.fixture
def two(clip: Path, tmp_path: Path) -> tuple[Encoded, Encoded]:
    """Encodes of one clip by one encoder with two CRFs."""
    done = [encode(clip, tmp_path / f"crf{crf}.mkv", "libx264", "ultrafast", crf) for crf in (20, 45)]
    return done[0], done[1]


def test_the_record_of_another_encode_is_refused(clip: Path, two: tuple[Encoded, Encoded]) -> None:
    one, other = two
    check_record(one.path, one.record)
    shutil.copy(other.record_path, one.record_path)
    labels = ["--corpus", "c", "--clip", "c", "--codec", "libx264", "--source", "s", "--group", "g"]
    table = one.path.with_name("t.parquet")
    answer = refusal("extract-features", "--reference", clip, *labels, "-o", table, f"d={one.path}")
    assert f"is the record of another encode than {one.path}: it is of a file of" in answer
    assert not table.exists()
    assert origin(one.path).how == "stream"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "libx265"}, "it says libx265, the stream is of libx264"),
        ({"crf": 21}, "it says CRF 21, the stream says CRF 20"),
        ({"encode_size_bytes": 1}, r"a file of 1 bytes, this one has \d+"),
    ],
)
def test_a_record_that_contradicts_its_stream_is_refused(
    two: tuple[Encoded, Encoded], change: dict[str, Any], message: str
) -> None:
    (one, _) = two
    with pytest.raises(InputError, match=message):
        check_record(one.path, one.record.model_copy(update=change))


def test_a_manifest_of_another_file_is_refused(two: tuple[Encoded, Encoded]) -> None:
    one, other = two
    shutil.copy(manifest_path(other.path), manifest_path(one.path))
    with pytest.raises(InputError, match="the manifest says SHA-256"):
        check_record(one.path, one.record)


@pytest.mark.parametrize(("good_after", "succeeds"), [(3, True), (9, False)])
def test_an_encoder_that_sometimes_ends_early_is_asked_again(
    clip: Path, tmp_path: Path, good_after: int, succeeds: bool
) -> None:
    # A real FFmpeg that is given no frames the first times, as libvvenc sometimes behaves with a thread pool.
    program = tmp_path / "ffmpeg"
    program.write_text(
        f'''#!/bin/sh
case "$*" in -version|*trace_headers*) exec "{ffmpeg().path}" "$@";; esac
echo >> "{tmp_path}/runs"
if [ $(wc -l < "{tmp_path}/runs") -lt {good_after} ]; then set -- -ss 100 "$@"; fi
exec "{ffmpeg().path}" "$@"
'''
    )
    program.chmod(0o755)
    output = tmp_path / "out" / "r.mkv"
    if succeeds:
        done = encode(clip, output, "libvvenc", "faster", 40, program=str(program))
        assert inspect(done.path).frames == 30
    else:
        with pytest.raises(IncompleteError, match="the reference has 30 frames, but the encode 0"):
            encode(clip, output, "libvvenc", "faster", 40, program=str(program))
        assert left_behind(output.parent) == []
    assert (tmp_path / "runs").read_text().count("\n") == (3 if succeeds else ENCODERS["libvvenc"].attempts)


def test_which_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingFileError, match="does not exist: give embedded, system or the path"):
        ffmpeg(str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"is not an FFmpeg program|cannot be run"):
        ffmpeg("/bin/echo")
    assert ffmpeg(str(ffmpeg().path)).version == ffmpeg().version
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="no ffmpeg on PATH"):
        ffmpeg("system")


def test_an_ffmpeg_without_the_encoder(clip: Path, tmp_path: Path) -> None:
    # A real FFmpeg that is asked for an encoder which nobody has.
    entry = ENCODERS["libx264"]
    lacking = tmp_path / "ffmpeg"
    lacking.write_text(f'#!/bin/sh\nexec "{ffmpeg().path}" $(echo "$@" | sed s/libx264/libx999/)\n')
    lacking.chmod(0o755)
    with pytest.raises(UnavailableError, match="was built without libx999"):
        encode(clip, tmp_path / "out" / "r.mkv", entry.name, "medium", 30, program=str(lacking))
    assert left_behind(tmp_path / "out") == []


_LONG = """
import sys
from pathlib import Path
from pyvmaf.encodes.encode import encode
from pyvmaf.encodes.encoder import encoder_rung
encode(Path(sys.argv[1]), Path(sys.argv[2]), encoder_rung("libx265", "placebo", 1))
"""


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_encode_leaves_neither_a_file_nor_a_process(tmp_path: Path, number: signal.Signals) -> None:
    source = make(tmp_path / "long.mkv", "640x360", 200, "-pix_fmt", "yuv420p", "-qp", "0", "-preset", "ultrafast")
    output = tmp_path / "out" / "r.mkv"
    worker = subprocess.Popen([sys.executable, "-c", _LONG, str(source), str(output)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        # The first FFmpeg that it starts is only asked for its version, and a fork that has not yet become FFmpeg
        # still shows this test's own command line.
        while not (encoders := [pid for pid in children(worker.pid) if "pipe:1" in command_line(pid)]):
            assert worker.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (encoder,) = encoders
        assert [path.name.startswith(".r.mkv.") for path in output.parent.iterdir()] == [True]
        worker.send_signal(number)
        assert worker.wait(30) != 0
    finally:
        worker.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{encoder}").exists() and "Z" not in Path(f"/proc/{encoder}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "FFmpeg is still running"
        time.sleep(0.05)
    assert not output.exists()
    # Nobody can clean up after SIGKILL; the name of what stays says that it is temporary.
    if number != signal.SIGKILL:
        assert left_behind(output.parent) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
def test_a_full_disk_is_said_clearly_and_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        command = [sys.executable, "-m", "pyvmaf", "encode", str(clip), str(small / "r.mkv")]
        command += ["--codec", "h264", "--crf", "0"]
        answer = subprocess.run(command, capture_output=True, text=True)
        assert answer.returncode == 2
        assert answer.stderr.startswith("error: no space is left on the disk")
        assert answer.stderr.count("\n") == 1
        assert left_behind(small) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_the_command(clip: Path, tmp_path: Path) -> None:
    words = ("encode", clip, tmp_path / "r.mkv", "--codec")
    answer = command(*words, "vp9", "--crf", "40", "--extra=-cpu-used 6")
    assert answer.returncode == 0, answer.stderr
    assert "libvpx-vp9 good crf 40, yuv420p" in answer.stdout
    assert read_json(tmp_path / "r.json")["extra_params"][-2:] == ["-cpu-used", "6"]
    before = (tmp_path / "r.mkv").read_bytes()
    assert refusal(*words, "vp99", "--crf", "40").startswith("unknown codec 'vp99': did you mean 'vp9'?")
    assert "code 0123456789abcdef" in refusal(*words, "vp9", "--crf", "40", "--code", "0123456789abcdef")
    # What was there before a failed command is still there.
    assert (tmp_path / "r.mkv").read_bytes() == before


def test_extra_options() -> None:
    assert split_extra("-a 'b c' -d") == ["-a", "b c", "-d"]
    with pytest.raises(InputError, match="cannot be split"):
        split_extra("-a 'b")


def test_bytes_of_x264_do_not_depend_on_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code for AVX-512 reads memory that nobody wrote, which this variable of the C library fills."""
    source = tmp_path / "moving.mkv"
    make(source, "176x144", 24, "-pix_fmt", "yuv420p", "-qp", "0", "-vf", "scroll=horizontal=-0.03")
    written = set()
    for byte in (51, 102, 153):
        monkeypatch.setenv("MALLOC_PERTURB_", str(byte))
        done = encode(source, tmp_path / f"{byte}.mkv", "libx264", "veryfast", 30)
        written.add(done.path.read_bytes())
    assert len(written) == 1
    assert not any("asm" in word for word in done.record.extra_params)
