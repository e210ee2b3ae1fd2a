"""Tables of pictures: one parquet row per picture, which says where the picture is and what is known of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.document import Part, Sha256
from pyvmaf.base.files import sha256_file
from pyvmaf.base.opinion import COLUMNS as OPINIONS
from pyvmaf.base.opinion import SCALE_KEY
from pyvmaf.base.outputs import place
from pyvmaf.base.parquet import METADATA_KEY, ParquetTable
from pyvmaf.errors import IntegrityError
from pyvmaf.features.table import LEADING, TARGET, TEXT_COLUMNS, read_metadata
from pyvmaf.features.table import schema as frame_schema

if TYPE_CHECKING:
    import pyarrow as pa

PICTURE = "picture"
"""Value of ``unit`` in the metadata: a row is a picture."""

REFERENCE_VMAF = 100.0
"""Score that stands for a pristine picture, which no encoder made."""

FILES = ("file", "reference_file", "mask_file")
"""Text columns that name files of pictures; the column with ``row`` for ``file`` is the number of the picture in it."""

ROWS = ("row", "reference_row", "mask_row")

SIZES = ("width", "height")


class File(Part):
    """A file of pictures.

    Attributes:
        sha256: of its bytes.
        bytes: its length.
    """

    sha256: Sha256
    bytes: int

    @classmethod
    def of(cls, path: Path) -> File:
        """Describe a file that exists, or an output of the running verb."""
        return cls(sha256=sha256_file(path), bytes=os.stat(place(path)).st_size)


def columns(opinions: Sequence[str] = ()) -> list[str]:
    """List the columns of a table with these columns of opinion scores, in order."""
    rated = [name for name in OPINIONS if name in opinions]
    places = [name for pair in zip(FILES, ROWS, strict=True) for name in pair]
    return [*LEADING, *SIZES, TARGET, *rated, *places]


def schema(opinions: Sequence[str] = ()) -> pa.Schema:
    """Return the Arrow schema of a table with these columns of opinion scores."""
    import pyarrow as pa

    known = frame_schema((), opinions)

    def kind(name: str) -> pa.DataType:
        if name in (*TEXT_COLUMNS, *FILES):
            return pa.dictionary(pa.int32(), pa.string())
        return pa.int64() if name in (*SIZES, *ROWS) else known.field(name).type

    return pa.schema([pa.field(name, kind(name)) for name in columns(opinions)])


def metadata(
    *,
    colour: str,
    files: Mapping[str, File],
    model: str,
    engine: Mapping[str, Any],
    notes: Sequence[str] = (),
    mos_scale: tuple[float, float] | None = None,
) -> dict[bytes, bytes]:
    """Return the file metadata of a table.

    Args:
        colour: of the pictures.
        files: the files of pictures by their names in the table.
        model: the teacher of the scores; "" if there are none.
        engine: the manifest's block about the code.
        notes: on how videos were read.
        mos_scale: scale of the opinion scores.
    """
    block = {
        "unit": PICTURE,
        "features": [],
        "unavailable": {},
        "model": model,
        "engine": dict(engine),
        "colour": colour,
        "files": {name: files[name].as_json() for name in sorted(files)},
        **({"notes": list(notes)} if notes else {}),
        **({SCALE_KEY: list(mos_scale)} if mos_scale else {}),
    }
    return {METADATA_KEY: json.dumps(block, sort_keys=True).encode()}


def picture_table(data: Mapping[str, Any], block: Mapping[bytes, bytes], opinions: Sequence[str] = ()) -> pa.Table:
    """Build a table of columns; those that are not given are null.

    Args:
        data: lists or arrays of equal length by name.
        block: see `metadata`.
        opinions: columns of opinion scores.
    """
    import pyarrow as pa

    target = schema(opinions)
    rows = len(next(iter(data.values())))
    arrays = [
        pa.nulls(rows, field.type) if field.name not in data else _column(data[field.name], field) for field in target
    ]
    return pa.Table.from_arrays(arrays, schema=target.with_metadata(dict(block)))


def _column(values: Any, field: pa.Field[Any]) -> pa.Array[Any]:
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(field.type):
        text = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
        return text.cast(pa.string()).dictionary_encode()
    return values.cast(field.type) if isinstance(values, pa.Array) else pa.array(values, field.type)


class PictureTable:
    """A table of pictures that was read.

    Attributes:
        path: the file.
        rows: its rows (`columns`).
        block: its metadata.
        colour: of the pictures.
        files: the files of pictures by the names that the rows have for them.
    """

    def __init__(self, path: Path) -> None:
        """Read a table.

        Raises:
            MissingFileError: there is no such file.
            IntegrityError: it is damaged, or not a table of pictures.
        """
        from pydantic import TypeAdapter, ValidationError

        self.path = path
        with ParquetTable(path) as table:
            self.block = read_metadata(table.schema, path)
            if self.block.get("unit") != PICTURE:
                raise IntegrityError(f"{path} is a table of {self.block.get('unit', 'frame')}s, not of pictures")
            self.opinions = [name for name in OPINIONS if name in table.names]
            if table.names != columns(self.opinions):
                missing = [name for name in columns(self.opinions) if name not in table.names]
                raise IntegrityError(f"{path} lacks the columns {', '.join(missing)} of a table of pictures")
            self.rows = table.read()
        try:
            self.files: dict[str, File] = TypeAdapter(dict[str, File]).validate_python(self.block.get("files"))
        except ValidationError as err:
            raise IntegrityError(f"the metadata of {path} do not list its files of pictures: make it again") from err
        self.colour = str(self.block.get("colour"))
        if self.rows.schema.remove_metadata() != schema(self.opinions):
            raise IntegrityError(f"the columns of {path} are not those of a table of pictures: make it again")

    def locate(self, name: str) -> Path:
        """Return where a file of pictures lies.

        Names start from the folder of the table; those of a table in a folder ``tables``, from the folder around it.

        Raises:
            InputError: the name leads out of that folder.
        """
        from pyvmaf.base.files import confined

        return confined(home(self.path), name)


def home(table: Path) -> Path:
    """Return the folder from which a table names its files of pictures."""
    folder = Path(os.path.abspath(table)).parent
    return folder.parent if folder.name == "tables" else folder


def name_in(table: Path, file: Path) -> str:
    """Return the name that a table has for a file of pictures.

    Raises:
        InputError: the file lies outside of the table's folder.
    """
    from pyvmaf.errors import InputError

    try:
        return Path(os.path.abspath(file)).relative_to(home(table)).as_posix()
    except ValueError as err:
        raise InputError(
            f"{file} lies outside of {home(table)}, from which {table} names its pictures: write the table into the folder of "
            "the pictures, or into a folder `tables` beside it"
        ) from err
