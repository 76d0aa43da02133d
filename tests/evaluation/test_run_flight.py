"""The report of a flight: targets reached instead of a lane kept, crashes counted as for a car."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("matplotlib")

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.evaluation.run_report import write_run

START, PERIOD = 1_000_000_000, 33_333_333
KEYS = (
    *("x", "y", "z", "vx", "vy", "vz", "yaw", "yaw_rate", "speed", "distance", "time"),
    *("target_distance", "target_bearing", "target_x", "target_y", "crashed", "success"),
)


@pytest.fixture
def flights(tmp_path):
    """`flights(end)` -> run folder of two flights; the first ends with a "success" or "crashed"."""

    def make(end: str):
        picture = np.full((36, 64, 3), 90, np.uint8)
        with BagWriter(tmp_path / "bag") as bag:
            for frame in range(24):
                flight, step = divmod(frame, 12)
                at = START + frame * PERIOD + flight * START
                state = dict.fromkeys(KEYS, 0.0)
                way, time = 0.2 * step, step / 30
                state |= {"x": way, "z": 1.2, "vx": 2.0, "speed": 2.0, "distance": way}
                state |= {"time": time, "target_distance": 8.0 - way, "target_x": 8.0}
                if (flight, step) == (0, 11):
                    state[end] = 1.0
                values = [state[key] for key in KEYS]
                bag.write("/camera/image_raw", messages.image(picture, at), at)
                bag.write("/simulator/state", messages.named_vector(KEYS, values, at), at)
                names = ["motor_0", "elapsed", "reset", "vx", "vy", "vz", "yaw_rate"]
                audit = [0.5, 0.033, float(step == 0), 2.0, 0.1 * flight, 0.0, 0.0]
                bag.write("/policy/decision", messages.named_vector(names, audit, at), at + 1)
                for topic, up in (("/cmd_vel", 0.5), ("/cmd_vel_safe", 0.5 - 0.25 * flight)):
                    twist = messages.twist_stamped(2.0, 0.0, at)
                    twist.twist.linear.z = up
                    bag.write(topic, twist, at + 2)
        return tmp_path

    return make


def test_a_flight_that_reaches_its_goal_passes(flights):
    results = write_run(flights("success"), "a flight")
    assert results["ok"]
    assert (results["flights"], results["targets_reached"], results["crashes"]) == (2, 1, 0)
    assert "hit nothing" in results["verdict"]
    assert results["distance_m"] == pytest.approx(2 * 2.2)
    # Only what was changed upwards differs, in the second flight.
    assert results["safety"] == {"commands": 24, "passed_on": 24, "changed": 12}
    assert not any("road" in topic for topic in results["missing"])


@pytest.mark.slow
def test_a_flight_that_crashes_fails_and_its_page_shows_where(flights):
    folder = flights("crashed")
    results = write_run(folder, "a flight")
    assert not results["ok"]
    assert results["verdict"] == "The drone crashed once."
    page = (folder / "report.html").read_text()
    for text in ("Closed-loop flight", "Flight 2 from above", "Way to the target", "Speed upwards"):
        assert text in page
    assert "crash at 0.4 s" in page
    assert "lateral error" not in page.lower()
