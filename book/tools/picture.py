"""Take the README's picture: the live figure of the first page, as Chromium shows it, in light and in dark."""

from __future__ import annotations

import sys
from pathlib import Path

from book.tools import browser, build

TARGET = Path(__file__).resolve().parents[1] / "_static"


def main() -> int:
    """Write `live_figure_light.png` and `live_figure_dark.png` into `book/_static`."""
    path = browser.find_chromium()
    if path is None:
        print(browser.ADVICE)
        return 1
    from playwright.sync_api import sync_playwright

    address = (build.HTML / "book" / "index.html").as_uri()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = chromium.new_page(
                viewport={"width": 1000, "height": 1200},
                color_scheme=scheme,
                reduced_motion="reduce",
                device_scale_factor=1.5,
            )
            page.goto(address)
            figure = page.locator("[data-widget]").first
            figure.scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            figure.screenshot(path=TARGET / f"live_figure_{scheme}.png")
        chromium.close()
    print(f"The pictures are in {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
