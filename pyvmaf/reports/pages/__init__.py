"""The pages: a folder for each, with one file per section."""

from __future__ import annotations
