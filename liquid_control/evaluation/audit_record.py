"""What a run's bag holds for an audit: facts, decisions, neurons and commands, no pixels.

Values are kept as they were recorded, float64, so that a change of any bit is seen.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from liquid_control.camera import Calibration, CameraSetup, RobotCamera, View
from liquid_control.data import updates
from liquid_control.data.bag import BagReader
from liquid_control.data.messages import image_hash, stamp_of
from liquid_control.data.recovery import is_finished
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import Hashes, text_hash

__all__ = ["Facts", "Record", "Recorded", "nodes_of", "read_record"]

FORMAT = "liquid_control facts 1"
_TOPICS = ("facts", "decision", "neurons", "attention", "updates", "watch")
_COMMAND = "geometry_msgs/msg/TwistStamped"
_NUMBERS = {"nominal_period", "max_gap", "speed", "wheelbase", "max_wheel_angle"}
_BETWEEN = ("number", "elapsed", "reset")


@dataclass(frozen=True)
class Facts:
    """What the decisions of a node rest on, as `ros.policy_output` publishes it.

    Args:
        hash: `text_hash` of the message, which every decision names.
        node: its full name.
        model: folder of the model on the machine that drove.
        weights, configuration: hashes of the model.
        image, command: full names of the topics of the camera and of cmd_vel.
        parameters: of the node, by name.
        build: `policy.fingerprint.build_facts` of the process that drove.
        camera_info: `camera.Calibration` of the camera, where its lens was undone.
    """

    hash: str
    node: str
    model: str
    weights: str
    configuration: str
    image: str
    command: str
    parameters: dict[str, Any]
    build: dict[str, str]
    camera_info: dict[str, Any] | None = None

    def camera(self, setup: CameraSetup) -> RobotCamera:
        """What showed a policy with this setup the camera's pictures.

        Raises:
            InputError: the facts describe none.
        """
        told = None if self.camera_info is None else Calibration.from_dict(self.camera_info)
        return RobotCamera(View.of(self.parameters), setup, told)


@dataclass
class Recorded:
    """One recorded decision.

    Args:
        stamp: of the frame [ns].
        logged: when the recorder heard of it [ns].
        names, values: all that the message says, float64: states before, "number",
            "elapsed" [s], "reset", then the command's outputs.
        hashes: of what it was made of; None where the message does not name them.
        neurons: states and time constants [s] after it, float64; None where not recorded.
    """

    stamp: int
    logged: int
    names: tuple[str, ...]
    values: np.ndarray
    hashes: Hashes | None
    neurons: tuple[np.ndarray, np.ndarray] | None = None

    def fits(self, policy: Policy) -> bool:
        """Whether the message has the form of a decision of `policy`."""
        states, outputs = tuple(policy.state_names), policy.spec.names
        between = self.names[len(states) : len(self.names) - len(outputs)]
        return (
            self.names[: len(states)] == states
            and self.names[-len(outputs) :] == outputs
            and between == _BETWEEN
        )

    @property
    def sealed(self) -> bool:
        """Whether the message is what its seal was set on."""
        hashes = self.hashes
        return hashes is not None and hashes == hashes.sealed(self.stamp, self.names, self.values)

    @property
    def state(self) -> np.ndarray:
        return self.values[: self.names.index("number")]

    @property
    def number(self) -> float:
        """NaN where the message has none."""
        return self._one("number")

    @property
    def elapsed(self) -> float:
        return self._one("elapsed")

    @property
    def reset(self) -> float:
        return self._one("reset")

    @property
    def command(self) -> np.ndarray:
        return self.values[self.names.index("reset") + 1 :]

    def _one(self, name: str) -> float:
        return float(self.values[self.names.index(name)]) if name in self.names else float("nan")


@dataclass
class Record:
    """The record of one policy node.

    Args:
        bag: it was read from.
        node: full name of the policy node.
        facts: by hash, in recorded order.
        decisions: in recorded order.
        published: by stamp [ns], of every cmd_vel the velocity forward, left, up [m/s] and the yaw
            rate [rad/s].
        attention: by stamp [ns], `image_hash` of every map.
        speed_shares: by stamp [ns], what `ros.watch` let the vehicle drive of its speed.
        updates: what the policy learnt while it drove, in the order in which it came into force.
        damage: one sentence for each such message that cannot be read.
        closed: the recorder came to close the bag.
        damaged: chunks of the bag whose checksum does not fit.
    """

    bag: Path
    node: str
    facts: dict[str, Facts] = field(default_factory=dict)
    decisions: list[Recorded] = field(default_factory=list)
    published: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    attention: dict[int, list[str]] = field(default_factory=dict)
    speed_shares: dict[int, float] = field(default_factory=dict)
    updates: list[updates.Record] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    closed: bool = True
    damaged: int = 0

    def facts_of(self, decision: Recorded) -> Facts:
        """Those that a decision names, else the last ones: a changed message has another hash."""
        named = decision.hashes.facts if decision.hashes else ""
        return self.facts.get(named, next(reversed(self.facts.values())))


def read_record(reader: BagReader, node: str = "") -> Record:
    """Read what a policy node recorded.

    Args:
        reader: of the bag. One that scans checks every chunk and reads on behind a damaged one.
        node: full name of the node ("/car1/policy"), where the bag holds several.

    Raises:
        InputError: no decision that can be audited, or several nodes and no `node`.
    """
    bag, node = reader.path, _node(reader, node)
    closed = all(file.suffix != ".mcap" or is_finished(file) for file in reader.files)
    record = Record(bag, node, closed=closed, damaged=reader.damaged)
    _read(reader, record)
    if not record.decisions:
        raise InputError(
            f"The bag {bag} has no decision on {node}/decision; record one with the topics of "
            "`liquid-control drive`."
        )
    if not any("number" in decision.names for decision in record.decisions):
        raise InputError(
            f"The decisions of {bag} have no numbers, so that an older version recorded them; "
            "record the run again."
        )
    return record


def nodes_of(reader: BagReader) -> list[str]:
    """Full names of the policy nodes that a bag has facts of."""
    ends = "/facts"
    return [
        topic.removesuffix(ends)
        for topic, (kind, count) in sorted(reader.topics.items())
        if topic.endswith(ends) and kind == "std_msgs/msg/String" and count
    ]


def _node(reader: BagReader, node: str) -> str:
    found = nodes_of(reader)
    if node:
        node = f"/{node.strip('/')}"
    if node in found or (not node and len(found) == 1):
        return node or found[0]
    if not found:
        raise InputError(
            f"The bag {reader.path} has no facts of a policy (/policy/facts); an audit needs them "
            "and /policy/decision, which the recorder of `liquid-control drive` records."
        )
    raise InputError(
        f"The bag {reader.path} holds the nodes {', '.join(found)}, got "
        f"{node or 'no --node'}; name one of them with --node."
    )


def _read(reader: BagReader, record: Record) -> None:
    """Fill a record in one pass, as a pass unpacks the whole bag."""
    topics = {f"{record.node}/{name}": name for name in _TOPICS}
    # Which of them the node sends its commands on is among the facts, which may come late.
    sent = {name for name, (kind, _) in reader.topics.items() if kind == _COMMAND}
    texts, commands, maps = [], defaultdict(list), defaultdict(list)
    states: dict[tuple[int, str], tuple[np.ndarray, np.ndarray]] = {}
    for topic, logged, message in reader.messages([*topics, *sent]):
        stamp, kind = stamp_of(message), topics.get(topic, "")
        if kind == "decision":
            values = np.array(message.position, np.float64)
            names = tuple(message.name)
            names = names if len(names) == len(values) else ()
            record.decisions.append(Recorded(stamp, logged, names, values, _hashes(message)))
        elif kind == "neurons":
            states[stamp, message.header.frame_id] = (message.position, message.velocity)
        elif kind == "attention":
            maps[stamp].append(image_hash(message))
        elif kind == "watch":
            shares = dict(zip(message.name, message.position, strict=False))
            record.speed_shares[stamp] = shares.get("speed_share", float("nan"))
        elif kind == "facts":
            texts.append(message.data)
        elif kind == "updates":
            try:
                record.updates.append(updates.read(message))
            except InputError as error:
                record.damage.append(str(error))
        else:
            twist = message.twist
            told = twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.z
            commands[topic, stamp].append(told)
    record.facts, record.attention = _facts(reader, record.node, texts), dict(maps)
    of_node = {facts.command for facts in record.facts.values()}
    for (topic, stamp), told in commands.items():
        if topic in of_node:
            record.published.setdefault(stamp, []).extend(told)
    for each in record.decisions:
        each.neurons = states.pop((each.stamp, f"number={each.number:.0f}"), None)


def _facts(reader: BagReader, node: str, texts: list[str]) -> dict[str, Facts]:
    found, trouble = {}, "none was recorded"
    for text in texts:
        try:
            entries = json.loads(text)
            if entries.pop("format") != FORMAT:
                raise KeyError("format")
            told = _checked(Facts(hash=text_hash(text), **entries))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            trouble = f"{type(error).__name__}: {error}"
            continue
        found[told.hash] = told
    if not found:
        raise InputError(
            f"No message on {node}/facts of {reader.path} can be read ({trouble}); it was changed "
            "or another version recorded it."
        )
    return found


def _checked(facts: Facts) -> Facts:
    """The same facts; KeyError or TypeError where they are of other kinds."""
    texts = (facts.node, facts.model, facts.weights, facts.configuration, facts.image)
    if not all(isinstance(text, str) for text in (*texts, facts.command)):
        raise TypeError("names and hashes are texts")
    if not isinstance(facts.parameters, dict) or not isinstance(facts.build, dict):
        raise TypeError("parameters and build are objects")
    if not {"nominal_period", "max_gap"} <= facts.parameters.keys():
        raise KeyError("nominal_period or max_gap")
    for name in _NUMBERS & facts.parameters.keys():
        if not isinstance(facts.parameters[name], int | float):
            raise TypeError(f"the parameter {name} is a number")
    View.of(facts.parameters)
    if facts.camera_info is not None:
        Calibration.from_dict(facts.camera_info)
    return facts


def _hashes(message: Any) -> Hashes | None:
    try:
        return Hashes.parse(message.header.frame_id)
    except InputError:
        return None
