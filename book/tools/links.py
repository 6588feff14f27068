"""Check the links of the built pages: to pages, anchors, files, and to files of the repository on the forge."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

LOADING = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
    "link": "href",
}
LOADED_RELATIONS = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "modulepreload",
    "manifest",
    "preconnect",
    "dns-prefetch",
}


class Address(NamedTuple):
    """What the book calls itself: the repository on the forge and the pages."""

    repository: str
    pages: str


@cache
def _parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@cache
def _anchors(page: Path) -> frozenset[str]:
    named = {tag["name"] for tag in _parsed(page).find_all("a", attrs={"name": True})}
    return frozenset(named | {tag["id"] for tag in _parsed(page).find_all(id=True)})


def broken(html: Path, root: Path, address: Address) -> list[str]:
    """Return one sentence for each broken link of the pages.

    Args:
        html: folder of the built book.
        root: the repository, whose files the launch and edit links must name.
        address: the book's own addresses; links to other sites are not followed.

    Returns:
        `PAGE: what is wrong`, sorted; empty when all is well.

    """
    found = []
    for page in sorted(html.rglob("*.html")):
        if "_static" in page.relative_to(html).parts:
            continue
        for tag in _parsed(page).find_all(href=True) + _parsed(page).find_all(src=True):
            link = tag.get("href") or tag.get("src")
            if wrong := _judge(link, page, html, root, address):
                found.append(f"{page.relative_to(html)}: {wrong}: {link}")
    return sorted(set(found))


def _judge(link: str, page: Path, html: Path, root: Path, address: Address) -> str | None:
    if link.startswith(("mailto:", "data:", "javascript:", "tel:")):
        return None
    if link.startswith(address.pages):
        link = "/" + link.removeprefix(address.pages)
        return _judge_file(html, unquote(urlsplit(link).path).lstrip("/") or "index.html", urlsplit(link).fragment)
    forge = re.fullmatch(rf"{re.escape(address.repository)}(?:/(?P<what>[a-z]+)(?:/(?P<rest>.*))?)?", link)
    colab = re.match(r"https://colab\.research\.google\.com/github/(?P<slug>[^/]+/[^/]+)/blob/(?P<rest>.*)", link)
    if colab:
        if not address.repository.endswith("/" + colab["slug"]):
            return "the Colab link names another repository"
        return _judge_repository_file(root, colab["rest"], branch="colab")
    if forge and forge["what"] in ("edit", "blob", "tree", "raw"):
        return _judge_repository_file(root, forge["rest"] or "", branch="main")
    if urlsplit(link).scheme or link.startswith("//"):
        return None
    parts = urlsplit(link)
    if not parts.path:
        missing = parts.fragment and unquote(parts.fragment) not in _anchors(page)
        return "no such anchor on this page" if missing else None
    target = (page.parent / unquote(parts.path)).resolve()
    if not target.is_relative_to(html.resolve()):
        return "leads out of the book"
    return _judge_file(html.resolve(), target.relative_to(html.resolve()).as_posix(), parts.fragment)


def _judge_file(html: Path, name: str, fragment: str) -> str | None:
    target = html / name
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file():
        return "no such page or file"
    if fragment and target.suffix == ".html" and unquote(fragment) not in _anchors(target):
        return "no such anchor on that page"
    return None


def _judge_repository_file(root: Path, rest: str, *, branch: str) -> str | None:
    name, _, path = rest.partition("/")
    path = unquote(urlsplit(path).path)
    if name != branch:
        return f"names the branch {name!r}, not {branch!r}"
    if branch == "colab":  # its folder of hand-outs is made from the same notebooks
        path = re.sub(r"^handout/", "notebooks/", path)
    if not (root / path).exists():
        return "names no file of the repository"
    if branch == "colab" and not path.endswith(".ipynb"):
        return "names no notebook"
    return None


def foreign(html: Path) -> list[str]:
    """Return one sentence for each thing that a page would load from another origin."""
    found = []
    for page in sorted(html.rglob("*.html")):
        if "_static" in page.relative_to(html).parts:
            continue
        for tag in _parsed(page).find_all(list(LOADING)):
            link = tag.get(LOADING[tag.name]) or ""
            relations = set(tag.get("rel") or ())
            loads = tag.name != "link" or bool(relations & LOADED_RELATIONS)
            if loads and (link.startswith("//") or urlsplit(link).scheme in ("http", "https")):
                found.append(f"{page.relative_to(html)}: <{tag.name}> loads {link}")
    return found
