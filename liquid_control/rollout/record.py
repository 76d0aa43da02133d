"""`liquid-control record`: drive a world and keep what was seen, done and known as bags."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from liquid_control import models
from liquid_control.data.bag import BagWriter
from liquid_control.data.messages import named_vector, odometry, png_image
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.rollout.episode import Episode, Moment, run_episode
from liquid_control.rollout.pilots import Disturbed, ExpertPilot, PolicyPilot
from liquid_control.rollout.workers import check_world, in_parallel, make_world

__all__ = ["record"]

SECOND = 1_000_000_000


@dataclass(frozen=True)
class _Job:
    """What one process needs to record one episode."""

    world: str
    seconds: float
    seed: int
    folder: Path
    model: Path | None
    disturb: float


def record(
    world: str,
    output: Path,
    /,
    episodes: int = 10,
    seconds: float = 18.0,
    seed: int = 0,
    workers: int = 1,
    disturb: float = 0.5,
    model: str | None = None,
) -> int:
    """Record the world's expert, one bag an episode; run it again to go on after an interruption.

    Every frame is kept with the expert's command (`/expert/command`, the label), what was executed
    (`/command`), odometry and the world's ground truth (`/simulator/state`).

    Args:
        world: Gymnasium name, liquid_control/Driving-v0.
        output: folder for the bags; each is named after its seed.
        episodes: how many; their seeds follow `seed`.
        seconds: length of an episode [s].
        seed: of the first episode.
        workers: processes.
        disturb: pull into the steering now and then, with at most this share of full lock.
        model: let this model drive while the expert gives the labels (one round of DAgger).
    """
    if not 0.0 <= disturb <= 1.0:
        raise InputError(f"--disturb is a share of full lock from 0 to 1, got {disturb}.")
    check_world(world, seconds=seconds)
    driver = models.find(model) if model else None
    jobs = [
        _Job(world, seconds, seed + index, output / f"{seed + index:06d}", driver, disturb)
        for index in range(episodes)
    ]
    todo = [job for job in jobs if not job.folder.exists()]
    output.mkdir(parents=True, exist_ok=True)
    crashes = 0
    with tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="episode") as bar:
        for _, episode in in_parallel(_record_episode, todo, workers):
            crashes += episode.crashed
            bar.update()
            bar.set_postfix(crashes=crashes)
    print(f"{len(jobs)} bags in {output}, {crashes} of {len(todo)} new episodes ended off the road")
    return 0


@functools.lru_cache(maxsize=1)
def _world(world: str, seconds: float):
    return make_world(world, seconds=seconds)


@functools.lru_cache(maxsize=1)
def _policy(folder: Path) -> Policy:
    return Policy.load(folder)


def _record_episode(job: _Job) -> Episode:
    env = _world(job.world, job.seconds)
    pilot = PolicyPilot(_policy(job.model)) if job.model else ExpertPilot()
    pilot = Disturbed(pilot, job.disturb) if job.disturb else pilot
    # Under its own name only when it is whole, so that an interrupted episode is recorded again.
    partial = job.folder.with_name(f".{job.folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    start = float(np.random.default_rng([job.seed, 2]).uniform(0.0, 1.0))
    with BagWriter(partial, compression="", name=job.folder.name) as bag:
        episode = run_episode(
            env,
            pilot,
            job.seed,
            options={"start": start},
            on_moment=lambda moment: _write(bag, env.unwrapped, moment),
        )
    partial.rename(job.folder)
    return episode


def _write(bag: BagWriter, world, moment: Moment) -> None:
    # Simulated time begins at one second: zero means "no time yet" in ROS 2.
    stamp = SECOND + round(moment.time * SECOND)
    info, names = moment.info, world.command.names
    bag.write("/camera/image_raw/compressed", png_image(moment.frame, stamp), stamp)
    bag.write("/expert/command", named_vector(names, world.expert_action(), stamp), stamp)
    bag.write("/command", named_vector(names, moment.action, stamp), stamp)
    bag.write("/simulator/state", named_vector(list(info), list(info.values()), stamp), stamp)
    pose = (info["x"], info["y"], info["yaw"], info["speed"], info["yaw_rate"])
    bag.write("/odom", odometry(*pose, stamp), stamp)
