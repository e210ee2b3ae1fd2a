"""What a finished model file needs to be used."""

from __future__ import annotations
