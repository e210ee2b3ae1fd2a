"""Kinds of corpus that give rows: one module for each form in which other programs leave tables."""

from __future__ import annotations
