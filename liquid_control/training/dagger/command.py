"""`liquid-control dagger RECIPE`: an expert shows a policy what to do where the policy gets to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from liquid_control import models
from liquid_control.errors import InputError
from liquid_control.rollout.engine import HERE, Engine
from liquid_control.training.dagger.recipe import (
    DaggerRecipe,
    check_dagger,
    read_dagger_recipe,
)
from liquid_control.training.dagger.report import draw, show
from liquid_control.training.dagger.rounds import learn
from liquid_control.training.imitation import Machine
from liquid_control.training.options import with_defaults
from liquid_control.training.recipe import Recipe

__all__ = ["dagger"]


def dagger(
    recipe: Path,
    /,
    settings: Annotated[DaggerRecipe, tyro.conf.arg(name="")],
    machine: Annotated[Machine, tyro.conf.arg(name="")],
    output: Path | None = None,
    work: Path | None = None,
    engine: Annotated[Engine, tyro.conf.arg(name="")] = HERE,
) -> int:
    """Train a policy by DAgger; run the same command again to go on after an interruption.

    Round by round the policy, in turns with the world's expert, drives new episodes, each frame of
    which the expert labels; it trains on old and new bags and is scored on fixed seeds. Writes the
    best round's model, `dagger.json` (numbers of each round) and `dagger.png` into the output
    folder; bags, checkpoints and the models of all rounds stay in the working folder.

    Args:
        recipe: YAML file, config/dagger_driving_v1.yaml.
        settings: of the recipe, each of which can be given here instead.
        machine: what trainings run on.
        output: folder of the model instead of models/<model>.
        work: working folder instead of checkpoints/<name of output>.
        engine: where episodes are recorded and scored; trainings run here.
    """
    settings = check_dagger(settings, f"{recipe} with the command line's options")
    if machine.devices > 1 or machine.nodes > 1:
        # Each of Lightning's processes would record and score as well.
        raise InputError(
            f"DAgger trains in one process, got --devices {machine.devices} and --nodes "
            f"{machine.nodes}; give --workers, which share the driving."
        )
    machine = replace(machine, devices=1)
    output = output or models.share() / "models" / settings.model
    work = work or Path("checkpoints") / output.name
    try:
        rounds = learn(settings, output, work, machine, engine)
    except KeyboardInterrupt:
        print(
            f"liquid-control: interrupted; what is done is kept in {work}, run the same command "
            "again to go on.",
            file=sys.stderr,
        )
        return 130
    draw(rounds, output / "dagger.png", f"{output.name}: DAgger")
    show(rounds)
    print(f"{output} holds the best round's model, {work} all bags and models")
    return 0


def for_arguments(arguments: Sequence[str]) -> Callable[..., int]:
    """`dagger` with the recipe that these arguments name as the defaults of its settings.

    Raises:
        InputError: the recipe is refused.
    """
    named = bool(arguments) and not arguments[0].startswith("-")
    empty = DaggerRecipe(Recipe(data=("data",), model="name"), "name", "world")
    settings = read_dagger_recipe(arguments[0]) if named else empty
    return with_defaults(dagger, settings=settings, machine=Machine())


dagger.for_arguments = for_arguments
