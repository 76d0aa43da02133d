"""What may stand between a world and its pilot: noise, something on the lens, losses, delay.

What happens in front of the lens or inside the camera (fog, night, a camera that is turned, blur)
are options of the world; see `docs/evaluation.md` for both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import gymnasium
import numpy as np

from liquid_control.camera import cut_out, gaussian
from liquid_control.errors import InputError, known_only
from liquid_control.rollout.pilots import Pilot, neutral_action

__all__ = ["Perturbation", "Perturbed"]

RANGES = {"noise": 1.0, "occlusion": 0.9, "dropped": 0.95, "latency": 2.0}
GREY = 40  # of what covers the lens, 0 to 255
# Share of a step by which a latency may miss a whole number of them (0.067 s at 30 Hz is one).
SLACK = 0.05


@dataclass(frozen=True)
class Perturbation:
    """How a pilot is hindered; the defaults leave it alone.

    Attributes:
        noise: variance of Gaussian noise on the scale [0, 1], see `camera.gaussian`. 0 to 1.
        occlusion: share of the frame that is covered by a dark rectangle, 0 to 0.9. It has the
            frame's proportions and stays for the episode at a place that the seed decides.
        dropped: probability 0 to 0.95 that a frame never arrives. Then nobody is asked: the last
            command holds, and the next frame comes with the time since the last one that arrived.
        latency: time from a frame to the moment its command acts [s], 0 to 2; a whole number of
            the world's steps. Until the first one arrives, the command is `neutral_action`.
    """

    noise: float = 0.0
    occlusion: float = 0.0
    dropped: float = 0.0
    latency: float = 0.0

    def __post_init__(self) -> None:
        for name, high in RANGES.items():
            value = getattr(self, name)
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not 0 <= value <= high:
                raise InputError(
                    f"The perturbation {name!r} is a number from 0 to {high:g}, got {value!r}."
                )
            object.__setattr__(self, name, float(value))

    def to_dict(self) -> dict[str, float]:
        """What is not zero, by name."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Perturbation:
        """A perturbation by names, such as of a suite's file.

        Raises:
            InputError: a name is not known, or a value is out of its range.
        """
        known_only("perturbation", values, (field.name for field in fields(cls)))
        return cls(**values)


class Perturbed:
    """A pilot behind a bad lens and a bad cable.

    Everything random comes from the seed, in a stream for each purpose: the noise is the same
    whether frames are covered or not.

    Args:
        pilot: who drives.
        perturbation: what hinders it.

    Attributes:
        seen: the frame that the pilot saw last, uint8 RGB.
    """

    seen: np.ndarray

    def __init__(self, pilot: Pilot, perturbation: Perturbation) -> None:
        self._pilot, self._perturbation = pilot, perturbation

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        """A new episode begins.

        Raises:
            InputError: the latency is no whole number of the world's steps.
        """
        rate = env.metadata["render_fps"]
        steps = self._perturbation.latency * rate
        if abs(steps - round(steps)) > SLACK:
            low, high = (1000 * int(steps + more) / rate for more in (0, 1))
            raise InputError(
                f"A latency is a whole number of the world's steps of {1000 / rate:.1f} ms, got "
                f"{1000 * self._perturbation.latency:.1f} ms; choose {low:.1f} or {high:.1f} ms."
            )
        self._pilot.reset(env, seed)
        self._noise = np.random.default_rng(seed)
        self._losses = np.random.default_rng([seed, 5])
        self._place = np.random.default_rng([seed, 6]).random(2)
        self._on_the_way = deque([neutral_action(env)] * round(steps))
        self._answer: np.ndarray | None = None
        self._since = 0.0

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        """The command that acts now; the pilot is asked only for a frame that arrives."""
        self._since += elapsed
        dropped = self._perturbation.dropped
        lost = dropped > 0 and self._losses.random() < dropped and self._answer is not None
        if not lost:
            self.seen = self._worsened(frame)
            self._answer = self._pilot.act(env, self.seen, self._since)
            self._since = 0.0
        self._on_the_way.append(self._answer)
        return self._on_the_way.popleft()

    def _worsened(self, frame: np.ndarray) -> np.ndarray:
        if share := self._perturbation.occlusion:
            sides = np.array(frame.shape[:2])
            size = np.rint(sides * np.sqrt(share)).astype(int)
            top, left = np.rint(self._place * (sides - size)).astype(int)
            frame = cut_out(frame, top, left, *size, GREY)
        return gaussian(frame, self._perturbation.noise, self._noise)
