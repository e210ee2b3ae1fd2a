"""The verb extract-features: measure a ladder of encodes, and write its feature table and manifest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf import engines
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.engines.libvmaf.models import model_name
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL
from pyvmaf.features.ladder import Ladder, extract_ladder
from pyvmaf.features.options import AS_CODED, ON_CPU, Compute, Reading

if TYPE_CHECKING:
    from pyvmaf.encodes.record import Record


def read_records(rungs: Mapping[str, Path]) -> dict[str, Record]:
    """Read the encode record beside each rung.

    Raises:
        MissingFileError: a rung has no record.
        IntegrityError: a record is not of the corpus-row schema.
        InputError: a record is that of another file.
    """
    from pyvmaf.encodes.record import Record
    from pyvmaf.encodes.stated import check_record

    records = {}
    for rung, path in rungs.items():
        record = path.with_suffix(".json")
        if not record.exists():
            raise MissingFileError(f"{path} has no encode record beside it: {record} is missing; encode it again")
        records[rung] = Record.read(record)
        check_record(path, records[rung])
    return records


def read_strengths(rungs: Mapping[str, Path], records: Mapping[str, Record]) -> dict[str, float]:
    """The strength of each rung: the CRF of an encode, and of another distortion the number in its manifest.

    Raises:
        MissingFileError, IntegrityError: a manifest is missing or damaged.
    """
    from pyvmaf.base.manifest import read_manifest

    strengths = {}
    for rung, path in rungs.items():
        crf = records[rung].crf
        strengths[rung] = float(read_manifest(path)["details"]["strength"] if crf is None else crf)
    return strengths


def _identical(rungs: Mapping[str, Path], digest: str) -> list[str]:
    """Say which rungs are the reference itself, because half of their columns then hold nothing."""
    from pyvmaf.base.files import sha256_file

    names = [rung for rung, path in rungs.items() if sha256_file(path) == digest]
    if not names:
        return []
    return [
        f"{', '.join(names)}: the distorted video is the reference itself: VMAF and the features that compare two pictures "
        "(ADM, VIF, SSIM, PSNR, ...) are those of equal pictures in every row and say nothing about it; CAMBI and motion do"
    ]


@publishes("extract-features")
def extract_features(
    reference: Path,
    rungs: Mapping[str, Path],
    output: Path,
    *,
    labels: Mapping[str, str],
    features: str = DEFAULT_FEATURES,
    model: str = DEFAULT_MODEL,
    reading: Reading = AS_CODED,
    compute: Compute = ON_CPU,
) -> Ladder:
    """Measure a ladder and write its table with a manifest.

    Args:
        reference: the pristine clip.
        rungs: encodes by rung name, each with its record (.json) beside it.
        output: the parquet file to write.
        labels: ``corpus``, ``group``, ``source``, ``clip`` and ``codec``.
        features, model, reading, compute: as in `extract_ladder`.

    Raises:
        InputError: the videos cannot be compared, a record belongs to another encode, or a name is unknown.
    """
    from pyvmaf.base.files import sha256_file
    from pyvmaf.base.manifest import engine_block, write_manifest
    from pyvmaf.features.table import ladder_table, write_table

    started = time.monotonic()
    uses = engines.uses(compute.backend)
    records = read_records(rungs)
    strengths = read_strengths(rungs, records)
    digest = sha256_file(reference)
    claim(output)
    for rung, record in records.items():
        if record.src_sha256 != digest:
            raise InputError(
                f"{rungs[rung]} was encoded from a reference with SHA-256 {record.src_sha256}, but {reference} has "
                f"{digest}: encode it again from this reference"
            )
    ladder = extract_ladder(reference, rungs, features=features, model=model, reading=reading, compute=compute)
    ladder.notes.extend(_identical(rungs, digest))
    teacher = model_name(model)
    table = ladder_table(
        ladder, labels, records, strengths, str(teacher or model), engine_block("extract-features", uses)
    )
    write_table(table, output)
    args = {
        "features": features,
        "model": model,
        "match_depth": reading.match_depth,
        "scale": reading.scale,
        "film_grain": reading.film_grain,
        "backend": compute.backend,
        **labels,
    }
    details = {
        "frames": ladder.frames,
        "rows": table.num_rows,
        "rungs": list(ladder.rungs),
        "size": ladder.format.size,
        "pix_fmt": ladder.format.pix_fmt,
        "unavailable": ladder.unavailable,
        "notes": ladder.notes,
    }
    inputs: dict[str, Any] = {
        "reference": reference,
        "rungs": list(rungs.values()),
        "records": [p.with_suffix(".json") for p in rungs.values()],
    }
    if teacher is not None and teacher.path is not None:
        inputs["model"] = teacher.path
    write_manifest(
        output,
        verb="extract-features",
        args=args,
        inputs=inputs,
        outputs={"table": output},
        details=details,
        seconds=time.monotonic() - started,
        uses=uses,
    )
    return ladder
