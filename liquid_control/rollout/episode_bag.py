"""One episode of a world as one bag: what was seen, done, known, and how it came about."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np

from liquid_control import __version__
from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.rollout.episode import Episode, Moment, run_episode
from liquid_control.rollout.pilots import (
    Disturbed,
    ExpertPilot,
    Mixture,
    NoiseInjected,
    Pilot,
    PolicyPilot,
    has_expert,
)
from liquid_control.rollout.worlds import make_world

__all__ = [
    "Settings",
    "is_recorded",
    "load_policy",
    "load_world",
    "partial_folder",
    "record_episode",
    "same_settings",
]

SECOND = 1_000_000_000
# What a bag says about itself that must agree before a recording goes on beside it.
_COMPARED = ("world", "options", "seconds", "pilot", "mixture", "disturb", "noise", "image")


@dataclass(frozen=True)
class Settings:
    """How the episodes of one recording are made; hashable, and small enough to be sent.

    Args:
        world: Gymnasium name.
        made: options of the world's constructor, as JSON.
        reset: options of its `reset`, as JSON.
        seconds: longest time of an episode [s].
        model: who drives, if it is not the expert.
        mixture: beta, segment and takeover of `Mixture`, if expert and model take turns.
        disturb: strength of `Disturbed`, 0 for none.
        outputs: which outputs it disturbs.
        noise: covariance of `NoiseInjected`, row by row; empty for none.
        image: how frames are stored.
        quality: of JPEG, 1 to 100.
    """

    world: str
    made: str = "{}"
    reset: str = "{}"
    seconds: float = 18.0
    model: Path | None = None
    mixture: tuple[float, float, float] | None = None
    disturb: float = 0.0
    outputs: tuple[str, ...] = ()
    noise: tuple[tuple[float, ...], ...] = ()
    image: Literal["png", "jpeg"] = "png"
    quality: int = 95

    def facts(self, seed: int) -> dict[str, str]:
        """What a bag tells about how it was made, apart from its outcome."""
        pilot = f"{self.model.name} {_weights(self.model)[:16]}" if self.model else "expert"
        pulled = {"strength": self.disturb, "outputs": self.outputs or ["first"]}
        return {
            "world": self.world,
            "seed": str(seed),
            "options": json.dumps(json.loads(self.made) | json.loads(self.reset), sort_keys=True),
            "seconds": str(self.seconds),
            "pilot": pilot,
            "mixture": json.dumps(self.mixture) if self.mixture else "none",
            "disturb": json.dumps(pulled) if self.disturb else "none",
            "noise": json.dumps({"covariance": self.noise}) if self.noise else "none",
            "image": f"jpeg {self.quality}" if self.image == "jpeg" else "png",
            "versions": json.dumps(_versions()),
        }


def is_recorded(settings: Settings, seed: int, folder: Path) -> bool:
    """Whether an earlier run has recorded this episode into `folder`.

    Raises:
        InputError: it has, but with other settings.
    """
    if not folder.exists():
        return False
    if other := same_settings(folder, settings.facts(seed)):
        raise InputError(
            f"{folder} was recorded with another {other} than is asked for now; remove it, or give "
            "another folder or other seeds."
        )
    return True


def same_settings(bag: Path, facts: dict[str, str]) -> str:
    """The first fact of which a recorded bag says something else; "" if there is none.

    Raises:
        InputError: `bag` is none.
    """
    with BagReader(bag) as reader:
        recorded = reader.facts
    return next((x for x in _COMPARED if recorded.get(x, facts[x]) != facts[x]), "")


@functools.lru_cache(maxsize=1)
def load_world(world: str, made: str) -> gymnasium.Env:
    """One world a process, as making it takes longer than an episode."""
    return make_world(world, **json.loads(made))


@functools.lru_cache(maxsize=1)
def load_policy(folder: Path) -> Policy:
    """One policy a process."""
    return Policy.load(folder)


def partial_folder(folder: Path) -> Path:
    """Where a bag lies until it is whole."""
    return folder.with_name(f".{folder.name}.partial")


def record_episode(settings: Settings, seed: int, folder: Path) -> Episode:
    """Record the episode of `seed` as the bag `folder`.

    The bag has its name only when it is whole. Until then, and after an interruption, it is
    `.NAME.partial` beside it, which `BagReader` reads too; the next attempt replaces it.
    """
    env = load_world(settings.world, settings.made)
    world = env.unwrapped
    model = PolicyPilot(load_policy(settings.model)) if settings.model else None
    mixed = model is not None and settings.mixture is not None
    labelled = Mixture(model, *settings.mixture) if mixed else _Labelled(model)
    pilot: Pilot = labelled
    if settings.noise:
        pilot = NoiseInjected(pilot, np.array(settings.noise))
    if settings.disturb:
        pilot = Disturbed(pilot, settings.disturb, settings.outputs)
    partial = partial_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    facts = settings.facts(seed) | {"command": json.dumps(world.command.to_dict())}
    # The images are compressed already.
    with BagWriter(partial, compression="", name=folder.name, facts=facts) as bag:

        def keep(moment: Moment) -> None:
            _write(bag, settings, world, moment, labelled)

        options = json.loads(settings.reset) or None
        episode = run_episode(env, pilot, seed, 0.0, options, keep, settings.seconds)
        # JSON has no NaN: what the world does not measure is left out.
        figures = {k: v for k, v in asdict(episode).items() if v is not None and v == v}
        bag.facts["outcome"] = json.dumps(figures)
    partial.rename(folder)
    return episode


class _Labelled:
    """Asks the world's expert once a frame, and lets it drive unless a model does."""

    proposal = None

    def __init__(self, model: PolicyPilot | None) -> None:
        self._model = model
        self.label: np.ndarray | None = None

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        (self._model or ExpertPilot()).reset(env, seed)
        self._has_expert = has_expert(env)

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        self.label = np.array(env.unwrapped.expert_action()) if self._has_expert else None
        return self._model.act(env, frame, elapsed) if self._model else self.label


def _write(
    bag: BagWriter, settings: Settings, world: Any, moment: Moment, pilot: Mixture | _Labelled
) -> None:
    # Simulated time begins at one second: zero means "no time yet" in ROS 2.
    stamp = SECOND + round(moment.time * SECOND)
    info, names = moment.info, world.command.names
    if settings.image == "png":
        image = messages.png_image(moment.frame, stamp)
    else:
        image = messages.jpeg_image(moment.frame, stamp, quality=settings.quality)
    bag.write("/camera/image_raw/compressed", image, stamp)
    intrinsics = world.intrinsics() if hasattr(world, "intrinsics") else None
    if intrinsics is not None:
        bag.write("/camera/camera_info", messages.camera_info(intrinsics, stamp), stamp)
    if pilot.label is not None:
        bag.write("/expert/command", messages.named_vector(names, pilot.label, stamp), stamp)
    if pilot.proposal is not None:
        # Beside what was done: what the policy would have done where the expert drove, too.
        theirs = [name for name, given in zip(names, pilot.given, strict=True) if given]
        proposal = messages.named_vector(theirs, pilot.proposal[pilot.given], stamp)
        bag.write("/policy/command", proposal, stamp)
    bag.write("/command", messages.named_vector(names, moment.action, stamp), stamp)
    state = messages.named_vector(list(info), list(info.values()), stamp)
    bag.write("/simulator/state", state, stamp)
    if "x" in info and "y" in info:
        bag.write("/odom", _odometry(info, stamp), stamp)


def _odometry(info: dict[str, float], stamp: int) -> Any:
    """Pose and twist, as far as the world knows them."""
    planar = (info["x"], info["y"], info.get("yaw", 0.0))
    speed = info.get("vx", info.get("speed", 0.0))
    more = {name: info[name] for name in ("z", "roll", "pitch", "vy", "vz") if name in info}
    return messages.odometry(*planar, speed, info.get("yaw_rate", 0.0), stamp, **more)


def _weights(model: Path) -> str:
    return str(json.loads((model / "config.json").read_text(encoding="utf-8"))["weights_sha256"])


def _versions() -> dict[str, str]:
    found = {"liquid_control": __version__}
    for package in ("gymnasium", "mujoco", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
