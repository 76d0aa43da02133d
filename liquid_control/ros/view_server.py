"""The live page's web server, in a thread of its own beside the node.

Who may look: on 127.0.0.1 whoever sits at this machine; on other addresses whoever knows the token
of this start. A page of another site may do neither: its Origin is refused, a name that is made to
point at this machine (DNS rebinding) is refused by its Host, and the cookie stays at home.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import ipaddress
import json
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from liquid_control.errors import InputError
from liquid_control.ros.view_hub import STREAMS, Hub, Viewer

__all__ = ["PageServer"]

_FOLDER = Path(__file__).parent / "view_page"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_KINDS[".svg"] = "image/svg+xml"
_HEADERS = {
    # Everything comes from this server, nobody may frame the page and have its buttons clicked.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# A page that does not answer for so long has gone: a laptop that was closed, a lost network [s].
_HEARTBEAT = 5.0
# What a page may say at once [bytes].
_LARGEST = 1024


class PageServer:
    """Serves the page and its updates.

    Args:
        host: address or name to listen at.
        port: to listen at; 0: any free one.
        changed: see `Hub`; called in the server's thread, as is `asked`.
        asked: takes what a page asks the vehicle's nodes for: "stop", "record" or "finish".

    Attributes:
        hub: to be used through `post`.
        url: to open in a browser, with the token where there is one.

    Raises:
        InputError: the address cannot be listened at.
    """

    def __init__(
        self,
        host: str,
        port: int,
        changed: Callable[[int, frozenset[str]], None],
        asked: Callable[[str], None],
    ) -> None:
        self._socket = _listen(host, port)
        self._asked = asked
        self.port = self._socket.getsockname()[1]
        self.open = not _is_loopback(self._socket.getsockname()[0])
        self._token = secrets.token_urlsafe(32) if self.open else ""
        # Cookies know no ports: two vehicles on one machine must not overwrite each other's.
        self._cookie = f"liquid_control_{self.port}"
        query = f"?token={self._token}" if self._token else ""
        self.url = f"http://{_name(self._socket)}:{self.port}/{query}"
        self.hub = Hub(changed)
        self._pages: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> None:
        """Serve from now on.

        Raises:
            OSError: a file of the page is missing.
        """
        ready: Future[None] = Future()
        self._ready = ready
        self._thread.start()
        ready.result(10)

    def post(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function of `hub` in the server's thread; from any thread."""
        with suppress(RuntimeError):  # the loop has ended with the node
            self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """End all connections and the thread."""
        self.post(self._ended.set)
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._guard])
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/live", self._live)
        for path in sorted(_FOLDER.iterdir()):
            if path.suffix in _KINDS:
                name = "" if path.name == "index.html" else path.name
                app.router.add_get(f"/{name}", _file(path))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        try:
            await runner.setup()
            await web.SockSite(runner, self._socket).start()
        except OSError as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        await self._ended.wait()
        for page in tuple(self._pages):
            await page.close(code=WSCloseCode.GOING_AWAY, message=b"the node ends")
        await runner.cleanup()

    # Who may

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        if not self.open and not _is_loopback(_without_port(request.host)):
            raise web.HTTPForbidden(
                text=f"This page is served on this machine alone, not as {request.host}.\n"
            )
        answer = None
        if self._token and not self._same(request.cookies.get(self._cookie, "")):
            if request.path != "/" or not self._same(request.query.get("token", "")):
                raise web.HTTPForbidden(
                    text="Open the page with the token that `liquid-control view` has printed.\n"
                )
            answer = await handler(request)
            # Not a redirect: it would be without the cookie where another site held the link.
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict")
        return answer if answer is not None else await handler(request)

    def _same(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Origin") != f"{request.scheme}://{request.host}":
            raise web.HTTPForbidden(text="Only the page of this server may connect.\n")
        page = web.WebSocketResponse(heartbeat=_HEARTBEAT, max_msg_size=_LARGEST, compress=False)
        await page.prepare(request)
        viewer = Viewer()
        self._pages.add(page)
        self.hub.enter(viewer)
        pump = asyncio.create_task(viewer.pump(page.send_bytes))
        try:
            async for message in page:
                if message.type != WSMsgType.TEXT or not self._hear(viewer, message.data):
                    await page.close(code=WSCloseCode.POLICY_VIOLATION)
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await pump
            self._pages.discard(page)
            self.hub.leave(viewer)
        return page

    def _hear(self, viewer: Viewer, text: str) -> bool:
        """Do what a page says; False where no page of ours says so."""
        try:
            said = json.loads(text)
        except ValueError:
            return False
        match said:
            case {"drawn": int(number)}:
                viewer.drawn(number)
            case {"show": stream} if stream is None or stream in STREAMS:
                self.hub.show(viewer, stream)
            case {"ask": "stop" | "record" | "finish" as wish}:
                self._asked(wish)
            case _:
                return False
        return True


def _listen(host: str, port: int) -> socket.socket:
    where = f"port {port} of {host}"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"The page cannot be served: {where} is in use; give another with --port, or "
                "--port 0 for any free one."
            ) from error
        raise InputError(
            f"The page cannot be served at {where} ({error.strerror}); give an address of this "
            "machine with --host and a port from 1024 to 65535 with --port."
        ) from error


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def _name(listening: socket.socket) -> str:
    """An address of this machine that a browser elsewhere can use."""
    address = listening.getsockname()[0]
    if ipaddress.ip_address(address).is_unspecified:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                # Sends nothing; an address that is reserved for documentation.
                probe.connect(("192.0.2.1", 9))
                address = probe.getsockname()[0]
        except OSError:
            return socket.gethostname()
    return f"[{address}]" if ":" in address else address


def _file(path: Path) -> Callable[[web.Request], Any]:
    body = path.read_bytes()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=_KINDS[path.suffix], charset="utf-8")

    return answer


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
