"""Where the rows of `score` go: files of three formats, standard output, pipes."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyvmaf
from tests.make.commands import command, refusal


class TestStandardOutput:
    """Rows for another program: the figures for a person go to standard error."""

    words = ("--frames", "0:4", "--features", "adm2")

    def test_each_format(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        scores = pyvmaf.score(*pair, frames=(0, 4), features="adm2")
        for options, read in (
            ((), lambda text: [frame["vmaf"] for frame in json.loads(text)["frames"]]),
            (("--format", "json"), lambda text: [frame["vmaf"] for frame in json.loads(text)["frames"]]),
            (("--format", "csv"), lambda text: [float(row["vmaf"]) for row in csv.DictReader(text.splitlines())]),
        ):
            done = command("score", *pair, *self.words, "-o", "-", *options, cwd=tmp_path)
            assert done.returncode == 0, done
            assert read(done.stdout) == scores["vmaf"].tolist()
            assert "harmonic" in done.stderr
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
    def test_a_shell_reads_it(self, pair: tuple[Path, Path], target: str) -> None:
        words = [sys.executable, "-m", "pyvmaf", "score", *map(str, pair), *self.words, "-o", target, "--format", "csv"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["frame_index", "0", "1", "2", "3"]
        assert Path("/dev/stdout").is_symlink()

    def test_a_pipe(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "p.csv")
        with subprocess.Popen(["cat", tmp_path / "p.csv"], stdout=subprocess.PIPE, text=True) as reader:
            done = command("score", *pair, *self.words, "-o", tmp_path / "p.csv")
            out, _ = reader.communicate()
        assert done.returncode == 0
        assert out.startswith("frame_index,adm2,vmaf\n0,")

    def test_a_reader_that_goes_away(self, pair: tuple[Path, Path]) -> None:
        words = [sys.executable, "-m", "pyvmaf", "score", *map(str, pair), *self.words, "-o", "-"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == ""
        assert process.returncode == 2

    def test_what_does_not_fit(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "mine.json").write_text('{"a": 1}')
        (tmp_path / "mine.csv").write_text("key,mos\na,1\n")
        (tmp_path / "mine.parquet").write_text("x")
        for words, reason in (
            (
                ("-o", "x.txt"),
                r"the suffix '\.txt' is none of \.json, \.csv, \.parquet, \.ndjson, \.xml; name a format with --format",
            ),
            (("-o", "-", "--format", "parquet"), "cannot write parquet to -, which is not a file"),
            (("-o", "-", "--format", "toml"), "unknown format 'toml'"),
            (("--format", "csv"), "--format csv is that of a file"),
            (("-o", "mine.json"), "mine.json exists already, and is not json of scores"),
            (("-o", "mine.csv"), "mine.csv exists already, and is not csv of scores"),
            (("-o", "mine.parquet"), "mine.parquet exists already, and is not parquet of scores"),
        ):
            assert re.search(reason, refusal("score", *pair, *words, cwd=tmp_path))
        for _ in range(2):
            assert (
                command("score", *pair, *self.words, "-o", "rows.txt", "--format", "csv", cwd=tmp_path).returncode == 0
            )
        assert (tmp_path / "rows.txt").read_text().startswith("frame_index,")
