"""Gates: limits that a model has to keep to be promoted. One file each; a family lists its own in its part ``gates``."""

from __future__ import annotations
