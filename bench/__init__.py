"""Benchmarks: each prints figures, most of them ratios to a named peer measured in the same run, and their bars."""

from __future__ import annotations
