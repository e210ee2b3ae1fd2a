"""The card of a model."""

from __future__ import annotations
