"""The settings of DAgger, as a YAML file and as a checked dataclass."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from liquid_control.errors import InputError
from liquid_control.training.options import merged
from liquid_control.training.recipe import (
    ClosedLoop,
    Recipe,
    check,
    from_entries,
    read_entries,
)

__all__ = ["Beta", "DaggerRecipe", "Score", "check_dagger", "read_dagger_recipe"]


@dataclass(frozen=True)
class Beta:
    """Probability that the expert drives, round by round (Ross et al. 2011, section 3).

    Args:
        schedule: "exponential" multiplies it by `decay` every round, "linear" takes it to 0 within
            `fade` rounds, "constant" keeps it.
        first: of the first round, 0 to 1; 0 lets the policy drive alone.
        decay: factor a round, 0 to 1.
        fade: rounds until a linear one is 0.
    """

    schedule: Literal["exponential", "linear", "constant"] = "exponential"
    first: float = 0.5
    decay: float = 0.5
    fade: int = 4

    def at(self, number: int) -> float:
        """Beta of round `number`, from 1."""
        if self.schedule == "exponential":
            return self.first * self.decay ** (number - 1)
        if self.schedule == "linear":
            return self.first * max(0.0, 1 - (number - 1) / self.fade)
        return self.first


@dataclass(frozen=True)
class Score:
    """Drives after each round, on the same seeds every time; the best round is kept.

    Args:
        episodes: drives.
        seconds: longest time of a drive [s].
        seed: of the first drive; neither training, DAgger's recordings nor evaluation use it.
        by: what counts, as `closed_loop: score` of a training.
    """

    episodes: int = 20
    seconds: float = 30.0
    seed: int = 950_000
    by: Literal["survival", "success", "reward"] = "survival"


@dataclass(frozen=True)
class DaggerRecipe:
    """Everything that decides the outcome of DAgger, besides the data.

    Args:
        train: how each round trains, and on which demonstrations besides the rounds' own bags; in
            the file, entries that replace those of the recipe `base`.
        model: name of the model; it is written to `models/<model>` unless told otherwise.
        world: Gymnasium name of a world with an expert.
        init: model to begin with; by default one is trained from the demonstrations first.
        rounds: how often to record, train and score.
        episodes: recorded a round.
        seconds: longest time of a recorded episode [s].
        seed: of the first recorded episode; the others follow.
        options: of the world, each NAME=VALUE, for recording and scoring.
        beta: how often the expert drives.
        segment: time for which one drives [s].
        takeover: the expert also drives a segment where the policy's command is off by more than
            this share of half an output's range; 0 switches it off.
        disturb: pull into the command now and then, as `record --disturb`; 0 switches it off.
        start: weights that a round's training begins with: those of the round before ("last"), of
            the best round so far, which then also drives ("best"), or none ("fresh").
        frames: most frames that a round trains on; the newest bags are always among them, the rest
            are drawn anew from all older ones. 0 takes all.
        newest: weight of a frame of the newest bags in the loss; all others count 1.
        mistakes: of the rounds' bags only the stretches are kept in which the policy's command is
            off by more than this share of half an output's range; 0 keeps everything.
        around: how much before and after such a mistake is kept [s].
        score: drives after each round.
        perfect: rounds in a row with no crash, or with nothing but success, after which to stop; 0
            is never.
    """

    train: Recipe
    model: str
    world: str
    init: str = ""
    rounds: int = 5
    episodes: int = 40
    seconds: float = 20.0
    seed: int = 500_000
    options: tuple[str, ...] = ()
    beta: Beta = field(default_factory=Beta)
    segment: float = 1.0
    takeover: float = 0.0
    disturb: float = 0.0
    start: Literal["last", "best", "fresh"] = "last"
    frames: int = 0
    newest: float = 1.0
    mistakes: float = 0.0
    around: float = 1.0
    score: Score = field(default_factory=Score)
    perfect: int = 2

    def closed_loop(self, workers: int) -> ClosedLoop:
        """The drives of a round's score, as a training's closed loop knows them."""
        score = self.score
        return ClosedLoop(
            world=self.world,
            episodes=score.episodes,
            seconds=score.seconds,
            seed=score.seed,
            score=score.by,
            options=self.options,
            workers=workers,
        )

    def to_dict(self) -> dict[str, Any]:
        """All settings, JSON-ready."""
        return asdict(self)


def read_dagger_recipe(path: str | Path) -> DaggerRecipe:
    """Read and check a recipe; its `base` is a training's recipe, relative to its own folder.

    Raises:
        InputError: no such file, not YAML, an unknown key, or a value that makes no sense.
    """
    content = read_entries(path)
    if "data" in content:
        raise InputError(
            f"{path} is a training's recipe; expected one of DAgger, which names it as its `base`, "
            "such as config/dagger_driving_v1.yaml."
        )
    base = content.pop("base", None)
    entries = content.get("train", {})
    if not isinstance(entries, dict):
        raise InputError(f"{path}: train must hold `key: value` lines, got {entries!r}.")
    if base is not None:
        entries = merged(read_entries(Path(path).parent / str(base)), entries)
    name = content.get("model", "dagger")
    content["train"] = {**entries, "model": name}
    return check_dagger(from_entries(DaggerRecipe, content, str(path)), str(path))


def check_dagger(recipe: DaggerRecipe, where: str) -> DaggerRecipe:
    """Return the recipe if its values make sense.

    Raises:
        InputError: they do not.
    """

    def need(holds: bool, what: str, came: Any) -> None:
        if not holds:
            raise InputError(f"{where} needs {what}, got {came}.")

    train = check(recipe.train, f"{where}: train")
    need(bool(recipe.world), "world: the name of a world with an expert", "none")
    for name in ("rounds", "episodes"):
        need(getattr(recipe, name) >= 1, f"{name} of 1 or more", getattr(recipe, name))
    for name in ("segment", "takeover", "mistakes", "around", "frames", "perfect"):
        value = getattr(recipe, name)
        need(0 <= value < math.inf, f"{name} of 0 or more", value)
    need(0 < recipe.seconds < math.inf, "seconds above 0", recipe.seconds)
    need(0 < recipe.newest < math.inf, "newest above 0", recipe.newest)
    need(0 <= recipe.disturb <= 1, "disturb from 0 to 1", recipe.disturb)
    beta, score = recipe.beta, recipe.score
    need(0 <= beta.first <= 1, "beta: first from 0 to 1", beta.first)
    need(0 <= beta.decay <= 1, "beta: decay from 0 to 1", beta.decay)
    need(beta.fade >= 1, "beta: fade of 1 or more", beta.fade)
    need(score.episodes >= 1, "score: episodes of 1 or more", score.episodes)
    need(0 < score.seconds < math.inf, "score: seconds above 0", score.seconds)
    need(min(recipe.seed, score.seed) >= 0, "seeds of 0 or more", (recipe.seed, score.seed))
    last = recipe.seed + recipe.rounds * recipe.episodes
    need(
        last <= score.seed or recipe.seed >= score.seed + score.episodes,
        "other seeds for recording than for the score",
        f"{recipe.seed} to {last - 1} and {score.seed} to {score.seed + score.episodes - 1}",
    )
    return replace(recipe, train=replace(train, model=recipe.model))
