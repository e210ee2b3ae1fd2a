"""The workflow as Snakemake loads it: every rule with its files, parameters and command."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.make.videos import REPOSITORY

FILES = [*sorted((REPOSITORY / "rules").glob("*.smk")), REPOSITORY / "workflow" / "Snakefile"]


class Source(NamedTuple):
    """The text of a rule, and the file that holds it."""

    path: Path
    text: str


def _sources() -> dict[str, Source]:
    sources = {}
    for path in FILES:
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            name = block.partition(":")[0].removeprefix("rule ")
            sources[name] = Source(path, block)
    return sources


SOURCES = _sources()
JOBS = {name for name, source in SOURCES.items() if "shell:" in source.text}


@cache
def rules() -> dict[str, Any]:
    """Load the rules with the default configuration, as objects of Snakemake by name."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import OutputSettings, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet=set())) as api:
        workflow = api.workflow(resource_settings=ResourceSettings(cores=1), snakefile=FILES[-1])._workflow
        return {rule.name: rule for rule in workflow.rules}
