"""A policy for Drone-v0 where it was trained and where it was not: seasons, city, twice as far.

python benchmarks/drone_policy.py fly drone_ncp runs/drone_ncp          every condition
python benchmarks/drone_policy.py table runs/drone_ncp                  the model card's table
python benchmarks/drone_policy.py still drone_ncp saliency.png          what it looks at, on the way
liquid-control compare runs/drone_ncp runs/drone_ncp_rl                 two policies, seed by seed
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import tyro
from PIL import Image

from liquid_control import models
from liquid_control.attention.overlay import overlay
from liquid_control.evaluation.episodes import TABLE, read_episodes
from liquid_control.evaluation.evaluate import evaluate
from liquid_control.evaluation.statistics import bootstrap_interval, wilson_interval
from liquid_control.policy import Driver, Policy
from liquid_control.rollout import make_world, parse_options

# drone_ncp has seen the forest in summer and autumn, targets 8 to 12 m away (config/drone.yaml).
# Where no season is given, the seed decides among all four.
CONDITIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "seen": ("forest, autumn (trained on)", ("season=autumn",)),
    "spring": ("forest, spring", ("season=spring",)),
    "winter": ("forest, winter", ("season=winter",)),
    "far": ("forest, summer, 20 to 24 m", ("season=summer", "distance=[20, 24]")),
    "city": ("city, any season", ("scene=city",)),
    "city_far": ("city, any season, 20 to 24 m", ("scene=city", "distance=[20, 24]")),
}
TRAINED = ("seen",)


def fly(
    model: tyro.conf.Positional[str],
    output: tyro.conf.Positional[Path],
    episodes: int = 40,
    seed: int = 1000,
    conditions: tuple[str, ...] = tuple(CONDITIONS),
) -> None:
    """Evaluate a model in every condition; run it again to go on after an interruption.

    Args:
        model: name or folder.
        output: folder; one evaluation in it for each condition.
        episodes: of each condition.
        seed: of the first one.
        conditions: which of them.
    """
    for name in conditions:
        _, options = CONDITIONS[name]
        world = "liquid_control/Drone-v0"
        settings = {"option": options, "output": output / name, "report": False}
        evaluate(model, world, episodes=episodes, seed=seed, **settings)
    table(output)


def table(folder: tyro.conf.Positional[Path]) -> None:
    """Print success, crashes and time to the target by condition, with 95 % intervals.

    Args:
        folder: that `fly` wrote.
    """
    print("| condition | success | 95 % interval | crashed | s to the target | m flown |")
    print("|---|---|---|---|---|---|")
    everything = {
        name: read_episodes(folder / name)
        for name in CONDITIONS
        if (folder / name / TABLE).exists()
    }
    new = [each for name, rows in everything.items() if name not in TRAINED for each in rows]
    labelled = [(CONDITIONS[name][0], rows) for name, rows in everything.items()]
    for label, rows in [*labelled, ("**all that is new**", new)]:
        reached = [each for each in rows if each.success == 1]
        low, high = wilson_interval(len(reached), len(rows))
        seconds = [each.seconds for each in reached] or [float("nan")]
        early, late = bootstrap_interval(seconds)
        way = sum(each.distance for each in reached) / max(len(reached), 1)
        print(
            f"| {label} | {len(reached)} of {len(rows)} | {low:.1%} to {high:.1%} "
            f"| {sum(each.crashed for each in rows)} "
            f"| {sum(seconds) / len(seconds):.2f} ({early:.2f} to {late:.2f}) | {way:.1f} |"
        )
    failed = {
        name: [each.seed for each in rows if each.success != 1] for name, rows in everything.items()
    }
    print(json.dumps({name: seeds for name, seeds in failed.items() if seeds}))


def still(
    model: tyro.conf.Positional[str], picture: tyro.conf.Positional[Path], seed: int = 1000
) -> None:
    """Draw what a model sees and what its vision head answers to (VisualBackProp): a row for each
    condition, and pairs of pictures at the start, on the way and near the target.

    Args:
        model: name or folder.
        picture: PNG to write.
        seed: of the flights.
    """
    policy = Policy.load(models.find(model))
    driver, env, rows = Driver(policy), make_world("liquid_control/Drone-v0"), []
    for label, options in CONDITIONS.values():
        frame, info = env.reset(seed=seed, options=parse_options(options))
        driver.reset()
        first, pairs, ended = info["target_distance"], [], False
        wanted = [first, first / 2 + 1, 3.0]
        while wanted and not ended:
            command = driver.step(frame, 1 / 30).command
            if info["target_distance"] <= wanted[0]:
                seen = policy.camera.apply(frame)
                pairs += [seen, overlay(seen, driver.attention())]
                wanted = wanted[1:]
            frame, _, terminated, truncated, info = env.step(command)
            ended = terminated or truncated
        pairs += [np.zeros_like(pairs[0])] * (6 - len(pairs))
        rows.append(_labelled(np.hstack(pairs), label))
    env.close()
    # A palette is a third of the size.
    Image.fromarray(np.vstack(rows)).quantize(96).save(picture, optimize=True)


def _labelled(strip: np.ndarray, text: str) -> np.ndarray:
    strip = strip.copy()
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    width = cv2.getTextSize(text, font, size, 1)[0][0]
    cv2.rectangle(strip, (0, 0), (width + 8, 16), (0, 0, 0), cv2.FILLED)
    cv2.putText(strip, text, (4, 12), font, size, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"fly": fly, "table": table, "still": still})
