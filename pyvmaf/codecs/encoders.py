"""How each encoder is driven through FFmpeg: one row per encoder. A new encoder is one row of `ENCODERS`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pyvmaf.base.table import Row, Table
from pyvmaf.codecs.options import check_extra, without
from pyvmaf.errors import InputError, unknown_name


@dataclass(frozen=True)
class Encoder:
    """One encoder of FFmpeg and everything that the project knows about it.

    Attributes:
        name: the encoder's name in FFmpeg, and the codec's name everywhere else.
        presets: valid presets, slowest first.
        preset_default: the preset that is meant when none is named.
        crf_min, crf_max: inclusive range of the quality number; smaller is better quality.
        crf_default: the quality number of the encoder's own default or common advice.
        bit_depths: bits per sample that it can write, the preferred one first.
        chroma: chroma subsamplings that it takes ("420", "422", "444").
        aliases: other names that people use for it.
        quality_option, preset_option: FFmpeg options that carry the quality number and the preset.
        options: further options of every encode; a caller's extra options replace them.
        params_option: FFmpeg option that carries the encoder's own ``key=value:…`` list.
        thread_params: entries of that list that pin the thread count; ``{threads}`` is replaced by it, and
            ``{pool}`` by the threads beside the calling one, 0 for a single thread.
        avx512_params: entries of that list on processors with AVX-512, which the record does not state: the bytes are those of
            other processors.
        attempts: how often to encode before an incomplete result counts as an error.
        even_size: whether it refuses sizes that are no multiple of the chroma subsampling.
        version: pattern that finds the encoder's version in FFmpeg's log, in group 1.
    """

    name: str
    presets: tuple[str, ...]
    preset_default: str
    crf_min: int
    crf_max: int
    crf_default: int
    bit_depths: tuple[int, ...]
    chroma: tuple[str, ...]
    aliases: tuple[str, ...]
    version: str
    quality_option: str = "-crf"
    preset_option: str = "-preset"
    options: tuple[str, ...] = ()
    params_option: str | None = None
    thread_params: tuple[str, ...] = ()
    avx512_params: tuple[str, ...] = ()
    attempts: int = 1
    even_size: bool = False

    def check_preset(self, preset: str | int) -> str:
        """`preset` as the string that FFmpeg takes.

        Raises:
            InputError: the codec has no such preset.
        """
        if str(preset) not in self.presets:
            raise unknown_name(f"preset of {self.name}", str(preset), self.presets)
        return str(preset)

    def check_crf(self, crf: int) -> int:
        """`crf` if it lies in the codec's range.

        Raises:
            InputError: it does not.
        """
        if not self.crf_min <= crf <= self.crf_max:
            raise InputError(
                f"CRF {crf} is outside of the range of {self.name}, {self.crf_min} to {self.crf_max}: "
                "choose a number inside"
            )
        return crf

    def pixel_format(self, chroma: str, bit_depth: int) -> str:
        """FFmpeg's name of the planar YUV format to encode.

        Args:
            chroma: subsampling of the reference ("420", "422", "444").
            bit_depth: bits per sample of the encode.

        Raises:
            InputError: the codec does not take the one or the other.
        """
        if chroma not in self.chroma:
            raise InputError(
                f"{self.name} takes chroma {', '.join(self.chroma)}, but the reference has {chroma}: "
                "give the corpus entry a pix_fmt that it takes, so that the reference is converted once"
            )
        if bit_depth not in self.bit_depths:
            depths = ", ".join(map(str, self.bit_depths))
            raise InputError(f"{self.name} writes {depths} bits per sample, but {bit_depth} were asked for")
        return f"yuv{chroma}p" if bit_depth == 8 else f"yuv{chroma}p{bit_depth}le"

    def arguments(
        self, preset: str | int, crf: int, pixel_format: str, extra: Sequence[str] = (), threads: int = 1
    ) -> list[str]:
        """FFmpeg's output options for one encode.

        The thread count is part of them, because some encoders write other bytes with another count.

        Args:
            preset: one of `presets`.
            crf: quality number inside the range.
            pixel_format: as from `pixel_format`.
            extra: further FFmpeg options, as alternating words. They replace equal ones of `options`; entries of
                `params_option` are added to `thread_params`.
            threads: encoder threads.

        Raises:
            InputError: preset or CRF are not the codec's, or an extra option is refused (`check_extra`).
        """
        checked = check_extra(self.name, self.params_option, extra)
        pool = 0 if threads == 1 else threads
        params = [item.format(threads=threads, pool=pool) for item in self.thread_params]
        params += checked.params
        arguments = ["-c:v", self.name, self.preset_option, self.check_preset(preset)]
        arguments += [self.quality_option, str(self.check_crf(crf)), "-pix_fmt", pixel_format]
        own = without(self.options, checked.options[::2])
        arguments += ["-threads", str(threads), *own, *checked.options]
        if self.params_option and params:
            arguments += [self.params_option, ":".join(params)]
        return arguments

    def on_this_machine(self, arguments: Sequence[str]) -> list[str]:
        """Return the options of one encode with those that make this machine write the bytes of others."""
        words = list(arguments)
        if not self.avx512_params or self.params_option is None or not has_avx512():
            return words
        if self.params_option not in words:
            return [*words, self.params_option, ":".join(self.avx512_params)]
        words[words.index(self.params_option) + 1] += "".join(f":{entry}" for entry in self.avx512_params)
        return words

    def parse_version(self, log: str) -> str | None:
        """The encoder's version as it stands in FFmpeg's log, None where it does not say."""
        found = re.search(self.version, log)
        return found.group(1).strip() if found else None


@cache
def has_avx512() -> bool:
    """Whether this machine's processor has AVX-512."""
    try:
        return "avx512" in Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False


_X26X: Row[tuple[str, ...]] = (
    "placebo",
    "veryslow",
    "slower",
    "slow",
    "medium",
    "fast",
    "faster",
    "veryfast",
    "superfast",
    "ultrafast",
)

_TABLE: Row[tuple[Encoder, ...]] = (
    Encoder(
        name="libx264",
        presets=_X26X,
        preset_default="medium",
        crf_min=0,
        crf_max=51,
        crf_default=23,
        bit_depths=(8, 10),
        chroma=("420", "422", "444"),
        aliases=("x264", "h264", "avc"),
        version=r"\[libx264 @ \w+\] 264 - (core \d+(?: r\S+)?)",
        params_option="-x264-params",
        # With AVX-512 its mbtree reads memory that nobody wrote if the width is no multiple of 128: other bytes with other memory.
        avx512_params=("asm=AVX2",),
        even_size=True,
    ),
    Encoder(
        name="libx265",
        presets=_X26X,
        preset_default="medium",
        crf_min=0,
        crf_max=51,
        crf_default=28,
        bit_depths=(8, 10),
        chroma=("420", "422", "444"),
        aliases=("x265", "h265", "hevc"),
        version=r"x265 \[info\]: HEVC encoder version (\S+)",
        params_option="-x265-params",
        # Its pool is sized by the machine otherwise, and the frame threads change the bytes.
        thread_params=("pools={threads}", "frame-threads={threads}"),
        even_size=True,
    ),
    Encoder(
        name="libsvtav1",
        presets=tuple(str(number) for number in range(14)),
        preset_default="8",
        # To FFmpeg's wrapper 0 means "not set".
        crf_min=1,
        crf_max=63,
        crf_default=35,
        bit_depths=(8, 10),
        chroma=("420",),
        aliases=("svtav1", "svt-av1", "av1"),
        version=r"SVT-AV1 Encoder Lib (\S+)",
        params_option="-svtav1-params",
        thread_params=("lp={threads}",),
    ),
    Encoder(
        name="libvvenc",
        presets=("slower", "slow", "medium", "fast", "faster"),
        preset_default="faster",
        crf_min=0,
        crf_max=63,
        crf_default=32,
        # FFmpeg's wrapper takes 10 bits only: an 8-bit reference is widened, and the record says so.
        bit_depths=(10,),
        chroma=("420",),
        aliases=("vvenc", "vvc", "h266"),
        version=r"libvvenc version: (\S+)",
        quality_option="-qp",
        params_option="-vvenc-params",
        # With a thread pool, even one of a single thread, it loses a race in about one of ten short clips and ends
        # before the frames that it holds back are written, without an error. Without a pool it never did.
        thread_params=("threads={pool}",),
        attempts=5,
        even_size=True,
    ),
    Encoder(
        name="libvpx-vp9",
        presets=("best", "good", "realtime"),
        preset_default="good",
        crf_min=0,
        crf_max=63,
        crf_default=32,
        bit_depths=(8, 10),
        chroma=("420", "422", "444"),
        aliases=("vpx-vp9", "libvpx", "vp9"),
        version=r"\[libvpx-vp9 @ \w+\] (v\S+)",
        preset_option="-deadline",
        # Constant quality needs the bitrate set to none.
        options=("-b:v", "0", "-cpu-used", "4"),
    ),
)

ENCODERS: Table[Encoder] = {entry.name: entry for entry in _TABLE}
ALIASES: Table[str] = {alias: entry.name for entry in _TABLE for alias in entry.aliases}


def rung_name(preset: str | int, crf: int, recipe: str = "") -> str:
    """Name of a rung, which is also the stem of its file: "medium-crf28", with a recipe "medium-noaq-crf28"."""
    return "-".join((str(preset), *([recipe] if recipe else []), f"crf{crf}"))


def recipe_of(rung: str, preset: str, crf: int) -> str:
    """Return the recipe in the name of a rung; "" if it has none, or is no name of `rung_name`."""
    before, after = f"{preset}-", f"-crf{crf}"
    return rung[len(before) : -len(after)] if rung.startswith(before) and rung.endswith(after) else ""


def encoder(name: str) -> Encoder:
    """The codec of that name or alias ("libx264", "x264", "h264", "avc" are one); upper case does not matter.

    Raises:
        InputError: no codec has it; the message quotes the nearest name.
    """
    wanted = name.strip().lower()
    found = ENCODERS.get(ALIASES.get(wanted, wanted))
    if found is None:
        raise unknown_name("codec", name, [*ENCODERS, *ALIASES])
    return found
