"""Use of finished model files."""

from __future__ import annotations
