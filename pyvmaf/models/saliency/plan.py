"""Answers to the workflow's plan about the YAML file of a saliency model: those about any model of pictures."""

from __future__ import annotations

from pyvmaf.models.image.plan import PICTURES, features, judged_on_negatives, rows, trained_on_negatives

__all__ = ["PICTURES", "features", "judged_on_negatives", "rows", "trained_on_negatives"]
