"""Quality of service that a bag remembers per topic, so that `ros2 bag play` offers it again."""

from __future__ import annotations

from io import StringIO

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2.metadata import dump_qos_v9, parse_qos
from ruamel.yaml import YAML

__all__ = ["DEFAULT", "LATCHED", "SENSOR_DATA", "Qos", "from_yaml", "to_dicts", "to_yaml", "yaml"]

# What rmw writes for "no limit".
_INFINITE = QosTime(9223372036, 854775807)


def _profile(depth: int, reliability: QosReliability, durability: QosDurability) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
        deadline=_INFINITE,
        lifespan=_INFINITE,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_INFINITE,
        avoid_ros_namespace_conventions=False,
    )


DEFAULT = _profile(10, QosReliability.RELIABLE, QosDurability.VOLATILE)
SENSOR_DATA = _profile(5, QosReliability.BEST_EFFORT, QosDurability.VOLATILE)
# For what is published once and must reach late subscribers: roads, /tf_static, maps.
LATCHED = _profile(1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL)


def yaml(content: object) -> str:
    """`content` as block-style YAML, as rosbag2 writes it."""
    dumper = YAML(typ="safe")
    dumper.default_flow_style = False
    dumper.width = 1000
    stream = StringIO()
    dumper.dump(content, stream)
    return stream.getvalue()


def to_dicts(profiles: list[Qos]) -> list:
    """Profiles as in metadata.yaml of version 9."""
    return dump_qos_v9(profiles)


def to_yaml(profiles: list[Qos]) -> str:
    """Profiles as in an MCAP channel's `offered_qos_profiles`."""
    return yaml(to_dicts(profiles)).strip() if profiles else ""


def from_yaml(text: str) -> list[Qos]:
    """Profiles of an MCAP channel, of any rosbag2 version."""
    return parse_qos(text)
