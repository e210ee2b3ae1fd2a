"""Verbs of the stage frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, check_code, progress, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyvmaf.frames.spec import PictureSet
    from pyvmaf.frames.stage import Subject, Taken


def register(app: typer.Typer) -> None:
    """Add this stage's verbs."""
    app.command("extract-frames")(extract_frames)


def extract_frames(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The pictures to write (.safetensors); the table lies beside them.")
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VIDEO|FOLDER|LIST.csv|RUNG=FILE...]",
            help="A video, a folder or list of images, or with --reference encodes, each with its record beside it.",
        ),
    ] = None,
    reference: Annotated[Path | None, typer.Option("--reference", help="The pristine clip of these encodes.")] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            "--corpus", help="A corpus of pairs that exist, its file or its name; else the name of the corpus."
        ),
    ] = None,
    clip: Annotated[str | None, typer.Option("--clip", help="Name of the clip.")] = None,
    codec: Annotated[
        str | None, typer.Option("--codec", help="Codec of the ladder; reference: the pristine pictures.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Scene that a split keeps together.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Film or recording session of the scene.")] = None,
    every: Annotated[int | None, typer.Option("--every", min=1, help="Take every n-th frame.")] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="Take so many frames, spread evenly.")] = None,
    per_second: Annotated[float | None, typer.Option("--per-second", help="Take so many frames per second.")] = None,
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="N,N,...", help="Take these frames, counted from 0.")
    ] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="WxH", help="Scale whole frames to this size.")] = None,
    longest: Annotated[
        int | None, typer.Option("--longest", min=1, help="Scale so that the longer side has so many pixels.")
    ] = None,
    scaler: Annotated[
        str | None, typer.Option("--scaler", help="bicubic, bilinear, area or lanczos. [default: bicubic]")
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option("--crop", metavar="WxH[+LEFT+TOP]", help="Part that is kept, about the centre or at a place."),
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option("--colour", "--pix-fmt", help="gray, rgb24, bgr24, rgba or bgra. [default: gray]"),
    ] = None,
    masks: Annotated[Path | None, typer.Option("--masks", help="Folder of masks with the stems of the images.")] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Folder from which paths in a list of images start. [default: that of the list]"),
    ] = None,
    mos: Annotated[
        Path | None, typer.Option("--mos", help="Opinion scores of the images (.csv with the columns key and mos).")
    ] = None,
    mos_scale: Annotated[
        str | None, typer.Option("--mos-scale", metavar="LOW,HIGH", help="Scale of the opinion scores.")
    ] = None,
    skip_broken: Annotated[
        bool,
        typer.Option("--skip-broken", help="With --reference: write no pictures of a clip that could not be prepared."),
    ] = False,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder of the cache. [default: results/cache]", show_default=False)
    ] = None,
    code: CodeOption = None,
) -> None:
    """Take pictures of a video, of a ladder of encodes, of pairs that exist, or of images.

    The pictures are one array of bytes in a safetensors file, which is read by mapping it; the table beside it (.parquet) says
    which row is which picture. Whole frames are scaled first (--size, --longest) and cropped then. A call that was cut off
    goes on where it was.

    Example: vmaf-train extract-frames clip.mkv -o clip.safetensors --per-second 1 --crop 224x224

    Images with masks: vmaf-train extract-frames DUTS-TR -o duts.safetensors --size 96x96 --colour rgb24
    """
    from pyvmaf.base import layout
    from pyvmaf.errors import InputError
    from pyvmaf.frames.spec import PictureSet

    pictures = PictureSet.of(
        every=every,
        count=count,
        per_second=per_second,
        frames=None if frames is None else list(whole_numbers("--frames", frames, "0,24,48", least=0)),
        size=size,
        longest=longest,
        scaler=scaler,
        crop=crop,
        colour=colour,
    )
    labels = {"corpus": corpus, "group": group, "source": source, "clip": clip, "codec": codec}
    words = inputs or []
    images = reference is None and len(words) == 1 and (Path(words[0]).is_dir() or words[0].lower().endswith(".csv"))
    if images:
        check_code("extract-frames", code)
        _extract_images(Path(words[0]), output, pictures, labels, (root, masks, mos, mos_scale))
        return
    for option, value in {"--root": root, "--masks": masks, "--mos": mos, "--mos-scale": mos_scale}.items():
        if value is not None:
            raise InputError(f"{option} goes with a folder of images")
    if skip_broken and reference is None:
        raise InputError(
            "--skip-broken goes with --reference: of pairs that exist the corpus file says it (on_error: skip)"
        )
    subject = _subject(words, reference, pictures, labels, (skip_broken, code))
    from pyvmaf.frames.verb import extract_frames as run

    with progress(output.stem, unit="pictures") as advance:
        taken = run(output, subject, pictures, cache=cache or Path(layout.CACHE), advance=advance)
    _say(output, taken)


def _subject(
    words: list[str],
    reference: Path | None,
    pictures: PictureSet,
    labels: dict[str, str | None],
    options: tuple[bool, str | None],
) -> Callable[[], Subject]:
    """Return the videos that the arguments name."""
    from pyvmaf.errors import InputError
    from pyvmaf.frames import verb

    skip, code = options
    known = {key: value for key, value in labels.items() if value is not None}
    codec = labels["codec"]
    if reference is not None:
        check_code("extract-frames", code)
        if words:
            from pyvmaf.cli.features import named_files

            rungs = named_files(words)
            if missing := [f"--{name}" for name, value in labels.items() if value is None]:
                raise InputError(f"a ladder has names: give {', '.join(missing)}")
            return lambda: verb.ladder_subject(reference, rungs, pictures, known, skip=skip)
        known.pop("codec", None)
        return lambda: verb.video_subject(reference, pictures, known, pristine=True, skip=skip)
    if words:
        if len(words) > 1:
            raise InputError(f"{len(words)} files are given: give one video, or --reference with RUNG=FILE")
        check_code("extract-frames", code)
        known.pop("codec", None)
        return lambda: verb.video_subject(Path(words[0]), pictures, known)
    return _pairs(labels, pictures, codec, code)


def _pairs(
    labels: dict[str, str | None], pictures: PictureSet, codec: str | None, code: str | None
) -> Callable[[], Subject]:
    """Return one ladder of a corpus of pairs that exist."""
    from pyvmaf import corpora
    from pyvmaf.corpora.pairs import Spec
    from pyvmaf.corpora.spec import find_corpus, load_videos
    from pyvmaf.errors import InputError
    from pyvmaf.frames.verb import pairs_subject

    name, clip = labels["corpus"], labels["clip"]
    if name is None:
        raise InputError("nothing to read: give a video, a folder of images, --reference, or --corpus with --clip")
    path = find_corpus(name)
    spec = load_videos(path)
    if not isinstance(spec, Spec):
        raise InputError(
            f"{path} is a corpus of kind {spec.kind}, not of pairs that exist: run the workflow for it, or give --reference"
        )
    if clip is None or codec is None:
        raise InputError(f"pictures of {spec.name} are taken ladder by ladder: give --clip and --codec (or reference)")
    check_code("extract-frames", code, corpora.kind(spec.kind).uses)
    return lambda: pairs_subject(spec, spec.home(path, Path()), clip, codec, pictures)


def _extract_images(
    source: Path,
    output: Path,
    pictures: PictureSet,
    labels: dict[str, str | None],
    options: tuple[Path | None, Path | None, Path | None, str | None],
) -> None:
    """Store a folder or list of images."""
    from pyvmaf.base.opinion import parse_scale
    from pyvmaf.errors import InputError
    from pyvmaf.frames.verb import extract_images, images_of

    root, masks, mos, text = options
    for name in ("group", "source", "clip", "codec"):
        if labels[name] is not None:
            raise InputError(f"--{name} goes with a video: of images it is the folder, or a column of the list")
    if any(getattr(pictures, name) is not None for name in ("every", "count", "per_second", "frames")):
        raise InputError("an image has one frame: --every, --count, --per-second and --frames go with videos")
    scale = None if text is None else parse_scale(text)
    inputs: dict[str, Any] = {name: path for name, path in (("mos", mos),) if path is not None}
    if source.is_file():
        inputs["list"] = source
    with progress(output.stem, unit="images") as advance:
        taken = extract_images(
            output,
            lambda: images_of(source, root=root, masks=masks, mos=mos, scale=scale),
            pictures,
            corpus=labels["corpus"] or output.stem,
            inputs=inputs,
            scale=scale,
            advance=advance,
        )
    _say(output, taken)


def _say(output: Path, taken: Taken) -> None:
    for message in taken.damaged:
        say(f"warning: {message}", err=True)
    for item in taken.failed:
        say(f"skipped: {item['path']}: {item['why']}", err=True)
    if taken.size is None:
        say(f"{output}: no pictures, {len(taken.failed)} versions skipped")
        return
    say(
        f"{output}: {taken.pictures} pictures of {taken.size}, {taken.pairs} of them of distorted videos; {taken.cached} from the "
        "cache"
    )
