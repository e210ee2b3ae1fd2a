"""Stage corpora: from packages or folders to pristine clips with hashes."""

from __future__ import annotations

CLIP_LABELS = frozenset({"source", "group", "mos", "probe"})
"""Keys of a clip in a corpus file that do not decide its pictures: others are no reason to make it again. It stands here
for the planner, which imports no more than this."""
