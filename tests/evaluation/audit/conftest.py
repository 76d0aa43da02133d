"""Records of a policy's decisions, made as the policy node makes them, and changed at will."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from liquid_control.camera import Calibration, RobotCamera, View
from liquid_control.circuits.flat import flat, number_names, put
from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.data import messages, updates
from liquid_control.data.bag import BagWriter
from liquid_control.policy import Driver, Policy
from liquid_control.policy.fingerprint import (
    Hashes,
    build_facts,
    configuration_hash,
    text_hash,
    weights_hash,
)

PERIOD_NS = 33_333_333
FRAMES = 12
PARAMETERS = {"nominal_period": 1 / 30, "max_gap": 0.2, "speed": 5.0}
IMAGE, DECISION, NEURONS = "/camera/image_raw", "/policy/decision", "/policy/neurons"
ATTENTION, COMMAND, FACTS = "/policy/attention", "/cmd_vel", "/policy/facts"


@dataclass
class Sent:
    """A message on its way into a bag."""

    topic: str
    message: object
    logged: int


def stamp(frame: int) -> int:
    # After frame 8 the camera is silent for a second, so that the state is fresh again.
    return 10**9 * (5 + (frame > 8)) + frame * PERIOD_NS


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("models") / "driver"
    Policy(CommandSpec((CURVATURE, SPEED))).save(folder)
    return folder


def facts_of(policy: Policy, model: Path, **changed: object) -> str:
    told = {
        "format": "liquid_control facts 1",
        "node": "/policy",
        "model": str(model),
        "weights": weights_hash(policy),
        "configuration": configuration_hash(policy),
        "image": IMAGE,
        "command": COMMAND,
        "parameters": PARAMETERS,
        "build": build_facts(),
    }
    return json.dumps(told | changed)


def drive(model: Path, learns_after: int = -1, **changed: object) -> list[Sent]:
    """What a policy node and its camera send; after a frame its weights may change."""
    policy = Policy.load(model)
    text = facts_of(policy, model, **changed)
    sent = [Sent(FACTS, messages.string(text), stamp(0))]
    told = json.loads(text)
    lens = told.get("camera_info") and Calibration.from_dict(told["camera_info"])
    camera = RobotCamera(View.of(told["parameters"]), policy.camera, lens)
    driver, rng = Driver(policy), np.random.default_rng(5)
    weights, last = weights_hash(policy), None
    for number in range(FRAMES):
        at, frame = stamp(number), rng.integers(0, 256, (60, 90, 3), np.uint8)
        image = messages.image(frame, at)
        elapsed = PARAMETERS["nominal_period"] if last is None else (at - last) * 1e-9
        if elapsed > PARAMETERS["max_gap"]:
            driver.reset()
            elapsed = PARAMETERS["nominal_period"]
        made, last = driver.step(camera.apply(frame), elapsed), at
        names = [*policy.state_names, "number", "elapsed", "reset", *policy.spec.names]
        values = np.concatenate(
            [made.state_before, [number, made.elapsed, float(made.reset)], made.command]
        )
        hashes = Hashes(made.frame_hash, messages.image_hash(image), weights, text_hash(text))
        hashes = hashes.sealed(at, names, values)
        curvature, speed = map(float, made.command)
        neurons = messages.named_vector(
            policy.state_names, made.state, at, f"number={number}", made.time_constants
        )
        level = np.rint(driver.attention() * 255).astype(np.uint8)
        sent += [
            Sent(IMAGE, image, at),
            Sent(COMMAND, messages.twist_stamped(speed, curvature * speed, at), at + 1),
            Sent(DECISION, messages.named_vector(names, values, at, str(hashes)), at + 2),
            Sent(NEURONS, neurons, at + 3),
            Sent(ATTENTION, messages.image(level, at), at + 4),
        ]
        if number == learns_after:
            sent.append(Sent("/policy/updates", learn(policy, at), at + 5))
            driver.refresh()
            weights = weights_hash(policy)
    return sent


def learn(policy: Policy, at: int) -> object:
    """Change a policy's circuit; the message that tells of it."""
    before, old = weights_hash(policy), flat(policy.circuit)
    put(policy.circuit, old * 1.01)
    new = flat(policy.circuit).numpy()
    figures = {"kind": float(updates.LEARNT), "number": 1.0}
    told = updates.Record(at, before, weights_hash(policy), new, new - old.numpy(), figures)
    values, change = told.vectors()
    names = [*updates.FIGURES, *number_names(policy.circuit)]
    return messages.named_vector(names, values, at, told.frame_id(), change)


@pytest.fixture(scope="session")
def sent(model) -> list[Sent]:
    return drive(model)


def write(folder: Path, sent: list[Sent]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    with BagWriter(folder, "") as bag:
        for each in sent:
            bag.write(each.topic, each.message, each.logged)
    return folder


def nth(sent: list[Sent], topic: str, number: int) -> int:
    return [place for place, each in enumerate(sent) if each.topic == topic][number]


def changed(sent: list[Sent], topic: str, number: int, change: Callable[[object], None]) -> list:
    """The messages, with the `number`th of a topic replaced by a changed copy."""
    place = nth(sent, topic, number)
    each = sent[place]
    kind = each.message.__msgtype__
    copied = messages.deserialize(kind, bytes(messages.serialize(each.message)))
    for name in ("data", "position", "velocity"):
        if isinstance(getattr(copied, name, None), np.ndarray):
            setattr(copied, name, getattr(copied, name).copy())
    change(copied)
    return [*sent[:place], replace(each, message=copied), *sent[place + 1 :]]


@pytest.fixture(scope="session")
def records() -> SimpleNamespace:
    """The functions of this file."""
    return SimpleNamespace(
        Sent=Sent,
        stamp=stamp,
        facts_of=facts_of,
        drive=drive,
        write=write,
        nth=nth,
        changed=changed,
    )
