"""`liquid-control record`: drive a world and keep what was seen, done and known as bags."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from tqdm import tqdm

from liquid_control import models
from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.policy import Policy
from liquid_control.rollout import dart
from liquid_control.rollout.bundle import Bundle, model_bundle
from liquid_control.rollout.engine import HERE, Engine
from liquid_control.rollout.episode import Episode
from liquid_control.rollout.episode_bag import (
    Settings,
    is_recorded,
    load_policy,
    load_world,
)
from liquid_control.rollout.pilots import PolicyPilot, chosen_outputs
from liquid_control.rollout.recording import Recording, record_episodes
from liquid_control.rollout.world_options import parse_options
from liquid_control.rollout.worlds import make_world, split_options

__all__ = ["record"]

# Its road is much longer than an episode and starts alike, so recordings are spread along it.
_SPREAD = {"liquid_control/Driving-v0": "start"}
# Seeds that no recording, training or evaluation uses, for measuring a model's error.
_DART_SEED = 2_000_000_000
_DART_FILE = "dart.json"


def record(
    world: Annotated[str, tyro.conf.arg(metavar="WORLD")],
    output: Annotated[Path, tyro.conf.arg(metavar="OUT")],
    /,
    expert: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    model: str | None = None,
    episodes: int = 10,
    seconds: float = 18.0,
    seed: int = 0,
    engine: Annotated[Engine, tyro.conf.arg(name="")] = HERE,
    option: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    disturb: float | None = None,
    disturb_output: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    dart_model: str | None = None,
    dart_scale: float = 1.0,
    dart_episodes: int = 4,
    image: Literal["png", "jpeg"] = "png",
    quality: int = 95,
) -> int:
    """Record a world's expert, one bag an episode; run it again to go on after an interruption.

    Every frame is kept with the expert's command (`/expert/command`, the label), what was executed
    (`/command`), odometry, the camera's calibration and the world's ground truth
    (`/simulator/state`). The bags are the same for any number of workers, here or on a cluster.

    Args:
        world: Gymnasium name, liquid_control/Driving-v0, or module:Name-v0 of a world of yours.
        output: folder for the bags; each is named after its seed.
        expert: let the world's expert drive (the default).
        model: let this model drive while the expert gives the labels (one round of DAgger).
        episodes: how many; their seeds follow `seed`.
        seconds: longest time of an episode [s]; the world may end it before.
        seed: of the first episode.
        engine: where the episodes are driven; the bags are written here.
        option: of the world, as NAME=VALUE with a YAML value (season=winter); once for each.
        disturb: pull into the command now and then, with at most this share of half an output's
            range; 0.5 by default, or 0 with --dart-model.
        disturb_output: which output is pulled, once for each; the first by default, "all" for all.
        dart_model: add noise with the covariance of this model's error to the expert (DART).
        dart_scale: factor on this covariance.
        dart_episodes: episodes of the expert on which the error is measured.
        image: store frames as png (lossless) or jpeg.
        quality: of jpeg, 1 to 100.
    """
    if expert and model:
        raise InputError("Either the expert drives or a model: leave --expert or --model out.")
    if disturb is None:
        disturb = 0.0 if dart_model else 0.5
    _check(episodes, seconds, seed, disturb, dart_scale, dart_episodes, quality)
    made, reset = split_options(world, parse_options(option))
    _try_out(world, made, reset, disturb_output)
    settings = Settings(
        world=world,
        made=json.dumps(made, sort_keys=True),
        reset=json.dumps(reset, sort_keys=True),
        seconds=seconds,
        model=_loadable(model),
        disturb=disturb,
        outputs=disturb_output if disturb else (),
        image=image,
        quality=quality,
    )
    robot = _loadable(dart_model)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {output} cannot be made ({error.strerror}); give another one."
        ) from error
    if robot:
        settings = _with_noise(settings, robot, dart_scale, dart_episodes, output, engine)
    jobs = [
        (_spread(settings, seed + index), seed + index, output / f"{seed + index:06d}")
        for index in range(episodes)
    ]
    return _record(jobs, output, engine)


def _record(jobs: list[Recording], output: Path, engine: Engine) -> int:
    todo = [job for job in jobs if not is_recorded(*job)]
    done: list[Episode] = []
    try:
        with tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="episode") as bar:
            for _, episode in record_episodes(todo, engine):
                done.append(episode)
                bar.update()
                bar.set_postfix(crashes=sum(episode.crashed for episode in done))
    except KeyboardInterrupt:
        whole = sum(folder.exists() for _, _, folder in jobs)
        print(
            f"liquid-control: interrupted; {whole} of {len(jobs)} bags are whole in {output}, run "
            "the same command again to go on.",
            file=sys.stderr,
        )
        return 130
    crashes = sum(episode.crashed for episode in done)
    goals = [episode.success for episode in done if episode.success is not None]
    reached = f", {sum(goals):.0f} succeeded" if goals else ""
    print(
        f"{len(jobs)} bags in {output}, {crashes} of {len(todo)} new episodes ended in a crash"
        f"{reached}"
    )
    return 0


def _spread(settings: Settings, seed: int) -> Settings:
    name, reset = _SPREAD.get(settings.world), json.loads(settings.reset)
    if name is None or name in reset:
        return settings
    reset[name] = float(np.random.default_rng([seed, 2]).uniform(0.0, 1.0))
    return replace(settings, reset=json.dumps(reset, sort_keys=True))


def _with_noise(
    settings: Settings, robot: Path, scale: float, episodes: int, output: Path, engine: Engine
) -> Settings:
    """Settings with the covariance of the robot's error, measured once for a folder of bags."""
    config = json.loads((robot / "config.json").read_text(encoding="utf-8"))
    asked = {
        "model": robot.name,
        "weights_sha256": config["weights_sha256"],
        "world": settings.world,
        "options": json.loads(settings.made) | json.loads(settings.reset),
        "seconds": settings.seconds,
        "scale": scale,
        "episodes": episodes,
    }
    file = output / _DART_FILE
    if file.is_file():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if changed := [name for name in asked if kept.get(name) != asked[name]]:
            raise InputError(
                f"{file} holds noise for another {', '.join(changed)}; give another folder."
            )
        return replace(settings, noise=tuple(map(tuple, kept["covariance"])))
    jobs = [(_spread(settings, _DART_SEED + k), _DART_SEED + k) for k in range(episodes)]
    bar = tqdm(
        engine.spread(partial(_error, model_bundle(robot)), jobs),
        total=episodes,
        desc=f"error of {robot.name}",
        unit="episode",
    )
    # In the order of the seeds: the last bits of a sum depend on it.
    sums = [one for _, one in sorted(bar, key=lambda pair: pair[0][1])]
    rows = dart.covariance(sums, scale).tolist()
    replace_file(file, json.dumps({**asked, "covariance": rows}, indent=1) + "\n")
    return replace(settings, noise=tuple(map(tuple, rows)))


def _error(robot: Bundle, job: tuple[Settings, int]) -> dart.ErrorSum:
    settings, seed = job
    env = load_world(settings.world, settings.made)
    options = json.loads(settings.reset) or None
    policy = PolicyPilot(load_policy(robot.folder))
    return dart.episode_error(env, policy, seed, options, settings.seconds)


def _loadable(model: str | None) -> Path | None:
    """A model's folder; a broken one is refused before anything is written."""
    if model is None:
        return None
    folder = models.find(model)
    Policy.load(folder)
    return folder


def _try_out(world: str, made: dict, reset: dict, outputs: tuple[str, ...]) -> None:
    """Draw a first frame with all options, before anything is written.

    Raises:
        InputError: the world has no such option or output, or there is no OpenGL.
    """
    # It takes any option without a word.
    if world in _SPREAD and (odd := set(reset) - {_SPREAD[world]}):
        raise InputError(
            f"{world} has no option {', '.join(sorted(odd))}; expected {_SPREAD[world]} or one of "
            "its constructor's."
        )
    env = make_world(world, **made)
    try:
        env.reset(seed=0, options=reset or None)
        chosen_outputs(env.unwrapped.command, outputs)
    finally:
        env.close()


def _check(
    episodes: int,
    seconds: float,
    seed: int,
    disturb: float,
    scale: float,
    dart_episodes: int,
    quality: int,
) -> None:
    if not 0.0 <= disturb <= 1.0:
        raise InputError(f"--disturb is a share of an output's range from 0 to 1, got {disturb}.")
    if episodes < 1 or dart_episodes < 1 or not 0 < seconds < math.inf:
        raise InputError(
            "A recording needs 1 or more episodes of a length above 0 s, got --episodes "
            f"{episodes}, --dart-episodes {dart_episodes} and --seconds {seconds}."
        )
    if seed < 0:
        raise InputError(f"--seed is a whole number of 0 or more, got {seed}.")
    if not 0 <= scale < math.inf:
        raise InputError(f"--dart-scale is a factor of 0 or more, got {scale}.")
    if not 1 <= quality <= 100:
        raise InputError(f"--quality of JPEG is from 1 to 100, got {quality}.")
