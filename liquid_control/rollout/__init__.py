"""The closed loop, once: a pilot, a world, seeds, perturbations, workers.

Recording, DAgger, early stopping and evaluation all call it, so a crash means the same everywhere.
`pilots` say who drives, `conditions` what hinders them, `episode` runs one episode, `engine`
spreads many over processes (`workers`) or machines (`cluster`), to which models travel as
`bundle`s, `dart` measures the noise that recovery is learned from, and `record` keeps episodes as
bags.
"""

from liquid_control.rollout.conditions import Perturbation, Perturbed
from liquid_control.rollout.engine import Engine, spread
from liquid_control.rollout.episode import Episode, Moment, run_episode
from liquid_control.rollout.pilots import (
    Disturbed,
    ExpertPilot,
    Mixture,
    NoiseInjected,
    Pilot,
    PolicyPilot,
)
from liquid_control.rollout.world_options import parse_options
from liquid_control.rollout.worlds import check_world, make_world, split_options

__all__ = [
    "Disturbed",
    "Engine",
    "Episode",
    "ExpertPilot",
    "Mixture",
    "Moment",
    "NoiseInjected",
    "Perturbation",
    "Perturbed",
    "Pilot",
    "PolicyPilot",
    "check_world",
    "make_world",
    "parse_options",
    "run_episode",
    "split_options",
    "spread",
]
