"""Stage corpora: from packages or folders to pristine clips with hashes, pairs that exist, and the kinds of corpus.

The planner imports this module, which needs the standard library only.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyvmaf.base.table import Table
from pyvmaf.errors import unknown_name

if TYPE_CHECKING:
    from pyvmaf.base.code import Uses

RATING = ("mos", "mos_std", "n_ratings")
"""Keys of what viewers rated: a clip, or a rung of it."""

CLIP_LABELS = frozenset({"source", "group", *RATING, "probe"})
"""Keys of a clip in a corpus file that do not decide its pictures: a change of them is no reason to make it again."""

# It stands below this stage, so that it is named and not imported.
_MEASURER = "pyvmaf.features.pairs"

CLIPS = "clips"
PAIRS = "pairs"
ROWS = "rows"


@dataclass(frozen=True)
class Kind:
    """A kind of corpus.

    Attributes:
        module: dotted name of the module whose class `Spec` describes its YAML file: a
            `pyvmaf.corpora.spec.VideoCorpus` or a `pyvmaf.tables.adapters.imported.TableCorpus`.
        gives: what comes out of it: `CLIPS`, which are prepared, encoded and measured; `PAIRS`, which are measured
            where they are; or `ROWS` of a shard.
        fetched: whether its files are fetched from a package registry; else they are read where they are.
    """

    module: str
    gives: str
    fetched: bool = False

    @property
    def uses(self) -> Uses:
        """What a verb that reads such a corpus uses in addition to its imports."""
        from pyvmaf.base.code import Uses

        return Uses((self.module,))


KINDS: Table[Kind] = {
    "packages": Kind("pyvmaf.corpora.packages", CLIPS, fetched=True),
    "folder": Kind("pyvmaf.corpora.folder", CLIPS),
    "pairs": Kind("pyvmaf.corpora.pairs", PAIRS),
    "feature-log": Kind("pyvmaf.tables.adapters.feature_log", ROWS),
    "corpus-jsonl": Kind("pyvmaf.tables.adapters.corpus_jsonl", ROWS),
    "frame-table": Kind("pyvmaf.tables.adapters.frame_table", ROWS),
}
"""Kinds of corpus by the value of ``kind`` in a corpus file."""


def not_scanned(path: str, spec: Mapping[str, Any]) -> str:
    """Say that the file of a corpus has no entries, and how they come into it.

    Args:
        path: the file.
        spec: its content.
    """
    name, dataset = spec["name"], spec.get("dataset")
    public = dataset is not None and bool(dataset["downloads"] or dataset["listing"])
    get = f"get its files (vmaf-train fetch --corpus {name}), then " if public else "put its files into its root, then "
    scan = "manifest-scan"
    if kind(spec["kind"]).gives == PAIRS:
        scan += " --kind pairs" + ("" if spec.get("layout") else " --pairs-csv PAIRS.csv")
    usual = path in (f"config/corpora/{name}.yaml", f"{name}.yaml") or path.endswith(f"/config/corpora/{name}.yaml")
    where = f"--dataset {name}" if usual else f"--output {shlex.quote(path)}"
    return f"{path} has no entries: nobody has looked at the files of {name} yet: {get}vmaf-train {scan} {where}"


def kind(name: str) -> Kind:
    """Return a kind of corpus.

    Raises:
        InputError: there is no such kind.
    """
    if name not in KINDS:
        raise unknown_name("kind of corpus", name, KINDS)
    return KINDS[name]


@dataclass(frozen=True)
class Ratings:
    """The opinion scores of a corpus file.

    Attributes:
        scale: ends of their scale; None if the file does not state one.
        encodes: the keys `RATING` that are set, by clip, codec and rung. Codec and rung are empty for the rating of a
            clip, which holds for all of its rungs that do not have their own.
    """

    scale: tuple[float, float] | None
    encodes: Mapping[tuple[str, str, str], Mapping[str, Any]]

    @staticmethod
    def of(spec: Mapping[str, Any]) -> Ratings:
        """Take the scores out of the content of a corpus file."""
        encodes = {}
        for entry in spec.get("entries") or ():
            rated = [(("", ""), entry)]
            rated += [((pair.get("codec", ""), pair["rung"]), pair) for pair in entry.get("pairs") or ()]
            for (codec, rung), item in rated:
                if item.get("mos") is not None:
                    keys = {key: item[key] for key in RATING if item.get(key) is not None}
                    encodes[entry["key"], codec, rung] = keys
        scale = spec.get("mos_scale")
        return Ratings(None if scale is None else (float(scale[0]), float(scale[1])), encodes)

    def parameter(self, codec: str) -> dict[str, Any]:
        """Return the scores of a codec as a parameter of a rule: JSON values."""
        mine = {"/".join(key): dict(rating) for key, rating in self.encodes.items() if key[1] in ("", codec)}
        return {"mos_scale": list(self.scale), "mos": mine} if mine and self.scale else {}


def measuring(name: str, uses: Uses) -> Uses:
    """Return what the verb ``extract-features`` uses to measure a corpus of pairs.

    Args:
        name: its kind.
        uses: what the engine adds.

    Raises:
        InputError: there is no such kind.
    """
    from pyvmaf.base.code import Uses

    return Uses((*uses.modules, *kind(name).uses.modules, _MEASURER), uses.facts)
