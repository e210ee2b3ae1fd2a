"""Random sequences of calls of `pyvmaf.Session`: good pairs in every form, pairs that must be refused, calls out of order.

A refused call changes nothing: the rows equal those of the same pairs without the refused ones. Run many by hand with
``python -m tests.fuzz.session --count 1000 --seed 0``; a failure names its seed.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, NativeError, PyvmafError
from pyvmaf.scoring.session import Session

Planes = tuple[NDArray[Any], ...]
Pair = tuple[Any, Any]

WIDTH, HEIGHT = 90, 50
_STEPS = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}
_PIX_FMTS = {8: "yuv{}p", 10: "yuv{}p10le", 12: "yuv{}p12le", 16: "yuv{}p16le"}


@dataclass(frozen=True)
class Options:
    """Options of a session."""

    layout: str = "420"
    bits: int = 8
    threads: int = 1
    features: str = "adm2,motion2,psnr_y"

    def open(self) -> Session:
        """Open the session."""
        return Session(self.features, None, threads=self.threads, layout=self.layout, bits=self.bits)


def pair_of(index: int, options: Options) -> tuple[Planes, Planes]:
    """Return the planes of the pair of a frame: moving noise, and the same with coarser samples."""
    random = np.random.default_rng(index)
    across, down = _STEPS.get(options.layout, (1, 1))
    shapes = [(HEIGHT, WIDTH), *([(HEIGHT // down, WIDTH // across)] * (0 if options.layout == "400" else 2))]
    dtype = np.uint8 if options.bits == 8 else np.uint16
    top = 2**options.bits
    planes = tuple(random.integers(0, top, shape).astype(dtype) for shape in shapes)
    return planes, tuple(plane // (top // 16) * (top // 16) for plane in planes)


def _video_frame(planes: Planes, options: Options) -> av.VideoFrame:
    name = _PIX_FMTS[options.bits].format(options.layout)
    name = name.replace("yuv400p", "gray")
    frame = av.VideoFrame(WIDTH, HEIGHT, name)
    for target, samples in zip(frame.planes, planes, strict=True):
        rows = np.zeros((target.height, target.line_size // samples.itemsize), samples.dtype)
        rows[:, : samples.shape[1]] = samples
        target.update(rows.tobytes())
    return frame


def _strided(planes: Planes) -> Planes:
    wide = [np.zeros((p.shape[0] + 3, p.shape[1] * 2 + 5), p.dtype) for p in planes]
    for buffer, plane in zip(wide, planes, strict=True):
        buffer[3:, 1 : 1 + 2 * plane.shape[1] : 2] = plane
    return tuple(b[3:, 1 : 1 + 2 * p.shape[1] : 2] for b, p in zip(wide, planes, strict=True))


SAME: dict[str, Callable[[Planes, Options], Any]] = {
    "tuple": lambda planes, _: planes,
    "list": lambda planes, _: list(planes),
    "generator": lambda planes, _: (plane for plane in planes),
    "strided": lambda planes, _: _strided(planes),
    "Fortran order": lambda planes, _: [np.asfortranarray(plane) for plane in planes],
    "mirrored twice": lambda planes, _: [plane[::-1, ::-1].copy()[::-1, ::-1] for plane in planes],
    "PyAV": _video_frame,
}
"""Forms of a frame that give the same row."""


REFUSED: dict[str, Callable[[Planes, Options], Any]] = {
    "nothing": lambda planes, _: [],
    "None": lambda planes, _: None,
    "text": lambda planes, _: "frame",
    "an array": lambda planes, _: planes[0],
    "RGB": lambda planes, _: np.stack([planes[0]] * 3, axis=-1),
    "two planes": lambda planes, _: [planes[0], planes[0]],
    "four planes": lambda planes, _: [*planes, *planes, planes[0]][:4] if len(planes) == 3 else [planes[0]] * 4,
    "a row": lambda planes, _: [planes[0][0], *planes[1:]],
    "no rows": lambda planes, _: [planes[0][:0], *planes[1:]],
    "smaller": lambda planes, _: [plane[: len(plane) // 2] for plane in planes],
    "floats": lambda planes, _: [plane / 255.0 for plane in planes],
    "signed": lambda planes, _: [plane.astype(np.int32) for plane in planes],
    "bool": lambda planes, _: [plane > 3 for plane in planes],
    "swapped bytes": lambda planes, _: [plane.astype(">u2") for plane in planes],
    "masked": lambda planes, _: [np.ma.masked_greater(plane, 3) for plane in planes],
    "another depth": lambda planes, o: [p.astype(np.uint16 if o.bits == 8 else np.uint8) for p in planes],
    "mixed types": lambda planes, o: (
        [planes[0], *(p.astype(np.uint16 if o.bits == 8 else np.uint8) for p in planes[1:])]
        if len(planes) == 3
        else [planes[0].astype(np.float32)]
    ),
    "chroma of another layout": lambda planes, _: [planes[0], *([planes[0][:7, :7]] * 2)] if len(planes) == 3 else None,
    "XYZ of PyAV": lambda planes, _: av.VideoFrame(WIDTH, HEIGHT, "xyz12le"),
    "alpha of PyAV": lambda planes, _: av.VideoFrame(WIDTH, HEIGHT, "yuva444p"),
    "another size of PyAV": lambda planes, o: _video_frame_of_size(WIDTH + 2, HEIGHT),
    "a sample of more bits": lambda planes, o: [*planes[:-1], _raised(planes[-1], o)],
}
"""Forms of a frame that a session must refuse."""


def _video_frame_of_size(width: int, height: int) -> av.VideoFrame:
    return av.VideoFrame(width, height, "yuv420p")


def _raised(plane: NDArray[Any], options: Options) -> NDArray[Any]:
    """Return a plane with one sample above the bit depth, which 8 and 16 bits cannot hold: there a wider type."""
    if options.bits in (8, 16):
        return plane.astype(np.uint32)
    raised = plane.copy()
    raised[-1, -1] = 2**options.bits
    return raised


def check(options: Options, steps: Sequence[tuple[str, str]]) -> int:
    """Push pairs in these forms, and compare the rows with those of an undisturbed session.

    Args:
        options: options of the session.
        steps: the form of the reference and of the distorted frame of each call, keys of `SAME` and `REFUSED`; at most one
            of the two is wrong, since two that are wrong alike may be a pair that can be measured.

    Returns:
        Number of pairs that were refused.
    """
    forms = SAME | REFUSED
    rows: list[dict[str, Any]] = []
    pairs: list[Pair] = []
    refused = 0
    with options.open() as session:
        for left, right in steps:
            pair = pair_of(len(pairs), options)
            wrong = {left, right} & set(REFUSED)
            error: Exception | None = None
            try:
                rows += session.push(forms[left](pair[0], options), forms[right](pair[1], options))
                pairs.append(pair)
            except PyvmafError as err:
                error = err
                refused += 1
            assert bool(wrong) == isinstance(error, InputError), f"{left}, {right}: {error or 'accepted'}"
        rows += session.finish()
        with contextlib.suppress(NativeError):
            session.push(*pair_of(0, options))
            raise AssertionError("a pair was accepted after finish()")
    want = list(options.open().stream(pairs))
    assert [row["frame_index"] for row in rows] == list(range(len(pairs)))
    assert rows == want, f"rows differ from an undisturbed session: {rows} != {want}"
    return refused


def draw(seed: int) -> tuple[Options, list[tuple[str, str]]]:
    """Draw options and a sequence of calls."""
    random = np.random.default_rng(seed)
    layout = str(random.choice(["420", "422", "444", "400"]))
    options = Options(layout, int(random.choice([8, 10, 12, 16])), int(random.choice([1, 1, 1, 2])))

    steps = []
    for _ in range(int(random.integers(1, 9))):
        left, right = (str(random.choice(list(SAME))) for _ in range(2))
        if random.random() < 0.5:
            bad = str(random.choice(list(REFUSED)))
            left, right = (bad, right) if random.random() < 0.5 else (left, bad)
        steps.append((left, right))
    return options, steps


def main() -> None:
    """Check sequences of calls until one fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=1000, help="number of sequences")
    arguments = parser.parse_args()
    refused = 0
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        try:
            refused += check(*draw(seed))
        except Exception as err:
            raise SystemExit(f"seed {seed}: {draw(seed)}: {type(err).__name__}: {err}") from err
    print(f"{arguments.count} sequences from seed {arguments.seed}, {refused} refused calls: rows as undisturbed")


if __name__ == "__main__":
    main()
