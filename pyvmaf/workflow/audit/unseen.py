"""What a plan cannot show: damaged or edited results, results that nothing makes any more, other packages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pyvmaf.base import layout
from pyvmaf.base.files import read_yaml
from pyvmaf.registry.verify import verify
from pyvmaf.workflow.audit.planned import Plan

_PIN = re.compile(r"^([A-Za-z0-9._-]+)={1,2}([^=<>~ ]+)$")


def look(plan: Plan, cache: Path | None = None) -> list[dict[str, str]]:
    """Everything found, as {kind, path, message}, sorted.

    Kinds are those of ``vmaf-train verify``, and: *orphan* (vouched for by a manifest, but no job of this
    configuration makes it), *package* (made with another version of a package than is installed here or than the
    rule's environment file pins).

    Args:
        plan: jobs and folder.
        cache: the feature cache where it lies outside of the results.
    """
    root = Path(plan.folder) / layout.RESULTS
    if not root.is_dir():
        return []
    verified = verify(root, cache=cache)
    found = [{"kind": finding.kind, "path": finding.path, "message": finding.message} for finding in verified.findings]
    made = {os.path.normpath(path) for job in plan.jobs for path in job.outputs}
    environments = {path: job.environment for job in plan.jobs for path in job.outputs if job.environment}
    others: dict[tuple[str, str, str, str], list[str]] = {}
    above = os.path.join(os.path.abspath(plan.folder), "")
    for manifest in verified.read:
        name = str(manifest.artefact).removeprefix(above)
        if plan.whole and name not in made:
            found.append(
                {
                    "kind": "orphan",
                    "path": name,
                    "message": "no job of this configuration makes it: it is left from another one; delete it or keep it",
                }
            )
            continue
        for package, used, wanted, where in _packages(manifest.body.get("packages", {}), environments.get(name)):
            others.setdefault((package, used, wanted, where), []).append(name)
    for (package, used, wanted, where), names in others.items():
        found.append(
            {
                "kind": "package",
                "path": names[0],
                "message": f"{len(names)} artefacts were made with {package} {used}, but {where} {wanted}: "
                "snakemake does not rerun for that (--forcerun RULE does)",
            }
        )
    return sorted(found, key=lambda item: (item["kind"], item["path"], item["message"]))


def _packages(recorded: Mapping[str, Any], environment: str | None) -> list[tuple[str, str, str, str]]:
    """(package, version used, version wanted, who wants it) where they differ."""
    differing = []
    pins = {} if environment is None else _pins(environment)
    for package, used in recorded.items():
        installed = _installed(package)
        if installed is not None and installed != used:
            differing.append((package, str(used), installed, "installed here is"))
        pinned = pins.get(package.lower())
        if pinned is not None and pinned != used:
            differing.append((package, str(used), pinned, f"{os.path.basename(environment or '')} pins"))
    return differing


_VERSIONS: dict[str, str | None] = {}
_ENVIRONMENTS: dict[str, dict[str, str]] = {}


def _installed(package: str) -> str | None:
    if package not in _VERSIONS:
        try:
            _VERSIONS[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            _VERSIONS[package] = None
    return _VERSIONS[package]


def _pins(environment: str) -> dict[str, str]:
    """Exact pins of a conda file, by lower-case name."""
    if environment not in _ENVIRONMENTS:
        entries: Sequence[Any] = read_yaml(environment).get("dependencies", [])
        flat = [e for entry in entries for e in (entry.get("pip", []) if isinstance(entry, dict) else [entry])]
        matches = [_PIN.match(str(entry)) for entry in flat]
        _ENVIRONMENTS[environment] = {m[1].lower(): m[2] for m in matches if m}
    return _ENVIRONMENTS[environment]
