"""Problems of results that a plan does not show: damage, edits, orphans, other package versions."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from pyvmaf.base import layout
from pyvmaf.base.files import read_yaml
from pyvmaf.registry.verify import verify
from pyvmaf.workflow.audit.planned import Plan
from pyvmaf.workflow.audit.report import Unseen

_PIN = re.compile(r"^([A-Za-z0-9._-]+)={1,2}([^=<>~ ]+)$")
_ORPHAN = "no job of this configuration makes it: it is left from another one; delete it or keep it"


class _OtherVersion(NamedTuple):
    """A package whose recorded version is not the expected one."""

    package: str
    recorded: str
    expected: str
    source: str


def find_unseen(plan: Plan, cache: Path | None = None) -> list[Unseen]:
    """List the problems of the results that Snakemake does not see, sorted.

    Kinds are those of ``vmaf-train verify``, and: *orphan* (a manifest names it, but no job of this configuration makes
    it), *package* (made with another version of a package than is installed or than the rule's environment file pins).

    Args:
        plan: jobs and folder.
        cache: the feature cache if it is outside of the results.
    """
    root = Path(plan.folder) / layout.RESULTS
    if not root.is_dir():
        return []
    outcome = verify(root, cache=cache)
    unseen = [Unseen(kind=finding.kind, path=finding.path, message=finding.message) for finding in outcome.findings]
    outputs = {os.path.normpath(path) for job in plan.jobs for path in job.outputs}
    environments = {path: job.environment for job in plan.jobs for path in job.outputs if job.environment}
    others: dict[_OtherVersion, list[str]] = {}
    parent = os.path.join(os.path.abspath(plan.folder), "")
    for manifest in outcome.read:
        name = str(manifest.artefact).removeprefix(parent)
        if plan.whole and name not in outputs:
            unseen.append(Unseen(kind="orphan", path=name, message=_ORPHAN))
            continue
        for other in _other_versions(manifest.body.get("packages", {}), environments.get(name)):
            others.setdefault(other, []).append(name)
    for other, names in others.items():
        message = (
            f"{len(names)} artefacts were made with {other.package} {other.recorded}, but {other.source} "
            f"{other.expected}: snakemake does not rerun for that (--forcerun RULE does)"
        )
        unseen.append(Unseen(kind="package", path=names[0], message=message))
    return sorted(unseen, key=lambda item: (item.kind, item.path, item.message))


def _other_versions(recorded: Mapping[str, Any], environment: str | None) -> list[_OtherVersion]:
    """Compare recorded versions with the installed ones and with the pins of an environment file."""
    others = []
    pins = {} if environment is None else _pins(environment)
    for package, version in recorded.items():
        installed = _installed(package)
        if installed is not None and installed != version:
            others.append(_OtherVersion(package, str(version), installed, "installed here is"))
        pinned = pins.get(package.lower())
        if pinned is not None and pinned != version:
            others.append(_OtherVersion(package, str(version), pinned, f"{os.path.basename(environment or '')} pins"))
    return others


@cache
def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def _pins(environment: str) -> dict[str, str]:
    """Read the exact pins of a conda file, by lower-case name."""
    entries: Sequence[Any] = read_yaml(environment).get("dependencies", [])
    flat = [e for entry in entries for e in (entry.get("pip", []) if isinstance(entry, dict) else [entry])]
    matches = [_PIN.match(str(entry)) for entry in flat]
    return {m[1].lower(): m[2] for m in matches if m}
