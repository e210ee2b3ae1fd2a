"""The entry of the verb extract-frames: videos and images."""

from __future__ import annotations

from pyvmaf.frames.images import extract_images, images_of
from pyvmaf.frames.stage import extract_frames, ladder_subject, pairs_subject, video_subject

__all__ = ["extract_frames", "extract_images", "images_of", "ladder_subject", "pairs_subject", "video_subject"]
