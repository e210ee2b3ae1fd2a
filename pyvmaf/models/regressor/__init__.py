"""Models of feature rows: a stack of small networks, trained together."""

from __future__ import annotations
