"""A tree of classes describes the configuration, and the files generated from it are up to date."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft202012Validator

from pyvmaf.base.files import read_yaml
from pyvmaf.engines.measures import MEASURES, Kind
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.workflow import config as configuration
from pyvmaf.workflow.plan import Plan, check_keys, conform
from tests.make.commands import command, refusal
from tests.make.videos import REPOSITORY

BUNDLED = REPOSITORY / "config"
SCHEMAS = REPOSITORY / "workflow" / "schemas"


def default(**changes: Any) -> dict[str, Any]:
    config = copy.deepcopy(read_yaml(BUNDLED / "config.yaml"))
    config.update(changes)
    return conform(config, read_yaml(SCHEMAS / "config.schema.yaml"), "configuration")


DOCUMENTS = configuration.documents()


def plan(**changes: Any) -> Plan:
    return Plan(default(**changes), BUNDLED, SCHEMAS)


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_generated_files_are_up_to_date(name: str) -> None:
    assert (REPOSITORY / name).read_text() == DOCUMENTS[name], f"{name} drifted: run `vmaf-train config --write .`"


def test_the_default_file_holds_the_defaults() -> None:
    assert configuration.load(BUNDLED / "config.yaml") == configuration.Config()


def test_an_edited_configuration_is_not_replaced(tmp_path: Path) -> None:
    def write() -> None:
        assert command("config", "--write", tmp_path).returncode == 0

    write()
    path, page = tmp_path / "config" / "config.yaml", tmp_path / "config" / "README.md"
    generated = path.read_text()
    assert generated == configuration.default_yaml() == (BUNDLED / "config.yaml").read_text()
    # As it was generated, by another version perhaps, with the mark of its own lines or without one.
    write()
    mark, _, rest = generated.partition("\n")
    older = rest.replace("teacher: vmaf_v0.6.1\n", "teacher: vmaf_v0.6.1neg\n")
    assert older != rest
    digest = hashlib.sha256(older.encode()).hexdigest()[:16]
    for text in (rest, f"{mark.rpartition(' ')[0]} {digest}\n{older}", f"{mark.rpartition(' ')[0]} 0123\n{rest}"):
        path.write_text(text)
        write()
        assert path.read_text() == generated
    page.write_text("old")
    for text in (
        generated.replace("corpora: [embedded]", "corpora: [mine]"),
        rest.replace("corpora: [embedded]", "corpora: [mine]"),
        f"{generated}# A remark.\n",
        "corpora: [mine]\n",
        "corpora: [",
        "unknown: 1\n",
    ):
        path.write_text(text)
        message = refusal("config", "--write", tmp_path)
        assert message.startswith(
            f"{path} was edited since it was generated, and would be replaced: move your values to "
        )
        assert path.read_text() == text
        assert page.read_text() == "old"
    path.unlink()
    write()
    assert page.read_text() != "old"


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("")
    assert configuration.load(tmp_path / "c.yaml") == configuration.Config()


def _sections(schema: Any, at: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(schema, dict):
        if "properties" in schema:
            found.append((at, schema))
        for key, value in schema.items():
            if key not in ("default", "required"):
                found += _sections(value, f"{at}/{key}")
    elif isinstance(schema, list):
        for item in schema:
            found += _sections(item, at)
    return found


@pytest.mark.parametrize("kind", ["config", "corpus", "model"])
def test_schemas_are_closed_described_and_valid(kind: str) -> None:
    schema = read_yaml(SCHEMAS / f"{kind}.schema.yaml")
    Draft202012Validator.check_schema(schema)
    assert "$ref" not in (SCHEMAS / f"{kind}.schema.yaml").read_text()
    sections = _sections(schema)
    assert sections
    for at, section in sections:
        assert section["additionalProperties"] is False, at
        if kind == "config":
            for name, key in section["properties"].items():
                assert key.get("description"), f"{at}/{name} has no description"
                assert "default" in key or name in section.get("required", ()), f"{at}/{name} has no default"


def test_the_schema_fills_in_the_defaults_of_the_classes() -> None:
    config = conform({}, read_yaml(SCHEMAS / "config.schema.yaml"), "configuration")
    assert configuration.Config.model_validate(config) == configuration.Config()
    assert config["tables"]["default"] == configuration.Table().model_dump(mode="json")


def test_the_schema_of_models_fills_in_the_defaults_of_their_classes() -> None:
    from pyvmaf.models.spec import load_any

    for path in sorted((BUNDLED / "models").glob("*.yaml")):
        filled = conform(read_yaml(path), read_yaml(SCHEMAS / "model.schema.yaml"), path.name)
        assert filled == load_any(path).model_dump(mode="json"), path.name


def test_the_page_has_a_row_for_each_key() -> None:
    page = (BUNDLED / "README.md").read_text()
    for name in configuration.Config.model_fields:
        assert f"| `{name}` |" in page


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"codcs": ["libx264"]}, "unknown key 'codcs': did you mean 'codecs'"),
        ({"threads": {"fit": 1}}, "unknown key below 'threads' 'fit': did you mean 'fit_model'"),
        ({"ladders": {"x": {"preset": ["a"]}}}, "unknown key below 'ladders.x' 'preset': did you mean 'presets'"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(config: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        check_keys(config, read_yaml(SCHEMAS / "config.schema.yaml"), "configuration")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"unknown key .*: did you mean"):
        configuration.load(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corpora": ["embeded"]}, "unknown corpus .* 'embeded': did you mean 'embedded'"),
        ({"models": ["vmaf_tinny_v2"]}, "unknown model .* 'vmaf_tinny_v2': did you mean 'vmaf_tiny_v2'"),
        ({"codecs": ["libx256"]}, "unknown ladder 'libx256': did you mean 'libx26"),
        ({"ladders": {"libx266": {"presets": ["medium"], "crfs": [1]}}, "codecs": ["libx266"]}, "unknown codec"),
        ({"ladders": {"libx264": {"presets": ["mediun"], "crfs": [1]}}, "codecs": ["libx264"]}, "mean 'medium'"),
        ({"ladders": {"libx264": {"presets": ["fast"], "crfs": [52]}}, "codecs": ["libx264"]}, "CRF 52 .* 0 to 51"),
        ({"features": ["adm2"]}, "model .* needs .*vif_scale0.*`features: "),
        ({"features": "canonical7"}, "unknown feature 'canonical7': did you mean 'canonical6'"),
        ({"tables": {"defalt": {}}}, "unknown table 'default': did you mean 'defalt'"),
        ({"tables": {"default": {"codecs": ["libaom"]}}}, "unknown codec of table 'default'.*libaom"),
        ({"codecs": []}, "codecs: .*(non-empty|too short)"),
        ({"backend": "gpu"}, "unknown backend 'gpu'"),
        ({"seeds": [-1]}, "seeds"),
        ({"corpora": ["../x"]}, "does not match"),
    ],
)
def test_a_configuration_that_cannot_be_planned_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan(**changes)


def test_a_vvc_ladder_of_8_bits_is_refused() -> None:
    ladders = {"libvvenc": {"presets": ["faster"], "crfs": [32], "bit_depth": 8}}
    with pytest.raises(InputError, match=r"ladder 'libvvenc'.*10 bits.*8 were asked"):
        plan(ladders=ladders, codecs=["libvvenc"])


def test_numbers_of_a_command_line_are_read_as_numbers() -> None:
    from pyvmaf.workflow.plan import read_numbers

    given = {"seeds": ["0", "12"], "features": "8", "ladders": {"x": {"presets": ["8"], "crfs": ["30"]}}, "cache": "1"}
    found = read_numbers(given, read_yaml(SCHEMAS / "config.schema.yaml"))
    assert found == {**given, "seeds": [0, 12], "ladders": {"x": {"presets": ["8"], "crfs": [30]}}}
    assert read_numbers({"seeds": "null"}, read_yaml(SCHEMAS / "config.schema.yaml")) == {"seeds": None}


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"absent\.yaml"):
        configuration.load(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("corpora: [")
    with pytest.raises(InputError, match=r"broken\.yaml is not YAML"):
        configuration.load(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(InputError, match=r"list\.yaml holds list"):
        read_yaml(tmp_path / "list.yaml")


def test_the_default_plan() -> None:
    found = plan()
    assert len(found.clips()) == 9
    assert [len(found.rungs(codec)) for codec in found.codecs] == [4] * 5
    assert found.tables == ["default"]
    assert len(found.table("default")) == 5
    assert all(found.seeds(model) == [0, 1, 2] for model in found.models)
    assert all(found.modes(model) == ["dynamic", "static", "static_qdq", "qat"] for model in found.models)


def test_a_configuration_narrows_the_plan() -> None:
    found = plan(seeds=[7, 7], quantized=[], codecs=["libx264"], tables={"default": {"corpora": ["embedded"]}})
    assert found.seeds("vmaf_tiny_v2") == [7]
    assert found.modes("vmaf_tiny_v2") == []
    assert found.table("default") == [("embedded", "libx264")]


def test_a_model_with_a_backbone_needs_its_checkpoint() -> None:
    pictures: dict[str, Any] = {"pictures": {"gray": {"count": 3}}, "tables": {"pictures": {"pictures": "gray"}}}
    with pytest.raises(InputError, match="nr_metric_v2 is trained on efficientnet_lite0, which is not converted"):
        plan(models=["nr_metric_v2"], **pictures)
    planned = plan(models=["nr_metric_v1", "nr_metric_v2"], checkpoints=["efficientnet_lite0"], **pictures)
    assert [planned.model(name).backbone for name in planned.models] == [None, "efficientnet_lite0"]
    spec, checkpoint = planned.model("nr_metric_v2").spec, planned.checkpoint("efficientnet_lite0")
    assert spec["network"]["backbone"]["model"] == checkpoint.name


def test_two_ladders_of_one_encoder() -> None:
    ladders = {"libx264": {"presets": ["fast", "slow"], "crfs": [20]}}
    ladders["x264_10bit"] = {
        "encoder": "libx264",
        "presets": ["fast"],
        "crfs": [20],
        "bit_depth": 10,
        "extra": ["-g", "1"],
    }
    found = plan(ladders=ladders, codecs=["libx264", "x264_10bit"])
    assert found.rungs("libx264") == ["fast-crf20", "slow-crf20"]
    words = ["--codec", "libx264", "--preset", "fast", "--crf", "20", "--bit-depth", "10", "--extra=-g 1"]
    assert found.rung("x264_10bit", "fast-crf20").options() == words
    with pytest.raises(InputError, match="unknown rung of libx264 'fast-crf21': did you mean 'fast-crf20'"):
        found.rung("libx264", "fast-crf21")


def test_a_ladder_without_an_encoder() -> None:
    blur = {"distortion": "filter", "strengths": [1, 2.5], "settings": {"filter": "gblur=sigma={strength}"}}
    found = plan(ladders={"blur": blur}, codecs=["blur"])
    assert found.rungs("blur") == ["strength-1", "strength-2.5"]
    assert [found.rung("blur", name).strength for name in found.rungs("blur")] == [1, 2.5]
    words = ["--distortion", "filter", "--strength", "2.5", "--setting", "filter=gblur=sigma={strength}"]
    assert found.rung("blur", "strength-2.5").options() == words
    assert found.distortion("blur") != plan().distortion("libx264")


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        ({"distortion": "filtr"}, "unknown distortion 'filtr': did you mean 'filter'"),
        ({"distortion": "filter"}, "ladder 'a' of the configuration has no strengths"),
        (
            {"distortion": "filter", "strengths": [1]},
            r"the setting 'filter' is None, but an FFmpeg filter with \{stren",
        ),
        ({"distortion": "filter", "strengths": [1], "settings": {"filtr": "x"}}, "unknown setting of a filter 'filtr'"),
        ({"distortion": "filter", "strengths": [1], "crfs": [1]}, "has the key 'crfs', which a ladder of another"),
        ({"encoder": "libx264", "presets": ["fast"]}, "ladder 'a' of the configuration has no crfs"),
        ({"encoder": "libx264", "presets": ["fast"], "crfs": [1], "strengths": [1]}, "has the key 'strengths'"),
        (
            {"distortion": "filter", "strengths": [1.5e-5], "settings": {"filter": "hue=h={strength}"}},
            "cannot name a file",
        ),
    ],
)
def test_a_ladder_that_does_not_suit_its_distortion_is_refused(ladder: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(ladders={"a": ladder}, codecs=["a"])


def test_folder_corpora_are_read_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"key": "a", "path": "sub/a.mkv", "sha256": "0" * 64, "source": "a", "group": "a"}
    corpus = {"name": "mine", "kind": "folder", "license": "own", "root": "../../videos", "entries": [entry]}
    (tmp_path / "config" / "corpora").mkdir(parents=True)
    (tmp_path / "config" / "corpora" / "mine.yaml").write_text(yaml.safe_dump(corpus))
    monkeypatch.chdir(tmp_path)
    found = plan(corpora=["mine", "embedded"])
    assert found.corpus("mine").path == "config/corpora/mine.yaml"
    assert found.corpus("mine").source("a") == "videos/sub/a.mkv"
    assert found.corpus("embedded").path == str(BUNDLED / "corpora" / "embedded.yaml")
    assert found.corpus("embedded").fetched
    assert not found.corpus("mine").fetched
    corpus["entries"] = [entry, entry]
    (tmp_path / "config" / "corpora" / "mine.yaml").write_text(yaml.safe_dump(corpus))
    with pytest.raises(InputError, match="two entries have the key 'a'"):
        plan(corpora=["mine"])


def test_another_version_of_an_own_measure_measures_its_features_again(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["canonical6", "xpsnr_y", "msad_y"]
    before = plan(features=names).feature_rows
    monkeypatch.setitem(cast("dict[str, Kind]", MEASURES), "msad", MEASURES["msad"]._replace(version=2))
    after = plan(features=names).feature_rows
    assert [name for name in before if after[name] != before[name]] == ["msad_y"]
