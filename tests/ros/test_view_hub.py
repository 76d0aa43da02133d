"""A viewer of the live page gets the newest, however slow it is, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import json

import pytest

from liquid_control.ros.view_hub import Hub, Viewer


@pytest.fixture
def hub() -> Hub:
    return Hub(lambda viewers, streams: None)


def content(update: bytes) -> tuple[dict, bytes]:
    size = int.from_bytes(update[:4], "little")
    return json.loads(update[4 : 4 + size]), update[4 + size :]


async def turns() -> None:
    """Let every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def pumping(viewer: Viewer) -> tuple[list[bytes], asyncio.Task]:
    sent: list[bytes] = []

    async def send(update: bytes) -> None:
        sent.append(update)

    task = asyncio.create_task(viewer.pump(send))
    await turns()
    return sent, task


def test_a_viewer_that_draws_nothing_gets_two_updates_and_then_the_newest(hub):
    async def run() -> None:
        viewer = Viewer()
        hub.enter(viewer)
        hub.show(viewer, "camera")
        sent, task = await pumping(viewer)
        for number in range(1000):
            hub.put("neural", str(number))
            hub.point(str(number))
            hub.picture("camera", b"%d" % number, 1.0)
            await turns()
        assert len(sent) == 2
        assert not hub.ready("camera")
        viewer.drawn(1)
        await turns()
        assert len(sent) == 3
        told, picture = content(sent[-1])
        assert picture == b"999"
        assert told["neural"] == 999
        # The latest points and no more than some seconds of them.
        assert told["points"] == list(range(700, 1000))
        viewer.drawn(2)
        await turns()
        assert len(sent) == 3  # nothing new
        assert hub.ready("camera")
        task.cancel()

    asyncio.run(run())


def test_what_comes_without_a_picture_is_sent_as_well(hub):
    async def run() -> None:
        viewer = Viewer()
        hub.enter(viewer)
        sent, task = await pumping(viewer)
        hub.put("about", '{"domain":"7"}')
        while not sent:
            await asyncio.sleep(0.005)
        told, picture = content(sent[0])
        assert told["about"] == {"domain": "7"}
        assert picture == b""
        task.cancel()

    asyncio.run(run())


def test_a_viewer_who_comes_later_gets_what_was_said_before_him_while_somebody_looked(hub):
    async def run() -> None:
        hub.put("model", '"before anybody"')
        first, second = Viewer(), Viewer()
        hub.enter(first)
        hub.put("model", '"said"')
        hub.put("answer", '"to the first"', keep=False)
        hub.enter(second)
        sent, task = await pumping(second)
        while not sent:
            await asyncio.sleep(0.005)
        told, _ = content(sent[0])
        assert told["model"] == "said"
        assert "answer" not in told
        task.cancel()

    asyncio.run(run())


def test_only_what_is_shown_is_wanted():
    async def run() -> None:
        said = []
        hub = Hub(lambda viewers, streams: said.append((viewers, set(streams))))
        first, second = Viewer(), Viewer()
        hub.enter(first)
        hub.show(first, "attention")
        hub.show(first, "attention")
        hub.enter(second)
        hub.show(second, "camera")
        hub.show(first, None)
        hub.leave(first)
        hub.leave(second)
        assert said == [
            (1, set()),
            (1, {"attention"}),
            (2, {"attention"}),
            (2, {"attention", "camera"}),
            (2, {"camera"}),
            (1, {"camera"}),
            (0, set()),
        ]

    asyncio.run(run())


def test_a_picture_goes_to_those_alone_who_show_its_stream(hub):
    async def run() -> None:
        one, other = Viewer(), Viewer()
        for viewer, stream in ((one, "attention"), (other, "camera")):
            hub.enter(viewer)
            hub.show(viewer, stream)
        (seen, task), (unseen, other_task) = await pumping(one), await pumping(other)
        hub.picture("attention", b"jpeg", 1.0)
        await turns()
        assert [content(update)[1] for update in seen] == [b"jpeg"]
        assert unseen == []
        task.cancel()
        other_task.cancel()

    asyncio.run(run())
