"""What the encoding hardware of GPU generations can do: a table of priors, and its rows as numbers for models.

The table has exactly the columns of `COLUMNS`. A column with a measurement (frames per second, watts, scores) is refused: a model
would learn it in the place of what it is to predict.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pyvmaf.base.files import read_bytes, resource
from pyvmaf.base.table import Row, Table
from pyvmaf.errors import InputError, IntegrityError, unknown_name

COLUMNS = (
    *("arch_name", "vendor", "gen_year", "codecs_supported", "max_resolution_per_codec", "encoding_blocks"),
    *("tensor_cores", "npu_present", "driver_min_version", "source_url", "verified_date"),
)
"""Columns of the table, in this order."""

CODECS: Row[tuple[str, ...]] = ("h264", "hevc", "av1", "vp9", "vvc")

INTERFACES: Table[str] = {"nvenc": "nvidia", "qsv": "intel", "amf": "amd"}
"""Vendor of the hardware behind the encoders of FFmpeg with each suffix: ``h264_nvenc``."""

VECTOR = ("gen_year", "encoding_blocks", "tensor_cores", "npu_present", "max_width", "max_height")
"""Columns of `Hardware.vector`, in this order; the sizes are 0 if the hardware does not encode the codec."""

_LARGEST = 65_536
_FORMS: Mapping[str, str] = {
    "arch_name": r"[a-z0-9]+(-[a-z0-9]+)*",
    "vendor": "|".join(INTERFACES.values()),
    "gen_year": r"20[0-9]{2}",
    "codecs_supported": r"[a-z0-9]+(\|[a-z0-9]+)*",
    "max_resolution_per_codec": r"[a-z0-9]+=[0-9]{1,5}x[0-9]{1,5}(\|[a-z0-9]+=[0-9]{1,5}x[0-9]{1,5})*",
    "encoding_blocks": r"[1-9][0-9]?",
    "tensor_cores": "[01]",
    "npu_present": "[01]",
    "driver_min_version": r"\S{1,60}",
    "source_url": r"https://\S{4,300}",
    "verified_date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
}


@dataclass(frozen=True)
class Hardware:
    """A generation of GPUs.

    Attributes:
        arch, vendor: its name, and who makes it.
        year: of its first product.
        sizes: largest width and height, luma samples, of each codec that it encodes.
        blocks: encoders of its largest product that was looked at.
        tensor, npu: whether it has units for products of matrices, and a neural processor of its own.
        driver: version of a driver with these limits.
        source, verified: address of the evidence, and day on which it was read, ISO 8601.
    """

    arch: str
    vendor: str
    year: int
    sizes: Mapping[str, tuple[int, int]]
    blocks: int
    tensor: bool
    npu: bool
    driver: str
    source: str
    verified: str

    def vector(self, encoder: str) -> dict[str, float]:
        """Return the columns of `VECTOR` for an encoder of FFmpeg.

        Raises:
            InputError: the encoder is not one of this vendor's hardware.
        """
        codec, _, interface = encoder.rpartition("_")
        if INTERFACES.get(interface) != self.vendor or codec not in CODECS:
            names = ", ".join(f"{name}_{key}" for key, of in INTERFACES.items() if of == self.vendor for name in CODECS)
            raise InputError(f"{encoder} is not an encoder of {self.arch} ({self.vendor}): one of {names}")
        width, height = self.sizes.get(codec, (0, 0))
        values = (self.year, self.blocks, self.tensor, self.npu, width, height)
        return dict(zip(VECTOR, map(float, values), strict=True))


def read_hardware(path: Path | None = None) -> dict[str, Hardware]:
    """Read a table of hardware.

    Args:
        path: a CSV file with the columns `COLUMNS`; lines that begin with ``#`` are left out. None for the table of this package.

    Returns:
        The rows by ``arch_name``.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is damaged, has other columns, or a cell has no valid value.
    """
    file = resource(__file__, "hardware_caps.csv") if path is None else path
    found: dict[str, Hardware] = {}
    for where, cells in _rows(file):
        entry = _hardware(where, cells)
        if entry.arch in found:
            raise IntegrityError(f"{where}: {entry.arch} has a row already: remove one")
        found[entry.arch] = entry
    if not found:
        raise IntegrityError(f"{file} has no rows")
    return found


def hardware(arch: str, path: Path | None = None) -> Hardware:
    """Return a generation by its name.

    Raises:
        MissingFileError, IntegrityError: as `read_hardware`.
        InputError: the table does not have it.
    """
    table = read_hardware(path)
    if arch not in table:
        raise unknown_name("architecture", arch, table)
    return table[arch]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
        lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip() and line[0] != "#"]
        cells = list(csv.reader((line for _, line in lines), strict=True))
    except (UnicodeDecodeError, csv.Error) as err:
        raise IntegrityError(f"{path} is not a CSV file in UTF-8: {err}") from err
    if not cells:
        raise IntegrityError(f"{path} has no line with the names of the columns: {','.join(COLUMNS)}")
    if tuple(cells[0]) != COLUMNS:
        others = [name for name in cells[0] if name not in COLUMNS]
        lacking = [name for name in COLUMNS if name not in cells[0]]
        what = (
            f"has the column {others[0]!r}, which is no prior" if others else f"lacks {', '.join(lacking) or 'order'}"
        )
        raise IntegrityError(f"{path} {what}: the columns are {','.join(COLUMNS)}")
    for (number, _), row in zip(lines[1:], cells[1:], strict=True):
        where = f"{path}, line {number}"
        if len(row) != len(COLUMNS):
            raise IntegrityError(f"{where} has {len(row)} cells, but there are {len(COLUMNS)} columns")
        yield where, dict(zip(COLUMNS, row, strict=True))


def _hardware(where: str, cells: Mapping[str, str]) -> Hardware:
    for name, form in _FORMS.items():
        if not re.fullmatch(form, cells[name]):
            raise IntegrityError(f"{where}: {name} is {cells[name]!r}, but a value of the form {form} is expected")
    codecs = cells["codecs_supported"].split("|")
    pairs = [pair.split("=") for pair in cells["max_resolution_per_codec"].split("|")]
    if [name for name, _ in pairs] != codecs or len(set(codecs)) < len(codecs) or not set(codecs) <= set(CODECS):
        raise IntegrityError(
            f"{where}: codecs_supported is {cells['codecs_supported']!r} and max_resolution_per_codec "
            f"{cells['max_resolution_per_codec']!r}: both list the same codecs in one order, each once, of {', '.join(CODECS)}"
        )
    sizes: dict[str, tuple[int, int]] = {}
    for name, size in pairs:
        width, height = map(int, size.split("x"))
        if not (1 <= width <= _LARGEST and 1 <= height <= _LARGEST):
            raise IntegrityError(f"{where}: {name} has the size {size}, which nothing encodes")
        sizes[name] = (width, height)
    try:
        date.fromisoformat(cells["verified_date"])
    except ValueError as err:
        raise IntegrityError(f"{where}: verified_date is {cells['verified_date']!r}, which is no day") from err
    return Hardware(
        arch=cells["arch_name"],
        vendor=cells["vendor"],
        year=int(cells["gen_year"]),
        sizes=sizes,
        blocks=int(cells["encoding_blocks"]),
        tensor=cells["tensor_cores"] == "1",
        npu=cells["npu_present"] == "1",
        driver=cells["driver_min_version"],
        source=cells["source_url"],
        verified=cells["verified_date"],
    )
