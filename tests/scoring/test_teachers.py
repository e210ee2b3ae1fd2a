"""Models of libvmaf in `score`: short names, own features only, options of features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import pyvmaf
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.models import ALIASES, MODELS, Model, model_info, model_name
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.features.requests import Teacher
from pyvmaf.video.reader import Reader
from tests.make.commands import command, refusal


@pytest.fixture(scope="module")
def large(embedded_files: dict[str, Path], convert: Callable[..., Path]) -> tuple[Path, Path]:
    """A pair that CAMBI takes, 320x180, four frames."""
    words = ("-an", "-frames:v", "4", "-vf", "scale=320:180")
    reference = convert(embedded_files["bigbuckbunny.mp4"], "large.mkv", *words, "-c:v", "ffv1")
    return reference, convert(reference, "large_35.mkv", "-c:v", "libx264", "-crf", "35")


def in_libvmaf(pair: tuple[Path, Path], model: str, bit_depth: int | None = None) -> NDArray[np.float64]:
    """Score frames with libvmaf's own extraction for a model."""
    reference, distorted = (Reader(path, bit_depth=bit_depth) for path in pair)
    form = reference.format
    with Context(form.width, form.height, form.chroma, form.bit_depth) as context:
        used = context.use_model(model)
        for index, (ours, theirs) in enumerate(zip(reference.planes(), distorted.planes(), strict=True)):
            context.read(ours, theirs, index)
        context.flush()
        return context.scores(used)


def test_short_names_are_models() -> None:
    for name in ALIASES.values():
        assert model_info(name).name.base in MODELS
    assert str(model_name("phone:disable_clip")) == "vmaf_v0.6.1:disable_clip:enable_transform"
    assert str(model_name("neg")) == "vmaf_v0.6.1neg"


def test_each_computes_its_own_features_only(large: tuple[Path, Path]) -> None:
    from pyvmaf.features.ladder import extract_ladder
    from pyvmaf.scoring.score import Scoring

    scores = pyvmaf.score(*large, model="v1")
    names = ["cambi", "speed_chroma_uv", "adm3", "motion3"]
    assert list(scores.columns) == [*(f"{name}:vmaf_v1.0.16_3d0h" for name in names), "vmaf"]
    np.testing.assert_array_equal(scores["vmaf"], in_libvmaf(large, "vmaf_v1.0.16_3d0h"))
    chosen = Scoring("v1")
    ladder = extract_ladder(large[0], {"d": large[1]}, features=chosen._selection, model=chosen._teachers)
    assert {line.split(" ")[0].split(":")[0] for line in ladder.computed} == {"cambi", "speed_chroma", "adm", "motion"}
    assert len(ladder.computed) == 4
    # The default has the six features that it always had.
    assert list(pyvmaf.score(*large).columns) == [*CANONICAL6, "vmaf"]
    assert list(pyvmaf.score(*large, model="v1", features="psnr_y").columns) == ["psnr_y", "vmaf"]
    neg = pyvmaf.score(*large, model="neg")
    assert "adm2" not in neg.columns
    assert "motion2" in neg.columns


def test_several_in_one_pass(large: tuple[Path, Path]) -> None:
    names = ["v1", "neg", "phone", "4k"]
    scores = pyvmaf.score(*large, model=names)
    columns = ["vmaf", "vmaf_v0.6.1neg", "vmaf_v0.6.1:enable_transform", "vmaf_4k_v0.6.1"]
    for name, column in zip(names, columns, strict=True):
        np.testing.assert_array_equal(scores[column], pyvmaf.score(*large, model=name)["vmaf"])
    # A score that two models read stands once.
    keys = [key for name in names for key in Teacher(str(model_name(name))).named().values()]
    assert len(scores.columns) - len(names) == len(set(keys)) < len(keys)
    done = command("score", *large, "-m", "v1", "-m", "v0.6", "--quiet")
    assert float(done.stdout) == scores["vmaf"].mean()


def test_rows_of_such_models_come_live(large: tuple[Path, Path]) -> None:
    rows: list[dict[str, float]] = []
    scores = pyvmaf.score(*large, model=["neg", "v0.6"], take=rows.append)
    assert rows == list(pyvmaf.score(*large, model=["neg", "v0.6"]).rows()) == list(scores.rows())


class TestOptionsOfFeatures:
    def test_the_gain_limits_make_neg(self, large: tuple[Path, Path]) -> None:
        changed = pyvmaf.score(*large, model="v0.6:vif.vif_enhn_gain_limit=1:adm.adm_enhn_gain_limit=1")
        np.testing.assert_array_equal(changed["vmaf"], in_libvmaf(large, "vmaf_v0.6.1neg"))
        assert changed.model == "vmaf_v0.6.1:adm.adm_enhn_gain_limit=1:vif.vif_enhn_gain_limit=1"

    def test_beside_the_model_without(self, large: tuple[Path, Path]) -> None:
        lower = "v1:cambi.cambi_max_val=0.001"
        both = pyvmaf.score(*large, model=["v1", lower])
        assert both.columns["cambi:vmaf_v1.0.16_3d0h:cambi.cambi_max_val=0.001"].max() <= 0.001
        np.testing.assert_array_equal(both["vmaf"], pyvmaf.score(*large, model="v1")["vmaf"])
        np.testing.assert_array_equal(
            both["vmaf_v1.0.16_3d0h:cambi.cambi_max_val=0.001"], pyvmaf.score(*large, model=lower)["vmaf"]
        )

    @pytest.mark.parametrize(
        ("model", "reason"),
        [
            ("v1:cambi.bogus=1", "unknown option of extractor 'cambi' 'bogus'"),
            ("v1:vif.vif_enhn_gain_limit=1", "unknown extractor of model 'vmaf_v1.0.16_3d0h' 'vif': valid: adm, cambi"),
            ("v1:cambi.cambi_max_val=much", "cambi_max_val"),
            ("v1:cambi.heatmaps_path=x", "must not write files"),
            ("v1:cambi.cambi_max_val=1:cambi.cambi_max_val=2", "twice"),
            ("v1:cambi.cambi_max_val", "unknown option of model"),
            ("v1:bogus", "EXTRACTOR.OPTION=VALUE"),
        ],
    )
    def test_refused(self, large: tuple[Path, Path], model: str, reason: str) -> None:
        assert reason in refusal("score", *large, "-m", model)

    def test_a_context_does_not_take_it_for_the_plain_model(self) -> None:
        with (
            Context(320, 180, "420", 8) as context,
            pytest.raises(InputError, match="changes options of its features, which a context does not know"),
        ):
            context.use_model(Model("v1:cambi.cambi_max_val=1"))


def test_ten_bits(large: tuple[Path, Path]) -> None:
    scores = pyvmaf.score(*large, model="v1", bit_depth=10)
    np.testing.assert_array_equal(scores["vmaf"], in_libvmaf(large, "vmaf_v1.0.16_3d0h", 10))
    assert scores.reading == {"bit_depth": 10}
    assert (scores["vmaf"] != pyvmaf.score(*large, model="v1")["vmaf"]).any()
    assert "a bit depth of 9 cannot be measured" in refusal("score", *large, "--bit-depth", "9")


def test_bits_are_not_taken_away(large: tuple[Path, Path], convert: Callable[..., Path]) -> None:
    deep = convert(large[0], "deep.mkv", "-pix_fmt", "yuv420p10le", "-c:v", "ffv1")
    assert "have 10 bits per sample, which are not narrowed to 8" in refusal(
        "score", large[0], deep, "--bit-depth", "8"
    )
