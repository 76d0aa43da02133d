"""Worlds by name, with options for their constructor and their `reset`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control.errors import InputError
from liquid_control.rollout.pilots import Pilot

__all__ = ["check_world", "default_of", "make_world", "split_options"]

_NAMESPACE = "liquid_control/"


def make_world(world: str, **options) -> gymnasium.Env:
    """`gymnasium.make` for worlds that follow liquid_control's protocol.

    Args:
        world: one of liquid_control's, or "module:Name-v0" for one that `module` registers.
        options: for the world's constructor.

    Raises:
        InputError: no such world, which names the known ones, or one that does not say what its
            actions mean.
    """
    env = gymnasium.make(_name(world), **options)
    if not hasattr(env.unwrapped, "command"):
        env.close()
        raise InputError(
            f"The world {world} does not say what its actions mean: expected an attribute "
            "`command` (liquid_control.command.CommandSpec); add one."
        )
    return env


def split_options(world: str, options: dict) -> tuple[dict, dict]:
    """Which of a world's options its constructor takes, and which are left for its `reset`.

    Raises:
        InputError: no such world.
    """
    names = _parameters(world)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in names.values()):
        return dict(options), {}
    made = {name: value for name, value in options.items() if name in names}
    return made, {name: value for name, value in options.items() if name not in names}


def default_of(world: str, option: str) -> Any:
    """What a world's constructor takes for an option that is not given; None where it does not say.

    Raises:
        InputError: no such world.
    """
    parameter = _parameters(world).get(option)
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def check_world(
    world: str, reset: dict | None = None, pilot: Pilot | None = None, **options
) -> None:
    """Make a world, draw its first frame, and let a pilot get in, before anything is written.

    Args:
        world: as for `make_world`.
        reset: options of the world's `reset`.
        pilot: who is to drive.
        options: of its constructor.

    Raises:
        InputError: no such world, no OpenGL, or a pilot that does not fit the world.
    """
    env = make_world(world, **options)
    try:
        env.reset(seed=0, options=reset or None)
        if pilot is not None:
            pilot.reset(env, 0)
    finally:
        env.close()


def _parameters(world: str) -> Mapping[str, inspect.Parameter]:
    """Of a world's constructor, by name."""
    entry = gymnasium.spec(_name(world)).entry_point
    creator = entry if callable(entry) else load_env_creator(entry)
    return inspect.signature(creator).parameters


def _name(world: str) -> str:
    """The Gymnasium name of a world, whose module is imported if it is given."""
    module, _, name = world.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise InputError(
                f"The module {module!r} of the world {world!r} cannot be imported ({error}); "
                "check its name and PYTHONPATH."
            ) from error
    known = [name for name in gymnasium.registry if name.startswith(_NAMESPACE)]
    if name not in (gymnasium.registry if module else known):
        raise InputError(
            f"No world {world!r}: expected one that says what its actions mean and has an expert, "
            f"{', '.join(known)}; choose one of these."
        )
    return name
