"""`liquid-control view`: a live page of the running vehicle for a browser."""

from __future__ import annotations

import os
import socket

from liquid_control.errors import InputError
from liquid_control.ros.processes import setting

__all__ = ["PORT", "free_port", "view"]

PORT = 8642


def free_port() -> int:
    """The usual port of this machine's own address, or another where that is in use."""
    for port in (PORT, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as probe:
                return probe.getsockname()[1]
        except OSError:
            continue
    raise InputError("No port of 127.0.0.1 is free for a live page; end other programs.")


def view(
    host: str = "127.0.0.1",
    port: int = PORT,
    namespace: str = "",
    domain: int | None = None,
    camera: str = "",
    shared_memory: bool = False,
) -> int:
    """Serve a live page: what the vehicle sees, decides and is told, and why it stands.

    It shows the camera with the policy's attention, the command beside the human's or expert's,
    the activity of the neurons, latency, diagnostics and who drives; it starts and ends recordings
    and has an emergency stop. Nothing is subscribed while no page is open. Ctrl-C ends it.

    Args:
        host: address to serve at; on any other than this machine's own a token is needed, which is
            part of the address that is printed.
        port: to serve at; 0: any free one.
        namespace: of the vehicle's nodes and topics.
        domain: ROS_DOMAIN_ID of the vehicle, as `liquid-control drive` prints it; by default the
            environment's.
        camera: topic of the camera; by default the one that the policy sees.
        shared_memory: for plain pictures of a large raw camera, most of which are lost without it;
            a page that is then killed by force can take the nodes along that it shares it with.

    Returns:
        0 when it was ended.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"A port is a number from 0 to 65535, got --port {port}; try 8642.")
    if domain is not None:
        if not 0 <= domain <= 232:
            raise InputError(f"A ROS domain is a number from 0 to 232, got --domain {domain}.")
        os.environ["ROS_DOMAIN_ID"] = str(domain)
    from liquid_control.ros.view_node import main

    arguments = ["view", "--ros-args", "--disable-external-lib-logs", "-p", f"port:={port}"]
    for name, value in (("host", host), ("camera", camera)):
        if value:
            arguments += setting(name, value)
    if namespace:
        arguments += ["-r", f"__ns:=/{namespace.strip('/')}"]
    return main(arguments, shared_memory)
