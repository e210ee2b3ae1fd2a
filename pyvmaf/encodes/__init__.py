"""Stage encodes: from a pristine clip to its distorted versions, each with its record."""

from __future__ import annotations
