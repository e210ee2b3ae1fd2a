"""The verb extract-frames for images: a folder of them or a list, perhaps with masks and opinion scores."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.files import confined
from pyvmaf.base.manifest import engine_block, write_manifest
from pyvmaf.base.opinion import check_on_scale
from pyvmaf.base.outputs import Watch, claim, publishes
from pyvmaf.corpora.cells import check_once, read_cells
from pyvmaf.corpora.keys import clip_key
from pyvmaf.corpora.opinions import Opinion, join, read_opinions
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.features.table import write_table
from pyvmaf.frames.spec import PictureSet
from pyvmaf.frames.stage import Taken, check_output_name, table_beside
from pyvmaf.frames.storage import SUFFIX, PictureWriter, writing
from pyvmaf.frames.table import File, metadata, name_in, picture_table
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Converter

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Suffixes of images."""

_IMAGE_FOLDER, _MASK_FOLDER = "-Image", "-Mask"

_COLUMNS = ("image", "mask", "source", "group", "mos", "mos_std", "n_ratings")


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        path: its file.
        name: its path below the folder or that of the list.
        source, group: the scene that a split keeps together, and a coarser one.
        mask: the file of its mask; None if it has none.
        opinion: columns of opinion scores.
    """

    path: Path
    name: str
    source: str
    group: str
    mask: Path | None = None
    opinion: Mapping[str, Any] = field(default_factory=dict)


def images_of(
    source: Path,
    *,
    root: Path | None = None,
    masks: Path | None = None,
    mos: Path | None = None,
    scale: tuple[float, float] | None = None,
) -> list[Image]:
    """Find images, their masks and opinion scores.

    Args:
        source: a list (.csv, with the column ``image`` and perhaps ``mask``, ``source``, ``group``, ``mos``, ``mos_std``,
            ``n_ratings``), or a folder. A folder that has the folders ``*-Image`` and ``*-Mask`` is read as DUTS is laid out.
        root: folder from which the paths in a list start; None for that of the list.
        masks: folder of the masks of a folder's images; a mask has the stem of its image.
        mos: opinion scores of a folder's images, as `pyvmaf.corpora.opinions.read_opinions` reads them.
        scale: lowest and highest score.

    Raises:
        MissingFileError: an image or mask does not exist.
        InputError: there are no images, an image has no mask or a mask no image, two images share a stem, or a score is off
            its scale.
    """
    if source.is_dir():
        if root is not None:
            raise InputError(f"{source} is a folder, not a list of images: leave the root out")
        images = _folder(source, masks, mos)
    elif masks is not None or mos is not None:
        raise InputError(
            f"{source} is a list, which names masks and scores in columns of its own: leave the options out"
        )
    else:
        images = list(_listed(source, root or source.parent))
    if not images:
        raise InputError(f"{source} holds no images ({', '.join(IMAGES)})")
    keys: dict[str, Image] = {}
    for image in images:
        if (other := keys.setdefault(clip_key(image.name), image)) is not image:
            raise InputError(f"{other.path} and {image.path} have the same key, {clip_key(image.name)}: rename one")
    rated = [image for image in images if image.opinion]
    if rated and scale is None:
        raise InputError(f"{source}: the scale of the opinion scores is not said: give it (--mos-scale 1,5)")
    for image in rated:
        try:
            check_on_scale(float(image.opinion["mos"]), scale or (0.0, 0.0))
        except InputError as err:
            raise InputError(f"{image.path}: {err}") from err
    return images


def _folder(root: Path, masks: Path | None, mos: Path | None) -> list[Image]:
    images = root
    if masks is None:
        images, masks = _duts(root)
    paths = {path.relative_to(images).as_posix(): path for path in _files(images)}
    if masks is not None:
        inner = Path(os.path.abspath(masks))
        paths = {name: path for name, path in paths.items() if inner not in Path(os.path.abspath(path)).parents}
    found = {} if masks is None else _masks(paths, masks)
    opinions: dict[str, Opinion] = {}
    if mos is not None:
        opinions, unmatched = join(read_opinions(mos), {clip_key(name): name for name in paths})
        if unmatched:
            raise InputError(
                f"{mos} rates {len(unmatched)} images that {images} does not have, the first is {unmatched[0]}: take them out"
            )
    return [
        Image(
            path,
            name,
            source=Path(name).stem,
            group=Path(name).parent.as_posix() if "/" in name else images.name,
            mask=found.get(name),
            opinion=opinions[clip_key(name)].keys if clip_key(name) in opinions else {},
        )
        for name, path in paths.items()
    ]


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise MissingFileError(f"no such folder: {folder}")
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGES and not path.name.startswith(".") and path.is_file():
            yield path


def _duts(root: Path) -> tuple[Path, Path | None]:
    """Find the folders of images and masks of a data set laid out as DUTS is: ``DUTS-TR-Image`` and ``DUTS-TR-Mask``."""
    images = [path for path in sorted(root.glob(f"*{_IMAGE_FOLDER}")) if path.is_dir()]
    if not images:
        return root, None
    if len(images) > 1:
        names = ", ".join(path.name for path in images)
        raise InputError(f"{root} has several folders of images, {names}: name one of them, with --masks")
    masks = root / f"{images[0].name.removesuffix(_IMAGE_FOLDER)}{_MASK_FOLDER}"
    if not masks.is_dir():
        raise MissingFileError(f"{images[0]} has no masks: there is no folder {masks}")
    return images[0], masks


def _masks(images: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Return the mask of each image, which has the same stem, below the same folder."""

    def stems(paths: Mapping[str, Path], kind: str) -> dict[str, str]:
        known: dict[str, str] = {}
        for name in paths:
            stem = name.rpartition(".")[0]
            if stem in known:
                raise InputError(f"{paths[known[stem]]} and {paths[name]} are two {kind} of the same stem: keep one")
            known[stem] = name
        return known

    masks = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    ours, theirs = stems(images, "images"), stems(masks, "masks")
    for kind, first, second, paths in (("mask", ours, theirs, images), ("image", theirs, ours, masks)):
        if missing := [stem for stem in first if stem not in second]:
            other = "images" if kind == "mask" else "masks"
            raise InputError(
                f"{len(missing)} of {len(first)} {other} have no {kind} of the same stem in {folder if kind == 'mask' else 'the images'}"
                f", the first is {paths[first[missing[0]]]}: add them, or take the {other} out"
            )
    return {name: masks[theirs[stem]] for stem, name in ours.items()}


def _listed(path: Path, root: Path) -> Iterator[Image]:
    def check(columns: list[str]) -> None:
        if "image" not in columns:
            raise InputError(f"{path} must have the column image, but has {', '.join(columns) or 'none'}")
        check_once(path, columns, _COLUMNS)

    columns, rows = read_cells(path, check)
    opinions = {item.where: item.keys for item in _ratings(path)} if "mos" in columns else {}
    seen: dict[str, str] = {}
    for where, row in rows:
        name = row["image"]
        if (before := seen.setdefault(name, where)) != where:
            raise InputError(f"{where} has the image of {before} again, {name}: leave one out")
        files = {kind: confined(root, row[kind]) for kind in ("image", "mask") if row.get(kind)}
        for file in files.values():
            if not file.is_file():
                raise MissingFileError(f"{where}: no such file: {file}")
        if "image" not in files:
            raise InputError(f"{where} has no image")
        source = row.get("source") or Path(name).stem
        group = row.get("group") or source
        yield Image(files["image"], name, source, group, files.get("mask"), opinions.get(where, {}))


def _ratings(path: Path) -> Iterator[Opinion]:
    """Read the opinion scores of a list of images; rows without one are left out."""
    from pyvmaf.corpora.opinions import opinion

    for where, row in read_cells(path, lambda columns: None)[1]:
        if row.get("mos"):
            yield opinion(where, {**row, "key": row["image"]}, None)


@publishes("extract-frames")
def extract_images(
    output: Path,
    images: Callable[[], Sequence[Image]],
    pictures: PictureSet,
    *,
    corpus: str,
    inputs: Mapping[str, Path],
    scale: tuple[float, float] | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Taken:
    """Store images as pictures of one size, their masks, the table of both, and a manifest.

    Args:
        output: the file of pictures to write, .safetensors. The table has the same name and the suffix .parquet, the masks
            are in a file that ends in .masks.safetensors.
        images: gives the images, and is called inside of the verb.
        pictures: size, crop and colour; an image has one frame.
        corpus: name of the corpus in the rows.
        inputs: files that say which images, for the manifest.
        scale: of the opinion scores.
        advance: called with (images stored, all).

    Raises:
        InputError: images differ in size and are not scaled to one, a mask has another size than its image, or a crop does
            not fit.
        IntegrityError: an image is damaged.
    """
    started = time.monotonic()
    check_output_name(output)
    table, mask_file = table_beside(output), output.with_name(f"{output.stem}.masks{SUFFIX}")
    found = images()
    masked = [image for image in found if image.mask is not None]
    outputs = [output, table, *([mask_file] if masked else [])]
    claim(*outputs)
    files = [path for image in found for path in (image.path, image.mask) if path is not None]
    watch = Watch(files)
    rows: dict[str, list[Any]] = {}
    opinions = list(dict.fromkeys(name for image in found for name in image.opinion))
    gray = pictures.model_copy(update={"colour": "gray"})
    with ExitStack() as stack:
        writer = stack.enter_context(writing(output, pictures.colour))
        masks = stack.enter_context(writing(mask_file, "gray")) if masked else None
        for number, image in enumerate(found):
            row = _stored(image, pictures, gray, writer, masks)
            row |= {
                "corpus": corpus,
                "file": name_in(table, output),
                **{key: image.opinion.get(key) for key in opinions},
            }
            if image.mask is not None:
                row |= {"mask_file": name_in(table, mask_file)}
            for key in ("mask_file", "mask_row"):
                row.setdefault(key, None)
            for key, value in row.items():
                rows.setdefault(key, []).append(value)
            if advance is not None:
                advance(number + 1, len(found))
        shape = writer.shape
    watch.check()
    stored = {name_in(table, path): File.of(path) for path in outputs if path != table}
    block = metadata(
        colour=pictures.colour,
        files=stored,
        model="",
        engine=engine_block("extract-frames"),
        mos_scale=scale if opinions else None,
    )
    write_table(picture_table(rows, block, opinions), table)
    size = f"{shape[1]}x{shape[0]}"
    write_manifest(
        output,
        verb="extract-frames",
        args={**pictures.model_dump(mode="json", exclude_none=True), "corpus": corpus},
        inputs={**inputs, "images": files},
        outputs={"pictures": output, "table": table, **({"masks": mask_file} if masked else {})},
        details={
            "pictures": len(found),
            "pairs": 0,
            "masks": len(masked),
            "rated": sum(bool(image.opinion) for image in found),
            "size": size,
            "colour": pictures.colour,
        },
        seconds=time.monotonic() - started,
    )
    return Taken(len(found), 0, size, 0, [], [])


def _stored(
    image: Image, pictures: PictureSet, gray: PictureSet, writer: PictureWriter, masks: PictureWriter | None
) -> dict[str, Any]:
    """Store an image and its mask, and return the columns that say where."""
    pixels, size = _pixels(image.path, pictures)
    row: dict[str, Any] = {"source": image.source, "group": image.group, "clip": clip_key(image.name), "frame_index": 0}
    row |= {"height": pixels.shape[0], "width": pixels.shape[1], "row": writer.add(pixels, str(image.path))}
    if image.mask is not None and masks is not None:
        mask, other = _pixels(image.mask, gray)
        if other != size:
            raise InputError(
                f"{image.mask} has {other[0]}x{other[1]} pixels, but its image {image.path} has {size[0]}x{size[1]}: a mask has "
                "the size of its image"
            )
        row["mask_row"] = masks.add(mask, str(image.mask))
    return row


def _pixels(path: Path, pictures: PictureSet) -> tuple[NDArray[Any], tuple[int, int]]:
    """Return an image as a picture, and its size before it was scaled or cropped."""
    video = Reader(path)
    shown = video.presentation.format(video.coded)
    size = (shown.width, shown.height)
    frames = video.frames()
    converter = Converter(pictures.picture(*size, size, path), video)
    pixels: NDArray[Any] = converter.pixels(next(frames))
    frames.close()
    return pixels, size
