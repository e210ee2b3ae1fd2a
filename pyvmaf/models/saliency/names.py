"""Names and constants of the graphs of saliency models: those of a converted U2NetP."""

from __future__ import annotations

INPUT, OUTPUT = "input", "saliency_map"
"""Input [1, 3, height, width] and output [1, 1, height, width]."""

TASK = "saliency"

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of RGB samples in [0, 1] that inputs are normalised with, those of ImageNet."""

PREPARATION = {"divide_by": "255", "mean": list(MEAN), "std": list(STD)}
"""How pictures become inputs (`pyvmaf.runtime.tensors.Preparation`)."""

INPUT_RANGE = [
    min(-mean / std for mean, std in zip(MEAN, STD, strict=True)),
    max((1 - mean) / std for mean, std in zip(MEAN, STD, strict=True)),
]
"""Smallest and largest value of an input."""

THRESHOLD = 0.5
"""Value of a map above which a sample is salient."""

STRIDE = 8
"""Sides of pictures are multiples of this: the networks halve them three times."""
