"""extract-features, hard-negatives, score, features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyvmaf import engines
from pyvmaf.cli.common import CodeOption, ThreadsOption, check_code, progress
from pyvmaf.cli.show import print_whole
from pyvmaf.features.cases import DEFAULT_FRAMES
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

STAGE = "features"
PANEL = "features: libvmaf over pairs and ladders"


def _choices(words: list[str], incomplete: str) -> list[str]:
    *done, last = incomplete.split(",")
    prefix = ",".join([*done, ""]) if done else ""
    return [prefix + word for word in words if word.startswith(last)]


def _complete_features(incomplete: str) -> list[str]:
    from pyvmaf.features.catalog import FEATURES, SETS

    return _choices([*SETS, *FEATURES], incomplete)


def _complete_model(incomplete: str) -> list[str]:
    from pyvmaf.engines.libvmaf.models import MODELS

    return [name for name in MODELS if name.startswith(incomplete)]


def _complete_models(incomplete: str) -> list[str]:
    from pyvmaf.errors import PyvmafError
    from pyvmaf.registry.register import load_registry
    from pyvmaf.scoring.find import registry_path

    try:
        registered = [str(entry["id"]) for entry in load_registry(registry_path())["models"]]
    except PyvmafError:
        registered = []
    return [name for name in registered if name.startswith(incomplete)] + _complete_model(incomplete)


FeaturesOption = Annotated[
    str,
    typer.Option(
        "--features",
        metavar="NAMES",
        help="Training names and sets (canonical6, full), with commas. `vmaf-train features` lists them.",
        autocompletion=_complete_features,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="A built-in model of libvmaf, or the path of a model in its JSON format.",
        autocompletion=_complete_model,
    ),
]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Repeatable: a model of libvmaf (or its JSON), the id of a registered model (ID.int8 for its int8 variant), "
        f"or the path of a model.onnx or ensemble.json. [default: {DEFAULT_MODEL}]",
        autocompletion=_complete_models,
        show_default=False,
    ),
]
MatchDepthOption = Annotated[
    bool,
    typer.Option("--match-depth", help="Widen the side of fewer bits per sample to the other's depth."),
]
BackendOption = Annotated[str, typer.Option("--backend", help="cpu, or cuda where the build and the machine have it.")]


def _pairs(values: list[str], what: str) -> dict[str, Path]:
    from pyvmaf.errors import InputError

    pairs: dict[str, Path] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not equals or not name or not path:
            raise InputError(f"{value!r} is not of the form {what}")
        if name in pairs:
            raise InputError(f"{name!r} is given twice: {pairs[name]} and {path}")
        pairs[name] = Path(path)
    return pairs


def _numbers(values: list[str]) -> dict[str, float]:
    from pyvmaf.errors import InputError

    numbers = {}
    for value in values:
        name, equals, text = value.partition("=")
        try:
            if not equals:
                raise ValueError
            numbers[name] = float(text)
        except ValueError:
            raise InputError(f"--context {value!r} is not of the form NAME=NUMBER, for example fps=25") from None
    return numbers


def _frames(text: str | None) -> tuple[int, int | None] | None:
    from pyvmaf.errors import InputError

    if text is None:
        return None
    first, colon, stop = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return int(first or 0), int(stop) if stop else None
    except ValueError:
        raise InputError(f"--frames {text!r} is not of the form A:B, for example 0:100 or 50:") from None


def register(app: typer.Typer) -> None:
    """Add this stage's verbs."""

    @app.command("extract-features", rich_help_panel=PANEL)
    def extract_features(
        rungs: Annotated[
            list[str], typer.Argument(metavar="RUNG=FILE...", help="Encodes, each with its record beside it.")
        ],
        reference: Annotated[Path, typer.Option("--reference", help="The pristine clip.")],
        output: Annotated[Path, typer.Option("--output", "-o", help="The feature table to write (.parquet).")],
        corpus: Annotated[str, typer.Option("--corpus", help="Corpus of the clip.")],
        clip: Annotated[str, typer.Option("--clip", help="Name of the clip.")],
        codec: Annotated[str, typer.Option("--codec", help="Codec of the ladder.")],
        source: Annotated[str, typer.Option("--source", help="Scene that a split keeps together.")],
        group: Annotated[str, typer.Option("--group", help="Film or recording session that the scene is from.")],
        features: FeaturesOption = DEFAULT_FEATURES,
        model: ModelOption = DEFAULT_MODEL,
        cache: Annotated[
            Path | None, typer.Option("--cache", help="Folder of the feature cache; none without.")
        ] = None,
        match_depth: MatchDepthOption = False,
        scale: Annotated[
            bool, typer.Option("--scale", help="Scale encodes of another size to the reference's.")
        ] = False,
        backend: BackendOption = "cpu",
        threads: ThreadsOption = 1,
        code: CodeOption = None,
    ) -> None:
        """Extract features and teacher scores of a whole ladder of encodes, decoding the reference once.

        What the cache already holds is not computed again: one more rung or one more feature costs only itself.

        Example: vmaf-train extract-features --reference ref.mkv --corpus mine --clip ref --codec libx264
        --source ref --group film -o ref.parquet medium-crf23=23.mkv medium-crf35=35.mkv
        """
        check_code("extract-features", code, engines.uses(backend))
        from pyvmaf.features.stage import extract_features as run

        with progress(f"{clip} {codec}") as advance:
            ladder = run(
                reference,
                _pairs(rungs, "RUNG=FILE"),
                output,
                labels={"corpus": corpus, "group": group, "source": source, "clip": clip, "codec": codec},
                features=features,
                model=model,
                cache=cache,
                threads=threads,
                match_depth=match_depth,
                scale=scale,
                backend=backend,
                advance=advance,
            )
        for message in ladder.damaged:
            typer.echo(f"warning: {message}", err=True)
        for name, reason in ladder.unavailable.items():
            typer.echo(f"unavailable: {name}: {reason}", err=True)
        typer.echo(
            f"{output}: {len(ladder.rungs)} rungs of {ladder.frames} frames; {len(ladder.computed)} extractor runs, "
            f"{ladder.cached} results from the cache"
        )

    @app.command("hard-negatives", rich_help_panel=PANEL)
    def hard_negatives(
        corpora: Annotated[
            list[Path],
            typer.Argument(metavar="CORPUS.json...", help="Manifests of prepared corpora, clips beside them."),
        ],
        output: Annotated[Path, typer.Option("--output", "-o", help="The table to write (.parquet).")],
        features: FeaturesOption = DEFAULT_FEATURES,
        model: ModelOption = DEFAULT_MODEL,
        frames: Annotated[
            int, typer.Option("--frames", min=2, help="Frames of each clip that are measured, from its first one.")
        ] = DEFAULT_FRAMES,
        cache: Annotated[
            Path | None, typer.Option("--cache", help="Folder of the feature cache; none without.")
        ] = None,
        backend: BackendOption = "cpu",
        threads: ThreadsOption = 1,
        code: CodeOption = None,
    ) -> None:
        """Measure pairs that no encoder makes: frozen, black, flat and swapped pictures, for `judge` to look at.

        Per frame the features and what the teacher says, for every clip and case. Nothing is encoded or written
        in between.

        Example: vmaf-train hard-negatives results/corpora/embedded/corpus.json -o hard_negatives.parquet
        """
        check_code("hard-negatives", code, engines.uses(backend))
        from pyvmaf.features.negatives import hard_negatives as run
        from pyvmaf.features.negatives import summary

        with progress("hard negatives", unit="clips") as advance:
            table = run(
                corpora,
                output,
                features=features,
                model=model,
                frames=frames,
                cache=cache,
                threads=threads,
                backend=backend,
                advance=advance,
            )
        from rich import box
        from rich.console import Console
        from rich.table import Table

        shown = Table(box=box.SIMPLE_HEAD, title=f"{output}: {model}, mean of each clip", title_justify="left")
        for heading in ("case", "clips", "lowest", "highest", "what is compared"):
            shown.add_column(heading, justify="left" if heading in ("case", "what is compared") else "right")
        for row in summary(table):
            shown.add_row(row.case, str(row.clips), f"{row.lowest:.2f}", f"{row.highest:.2f}", row.about)
        Console().print(shown)

    @app.command("score", rich_help_panel=PANEL)
    def score(
        reference: Annotated[Path, typer.Argument(help="The pristine video.")],
        distorted: Annotated[Path, typer.Argument(help="The video to judge.")],
        output: Annotated[
            Path | None,
            typer.Option("--output", "-o", help="Write one row per frame to a .json, .csv or .parquet file."),
        ] = None,
        features: Annotated[
            str | None,
            typer.Option(
                "--features",
                metavar="NAMES",
                help="Training names and sets (canonical6, full), with commas; `vmaf-train features` lists them. "
                f"[default: what the models read, {DEFAULT_FEATURES} for libvmaf's]",
                autocompletion=_complete_features,
                show_default=False,
            ),
        ] = None,
        model: ModelsOption = None,
        registry: Annotated[
            Path | None,
            typer.Option(
                help="Registry of the ids. [default: $PYVMAF_REGISTRY, else results/registry/registry.json]",
                show_default=False,
            ),
        ] = None,
        codec: Annotated[
            str | None,
            typer.Option(
                help="Encoder of the distorted video, for models that read it; `unknown` where nobody knows. "
                "[default: what the file says]",
                show_default=False,
            ),
        ] = None,
        preset: Annotated[str | None, typer.Option(help="Its preset.", show_default=False)] = None,
        crf: Annotated[float | None, typer.Option(help="Its CRF.", show_default=False)] = None,
        context: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME=NUMBER",
                help="Height, fps or bitrate_kbps of the distorted video, for models that read them (repeatable). "
                "[default: what the file says]",
                show_default=False,
            ),
        ] = None,
        threads: ThreadsOption = 2,
        frames: Annotated[
            str | None,
            typer.Option("--frames", metavar="A:B", help="Score frames A to B-1 only; the rows equal the whole's."),
        ] = None,
        subsample: Annotated[int, typer.Option("--subsample", min=1, help="Score every n-th frame only.")] = 1,
        shortest: Annotated[bool, typer.Option("--shortest", help="Stop at the end of the shorter video.")] = False,
        scale: Annotated[
            str | None,
            typer.Option(
                "--scale",
                metavar="reference|WxH",
                help="Scale the distorted video to the reference's size (`reference`), or both to WxH; bicubic.",
            ),
        ] = None,
        match_depth: MatchDepthOption = False,
        size: Annotated[str | None, typer.Option("--size", metavar="WxH", help="Frame size of raw .yuv files.")] = None,
        pix_fmt: Annotated[
            str, typer.Option("--pix-fmt", help="Pixel format of raw .yuv files, by FFmpeg's name.")
        ] = "yuv420p",
        backend: BackendOption = "cpu",
    ) -> None:
        """Score a video against its reference: a pooled summary here, every frame in a file.

        Any two files that FFmpeg reads, of equal size and length. Nothing is converted unless asked for.

        Examples:
          vmaf-train score reference.mkv distorted.mkv -o frames.csv

          vmaf-train score ref.yuv dis.yuv --size 1920x1080 --pix-fmt yuv420p10le

          vmaf-train score master.mov 540p.mp4 --scale reference --features canonical6,psnr_y,cambi

          vmaf-train score reference.mkv distorted.mkv --model vmaf_v0.6.1 --model fr_regressor_v2_ensemble
        """
        import warnings

        from pyvmaf.errors import InputError
        from pyvmaf.runtime.load import ModelWarning
        from pyvmaf.scoring.score import score as run
        from pyvmaf.scoring.score import warnings_of
        from pyvmaf.scoring.scores import FORMATS
        from pyvmaf.video.format import Format

        if output is not None and output.suffix.lower() not in FORMATS:
            raise InputError(f"cannot write {output}: the suffix {output.suffix!r} is none of {', '.join(FORMATS)}")
        with progress(distorted.name) as advance, warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always", ModelWarning)
            scores = run(
                reference,
                distorted,
                features=features,
                model=model or DEFAULT_MODEL,
                registry=registry,
                codec=None if (codec, preset, crf) == (None, None, None) else (codec, preset, crf),
                context=_numbers(context or []),
                threads=threads,
                frames=_frames(frames),
                subsample=subsample,
                shortest=shortest,
                raw=Format.parse(size, pix_fmt) if size else None,
                scale=True if scale == "reference" else scale or False,
                match_depth=match_depth,
                backend=backend,
                advance=advance,
            )
        if output is not None:
            scores.write(output)
        by = ", ".join([*([scores.model] if scores.model else []), *scores.judged])
        _print_summary(scores.pooled(), f"{distorted.name} against {reference.name}, {len(scores)} frames, {by}")
        _print_judged(scores.judged)
        for message in [*(str(doubt.message) for doubt in doubts), *warnings_of(scores.judged)]:
            typer.echo(f"warning: {message}", err=True)
        for name, reason in scores.unavailable.items():
            typer.echo(f"unavailable: {name}: {reason}", err=True)

    @app.command("features", rich_help_panel=PANEL)
    def features(
        json: Annotated[bool, typer.Option("--json", help="Print the catalog as JSON.")] = False,
    ) -> None:
        """Print the catalog: every feature, what computes it, its range, its cost and the frames that it needs."""
        from pyvmaf.features.describe import catalog_rows

        rows = catalog_rows()
        if json:
            from pyvmaf.base.files import dumps

            typer.echo(dumps(rows), nl=False)
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, caption="* canonical6   ms: whole extractor, 1280x720 frame, one core")
        for heading in ("feature", "extractor", "range", "ms", "frames", "measures"):
            table.add_column(
                heading, justify="right" if heading == "ms" else "left", no_wrap=heading in ("feature", "ms")
            )
        for row in rows:
            table.add_row(
                row["name"] + ("*" if "canonical6" in row["sets"] else ""),
                str(row["extractor"] or "-"),
                str(row["range"]),
                f"{row['cost_ms']:g}",
                str(row["smallest"]),
                str(row["about"]),
            )
        Console().print(table)


def _print_judged(judged: Mapping[str, Mapping[str, Any]]) -> None:
    for name, said in judged.items():
        known = [said["codec"]] if "codec" in said else []
        known += [f"{key} {value:g}" for key, value in said.get("context", {}).items()]
        ends = said.get("score_interval")
        if ends is not None:
            typer.echo(
                f"{name}: {'mean ' if said['of'] == 'frames' else ''}{said['score']:.2f}, between {ends['low']:.2f} and "
                f"{ends['high']:.2f} for {said['nominal_coverage']:.0%} of videos ({said['interval']} intervals, which "
                f"held {said['measured_coverage']:.1%} of rows of unseen sources)"
            )
        elif said["of"] == "clip":
            typer.echo(f"{name}: {said['score']:.3f}")
        if known:
            typer.echo(f"{name} was told: {', '.join(known)}")


def _print_summary(pools: Mapping[str, Mapping[str, float]], title: str) -> None:
    from rich import box
    from rich.table import Table

    from pyvmaf.features.catalog import FEATURES
    from pyvmaf.scoring.scores import POOLS

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for pool in POOLS:
        table.add_column(pool.replace("harmonic_mean", "harmonic"), justify="right", no_wrap=True)
    # The scores are what most people came for.
    for name in sorted(pools, key=lambda n: n in FEATURES):
        digits = 4 if name in FEATURES else 3
        table.add_row(name, *(f"{pools[name][pool]:.{digits}f}" for pool in POOLS))
    print_whole(table)
