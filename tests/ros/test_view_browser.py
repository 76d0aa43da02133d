"""The live page in headless Chromium over real nodes, and a drive that serves one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("aiohttp")

from sensor_msgs.msg import Image

from liquid_control.data.bag import BagReader
from liquid_control.ros.runtime import SENSOR
from liquid_control.ros.view_feed import CAMERA, OVERLAY

from .live_page import PATIENCE, Browser, Viewer, url_of

pytestmark = [pytest.mark.ros, pytest.mark.slow]

SMALL = np.random.default_rng(3).integers(0, 256, (78, 200, 3), np.uint8)


@pytest.fixture
def page(start) -> str:
    """The address of a page."""
    return url_of(start("view", "-p", "port:=0"))


def shows(text: str) -> str:
    return f"document.body.innerText.includes({json.dumps(text)})"


@pytest.mark.timeout(300)
def test_a_browser_shows_a_real_policy_and_records_and_stops(probe, page, start, model, tmp_path):
    start("policy", "-p", f"model:={model}", "-p", "speed:=2.0", "-r", f"image:={CAMERA}")
    start("safety")
    start("recorder", "-p", f"bag:={tmp_path / 'bag'}", "-p", "at_once:=false")
    sent = 0.0

    def busy() -> None:
        nonlocal sent
        probe._executor.spin_once(timeout_sec=0.02)
        if time.monotonic() - sent < 0.033:
            return
        sent = time.monotonic()
        # The safety node refuses what is old, and what is ahead of its clock.
        probe.send_frame(SMALL, probe.get_clock().now().nanoseconds, CAMERA)

    probe.wait(lambda: probe.count_publishers("policy/decision"), 60.0)
    probe.out(Image, CAMERA, SENSOR)
    frames = "+document.getElementById('picture').dataset.frames"
    with Browser() as browser:
        browser.open(page)
        browser.wait(f"{frames} > 20", busy)
        seen = browser.evaluate(frames)
        browser.wait(f"{frames} > {seen + 20}", busy)
        assert browser.evaluate("document.getElementById('picture').width") == 200
        # The policy's wiring, with its activity.
        browser.wait("document.querySelectorAll('#wiring path').length === 253", busy)
        assert browser.evaluate("document.querySelectorAll('#wiring circle.state').length") == 51
        lit = "[...document.querySelectorAll('#wiring circle.state')]"
        browser.wait(
            f"{lit}.filter(each => +each.getAttribute('fill-opacity') > 0.02).length > 5", busy
        )
        assert browser.evaluate("document.querySelectorAll('#constants i').length") == 19
        assert browser.evaluate("document.querySelectorAll('#commands canvas').length") == 1
        browser.wait(shows("untrained"), busy)
        browser.wait("document.getElementById('age-50').innerText.includes('ms')", busy)

        button = "document.getElementById('record')"
        browser.wait(f"!{button}.disabled && {button}.innerText === 'Record'", busy)
        browser.evaluate(f"{button}.click()")
        browser.wait(f"{button}.innerText === 'End recording'", busy)
        browser.wait("document.getElementById('recorded').innerText > '0.0 MB'", busy)
        browser.evaluate(f"{button}.click()")
        browser.wait(f"{button}.innerText === 'Record'", busy)
        probe.wait(lambda: (tmp_path / "bag" / "metadata.yaml").is_file())
        with BagReader(tmp_path / "bag") as bag:
            assert bag.topics["/policy/decision"][1] > 0

        # One is the policy.
        assert probe.count_subscribers(CAMERA) == 1
        browser.evaluate("document.querySelector('input[value=camera]').click()")
        probe.wait(lambda: probe.count_subscribers(CAMERA) == 2)
        seen = browser.evaluate(frames)
        browser.wait(f"{frames} > {seen + 5}", busy)

        browser.wait("document.getElementById('driver').dataset.driver === 'policy'", busy)
        browser.evaluate("document.getElementById('stop').click()")
        browser.wait("document.getElementById('driver').dataset.driver === 'emergency stop'", busy)
        browser.wait("!document.getElementById('stopped').hidden", busy)
        browser.wait(shows("A page cannot release it"), busy)
        assert browser.complaints == []
    probe.wait(lambda: not probe.count_subscribers(OVERLAY))


def test_a_browser_says_that_what_it_shows_is_old_when_the_node_dies(probe, start, end):
    child = start("view", "-p", "port:=0")
    with Browser() as browser:
        browser.open(url_of(child))
        browser.wait("document.body.dataset.link === 'live'")
        browser.wait(shows("Nobody publishes /policy/decision"))
        assert browser.evaluate("document.getElementById('stop').disabled")
        assert browser.complaints == []
        end(child, signal.SIGKILL)
        browser.wait("document.body.dataset.link === 'lost'")
        browser.wait(shows("what you see is old"))


def test_with_a_token_a_browser_gets_in_and_the_address_forgets_it(probe, start):
    child = start("view", "-p", "port:=0", "-p", "host:='0.0.0.0'")
    url = re.sub(r"//[^:/]+", "//127.0.0.1", url_of(child))
    assert "unencrypted" in child.log.read_text()
    with Browser() as browser:
        browser.open(url)
        browser.wait("document.body.dataset.link === 'live'")
        assert browser.evaluate("location.search") == ""
        assert browser.evaluate("document.cookie") == ""
        browser.open()
        browser.wait("document.body.dataset.link === 'live'")
        assert browser.complaints == []
        browser.call("Network.clearBrowserCookies")
        browser.open(url.partition("?")[0])
        browser.wait(shows("Open the page with the token"))


@pytest.mark.timeout(300)
def test_a_drive_outlives_its_page(driver_with_speed, survivors, tmp_path):
    """Its page is there and shows it; killed, it is missed and no more."""
    command = [sys.executable, "-m", "liquid_control", "drive", "--view", "--no-report"]
    plain = ["--world", "liquid_control/Driving-v0", "--mode", "lockstep", "--seconds", "4"]
    folders = ["--model", str(driver_with_speed), "--out", str(tmp_path)]
    drive = subprocess.Popen(
        [*command, *plain, *folders], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        url = next(found for line in drive.stdout if (found := re.search(r"http://\S+", line)))[0]
        end = time.monotonic() + 2 * PATIENCE
        while not (logs := list(tmp_path.glob("*/log/view.log"))) or url not in logs[0].read_text():
            assert drive.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        viewer, port = Viewer(url), url.strip("/").rpartition(":")[2]
        viewer.wait(lambda: "reach" in viewer.newest)
        viewer.close()
        page = next(line for line in survivors() if f"port:={port}" in line)
        (process,) = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit()
            and (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode() == page
        ]
        os.kill(process, signal.SIGKILL)
        said, _ = drive.communicate(timeout=150)
    finally:
        drive.kill()
        drive.wait()
    assert drive.returncode == 1
    assert "view ended with SIGKILL" in said
    (run,) = tmp_path.glob("*-drive")
    with BagReader(run / "bag") as bag:
        # All of it: decisions of 4 s at 30 Hz.
        assert bag.topics["/policy/decision"][1] >= 110
