"""What is done to the frames of pairs before they are compared: the conversions of ``vmaf-train score``, in a corpus file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pyvmaf.base.section import Section
from pyvmaf.video.filters import Area, Which
from pyvmaf.video.format import Format
from pyvmaf.video.layouts import BICUBIC
from pyvmaf.video.sync import parse_offset


class Conversions(Section):
    """Conversions of both sides of pairs, as the options of `vmaf-train score` of the same names."""

    fps: Literal["nearest", "reference", "distorted"] | None = Field(
        default=None,
        description="Of pairs of different rates: each frame of the distorted version with the nearest in time of the reference, or "
        "one side converted to the rate of the other.",
    )
    deinterlace: Literal["auto", "bob", "weave", "auto:yadif", "bob:yadif"] | None = Field(
        default=None,
        description="What is done to interlaced videos: a frame of each frame, or of each field, or nothing.",
    )
    crop: tuple[str, ...] = Field(
        default=(), description="Parts of the picture to compare, [reference=|distorted=]WxH[+X+Y]."
    )
    pad: tuple[str, ...] = Field(
        default=(), description="Larger black pictures to put frames into, [reference=|distorted=]WxH[+X+Y]."
    )
    range: Literal["limited", "full"] | None = Field(
        default=None, description="Range that samples of the other one are converted to."
    )
    scaler: Literal["bicubic", "bilinear", "lanczos", "area", "spline", "gauss", "sinc", "point"] | None = Field(
        default=None,
        description="Scaler for versions of another size, and for max_height and scale; bicubic by default.",
    )
    offset: int | str | None = Field(
        default=None,
        description="Frames, or seconds as 0.1s, by which the distorted versions start later than the reference; negative: earlier.",
    )

    @field_validator("crop", "pad")
    @classmethod
    def _areas(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            Area.parse(text)
        return value

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if isinstance(self.offset, str) and not self.offset.endswith("s"):
            raise ValueError(f"offset {self.offset!r} is text: write frames as a number, or seconds with an s (0.1s)")
        if self.offset is not None:
            parse_offset(self.offset)
        return self

    @property
    def scaling(self) -> str:
        """The scaler."""
        return self.scaler or BICUBIC

    @property
    def recounts(self) -> str:
        """The conversion after which frames have other numbers than in the reference; empty if none does."""
        if self.fps is not None:
            return "fps"
        if self.offset:
            return "offset"
        return "deinterlace: bob" if (self.deinterlace or "").startswith("bob") else ""

    @property
    def options(self) -> dict[str, Any]:
        """Options of `pyvmaf.features.options.Reading`; the scaler is one of a reader."""
        options = {
            "pair_by": self.fps,
            "deinterlace": self.deinterlace,
            "crop": self.crop,
            "pad": self.pad,
            "range": self.range,
            "offset": self.offset,
        }
        return {name: value for name, value in options.items() if value}

    def format(self, form: Format, which: Which, path: str) -> Format:
        """Return the format of frames after the crop and the pad.

        Args:
            form: their format.
            which: the side.
            path: their file, for messages.

        Raises:
            InputError: a part of the picture is not inside it, or a picture is larger than what it is put into.
        """
        for text, cut in (*((text, True) for text in self.crop), *((text, False) for text in self.pad)):
            area = Area.parse(text)
            if area.side in (None, which):
                (area.filter if cut else area.pad)(form, path)
                form = replace(form, width=area.width, height=area.height)
        return form
