"""Scores equal those of libvmaf's own tool, and do not depend on the way frames are passed."""

from __future__ import annotations

import csv
import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvmaf import _native
from pyvmaf.engines.libvmaf import build, extractors, models
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.extractors import feature_key, score_keys
from pyvmaf.engines.libvmaf.models import Model, predict, predict_collection
from pyvmaf.errors import InputError
from pyvmaf.video.reader import frame_format, planes_of

Clip = list[tuple[list[Any], list[Any]]]
MakeClip = Callable[..., Clip]

LUMA = {"vif": {}, "adm": {}, "motion": {}, "psnr": {"enable_chroma": False}, "float_ssim": {}}


def run(
    clip: Clip, extractors: dict[str, dict[str, Any]], pix_fmt: str = "420", bits: int = 8, **settings: Any
) -> dict[str, Any]:
    height, width = clip[0][0][0].shape
    with Context(width, height, pix_fmt, bits, **settings) as context:
        for name, options in extractors.items():
            context.use_feature(name, options)
        for index, (reference, distorted) in enumerate(clip):
            context.read(reference, distorted, index)
        context.flush()
        return {key: context.feature_scores(key) for key in context.keys}


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    for key, values in first.items():
        assert np.array_equal(values, second[key], equal_nan=True), key


def golden_report(golden: Path, name: str) -> Path:
    """Return the report of libvmaf's own tool; that of plain C where its vector code is wrong."""
    plain = golden / f"{name}.c.json"
    return plain if plain.exists() else golden / f"{name}.json"


GOLDEN = ("src01_160x90", "src01_576x324_10b", "hall_cif", "bsds_100007_481x321")


def _read_yuv(path: Path, width: int, height: int, pix_fmt: str, bits: int, frames: int) -> list[list[Any]]:
    dtype = np.dtype("<u2" if bits > 8 else "u1")
    chroma = (width, height) if pix_fmt == "444" else ((width + 1) // 2, (height + 1) // 2)
    data = np.frombuffer(path.read_bytes(), dtype)
    result, start = [], 0
    for _ in range(frames):
        planes = []
        for w, h in ((width, height), chroma, chroma):
            planes.append(data[start : start + w * h].reshape(h, w))
            start += w * h
        result.append(planes)
    assert start == data.size
    return result


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("n_threads", [0, 2])
def test_equal_to_the_reports_of_libvmaf_s_own_tool(golden: Path, name: str, n_threads: int) -> None:
    with (golden / "index.tsv").open() as lines:
        row = next(row for row in csv.DictReader(lines, delimiter="\t") if row["name"] == name)
    report = json.loads(golden_report(golden, name).read_text())
    width, height, frames = int(row["width"]), int(row["height"]), int(row["frames"])
    pix_fmt, bits = row["pix_fmt"][3:6], 10 if row["pix_fmt"].endswith("10le") else 8
    pairs = [_read_yuv(golden / row[f"{kind}_file"], width, height, pix_fmt, bits, frames) for kind in ("ref", "dis")]
    metrics = [frame["metrics"] for frame in report["frames"]]
    with Context(width, height, pix_fmt, bits, n_threads=n_threads) as context:
        model = context.use_model("vmaf_v0.6.1")
        wanted = {}
        for extractor in extractors.EXTRACTORS:
            try:
                keys = context.use_feature(extractor)
            except InputError:
                continue  # frames of this pair are too small or odd for it
            wanted.update({key: extractors.report_name(key) for key in keys})
        for index, (reference, distorted) in enumerate(zip(*pairs, strict=True)):
            context.read(reference, distorted, index)
        context.flush()
        compared = 0
        for key, reported in wanted.items():
            if reported not in metrics[0]:
                continue
            reported_scores = [np.inf if frame[reported] is None else frame[reported] for frame in metrics]
            assert np.allclose(context.feature_scores(key), reported_scores, rtol=0, atol=0.5000001e-6), key
            compared += 1
        assert compared >= 12
        vmaf = [frame["vmaf"] for frame in metrics]
        assert np.allclose(context.scores(model), vmaf, rtol=0, atol=0.5000001e-6)


@pytest.mark.parametrize(
    ("pix_fmt", "bits", "size"), [("420", 8, (176, 144)), ("420", 10, (320, 180)), ("444", 8, (352, 96))]
)
def test_equal_to_the_filter_of_ffmpeg(
    clip: MakeClip, tmp_path: Path, pix_fmt: str, bits: int, size: tuple[int, int]
) -> None:
    """An independent build of libvmaf, fed by another program."""
    import imageio_ffmpeg

    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    filters = subprocess.run([ffmpeg, "-hide_banner", "-filters"], capture_output=True, text=True, check=True).stdout
    assert " libvmaf " in filters
    pairs = clip(6, *size, pix_fmt, bits)
    name = f"yuv{pix_fmt}p" + ("10le" if bits == 10 else "")
    raw = ["-f", "rawvideo", "-pix_fmt", name, "-s", f"{size[0]}x{size[1]}"]
    for side, file in enumerate(("reference", "distorted")):
        planes = (plane.tobytes() for pair in pairs for plane in pair[side])
        (tmp_path / f"{file}.yuv").write_bytes(b"".join(planes))
    command = [ffmpeg, "-v", "error", *raw, "-i", "distorted.yuv", *raw, "-i", "reference.yuv"]
    command += ["-lavfi", "libvmaf=log_fmt=json:log_path=log.json:feature=name=psnr", "-f", "null", "-"]
    subprocess.run(command, check=True, cwd=tmp_path)
    metrics = [frame["metrics"] for frame in json.loads((tmp_path / "log.json").read_text())["frames"]]
    with Context(*size, pix_fmt, bits) as context:
        model = context.use_model("vmaf_v0.6.1")
        context.use_feature("psnr")
        for index, pair in enumerate(pairs):
            context.read(*pair, index)
        context.flush()
        scores = {extractors.report_name(key): context.feature_scores(key) for key in context.keys}
        scores["vmaf"] = context.scores(model)
    compared = scores.keys() & metrics[0].keys()
    assert compared >= {"vmaf", "integer_adm2", "integer_motion2", "integer_vif_scale0", "psnr_y", "psnr_cb"}
    for key in compared:
        assert np.allclose(scores[key], [frame[key] for frame in metrics], rtol=0, atol=0.5000001e-6), key


@pytest.mark.parametrize(("pix_fmt", "bits"), [("420", 8), ("422", 10), ("444", 12), ("400", 8)])
def test_worker_threads_change_nothing(clip: MakeClip, pix_fmt: str, bits: int) -> None:
    pairs = clip(9, 97, 65, pix_fmt, bits)
    assert_same(run(pairs, LUMA, pix_fmt, bits), run(pairs, LUMA, pix_fmt, bits, n_threads=2))


@pytest.mark.parametrize("bits", [8, 10])
def test_luma_extractors_do_not_need_chroma(clip: MakeClip, bits: int) -> None:
    pairs = clip(4, 130, 98, "420", bits)
    assert_same(run(pairs, LUMA, "420", bits), run(pairs, LUMA, "400", bits))


@pytest.mark.parametrize("mask", [32, 48, 56])
def test_instruction_sets_agree_to_the_last_bit(clip: MakeClip, mask: int) -> None:
    pairs = clip(3, 346, 217)
    extractors: dict[str, dict[str, Any]] = {**LUMA, "adm": {"adm_skip_aim": True}}
    extractors |= {"cambi": {}, "speed_chroma": {}, "psnr_hvs": {}}
    best = run(pairs, extractors)
    try:
        build.set_cpu_mask(mask)
        assert_same(best, run(pairs, extractors))
    finally:
        build.set_cpu_mask(0)


ALL_OF_THE_CPU = (0, 32, 48, 56)
"""CPU masks: everything, AVX-512 without its later part, AVX2, and plain C."""


def of_every_instruction_set(pairs: Clip, bits: int, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the scores of ADM, VIF and motion, plain C last."""
    try:
        scores = []
        for mask in ALL_OF_THE_CPU:
            build.set_cpu_mask(mask)
            scores.append(run(pairs, {"adm": options, "vif": {}, "motion": {}}, "400", bits))
        return scores
    finally:
        build.set_cpu_mask(0)


def hard_frames(width: int, bits: int, seed: int) -> Clip:
    """Make two pairs that use the whole range: noise against other noise, lines against lines."""
    rng = np.random.default_rng([seed, width, bits])
    kind, peak = (np.uint8, 255) if bits == 8 else (np.uint16, 2**bits - 1)
    noise = [rng.integers(0, peak + 1, (47, width)).astype(kind) for _ in range(2)]
    sparse = (peak * (rng.random((47, width)) < 0.2)).astype(kind)
    checks = (peak * (np.indices((47, width)).sum(axis=0) % 2)).astype(kind)
    return [([noise[0]], [noise[1]]), ([checks], [sparse])]


NARROW = (33, 34, 40, 66, 97, 129, 144, 145, 163, 209, 272, 321, 481, 532)
"""Widths at which the vector code of libvmaf f85a853 gives wrong scores of ADM."""


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("width", [*NARROW, 41, 96, 176, 533, 720])
def test_scores_at_every_width_are_those_of_plain_c(clip: MakeClip, width: int, bits: int) -> None:
    *vectors, plain = of_every_instruction_set(clip(2, width, 45, "400", bits), bits, {})
    for scores in vectors:
        assert_same(scores, plain)


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("options", [{}, {"adm_enhn_gain_limit": 1.0}, {"adm_enhn_gain_limit": 1.2}])
def test_scores_of_hard_frames_are_those_of_plain_c(bits: int, options: dict[str, Any]) -> None:
    for width in (64, 144, 187, 346):
        *vectors, plain = of_every_instruction_set(hard_frames(width, bits, 3), bits, options)
        for scores in vectors:
            assert_same(scores, plain)


def test_widths_that_need_the_repair_of_adm() -> None:
    assert all(extractors.adm_last_column_counts(width) for width in NARROW)
    wide = (41, 48, 96, 176, 320, 352, 533, 640, 720, 960, 1280, 1360, 1366, 1920, 3840, 7680)
    assert not any(extractors.adm_last_column_counts(width) for width in wide)
    assert max(width for width in range(33, 5000) if extractors.adm_last_column_counts(width)) == 532


@given(width=st.integers(33, 2000))
@settings(max_examples=100)
def test_the_rule_for_the_repair_follows_the_columns(width: int) -> None:
    """The rule against a simulation of which columns are wrong, and which the scores read."""
    size, wrong, counts = width, np.zeros(width, bool), False
    for vector in (16, 4, 4, 4):
        band = (size + 1) // 2
        columns = np.zeros(band, bool)
        for column in range(band):
            sources = [abs(2 * column + tap) for tap in (-1, 0, 1, 2)]
            columns[column] = any(wrong[min(source, 2 * size - 1 - source)] for source in sources)
        if band % vector == 1:
            columns[-1] = True
        border = int(band * 0.1 - 0.5)
        counts = counts or bool(columns[max(border - 1, 0) : band - border + 1].any())
        size, wrong = band, columns
    assert extractors.adm_last_column_counts(width) == counts


def test_any_order_and_gaps_without_extractors_that_look_back(clip: MakeClip) -> None:
    pairs = clip(6)
    spatial = {"vif": {}, "adm": {"adm_skip_aim": True}}
    straight = run(pairs, spatial)
    with Context(96, 64) as context:
        for name, options in spatial.items():
            context.use_feature(name, options)
        for index in (5, 1, 3):
            context.read(*pairs[index], index)
        assert context.frames.tolist() == [1, 3, 5]
        for key, values in straight.items():
            assert np.array_equal(context.feature_scores(key), values[[1, 3, 5]])
            assert np.array_equal(context.feature_scores(key, [5, 1]), values[[5, 1]])


def test_motion_needs_the_reference_only(clip: MakeClip) -> None:
    pairs = clip(7)
    both = run(pairs, {"motion": {}})
    with Context(96, 64, "400") as context:
        context.use_feature("motion")
        for index, (reference, _) in enumerate(pairs):
            context.read(reference, None, index)
        sad = context.feature_scores("VMAF_integer_feature_motion_sad_score")
        context.flush()
        for key, values in both.items():
            assert np.array_equal(context.feature_scores(key), values)
    # A caller that streams can compute these values before the flush.
    expected = np.minimum(sad, np.append(sad[1:], np.inf))
    expected[0] = 0.0
    assert np.array_equal(both["VMAF_integer_feature_motion2_score"], expected)


def test_a_model_gives_the_same_in_one_context_and_from_its_features(clip: MakeClip) -> None:
    pairs = clip(8, 128, 96)
    with Context(128, 96) as context:
        default, neg = context.use_model("vmaf_v0.6.1"), context.use_model("vmaf_v0.6.1neg")
        bag = context.use_model("vmaf_b_v0.6.3")
        for index, pair in enumerate(pairs):
            context.read(*pair, index)
        context.flush()
        features = {key: context.feature_scores(key) for key in context.keys}
        scores = {model.info.source: context.scores(model) for model in (default, neg)}
        bagged = context.collection_scores(bag)
        assert_same(bagged, context.collection_scores(bag))
    for source, values in scores.items():
        assert np.array_equal(predict(source, features), values)
    assert not np.array_equal(scores["vmaf_v0.6.1"], scores["vmaf_v0.6.1neg"])
    assert_same(predict_collection("vmaf_b_v0.6.3", features), bagged)
    assert (bagged["ci_p95_lo"] <= bagged["bagging"]).all()
    assert (bagged["bagging"] <= bagged["ci_p95_hi"]).all()


def test_prediction_in_parts_equals_prediction_at_once(clip: MakeClip) -> None:
    rng = np.random.default_rng(3)
    keys = models.MODELS["vmaf_v0.6.1"].keys
    features = {key: rng.uniform(0.2, 1.0, 2501) for key in keys}
    whole = predict("vmaf_v0.6.1", features)
    model = Model("vmaf_v0.6.1")
    for part in (slice(0, 1), slice(998, 1003), slice(2499, 2501)):
        assert np.array_equal(predict(model, {key: values[part] for key, values in features.items()}), whole[part])
    assert predict(model, {key: values[:0] for key, values in features.items()}).shape == (0,)


def test_several_contexts_with_imported_motion_equal_one_context(clip: MakeClip) -> None:
    """As in feature extraction: workers for the spatial extractors, one context for motion, then the model."""
    pairs = clip(10, 160, 96)
    with Context(160, 96) as context:
        model = context.use_model("vmaf_v0.6.1")
        for index, pair in enumerate(pairs):
            context.read(*pair, index)
        context.flush()
        whole = context.scores(model)
    workers = []
    for _ in range(2):
        worker = Context(160, 96, "400")
        worker.use_feature("vif")
        worker.use_feature("adm", {"adm_skip_aim": "true"})
        workers.append(worker)

    def work(number: int) -> None:
        for index in range(number, len(pairs), 2):
            workers[number].read(*pairs[index], index)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    motion = run(pairs, {"motion": {}}, "420")
    features = {"VMAF_integer_feature_motion2_score": motion["VMAF_integer_feature_motion2_score"]}
    for key in model.info.keys:
        if key not in features:
            values = np.empty(len(pairs))
            for worker in workers:
                values[worker.frames] = worker.feature_scores(key)
            features[key] = values
    assert np.array_equal(predict(model, features), whole)
    with Context(160, 96) as empty:
        imported = empty.use_model("vmaf_v0.6.1", extract=False)
        for key in model.info.keys:
            empty.import_feature_scores(key, np.arange(10), features[key])
        assert np.array_equal(empty.scores(imported, np.arange(10)), whole)
    for worker in workers:
        worker.close()


def test_subsampling_leaves_out_frames_but_not_motion(clip: MakeClip) -> None:
    pairs = clip(7)
    full = run(pairs, {"vif": {}, "motion": {}})
    with Context(96, 64, n_subsample=3) as context:
        context.use_feature("vif")
        context.use_feature("motion")
        for index, pair in enumerate(pairs):
            context.read(*pair, index)
        context.flush()
        for key, values in full.items():
            wanted = values if "motion" in key else values[::3]
            assert np.array_equal(context.feature_scores(key), wanted)


def _layout(plane: Any, kind: str) -> Any:
    """Return the same samples with another layout in memory."""
    height, width = plane.shape
    if kind == "padded rows":
        wide = np.full((height, width + 13), 9, plane.dtype)
        wide[:, 5 : 5 + width] = plane
        return wide[:, 5 : 5 + width]
    if kind == "upside down":
        return plane[::-1].copy()[::-1]
    if kind == "mirrored":
        return plane[:, ::-1].copy()[:, ::-1]
    if kind == "columns":
        return np.asfortranarray(plane)
    if kind == "every other":
        wide = np.zeros((height * 2, width * 3), plane.dtype)
        wide[::2, ::3] = plane
        return wide[::2, ::3]
    if kind == "read only":
        copy = plane.copy()
        copy.setflags(write=False)
        return copy
    if kind == "unaligned":
        raw = bytearray(plane.nbytes + 1)
        view = np.frombuffer(raw, np.uint8)[1:].view(plane.dtype).reshape(height, width)
        view[:] = plane
        return view
    if kind == "one row repeated":
        return np.broadcast_to(plane[:1], plane.shape)
    return plane


LAYOUTS = ("padded rows", "upside down", "mirrored", "columns", "every other", "read only", "unaligned")


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(8, 70),
    height=st.integers(8, 50),
    bits=st.sampled_from([8, 10, 16]),
    pix_fmt=st.sampled_from(["420", "422", "444", "400"]),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 6),
    seed=st.integers(0, 2**16),
)
def test_layout_in_memory_does_not_matter(
    width: int, height: int, bits: int, pix_fmt: str, layouts: tuple[str, ...], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dtype = np.uint16 if bits > 8 else np.uint8
    down = (width // 2 if pix_fmt in ("420", "422") else width, height // 2 if pix_fmt == "420" else height)
    sizes = [(width, height)] + ([] if pix_fmt == "400" else [down, down])
    pair = tuple([rng.integers(0, 1 << bits, (h, w)).astype(dtype) for w, h in sizes] for _ in range(2))
    moved = tuple(
        [_layout(plane, layouts[(3 * side + n) % 6]) for n, plane in enumerate(planes)]
        for side, planes in enumerate(pair)
    )
    chroma: dict[str, Any] = {"vif": {}, "psnr": {"enable_mse": True}}
    plain = run([(pair[0], pair[1])], chroma, pix_fmt, bits)
    assert_same(plain, run([(moved[0], moved[1])], chroma, pix_fmt, bits))
    # The squared error of each plane, computed by numpy, shows that every sample reached its position.
    for n, part in enumerate(("y", "cb", "cr")[: len(sizes)]):
        difference = pair[0][n].astype(np.float64) - pair[1][n].astype(np.float64)
        assert plain[f"mse_{part}"][0] == pytest.approx(np.mean(difference**2), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(width=st.integers(17, 48), height=st.integers(17, 48), pix_fmt=st.sampled_from(["420", "422"]))
def test_chroma_of_odd_sizes_may_be_rounded_up_or_down(clip: MakeClip, width: int, height: int, pix_fmt: str) -> None:
    up = clip(1, width, height, pix_fmt)
    rows = height // 2 if pix_fmt == "420" else height
    down = [tuple([planes[0], *(plane[:rows, : width // 2] for plane in planes[1:])] for planes in pair) for pair in up]
    extractors: dict[str, dict[str, Any]] = {"psnr": {"enable_mse": True}, "psnr_hvs": {}}
    first = run(up, extractors, pix_fmt)
    assert_same(first, run([(pair[0], pair[1]) for pair in down], extractors, pix_fmt))
    difference = down[0][0][1].astype(np.float64) - down[0][1][1]
    assert first["mse_cb"][0] == pytest.approx(np.mean(difference**2), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "pix_fmt", "bits"),
    [
        ("yuv420p", "420", 8),
        ("yuvj420p", "420", 8),
        ("yuv422p10le", "422", 10),
        ("yuv444p12le", "444", 12),
        ("gray", "400", 8),
        ("gray10le", "400", 10),
    ],
)
@pytest.mark.parametrize("size", [(64, 48), (67, 45)])
def test_frames_of_pyav_are_read_where_they_lie(
    clip: MakeClip, name: str, pix_fmt: str, bits: int, size: tuple[int, int]
) -> None:
    import av

    pairs = clip(2, *size, pix_fmt, bits)
    frames = []
    for pair in pairs:
        for planes in pair:
            frame = av.VideoFrame(*size, name)
            for plane, samples in zip(frame.planes, planes, strict=True):
                row = plane.line_size // samples.itemsize
                padded = np.full((plane.height, row), 1, samples.dtype)
                padded[:, : plane.width] = samples
                plane.update(padded.tobytes())
            frames.append(frame)
            form = frame_format(frame)
            assert (form.chroma, form.bit_depth) == (pix_fmt, bits)
            views = planes_of(frame, form.chroma, form.bit_depth)
            assert all(np.array_equal(view, samples) for view, samples in zip(views, planes, strict=True))
            assert not any(view.flags.owndata for view in views)
    extractors: dict[str, dict[str, Any]] = {"vif": {}, "psnr": {}}
    with Context(*size, pix_fmt, bits) as context:
        for extractor, options in extractors.items():
            context.use_feature(extractor, options)
        for index in range(2):
            context.read(frames[2 * index], frames[2 * index + 1], index)
        context.flush()
        assert_same({key: context.feature_scores(key) for key in context.keys}, run(pairs, extractors, pix_fmt, bits))


def test_buffers_may_be_reused_after_read(clip: MakeClip) -> None:
    pairs = clip(3)
    kept = run(pairs, LUMA)
    with Context(96, 64, n_threads=2) as context:
        for name, options in LUMA.items():
            context.use_feature(name, options)
        for index, pair in enumerate(pairs):
            reused = tuple([plane.copy() for plane in planes] for planes in pair)
            context.read(reused[0], reused[1], index)
            for planes in reused:
                for plane in planes:
                    plane[:] = 0
        context.flush()
        assert_same({key: context.feature_scores(key) for key in context.keys}, kept)


def test_two_instances_of_an_extractor_with_other_options(clip: MakeClip) -> None:
    pairs = clip(3)
    limited = {"vif_enhn_gain_limit": 1.0}
    with Context(96, 64) as context:
        assert context.use_feature("vif") == score_keys("vif")
        assert context.use_feature("vif", limited)[0] == "integer_vif_scale0_egl_1"
        # Explicit options that equal the defaults select the first instance.
        assert context.use_feature("vif", {"vif_enhn_gain_limit": "100"}) == score_keys("vif")
        for index, pair in enumerate(pairs):
            context.read(*pair, index)
        context.flush()
        together = {key: context.feature_scores(key) for key in context.keys}
    assert len(together) == 8
    assert_same(together, {**run(pairs, {"vif": {}}), **run(pairs, {"vif": limited})})
    assert not np.array_equal(together["integer_vif_scale0_egl_1"], together["VMAF_integer_feature_vif_scale0_score"])


def test_identical_frames_have_libvmaf_s_special_values(clip: MakeClip) -> None:
    pairs = [(reference, reference) for reference, _ in clip(2)]
    scores = run(pairs, {"psnr": {}, "psnr_hvs": {}, "ciede": {}, "vif": {}})
    assert scores["psnr_y"].tolist() == [60.0, 60.0]
    assert np.isposinf(scores["psnr_hvs"]).all()
    assert np.isposinf(scores["ciede2000"]).all()
    assert scores["VMAF_integer_feature_vif_scale0_score"].tolist() == [1.0, 1.0]


def test_flat_frames_score_one(clip: MakeClip) -> None:
    flat = [np.full((64, 96), 80, np.uint8), *(np.full((32, 48), 128, np.uint8) for _ in range(2))]
    scores = run([(flat, flat)], {"vif": {}, "adm": {}})
    assert scores["VMAF_integer_feature_adm2_score"][0] == 1.0
    assert scores["VMAF_integer_feature_vif_scale3_score"][0] == 1.0


def test_scores_have_double_precision(clip: MakeClip) -> None:
    values = run(clip(4), {"adm": {}, "motion": {}})["VMAF_integer_feature_adm2_score"]
    assert values.dtype == np.float64
    assert np.any(values != np.round(values, 6))
    assert np.any(values != values.astype(np.float32))


# Values for the options whose smallest or first other value does not suit these frames.
OTHER_VALUES: dict[str, Any] = {
    "adm_norm_view_dist": 4.5,
    "adm_ref_display_height": 2160,
    "enc_width": 320,
    "enc_height": 240,
    "enc_bitdepth": 8,
    "src_width": 320,
    "src_height": 240,
    "cambi_high_res_speedup": 1080,
    "speed_kernelscale": 1.5,
    "speed_prescale": 0.75,
}

RENAMING = [
    (name, key)
    for name, extractor in extractors.EXTRACTORS.items()
    for key, option in extractor.options.items()
    if option.alias is not None
]


def _other_value(key: str, option: extractors.Option) -> Any:
    """Return a value of the option other than its default."""
    if key in OTHER_VALUES:
        return OTHER_VALUES[key]
    if option.choices:
        return next(choice for choice in option.choices if choice != option.default)
    if option.kind == "bool":
        return not option.default
    assert option.low is not None
    return option.low if option.low != option.default else option.high


def _missing(pairs: Clip, name: str, options: dict[str, Any], keys: Sequence[str]) -> list[str]:
    """Return the keys for which libvmaf does not store a score of every frame."""
    context = _native.Context(320, 240, "420", 8)
    context.use_feature(name, extractors.spell_options(options))
    for index, pair in enumerate(pairs):
        context.read(*pair, index)
    context.flush()
    missing = [key for key in keys if not context.feature_scores(key, np.arange(len(pairs)))[1].all()]
    context.close()
    return missing


@pytest.mark.parametrize(("name", "key"), RENAMING)
def test_keys_of_a_renaming_option_are_libvmaf_s(clip: MakeClip, name: str, key: str) -> None:
    """A value other than the default renames the scores as `feature_key` says; the explicit default does not."""
    pairs = clip(2, 320, 240)
    option, names = extractors.EXTRACTORS[name].options[key], extractors.EXTRACTORS[name].scores
    value = _other_value(key, option)
    keys = [feature_key(base, name, {key: value}) for base in names]
    assert not set(keys) & set(names)
    assert not _missing(pairs, name, {key: value}, keys)
    if option.default is not None and option.default != 0:
        assert not _missing(pairs, name, {key: option.default}, names)


def test_many_options_rename() -> None:
    assert len(RENAMING) >= 40


@pytest.mark.parametrize("name", list(extractors.EXTRACTORS))
def test_an_extractor_gives_exactly_the_scores_of_the_table(clip: MakeClip, name: str) -> None:
    flags = {
        key: not option.default
        for key, option in extractors.EXTRACTORS[name].options.items()
        if option.kind == "bool" and option.alias is None and key not in ("enable_chroma", "enable_apsnr")
    }
    # Larger than every limit, so that each extractor can give all its extra scores.
    pairs = clip(2, 320, 240)
    for options in ({}, flags):
        scores = run(pairs, {name: options})
        assert tuple(scores) == score_keys(name, options)
        assert all(len(values) == 2 for values in scores.values())


@pytest.mark.parametrize("version", list(models.MODELS))
def test_every_built_in_model_loads_and_reads_the_features_of_the_table(clip: MakeClip, version: str) -> None:
    pairs = clip(3, 400, 328)
    with Context(400, 328) as context:
        model = context.use_model(version)
        for index, pair in enumerate(pairs):
            context.read(*pair, index)
        context.flush()
        scores = context.collection_scores(model)["bagging"] if model.info.collection else context.scores(model)
        features = {key: context.feature_scores(key) for key in model.info.keys}
        # The extractors of the table alone give the same as those that libvmaf registers for the model.
        wanted = {(feature.extractor, feature.options) for feature in model.info.features}
    for name, options in wanted:
        for key, values in run(pairs, {name: dict(options)}).items():
            if key in features:
                assert np.array_equal(values, features[key]), key
    assert np.isfinite(scores).all()
    if model.info.collection:
        assert_same(predict_collection(version, features), {**predict_collection(version, features)})
        assert np.array_equal(predict_collection(version, features)["bagging"], scores)
    else:
        assert np.array_equal(predict(version, features), scores)
        # Nothing else is read: with one feature missing there is no score.
        for key in features:
            with pytest.raises(InputError, match="reads"):
                predict(version, {other: values for other, values in features.items() if other != key})
