"""``vmaf-train analyze-sweep``: what a sweep over presets, quality numbers and options of encoders says.

A sweep is an ordinary run whose ladders have several presets and `recipes`, named sets of options. For each clip, encoder and
way to decide the bitrate, the report has the encodes that no other beats; each recipe is compared with the bare encoder at
equal bitrate, and refused if it loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import atomic_path, write_text
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.checks.sweep.compare import compare_recipes, judge
from pyvmaf.checks.sweep.document import Limits, Point, SweepReport
from pyvmaf.checks.sweep.encodes import read_encodes
from pyvmaf.checks.sweep.fronts import group_of, groups_of, points_of
from pyvmaf.checks.sweep.page import build_page, markdown

LIMITS = Limits(mean_loss_max=0.0, source_loss_max=0.5)
"""By default a recipe may not lose in the mean, and half a VMAF on a source."""

REPORT, TABLE, TEXT, PAGE = "sweep.json", "pareto.parquet", "sweep.md", "sweep.html"
"""Names of the outputs."""


@publishes("analyze-sweep")
def analyze_sweep(paths: Sequence[Path], output: Path, *, limits: Limits = LIMITS) -> SweepReport:
    """Find the Pareto fronts of a sweep, and compare its recipes with the bare encoder.

    Args:
        paths: shards of a run (.parquet, with their records, .jsonl, beside them), or tables of corpus rows (.jsonl), which state
            only the mean VMAF of an encode.
        output: folder for `REPORT`, `TABLE` (every encode, with the fronts that it lies on), `TEXT` and `PAGE`.
        limits: how much a recipe may lose.

    Returns:
        The report; its gate has a row for each recipe and limit.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: no row is an encode, an encode occurs twice, or a recipe stands for different options.
    """
    files = {name: output / name for name in (REPORT, TABLE, TEXT, PAGE)}
    claim(*files.values())
    inputs = [file for path in paths for file in _files(path)]
    for path in inputs:
        reading(path)
    call = Call("analyze-sweep", args={"limits": limits.as_json()}, inputs={"encodes": inputs})
    found = read_encodes(paths)
    groups = {key: points_of(encodes) for key, encodes in groups_of(found.encodes).items()}
    comparisons = compare_recipes(found.encodes)
    gate = judge(comparisons, limits)
    report = SweepReport(
        n_encodes=len(found.encodes),
        n_left_out=found.left_out,
        n_sources=len({(encode.corpus, encode.source) for encode in found.encodes}),
        limits=limits,
        groups=[group_of(key, points) for key, points in groups.items()],
        comparisons=comparisons,
        verdict="PROMOTE" if gate.passed else "HOLD",
        gate=gate,
        run_provenance=call.provenance(),
    )
    _write_table(groups, files[TABLE])
    write_text(files[TEXT], markdown(report))
    write_text(files[PAGE], build_page(report, groups))
    beside = {"table": files[TABLE], "text": files[TEXT], "page": files[PAGE]}
    return publish(report, files[REPORT], call, beside=beside)


def _files(path: Path) -> list[Path]:
    return [path, path.with_suffix(".jsonl")] if path.suffix.lower() == ".parquet" else [path]


def _write_table(groups: dict[tuple[str, ...], list[Point]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("corpus", "source", "clip", "encoder", "rate_mode")
    rows = [
        {**dict(zip(names, key, strict=True)), **point.as_json()} for key, points in groups.items() for point in points
    ]
    types: dict[str, pa.DataType] = {
        name: pa.bool_() for name in Point.model_fields if name.startswith("front") or name == "hull"
    }
    types.update(dict.fromkeys((*names, "preset", "recipe"), pa.string()), crf=pa.int64())
    columns = (*names, *Point.model_fields)
    table = pa.table({name: pa.array([row[name] for row in rows], types.get(name, pa.float64())) for name in columns})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
