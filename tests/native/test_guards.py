"""The traps of libvmaf: pyvmaf raises an exception for each."""

from __future__ import annotations

import errno
import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyvmaf import _native
from pyvmaf.engines.libvmaf import build, extractors, models
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.models import Model, predict, predict_collection
from pyvmaf.errors import InputError, MissingFileError, NativeError

MakeClip = Callable[..., list[tuple[list[Any], list[Any]]]]

TINY = {
    "model_dict": {
        "model_type": "LIBSVMNUSVR",
        "norm_type": "none",
        "feature_names": ["VMAF_integer_feature_adm2_score", "VMAF_integer_feature_vif_scale0_score"],
        "feature_opts_dicts": [{}, {"vif_enhn_gain_limit": 1.0}],
        "model": "svm_type nu_svr\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 1\nrho -0.25\nSV\n2 1:0.4 2:0.6 \n",
    }
}


def context_of(*extractors: str, size: tuple[int, int] = (96, 64), **settings: Any) -> Context:
    context = Context(*size, **settings)
    for name in extractors:
        context.use_feature(name)
    return context


# --- extractors, options, frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("viff", {}, "unknown extractor 'viff': did you mean 'vif'"),
        ("vif", {"vif_enhn_gain_limt": 1.0}, "did you mean 'vif_enhn_gain_limit'"),
        ("vif", {"vif_enhn_gain_limit": 0.5}, r"is 0.5: must be in 1..100"),
        ("vif", {"vif_enhn_gain_limit": "1,2"}, "is '1,2': must be a number"),
        ("vif", {"vif_enhn_gain_limit": True}, "is True: must be a number"),
        ("vif", {"vif_enhn_gain_limit": float("nan")}, "is nan: must be a number"),
        ("vif", {"vif_enhn_gain_limit": 1.0000001}, "keeps six digits and would take 1"),
        ("vif", {"debug": "yes"}, "is 'yes': must be true or false"),
        ("vif", {"debug": 1}, "is 1: must be true or false"),
        ("adm", {"adm_csf_mode": 1.5}, "is 1.5: must be an integer"),
        ("adm", {"adm_norm_view_dist": 1.5}, "1.5 times 1080 is 1620"),
        ("cambi", {"eotf": "hlg"}, "is 'hlg': must be one of bt1886, pq"),
        ("cambi", {"cambi_high_res_speedup": 720}, "is 720: must be one of 0, 1080, 1440, 2160"),
        ("speed_chroma", {"speed_kernelscale": 2.5}, "is 2.5: must be one of 0.5, 1"),
        ("speed_temporal", {"speed_prescale": 2.0}, r"is 2.0: must be in 0.1..1"),
        ("psnr_hvs", {"debug": True}, "'psnr_hvs': it takes none"),
    ],
)
def test_unknown_names_and_bad_values_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with Context(400, 320) as context:
        with pytest.raises(InputError, match=message):
            context.use_feature(name, options)
        assert context.keys == ()


def test_libvmaf_would_have_ignored_the_misspelled_option() -> None:
    """The trap itself: the guard can go when libvmaf refuses unknown options."""
    _native.Context(96, 64, "420", 8).use_feature("vif", {"vif_enhn_gain_limt": "1.0"})


@pytest.mark.parametrize(
    ("name", "width", "height", "pix_fmt", "bits", "message"),
    [
        ("vif", 7, 8, "420", 8, "'vif' needs frames of at least 8x8, these are 7x8"),
        ("adm", 32, 64, "420", 8, "'adm' needs frames of at least 33x33, these are 32x64"),
        ("adm", 64, 32, "420", 8, "'adm' needs frames of at least 33x33, these are 64x32"),
        ("motion", 2, 3, "420", 8, "at least 3x3, these are 2x3"),
        ("psnr_hvs", 15, 16, "444", 8, "at least 16x16, these are 15x16"),
        ("psnr_hvs", 64, 64, "420", 16, "up to 12 bits per sample, the frames have 16"),
        ("psnr_hvs", 64, 64, "400", 8, "needs chroma, the frames are 400"),
        ("ciede", 64, 64, "400", 8, "needs chroma, the frames are 400"),
        ("ciede", 65, 64, "420", 8, "even 4:2:0 frames, these are 65x64"),
        ("cambi", 215, 215, "420", 8, "a longer side of at least 216, the frames are 215x215"),
        ("cambi", 400, 16, "420", 8, "at least 32x32, these are 400x16"),
        ("float_ssim", 10, 11, "420", 8, "at least 11x11, these are 10x11"),
        ("float_ms_ssim", 176, 175, "420", 8, "at least 176x176, these are 176x175"),
        ("speed_chroma", 191, 160, "420", 8, "at least 192x160, these are 191x160"),
        ("speed_chroma", 192, 160, "400", 8, "needs chroma, the frames are 400"),
        ("speed_temporal", 111, 96, "420", 8, "at least 112x96, these are 111x96"),
    ],
)
def test_frames_that_an_extractor_cannot_take_are_refused(
    name: str, width: int, height: int, pix_fmt: str, bits: int, message: str
) -> None:
    with Context(width, height, pix_fmt, bits) as context, pytest.raises(InputError, match=message):
        context.use_feature(name)


def test_limits_grow_with_the_scaling_of_the_frame() -> None:
    with Context(383, 320) as context:
        with pytest.raises(InputError, match="at least 384x320, these are 383x320"):
            context.use_feature("speed_chroma", {"speed_prescale": 0.5})
        with pytest.raises(InputError, match="at least 384x320, these are 383x320"):
            context.use_model("vmaf_v1.0.16_3d0h_2160")


@pytest.mark.parametrize("name", list(extractors.EXTRACTORS))
def test_the_smallest_frames_work(clip: MakeClip, name: str) -> None:
    limit = extractors.LIMITS[name]
    width, height = max(limit.width, limit.longer_side), limit.height
    with context_of(name, size=(width, height)) as context:
        for index, (reference, distorted) in enumerate(clip(2, width, height)):
            context.read(reference, distorted, index)
        context.flush()
        assert not any(np.isnan(context.feature_scores(key)).any() for key in context.keys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 64), r"width is 0: must be an integer in 1..16384"),
        ((96, -1), r"height is -1"),
        ((96, 64.0), r"height is 64.0"),
        ((True, 64), r"width is True"),
        ((96, 64, "421"), "unknown pixel format '421'"),
        ((96, 64, "420", 7), r"bits is 7: must be an integer in 8..16"),
        ((96, 64, "420", 17), r"bits is 17"),
    ],
)
def test_contexts_of_impossible_frames_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Context(*arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_threads": -1}, r"n_threads is -1"),
        ({"n_subsample": 0}, r"n_subsample is 0"),
    ],
)
def test_bad_settings_of_a_context_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Context(96, 64, **settings)


def test_bad_settings_of_the_process_are_refused() -> None:
    with pytest.raises(InputError, match="unknown log level 'warn': did you mean 'warning'"):
        build.set_log_level("warn")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="CPU mask -1"):
        build.set_cpu_mask(-1)


# --- frames and indices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: [p[0][:-1], *p[1:]], "plane 0 of the distorted frame is 96x63, the context needs 96x64"),
        (lambda p: [p[0], p[1][:, :-1], p[2]], "plane 1 of the distorted frame is 47x32, the context needs 48x32"),
        (lambda p: [p[0], p[1], p[0]], "plane 2 of the distorted frame is 96x64, the context needs 48x32"),
        (lambda p: p[:1], "the distorted frame has 1 planes, the context needs 3"),
        (lambda p: [], "the distorted frame has no planes"),
        (lambda p: [q.astype(np.uint16) for q in p], "holds uint16 samples, a 8-bit context needs uint8"),
        (lambda p: [q.astype(np.float32) for q in p], "samples of format 'f', not uint8 or uint16"),
        (lambda p: [q.astype(np.int8) for q in p], "samples of format 'b', not uint8 or uint16"),
        (lambda p: [p[0].astype(">u2"), *p[1:]], "samples of format '>H', not uint8 or uint16 in native byte order"),
        (lambda p: [p[0].ravel(), *p[1:]], "plane 0 of the distorted frame is 1-D, not 2-D"),
        (lambda p: [p[0].tolist(), *p[1:]], "plane 0 of the distorted frame is not a buffer"),
    ],
)
def test_frames_that_do_not_fit_are_refused_and_the_context_lives_on(
    clip: MakeClip, change: Callable[[list[Any]], list[Any]], message: str
) -> None:
    (reference, distorted), *_ = clip(1)
    with context_of("vif", "motion") as context:
        with pytest.raises(InputError, match=message):
            context.read(reference, change(distorted), 0)
        context.read(reference, distorted, 0)
        context.flush()
        assert context.frames.tolist() == [0]


def test_mixed_bit_depths_are_refused(clip: MakeClip) -> None:
    """Without a guard, libvmaf accepts 8 bits against 10 and returns garbage."""
    eight, ten = clip(1)[0], clip(1, bits=10)[0]
    with Context(96, 64, bits=10) as context:
        context.use_feature("vif")
        with pytest.raises(InputError, match="uint8 samples, a 10-bit context needs uint16"):
            context.read(ten[0], eight[1], 0)
        with pytest.raises(InputError, match="plane 0 of the reference frame holds uint8 samples"):
            context.read(eight[0], ten[1], 0)


@pytest.mark.parametrize("strided", [False, True])
def test_samples_of_more_bits_than_stated_are_refused(clip: MakeClip, strided: bool) -> None:
    reference, distorted = clip(1, bits=10)[0]
    distorted[1][5, 7] = 1024
    if strided:
        distorted[1] = np.asfortranarray(distorted[1])
    with Context(96, 64, bits=10) as context:
        context.use_feature("vif")
        message = "plane 1 of the distorted frame holds 1024 at row 5, column 7: more than the 1023 that 10 bits allow"
        with pytest.raises(InputError, match=message):
            context.read(reference, distorted, 0)
        distorted[1][5, 7] = 1023
        context.read(reference, distorted, 0)


def test_frames_of_pyav_in_another_format_are_refused() -> None:
    import av

    def frame(name: str) -> Any:
        return av.VideoFrame(96, 64, name)

    with context_of("vif") as context:
        with pytest.raises(InputError, match="distorted frame has 10 bits per sample, the context 8"):
            context.read(frame("yuv420p"), frame("yuv420p10le"), 0)
        with pytest.raises(InputError, match="reference frame is 422, the context 420"):
            context.read(frame("yuv422p"), frame("yuv420p"), 0)
        with pytest.raises(InputError, match="rgb24 frame does not hold planes"):
            context.read(frame("rgb24"), frame("yuv420p"), 0)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (-1, r"frame index -1 is not in 0..9999999"),
        (10_000_000, "frame index 10000000 is not in"),
        (2**40, "is not in"),
        (1.0, "frame index 1.0 is a float, not an integer"),
        (True, "frame index True is a bool"),
        (0, "frame 0 was read before"),
    ],
)
def test_impossible_frame_indices_are_refused(clip: MakeClip, index: Any, message: str) -> None:
    pairs = clip(2)
    with context_of("vif") as context:
        context.read(*pairs[0], 0)
        with pytest.raises(InputError, match=message):
            context.read(*pairs[1], index)
        context.read(*pairs[1], np.int64(1))  # type: ignore[arg-type]  # integers of numpy are accepted


@pytest.mark.parametrize("extractor", ["motion", "speed_temporal"])
def test_gaps_are_refused_if_an_extractor_looks_back(clip: MakeClip, extractor: str) -> None:
    """Without a guard, libvmaf accepts such frames, and motion scores are then missing or wrong."""
    pairs = clip(3, 128, 96)
    with context_of("vif", extractor, size=(128, 96)) as context:
        with pytest.raises(InputError, match=f"frame 1 where 0 is next: {extractor} look back"):
            context.read(*pairs[1], 1)
        context.read(*pairs[0], 0)
        with pytest.raises(InputError, match="frame 2 where 1 is next"):
            context.read(*pairs[2], 2)


def test_the_distorted_frame_may_be_left_out_for_motion_only(clip: MakeClip) -> None:
    reference, _ = clip(1)[0]
    with (
        context_of("vif", "motion") as context,
        pytest.raises(InputError, match="frame 0 has no distorted picture, which vif need"),
    ):
        context.read(reference, None, 0)


# --- names of scores ----------------------------------------------------------------------------------------------


def test_the_129th_name_is_refused() -> None:
    """Without a guard, libvmaf writes beyond its table at this name."""
    with context_of("vif") as context:
        for number in range(124):
            context.import_feature_scores(f"mine_{number}", [0], [0.5])
        with pytest.raises(InputError, match="129 names of scores in one context, libvmaf holds 128"):
            context.import_feature_scores("one_more", [0], [0.5])
        with pytest.raises(InputError, match="names of scores in one context"):
            context.use_feature("motion")
        assert context.feature_scores("mine_123", [0]).tolist() == [0.5]


def test_options_that_do_not_rename_cannot_be_mixed() -> None:
    """Without a guard, libvmaf keeps the first of two instances whose scores have the same names."""
    with Context(96, 64) as context:
        context.use_feature("adm", {"adm_skip_aim": True})
        with pytest.raises(InputError, match=r"under the names of 'adm' with \{'adm_skip_aim': True\}"):
            context.use_feature("adm")
        with pytest.raises(InputError, match="libvmaf keeps the first"):
            context.use_model("vmaf_v0.6.1")
        context.use_model("vmaf_v0.6.1", extract=False)


def test_registration_after_the_first_frame_is_refused(clip: MakeClip) -> None:
    with context_of("vif") as context:
        context.read(*clip(1)[0], 0)
        with pytest.raises(NativeError, match="before the first frame; 1 were read"):
            context.use_feature("adm")
        with pytest.raises(NativeError, match="before the first frame; 1 were read"):
            context.use_model("vmaf_v0.6.1")


def test_reading_without_extractors_is_refused(clip: MakeClip) -> None:
    with Context(96, 64) as context, pytest.raises(InputError, match="no extractor is registered"):
        context.read(*clip(1)[0], 0)


@pytest.mark.parametrize(
    ("key", "indices", "values", "message"),
    [
        ("mine", [0, 1], [0.5], "2 indices but values of shape"),
        ("mine", [0, 1, 1], [0.1, 0.2, 0.3], "frames occur more than once: 1"),
        ("mine", [0, -3], [0.1, 0.2], r"frame indices not in 0..9999999: -3"),
        ("mine", [0.0], [0.1], "frame indices are float64, not integers"),
        ("mine", [[0]], [[0.1]], "frame indices must be 1-D, not 2-D"),
        ("VMAF_integer_feature_vif_scale0_score", [0], [0.1], "a registered extractor"),
    ],
)
def test_imports_are_checked(key: str, indices: Any, values: Any, message: str) -> None:
    with context_of("vif") as context, pytest.raises(InputError, match=message):
        context.import_feature_scores(key, indices, values)


def test_imported_scores_are_read_back_and_never_replaced() -> None:
    with context_of("vif") as context:
        context.import_feature_scores("mine", [3], [0.25])
        with pytest.raises(NativeError, match="importing 'mine' of frame 3 failed"):
            context.import_feature_scores("mine", [3], [0.5])
        assert context.feature_scores("mine", [3]).tolist() == [0.25]
        with pytest.raises(NativeError, match=r"mine is missing for 2 of 3 frames \(2, 4\)"):
            context.feature_scores("mine", [2, 3, 4])
        with pytest.raises(InputError, match="unknown score 'mini': did you mean 'mine'"):
            context.feature_scores("mini", [3])


# --- models -------------------------------------------------------------------------------------------------------


def test_unknown_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown model 'vmaf_v0.6.2': did you mean 'vmaf_v0.6.1'"):
        Model("vmaf_v0.6.2")
    with pytest.raises(MissingFileError, match=r"no such file: .*nowhere.json"):
        Model(tmp_path / "nowhere.json")


def test_a_model_from_a_file_is_the_model(tmp_path: Path) -> None:
    """A model with one support vector: its score is computed here by hand."""
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(TINY))
    model = Model(path)
    assert model.info.keys == ("VMAF_integer_feature_adm2_score", "integer_vif_scale0_egl_1")
    features = {key: np.array([0.2, 0.9]) for key in model.info.keys}
    gamma, alpha, rho = 0.5, 2.0, -0.25
    distance = (features[model.info.keys[0]] - 0.4) ** 2 + (features[model.info.keys[1]] - 0.6) ** 2
    assert np.allclose(predict(model, features), alpha * np.exp(-gamma * distance) - rho, rtol=0, atol=1e-12)


def test_two_models_of_one_name_are_refused() -> None:
    """Without a guard, libvmaf returns the scores of the first model for both."""
    with Context(96, 64) as context:
        context.use_model(Model("vmaf_v0.6.1", "mine"))
        with pytest.raises(InputError, match=r"named 'mine' is already registered: vmaf_v0.6.1; give vmaf_v0.6.1neg"):
            context.use_model(Model("vmaf_v0.6.1neg", "mine"))
    assert Model("vmaf_v0.6.1").name != Model("vmaf_v0.6.1").name
    with pytest.raises(InputError, match="must not be empty"):
        Model("vmaf_v0.6.1", "")


def test_a_model_of_another_context_is_refused(clip: MakeClip) -> None:
    with Context(96, 64) as first, Context(96, 64) as second:
        mine, other = first.use_model("vmaf_v0.6.1"), second.use_model("vmaf_4k_v0.6.1")
        first.read(*clip(1)[0], 0)
        first.flush()
        message = r"'vmaf_4k_v0.6.1' is not registered with this context \(registered: vmaf_v0.6.1\)"
        with pytest.raises(InputError, match=message):
            first.scores(other)
        with pytest.raises(InputError, match=r"has 1 members: call scores\(\)"):
            first.collection_scores(mine)
        assert first.scores(mine).shape == (1,)


def test_a_context_keeps_its_models_alive(clip: MakeClip) -> None:
    context = Context(96, 64)
    context.use_model("vmaf_v0.6.1")
    collection = context.use_model("vmaf_b_v0.6.3")
    for _ in range(20):
        Model("vmaf_v0.6.1neg")
    gc.collect()
    context.read(*clip(1)[0], 0)
    context.flush()
    assert np.isfinite(context.collection_scores(collection)["bagging"]).all()
    context.close()


KEYS = models.MODELS["vmaf_v0.6.1"].keys


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({KEYS[0]: None}, "reads VMAF_integer_feature_adm2_score"),
        ({KEYS[2]: np.zeros(2)}, r"of one length, these are .*\(2,\)"),
        ({key: np.zeros((3, 1)) for key in KEYS}, "must be 1-D"),
    ],
)
def test_features_of_predictions_are_checked(change: dict[str, Any], message: str) -> None:
    features = dict.fromkeys(KEYS, np.full(3, 0.5)) | change
    with pytest.raises(InputError, match=message):
        predict("vmaf_v0.6.1", {key: values for key, values in features.items() if values is not None})


def test_models_and_collections_have_functions_of_their_own() -> None:
    features = dict.fromkeys(KEYS, np.full(3, 0.5))
    with pytest.raises(InputError, match=r"use predict_collection\(\)"):
        predict("vmaf_b_v0.6.3", features)
    with pytest.raises(InputError, match=r"use predict\(\)"):
        predict_collection("vmaf_v0.6.1", features)


def test_scores_name_the_feature_that_is_missing(clip: MakeClip) -> None:
    with Context(96, 64) as context:
        model = context.use_model("vmaf_v0.6.1")
        for index, pair in enumerate(clip(2)):
            context.read(*pair, index)
        message = r"VMAF_integer_feature_motion2_score is missing for 2 of 2 frames \(0, 1\); .* need flush\(\)"
        with pytest.raises(NativeError, match=message):
            context.scores(model)
        context.flush()
        with pytest.raises(NativeError, match=r"adm2_score is missing for 1 of 2 frames \(7\)$"):
            context.scores(model, [1, 7])


# --- life of a context --------------------------------------------------------------------------------------------


def test_read_after_flush_and_second_flush_are_refused(clip: MakeClip) -> None:
    pairs = clip(3)
    with context_of("motion") as context:
        for index in range(2):
            context.read(*pairs[index], index)
        context.flush()
        with pytest.raises(NativeError, match="flushed after 2 frames: open another context for frame 2"):
            context.read(*pairs[2], 2)
        with pytest.raises(NativeError, match="flushed before, after 2 frames"):
            context.flush()
        assert context.feature_scores("VMAF_integer_feature_motion2_score").shape == (2,)


@pytest.mark.parametrize("n_threads", [0, 2])
def test_flush_without_frames_is_refused(n_threads: int) -> None:
    """Without a guard, libvmaf fails without worker threads and succeeds with them."""
    with context_of("vif", n_threads=n_threads) as context, pytest.raises(NativeError, match="no frame was read"):
        context.flush()


def test_use_after_close_is_refused(clip: MakeClip) -> None:
    pair = clip(1)[0]
    context = context_of("vif")
    context.read(*pair, 0)
    context.close()
    context.close()
    assert "closed" in repr(context)
    for call in (
        lambda: context.read(*pair, 1),
        context.flush,
        lambda: context.use_feature("adm"),
        lambda: context.use_model("vmaf_v0.6.1"),
        lambda: context.feature_scores("VMAF_integer_feature_vif_scale0_score"),
        lambda: context.import_feature_scores("mine", [0], [0.5]),
    ):
        with pytest.raises(NativeError, match="the context is closed") as caught:
            call()
        assert caught.value.errno == errno.EBADF


def test_errors_of_worker_threads_are_reported(clip: MakeClip) -> None:
    """Without a guard, libvmaf drops them: cambi refuses its options in a worker, while read and flush succeed."""
    pairs = clip(2, 320, 240)
    options = {"enc_width": 200, "enc_height": 200}
    with Context(320, 240, n_threads=2) as context:
        context.use_feature("cambi", options)
        for index, pair in enumerate(pairs):
            context.read(*pair, index)
        with pytest.raises(NativeError, match=r"cambi_ench_200_encw_200 is missing for 2 of 2 frames \(0, 1\)"):
            context.flush()
    with Context(320, 240) as context:
        context.use_feature("cambi", options)
        with pytest.raises(NativeError, match=r"reading frame 0 failed: status -\d+") as caught:
            context.read(*pairs[0], 0)
        assert caught.value.errno > 0
        with pytest.raises(NativeError, match="unusable since a call failed: reading frame 0"):
            context.read(*pairs[0], 0)


def test_positive_status_is_a_failure_too() -> None:
    """float_ms_ssim returns +1 for frames that are too small."""
    planes = [np.zeros((100, 100), np.uint8)]
    context = _native.Context(100, 100, "400", 8)
    context.use_feature("float_ms_ssim", {})
    with pytest.raises(_native.Error, match="reading frame 0 failed: status") as caught:
        context.read(planes, planes, 0)
    assert caught.value.errno != 0


@pytest.mark.parametrize("n_threads", [0, 1, 3])
def test_pictures_never_run_out(clip: MakeClip, n_threads: int) -> None:
    """A pool that is too small waits forever at the third frame; refused frames must return their pictures."""
    pairs = clip(4)
    with context_of("motion", "vif", n_threads=n_threads) as context:
        for index in range(40):
            with pytest.raises(InputError):
                context.read(pairs[index % 4][0], pairs[index % 4][1][:2], index)
            context.read(*pairs[index % 4], index)
        context.flush()
        assert len(context.feature_scores("VMAF_integer_feature_motion2_score")) == 40


class Slow:
    """A context inside a call of a fraction of a second, all of it in libvmaf, in a thread of its own."""

    def __init__(self, clip: MakeClip) -> None:
        self.context = context_of("ciede", size=(1280, 720))
        self.context.import_feature_scores("mine", [0], [1.0])
        pair = clip(1, 1280, 720)[0]
        self.pair = pair
        self.thread = threading.Thread(target=self.work)

    def work(self) -> None:
        while True:
            try:
                return self.context.read(*self.pair, 0)
            except NativeError as error:
                # `is_busy` used the context at that moment.
                if error.errno != errno.EBUSY:
                    raise

    def is_busy(self) -> bool:
        try:
            self.context.feature_scores("mine", [0])
        except NativeError as error:
            return error.errno == errno.EBUSY and "busy in another thread" in str(error)
        return False

    def __enter__(self) -> Slow:
        self.thread.start()
        while not self.is_busy():
            assert self.thread.is_alive()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        assert not self.is_busy()
        self.context.close()


def test_a_busy_context_raises_ebusy(clip: MakeClip) -> None:
    with Slow(clip) as slow:
        with pytest.raises(NativeError, match="busy in another thread") as caught:
            slow.context.close()
        assert caught.value.errno == errno.EBUSY
        assert slow.thread.is_alive()
    assert slow.context.frames.tolist() == [0]


def test_the_gil_is_released_while_libvmaf_works(clip: MakeClip) -> None:
    """Other Python code and other contexts run while one context is inside a call."""
    pairs = clip(1)
    done = 0
    with Slow(clip) as slow, context_of("vif") as other:
        while slow.thread.is_alive() and done < 3:
            other.read(*pairs[0], done)
            assert other.feature_scores("VMAF_integer_feature_vif_scale0_score").shape == (done + 1,)
            done += slow.is_busy()
            if done < len(other.frames):
                break
    assert done == 3


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("n_threads", [0, 2])
def test_a_forked_child_gets_an_error_instead_of_a_hang(clip: MakeClip, n_threads: int) -> None:
    pairs = clip(2)
    context = context_of("vif", n_threads=n_threads)
    context.read(*pairs[0], 0)
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        answers = []
        calls: list[Callable[[], None]] = [lambda: context.read(*pairs[1], 1), context.flush, context.close]
        for call in calls:
            try:
                call()
                answers.append("no error")
            except NativeError as error:
                answers.append(str(error))
        del context
        gc.collect()
        os.write(send, "\n".join(answers).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as stream:
        answers = stream.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    assert len(answers) == 3
    for answer in answers:
        assert f"opened in process {os.getpid()} and is used in process {child}" in answer
    context.read(*pairs[1], 1)
    context.flush()
    context.close()


# --- settings of the process --------------------------------------------------------------------------------------


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)


def test_log_level_is_one_setting_for_all_contexts() -> None:
    code = (
        "from pyvmaf import _native\nfrom pyvmaf.engines.libvmaf import build, context\n"
        "{}\n"
        "c = _native.Context(96, 64, '420', 8)\n"
        "try:\n    _native.Model('nothing')\nexcept _native.Error:\n    pass\n"
    )
    assert _python(code.format("")).stderr == ""
    assert "no such built-in model" in _python(code.format("build.set_log_level('warning')")).stderr
    assert _python(code.format("build.set_log_level('warning'); build.set_log_level('error')")).stderr == ""


def test_cpu_mask_is_one_setting_for_all_contexts() -> None:
    code = (
        "from pyvmaf.engines.libvmaf import build, context\n"
        "before = build.engine()['simd']\n"
        "build.set_cpu_mask(2**64 - 1)\n"
        "context.Context(96, 64).close()\n"
        "print(before, build.engine()['simd'])\n"
        "build.set_cpu_mask(0)\n"
        "print(build.engine()['simd'])\n"
    )
    (before, hidden), (after,) = (line.split() for line in _python(code).stdout.splitlines())
    assert hidden == "c"
    assert after == before


def test_contexts_leave_the_settings_alone() -> None:
    build.set_cpu_mask(48)
    try:
        for _ in range(3):
            with Context(96, 64):
                assert _native.cpu_mask() == 48
    finally:
        build.set_cpu_mask(0)
