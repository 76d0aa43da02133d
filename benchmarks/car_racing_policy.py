"""What a policy scores on CarRacing and, without training on them, on its zero-shot variants.

    python benchmarks/car_racing_policy.py carracing_ncp            evaluates, then prints the table
    python benchmarks/car_racing_policy.py carracing_ncp --json-file F    also writes it
    python benchmarks/car_racing_policy.py carracing_ncp --picture F.png  draws saliency instead

Each condition is one `liquid-control evaluate`; run it again to go on after an interruption. The
scores of AttentionAgent are those of Tang, Nguyen and Ha, "Neuroevolution of Self-Interpretable
Agents" (GECCO 2020), on CarRacing-v0, but for domain_randomize, which is its weights' on v3.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import tyro

from liquid_control import models
from liquid_control.attention.overlay import overlay
from liquid_control.evaluation.evaluate import evaluate
from liquid_control.files import replace_file
from liquid_control.policy import Driver, Policy
from liquid_control.rollout import Engine, make_world, parse_options

WORLD = "liquid_control/CarRacing-v0"
# Condition: option of the world, score of AttentionAgent.
CONDITIONS = {
    "plain": ((), "914 ± 15"),
    "color": (("variant=color",), "866"),
    "color3": (("variant=color3",), "673"),
    "bar": (("variant=bar",), "900"),
    "blob": (("variant=blob",), "898"),
    "noise": (("variant=noise",), "-58"),
    "domain_randomize": (("domain_randomize=true",), "390 ± 449"),
}


def draw(model: str, file: Path, seed: int = 2, steps: int = 105, side: int = 192) -> None:
    """A frame in every condition, and what the head looks at in it."""
    policy = Policy.load(models.find(model))
    env = make_world(WORLD)
    columns = []
    for name, (option, _) in CONDITIONS.items():
        driver = Driver(policy)
        frame, _ = env.reset(seed=seed, options=parse_options(option))
        for _ in range(steps):
            driver.step(frame, 0.02)
            frame = env.step(env.unwrapped.expert_action())[0]
        driver.step(frame, 0.02)
        seen = policy.camera.apply(frame)
        pictures = [
            cv2.resize(picture, (side, side), interpolation=cv2.INTER_NEAREST)
            for picture in (seen, overlay(seen, driver.attention()))
        ]
        column = cv2.copyMakeBorder(
            np.vstack(pictures), 24, 3, 3, 3, cv2.BORDER_CONSTANT, value=(255, 255, 255)
        )
        font = cv2.FONT_HERSHEY_SIMPLEX
        columns.append(cv2.putText(column, name, (6, 17), font, 0.5, (0, 0, 0), 1, cv2.LINE_AA))
    env.close()
    done, content = cv2.imencode(".png", np.hstack(columns)[..., ::-1])
    assert done
    replace_file(file, content.tobytes())


def main(
    model: str,
    /,
    plain: int = 100,
    episodes: int = 25,
    seed: int = 1000,
    workers: int = 1,
    output: Path | None = None,
    json_file: Path | None = None,
    picture: Path | None = None,
) -> None:
    """Evaluate in every condition and print the scores.

    Args:
        model: name of a shipped model or folder of a trained one.
        plain: laps on the plain world.
        episodes: laps in each other condition.
        seed: of the first lap.
        workers: processes.
        output: folder for the runs; runs/car_racing-<model> by default.
        json_file: also write the figures here.
        picture: instead, draw frames and saliency in every condition into this PNG file.
    """
    if picture:
        draw(model, picture)
        return
    output = output or Path("runs") / f"car_racing-{Path(model).name}"
    found = {}
    for name, (option, _) in CONDITIONS.items():
        count = episodes if option else plain
        settings = {"engine": Engine(workers), "option": option, "output": output / name}
        evaluate(model, WORLD, count, seed, **settings, report=False)
        results = json.loads((output / name / "results.json").read_text())
        figures = results["groups"][0]["figures"]
        reward, finished = figures["reward"], figures["success"]
        found[name] = {
            "episodes": count,
            "seed": seed,
            "weights_sha256": next(iter(results["models"].values()))["weights_sha256"],
            "mean": round(reward["mean"], 1),
            "interval": reward["interval"] and [round(end, 1) for end in reward["interval"]],
            "finished": round(finished["mean"], 3),
        }
    print("| condition | laps | mean score | 95 % interval | laps finished | AttentionAgent |")
    print("|---|---|---|---|---|---|")
    for name, row in found.items():
        ends = " to ".join(map(str, row["interval"] or ()))
        print(
            f"| {name} | {row['episodes']} | {row['mean']} | {ends} | "
            f"{row['finished']:.0%} | {CONDITIONS[name][1]} |"
        )
    if json_file:
        replace_file(json_file, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
