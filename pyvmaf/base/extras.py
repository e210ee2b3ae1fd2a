"""The extras of this package: `pip install vmaf-train` brings what scoring imports, each extra what more verbs import."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from pyvmaf.base.verbs import VERBS
from pyvmaf.errors import UnavailableError

_TABLES = ("pyarrow", "pandas", "scipy")
_FILES = ("pyyaml", "jsonschema")

EXTRAS: dict[str, tuple[str, ...]] = {
    "models": ("onnx", "onnxruntime"),
    "report": ("vmaf-train[models]", *_TABLES, "jinja2", "altair", "vl-convert-python"),
    "train": (
        *(
            "vmaf-train[models]",
            *_TABLES,
            *_FILES,
            "torch",
            "pytorch-lightning",
            "torchmetrics",
            "safetensors",
        ),
        *("scikit-learn", "threadpoolctl", "altair", "openpyxl", "requests", "urllib3", "imageio-ffmpeg"),
    ),
    "workflow": ("snakemake", "packaging", "snakemake-software-deployment-plugin-conda", *_FILES),
    "tune": ("vmaf-train[train]", "optuna", "ray"),
    "slurm": ("vmaf-train[workflow]", "snakemake-executor-plugin-slurm"),
}
"""Packages of each extra, as pyproject.toml has them, in the order in which extras are proposed."""

MODULES = {
    "imageio-ffmpeg": "imageio_ffmpeg",
    "pytorch-lightning": "pytorch_lightning",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
}
"""Modules of packages whose names differ."""

_OF_STAGES = {"scoring": "models", "reports": "report", "workflow": "workflow"}
"""Extra for the verbs of a stage; `train` for those of the others."""

_OF_VERBS = {"score": "models", "audit-learned-filter": "train", "mask-pictures": "train", "tune": "tune"}
_OF_VERBS |= dict.fromkeys(("config", "schema", "code", "repair"), "workflow")

_MORE = {
    "materialize-mos-labels": ("pyarrow",),
    "quantize": VERBS["quantize-int8"].packages,
    "tune": ("optuna",),
    "config": ("pyyaml",),
    "audit": ("snakemake",),
    "repair": ("snakemake",),
}
"""Packages without which a verb cannot start, in addition to those of its row."""


def check_verb(verb: str) -> None:
    """Refuse a verb that lacks packages, before it reads anything.

    Raises:
        UnavailableError: it lacks some, with the extra that brings them.
    """
    row = VERBS.get(verb)
    require(f"vmaf-train {verb}", *(row.packages if row else ()), *_MORE.get(verb, ()), extra=extra_of(verb))


def require(what: str, *packages: str, extra: str = "") -> None:
    """Refuse something that needs packages which are not installed.

    Args:
        what: subject of the message.
        packages: their names.
        extra: the extra to propose, if it has them.

    Raises:
        UnavailableError: one of them is missing.
    """
    missing = [package for package in dict.fromkeys(packages) if not _is_installed(package)]
    if missing:
        raise lacks(what, missing, extra)


def lacks(what: str, packages: Iterable[str], extra: str = "") -> UnavailableError:
    """Make the error for something whose packages are not installed; the arguments are those of `require`."""
    names = list(packages)
    found = [_proposed(name, extra) for name in names]
    install = [f"'vmaf-train[{','.join(dict.fromkeys(filter(None, found)))}]'"] if any(found) else []
    install += [name for name, of in zip(names, found, strict=True) if of is None]
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return UnavailableError(f"{what} needs {listed}: pip install {' '.join(install)}")


def extra_of(verb: str) -> str:
    """Return the extra that is made for a verb."""
    if verb in _OF_VERBS:
        return _OF_VERBS[verb]
    return _OF_STAGES.get(VERBS[verb].stage if verb in VERBS else "", "train")


def package_of(module: str) -> str | None:
    """Return the package of an extra that has a module, by the module's full name; None if none has it."""
    top = module.partition(".")[0]
    packages = {MODULES.get(name, name.replace("-", "_")): name for extra in EXTRAS for name in contents(extra)}
    return packages.get(top)


def contents(extra: str) -> set[str]:
    """Return the packages that an extra brings, those of the extras within it included."""
    own = EXTRAS[extra]
    inner = [name.removeprefix("vmaf-train[").rstrip("]") for name in own if name.startswith("vmaf-train[")]
    return {name for name in own if not name.startswith("vmaf-train[")}.union(*map(contents, inner))


def _proposed(package: str, extra: str) -> str | None:
    if extra and package in contents(extra):
        return extra
    return next((name for name in EXTRAS if package in contents(name)), None)


def _is_installed(package: str) -> bool:
    module = MODULES.get(package, package.replace("-", "_"))
    try:
        return find_spec(module) is not None
    except ImportError:
        return False
