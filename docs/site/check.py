"""Check a built site: every link leads to a file and an anchor that are there, and no page needs a network."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose address a browser fetches by itself, by element.
_FETCHED = {
    "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src",
    "object": "data",
}  # fmt: skip
_LINKS_FETCHED = {
    "stylesheet",
    "icon",
    "preload",
    "preconnect",
    "dns-prefetch",
    "manifest",
    "modulepreload",
    "prefetch",
}
_STYLE_URL = re.compile(r"url\(\s*[\"']?(?:https?:)?//|@import\s+(?:url\()?[\"']?(?:https?:)?//")


@dataclass
class Page(HTMLParser):
    """Links, anchors and fetched addresses of an HTML file."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    fetched: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    _style: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what the element names."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and _LINKS_FETCHED & set(given.get("rel", "").split()):
            self.fetched.append(given.get("href", ""))
        if _FETCHED.get(tag, "") in given:
            self.fetched.append(given[_FETCHED[tag]])
        if "style" in given:
            self.styles.append(given["style"])
        self._style = tag == "style"

    def handle_data(self, data: str) -> None:
        """Keep style sheets inside of the page."""
        if self._style:
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave a style sheet."""
        self._style = self._style and tag != "style"


@dataclass(frozen=True)
class Checked:
    """Outcome of a check.

    Attributes:
        pages: number of HTML files.
        links: number of links inside of the site.
        outside: links that lead out of the site; nobody follows them here.
        problems: one line each.
    """

    pages: int
    links: int
    outside: frozenset[str]
    problems: tuple[str, ...]


def check(site: Path) -> Checked:
    """Check all pages of a site.

    Args:
        site: its folder; links have to stay below it.
    """
    pages: dict[Path, Page] = {}
    for path in sorted(site.rglob("*.html")):
        page = pages[path.resolve()] = Page()
        page.feed(path.read_text(encoding="utf-8"))
    problems: list[str] = []
    outside: set[str] = set()
    count = 0
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        for address in page.fetched:
            if urlsplit(address).scheme not in ("", "data") or address.startswith("//"):
                problems.append(f"{name}: fetches {address}")
            elif not address.startswith("data:"):
                problems += _missing(address, path, site, pages, f"{name}: fetches")
        problems += [f"{name}: a style sheet fetches an address" for style in page.styles if _STYLE_URL.search(style)]
        for address in page.links:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https"):
                outside.add(address)
            elif parts.scheme not in ("mailto", "javascript", "data"):
                count += 1
                problems += _missing(address, path, site, pages, f"{name}: links to")
    for path in sorted(site.rglob("*.css")):
        if _STYLE_URL.search(path.read_text(encoding="utf-8")):
            problems.append(f"{path.relative_to(site)}: fetches an address")
    return Checked(len(pages), count, frozenset(outside), tuple(dict.fromkeys(problems)))


def _missing(address: str, page: Path, site: Path, pages: dict[Path, Page], text: str) -> list[str]:
    """Return the problem with an address inside of the site, if there is one."""
    parts = urlsplit(address)
    if parts.path.startswith("/"):
        return [f"{text} {address}, which depends on where the site lies"]
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_relative_to(site.resolve()):
        return [f"{text} {address}, outside of the site"]
    if not target.is_file():
        return [f"{text} {address}, which is not there"]
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors and anchor != "__skip":
        return [f"{text} {address}, whose anchor is not there"]
    return []


def main() -> int:
    """Check the site of the first argument, or that of ``make docs``; print the figures and the problems."""
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "build" / "docs"
    checked = check(site)
    for problem in checked.problems:
        print(problem, file=sys.stderr)
    print(
        f"{checked.pages} pages, {checked.links} links inside of the site, {len(checked.problems)} broken or fetched from elsewhere; "
        f"{len(checked.outside)} addresses outside are not followed"
    )
    return 1 if checked.problems else 0


if __name__ == "__main__":
    sys.exit(main())
