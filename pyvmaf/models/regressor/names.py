"""Names of the tensors in the graph of a regressor."""

from __future__ import annotations

FEATURES, CODEC, SCORE = "features", "codec", "score"
"""Inputs and output, unless a spec has other names for the last two."""

UNCLIPPED = "score.unclipped"
"""The scores before they are clipped, in a graph that does so."""

NETWORK, JOINED, LAST_AXIS = "network", "inputs", "last_axis"
"""The network's answer where it corrects a linear part, features and codec block side by side, and the axis that is taken
away from an answer [n, 1]."""

RESERVED = frozenset({FEATURES, NETWORK, JOINED, LAST_AXIS})
"""Names that neither the codec block nor the output can have. All other tensors inside of a graph have a dot in theirs."""
