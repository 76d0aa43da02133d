"""A model that is shown one frame after another, and says where it looks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from liquid_control import models
from liquid_control.analysis.sources import Shot
from liquid_control.attention.explained import targets
from liquid_control.attention.maps import check_method, maps
from liquid_control.attention.overlay import overlay
from liquid_control.errors import InputError, nearest_first
from liquid_control.policy import Decision, Driver, Policy

__all__ = ["Explainer", "Model", "Seen"]


@dataclass(frozen=True)
class Model:
    """A policy and the name that it goes by."""

    name: str
    policy: Policy

    @classmethod
    def load(cls, name: str) -> Model:
        """From the name of a shipped model or the folder of a trained one."""
        folder = models.find(name)
        return cls(Path(folder).resolve().name, Policy.load(folder))


@dataclass(frozen=True)
class Seen:
    """What a model made of one shot.

    Args:
        shot: as it came.
        frame: uint8 RGB (rows, columns, 3), the view of the model.
        decision: on it.
        saliency: float32 (rows, columns) in [0, 1], None for a shot that was only driven through.
    """

    shot: Shot
    frame: np.ndarray
    decision: Decision
    saliency: np.ndarray | None

    def overlay(self) -> np.ndarray | None:
        """uint8 RGB (rows, columns, 3), None without a saliency."""
        return None if self.saliency is None else overlay(self.frame, self.saliency)


@dataclass
class Explainer:
    """One model, one method and one target.

    Args:
        model: whose attention.
        method: one of `attention.maps.METHODS`.
        target: an output, a neuron or a feature; None for what the method is made for.
        keep: how many of the last frames to remember, for `attention.past`.

    Raises:
        InputError: an unknown method or target.
    """

    model: Model
    method: str = "visual-backprop"
    target: str | None = None
    keep: int = 0
    _past: deque = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_method(self.method)
        known = targets(self.model.policy)
        if self.target is not None and self.target not in known:
            near = nearest_first(self.target, known).split(", ")
            raise InputError(
                f"The model {self.model.name} has no output or neuron {self.target!r}; it has "
                f"{len(known)}, for example {', '.join(near[:8])}."
            )
        self._driver = Driver(self.model.policy)
        self._past = deque(maxlen=max(self.keep, 1))

    @property
    def name(self) -> str:
        """For titles: the model, the method and what is explained."""
        return " · ".join(filter(None, (self.model.name, self.method, self.target)))

    @property
    def past(self) -> list[Seen]:
        """The last frames of this drive, oldest first."""
        return list(self._past)

    def look(self, shot: Shot, explain: bool = True) -> Seen:
        """Decide on a shot and, if asked, say where it looks.

        Raises:
            InputError: the image does not fit the model's camera setup.
        """
        policy = self.model.policy
        if shot.begins:
            self._driver.reset()
            self._past.clear()
        frame = policy.camera.apply(shot.image)
        decision = self._driver.step(frame, shot.elapsed)
        seen = Seen(shot, frame, decision, None)
        if explain:
            published = self.method == "visual-backprop" and self.target is None
            saliency = self._driver.attention() if published else self._map(seen)
            seen = replace(seen, saliency=saliency)
        self._past.append(seen)
        return seen

    def also(self, seen: Seen) -> Seen:
        """What another explainer of the same model saw, with a map of this one's where it has one.

        Saves deciding twice; one explainer is shown its shots all by `look` or all by `also`.
        """
        if seen.shot.begins:
            self._past.clear()
        if seen.saliency is not None:
            seen = replace(seen, saliency=self._map(seen))
        self._past.append(seen)
        return seen

    def _map(self, seen: Seen) -> np.ndarray:
        decision = seen.decision
        return maps(
            *(self.model.policy, seen.frame[None], self.method, self.target),
            *(decision.state_before[None], decision.elapsed),
        )[0]
