"""How encoders are driven, and how an encode becomes inputs of a model."""

from __future__ import annotations
