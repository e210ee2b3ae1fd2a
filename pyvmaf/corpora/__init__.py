"""Stage corpora: from packages or folders to pristine clips with hashes, and the kinds of corpus.

The planner imports this module, which needs the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyvmaf.base.code import Uses
from pyvmaf.base.table import Table
from pyvmaf.errors import unknown_name

CLIP_LABELS = frozenset({"source", "group", "mos", "mos_std", "n_ratings", "probe"})
"""Keys of a clip in a corpus file that do not decide its pictures: a change of them is no reason to make it again."""

CLIPS = "clips"
ROWS = "rows"


@dataclass(frozen=True)
class Kind:
    """A kind of corpus.

    Attributes:
        module: dotted name of the module whose class `Spec` describes its YAML file: a
            `pyvmaf.corpora.spec.VideoCorpus` or a `pyvmaf.tables.adapters.imported.TableCorpus`.
        gives: what comes out of it: `CLIPS`, which are prepared, encoded and measured, or `ROWS` of a shard.
        fetched: whether its files are fetched from a package registry; else they are read where they are.
    """

    module: str
    gives: str
    fetched: bool = False

    @property
    def uses(self) -> Uses:
        """What a verb that reads such a corpus uses in addition to its imports."""
        return Uses((self.module,))


KINDS: Table[Kind] = {
    "packages": Kind("pyvmaf.corpora.packages", CLIPS, fetched=True),
    "folder": Kind("pyvmaf.corpora.folder", CLIPS),
    "feature-log": Kind("pyvmaf.tables.adapters.feature_log", ROWS),
    "corpus-jsonl": Kind("pyvmaf.tables.adapters.corpus_jsonl", ROWS),
}
"""Kinds of corpus by the value of ``kind`` in a corpus file."""


def kind(name: str) -> Kind:
    """Return a kind of corpus.

    Raises:
        InputError: there is no such kind.
    """
    if name not in KINDS:
        raise unknown_name("kind of corpus", name, KINDS)
    return KINDS[name]
