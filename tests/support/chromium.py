"""A headless Chromium, spoken to in its DevTools protocol over two pipes: no driver and no further package.

Debian: apt install chromium.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

_LAUNCH = (
    "import os, sys; r, w = (os.dup2(int(fd), 100 + i) for i, fd in enumerate(sys.argv[1:3]));"
    "os.dup2(r, 3); os.dup2(w, 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
"""Chromium reads commands from descriptor 3 and answers on 4."""


def program() -> str | None:
    """The browser's path, if there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name)) is not None), None)


class Page:
    """One page of a browser: the calls that are needed here."""

    def __init__(self, commands: int, answers: int, timeout_s: float) -> None:
        self._commands = commands
        self._answers = answers
        self._timeout_s = timeout_s
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **parameters: Any) -> Any:
        """A command's result."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        end = time.monotonic() + self._timeout_s
        while True:
            answer = json.loads(self._message(end))
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of the promise that it is."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + self._timeout_s
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < end, f"{expression}: not true after {self._timeout_s:g} s"
            time.sleep(0.1)

    def screenshot(self) -> bytes:
        """PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _message(self, end: float) -> bytes:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the browser did not answer within {self._timeout_s:g} s"
            data = os.read(self._answers, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return message


@contextmanager
def browser(width: int = 1600, height: int = 900, timeout_s: float = 60) -> Iterator[Page]:
    """A page in a browser of its own, without a profile or network beyond this machine."""
    path = program()
    assert path is not None
    command_end, commands = os.pipe()
    answers, answer_end = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                sys.executable, "-c", _LAUNCH, str(command_end), str(answer_end), path,
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--hide-scrollbars", f"--window-size={width},{height}", f"--user-data-dir={profile}",
                "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            ],
            pass_fds=[command_end, answer_end],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
        )  # fmt: skip
        os.close(command_end)
        os.close(answer_end)
        try:
            page = Page(commands, answers, timeout_s)
            page.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
            yield page
            page._session = None
            with suppress(AssertionError, OSError):
                page.call("Browser.close")
        finally:
            os.close(commands)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(answers)
