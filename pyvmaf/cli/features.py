"""Verbs of the stage features: extract-features, hard-negatives, features."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf import engines
from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, ThreadsOption, check_code, progress
from pyvmaf.features.cases import DEFAULT_FRAMES
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL

if TYPE_CHECKING:
    from typing import Any

    from pyvmaf.features.catalog import Feature
    from pyvmaf.features.ladder import Ladder


def complete_features(incomplete: str) -> list[str]:
    """Complete the last of several names with commas."""
    from pyvmaf.features.catalog import FEATURES, SETS

    *done, last = incomplete.split(",")
    prefix = ",".join([*done, ""]) if done else ""
    return [prefix + name for name in [*SETS, *FEATURES] if name.startswith(last)]


def complete_model(incomplete: str) -> list[str]:
    """Complete the name of a model of libvmaf."""
    from pyvmaf.engines.libvmaf.models import ALIASES, MODELS

    return [name for name in (*MODELS, *ALIASES) if name.startswith(incomplete)]


FeaturesOption = Annotated[
    str,
    typer.Option(
        "--features",
        metavar="NAMES",
        help="Training names and sets (canonical6, full, k150k), with commas. `vmaf-train features` lists them.",
        autocompletion=complete_features,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="A built-in model of libvmaf, or the path of a model in its JSON format; with options after colons "
        "(enable_transform, disable_clip).",
        autocompletion=complete_model,
    ),
]


class Grain(Enum):
    """Values of the option ``--film-grain``."""

    ON = "on"
    OFF = "off"


FilmGrainOption = Annotated[
    Grain,
    typer.Option(
        "--film-grain",
        help="Whether decoders add film grain where an encoder asks for it (AV1, H.264, HEVC), as players do.",
    ),
]
MatchDepthOption = Annotated[
    bool,
    typer.Option("--match-depth", help="Widen the side of fewer bits per sample to the other's depth."),
]
BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        help="Engine that computes features: auto (own kernels where they give libvmaf's bits, else libvmaf), or cpu (libvmaf alone).",
        autocompletion=lambda incomplete: [name for name in engines.backends() if name.startswith(incomplete)],
    ),
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of the feature cache. Without it nothing is cached.")
]


def register(app: typer.Typer) -> None:
    """Add this stage's verbs."""
    app.command("extract-features")(extract_features)
    app.command("hard-negatives")(hard_negatives)
    app.command("features")(features)


def extract_features(
    output: Annotated[Path, typer.Option("--output", "-o", help="The feature table to write (.parquet).")],
    corpus: Annotated[
        str,
        typer.Option(
            "--corpus",
            "--dataset",
            help="A corpus of pairs that exist: its file, or its name. With --reference: the name of the clip's corpus.",
        ),
    ],
    rungs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUNG=FILE...]", help="Encodes, each with its record beside it.")
    ] = None,
    reference: Annotated[Path | None, typer.Option("--reference", help="The pristine clip of these encodes.")] = None,
    clip: Annotated[
        list[str] | None,
        typer.Option("--clip", help="Name of the clip; of a corpus of pairs only this one (repeatable)."),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option("--codec", help="Codec of the ladder; of a corpus of pairs only this one (repeatable)."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="With --reference: scene that a split keeps together.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="With --reference: film or recording session of the scene.")
    ] = None,
    features: FeaturesOption = DEFAULT_FEATURES,
    model: ModelOption = DEFAULT_MODEL,
    cache: CacheOption = None,
    match_depth: MatchDepthOption = False,
    scale: Annotated[bool, typer.Option("--scale", help="Scale encodes of another size to the reference's.")] = False,
    film_grain: FilmGrainOption = Grain.ON,
    skip_broken: Annotated[
        bool,
        typer.Option("--skip-broken", help="With --reference: leave out encodes that cannot be measured, and say why."),
    ] = False,
    backend: BackendOption = engines.AUTO,
    threads: ThreadsOption = 1,
    code: CodeOption = None,
) -> None:
    """Extract features and teacher scores of a whole ladder of encodes, or of all pairs of a corpus.

    Of encodes the reference is decoded once. Results that the cache holds are not computed again: one more rung or one more
    feature costs only itself. Of a corpus of pairs (kind pairs, docs/corpora.md) everything is measured into one table; the
    cache is results/cache unless another is named, so that a call that was cut off goes on where it was.

    Example: vmaf-train extract-features --corpus nflx --output nflx.parquet

    One ladder: vmaf-train extract-features --reference ref.mkv --corpus mine --clip ref --codec libx264
    --source ref --group film -o ref.parquet medium-crf23=23.mkv medium-crf35=35.mkv
    """
    if reference is None:
        refused: dict[str, Any] = {"RUNG=FILE": rungs, "--source": source, "--group": group}
        refused |= {"--match-depth": match_depth, "--scale": scale, "--film-grain off": film_grain is Grain.OFF}
        refused["--skip-broken"] = skip_broken
        _extract_pairs(corpus, output, clip, codec, refused, (features, model, cache, backend, threads), code)
        return
    check_code("extract-features", code, engines.uses(backend))
    from pyvmaf.features.options import Compute, Reading
    from pyvmaf.features.stage import extract_features as run

    labels = _labels({"corpus": corpus, "group": group, "source": source, "clip": clip, "codec": codec})
    with progress(f"{labels['clip']} {labels['codec']}") as advance:
        done = run(
            reference,
            named_files(rungs or []),
            output,
            labels=labels,
            features=features,
            model=model,
            reading=Reading(match_depth=match_depth, scale=scale, film_grain=film_grain is Grain.ON),
            compute=Compute(backend=backend, threads=threads, cache=cache, progress=advance),
            skip=skip_broken,
        )
    for item in done.failed:
        say(f"skipped: {item.rung}: {item.path}: {item.why}", err=True)
    if (ladder := done.ladder) is None:
        say(f"{output}: no rows, {len(done.failed)} rungs skipped")
        return
    _say_ladder(ladder)
    say(
        f"{output}: {len(ladder.rungs)} rungs of {ladder.frames} frames; {len(ladder.computed)} extractor runs, "
        f"{ladder.cached} results from the cache"
    )


def _labels(values: dict[str, str | list[str] | None]) -> dict[str, str]:
    """Check that each label of a ladder is given once."""
    from pyvmaf.errors import InputError

    labels: dict[str, str] = {}
    for name, value in values.items():
        words = [value] if isinstance(value, str) else value or []
        if len(words) != 1:
            raise InputError(f"a ladder has one {name}: give --{name} once with --reference")
        labels[name] = words[0]
    return labels


def _say_ladder(ladder: Ladder) -> None:
    for message in ladder.damaged:
        say(f"warning: {message}", err=True)
    for note in ladder.notes:
        say(f"note: {note}", err=True)
    for name, reason in ladder.unavailable.items():
        say(f"unavailable: {name}: {reason}", err=True)


def _extract_pairs(
    name: str,
    output: Path,
    clips: list[str] | None,
    codecs: list[str] | None,
    refused: dict[str, Any],
    settings: tuple[str, str, Path | None, str, int],
    code: str | None,
) -> None:
    """Measure a corpus of pairs."""
    from pyvmaf import corpora
    from pyvmaf.base import layout
    from pyvmaf.corpora.pairs import Spec
    from pyvmaf.corpora.spec import find_corpus, load_videos
    from pyvmaf.errors import InputError

    for option, value in refused.items():
        if value:
            raise InputError(
                f"{option} goes with --reference; without it the corpus file says what is measured and how"
            )
    path = find_corpus(name)
    spec = load_videos(path)
    if not isinstance(spec, Spec):
        raise InputError(
            f"{path} is a corpus of kind {spec.kind}, not of pairs that exist: run the workflow for it (snakemake --config "
            f"'corpora=[{spec.name}]' -- all_features), or give --reference and RUNG=FILE for one ladder"
        )
    features, model, cache, backend, threads = settings
    check_code("extract-features", code, corpora.measuring(spec.kind, engines.uses(backend)))
    from pyvmaf.features.options import Compute
    from pyvmaf.features.pairs import Pairs, extract_pairs

    compute = Compute(backend=backend, threads=threads, cache=cache or Path(layout.CACHE))
    with progress(spec.name, unit="ladders") as advance:
        done = extract_pairs(
            Pairs(spec, spec.home(path, Path()), features, model, compute),
            output,
            clips=clips or (),
            codecs=codecs or (),
            advance=lambda number, total, label: advance(number, total, f"{spec.name} {label}"),
        )
    failed = [item for ladder in done for item in ladder.failed]
    pairs = sum(len(ladder.records) for ladder in done)
    for item in failed:
        say(f"skipped: {item.path}: {item.why}", err=True)
    computed = cached = 0
    for ladder in (item.ladder for item in done if item.ladder is not None):
        _say_ladder(ladder)
        computed, cached = computed + len(ladder.computed), cached + ladder.cached
    say(
        f"{output}: {pairs} pairs of {len(done)} ladders{f', {len(failed)} skipped' if failed else ''}; {computed} extractor "
        f"runs, {cached} results from the cache"
    )


def named_files(arguments: list[str]) -> dict[str, Path]:
    """Read arguments of the form RUNG=FILE."""
    from pyvmaf.errors import InputError

    files: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or not name or not path:
            raise InputError(f"{argument!r} is not of the form RUNG=FILE")
        if name in files:
            raise InputError(f"{name!r} is given twice: {files[name]} and {path}")
        files[name] = Path(path)
    return files


def hard_negatives(
    output: Annotated[Path, typer.Option("--output", "-o", help="The table to write (.parquet).")],
    corpora: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CORPUS.json...", help="Manifests of prepared corpora, clips beside them."),
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            "--corpus",
            metavar="CORPUS.yaml[=FOLDER]",
            help="File of a corpus and the folder of its prepared clips; of pairs its file alone (repeatable).",
        ),
    ] = None,
    features: FeaturesOption = DEFAULT_FEATURES,
    model: ModelOption = DEFAULT_MODEL,
    frames: Annotated[
        int, typer.Option("--frames", min=2, help="Frames of each clip that are measured, from its first one.")
    ] = DEFAULT_FRAMES,
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--pairs", metavar="CORPUS.yaml", help="File of a corpus of pairs among them (repeatable)."),
    ] = None,
    cache: CacheOption = None,
    backend: BackendOption = engines.AUTO,
    threads: ThreadsOption = 1,
    code: CodeOption = None,
) -> None:
    """Measure pairs that no encoder makes: frozen, black, flat and swapped pictures, as a test for `judge`.

    The table holds features and teacher scores per frame, for every clip and case. No file is encoded in between.

    Example: vmaf-train hard-negatives results/corpora/embedded/corpus.json -o hard_negatives.parquet
    """
    check_code("hard-negatives", code, engines.uses(backend))
    from pyvmaf.corpora.spec import load_corpus, load_videos
    from pyvmaf.features.negatives import hard_negatives as run
    from pyvmaf.features.negatives import summary
    from pyvmaf.features.options import Compute

    specs = {path: load_corpus(path) for path in pairs or ()}
    roots = {spec.name: spec.home(path, Path()) for path, spec in specs.items()}
    named = []
    for word in corpus or ():
        path, _, folder = word.partition("=")
        spec = load_videos(path)
        named.append((spec, Path(folder) if folder else spec.home(Path(path), Path())))
    with progress("hard negatives", unit="clips") as advance:
        compute = Compute(backend=backend, threads=threads, cache=cache, progress=advance)
        rows = summary(
            run(
                corpora or [],
                output,
                features=features,
                model=model,
                frames=frames,
                compute=compute,
                roots=roots,
                corpora=named,
            )
        )
    from rich import box
    from rich.table import Table

    from pyvmaf.base.terminal import console as new_console

    table = Table(box=box.SIMPLE_HEAD, title=f"{output}: {model}, mean of each clip", title_justify="left")
    for heading in ("case", "clips", "lowest", "highest", "what is compared"):
        table.add_column(heading, justify="left" if heading in ("case", "what is compared") else "right")
    for row in rows:
        table.add_row(row.case, str(row.clips), f"{row.lowest:.2f}", f"{row.highest:.2f}", row.about)
    new_console().print(table)


def features(
    json: Annotated[bool, typer.Option("--json", help="Print the catalog as JSON.")] = False,
) -> None:
    """Print the catalog: each feature, its extractor, range and cost, and the frames that it needs."""
    from pyvmaf.features.catalog import FEATURES

    rows = [_catalog_row(feature) for feature in FEATURES.values()]
    if json:
        from pyvmaf.base.files import dumps

        typer.echo(dumps(rows), nl=False)
        return
    from rich import box
    from rich.table import Table

    from pyvmaf.base.terminal import console as new_console

    table = Table(box=box.SIMPLE_HEAD, caption="* canonical6   ms: whole extractor, 1280x720 frame, one core")
    for heading in ("feature", "extractor", "range", "ms", "frames", "measures"):
        table.add_column(heading, justify="right" if heading == "ms" else "left", no_wrap=heading in ("feature", "ms"))
    for row in rows:
        table.add_row(
            row["name"] + ("*" if "canonical6" in row["sets"] else ""),
            str(row["extractor"] or "-"),
            str(row["range"]),
            f"{row['cost_ms']:g}",
            str(row["smallest"]),
            str(row["about"]),
        )
    new_console().print(table)


def _catalog_row(feature: Feature) -> dict[str, Any]:
    """Describe a feature: name, sets, extractor, options, key, range, cost, limits, meaning."""
    from pyvmaf.engines.libvmaf.extractors import EXTRACTORS
    from pyvmaf.features.catalog import SETS

    row = EXTRACTORS.get(feature.request.extractor)
    if row is None:
        limits = [feature.unavailable or ""]
    else:
        limit = row.limit
        limits = [f"longer side {limit.longer_side}" if limit.longer_side > 1 else f"{limit.width}x{limit.height}"]
        limits += ["even 4:2:0"] if limit.even_420 else []
        limits += ["chroma"] if feature.chroma else []
        limits += [f"up to {limit.max_bits} bit"] if limit.max_bits < 16 else []
    return {
        "name": feature.name,
        "sets": [name for name, members in SETS.items() if feature.name in members],
        "extractor": None if feature.unavailable else feature.request.extractor,
        "options": dict(feature.request.options),
        "key": feature.key,
        "range": f"{feature.low:g} to {'∞' if feature.high is None else f'{feature.high:g}'}",
        "cost_ms": feature.cost,
        "smallest": ", ".join(limits),
        "about": feature.about,
        "unavailable": feature.unavailable,
    }
