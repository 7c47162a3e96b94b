"""A report opened in headless Chromium, from disk."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chromium

_WATCH = """
window.faults = [];
addEventListener("error", (event) => faults.push(String(event.message)));
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
for (const kind of ["error", "warn"]) {
  const before = console[kind].bind(console);
  console[kind] = (...all) => { faults.push(all.join(" ")); before(...all); };
}
"""


class Report:
    """An open page."""

    def __init__(self, page: chromium.Page) -> None:
        self.page = page

    def evaluate(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def check(self, *figures: str) -> None:
        """No faults, nothing from a network, and all figures with something in them."""
        assert self.evaluate("faults") == []
        assert self.evaluate("performance.getEntriesByType('resource').map(e => e.name)") == []
        for name in figures:
            count = self.evaluate(
                f"document.querySelectorAll('#{name} .main-svg .trace, #{name} .main-svg .boxlayer > *').length"
            )
            assert count, f"{name} shows nothing"

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.evaluate(f"[...document.querySelectorAll({selector!r})].map(e => e.textContent)")
        return found

    def choose(self, selector: str, value: str) -> None:
        self.evaluate(
            f"""(element => {{
              element.value = {value!r};
              for (const kind of ["change", "input"]) element.dispatchEvent(new Event(kind));
            }})(document.querySelector({selector!r}))"""
        )

    def media(self, **features: str) -> None:
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.page.call("Emulation.setEmulatedMedia", features=named)

    def screenshot(self) -> bytes:
        """The whole page, PNG."""
        data = self.page.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        return base64.b64decode(data)

    def pdf(self) -> bytes:
        """As it is printed."""
        return base64.b64decode(self.page.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])


@contextmanager
def opened(path: Path, width: int = 1366, height: int = 768) -> Iterator[Report]:
    with chromium.browser(width, height) as page:
        page.call("Page.enable")
        page.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        page.call("Page.navigate", url=path.resolve().as_uri())
        page.wait_for("document.documentElement?.dataset.ready")
        yield Report(page)
