"""The table of hardware: its own rows, and what is refused in another one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pyvmaf.codecs import hardware as module
from pyvmaf.codecs.hardware import COLUMNS, VECTOR, read_hardware
from tests.make.commands import command, refusal

TABLE = Path(module.__file__).with_name("hardware_caps.csv")


def written(path: Path, **cells: str) -> Path:
    """The first row of the table with other cells."""
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    row = dict(zip(COLUMNS, next(csv.reader(lines[1:2])), strict=True)) | cells
    path.write_text(f"# a remark\n{','.join(row)}\n{','.join(row.values())}\n")
    return path


def test_the_table_has_eleven_columns_and_no_measurement() -> None:
    assert len(COLUMNS) == 11
    assert not [name for name in COLUMNS if any(word in name for word in ("fps", "watt", "speed", "score", "ms"))]
    assert {entry.vendor for entry in read_hardware().values()} <= {"nvidia", "amd", "intel"}


def test_a_vector_is_the_row_of_the_table(tmp_path: Path) -> None:
    done = command("hardware-caps", "--arch", "blackwell", "--encoder", "h264_nvenc")
    numbers = json.loads(done.stdout)
    assert tuple(sorted(numbers)) == tuple(sorted(VECTOR))
    assert (numbers["max_width"], numbers["max_height"], numbers["encoding_blocks"]) == (4096, 4096, 3)
    file = written(tmp_path / "caps.csv", codecs_supported="h264", max_resolution_per_codec="h264=4096x2304")
    done = command("hardware-caps", "--caps", file, "--arch", "ada-lovelace", "--encoder", "av1_nvenc")
    assert json.loads(done.stdout)["max_width"] == 0
    assert "h264 4096x2304" in command("hardware-caps", "--caps", file).stdout


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"gen_year": "soon"}, "line 3: gen_year is 'soon'"),
        ({"vendor": "acme"}, "line 3: vendor is 'acme'"),
        ({"encoding_blocks": "0"}, "encoding_blocks is '0'"),
        ({"tensor_cores": "yes"}, "tensor_cores is 'yes'"),
        ({"codecs_supported": "h264"}, "both list the same codecs"),
        ({"codecs_supported": "mpeg2", "max_resolution_per_codec": "mpeg2=1x1"}, "both list the same codecs"),
        ({"max_resolution_per_codec": "h264=0x4|hevc=8x8|av1=8x8"}, "h264 has the size 0x4"),
        ({"verified_date": "2026-02-30"}, "verified_date is '2026-02-30', which is no day"),
        ({"source_url": "http://example.org"}, "source_url is 'http://example.org'"),
        ({"arch_name": ""}, "arch_name is ''"),
        ({"fps_1080p": "600"}, "has the column 'fps_1080p', which is no prior"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, cells: dict[str, str], message: str) -> None:
    assert message in refusal("hardware-caps", "--caps", written(tmp_path / "caps.csv", **cells))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "caps.csv"
    for text, message in (
        ("", "has no line with the names of the columns"),
        (f"{','.join(COLUMNS)}\n", "has no rows"),
        (f"{','.join(COLUMNS[:-1])}\n", "lacks verified_date"),
        (f"{','.join(COLUMNS)}\na,b\n", "has 2 cells, but there are 11 columns"),
    ):
        file.write_text(text)
        assert message in refusal("hardware-caps", "--caps", file)
    file.write_bytes(b"\xff\xfe\x00")
    assert "is not a CSV file in UTF-8" in refusal("hardware-caps", "--caps", file)
    twice = written(file).read_text().splitlines()
    file.write_text("\n".join([*twice, twice[-1]]))
    assert "ada-lovelace has a row already" in refusal("hardware-caps", "--caps", file)
    assert "no such file" in refusal("hardware-caps", "--caps", tmp_path / "none.csv")


def test_an_encoder_of_other_hardware_is_refused() -> None:
    words = ("hardware-caps", "--arch", "rdna3", "--encoder")
    assert "av1_nvenc is not an encoder of rdna3 (amd): one of h264_amf" in refusal(*words, "av1_nvenc")
    assert "unknown architecture 'rdna9'" in refusal("hardware-caps", "--arch", "rdna9", "--encoder", "av1_amf")
    assert "belong together" in refusal("hardware-caps", "--arch", "rdna3")
