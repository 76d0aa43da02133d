"""A viewer of the live page without a browser, and one that drives headless Chromium.

Both are aiohttp clients on an event loop of their own, called one step at a time by a test.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import pytest

from liquid_control.ros import processes

# A model is loaded meanwhile, at a low priority.
PATIENCE = 60.0


def url_of(child: processes.Child) -> str:
    """What the node prints when it serves."""
    end = time.monotonic() + PATIENCE
    while not (found := re.search(r"Live page: (\S+)", child.log.read_text())):
        assert child.code is None, child.log.read_text()
        assert time.monotonic() < end, child.log.read_text()
        time.sleep(0.02)
    return found[1]


class Viewer:
    """An open connection to a page's server; says that it has drawn what it received.

    Args:
        url: of the page, with its token where there is one.
        draws: False for a viewer that never says so.
    """

    def __init__(self, url: str, draws: bool = True) -> None:
        self.url, self.draws = url.partition("?")[0].rstrip("/"), draws
        self.newest: dict[str, Any] = {}
        self.points: list[dict] = []
        self.pictures: list[bytes] = []
        self.updates = 0
        self._loop = asyncio.new_event_loop()
        self._do(self._open(url))

    def _do(self, step: Any) -> Any:
        return self._loop.run_until_complete(step)

    async def _open(self, url: str) -> None:
        # A cookie for an address instead of a name is "unsafe" to aiohttp alone.
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        async with self._session.get(url) as page:
            assert page.status == 200, await page.text()
        self._socket = await self._session.ws_connect(
            f"{self.url}/live", headers={"Origin": self.url}, max_msg_size=0
        )

    def say(self, what: dict) -> None:
        self._do(self._socket.send_json(what))

    def hear(self, seconds: float = 0.02) -> None:
        """Take in the next update, if one comes."""
        try:
            message = self._do(self._socket.receive(timeout=seconds))
        except TimeoutError:
            return
        assert message.type == aiohttp.WSMsgType.BINARY, message
        size = int.from_bytes(message.data[:4], "little")
        update = json.loads(message.data[4 : 4 + size])
        self.updates += 1
        self.points += update.pop("points", [])
        if len(message.data) > 4 + size:
            self.pictures.append(message.data[4 + size :])
        self.newest |= update
        if self.draws:
            self.say({"drawn": update["number"]})

    def wait(
        self, condition: Callable[[], object], busy: Callable[[], None] = lambda: None
    ) -> None:
        """Hear until the condition holds; `busy` is done in between."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not within {PATIENCE} s; {self.newest}"
            busy()
            self.hear()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._do(self._socket.close())
        self._do(self._session.close())
        self._loop.close()


class Browser:
    """Headless Chromium with one tab, steered through its DevTools protocol.

    Attributes:
        complaints: errors of the page, as the console shows them.
    """

    def __init__(self) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            pytest.skip("no Chromium on this machine (apt-get install chromium)")
        self.complaints: list[str] = []
        self._number = 0
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                program,
                *("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
                *(f"--user-data-dir={self._profile.name}", "about:blank"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Browser:
        self._do(self._connect())
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._do(self._session.close())
        self._loop.close()
        self.kill()
        self._profile.cleanup()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _do(self, step: Any) -> Any:
        return self._loop.run_until_complete(step)

    async def _connect(self) -> None:
        self._session = aiohttp.ClientSession()
        file, end = Path(self._profile.name, "DevToolsActivePort"), time.monotonic() + PATIENCE
        while not file.is_file() or not file.read_text().strip():
            assert self._process.poll() is None, "Chromium has ended"
            assert time.monotonic() < end, "Chromium opened no DevTools port"
            await asyncio.sleep(0.05)
        port = file.read_text().split()[0]
        async with self._session.get(f"http://127.0.0.1:{port}/json") as answer:
            (tab,) = [each for each in await answer.json() if each["type"] == "page"]
        self._socket = await self._session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)

    def call(self, method: str, **parameters: Any) -> dict:
        """One command of the protocol; what the page complains of meanwhile is kept."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        self._do(self._socket.send_json(command))
        while True:
            answer = self._do(self._socket.receive_json(timeout=PATIENCE))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict) -> None:
        told = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["exceptionDetails"]))
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.complaints.append(told["entry"]["text"])
            case "Runtime.consoleAPICalled" if told["type"] == "error":
                self.complaints.append(json.dumps(told["args"]))

    def evaluate(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url: str | None = None) -> None:
        """Load a page, or the same again, to its end."""
        self.evaluate("window.isOld = true")
        if url is None:
            self.call("Page.reload")
        else:
            self.call("Page.navigate", url=url)
        self.wait("!window.isOld && document.readyState === 'complete'")

    def wait(self, expression: str, busy: Callable[[], None] = lambda: None) -> None:
        """Until a JavaScript expression is true; `busy` is done in between."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"not within {PATIENCE} s: {expression}"
            busy()
