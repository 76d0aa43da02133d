"""Who may open the live page, and who may not."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from liquid_control.errors import InputError

pytest.importorskip("aiohttp")

from liquid_control.ros import view_server
from liquid_control.ros.view_server import PageServer


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[PageServer]:
    asked: list[str] = []
    server = PageServer(host, 0, lambda viewers, streams: None, asked.append)
    server.asked = asked
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def here() -> Iterator[PageServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def everywhere() -> Iterator[PageServer]:
    with serving("0.0.0.0") as server:
        yield server


def ask(server: PageServer, path: str = "/", method: str = "GET", **headers: str):
    """Status, headers and text of an answer."""

    async def go():
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{server.port}{path}"
            async with session.request(method, url, headers=headers) as answer:
                return answer.status, answer.headers, await answer.text()

    return asyncio.run(go())


def connect(server: PageServer, then: Callable | None = None, path="/live", **headers: str) -> int:
    """Status of the answer to a connection; 101 where it was opened."""

    async def go() -> int:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{server.port}{path}"
            try:
                async with session.ws_connect(url, headers=headers) as page:
                    if then is not None:
                        await then(page)
            except aiohttp.WSServerHandshakeError as error:
                return error.status
        return 101

    return asyncio.run(go())


def origin(server: PageServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_without_being_told_otherwise_only_this_machine_is_served(here):
    assert ask(here)[0] == 200
    assert not here.open
    assert here.url == f"http://127.0.0.1:{here.port}/"
    # Another address of this machine, as the network's would be: nobody listens there.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", here.port))


def test_a_name_that_was_made_to_point_here_is_refused(here):
    for host in ("evil.example", f"evil.example:{here.port}", "127.0.0.1.evil.example"):
        assert ask(here, Host=host)[0] == 403, host
        assert connect(here, Host=host, Origin=f"http://{host}") == 403, host
    # Through an SSH tunnel the port is another one.
    for host in ("localhost:9000", "127.0.0.1:9000", "[::1]:9000"):
        assert ask(here, Host=host)[0] == 200, host


def test_a_page_of_another_site_may_not_connect(here, everywhere):
    for server, cookie in ((here, {}), (everywhere, {"Cookie": signed_in(everywhere)})):
        assert connect(server, Origin=origin(server), **cookie) == 101
        port = server.port
        for other in (
            "http://evil.example",
            "null",
            "http://127.0.0.1:1",
            f"https://127.0.0.1:{port}",
        ):
            assert connect(server, Origin=other, **cookie) == 403, other
        assert connect(server, **cookie) == 403


def signed_in(server: PageServer) -> str:
    token = server.url.partition("token=")[2]
    status, headers, _ = ask(server, f"/?token={token}")
    assert status == 200
    return headers["Set-Cookie"].partition(";")[0]


def test_on_the_network_everything_needs_the_token(everywhere):
    assert everywhere.open
    token = everywhere.url.partition("token=")[2]
    assert len(token) > 40
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    for path in ("/", "/view.js", "/view.css", f"/?token={wrong}", "/?token=", "/?token=%00ü"):
        assert ask(everywhere, path)[0] == 403, path
    for path in ("/live", f"/live?token={token}"):
        assert connect(everywhere, path=path, Origin=origin(everywhere)) == 403, path
    cookie = signed_in(everywhere)
    assert ask(everywhere, "/view.js", Cookie=cookie)[0] == 200
    assert ask(everywhere, "/", Cookie=cookie)[0] == 200
    name = cookie.partition("=")[0]
    assert ask(everywhere, "/", Cookie=f"{name}={wrong}")[0] == 403


def test_the_cookie_stays_in_the_browser_and_at_home(everywhere):
    token = everywhere.url.partition("token=")[2]
    _, headers, text = ask(everywhere, f"/?token={token}")
    attributes = {part.strip().lower() for part in headers["Set-Cookie"].split(";")}
    assert {"httponly", "samesite=strict"} <= attributes
    assert str(everywhere.port) in headers["Set-Cookie"].partition("=")[0]
    assert token not in text


def test_every_start_has_another_token():
    with serving("0.0.0.0") as first, serving("0.0.0.0") as second:
        assert first.url.partition("token=")[2] != second.url.partition("token=")[2]


def test_no_other_site_may_read_frame_or_script_the_page(here):
    _, headers, _ = ask(here, Origin="http://evil.example")
    assert not [name for name in headers if name.lower().startswith("access-control")]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_asks_nobody_else_for_anything():
    files = [path for path in view_server._FOLDER.iterdir() if path.suffix != ".svg"]
    assert {path.name for path in files} >= {"index.html", "view.css", "view.js"}
    for path in files:
        found = set(re.findall(r"""(?:https?:|["'(])//[^\s"')]+""", path.read_text()))
        # A name in XML, which nobody fetches.
        assert found <= {"http://www.w3.org/2000/svg"}, path.name


def test_a_page_can_stop_and_record_and_nothing_else(here):
    async def wish(page: aiohttp.ClientWebSocketResponse) -> None:
        for each in ("stop", "record", "finish"):
            await page.send_json({"ask": each})
        await page.send_json({"show": "camera"})

    here.asked.clear()
    assert connect(here, wish, Origin=origin(here)) == 101
    assert here.asked == ["stop", "record", "finish"]


@pytest.mark.parametrize(
    "said", ['{"ask":"release"}', '{"show":"/etc/passwd"}', "[]", "{", '{"drawn":"1"}', "x" * 5000]
)
def test_what_no_page_of_ours_says_ends_the_connection(here, said):
    async def talk(page: aiohttp.ClientWebSocketResponse) -> None:
        await page.send_str(said)
        answer = await page.receive(timeout=10)
        assert answer.type == aiohttp.WSMsgType.CLOSE
        assert answer.data in (
            aiohttp.WSCloseCode.POLICY_VIOLATION,
            aiohttp.WSCloseCode.MESSAGE_TOO_BIG,
        )

    here.asked.clear()
    assert connect(here, talk, Origin=origin(here)) == 101
    assert here.asked == []


def test_a_server_that_ends_says_so_to_its_pages():
    with serving() as server:

        async def end(page: aiohttp.ClientWebSocketResponse) -> None:
            ending = asyncio.to_thread(server.close)
            answer, _ = await asyncio.gather(page.receive(timeout=10), ending)
            assert answer.data == aiohttp.WSCloseCode.GOING_AWAY

        assert connect(server, end, Origin=origin(server)) == 101


def test_a_port_in_use_and_a_foreign_address_are_said_in_one_sentence(here):
    with pytest.raises(InputError, match=f"port {here.port} of 127.0.0.1 is in use"):
        PageServer("127.0.0.1", here.port, lambda *_: None, lambda *_: None)
    with pytest.raises(InputError, match="--host"):
        PageServer("192.0.2.1", 0, lambda *_: None, lambda *_: None)
