"""Stage corpora: from packages or folders to pristine clips with hashes."""

from __future__ import annotations
