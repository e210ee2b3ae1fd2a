"""What must fail in the course of a run is refused before its first job, with what to change."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyvmaf import engines
from pyvmaf.base.files import read_yaml
from pyvmaf.engines.libvmaf import build
from pyvmaf.errors import InputError, UnavailableError
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.workflow.check import check
from pyvmaf.workflow.plan import Plan, conform
from tests.fuzz.corpora import run
from tests.make.videos import REPOSITORY

BUNDLED = REPOSITORY / "config"
SCHEMAS = REPOSITORY / "workflow" / "schemas"
MODEL = read_yaml(BUNDLED / "models" / "fr_regressor_v1.yaml")
PROBE = {"width": 320, "height": 240, "pix_fmt": "yuv420p", "fps": "25", "frames": 50}


def entry(key: str, probe: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    return {
        "key": key,
        "path": f"{key}.mkv",
        "sha256": "a" * 64,
        "source": key,
        "group": "film",
        "probe": PROBE | (probe or {}),
        **keys,
    }


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sound corpus, ``mine``, and a model, ``small``, that can be trained on it."""
    monkeypatch.chdir(tmp_path)
    for kind in ("corpora", "models"):
        Path("config", kind).mkdir(parents=True)
    corpus()
    model()
    return tmp_path


def corpus(*entries: dict[str, Any], name: str = "mine", **keys: Any) -> None:
    value = {"name": name, "kind": "folder", "license": "", "root": "..", **keys}
    value["entries"] = [*(entries or (entry("a"), entry("b")))]
    Path("config", "corpora", f"{name}.yaml").write_text(yaml.safe_dump(value))


def model(name: str = "small", **changes: Any) -> None:
    value = copy.deepcopy(MODEL) | {"name": name, "seeds": [0], "rows": {}}
    for path, change in changes.items():
        at = value
        *sections, key = path.split("__")
        for section in sections:
            at = at.setdefault(section, {})
        at[key] = change
    Path("config", "models", f"{name}.yaml").write_text(yaml.safe_dump(value))


def checked(**changes: Any) -> None:
    config = read_yaml(BUNDLED / "config.yaml") | {"corpora": ["mine"], "models": ["small"]}
    check(
        Plan(
            conform(copy.deepcopy(config | changes), read_yaml(SCHEMAS / "config.schema.yaml"), "configuration"),
            BUNDLED,
            SCHEMAS,
        )
    )


def test_the_default_run_and_a_small_one_are_sound() -> None:
    checked()
    checked(**{key: value for key, value in read_yaml(BUNDLED / "config.yaml").items() if key in ("corpora", "models")})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["canonical6", "ssimulacra2"]}, "'ssimulacra2' cannot be computed .*: take it out of `features`"),
        ({"teacher": "vmaf_v9"}, "unknown model 'vmaf_v9'"),
        ({"teacher": "mine.json"}, r"mine\.json"),
        ({"tables": {"default": {"unit": "clip"}}}, "no column 'adm2', because a row of it is a clip"),
        ({"quantized": ["statik"]}, "unknown int8 variant in `quantized` 'statik': did you mean 'static'"),
        ({"ffmpeg": "/nowhere/ffmpeg"}, "/nowhere/ffmpeg does not exist"),
        ({"cache": "config/models/small.yaml"}, "cache: .* is a file, not a folder"),
        ({"backend": "cuda"}, "build it with `make setup CUDA=1` .*, or use backend auto"),
    ],
)
def test_settings_that_fail_later(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, UnavailableError), match=message):
        checked(**changes)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"crop": "640x480"}, "asks for a crop to 640x480, but a.mkv is 320x240"),
        ({"crop": "101x101"}, "with chroma yuv420p sizes are multiples of 2x2: use 100x100"),
        ({"scale": "101x100"}, "sizes are multiples of 2x2"),
        ({"frames": [10, 50]}, r"asks for frames 10 to 50, but a.mkv has 50 frames \(0 to 49\)"),
        ({"path": "a.yuv", "probe": None}, "is a headerless file: it needs the key raw"),
        ({"probe": PROBE | {"pix_fmt": "rgb24"}}, "has pixel format rgb24, but clips are planar YUV of 8 or 10 bits"),
        ({"probe": PROBE | {"pix_fmt": "gray"}}, "has pixel format gray"),
        ({"raw": {"size": "64x64", "pix_fmt": "nosuch"}, "path": "a.yuv"}, "unknown pixel format 'nosuch'"),
        ({"path": "{clip}.mkv"}, "which a rule takes for a wildcard"),
        ({"path": "film {a b}.mkv"}, "which a rule takes for a wildcard"),
        ({"key": "a" * 40}, "ends in 20 repetitions"),
        ({"probe": PROBE | {"width": 16, "height": 16}}, "cannot (be computed|score) .*16x16"),
        (
            {"probe": PROBE | {"pix_fmt": "yuv444p"}},
            "ladder 'libsvtav1': libsvtav1 takes chroma 420, but the reference has 444",
        ),
        ({"frames": [-1, 5]}, "frames -1 to 5 are not a range"),
        ({"frames": [5, 1]}, "frames 5 to 1 are not a range"),
    ],
)
def test_clips_that_fail_later(keys: dict[str, Any], message: str) -> None:
    corpus(entry("a") | keys, entry("b"))
    with pytest.raises(InputError, match=message):
        checked()


def test_clips_that_an_encoder_takes_are_taken() -> None:
    corpus(
        entry("a", {"pix_fmt": "yuv444p10le"}),
        entry("b", {"width": 321, "height": 241}),
        entry("c", {"pix_fmt": "rgb24"}, pix_fmt="yuv420p"),
    )
    checked(codecs=["libx264", "libx265", "libvpx-vp9"])


@pytest.mark.parametrize("known", ["scale", "crop", "collected"])
def test_a_size_that_no_scan_found_is_known_from_the_entry_or_the_prepared_clip(known: str) -> None:
    keys = {} if known == "collected" else {known: "64x64"}
    corpus(entry("a"), entry("b") | keys | {"probe": None})
    wanted: dict[str, Any] = {"features": ["canonical6", "float_ms_ssim"], "codecs": ["libx264"]}
    if known == "collected":
        checked(**wanted)
        video = {"width": 64, "height": 64, "pix_fmt": "yuv420p", "chroma": "420", "bit_depth": 8, "fps": "25", "codec": "h264",
                 "container": "matroska,webm", "transfer": "", "primaries": "", "frames": 3, "shots": [[0, 2]]}  # fmt: skip
        clip = {"path": "b.mkv", "sha256": "b" * 64, "source": "b", "group": "film", "mos": None, "source_path": "b.mkv",
                "source_sha256": "a" * 64, "source_frames": None, "crop": None, "scale": None, "own_bytes": True,
                "video": video}  # fmt: skip
        document = {"schema_version": 1, "name": "mine", "license": "", "description": "", "sources": ["b"],
                    "groups": {"film": 1}, "clips": {"b": clip}}  # fmt: skip
        path = Path("results/corpora/mine/corpus.json")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="clip b of corpus mine: feature 'float_ms_ssim' cannot be computed on 64x64"):
        checked(**wanted)
    # A clip of another source file says nothing of this one.
    corpus(entry("a"), entry("b") | {"probe": None, "sha256": "c" * 64})
    checked(**wanted)


def test_a_feature_that_a_clip_is_too_small_for() -> None:
    corpus(entry("a"), entry("b", {"width": 64, "height": 64}))
    checked(features="full", codecs=["libx264"])
    with pytest.raises(InputError, match="clip b of corpus mine: feature 'float_ms_ssim' cannot be computed on 64x64"):
        checked(features=["canonical6", "float_ms_ssim"], codecs=["libx264"])
    model(inputs__features=["adm2", "float_ms_ssim"], inputs__guard_margin={})
    with pytest.raises(InputError, match="model small reads 'float_ms_ssim', which cannot be computed on every clip"):
        checked(features="full", codecs=["libx264"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inputs__features": ["adm2_mean"], "inputs__guard_margin": {}},
            "because a row of it is a frame: write tables: .*unit: clip",
        ),
        ({"target__column": "mos"}, "no column 'mos': opinion scores come with entries of a corpus file that have mos"),
        ({"split": {"by": "viewer"}}, "no column 'viewer'"),
        ({"split": {"protocol": "kfold", "k": 5}}, "k=5 needs 2 <= k <= number of groups, which is 2"),
        ({"split": {"by": "group"}}, "leave-one-group-out needs at least 2 groups"),
        ({"split": {"protocol": "hash"}}, "2 values .* cannot be divided into rows for training, validation and test"),
        (
            {"split": {"protocol": "holdout", "mode": "primary-only", "primary": "other", "source": "a"}},
            "unknown primary corpus of the split 'other'",
        ),
        (
            {"split": {"protocol": "holdout", "mode": "primary-only", "primary": "mine", "source": "z"}},
            "unknown source of mine 'z'",
        ),
        ({"split": {"by": "codec"}}, "source 'a' is on both sides"),
        ({"inputs__codec": "v3"}, "codec vocabulary v3 has no slot for 'libvpx-vp9'"),
        (
            {"inputs__guard": "none", "inputs__guard_margin": {"adm2": 1.0}},
            "guard_margin has no effect without a guard",
        ),
        ({"target__range": [1, 0]}, "range must be"),
        ({"seeds": [1, 1]}, "a seed is listed twice"),
    ],
)
def test_models_that_fail_later(changes: dict[str, Any], message: str) -> None:
    model(**changes)
    with pytest.raises(InputError, match=message):
        checked()


def test_rows_of_unlisted_encoders_may_be_left_out() -> None:
    model(inputs__codec="v3", rows={"unlisted_encoders": "leave_out"})
    checked()
    with pytest.raises(InputError, match="codec vocabulary v3 has no slot for 'libvpx-vp9'"):
        checked(codecs=["libvpx-vp9"])


def test_tables_with_rows_of_other_programs() -> None:
    log = {
        "tables": [{"path": "t.csv", "sha256": "a" * 64}],
        "teacher": "t",
        "columns": {"source": "a", "clip": "b", "codec": "c"},
    }
    value = {"name": "logged", "kind": "feature-log", "license": "", "root": ".", "log": log}
    Path("config/corpora/logged.yaml").write_text(yaml.safe_dump(value))
    both = {"corpora": ["mine", "logged"]}
    with pytest.raises(InputError, match="table 'default' is of frames, but the rows of corpus logged are clips"):
        checked(**both, tables={"default": both})
    with pytest.raises(InputError, match="no column 'adm2', because a row of it is a clip"):
        checked(**both, tables={"default": {**both, "unit": "clip"}})
    # Other columns are those of the log.
    model(inputs__features=["adm2_mean"], inputs__guard_margin={}, target__column="mos")
    checked(**both, tables={"default": {**both, "unit": "clip"}})


def test_opinion_scores_of_corpora_are_columns_of_tables() -> None:
    corpus(entry("a", mos=3), entry("b"), mos_scale=[1, 5])
    model(target={"column": "mos", "range": [0, 100]})
    with pytest.raises(
        InputError, match=r"target\.range is \[0, 100\], but the opinion scores of table 'default' are on"
    ):
        checked()
    model(target={"column": "mos"})
    checked()
    with pytest.raises(InputError, match="table 'default': a map of opinion scores is named, but not the scale"):
        checked(tables={"default": {"mos_maps": {"mine": "1-5-acr"}}})
    checked(tables={"default": {"mos_scale": [0, 100], "mos_maps": {"mine": "phase-f"}}})
    both = {"corpora": ["mine", "other"]}
    Path("config/corpora/other.yaml").write_text(
        Path("config/corpora/mine.yaml").read_text().replace("name: mine", "name: other").replace("- 5", "- 10")
    )
    with pytest.raises(
        InputError, match=r"table 'default': the opinion scores are on different scales, 1 to 5 in .*mine"
    ):
        checked(**both)
    with pytest.raises(InputError, match="table 'default': there is no map of opinion scores from 1 to 10 to 0 to 100"):
        checked(**both, tables={"default": {"mos_scale": [0, 100]}})
    corpus(entry("a", mos=7), entry("b"), mos_scale=[1, 5])
    with pytest.raises(InputError, match="a: MOS 7 lies outside of its scale, 1 to 5"):
        checked()


def test_a_corpus_of_one_source_cannot_be_split_by_source() -> None:
    corpus(entry("a"))
    with pytest.raises(InputError, match=r"needs at least 2 groups, the table has 1 \('a'\)"):
        checked()


def test_a_file_and_the_name_in_it_are_the_same() -> None:
    Path("config/corpora/other.yaml").write_text(Path("config/corpora/mine.yaml").read_text())
    with pytest.raises(InputError, match=r"other\.yaml: name is 'mine', but the file is other\.yaml"):
        checked(corpora=["other"])


def test_an_ffmpeg_without_an_encoder(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(
        f'''#!/bin/sh
if [ "$2" = -encoders ]; then "{ffmpeg().path}" "$@" | grep -v libvvenc; exit 0; fi
exec "{ffmpeg().path}" "$@"
'''
    )
    program.chmod(0o755)
    with pytest.raises(UnavailableError, match=r"ladder 'libvvenc': FFmpeg .* was built without libvvenc"):
        checked(ffmpeg=str(program))
    checked(ffmpeg=str(program), codecs=["libx264"])


def test_corpora_with_hyphens() -> None:
    corpus(name="konvid-1k")
    checked(corpora=["konvid-1k"])


def test_many_problems_are_counted() -> None:
    corpus(*(entry(f"k{index}", frames=[0, 99]) for index in range(6)))
    with pytest.raises(InputError, match="and 3 more problems"):
        checked()


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        ({"presets": ["medium"], "crfs": [-5]}, "CRF -5 is outside of the range of libx264, 0 to 51"),
        ({"presets": ["medium"], "crfs": [52]}, "CRF 52 is outside"),
        ({"presets": ["mediun"], "crfs": [30]}, "unknown preset of libx264 'mediun': did you mean 'medium'"),
        ({"presets": [], "crfs": [30]}, "has no presets"),
        ({"presets": ["medium"], "crfs": []}, "has no crfs"),
        ({"presets": ["medium"], "crfs": [30], "extra": ["out.mkv"]}, "'out.mkv' stands where an extra option"),
        ({"presets": ["medium"], "crfs": [30], "extra": ["-crf", "3"]}, "quality number alone"),
        ({"encoder": "libx26", "presets": ["medium"], "crfs": [30]}, "unknown codec 'libx26'"),
        (
            {"distortion": "filter", "strengths": [float("inf")], "settings": {"filter": "hue=h={strength}"}},
            "strength is inf",
        ),
        (
            {"distortion": "filter", "strengths": [1.0, 1.0000001], "settings": {"filter": "hue=h={strength}"}},
            "two rungs",
        ),
        ({"distortion": "filter", "strengths": [1], "settings": {"filter": "movie=x,hue=h={strength}"}}, "may use"),
    ],
)
def test_ladders_with_values_out_of_range(ladder: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked(codecs=["libx264"], ladders={"libx264": ladder})


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [1 << 32]},
        {"seeds": [-1]},
        {"seeds": []},
        {"tables": {"default": {"codecs": []}}},
        {"tables": {"default": {"corpora": []}}},
        {"threads": {"encode_rung": 0}},
        {"threads": {"encode_rung": 10**9}},
        {"report": {"points": -1}},
        {"features": []},
        {"codecs": []},
        {"cache": ""},
    ],
)
def test_values_out_of_range(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        checked(**changes)
    from pyvmaf.workflow import config as configuration

    (tmp_path / "c.yaml").write_text(yaml.safe_dump(changes))
    with pytest.raises(InputError):
        configuration.load(tmp_path / "c.yaml")


@pytest.mark.parametrize(("name", "count"), [("plan", 40), ("names", 60), ("options", 200), ("rows", 60)])
def test_random_changes_are_refused_in_one_line_or_sound(name: str, count: int) -> None:
    outcomes = run(name, count, seed=0)
    assert sum(outcomes.values()) == count
    assert outcomes["sound"]


def test_a_dataset_that_nobody_has_scanned_says_which_command_does() -> None:
    for name, words in (
        ("konvid-1k", r"get its files \(vmaf-train fetch --corpus konvid-1k\), then "),
        ("live-vqc", "put its files into its root, then "),
    ):
        with pytest.raises(
            InputError,
            match=rf"{name}\.yaml has no entries: .* {words}vmaf-train manifest-scan --dataset {name}$",
        ):
            checked(corpora=[name])


def test_files_of_the_movable_folder_are_looked_for_before_a_run(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no inputs of rules, so that Snakemake would not miss them."""
    data = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("VMAF_DATA_ROOT", str(data))
    corpus(root="${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/datasets/mine")
    first = data / "datasets" / "mine" / "a.mkv"
    with pytest.raises(
        InputError, match=rf"corpus mine: 2 of its files do not exist, the first is {first}: .*VMAF_DATA_ROOT"
    ):
        checked()
    first.parent.mkdir(parents=True)
    first.touch()
    # A clip that is made does not need its file any more.
    made = here / "results" / "corpora" / "mine" / "b.mkv"
    made.parent.mkdir(parents=True)
    made.touch()
    checked()
    monkeypatch.setenv("VMAF_DATA_ROOT", "data")
    with pytest.raises(InputError, match="VMAF_DATA_ROOT is 'data', which is not an absolute path"):
        checked()


class TestBackends:
    """Engines of single corpora."""

    @pytest.fixture
    def with_cuda(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A build that has CUDA, as far as the plan asks."""
        monkeypatch.setattr(engines, "cuda_architectures", lambda: ("sm_80",))
        monkeypatch.setattr(build, "cuda_architectures", lambda: ("sm_80",))
        corpus(name="other")

    def planned(self, **changes: Any) -> Plan:
        config = read_yaml(BUNDLED / "config.yaml") | {"corpora": ["mine", "other"], "models": ["small"]} | changes
        plan = Plan(conform(config, read_yaml(SCHEMAS / "config.schema.yaml"), "configuration"), BUNDLED, SCHEMAS)
        check(plan)
        return plan

    def test_a_backend_that_the_build_lacks_is_refused(self) -> None:
        if build.cuda_architectures():
            pytest.skip("this build has CUDA")
        for changes in ({"backend": "libvmaf-cuda"}, {"backends": {"mine": "libvmaf-cuda"}}):
            with pytest.raises(UnavailableError, match=r"'libvmaf-cuda' was asked for, .* processor only: build it"):
                checked(**changes)
        with pytest.raises(InputError, match="unknown corpus in `backends` 'mein': did you mean 'mine'"):
            checked(backends={"mein": "cpu"})
        with pytest.raises(InputError, match="unknown backend 'gpu'"):
            checked(backends={"mine": "gpu"})

    @pytest.mark.usefixtures("with_cuda")
    def test_a_table_of_engines_of_different_numbers_is_refused_unless_it_is_allowed(self) -> None:
        one = {"backends": {"mine": "libvmaf-cuda"}}
        with pytest.raises(
            InputError,
            match="'default' would be measured by engines whose numbers differ: mine with libvmaf-cuda, other with auto",
        ):
            self.planned(**one)
        allowed = self.planned(**one, tables={"default": {"mixed_engines": True}})
        assert allowed.mixed_options("default") == ["--mixed-engines"]
        assert allowed.backends == {"mine": "libvmaf-cuda", "other": "auto"}
        # A table of one engine's rows needs no permission, and the processor's engines are of one kind.
        alone = self.planned(**one, tables={"default": {"corpora": ["mine"]}})
        assert alone.mixed_options("default") == []
        assert self.planned(backend="libvmaf-cuda").needs_gpu
        assert not self.planned(backends={"mine": "cpu"}).needs_gpu

    @pytest.mark.usefixtures("with_cuda")
    def test_only_jobs_that_measure_on_a_device_take_one(self) -> None:
        plan = self.planned(backends={"mine": "libvmaf-cuda"}, tables={"default": {"mixed_engines": True}})
        assert plan.needs_gpu
        assert [plan.gpus(plan.backend(corpus)) for corpus in ("mine", "other")] == [1, 0]

    def test_only_jobs_of_models_with_a_device_take_one(self) -> None:
        model("fast", device="cuda")
        plan = self.planned(corpora=["mine"], models=["small", "fast"])
        assert [plan.model(name).gpus for name in ("small", "fast")] == [0, 1]
