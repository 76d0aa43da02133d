"""View node: the live page of a vehicle. It hears nothing while no page is open.

The node's thread is rclpy's, the server's is asyncio's. What one has for the other goes through
`PageServer.post` and `ViewNode._post`.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.client import Client
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Bool
from std_srvs.srv import SetBool

from liquid_control.errors import InputError
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import COMMAND, Stop, every, leave, run
from liquid_control.ros.view import PORT
from liquid_control.ros.view_feed import Feed
from liquid_control.ros.view_wiring import WiringProcess

__all__ = ["ViewNode", "main"]


class ViewNode(Node):
    """Serves a page at the parameters `host` and `port`.

    While a page is open it subscribes the topics of policy, safety, recorder and camera; publishes
    `emergency_stop` and calls `recorder/record` when the page's buttons say so. It can stop the
    vehicle and never sets it free.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__("view")
        try:
            from liquid_control.ros.view_server import PageServer
        except ModuleNotFoundError as error:
            raise InputError(
                f"The live page needs the Python package {error.name!r}, which is not installed; "
                "run `pip install 'aiohttp>=3.10'` or `make setup`."
            ) from error

        host = declare(
            self, "host", "127.0.0.1", "address to serve at; others than this machine need a token"
        )
        port = declare(self, "port", PORT, "port to serve at; 0: any free one", 0, 65535)
        camera = declare(self, "camera", "", "topic of the camera; empty: what the policy sees")
        self._jobs: deque[Callable[[], None]] = deque()
        self._wake = self.create_guard_condition(self._work)
        self._server = PageServer(
            host,
            port,
            lambda viewers, streams: self._post(lambda: self._watch(viewers, streams)),
            lambda wish: self._post(lambda: self._do(wish)),
        )
        hub, post = self._server.hub, self._server.post
        self._feed = Feed(
            self,
            camera,
            put=self._put,
            point=lambda content: post(hub.point, json.dumps(content)),
            picture=lambda *arguments: post(hub.picture, *arguments),
            ready=hub.ready,
            model=self._on_model,
        )
        self._viewers = 0
        self._model, self._wiring = ("", ""), None
        # What was drawn last, kept for the next viewer: it takes seconds of PyTorch to make.
        self._drawn: tuple[tuple[str, str], dict[str, Any]] = ("", ""), {}
        # Quiet: the safety node also listens in ways that this publisher does not offer.
        quiet = PublisherEventCallbacks(use_default_callbacks=False)
        self._button = self.create_publisher(Bool, "emergency_stop", COMMAND, event_callbacks=quiet)
        self._recorder: Client = self.create_client(SetBool, "recorder/record")
        every(self, 1.0, self._tick)
        self._server.start()
        # Not through the logger: /rosout would tell the whole graph the token.
        print(f"Live page: {self._server.url}", flush=True)
        if self._server.open:
            print(
                "Whoever has this address may look, record and stop the vehicle. It travels "
                "unencrypted; on a network of others use an SSH tunnel instead (docs/view.md).",
                flush=True,
            )

    def _post(self, job: Callable[[], None]) -> None:
        """Do something in the node's thread; from any thread."""
        self._jobs.append(job)
        self._wake.trigger()

    def _work(self) -> None:
        while self._jobs:
            self._jobs.popleft()()

    def _put(self, kind: str, content: Any, keep: bool = True) -> None:
        self._server.post(self._server.hub.put, kind, json.dumps(content), keep)

    def _watch(self, viewers: int, streams: frozenset[str]) -> None:
        if viewers and not self._viewers:
            self._put("about", self._about())
        elif not viewers:
            self._end_wiring()
        self._viewers = viewers
        self._feed.watch(viewers, streams)
        self._tick()

    def _about(self) -> dict[str, str]:
        """Where the page looks for a vehicle."""
        return {
            "namespace": self.get_namespace(),
            "domain": os.environ.get("ROS_DOMAIN_ID", "0"),
            "range": os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET"),
        }

    def _tick(self) -> None:
        self._feed.tick()
        if self._viewers:
            self._put(
                "reach",
                {
                    "stop": self._button.get_subscription_count() > 0,
                    "record": self._recorder.service_is_ready(),
                    "viewers": self._viewers,
                },
            )
        if self._wiring is not None and (found := self._wiring.result()) is not None:
            self._end_wiring()
            self._drawn = self._model, found
            self._put("wiring", found)

    # The model

    def _on_model(self, folder: str, weights: str) -> None:
        self._put("model", {"name": os.path.basename(folder), "folder": folder})
        self._model = folder, weights
        self._end_wiring()
        if self._drawn[0] == self._model:
            self._put("wiring", self._drawn[1])
        else:
            self._wiring = WiringProcess(folder)

    def _end_wiring(self) -> None:
        if self._wiring is not None:
            self._wiring.close()
            self._wiring = None

    # What a page asks for

    def _do(self, wish: str) -> None:
        if wish == "stop":
            self._button.publish(Bool(data=True))
            heard = self._button.get_subscription_count()
            self.get_logger().warning("A viewer asks for an emergency stop.")
            self._answer(
                wish,
                bool(heard),
                "Emergency stop asked for." if heard else "No safety node hears the stop.",
            )
        elif not self._recorder.service_is_ready():
            self._answer(wish, False, "No recorder runs in this graph.")
        else:
            call = self._recorder.call_async(SetBool.Request(data=wish == "record"))
            call.add_done_callback(lambda done: self._on_recorded(wish, done))

    def _on_recorded(self, wish: str, done: Future) -> None:
        reply = done.result()
        if reply is not None:
            self._answer(wish, reply.success, reply.message)

    def _answer(self, wish: str, success: bool, text: str) -> None:
        self._put("answer", {"wish": wish, "success": success, "text": text}, keep=False)

    def close(self) -> None:
        self._server.close()
        self._end_wiring()


def main(arguments: list[str] | None = None, shared_memory: bool = False) -> int:
    return run(ViewNode, arguments, shared_memory)


if __name__ == "__main__":
    leave(main())
