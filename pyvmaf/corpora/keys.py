"""Keys of clips, which name files and wildcards of the workflow."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import PurePath

from pyvmaf.corpora.find import SUFFIXES

LONGEST = 90
_HASH = 8


def periodic(name: str) -> bool:
    """Return whether a name ends in 20 repetitions: Snakemake takes such a wildcard for the start of an endless one."""
    return re.search(r"(.+)\1{19,}$", name) is not None


def clip_key(path: str) -> str:
    """Return the key of a clip: see `key_of`, of its relative path without suffix."""
    return key_of(re.sub(r"\.[A-Za-z0-9]{1,5}$", "", path))


def video_key(name: str) -> str:
    """Return the key that the name of a video stands for; only suffixes of videos are taken off, because names may have
    points in them.
    """
    suffix = PurePath(name).suffix
    return key_of(name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name)


def key_of(name: str) -> str:
    """Return the key of a name: in lower case without accents, with "_" for everything but letters a to z and digits.

    If letters of other scripts or the end of a long name are lost, eight digits of a hash tell such names apart. A name
    that a workflow takes for an endless one gets them, too. Names that differ only in case and punctuation have one key,
    long ones, too.
    """
    plain = unicodedata.normalize("NFKD", name)
    key = re.sub(r"[^a-z0-9]+", "_", "".join(c for c in plain if not unicodedata.combining(c)).lower()).strip("_")
    lost = any(c.isalnum() and not c.isascii() for c in plain)
    if key and not lost and len(key) <= LONGEST and not periodic(key):
        return key
    digest = hashlib.sha256((name if lost or not key else key).encode(errors="surrogatepass")).hexdigest()[:_HASH]
    return f"{key[: LONGEST - _HASH - 1].strip('_') or 'clip'}_{digest}"
