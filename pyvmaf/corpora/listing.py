"""Listings of public buckets, and the selection of the smallest stems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pyvmaf.base.files import content_hash, read_json, write_json
from pyvmaf.base.parse import parse_json
from pyvmaf.corpora.dataset import Listing
from pyvmaf.corpora.http import Client, Remote, Say, get_text, md5_of_base64
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, shown

_PAGES = 200
_PAGE_BYTES = 64 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}", re.ASCII)


@dataclass(frozen=True)
class Item:
    """A file of a bucket.

    Attributes:
        name: its name, without the prefix.
        size: its bytes.
        md5: in hexadecimal digits; None if the listing does not say.
    """

    name: str
    size: int
    md5: str | None


@dataclass(frozen=True)
class Selected:
    """Selected stems.

    Attributes:
        stems: the file of each part, by stem, in the order of their size.
        listed: number of stems that have all parts.
        incomplete: number of stems that lack one.
        sha256: of the listing.
    """

    stems: Mapping[str, Mapping[str, Item]]
    listed: int
    incomplete: int
    sha256: str

    @property
    def bytes(self) -> int:
        """Size of all selected files."""
        return sum(item.size for parts in self.stems.values() for item in parts.values())


def list_bucket(client: Client, listing: Listing, cache: Path, say: Say) -> list[Item]:
    """Return the files of a bucket, from the cached listing if there is one.

    Raises:
        IntegrityError: the listing is not one, or names files that cannot be.
        InputError, PyvmafError: the bucket cannot be listed.
    """
    try:
        content = read_json(cache)
        if content.get("url") == listing.url and content.get("prefix") == listing.prefix:
            say(f"using the listing of {cache}: delete the file to ask for a new one")
            return [_item(value, str(cache)) for value in content["items"]]
    except MissingFileError:
        pass
    except (AttributeError, KeyError, TypeError) as err:
        raise IntegrityError(f"{cache} is not a listing of a bucket: delete it, and it is asked for again") from err
    found: list[dict[str, Any]] = []
    token = ""
    for _ in range(_PAGES):
        fields = {"prefix": listing.prefix, "fields": "items(name,size,md5Hash),nextPageToken", "maxResults": "1000"}
        words = urlencode({**fields, **({"pageToken": token} if token else {})})
        data = get_text(client, Remote(f"{listing.url}?{words}", "listing.json"), _PAGE_BYTES)
        page = parse_json(data, listing.url)
        if not isinstance(page, dict) or not isinstance(page.get("items", []), list):
            raise IntegrityError(f"{listing.url} does not give a listing of a bucket, but {shown(page)}")
        found += [_plain(value, listing) for value in page.get("items", ()) if not _is_elsewhere(value, listing)]
        token = page.get("nextPageToken", "")
        if not isinstance(token, str):
            raise IntegrityError(f"{listing.url} does not say where its listing goes on, but {shown(token)}")
        if not token:
            break
    else:
        raise IntegrityError(f"{listing.url} gives more than {_PAGES} pages: refused")
    found.sort(key=lambda item: str(item["name"]))
    items = [_item(value, listing.url) for value in found]
    write_json(cache, {"url": listing.url, "prefix": listing.prefix, "items": found}, at_once=True)
    return items


def select_stems(listing: Listing, items: list[Item], stems: int) -> Selected:
    """Return the stems with the fewest bytes among those that have all parts; of the same size, the first by name.

    Raises:
        InputError: there are fewer stems than asked for.
    """
    groups: dict[str, dict[str, Item]] = {}
    # The longest ending first: "_vodlb.webm" does not end in "_vod.webm", but others may contain one another.
    endings = sorted(listing.parts.items(), key=lambda part: -len(part[1]))
    for item in items:
        for part, ending in endings:
            if item.name.endswith(ending) and len(item.name) > len(ending):
                groups.setdefault(item.name.removesuffix(ending), {})[part] = item
                break
    complete = {stem: parts for stem, parts in groups.items() if len(parts) == len(listing.parts)}
    if len(complete) < stems:
        raise InputError(
            f"the listing has {len(complete)} stems with all of {', '.join(listing.parts)}, but {stems} are asked for: give "
            "a smaller --n-stems"
        )
    ranked = sorted(complete, key=lambda stem: (sum(item.size for item in complete[stem].values()), stem))
    digest = content_hash([[item.name, item.size, item.md5] for item in items])
    chosen = {stem: {part: complete[stem][part] for part in listing.parts} for stem in ranked[:stems]}
    return Selected(chosen, len(complete), len(groups) - len(complete), digest)


def remote_item(listing: Listing, item: Item, hosts: tuple[str, ...], sha256: str | None) -> Remote:
    """Return the file of a bucket as something to get."""
    url = f"{listing.files}{quote(listing.prefix + item.name)}"
    return Remote(url, item.name, size=item.size, md5=item.md5, sha256=sha256, hosts=hosts)


def _is_elsewhere(value: Any, listing: Listing) -> bool:
    """Return whether a name is the folder of the prefix itself, or lies in a folder below it."""
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or not name.startswith(listing.prefix):
        return False
    rest = name.removeprefix(listing.prefix)
    return not rest or "/" in rest


def _plain(value: Any, listing: Listing) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise IntegrityError(f"{listing.url} lists {shown(value)}, which is not a file")
    if not value["name"].startswith(listing.prefix):
        raise IntegrityError(
            f"{listing.url} lists {shown(value['name'])}, which does not begin with {listing.prefix!r}"
        )
    return {
        "name": value["name"].removeprefix(listing.prefix),
        "size": value.get("size"),
        "md5Hash": value.get("md5Hash"),
    }


def _item(value: Any, where: str) -> Item:
    name, size, md5 = value["name"], value["size"], value.get("md5Hash")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise IntegrityError(f"{where} lists {shown(name)}, which cannot be the name of a file")
    if not re.fullmatch(r"[0-9]{1,15}", str(size), re.ASCII):
        raise IntegrityError(f"{where} says that {name} has {shown(size)} bytes")
    return Item(name, int(size), md5_of_base64(md5) if isinstance(md5, str) else None)
