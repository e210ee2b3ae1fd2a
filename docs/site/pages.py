"""Pages of the site that are made while it is built: a hook of MkDocs, which `mkdocs.yml` names.

Commands come from their ``--help``, documents from their JSON schemas, the configuration from config/README.md, and the gallery
from the pages that `docs/site/gallery.py` left in ``build/gallery``. None of them is committed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
GALLERY = Path(os.environ.get("PYVMAF_GALLERY", REPOSITORY / "build" / "gallery"))

_PUBLISHED = re.compile(r"^@publishes\(\"([a-z0-9-]+)\"\)\ndef ([a-z]\w*)", re.MULTILINE)

COMMANDS = {
    "Score and choose": ("score", "scoring", "suggest"),
    "Data": ("corpora", "labels", "encodes", "features", "frames", "tables"),
    "Models": ("models", "imported", "quantized", "registry", "reports"),
    "Questions": ("checks", "calibrations", "sweep", "studies"),
    "Workflow": ("workflow",),
}
"""Pages of commands, by the modules of `pyvmaf.cli.VERBS`."""

OUTSIDE = {"../config/README.md": "reference/configuration.md", "config/README.md": "reference/configuration.md"}
"""Pages of the site for files outside of docs/ that pages link to."""


def on_config(config: Any) -> Any:
    """Put a page per group of commands into the navigation."""
    [reference] = [part["Reference"] for part in config["nav"] if "Reference" in part]
    [commands] = [part for part in reference if isinstance(part, dict) and "Commands" in part]
    commands["Commands"] = [{title: _commands_page(title)} for title in COMMANDS]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    for page in sorted(page for page in GALLERY.glob("*/**/*") if page.is_file()):
        files.append(File.generated(config, f"gallery/{page.relative_to(GALLERY)}", abs_src_path=str(page)))
    return files


def on_post_build(config: Any) -> None:
    """Leave out the page of servers for addresses that are not there: its links depend on where the site lies."""
    Path(config["site_dir"], "404.html").unlink(missing_ok=True)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to files outside of docs/ lead to their pages."""
    up = "../" * page.file.src_uri.count("/")
    for outside, inside in OUTSIDE.items():
        markdown = markdown.replace(f"]({outside})", f"]({up}{inside})")
    return markdown


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each page that is made."""
    yield "contributing.md", _of_root("CONTRIBUTING.md")
    yield "changelog.md", _of_root("CHANGELOG.md")
    yield "reference/index.md", _index()
    for title, modules in COMMANDS.items():
        yield _commands_page(title), "\n".join([f"# {title}", *_commands(modules)])
    yield "reference/python.md", _python()
    yield "reference/functions.md", "\n".join(_functions())
    yield "reference/configuration.md", (REPOSITORY / "config" / "README.md").read_text(encoding="utf-8")
    yield "reference/documents.md", "\n".join(_documents())
    yield "reference/features.md", "\n".join(_features())
    yield "gallery/index.md", "\n".join(_gallery())


def _commands_page(title: str) -> str:
    return f"reference/commands/{title.lower().replace(' ', '-')}.md"


def _of_root(name: str) -> str:
    """Return a page of the repository's root, with links as seen from docs/."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)


def _index() -> str:
    lines = ["# Reference", "", "| | |", "|---|---|"]
    for title, modules in COMMANDS.items():
        page = _commands_page(title).removeprefix("reference/")
        lines.append(f"| [{title}]({page}) | {', '.join(f'[{verb}]({page}#{verb})' for verb in _verbs(modules))} |")
    lines += [
        "| [Python](python.md) | the package `pyvmaf` |",
        "| [Functions of the verbs](functions.md) | what each verb calls |",
        "| [Configuration](configuration.md) | every key of a run |",
        "| [Documents](documents.md) | every JSON file that a verb writes |",
        "| [Features](features.md) | every feature, with its range and cost |",
    ]
    return "\n".join(lines)


def _verbs(modules: tuple[str, ...]) -> dict[str, Any]:
    """Return the commands of some modules by name, without those that the help leaves out."""
    from typer.main import get_command

    from pyvmaf.cli import VERBS, build

    found = get_command(build(modules)).commands  # type: ignore[attr-defined]
    return {verb: found[verb] for name in modules for verb in VERBS[name] if not found[verb].hidden}


def _commands(modules: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a page of commands."""
    for verb, found in _verbs(modules).items():
        context = found.context_class(found, info_name=f"vmaf-train {verb}")
        usage = " ".join((context.command_path, *found.collect_usage_pieces(context)))
        prose, examples = told(found.help or "")
        yield from ("", f"## {verb}", "", "```text", usage, "```", "", *(f"{_plain(part)}\n" for part in prose))
        if examples:
            yield from ("```console", *(f"$ {example}" for example in examples), "```")
        for kind in ("argument", "option"):
            records = [_record(parameter, context) for parameter in found.params if parameter.param_type_name == kind]
            rows = [record for record in records if record is not None]
            if rows:
                yield from ("", f"| {kind} | meaning |", "|---|---|")
                yield from (f"| {name} | {meaning} |" for name, meaning in rows)


def told(text: str) -> tuple[list[str], list[str]]:
    """Divide the help of a verb into paragraphs and examples of calls."""
    prose: list[str] = []
    examples: list[str] = []
    for part in (" ".join(part.split()) for part in text.split("\n\n")):
        call = re.search(r"(?:^|: )((?:ffmpeg|vmaf-train|snakemake) .*)", part)
        if call is None:
            prose.append(part)
            continue
        examples.append(call[1])
        before = part[: call.start(1)].rstrip(" :")
        if before not in ("Example", "Examples", ""):
            examples[-1] += f"  # {before[0].lower()}{before[1:]}"
    return prose, examples


def _record(parameter: Any, context: Any) -> tuple[str, str] | None:
    """Return the name and the meaning of a parameter, as ``--help`` has them."""
    record = parameter.get_help_record(context)
    if record is None:
        return None
    names, meaning = record
    return f"`{_cell(names)}`", _cell(_plain(meaning))


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([*_<>\[\]`])", r"\\\1", text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _python() -> str:
    import pyvmaf

    homes = [f"{pyvmaf._HOMES[name]}.{name}" for name in pyvmaf.__all__]
    more = [
        "pyvmaf.errors", "pyvmaf.video.reader.Reader", "pyvmaf.engines.libvmaf.context.Context",
        "pyvmaf.engines.libvmaf.models.predict", "pyvmaf.metrics", "pyvmaf.splits",
    ]  # fmt: skip
    lines = ["# Python", "", "`import pyvmaf` gives", ""]
    lines += [f"- [`pyvmaf.{home.rpartition('.')[2]}`](#{home})" for home in homes]
    lines += ["", "## The package", "", *(f"::: {home}\n" for home in homes)]
    lines += ["## Parts of it", "", *(f"::: {home}\n" for home in more)]
    return "\n".join(lines)


def _functions() -> Iterator[str]:
    """Functions that verbs call, by stage: those that are published as a verb."""
    from pyvmaf.base.verbs import BY_HAND, STAGES, VERBS

    published: dict[str, list[str]] = {}
    for path in sorted(REPOSITORY.glob("pyvmaf/**/*.py")):
        module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for verb, function in _PUBLISHED.findall(path.read_text(encoding="utf-8")):
            published.setdefault(verb, []).append(f"{module}.{function}")
    yield from ("# Functions of the verbs", "")
    yield "A verb is one call of one function, which a program can call, too: it writes the same files with the same manifests."
    for stage in (*STAGES, *BY_HAND):
        rows = {verb: row for verb, row in VERBS.items() if row.stage == stage}
        names = [name for verb, row in rows.items() for name in published.get(verb, (row.entry,))]
        if names:
            yield from ("", f"## {stage.capitalize()}", "", *(f"::: {name}\n" for name in names))


def _documents() -> Iterator[str]:
    yield from ("# Documents", "")
    yield (
        "Every JSON file that a verb writes has a class, a schema and a reader ([provenance](../provenance.md#documents)). "
        "`vmaf-train schema NAME` prints the schema."
    )
    for path in sorted((REPOSITORY / "docs" / "schemas").glob("*.schema.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        name = path.name.removesuffix(".schema.json")
        yield from ("", f"## {name}", "", _plain(_cell(schema.get("description", ""))), "")
        yield f"[{path.name}](../schemas/{path.name})"
        properties = schema.get("properties", {})
        if properties:
            yield from ("", "| key | type | meaning |", "|---|---|---|")
            for key, value in properties.items():
                needed = "" if key in schema.get("required", []) else ", may be absent"
                yield f"| `{key}` | {_type(value)}{needed} | {_plain(_cell(value.get('description', '')))} |"


def _type(schema: dict[str, Any]) -> str:
    """Return the type of a value in a word or two."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_type(part) for part in schema[word]))
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_type(schema['items'])}"
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _features() -> Iterator[str]:
    from pyvmaf.features.catalog import FEATURES

    yield from (
        "# Features",
        "",
        "A row of `vmaf-train features` for each; [features](../features.md) says how they are measured.",
        "",
    )
    yield from ("| feature | range | cost, ms of 1280x720 | measures |", "|---|---|---|---|")
    for feature in FEATURES.values():
        high = "" if feature.high is None else f" to {feature.high:g}"
        why = f"; not computed: {feature.unavailable}" if feature.unavailable else ""
        yield f"| `{feature.name}` | {feature.low:g}{high or ' and more'} | {feature.cost:g} | {_plain(_cell(feature.about + why))} |"


def _gallery() -> Iterator[str]:
    yield from ("# Gallery", "")
    yield (
        "Pages that verbs wrote while this site was built, from the run of the [tutorial](../tutorial/train.md): a few short real "
        "clips, so their figures are those of a small run. Each is one file that opens offline."
    )
    listing = GALLERY / "pages.json"
    yield from ("", "| page | shows | made by |", "|---|---|---|")
    for entry in json.loads(listing.read_text(encoding="utf-8")):
        yield f"| [{entry['title']}]({entry['path']}) | {entry['shows']} | `{_cell(entry['command'])}` |"
