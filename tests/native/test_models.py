"""Models in JSON files: what is refused before libvmaf sees it, what is not, and options of models."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.models import Model, model_info, model_name, predict, predict_collection
from pyvmaf.errors import InputError, MissingFileError, PyvmafError
from tests.fuzz import models_json
from tests.make.commands import command

Document = dict[str, Any]


def written(path: Path, document: Document) -> Path:
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def single() -> Document:
    return models_json.single(Random(3))


@pytest.fixture
def collection() -> Document:
    return models_json.collection(Random(4))


def test_variants_of_models_are_refused_or_right() -> None:
    """`make fuzz` tries more of them."""
    assert models_json.findings(seed=20261128, count=40) == []


@pytest.mark.parametrize("kernel", ["rbf", "linear", "polynomial", "sigmoid"])
def test_a_sound_model_scores_as_its_values_say(tmp_path: Path, single: Document, kernel: str) -> None:
    single["model_dict"]["model"] = models_json.svm_text(Random(1), kernel)
    models_json.check(written(tmp_path / "m.json", single), models_json.evaluate(single).tolist())


def test_a_sound_collection_scores_as_its_values_say(tmp_path: Path, collection: Document) -> None:
    models_json.check(written(tmp_path / "m.json", collection), models_json.evaluate(collection).tolist())


SVM = [
    ("SV\n", "", "no line SV"),
    ("svm_type nu_svr\n", "", "no svm_type"),
    ("nu_svr", "c_svc", "svm_type is 'c_svc', it must be nu_svr or epsilon_svr"),
    ("nu_svr", "one_class", "svm_type is 'one_class'"),
    ("rbf", "precomputed", "kernel_type is 'precomputed', it must be one of linear"),
    ("rbf", "polynomial", "no degree, which the kernel polynomial needs"),
    ("gamma 0.5", "gamma 0.5\ngamma 0.5", "gamma occurs twice"),
    ("gamma 0.5", "gamma 0", "gamma is 0, it must be above 0"),
    ("gamma 0.5\n", "", "no gamma"),
    ("nr_class 2", "nr_class 65536", "nr_class is '65536', it is 2"),
    ("nr_class 2", "nr_class 2\nnr_sv 2 3", "unknown word 'nr_sv'"),
    ("total_sv 5", "total_sv 4", "total_sv is '4', but 5 support vectors follow"),
    ("total_sv 5", "total_sv 2147483647", "but 5 support vectors follow"),
    (" 1:", " 0:", "index 0 after 0, but indices rise from 1 to 3"),
    (" 3:", " 9:", "index 9 after 2"),
    (" 2:", " 3:", "index 3 after 3"),
    (" 2:", " 2 ", "'2' is not of the form index:value"),
    (" 2:0.", " 2:nan0.", "is not a finite number"),
    (" 2:0.", " 2:1e999;", "is not a finite number"),
]


@pytest.mark.parametrize(("old", "new", "message"), SVM)
def test_a_support_vector_machine_that_does_not_fit_is_refused(
    tmp_path: Path, single: Document, old: str, new: str, message: str
) -> None:
    text = models_json.svm_text(Random(1))
    assert old in text
    single["model_dict"]["model"] = text.replace(old, new, 1)
    with pytest.raises(InputError, match=message) as caught:
        Model(written(tmp_path / "m.json", single))
    assert str(caught.value).startswith(f"{tmp_path / 'm.json'} is not a model in libvmaf's JSON format: the support ")


@pytest.mark.parametrize("degree", ["0", "11", "2147483648", "3.5"])
def test_the_degree_of_a_polynomial_has_bounds(tmp_path: Path, single: Document, degree: str) -> None:
    text = models_json.svm_text(Random(1), "polynomial")
    single["model_dict"]["model"] = text.replace("degree 3", f"degree {degree}")
    with pytest.raises(InputError, match=f"degree is '{degree}', it must be in 1..10"):
        Model(written(tmp_path / "m.json", single))


def test_numbers_that_overflow_are_refused(tmp_path: Path, single: Document) -> None:
    """Without a guard, libvmaf would clip infinity to 100."""
    single["model_dict"]["model"] = models_json.svm_text(Random(1), "polynomial").replace("gamma 0.5", "gamma 1e300")
    with pytest.raises(InputError, match="its numbers are too large: scores would overflow"):
        Model(written(tmp_path / "m.json", single))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_names": []}, "feature_names: List should have at least 1 item"),
        ({"feature_opts_dicts": [5, {}, {}]}, "item 0 is 5, it must be an object of options"),
        ({"feature_opts_dicts": [{}]}, "3 feature_names but 1 feature_opts_dicts"),
        ({"slopes": [1, 1, 1]}, "3 feature_names but 3 slopes: one more is needed"),
        ({"slopes": [0, 1, 1, 1]}, "slopes: none may be 0"),
        ({"slopes": [True, 1, 1, 1]}, "slopes.0: should be a valid number, but is True"),
        ({"score_clip": [100, 0]}, "score_clip: 100 is above 0"),
        ({"score_transform": {"knots": [[0, 0]]}}, "knots: must be two or more points"),
        ({"score_transform": {"p3": 1}}, "unknown key 'p3': did you mean 'p"),
        ({"score_clap": [0, 100]}, "unknown key 'score_clap': did you mean 'score_clip'"),
        ({"chroma_correction_parameter": 120}, "needs one feature of adm3, there are 0"),
        ({"model_type": "LIBSVMSVC"}, "model_type: should be 'LIBSVMNUSVR'"),
        ({"model": 5}, "model: should be a valid string"),
    ],
)
def test_a_block_that_does_not_fit_is_refused(tmp_path: Path, single: Document, change: Document, message: str) -> None:
    single["model_dict"] |= change
    with pytest.raises(InputError, match=message) as caught:
        Model(written(tmp_path / "m.json", single))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["VMAF_feature_adm2_score"] * 3, None, "it reads 'VMAF_feature_adm2_score', which no extractor"),
        ([models_json.FEATURES[0]] * 3, None, "it reads 'VMAF_integer_feature_adm2_score' twice"),
        (["integer_adm_num", *models_json.FEATURES[1:]], None, "which extractor 'adm' computes with debug only"),
        (models_json.FEATURES, [{}, {"vif_enhn_gain_limt": 1.0}, {}], "did you mean 'vif_enhn_gain_limit'"),
        (models_json.FEATURES, [{}, {"vif_enhn_gain_limit": 1e25}, {}], r"must be in 1\.\.100"),
        (["Cambi_feature_cambi_score", *models_json.FEATURES[1:]], [{"heatmaps_path": "x"}, {}, {}], "write files"),
    ],
)  # fmt: skip
def test_features_that_cannot_be_computed_are_refused(
    tmp_path: Path, single: Document, names: list[str], options: Any, message: str
) -> None:
    single["model_dict"] |= {"feature_names": list(names), "feature_opts_dicts": options or [{}, {}, {}]}
    path = written(tmp_path / "m.json", single)
    with pytest.raises(InputError, match=message) as caught:
        Model(path)
    assert str(path) in str(caught.value)


def test_what_is_not_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    deep = "[" * 100_000 + "]" * 100_000
    for text, message in (
        ('{"a": ' + deep + "}", "nested more than 100 deep"),
        ('{"a": ' + "9" * 5000 + "}", "5000 digits"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("[1", "is not JSON"),
        ("[1]", r"it holds \[1\], not an object"),
        ('{"a": 1}', "it has neither the key 'model_dict' nor models numbered from 0"),
    ):
        path.write_text(text)
        with pytest.raises(PyvmafError, match=message) as caught:
            Model(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(MissingFileError, match=r"no such file: .*m\.json"):
        Model(path)
    path.mkdir()
    with pytest.raises(PyvmafError, match=r"m\.json"):
        Model(path)


def test_members_of_a_collection_are_numbered(tmp_path: Path, collection: Document) -> None:
    """Without a guard, libvmaf skips a member that is not where its number says, and every member after it."""
    path = tmp_path / "m.json"
    gap = {"0": collection["0"], "1": collection["1"], "3": collection["3"]}
    with pytest.raises(InputError, match="'3' is where '2' is due"):
        Model(written(path, gap))
    with pytest.raises(InputError, match="a collection has two or more models, this has 1"):
        Model(written(path, {"0": collection["0"]}))
    collection["2"]["model_dict"]["feature_opts_dicts"][1] = {}
    with pytest.raises(InputError, match="its member 2 reads other features than member 0"):
        Model(written(path, collection))
    collection["2"]["model_dict"]["model_type"] = "LIBSVMNUSVR"
    with pytest.raises(InputError, match="all members of a collection are BOOTSTRAP_LIBSVMNUSVR"):
        Model(written(path, collection))


def test_a_collection_has_as_many_members_as_libvmaf_has_names(tmp_path: Path, collection: Document) -> None:
    """Without a guard, libvmaf writes beyond its table at the 129th name."""
    path = tmp_path / "m.json"
    members = {str(number): collection[str(number % 4)] for number in range(122)}
    with pytest.raises(InputError, match=r"it has 122 members, .* are 129 names of scores: libvmaf holds 128"):
        Model(written(path, members))
    del members["121"]
    model = Model(written(path, members))
    rows = {key: np.linspace(0.1, 1, 1500) for key in model.info.keys}
    assert np.isfinite(predict_collection(model, rows)["bagging"]).all()
    with Context(96, 64) as context, pytest.raises(InputError, match="names of scores in one context"):
        context.use_model(model)  # which computes further scores


def test_a_correction_by_nothing_is_none(tmp_path: Path) -> None:
    """Without a guard, libvmaf returns whatever was in memory if the parameter is 0."""
    names = ["Speed_chroma_feature_speed_chroma_uv_score", "VMAF_integer_feature_adm3_score"]
    block: Document = {
        "model_type": "LIBSVMNUSVR",
        "norm_type": "none",
        "feature_names": names,
        "model": "svm_type nu_svr\nkernel_type linear\nnr_class 2\ntotal_sv 1\nrho 0\nSV\n2 1:0.5 2:1\n",
    }
    features = {key: np.array([0.0, 0.3]) for key in names}
    path = tmp_path / "m.json"
    plain = predict(Model(written(path, {"model_dict": block})), features)
    zero = predict(Model(written(path, {"model_dict": block | {"chroma_correction_parameter": 0}})), features)
    np.testing.assert_array_equal(zero, plain)
    corrected = predict(Model(written(path, {"model_dict": block | {"chroma_correction_parameter": 120}})), features)
    # The chroma score is replaced where it is 0.
    np.testing.assert_allclose(corrected, [0.5 * 2 * (120 - 0) + 0, plain[1]])


def test_a_file_is_read_once(tmp_path: Path, single: Document) -> None:
    path = written(tmp_path / "m.json", single)
    info = model_info(path)
    path.write_text("changed")
    rows = dict(zip(info.keys, models_json.values_of(models_json.FEATURES).T, strict=True))
    np.testing.assert_allclose(predict(Model(info), rows), models_json.evaluate(single))


def test_a_broken_model_is_one_line_on_the_terminal(tmp_path: Path, single: Document) -> None:
    single["model_dict"]["model"] = ""
    path = written(tmp_path / "m.json", single)
    done = command("score", "no.mkv", "no.mkv", "--model", path, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "m.json is not a model in libvmaf's JSON format: the support vector machine: no line SV" in done.stderr


# --- names and options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "name", "identity"),
    [
        ("vmaf_v0.6.1", "vmaf_v0.6.1", "vmaf_v0.6.1"),
        ("phone", "vmaf_v0.6.1:enable_transform", "vmaf_v0.6.1:enable_transform"),
        ("vmaf_v0.6.1:enable_transform=true", "vmaf_v0.6.1:enable_transform", "vmaf_v0.6.1:enable_transform"),
        ("vmaf_v0.6.1:enable_transform=false", "vmaf_v0.6.1", "vmaf_v0.6.1"),
        ("vmaf_b_v0.6.3:enable_transform:disable_clip", "vmaf_b_v0.6.3:disable_clip:enable_transform", None),
    ],
)
def test_names_with_options(source: str, name: str, identity: str | None) -> None:
    info = model_info(source)
    assert info.source == name
    assert info.identity == (identity or name)


def test_names_of_files_with_options(tmp_path: Path, single: Document) -> None:
    path = written(tmp_path / "a:b.json", single)
    plain, clipped = model_info(str(path)), model_info(f"{path}:disable_clip")
    assert clipped.source == f"{path}:disable_clip"
    assert clipped.identity == f"{plain.identity}:disable_clip"
    assert model_name("no_model") is model_name("no_model:enable_transform") is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("vmaf_v0.6.1:enable_tranform", "unknown option of model 'vmaf_v0.6.1' 'enable_tranform': did you mean 'enable_t"),
        ("vmaf_v0.6.1:enable_transform=yes", "is 'yes': it must be true or false"),
        ("vmaf_v0.6.1:", "unknown option of model 'vmaf_v0.6.1' ''"),
        ("vmaf_4k_v0.6.1:enable_transform", "does not have a transform that enable_transform could apply"),
        ("vmaf_v0.6.2:enable_transform", "unknown model 'vmaf_v0.6.2:enable_transform': did you mean 'vmaf_v0.6"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used_are_refused(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model_info(source)


def test_options_change_the_score_as_they_say(tmp_path: Path, single: Document) -> None:
    block = single["model_dict"]
    block["score_transform"]["enabled"] = False
    block["score_clip"] = [20.0, 25.0]
    path = written(tmp_path / "m.json", single)
    names = model_info(path).keys
    rows = dict(zip(names, models_json.values_of(models_json.FEATURES).T, strict=True))
    for options in ((), ("enable_transform",), ("disable_clip",), ("disable_clip", "enable_transform")):
        expected = json.loads(json.dumps(single))
        expected["model_dict"]["score_transform"]["enabled"] = "enable_transform" in options
        if "disable_clip" in options:
            del expected["model_dict"]["score_clip"]
        found = predict(":".join((str(path), *options)), rows)
        np.testing.assert_allclose(found, models_json.evaluate(expected), rtol=1e-9)
