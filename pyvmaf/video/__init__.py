"""Videos: formats, frames, FFmpeg, shots."""

from __future__ import annotations
