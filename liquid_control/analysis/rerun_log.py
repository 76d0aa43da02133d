"""Camera, overlay, neurons and command on one time line, for the Rerun viewer."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from liquid_control.errors import InputError

__all__ = ["Recording", "Viewer"]

HOST = "127.0.0.1"
PATIENCE_S = 30.0
QUALITY = 90  # of JPEG


class Viewer:
    """Rerun's viewer in a process of its own: a window, or a page that a browser on this machine
    opens. Its usage statistics are off.

    Args:
        page: serve a page instead of opening a window.

    Attributes:
        stream: where a recording is sent to.
        address: of the page, "" for a window.

    Raises:
        InputError: Rerun is not installed, there is no screen, or the viewer does not start.
    """

    def __init__(self, page: bool) -> None:
        if importlib.util.find_spec("rerun") is None:
            raise InputError(
                "--live and --serve need the package rerun-sdk, which is not installed; run "
                '`pip install "liquid_control[attend]"`.'
            )
        if not page and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise InputError(
                "--live opens a window, and there is no screen here (no DISPLAY); use --serve and "
                "a browser, or open the recording.rrd elsewhere."
            )
        port, web = _free_port(), _free_port()
        self.stream = f"rerun+http://{HOST}:{port}/proxy"
        # Rerun listens on all interfaces where it is not told otherwise.
        command = [sys.executable, "-m", "rerun", "--bind", HOST, "--port", str(port)]
        if page:
            command += ["--serve-web", "--web-viewer-port", str(web)]
        else:
            command += ["--hide-welcome-screen", "--expect-data-soon"]
        query = urllib.parse.urlencode({"url": self.stream})
        self.address = f"http://{HOST}:{web}/?{query}" if page else ""
        self._process = subprocess.Popen(
            command,
            # Under CI its statistics are off.
            env={**os.environ, "CI": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + PATIENCE_S
        while not (_listens(port) and (not page or _answers(self.address))):
            if self._process.poll() is not None or time.monotonic() > end:
                self.close()
                raise InputError(
                    f"Rerun's viewer did not start within {PATIENCE_S:.0f} s; try "
                    "`python -m rerun recording.rrd` to see why."
                )
            time.sleep(0.05)

    def wait(self) -> None:
        """Until the viewer is closed, or Ctrl-C."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            return

    def close(self) -> None:
        """End the viewer."""
        if self._process.poll() is None:
            # `python -m rerun` starts the program in a process of its own.
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(PATIENCE_S)


class Recording:
    """A recording file, also sent to a viewer where there is one.

    Args:
        path: the file, `*.rrd`.
        neurons: names in the order of the states, () to leave them out.
        viewer: that shows it at once.
    """

    def __init__(self, path: Path, neurons: Sequence[str], viewer: Viewer | None = None) -> None:
        import rerun as rr
        import rerun.blueprint as rrb

        self._rr, self._names = rr, tuple(neurons)
        self._stream = rr.RecordingStream("liquid-control attend")
        sinks = [rr.FileSink(str(path))]
        if viewer is not None:
            sinks.append(rr.GrpcSink(viewer.stream))
        self._stream.set_sinks(*sinks)
        plots = [rrb.TimeSeriesView(name="command", origin="/command")]
        if self._names:
            plots.append(rrb.TimeSeriesView(name="neurons", origin="/neurons"))
            self._log("neurons", rr.SeriesLines(names=list(self._names)), static=True)
        views = [
            rrb.Spatial2DView(name="camera", origin="/camera"),
            rrb.Spatial2DView(name="attention", origin="/attention"),
        ]
        layout = rrb.Horizontal(rrb.Vertical(*views), rrb.Vertical(*plots))
        self._stream.send_blueprint(rrb.Blueprint(layout, collapse_panels=True))

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.flush()
        self._stream.disconnect()

    def add(
        self,
        seconds: float,
        camera: np.ndarray,
        attention: np.ndarray | None,
        commands: Mapping[str, float],
        neurons: np.ndarray,
    ) -> None:
        """Append a frame.

        Args:
            seconds: its time since the start [s].
            camera: uint8 RGB.
            attention: the overlay, uint8 RGB, or None.
            commands: by name ("curvature", "expert curvature").
            neurons: states in the order of the names.
        """
        rr = self._rr
        self._stream.set_time("time", duration=seconds)
        self._log("camera", rr.Image(camera).compress(jpeg_quality=QUALITY))
        if attention is not None:
            self._log("attention", rr.Image(attention).compress(jpeg_quality=QUALITY))
        for name, value in commands.items():
            self._log(f"command/{name.replace(' ', '_')}", rr.Scalars(float(value)))
        if self._names:
            self._log("neurons", rr.Scalars(np.asarray(neurons, np.float64)))

    def _log(self, place: str, what: object, static: bool = False) -> None:
        self._stream.log(place, what, static=static)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1.0) as answer:
            return answer.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
