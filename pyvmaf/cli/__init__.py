"""The command ``vmaf-train``: parse, call one function, print.

Nothing heavy is imported here: every rule of the workflow pays for this module's start-up.
"""

from __future__ import annotations

import atexit
import functools
import gc
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pyvmaf.base.terminal import say
from pyvmaf.cli.verbs import HIDDEN as HIDDEN
from pyvmaf.cli.verbs import VERBS as VERBS
from pyvmaf.errors import InputError, PyvmafError

if TYPE_CHECKING:
    import typer

    app: typer.Typer

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_LONGEST = 4_000

# Set by the scripts of shells, which ask for words this way.
_COMPLETING = "_VMAF_TRAIN_COMPLETE"

_HELP = (
    "From raw clips to registered, gated, quantised video-quality models.\n\n"
    "The stages, in order: corpora (fetch, prepare, manifest-scan), labels (labels, aggregate, join), encodes (encode, probe, hardware-caps), features "
    "(extract-features, hard-negatives, features), frames (extract-frames), tables (shard, merge, combine, combine-pictures), "
    "models (fit, judge, export, ensemble, eval; fetch-checkpoint, convert), "
    "quantized (quantize-int8), registry (register, verify, trace), reports (report, card, summary). "
    "To score a video, against its reference or alone: score; to choose a CRF: suggest; to restore one: filter; to find its shots: shots; to measure "
    "saliency: saliency; to have a model make masks to train on: mask-pictures. "
    "Questions to finished models: check-ops, validate-model, audit-learned-filter, audit-compat, validate-norm, "
    "cross-backend, profile, bisect-model-quality, eval-saliency-per-mb, calibrate, predictor-report; to backends: collect-gpu-calibration; "
    "to opinion scores and encodes: calibrate-recipes, calibrate-nr-threshold, analyze-sweep; for a nightly bisection: build-bisect-cache. "
    "To choose a model: tune, feature-correlation, signal-mix-audit, subset-sweep. "
    "The workflow runs the stages: snakemake --cores N; audit says what it would do and why, repair mends damage.\n\n"
    "Exit codes: 0 done, 1 a check or a gate says no, 2 an error (nothing half-written), 130 interrupted."
)


def build(modules: Sequence[str] = tuple(VERBS), verb: str | None = None) -> typer.Typer:
    """Build the command with the verbs of some modules of this package.

    Args:
        modules: keys of `VERBS`.
        verb: the only verb that is wanted; None for all of these modules.
    """
    from pyvmaf.cli.declared import with_typer

    command = _empty()
    for item in _registered(modules):
        if verb in (None, item.name):
            command.command(item.name, **item.settings)(_framed(item.name, with_typer(item.function)))
    return command


class _Registered(NamedTuple):
    """A verb that a module registers, with typer's settings of it."""

    name: str
    function: Callable[..., Any]
    settings: dict[str, Any]


class _Verbs(list[_Registered]):
    """Takes the verbs of modules in place of typer."""

    def command(self, name: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate the function of a verb."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.append(_Registered(name, function, settings))
            return function

        return register


def _registered(modules: Iterable[str]) -> _Verbs:
    verbs = _Verbs()
    for module in modules:
        import_module(f"{__name__}.{module}").register(verbs)
    return verbs


def outline() -> typer.Typer:
    """Build the command for its own help, which lists the verbs: no module of theirs is imported."""
    command = _empty()

    def listed() -> None:
        pass

    for verbs in VERBS.values():
        for verb, summary in verbs.items():
            command.command(verb, help=summary, hidden=verb in HIDDEN)(listed)
    return command


def _empty() -> typer.Typer:
    import typer

    def say_version(value: bool) -> None:
        if value:
            from importlib.metadata import version

            say(f"vmaf-train {version('vmaf-train')}")
            raise typer.Exit

    def root(
        version: bool = typer.Option(
            False, "--version", callback=say_version, is_eager=True, help="Print the version."
        ),
    ) -> None:
        pass

    command = typer.Typer(
        name="vmaf-train",
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    command.callback()(root)
    return command


def _framed(verb: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Add to a verb what all have: no output is an input, and a reader of its lines may go away."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        from pyvmaf.cli.common import check_outputs

        check_outputs(verb, options)
        try:
            return function(*args, **options)
        except BrokenPipeError:
            # The reader (head, less) went away; leave without a complaint, also at the interpreter's exit.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_ERROR)

    return call


def __getattr__(name: str) -> typer.Typer:
    if name == "app":
        return build()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _for_words(words: Sequence[str]) -> typer.Typer:
    """Build only what a command line needs: to import and inspect all verbs takes longer than many of them run."""
    if (not words and _COMPLETING not in os.environ) or words in (["-h"], ["--help"], ["--version"]):
        return outline()
    modules = [module for module, verbs in VERBS.items() if words and words[0] in verbs]
    return build(modules, words[0]) if modules else build()


def _plain_call(words: Sequence[str]) -> Callable[[], Any] | None:
    """Return the call that a plain command line asks for; None if typer has to look at it."""
    modules = [module for module, verbs in VERBS.items() if words and words[0] in verbs]
    if not modules or _COMPLETING in os.environ:
        return None
    from pyvmaf.cli.plain import parse

    item = next(item for item in _registered(modules) if item.name == words[0])
    arguments = None if "context_settings" in item.settings else parse(item.function, words[1:])
    return None if arguments is None else functools.partial(_framed(item.name, item.function), **arguments)


def main() -> None:
    """Run the command line; a mistake of the user ends in one line on stderr and exit code 2, never a traceback."""
    # Imports make many objects and no garbage: looking through them, then and at the end, is a tenth of a short verb.
    gc.set_threshold(100_000, 50, 100)
    atexit.register(leave_garbage)
    # Pydantic looks for plugins in the metadata of every installed package; this project uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # NumPy's threads wait busily, and to start them takes time that the score of a few frames shows. Snakemake states their
    # number for its jobs.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        # Rich prints names of files, too, which the encoding of the terminal may not have.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _check_folder()
        with warnings.catch_warnings():
            _show_own_warnings()
            _check_packages(sys.argv[1:])
            call = _plain_call(sys.argv[1:]) or _for_words(sys.argv[1:])
            call()
    except PyvmafError as err:
        _fail(str(err))
    except ModuleNotFoundError as err:
        _fail_without(err)
    except KeyboardInterrupt:
        say("interrupted: nothing half-written was left behind", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except MemoryError as err:
        _fail(f"there is not enough memory{f' ({err})' if str(err) else ''}: free some, or use smaller inputs")
    except OSError as err:
        _fail(_what_failed(err))
    except Exception:
        # Exit code 1 belongs to checks and gates.
        _print_traceback()
        _fail("this is a fault of vmaf-train, not of its inputs: please report it with the lines above")


def leave_garbage() -> None:
    """Do not look for garbage at the end, unless torch has loaded triton, whose bindings would call what is left leaks."""
    if "triton" not in sys.modules:
        gc.freeze()


def _show_own_warnings() -> None:
    others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if category.__module__.startswith("pyvmaf."):
            say(f"warning: {message}", err=True)
        else:
            others(message, category, *where, **more)

    warnings.showwarning = show


def _fail(message: str) -> NoReturn:
    say(f"error: {message if len(message) <= _LONGEST else message[:_LONGEST] + '…'}", err=True)
    sys.exit(EXIT_ERROR)


def _check_packages(words: Sequence[str]) -> None:
    """Refuse a verb whose extra is not installed; its help needs none."""
    if words and not {"-h", "--help"} & set(words):
        from pyvmaf.base.extras import check_verb

        check_verb(words[0])


def _fail_without(err: ModuleNotFoundError) -> NoReturn:
    """Name the extra for a package that only an option or the content of a file asks for."""
    from pyvmaf.base.extras import extra_of, lacks, package_of

    package = package_of(err.name or "")
    if package is None:
        _print_traceback()
        _fail(f"{err}: the installation of vmaf-train is incomplete")
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    _fail(str(lacks(f"vmaf-train {verb} with these options and files", [package], extra_of(verb))))


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


def _check_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the working folder was deleted: change to a folder that exists") from None


def _what_failed(err: OSError) -> str:
    """Say in one line which file an operation of the system failed on, and why."""
    from pyvmaf.base.files import is_disk_full

    where = f"{os.fsdecode(err.filename)}: " if isinstance(err.filename, str | bytes) else ""
    if is_disk_full(err):
        writing = f" while writing {where.removesuffix(': ')}" if where else ""
        return f"no space is left on the disk{writing}: free some and run again"
    if isinstance(err, PermissionError) and err.filename:
        return f"{where}no permission"
    if err.strerror is None:
        return f"{type(err).__name__}: {err}"
    return f"{where}{err.strerror[:1].lower()}{err.strerror[1:]}"
