"""The plan of a run with tables made elsewhere."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.make.videos import REPOSITORY
from tests.make.workflows import Case, plan, write_yaml

EXAMPLE = REPOSITORY / "docs" / "examples" / "fr_mos"


def test_the_example_encodes_nothing(tmp_path: Path) -> None:
    corpus = yaml.safe_load((EXAMPLE / "fr_mos.yaml").read_text())
    folder = tmp_path / "docs" / "examples" / "fr_mos"
    for item in (*corpus["log"]["tables"], *corpus["log"]["frames"]):
        path = folder / corpus["root"] / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    write_yaml(folder / "fr_mos.yaml", corpus)
    clips = yaml.safe_load((REPOSITORY / "config" / "models" / "vmaf_tiny_v2.yaml").read_text())
    clips |= {"name": "clips", "inputs": {"features": ["adm2_mean"]}, "target": {"column": "vmaf_mean"}, "rows": {}}
    write_yaml(tmp_path / "config" / "models" / "clips.yaml", clips)
    given = ("--configfile", str(EXAMPLE / "config.yaml"))
    of_clips = ("codecs=[libx264]", "tables={default: {unit: clip}}", "seeds=[0]")
    found = plan(
        tmp_path,
        {
            "example": Case(given),
            "beside": Case((*given, "--config", "corpora=[fr_mos, embedded]", "codecs=[libx264]")),
            "no table": Case((*given, "--config", "models=[vmaf_tiny_v2]")),
            "unit": Case(("--config", "models=[clips]", *of_clips)),
            "another unit": Case(("--config", "models=[vmaf_tiny_v2]", *of_clips)),
        },
    )
    example = found["example"].jobs
    assert {rule: example[rule] for rule in ("import_table", "combine_table", "fit_model", "judge_model")} == {
        "import_table": 1,
        "combine_table": 1,
        "fit_model": 15,
        "judge_model": 3,
    }
    videos = {"fetch_corpus", "prepare_clip", "collect_corpus", "encode_rung", "extract_features", "build_shard"}
    assert not (videos | {"hard_negatives"}) & found["example"].rules
    # A second corpus is prepared and reported; the table of the opinion models stays that of the log.
    assert found["beside"].jobs["import_table"] == 1
    assert found["beside"].jobs["encode_rung"] == 36
    assert found["beside"].jobs["combine_table"] == 1
    assert found["no table"].code != 0
    assert "table 'default' has no corpora: the run uses fr_mos only" in found["no table"].text
    # A table of clips is made of the same shards.
    assert (found["unit"].jobs["build_shard"], found["unit"].jobs["combine_table"]) == (1, 1)
    assert found["another unit"].code != 0
    assert "no column 'adm2', because a row of it is a clip" in found["another unit"].text
