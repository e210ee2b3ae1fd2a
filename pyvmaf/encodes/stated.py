"""Whether the record beside an encoded file is its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.codecs.encoders import ENCODERS
from pyvmaf.codecs.stated import stated
from pyvmaf.errors import InputError, IntegrityError, MissingFileError

if TYPE_CHECKING:
    from pyvmaf.encodes.record import Record


def check_record(path: Path, record: Record) -> None:
    """Check that a record describes a file: its size, its hash if a manifest states one, and what the stream states.

    Raises:
        InputError: the record is that of another file.
        MissingFileError: there is no such file.
    """
    other = f"{path.with_suffix('.json')} is the record of another encode than {path}"
    remedy = "encode it again, or put its own record beside it"
    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    size = path.stat().st_size
    if record.encode_size_bytes != size:
        raise InputError(f"{other}: it is of a file of {record.encode_size_bytes} bytes, this one has {size}; {remedy}")
    _check_hash(path, other, remedy)
    found = stated(path) if record.encoder in ENCODERS else None
    if found is None:
        return
    if found.encoder != record.encoder:
        raise InputError(f"{other}: it says {record.encoder}, the stream is of {found.encoder}; {remedy}")
    if record.crf is not None and not found.agrees(record.crf):
        raise InputError(f"{other}: it says CRF {record.crf}, the stream says {found.settings}; {remedy}")


def _check_hash(path: Path, other: str, remedy: str) -> None:
    """Compare the hash of a file with that in its manifest, if it has one."""
    from pyvmaf.base.files import sha256_file
    from pyvmaf.base.manifest import read_manifest

    try:
        wanted = read_manifest(path)["outputs"]["encode"]["sha256"]
    except (MissingFileError, KeyError, TypeError):
        return
    except IntegrityError as err:
        raise InputError(f"{err}; {remedy}") from err
    digest = sha256_file(path)
    if wanted is not None and digest != wanted:
        raise InputError(f"{other}: the manifest says SHA-256 {wanted}, this file has {digest}; {remedy}")
