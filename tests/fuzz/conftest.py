"""Properties that hold for anything: a few hundred cases each time, many more where there is time.

Each property is one function of `cases`: the quick suite draws few, the same ones every time; the
slow one draws so many that all of this folder together are more than 100,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.policy import Policy


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`cases` is what the mark `cases(quick, slow)` says."""
    mark = metafunc.definition.get_closest_marker("cases")
    if mark is not None:
        quick, slow = mark.args
        marks = [pytest.mark.slow, pytest.mark.timeout(3600)]
        metafunc.parametrize("cases", [quick, pytest.param(slow, marks=marks)])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cases(quick, slow): how many cases a property is tried on")


@pytest.fixture
def holds(cases: int) -> Callable[..., None]:
    """holds(property, *strategies): the property holds for so many draws; the same every time."""

    def run(property: Callable[..., None], *strategies: st.SearchStrategy) -> None:
        chosen = settings(
            max_examples=cases,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            # What fails is shown as it came: making it smaller takes minutes.
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
        )
        chosen(given(*strategies)(property))()

    return run


@pytest.fixture(scope="module")
def in_ros() -> Iterator[None]:
    """rclpy is up, on a domain on which nobody listens, and logs nothing."""
    rclpy = pytest.importorskip("rclpy")
    from rclpy.signals import SignalHandlerOptions

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", "101")
        arguments = ["--ros-args", "--log-level", "FATAL"]
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        yield
        rclpy.try_shutdown()


@pytest.fixture(scope="module")
def policy_node(in_ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """An active policy node that nobody spins, and the commands that it publishes."""
    from geometry_msgs.msg import TwistStamped
    from rclpy.lifecycle import LifecyclePublisher
    from rclpy.parameter import Parameter

    from liquid_control.ros.policy_node import PolicyNode

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "untrained"
    Policy(CommandSpec((CURVATURE, SPEED))).save(folder)
    commands: list = []

    def catch(publisher: LifecyclePublisher, message: object) -> None:
        if isinstance(message, TwistStamped):
            commands.append(message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LifecyclePublisher, "publish", catch)
        node = PolicyNode()
        (done,) = node.set_parameters([Parameter("model", value=str(folder))])
        assert done.successful
        node.trigger_configure()
        node.trigger_activate()
        yield SimpleNamespace(node=node, commands=commands)
        node.close()
        node.destroy_node()
