"""Benchmarks: each prints ratios measured in one run against a named peer, and the bar beside them."""

from __future__ import annotations
