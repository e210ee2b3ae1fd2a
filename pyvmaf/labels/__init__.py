"""Opinion scores from label files as their authors publish them, one row per video."""

from __future__ import annotations
