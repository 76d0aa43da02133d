"""Any value for any parameter of any node is taken where it fits, and else refused with a reason.

The nodes are in this process and nobody spins them: parameters go through their own callbacks.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import strategies as st

pytest.importorskip("rclpy")

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.policy_node import PolicyNode
from liquid_control.ros.recorder_node import RecorderNode
from liquid_control.ros.runtime import Stop
from liquid_control.ros.safety_node import SafetyNode

pytestmark = pytest.mark.ros

OWN_OF_RCLPY = ("use_sim_time", "start_type_description_service")

integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 120)
floats = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 5e-324]) | st.floats(-2, 100)
words = st.text("abcdz/~. :0", max_size=12) | st.sampled_from(
    ["raw", "compressed", "fixed", "model", "auto", "none", "both", "off", "slow", "car", "drone"]
)
values = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    floats,
    words,
    st.lists(st.booleans(), max_size=3),
    st.lists(integers, max_size=3),
    st.lists(floats, max_size=3),
    st.lists(words, max_size=3),
)


def fits(value: object, descriptor: ParameterDescriptor) -> bool:
    """Whether a value lies in the range that its description states."""
    ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
    return all(math.isfinite(value) and r.from_value <= value <= r.to_value for r in ranges)


def plain(value: object) -> object:
    """Arrays are equal to nothing but themselves."""
    return list(value) if isinstance(value, (array, np.ndarray, tuple)) else value


def check(node: Node, known: dict[str, type]) -> None:
    for name, kind in known.items():
        value = node.get_parameter(name).value
        assert type(value) is kind
        assert fits(value, node.describe_parameter(name))


def kinds(node: Node) -> dict[str, type]:
    """Types by name, but for the parameters that rclpy itself declares."""
    parameters = node.get_parameters_by_prefix("").items()
    return {name: type(one.value) for name, one in parameters if name not in OWN_OF_RCLPY}


@pytest.fixture(scope="module")
def nodes(in_ros: None, policy_node, tmp_path_factory) -> Iterator[dict[str, Node]]:
    """A node of each kind; one that replays or simulates adds no other way to take a parameter."""
    bag = tmp_path_factory.mktemp("bag") / "bag"
    made = {"policy": policy_node.node, "safety": SafetyNode(Stop())}
    with overridden({"bag": str(bag)}):
        made["recorder"] = RecorderNode(Stop())
    yield made
    for name in ("safety", "recorder"):
        made[name].close()
        made[name].destroy_node()


def overridden(given: dict[str, object]) -> pytest.MonkeyPatch:
    """Nodes that are made within are given these values at their start."""
    patch = pytest.MonkeyPatch()
    make = Node.__init__

    def with_values(self: Node, name: str, **options: object) -> None:
        overrides = [Parameter(key, value=value) for key, value in given.items()]
        make(self, name, parameter_overrides=overrides, **options)

    class Patched:
        def __enter__(self) -> None:
            patch.setattr(Node, "__init__", with_values)

        def __exit__(self, *error: object) -> None:
            patch.undo()

    return Patched()


@pytest.mark.cases(50, 5_000)
def test_a_running_node_takes_a_parameter_within_its_range_or_says_why_not(
    holds: Callable, nodes, policy_node
):
    known = {name: kinds(node) for name, node in nodes.items()}
    names = st.sampled_from([(name, key) for name, keys in known.items() for key in keys])
    frame = conversion.image(np.full((78, 200, 3), 90, np.uint8), 0, "camera")
    clock = policy_node.node.get_clock()

    def taken(name, value, other):
        node, key = nodes[name[0]], name[1]
        before = plain(node.get_parameter(key).value)
        asked = [Parameter(key, value=value)]
        if other is not None and other[0][0] == name[0]:
            asked.append(Parameter(other[0][1], value=other[1]))
        for result in node.set_parameters(asked[:1]) + node.set_parameters(asked[1:]):
            assert result.successful or result.reason
        if not node.set_parameters(asked[:1])[0].successful and len(asked) == 1:
            assert plain(node.get_parameter(key).value) == before
        node.set_parameters_atomically(asked)
        check(node, known[name[0]])
        if name[0] == "policy":
            frame.header.stamp = clock.now().to_msg()
            policy_node.commands.clear()
            info = {"source_timestamp": 0, "publication_sequence_number": None}
            left_out = node._frames.refused["too_old"]
            node._on_image(frame, info)
            # A tiny max_frame_age leaves every frame out, and the last command holds for a while.
            assert policy_node.commands or node._frames.refused["too_old"] > left_out
            for command in policy_node.commands:
                assert 0.0 <= command.twist.linear.x <= 60.0
                assert abs(command.twist.angular.z) <= 0.06 * 60.0 * (1 + 1e-6)

    holds(taken, names, values, st.none() | st.tuples(names, values))


@pytest.mark.cases(8, 400)
@pytest.mark.parametrize("make", [lambda: SafetyNode(Stop()), PolicyNode])
def test_a_node_starts_with_a_parameter_within_its_range_or_says_why_not(
    holds: Callable, in_ros: None, make: Callable[[], Node]
):
    node = make()
    known = kinds(node)
    node.destroy_node()

    def started(given):
        with overridden(given):
            try:
                node = make()
            except InputError:
                return
        check(node, known)
        node.destroy_node()

    names = st.sampled_from(sorted(known))
    holds(started, st.dictionaries(names, values.filter(lambda value: value is not None)))


def test_the_fixtures_reach_the_callbacks(nodes: dict[str, Node]):
    """What is refused for its value here is refused by the node itself, not by these tests."""
    (done,) = nodes["policy"].set_parameters([Parameter("speed", value=7.0)])
    assert done.successful
    assert nodes["policy"]._output.vehicle.speed == 7.0
    (done,) = nodes["policy"].set_parameters([Parameter("model", value="other")])
    assert "unconfigured" in done.reason
    assert SimpleNamespace(**kinds(nodes["safety"])).max_speed is float
    assert Path(nodes["recorder"].get_parameter("bag").value).exists()
