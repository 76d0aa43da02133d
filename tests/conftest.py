"""What all tests share: no screen, one thread each, ROS nodes that stay on this machine."""

import os

import pytest

# Set before anything imports torch, mujoco or rclpy; child processes inherit it.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that start nodes on one worker: two such tests at once would share two cores.

    The tests of a module marked `one_worker` stay together too, as what they share takes seconds.
    """
    for item in items:
        if item.get_closest_marker("ros"):
            item.add_marker(pytest.mark.xdist_group("ros"))
        elif item.get_closest_marker("one_worker"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
