"""What every test may use: folders, the built book served over http, pages in Chromium with the network cut.

A browser test in three lines:

    @pytest.mark.browser
    def test_title(book_server, open_page):
        page = open_page(book_server + "/book/index.html", width=360, scheme="dark")
        assert page.title()

At the end of the test `open_page` asserts that no request left the page's origin and that the console showed no error.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from book.tools import browser

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests under `tests/book` with `book`: they need the built book and run after it is made."""
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "book"):
            item.add_marker(pytest.mark.book)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def book_html() -> Path:
    """Return the folder of the built book: `COMPANION_BOOK_HTML` or `_build/html`; fails when it is not built."""
    folder = Path(os.environ.get("COMPANION_BOOK_HTML", ROOT / "_build" / "html"))
    if not (folder / "book" / "index.html").is_file():
        pytest.fail(f"there is no built book at {folder}: run `make book` first", pytrace=False)
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    """A file server that prints nothing."""

    def log_message(self, *_: Any) -> None:
        """Keep silent."""


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Return a function that serves a folder at a free port and returns its address, `http://127.0.0.1:PORT`."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(_Quiet, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def book_server(book_html: Path, serve: Callable[[Path], str]) -> str:
    """Return the address at which the built book is served."""
    return serve(book_html)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Yield a headless Chromium (a Playwright `Browser`); skips with advice where there is none, fails in CI."""
    path = browser.find_chromium()
    if path is None:
        (pytest.fail if browser.in_ci() else pytest.skip)(browser.ADVICE)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield instance
        instance.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Return `open_page(url, …)`, which opens an address in a fresh context and returns Playwright's `Page`.

    Arguments of `open_page`:
        url: `http://127.0.0.1:PORT/…` (see `serve`, `book_server`) or `file:///…` (`Path.as_uri()`).
        width, height: the window in CSS pixels, 1280 × 900; 360 × 780 is the phone.
        scheme: `"light"` or `"dark"`, the reader's `prefers-color-scheme`.
        touch: whether the device has a touch screen (`page.touchscreen.tap`).
        reduced_motion: `"reduce"` or `"no-preference"`.
        javascript: False opens the page with scripts switched off.

    Every request that leaves the page's origin is refused and noted; console errors and uncaught exceptions are noted.
    `page.foreign_requests` and `page.console_errors` are the two lists. At the end of the test both must be empty; over
    `file://` the console is not judged, because the browser itself complains there about the theme's font preload.
    """
    contexts, pages = [], []

    def open_one(
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        touch: bool = False,
        reduced_motion: str = "no-preference",
        javascript: bool = True,
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=touch,
            reduced_motion=reduced_motion,
            java_script_enabled=javascript,
        )
        context.set_default_timeout(120_000)  # a busy machine is slow, not broken
        contexts.append(context)
        page = context.new_page()
        origin = "file://" if url.startswith("file:") else "/".join(url.split("/")[:3]) + "/"
        page.foreign_requests, page.console_errors, page.over_http = [], [], url.startswith("http")

        def guard(route: Any) -> None:
            if route.request.url.startswith((origin, "data:", "blob:")):
                route.continue_()
            else:
                page.foreign_requests.append(route.request.url)
                route.abort()

        context.route("**/*", guard)
        page.on("console", lambda message: message.type == "error" and page.console_errors.append(message.text))
        page.on("pageerror", lambda error: page.console_errors.append(str(error)))
        page.goto(url, wait_until="load")
        pages.append(page)
        return page

    yield open_one
    foreign = [address for page in pages for address in page.foreign_requests]
    errors = [text for page in pages if page.over_http for text in page.console_errors]
    for context in contexts:
        context.close()
    assert not foreign, f"requests left the page's origin: {foreign}"
    assert not errors, f"errors on the console: {errors}"
