"""The verb extract-features: measure a ladder of encodes, and write its feature table and manifest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf import engines
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.corpora.failure import Failure, failure_at, refuse_failure
from pyvmaf.corpora.skipped import Failed, is_of_file, portable, sound_ones
from pyvmaf.engines.libvmaf.models import model_name
from pyvmaf.errors import InputError, MissingFileError, PyvmafError
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, select
from pyvmaf.features.ladder import Ladder, extract_ladder
from pyvmaf.features.options import AS_CODED, BY_DEFAULT, Compute, Reading
from pyvmaf.features.requests import Teacher

if TYPE_CHECKING:
    from pyvmaf.encodes.record import Record


def check_reference(path: Path, record: Record, reference: Path, digest: str) -> None:
    """Check that an encode was made from the reference with this SHA-256.

    Raises:
        InputError: its record names another one.
    """
    if record.src_sha256 != digest:
        raise InputError(
            f"{path} was encoded from a reference with SHA-256 {record.src_sha256}, but {reference} has {digest}: encode it "
            "again from this reference"
        )


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


@dataclass
class Extracted:
    """A measured ladder of encodes.

    Attributes:
        ladder: its features; None if no rung can be measured.
        failed: rungs that were skipped.
    """

    ladder: Ladder | None
    failed: list[Failed] = field(default_factory=list)


@dataclass(frozen=True)
class _Ladder:
    """The files of a ladder, and how they are measured."""

    reference: Path
    rungs: Mapping[str, Path]
    labels: Mapping[str, str]
    features: str
    model: str
    reading: Reading
    compute: Compute
    skip: bool

    def measure(self) -> tuple[Extracted, dict[str, Record], dict[str, float]]:
        """Measure the rungs; return also the record and the strength of each that could be measured.

        Raises:
            InputError, IntegrityError, MissingFileError: a rung cannot be measured, and such rungs are not skipped.
        """
        from pyvmaf.base.files import sha256_file

        done = Extracted(None)
        if (failure := failure_at(self.reference)) is not None:
            self._fail(done, self.rungs, self._allow(self.reference, failure))
            return done, {}, {}
        sound: dict[str, Path] = {}
        records: dict[str, Record] = {}
        digest = sha256_file(self.reference)
        for rung, path in self.rungs.items():
            if (failure := failure_at(path)) is not None:
                self._fail(done, [rung], self._allow(path, failure))
                continue
            try:
                records |= self._record(rung, path, digest)
                sound[rung] = path
            except PyvmafError as err:
                if not self.skip or not is_of_file(err):
                    raise
                self._fail(done, [rung], _failure(path, err))
        strengths = read_strengths(sound, records)
        done.ladder = sound_ones(
            sound, self._extract, lambda rung, err: self._fail(done, [rung], _failure(sound[rung], err)), skip=self.skip
        )
        if done.ladder is not None:
            done.ladder.notes.extend(_identical({rung: sound[rung] for rung in done.ladder.rungs}, digest))
        return done, records, strengths

    def _allow(self, path: Path, failure: Failure) -> Failure:
        if not self.skip:
            raise refuse_failure(path, failure)
        return failure

    def _fail(self, done: Extracted, rungs: Iterable[str], failure: Failure) -> None:
        names = (self.labels["clip"], self.labels["codec"])
        done.failed += [Failed(*names, rung, failure.path, failure.why) for rung in rungs]

    def _record(self, rung: str, path: Path, digest: str) -> dict[str, Record]:
        record = read_records({rung: path})
        check_reference(path, record[rung], self.reference, digest)
        return record

    def _extract(self, rungs: Mapping[str, Path]) -> Ladder:
        return extract_ladder(
            self.reference, rungs, features=self.features, model=self.model, reading=self.reading, compute=self.compute
        )


def _failure(path: Path, err: PyvmafError) -> Failure:
    from pyvmaf.base.files import relative

    return Failure(path=relative(path), why=portable(str(err)))


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
    compute: Compute = BY_DEFAULT,
    skip: bool = False,
) -> Extracted:
    """Measure a ladder and write its table with a manifest.

    Args:
        reference: the pristine clip.
        rungs: encodes by rung name, each with its record (.json) beside it.
        output: the parquet file to write.
        labels: ``corpus``, ``group``, ``source``, ``clip`` and ``codec``.
        features, model, reading, compute: as in `extract_ladder`.
        skip: leave out rungs that cannot be measured; the manifest lists each with its reason.

    Raises:
        InputError: the videos cannot be compared, a record belongs to another encode, or a name is unknown.
    """
    from pyvmaf.base.manifest import engine_block, write_manifest
    from pyvmaf.features.table import empty_table, ladder_table, write_table

    started = time.monotonic()
    uses = engines.uses(compute.backend)
    claim(output)
    Teacher(model)  # an unknown one, or an unknown feature, is not the fault of a file
    names = select(features).names
    subject = _Ladder(reference, rungs, labels, features, model, reading, compute, skip)
    done, records, strengths = subject.measure()
    teacher = model_name(model)
    engine = engine_block("extract-features", uses)
    ladder, called = done.ladder, str(teacher or model)
    if ladder is None:
        table = empty_table(names, called, engine)
    else:
        table = ladder_table(ladder, labels, records, strengths, called, engine)
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
    details: dict[str, Any] = {"rows": table.num_rows}
    if ladder is not None:
        details |= {
            "frames": ladder.frames,
            "rungs": list(ladder.rungs),
            "size": ladder.format.size,
            "pix_fmt": ladder.format.pix_fmt,
            "unavailable": ladder.unavailable,
            "notes": ladder.notes,
        }
    if done.failed:
        details["failed"] = [item.as_dict() for item in done.failed]
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
    return done
