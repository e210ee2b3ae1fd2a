"""What verbs say about their options and arguments, under typer's names.

Typer validates with pydantic: to import and build both takes several times as long as a short verb runs. Modules of verbs
therefore import this module as ``typer``. A command line that `pyvmaf.cli.plain` understands is run without typer; for every other
one, and for help, completion and complaints, `with_typer` makes typer's declarations of these.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from typer import Context, Typer, echo

    __all__ = ["Argument", "Context", "Exit", "Option", "Typer", "confirm", "echo"]

Exit = SystemExit
"""Ends a verb with an exit status."""


class Declared:
    """An option or argument of a verb.

    Args:
        names: the option's names.
        settings: as typer takes them.
    """

    def __init__(self, *names: str, **settings: Any) -> None:
        self.names, self.settings = names, settings


class Option(Declared):
    """An option."""


class Argument(Declared):
    """An argument."""


def confirm(text: str) -> bool:
    """Ask a question on the terminal."""
    import typer

    try:
        return bool(typer.confirm(text))
    except typer.Abort:
        raise KeyboardInterrupt from None


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        # The import system asks for these.
        raise AttributeError(f"module {__spec__.name!r} has no attribute {name!r}")
    import typer

    return getattr(typer, name)


def declarations(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a verb's parameters, evaluated."""
    return get_type_hints(function, include_extras=True)


def with_typer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose declarations are typer's."""
    hints = {name: _real(hint) for name, hint in declarations(function).items()}

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    signature = inspect.signature(function)
    parameters = [item.replace(annotation=hints[item.name]) for item in signature.parameters.values()]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = hints
    return call


def _real(hint: Any) -> Any:
    """Return an annotation with typer's declaration in place of this module's."""
    import typer

    if get_origin(hint) is not Annotated:
        return hint
    kind, *extras = get_args(hint)
    made = []
    for extra in extras:
        if isinstance(extra, Declared):
            factory: Any = typer.Option if isinstance(extra, Option) else typer.Argument
            extra = factory(*extra.names, **extra.settings)
        made.append(extra)
    return Annotated[kind, *made]
