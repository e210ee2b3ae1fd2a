"""The documentation site: built once, with the pages of the tutorials' run; every link and anchor of it leads somewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import pyvmaf
from docs.site import build, check, gallery, pages
from pyvmaf.base.verbs import VERBS as TABLE
from pyvmaf.cli import VERBS
from tests.docs import lines
from tests.make.runs import once
from tests.make.videos import REPOSITORY

CONFIGURATION = REPOSITORY / "mkdocs.yml"


@pytest.fixture(scope="session")
def site(session_folder: Path, tutorials: Path) -> Path:
    """The whole site. Read-only."""
    _install()
    return (
        once(session_folder, "site", lambda folder: build.build(folder / "site", tutorials.parent / "gallery")) / "site"
    )


def _install() -> None:
    try:
        build.install()
    except subprocess.CalledProcessError:
        if os.environ.get("PYVMAF_REQUIRE_NETWORK") == "1":
            raise
        pytest.skip("the packages of requirements/docs.txt cannot be installed")


@pytest.fixture
def part(site: Path, tmp_path: Path) -> Path:
    """The first page of the site to break, with its assets; the other pages are there and empty."""
    folder = tmp_path / "part"
    shutil.copytree(site / "assets", folder / "assets")
    for path in site.rglob("*.html"):
        (folder / path.relative_to(site)).parent.mkdir(parents=True, exist_ok=True)
        (folder / path.relative_to(site)).touch()
    shutil.copyfile(site / "index.html", folder / "index.html")
    assert check.check(folder).problems == ()
    return folder


def test_no_link_is_broken_and_nothing_is_fetched(site: Path) -> None:
    checked = check.check(site)
    assert checked.problems == ()
    assert checked.pages > 45
    assert checked.links > 3000


def test_every_page_is_there(site: Path) -> None:
    there = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    for path in (REPOSITORY / "docs").rglob("*.md"):
        name = path.relative_to(REPOSITORY / "docs")
        if name.parts[0] != "examples":
            assert name.with_suffix("").as_posix() in there
    assert {"changelog", "contributing", "reference/configuration"} <= there


def test_the_reference_has_every_verb_option_function_key_and_document(site: Path) -> None:
    commands = {path: path.read_text() for path in (site / "reference" / "commands").glob("*.html")}
    text = "".join(commands.values())
    for verb, command in lines.verbs().items():
        if command.hidden:
            continue
        [page] = [page for page in commands.values() if f'id="{verb}"' in page]
        for parameter in command.params:
            for name in parameter.opts if parameter.param_type_name == "option" and not parameter.hidden else ():
                assert name in page, f"{verb} {name}"
    assert "Refuse to run unless" in text
    python = (site / "reference" / "python.html").read_text()
    for name in pyvmaf.__all__:
        home = f"{pyvmaf._HOMES[name]}.{name}"
        assert f'id="{home}"' in python
    functions = (site / "reference" / "functions.html").read_text()
    shown = {name.rpartition(".")[0] for name in re.findall(r'id="(pyvmaf\.[\w.]+)"', functions)}
    for verb, row in TABLE.items():
        assert (row.entry if verb != "extract-frames" else "pyvmaf.frames.stage") in shown, verb
    documents = (site / "reference" / "documents.html").read_text()
    for path in (REPOSITORY / "docs" / "schemas").glob("*.schema.json"):
        assert f'id="{path.name.removesuffix(".schema.json")}"' in documents
        assert (site / "schemas" / path.name).read_bytes() == path.read_bytes()


def test_the_gallery_shows_what_the_tutorials_wrote(site: Path, tutorials: Path) -> None:
    entries = json.loads((tutorials.parent / "gallery" / "pages.json").read_text())
    page = (site / "gallery" / "index.html").read_text()
    assert len(entries) == len(gallery.SHOWN)
    for entry, source in zip(entries, gallery.SHOWN, strict=True):
        assert f'href="{entry["path"]}"' in page
        assert (site / "gallery" / entry["path"]).read_bytes() == (tutorials / source).read_bytes()


def test_the_search_knows_the_pages_without_a_server(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text()
    assert index.startswith("var __index = ")
    found = {entry["location"] for entry in json.loads(index.removeprefix("var __index = "))["docs"]}
    assert "tutorial/score.html" in found
    page = (site / "index.html").read_text()
    assert 'src="assets/iframe-worker.js"' in page


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('href="score.html"', 'href="scores.html"', "index.html: links to scores.html, which is not there"),
        (
            'href="terms.html"',
            'href="terms.html#none"',
            "index.html: links to terms.html#none, whose anchor is not there",
        ),
        ('href="terms.html"', 'href="/terms.html"', "depends on where the site lies"),
        ('href="terms.html"', 'href="../../terms.html"', "outside of the site"),
        (
            "</head>",
            '<script src="https://cdn.example/x.js"></script></head>',
            "index.html: fetches https://cdn.example/x.js",
        ),
        (
            "</head>",
            '<link rel="stylesheet" href="//fonts.example/x.css"></head>',
            "index.html: fetches //fonts.example/x.css",
        ),
        ("</head>", "<style>@import url(https://fonts.example/x)</style></head>", "index.html: a style sheet fetches"),
        ("</body>", '<img src="none.png"></body>', "index.html: fetches none.png, which is not there"),
    ],
)
def test_a_broken_link_is_found(old: str, new: str, problem: str, part: Path) -> None:
    page = part / "index.html"
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new, 1))
    problems = check.check(part).problems
    assert problems
    assert any(problem in found for found in problems), problems


def test_a_build_with_a_broken_link_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _install()
    whole: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    small = {key: whole[key] for key in ("site_name", "strict", "validation")} | {
        "theme": {"name": "material", "font": False}
    }
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# One\n\n[away](none.md) [within](other.md#none)\n")
    (tmp_path / "docs" / "other.md").write_text("# Two\n")
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(small))
    with pytest.raises(subprocess.CalledProcessError):
        build.build(tmp_path / "site", tmp_path, config=tmp_path / "mkdocs.yml")
    said = capfd.readouterr().err
    assert "'none.md', but the target is not found" in said
    assert "does not contain an anchor '#none'" in said


def test_every_module_of_commands_has_a_page() -> None:
    assert sorted(module for modules in pages.COMMANDS.values() for module in modules) == sorted(VERBS)


def test_a_term_has_one_meaning() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", (REPOSITORY / "docs" / "terms.md").read_text(), re.MULTILINE)
    terms = [term for names, _ in rows if names not in ("term", "---") for term in names.split(", ")]
    assert len(terms) > 100
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_pages_beside_the_site_lead_somewhere(name: str, site: Path) -> None:
    text = re.sub(r"^```.*?^```", "", (REPOSITORY / name).read_text(), flags=re.MULTILINE | re.DOTALL)
    for address in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = address.partition("#")
        assert (REPOSITORY / path).exists(), f"{name}: {address}"
        if anchor:
            page = (site / path.removeprefix("docs/")).with_suffix(".html")
            assert f'id="{anchor}"' in page.read_text(), f"{name}: {address}"
