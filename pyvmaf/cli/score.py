"""The verb score."""

from __future__ import annotations

import sys
import warnings
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pyvmaf import engines
from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import RegistryOption, ThreadsOption, progress
from pyvmaf.cli.features import (
    BackendOption,
    FilmGrainOption,
    Grain,
    MatchDepthOption,
    complete_features,
    complete_model,
)
from pyvmaf.cli.show import print_whole
from pyvmaf.features.catalog import DEFAULT_MODEL, FEATURES
from pyvmaf.video.layouts import SCALERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from pyvmaf.scoring.limit import Limit
    from pyvmaf.scoring.scores import Scores


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("score")(score)


def _complete_models(incomplete: str) -> list[str]:
    from pyvmaf.errors import PyvmafError
    from pyvmaf.registry.entry import Registry
    from pyvmaf.scoring.find import registry_path

    try:
        registered = [entry.id for entry in Registry.read(registry_path()).models]
    except PyvmafError:
        registered = []
    return [name for name in registered if name.startswith(incomplete)] + complete_model(incomplete)


ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Repeatable: a model of libvmaf (v0.6, 4k, phone, neg, v1, v1-4k, v1-phone, v1-hfr, the full name, or its JSON; with "
        "options, as vmaf_v0.6.1:disable_clip or v1:cambi.cambi_max_val=20), the id of a registered model (ID.int8 for its int8 variant), "
        f"or the path of a model.onnx or ensemble.json. [default: {DEFAULT_MODEL}]",
        autocompletion=_complete_models,
        show_default=False,
    ),
]


def score(
    reference: Annotated[
        Path | None,
        typer.Argument(
            help="The pristine video; alone, the video to judge with models that need no reference. Pipes with y4m, and - for "
            "y4m on standard input, are read once.",
            show_default=False,
        ),
    ] = None,
    distorted: Annotated[
        list[Path] | None,
        typer.Argument(
            help="The video to judge, or several, folders of them, and patterns such as 'encodes/*.mp4'.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="CSV",
            help="Score the pairs of a CSV file with the columns reference and distorted, instead of files that are named.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write one row per frame to a .json, .ndjson, .csv or .parquet file, the .xml log of libvmaf, or to standard output (-); "
            "the summary then goes to standard error. A .html file is as with --report.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="HTML",
            help="Write a page to look at offline: scores over time, the worst frames as pictures, shots, conversions; of several "
            "versions also rate and quality.",
            show_default=False,
        ),
    ] = None,
    heatmap: Annotated[
        Path | None,
        typer.Option(
            "--heatmap",
            metavar="DIR",
            help="Write CAMBI's heat maps of banding into a folder, as libvmaf does: a raw file of 16 bits per scale. Of one pair.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the scores over time in the terminal.")] = False,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="json|csv|ndjson|parquet|xml",
            help="Format of the output; ndjson has a line per frame, which to a pipe or - comes while the frames are read. "
            "[default: that of its suffix; json for -]",
            show_default=False,
        ),
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="NAMES",
            help="Further figures of each column, with commas: std, max, and percentiles such as p25 or p99.9.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Print a single number: the mean of the first model, or the figure of --fail-under; beside it only warnings "
            "without which the number would be misunderstood.",
        ),
    ] = False,
    fail_under: Annotated[
        str | None,
        typer.Option(
            "--fail-under",
            metavar="LOWEST[:FIGURE]",
            help="Exit with status 1 if the mean of the first model, or another figure (90:p5), is under this.",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="NAMES",
            help="Training names and sets (canonical6, full), with commas; `vmaf-train features` lists them. "
            "[default: the features that the models read]",
            autocompletion=complete_features,
            show_default=False,
        ),
    ] = None,
    model: ModelsOption = None,
    registry: RegistryOption = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="Encoder of the distorted video, for models that read it, or `unknown`. [default: read from the file]",
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
            "[default: read from the file]",
            show_default=False,
        ),
    ] = None,
    threads: ThreadsOption = 2,
    frames: Annotated[
        str | None,
        typer.Option("--frames", metavar="A:B", help="Score frames A to B-1 only; the rows equal those of the whole."),
    ] = None,
    subsample: Annotated[int, typer.Option("--subsample", min=1, help="Score every n-th frame only.")] = 1,
    shortest: Annotated[bool, typer.Option("--shortest", help="Stop at the end of the shorter video.")] = False,
    scale: Annotated[
        str | None,
        typer.Option(
            "--scale",
            metavar="reference|WxH",
            help="Scale the distorted video to the reference's size (`reference`), or both to WxH. Pictures of another shape are "
            "stretched, with a warning.",
        ),
    ] = None,
    scaler: Annotated[
        str,
        typer.Option(
            "--scaler", metavar="NAME", help=f"Scaler of FFmpeg for --scale and --display: {', '.join(SCALERS)}."
        ),
    ] = SCALERS[0],
    match_depth: MatchDepthOption = False,
    deinterlace: Annotated[
        str | None,
        typer.Option(
            "--deinterlace",
            metavar="auto|bob|weave[:yadif]",
            help="Of videos that are interlaced, flagged or not, make one frame of both fields of each frame (auto) or of each field "
            "(bob: twice the frames), with bwdif, or yadif as in auto:yadif; or take both fields for one picture (weave).",
            show_default=False,
        ),
    ] = None,
    crop: Annotated[
        list[str] | None,
        typer.Option(
            "--crop",
            metavar="[SIDE=]WxH[+X+Y]",
            help="Compare a part of the picture, of both videos, or of reference= or distorted= (repeatable); by default the middle.",
            show_default=False,
        ),
    ] = None,
    pad: Annotated[
        list[str] | None,
        typer.Option(
            "--pad",
            metavar="[SIDE=]WxH[+X+Y]",
            help="Put the picture of both videos, or of one, into a larger black one (repeatable); by default into the middle.",
            show_default=False,
        ),
    ] = None,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="limited|full",
            help="Convert samples of the other range to this one.",
            show_default=False,
        ),
    ] = None,
    display: Annotated[
        str | None,
        typer.Option(
            "--display",
            metavar="hd|4k|WxH",
            help="Scale the reference to fill a screen of that size, and the distorted video with it; bicubic.",
            show_default=False,
        ),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(
            "--offset",
            metavar="N",
            help="Frames (-3), or seconds (0.1s), by which the distorted video starts later than the reference; negative: earlier.",
            show_default=False,
        ),
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Look for that offset, and say what was found and how sure it is.")
    ] = False,
    sync_window: Annotated[
        int, typer.Option("--sync-window", min=1, metavar="FRAMES", help="Frames within which --sync looks.")
    ] = 60,
    bit_depth: Annotated[
        int | None,
        typer.Option(
            "--bit-depth",
            metavar="BITS",
            help="Widen the samples of both videos to 10, 12 or 16 bits: 10 is advised for models of generation v1.",
            show_default=False,
        ),
    ] = None,
    film_grain: FilmGrainOption = Grain.ON,
    stream: Annotated[
        int | None,
        typer.Option(
            "--stream",
            min=0,
            metavar="N",
            help="Video stream of files that have several, counted from 0. [default: as FFmpeg chooses]",
            show_default=False,
        ),
    ] = None,
    drop_alpha: Annotated[bool, typer.Option("--drop-alpha", help="Leave out transparency, as FFmpeg does.")] = False,
    luma_only: Annotated[
        bool, typer.Option("--luma-only", help="Compare luma alone, for example of a gray video with one in colours.")
    ] = False,
    fps: Annotated[
        list[str] | None,
        typer.Option(
            "--fps",
            metavar="nearest|reference|distorted|N",
            help="Videos of different rates: compare each frame of the distorted one with the nearest in time (nearest), or convert one "
            "to the rate of the other (reference, distorted). A number is the rate of numbered pictures (frame_%04d.png). "
            "[default: by frame number; 25]",
            show_default=False,
        ),
    ] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="WxH", help="Frame size of raw .yuv files.")] = None,
    pix_fmt: Annotated[
        str, typer.Option("--pix-fmt", help="Pixel format of raw .yuv files, by FFmpeg's name.")
    ] = "yuv420p",
    backend: BackendOption = engines.AUTO,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration",
            metavar="JSON",
            help="Report of calibrate for one of the models: adds its scores as opinion scores.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Score a video against its reference, or alone: print a pooled summary, and write every frame to a file.

    Any two files that FFmpeg reads, of equal size and length. Nothing is converted unless you ask for it.

    Examples:
      vmaf-train score reference.mkv distorted.mkv -o frames.csv

      vmaf-train score reference.mkv distorted.mkv -o - | jq .pooled.vmaf

      vmaf-train score reference.mkv distorted.mkv --plot --report page.html

      vmaf-train score reference.mkv distorted.mkv --quiet --fail-under 90:p5

      ffmpeg -i distorted.mkv -f yuv4mpegpipe - | vmaf-train score reference.mkv - -o - --format ndjson

      vmaf-train score ref.yuv dis.yuv --size 1920x1080 --pix-fmt yuv420p10le

      vmaf-train score master.mov 540p.mp4 --scale reference --scaler lanczos --features canonical6,psnr_y,cambi

      vmaf-train score broadcast_1080i.ts encode_1080p50.mp4 --deinterlace bob

      vmaf-train score camera_60fps.mov encode_30fps.mp4 --fps nearest

      vmaf-train score reference.mkv distorted.mkv --model vmaf_v0.6.1 --model fr_regressor_v2_ensemble

      vmaf-train score distorted.mkv --model nr_metric_v1

      vmaf-train score reference.mkv encodes/x264 encodes/x265 -o scores.csv

      vmaf-train score --pairs pairs.csv --quiet
    """
    from pyvmaf.errors import InputError
    from pyvmaf.features.pool import POOLS, check_pools
    from pyvmaf.scoring.limit import Limit
    from pyvmaf.scoring.scores import output_format
    from pyvmaf.video.format import Format

    output, report = _page(output, report, format_)
    if output is not None:
        format_ = output_format(output, format_)
    elif format_ is not None:
        raise InputError(f"--format {format_} is that of a file: name it with --output, or - for standard output")
    asked = _Asked(
        output=output,
        form=format_ or "",
        pools=tuple(dict.fromkeys([*POOLS, *check_pools(pool.split(",") if pool else [])])),
        quiet=quiet,
        limit=None if fail_under is None else Limit.parse(fail_under),
        page=report,
        plot=plot,
    )
    options = {
        "features": features,
        "model": model or DEFAULT_MODEL,
        "registry": registry,
        "codec": None if (codec, preset, crf) == (None, None, None) else (codec, preset, crf),
        "context": _numbers(context or []),
        "threads": threads,
        "frames": _frames(frames),
        "subsample": subsample,
        "shortest": shortest,
        "stream": stream,
        "drop_alpha": drop_alpha,
        "luma_only": luma_only,
        **_rates(fps or []),
        "raw": Format.parse(size, pix_fmt) if size else None,
        "scale": True if scale == "reference" else scale or False,
        "match_depth": match_depth,
        "bit_depth": bit_depth,
        "deinterlace": deinterlace or "",
        "crop": tuple(crop or ()),
        "pad": tuple(pad or ()),
        "range": range_,
        "scaler": scaler,
        "display": display,
        "offset": offset or 0,
        "sync": sync_window if sync else False,
        "film_grain": film_grain is Grain.ON,
        "backend": backend,
        "calibration": calibration,
        "shots": report is not None,
    }
    if heatmap is not None and (not distorted or pairs is not None or _are_several(distorted)):
        raise InputError("--heatmap is of one pair: name a reference and one distorted video")
    if pairs is not None or _are_several(distorted or []):
        _score_several(_references(reference, distorted or [], pairs), asked, options)
    elif reference is None:
        raise InputError("name the reference and the distorted video, or a list of pairs with --pairs")
    else:
        scores = _score_one(reference if distorted else None, distorted[0] if distorted else reference, asked, options)
        if heatmap is not None and distorted:
            _write_heatmaps(reference, distorted[0], heatmap, options, quiet=quiet)
        if asked.limit is not None and (missed := asked.limit.missed(scores)):
            say(f"failed: {missed}", err=True)
            raise typer.Exit(1)


@dataclass(frozen=True)
class _Asked:
    """What is to be done with scores.

    Attributes:
        output, form: file of the rows, and its format.
        pools: figures of the summary.
        quiet: print a single number.
        limit: the lowest score that is accepted.
        page: file of the page.
        plot: draw the scores in the terminal.
    """

    output: Path | None
    form: str
    pools: tuple[str, ...]
    quiet: bool
    limit: Limit | None
    page: Path | None = None
    plot: bool = False

    def wrote(self, size: int) -> None:
        """Say that the page of so many bytes was written."""
        if not self.quiet:
            say(f"wrote {self.page} ({size / 1e6:.1f} MB)", err=self.to_stream)

    @property
    def to_stream(self) -> bool:
        """Whether a program reads the rows from standard output or a pipe."""
        from pyvmaf.base.outputs import is_stream

        return self.output is not None and is_stream(self.output)

    @contextmanager
    def streamed(self) -> Iterator[TextIO | None]:
        """Open the stream to which rows are written while they come; None if they are not."""
        from pyvmaf.scoring.scores import open_stream

        with ExitStack() as stack:
            live = self.output is not None and self.to_stream and self.form == "ndjson"
            yield stack.enter_context(open_stream(self.output)) if live and self.output is not None else None


def _rates(words: Sequence[str]) -> dict[str, str]:
    """Divide the values of ``--fps`` into the way to pair frames and the rate of numbered pictures."""
    from pyvmaf.video.paced import PAIRINGS

    return {"pair_by" if word in PAIRINGS else "fps": word for word in words}


def _page(output: Path | None, report: Path | None, form: str | None) -> tuple[Path | None, Path | None]:
    """Return the file of the rows and that of the page, which ``--output`` may name, too.

    Raises:
        InputError: two pages are named, or one that cannot be written.
    """
    from pyvmaf.errors import InputError

    if output is not None and form is None and output.suffix.lower() in (".html", ".htm"):
        if report is not None:
            raise InputError(f"--output {output} and --report {report} both name a page: leave one out")
        output, report = None, output
    if report is not None:
        from pyvmaf.reports.pages.score.page import check_page

        check_page(report)
    return output, report


def _score_one(reference: Path | None, distorted: Path, asked: _Asked, options: Mapping[str, Any]) -> Scores:
    """Score a pair, write what is asked for, and print a summary."""
    from pyvmaf.runtime.predictor import ModelWarning
    from pyvmaf.scoring.score import reading_of
    from pyvmaf.scoring.score import score as run
    from pyvmaf.scoring.scores import row_line

    with (
        asked.streamed() as stream,
        progress(distorted.name) as advance,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", ModelWarning)

        def take(row: Mapping[str, Any]) -> None:
            if stream is not None:
                stream.write(row_line(row))
                stream.flush()

        scores = run(reference, distorted, **options, advance=advance, take=None if stream is None else take)
        scores = replace(scores, pools=asked.pools)
        if stream is not None:
            stream.write(scores.last_line())
        elif asked.output is not None:
            scores.write(asked.output, asked.form)
    # A program that reads the rows from standard output gets nothing else.
    with redirect_stdout(sys.stderr if asked.to_stream else sys.stdout):
        title = distorted.name if reference is None else f"{distorted.name} against {reference.name}"
        _print_one(scores, title, asked)
    if asked.page is not None:
        from pyvmaf.reports.pages.score.page import write_pair

        asked.wrote(write_pair(scores, reference, distorted, asked.page, reading_of(**options)))
    for line in [*(f"warning: {warning.message}" for warning in caught), *_doubts(scores, quiet=asked.quiet)]:
        say(line, err=True)
    return scores


def _write_heatmaps(reference: Path, distorted: Path, folder: Path, options: Mapping[str, Any], *, quiet: bool) -> None:
    from pyvmaf.scoring.heatmaps import write_heatmaps
    from pyvmaf.scoring.score import reading_of

    with progress(f"heat maps of {distorted.name}") as advance:
        files = write_heatmaps(reference, distorted, folder, reading_of(**options), advance)
    if not quiet:
        say(*(f"wrote {file}" for file in files), err=True)


def _are_several(distorted: Sequence[Path]) -> bool:
    """Return whether a ranked table is wanted: of several names, or of one that stands for several files."""
    from pyvmaf.scoring.compare import is_many

    return len(distorted) > 1 or any(is_many(path) for path in distorted)


def _references(reference: Path | None, distorted: Sequence[Path], pairs: Path | None) -> Mapping[Path, Sequence[Path]]:
    from pyvmaf.errors import InputError
    from pyvmaf.scoring.compare import read_pairs

    if pairs is None:
        assert reference is not None
        return {reference: distorted}
    if reference is not None:
        raise InputError(f"{reference} is named beside --pairs {pairs}, which names the videos: leave one of both out")
    return read_pairs(pairs)


def _score_several(videos: Mapping[Path, Sequence[Path]], asked: _Asked, options: Mapping[str, Any]) -> None:
    """Score versions of one or several references, and print a ranked table of each."""
    from pyvmaf.cli.compared import print_comparison
    from pyvmaf.features.pool import POOLS
    from pyvmaf.runtime.predictor import ModelWarning
    from pyvmaf.scoring.compare import Comparisons, check_form, compare
    from pyvmaf.scoring.score import reading_of
    from pyvmaf.scoring.scores import write_rows

    check_form(asked.form)
    parts = []
    for reference, distorted in videos.items():
        with progress(reference.name) as advance, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ModelWarning)
            parts.append(compare(reference, distorted, **options, advance=advance).with_pools(asked.pools))
        for message in dict.fromkeys(str(warning.message) for warning in caught):
            say(f"warning: {message}", err=True)
    if asked.output is not None:
        write_rows(Comparisons(tuple(parts)), asked.output, asked.form)
    if asked.page is not None:
        from pyvmaf.reports.pages.score.page import write_page

        asked.wrote(write_page(parts, asked.page, reading_of(**options)))
    versions = [version for part in parts for version in part.ranked]
    with redirect_stdout(sys.stderr if asked.to_stream else sys.stdout):
        for part in parts if not asked.quiet else ():
            print_comparison(part, [name for name in asked.pools if name not in POOLS], plot=asked.plot)
        for version in versions if asked.quiet else ():
            say(f"{version.scores.figure(asked.limit.figure if asked.limit else 'mean')!r}  {version.path}")
    said: dict[str, None] = {}
    for version in versions:
        said |= dict.fromkeys(_doubts(version.scores, str(version.path), quiet=asked.quiet))
    for line in said:
        say(line, err=True)
    missed = {v.path: text for v in versions if asked.limit is not None and (text := asked.limit.missed(v.scores))}
    for path, text in missed.items():
        say(f"failed: {path}: {text}", err=True)
    if missed:
        raise typer.Exit(1)


def _print_one(scores: Scores, title: str, asked: _Asked) -> None:
    """Print the figures of every column, or a single number."""
    if asked.quiet:
        say(repr(scores.figure(asked.limit.figure if asked.limit else "mean")))
        return
    columns = scores.libvmaf_models
    own = [model if len(columns) == 1 or column == model else f"{column}: {model}" for column, model in columns.items()]
    models = ", ".join([*own, *scores.summaries])
    _print_pools(scores, f"{title}, {len(scores)} frames, {models}", asked.pools)
    _print_summaries(scores.summaries)
    if asked.plot:
        from pyvmaf.cli.compared import score_columns
        from pyvmaf.cli.plot import print_plot

        print_plot(scores, score_columns(scores))


def _doubts(scores: Scores, name: str = "", *, quiet: bool = False) -> Iterator[str]:
    """What a person should know of scores before trusting them, a line each.

    Args:
        scores: the scores.
        name: which of several versions they are of.
        quiet: leave out what does not change the meaning of the single number: what was done to frames because it was asked
            for, or as players do it, the screen of the model, and what is said of other columns.
    """
    which = f"{name}: " if name else ""
    for column, text in _left_out(scores):
        if not quiet or column == scores.headline:
            yield f"note: {which}{column}: {text}"
    if scores.summaries:
        from pyvmaf.scoring.predict import warnings_of

        yield from (f"warning: {which}{text}" for text in warnings_of(scores.summaries))
    for note in scores.notes:
        if note in scores.doubts:
            yield f"warning: {note}"
        elif not quiet:
            yield f"note: {note}"
    if quiet:
        return
    if screens := scores.smaller_screens():
        yield f"note: {screens}"
    yield from (f"unavailable: {feature}: {reason}" for feature, reason in scores.unavailable.items())


def _numbers(values: list[str]) -> dict[str, float]:
    """Read values of the form NAME=NUMBER."""
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
    """Read a range of the form A:B."""
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


def _print_summaries(summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the score of the clip by each model, with its interval, and the facts about the file that the model read."""
    for name, summary in summaries.items():
        facts = [summary["codec"]] if "codec" in summary else []
        facts += [f"{key} {value:g}" for key, value in summary.get("context", {}).items()]
        interval = summary.get("score_interval")
        if interval is not None:
            say(
                f"{name}: {'mean ' if summary['of'] == 'frames' else ''}{summary['score']:.2f}, between "
                f"{interval['low']:.2f} and {interval['high']:.2f} for {summary['nominal_coverage']:.0%} of videos "
                f"({summary['interval']} intervals, which held {summary['measured_coverage']:.1%} of rows of unseen "
                "sources)"
            )
        elif summary["of"] == "clip":
            say(f"{name}: {summary['score']:.3f}")
        if facts:
            say(f"{name} also read: {', '.join(facts)}")


def _left_out(scores: Scores) -> Iterator[tuple[str, str]]:
    """Yield the columns whose figures are not of all frames, and why; of registered models the warnings say so."""
    for name, counts in scores.left_out().items():
        if name in scores.summaries:
            continue
        kinds = {"infinite": "infinite, as of pictures without a difference", "missing": "without a value"}
        rest = len(scores) - sum(counts.values())
        parts = " and ".join(f"{counts[kind]} {text}" for kind, text in kinds.items() if counts[kind])
        yield name, f"the figures are of {rest} of {len(scores)} frames; {parts}"


def _print_pools(scores: Scores, title: str, names: Sequence[str]) -> None:
    """Print the pooled figures of each column, scores of models first."""
    from rich import box
    from rich.table import Table

    pools = scores.pooled()
    features = {column for column in pools if column in FEATURES or ":" in column} - {*scores.libvmaf_models}
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for pool in names:
        table.add_column(pool.replace("harmonic_mean", "harmonic"), justify="right", no_wrap=True)
    for name in sorted(pools, key=lambda column: column in features):
        digits = 4 if name in features else 3
        table.add_row(name, *(f"{pools[name][pool]:.{digits}f}" for pool in names))
    print_whole(table)
