"""Which pictures are taken of videos and images: frames, size, crop and colour."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pyvmaf.base.section import Section
from pyvmaf.errors import InputError
from pyvmaf.video.format import parse_size
from pyvmaf.video.tensors import COLOURS, Box, Picture

Index = Annotated[int, Field(ge=0)]

_CROP = re.compile(r"(\d+x\d+)(?:\+(\d+)\+(\d+))?")


class PictureSet(Section):
    """Pictures of one sort. Whole frames are scaled first and cropped then."""

    every: int | None = Field(default=None, ge=1, description="Take every n-th frame, from the first one.")
    count: int | None = Field(
        default=None,
        ge=1,
        description="Take so many frames, spread evenly: the middle of each n-th part; all if there are fewer.",
    )
    per_second: float | None = Field(
        default=None, gt=0, le=1000, description="Take so many frames per second: the first at or after each instant."
    )
    frames: list[Index] | None = Field(default=None, min_length=1, description="Take these frames, counted from 0.")
    size: str | None = Field(
        default=None, description="Size to which whole frames are scaled, `320x180`; null: their own."
    )
    longest: int | None = Field(
        default=None, ge=1, description="Scale so that the longer side has so many pixels; the other side is rounded."
    )
    scaler: Literal["bilinear", "bicubic", "area", "lanczos"] = Field(
        default="bicubic", description="FFmpeg's scaler, used if the size changes."
    )
    crop: str | None = Field(
        default=None,
        description="Part of the scaled frame that is kept: `224x224` about the centre, or `224x224+16+8`: its left edge is "
        "16 pixels from the left, its top edge 8 from the top. null: all.",
    )
    colour: Literal["gray", "rgb24", "bgr24", "rgba", "bgra"] = Field(
        default="gray", description="Channels of the pictures, by FFmpeg's name of the pixel format; 8 bits each."
    )

    @model_validator(mode="after")
    def _states_one_choice(self) -> Self:
        if self.size is not None and self.longest is not None:
            raise ValueError("size and longest both say how frames are scaled: give one of them")
        chosen = [name for name in ("every", "count", "per_second", "frames") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} both say which frames are taken: give one of them")
        if self.size is not None:
            parse_size(self.size)
        if self.frames is not None and len(set(self.frames)) < len(self.frames):
            raise ValueError("frames has a frame twice: give each once")
        self._parts()
        return self

    @classmethod
    def of(cls, **keys: object) -> PictureSet:
        """Return the set of options of the command line; None is an option that was not given.

        Raises:
            InputError: a value is not allowed. No decoder is started for a colour that is not one of `COLOURS`.
        """
        given = {key: value for key, value in keys.items() if value is not None}
        if (colour := str(given.get("colour", "gray"))) not in COLOURS:
            raise unsupported(colour)
        try:
            return cls.model_validate(given)
        except ValidationError as err:
            raise InputError("; ".join(_words(item) for item in err.errors(include_url=False))) from err

    def indices(self, frames: int, rate: Fraction | None, path: object) -> list[int]:
        """Return the frames that are taken of a video, ascending.

        Args:
            frames: number of frames.
            rate: frames per second; None if unknown.
            path: the video, for messages.

        Raises:
            InputError: nobody said which frames, the rate is unknown but needed, or the video does not have a frame.
        """
        if self.every is not None:
            return list(range(0, frames, self.every))
        if self.per_second is not None:
            if not rate:
                raise InputError(
                    f"{path} does not state its frames per second, which per_second needs: take every n-th frame, or a count"
                )
            return self._instants(frames, rate / Fraction(self.per_second).limit_denominator(1000))
        if self.frames is not None:
            if (last := max(self.frames)) >= frames:
                raise InputError(f"{path} has {frames} frames (0 to {frames - 1}), but frame {last} is asked for")
            return sorted(self.frames)
        if self.count is None:
            raise InputError(
                f"which frames of {path} are taken is not said: give every, count, per_second or a list of frames"
            )
        if self.count >= frames:
            return list(range(frames))
        return [(2 * part + 1) * frames // (2 * self.count) for part in range(self.count)]

    def picture(self, width: int, height: int, native: tuple[int, int], path: object) -> Picture:
        """Return what a picture is of frames of one size.

        Args:
            width, height: size at which frames are taken before `size` or `longest` scale them.
            native: (width, height) of the frames in the file, which differ if the file is one that was scaled to be
                measured.
            path: the video, for messages.

        Raises:
            InputError: the crop does not fit.
        """
        size = (width, height)
        if self.size is not None:
            size = parse_size(self.size)
        elif self.longest is not None:
            longer = max(size)
            size = (max(1, _share(width, self.longest, longer)), max(1, _share(height, self.longest, longer)))
        picture = Picture(
            self.colour,
            scaled=None if size == native else size,
            crop=self._parts(),
            scaler=self.scaler,
            values=None,
        )
        try:
            picture.box(*size)
        except InputError as err:
            raise InputError(f"{path}: {err}: choose a smaller crop, or scale up (size, longest)") from err
        return picture

    def _instants(self, frames: int, step: Fraction) -> list[int]:
        """The first frame at or after each multiple of `step` frames; each once."""
        count = math.ceil(Fraction(frames) / step)
        return [index for index in dict.fromkeys(math.ceil(step * i) for i in range(count)) if index < frames]

    def _parts(self) -> Box | tuple[int, int] | None:
        if self.crop is None:
            return None
        match = _CROP.fullmatch(self.crop)
        if match is None:
            raise InputError(f"a crop is written WxH or WxH+LEFT+TOP, for example 224x224+16+8, not {self.crop!r}")
        width, height = parse_size(match[1])
        return (width, height) if match[2] is None else Box(int(match[2]), int(match[3]), width, height)


def unsupported(colour: str) -> InputError:
    """Make the error for a colour that pictures do not have."""
    return InputError(
        f"unsupported pixel format {colour!r}: pictures are gray (HxW), rgb24 or bgr24 (HxWx3), rgba or bgra (HxWx4)"
    )


def _share(side: int, longest: int, longer: int) -> int:
    """`side` x `longest` / `longer`, rounded half up."""
    return (2 * side * longest + longer) // (2 * longer)


def _words(item: object) -> str:
    assert isinstance(item, dict)
    where = ".".join(map(str, item["loc"]))
    text = str(item["msg"]).removeprefix("Value error, ")
    return f"{where} = {item['input']!r}: {text}" if where else text
