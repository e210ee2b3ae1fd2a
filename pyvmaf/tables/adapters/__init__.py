"""Tables made elsewhere."""

from __future__ import annotations
