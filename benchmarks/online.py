"""What learning from a person's corrections while driving brings, and what it costs.

python benchmarks/online.py drive      interventions a minute, with and without
python benchmarks/online.py latency    frame to command of the policy node, with and without
python benchmarks/online.py cost       processor time that it adds to the node's process

`drive`: `driving_v0_ncp` has learnt with a camera that looks straight ahead; here it is turned. A
scripted person, the world's expert, takes the wheel when the car is more than 0.5 m off the middle
of its lane, for a second or more, and gives it back within 0.1 m of it. Both runs of a pair drive
the same road from the same place, without a break; afterwards what was learnt drives another road
with nobody to help, and that road with the camera straight, to see what was forgotten.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium
import numpy as np
import torch
import tyro
from tqdm import tqdm

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control import models
from liquid_control.circuits.flat import flat, put
from liquid_control.files import replace_file
from liquid_control.policy import Driver, Policy
from liquid_control.rollout import PolicyPilot, run_episode
from liquid_control.training.online import OnlineAdaptation, Sample, Update
from liquid_control.training.online_settings import Settings
from liquid_control.training.trust_region import TrustRegion

# The conditions of config/rl_camera_askew.yaml.
ROAD = {
    "lanes": 2,
    "markings": "solid",
    "hills": 0.0,
    "obstacles": "none",
    "season": "summer",
    "daytime": "day",
    "weather": "clear",
}
TAKE, GIVE, SHORTEST = 0.5, 0.1, 1.0  # [m], [m], [s]
ELSEWHERE = 5000  # added to a seed for the road that tests what was learnt


DEFAULTS = Settings()


@dataclass
class Drive:
    """One run: what happened in each minute, and afterwards on another road."""

    seed: int
    learns: bool
    interventions: list[int]
    held: list[float]  # share of the time in the person's hand
    lateral: list[float]  # mean absolute error [m]
    crashes: int
    updates: int
    refused: int
    distance: float
    elsewhere: dict[str, dict[str, float]]


def drive(
    model: str = "driving_v0_ncp",
    pairs: int = 4,
    minutes: int = 5,
    camera_yaw: float = 8.0,
    first_seed: int = 40_000,
    after: float = 30.0,
    settings: Settings = DEFAULTS,
    output: Path = Path("runs/online.json"),
) -> None:
    """Drive in pairs, with and without learning.

    Args:
        model: name or folder of the model.
        pairs: roads.
        minutes: driven on each, twice.
        camera_yaw: how far to the left the camera looks [deg].
        first_seed: of the first road.
        after: seconds on another road, and once more with the camera straight.
        settings: of the learning.
        output: results, written after every pair; runs that it holds are not repeated.
    """
    torch.set_num_threads(1)
    shipped = Policy.load(models.find(model))
    facts = {"model": model, "minutes": minutes, "camera_yaw": camera_yaw, "after": after}
    facts["settings"] = asdict(settings)
    done: list[Drive] = []
    if output.is_file():
        stored = json.loads(output.read_text())
        if stored["facts"] == facts:
            done = [Drive(**each) for each in stored["drives"]]
    env = gymnasium.make("liquid_control/Driving-v1", seconds=60.0 * minutes, **ROAD)
    for seed in range(first_seed, first_seed + pairs):
        for learns in (False, True):
            if any((each.seed, each.learns) == (seed, learns) for each in done):
                continue
            done.append(
                one(env, copy.deepcopy(shipped), seed, learns, minutes, camera_yaw, after, settings)
            )
            output.parent.mkdir(parents=True, exist_ok=True)
            content = {"facts": facts, "drives": [asdict(each) for each in done]}
            replace_file(output, json.dumps(content, indent=1) + "\n")
    env.close()
    show(done)


def one(
    env: gymnasium.Env,
    policy: Policy,
    seed: int,
    learns: bool,
    minutes: int,
    camera_yaw: float,
    after: float,
    settings: Settings,
) -> Drive:
    """One run of a pair; `policy` is changed."""
    rate = env.metadata["render_fps"]
    driver, adaptation = Driver(policy), OnlineAdaptation(policy, settings)
    frame, info = env.reset(seed=seed, options={"camera_yaw": camera_yaw})
    held, since, crashes = False, 0.0, 0
    rows = []
    for _ in tqdm(range(minutes * 60 * rate), desc=f"{seed} {learns}", disable=None):
        decision = driver.step(frame, 1 / rate)
        error = abs(info["lateral_error"])
        since += 1 / rate
        taken = not held and error > TAKE
        if taken:
            held, since = True, 0.0
        elif held and since >= SHORTEST and error < GIVE:
            held = False
        person = env.unwrapped.expert_action()
        if learns:
            adaptation.add(
                Sample(
                    driver.features,
                    decision.state_before,
                    decision.elapsed,
                    decision.reset,
                    decision.command,
                    person[:1] if held else None,
                )
            )
            update = adaptation.update()
            if update is not None and update.accepted:
                put(policy.circuit, torch.from_numpy(update.weights))
                driver.refresh()
        rows.append((taken, held, error))
        cruise = env.unwrapped.cruise
        action = person if held else np.array([decision.command[0], cruise], np.float32)
        frame, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            crashes += int(terminated)
            frame, info = env.reset(seed=seed + 1000 * crashes, options={"camera_yaw": camera_yaw})
            driver.reset()
            held = False
    by_minute = np.array(rows, float).reshape(minutes, -1, 3)
    elsewhere = {
        name: {key: float(getattr(episode, key)) for key in ("lateral_error", "seconds", "crashed")}
        for name, yaw in (("turned", camera_yaw), ("straight", 0.0))
        if after
        for episode in [
            run_episode(
                env,
                PolicyPilot(policy),
                seed + ELSEWHERE,
                options={"camera_yaw": yaw},
                seconds=after,
            )
        ]
    }
    return Drive(
        seed=seed,
        learns=learns,
        interventions=by_minute[..., 0].sum(1).astype(int).tolist(),
        held=by_minute[..., 1].mean(1).tolist(),
        lateral=by_minute[..., 2].mean(1).tolist(),
        crashes=crashes,
        updates=adaptation.updates,
        refused=adaptation.refused,
        distance=adaptation.region.distance(torch.from_numpy(adaptation.weights)),
        elsewhere=elsewhere,
    )


def show(drives: list[Drive]) -> None:
    """The table of docs/training.md."""
    for learns in (False, True):
        chosen = [each for each in drives if each.learns == learns]
        print("with learning" if learns else "without")
        for name in ("interventions", "held", "lateral"):
            table = np.array([getattr(each, name) for each in chosen], float)
            minutes = "  ".join(f"{value:6.2f}" for value in table.mean(0))
            print(f"  {name:<14} {minutes}   by drive {np.round(table.sum(1), 2).tolist()}")
        print(f"  crashes {sum(each.crashes for each in chosen)}")
        if learns:
            print(f"  updates {[each.updates for each in chosen]}", end="")
            print(f"  refused {[each.refused for each in chosen]}", end="")
            print(f"  distance {[round(each.distance, 2) for each in chosen]}")
        for name in ("turned", "straight"):
            if chosen and chosen[0].elsewhere:
                errors = [each.elsewhere[name]["lateral_error"] for each in chosen]
                crashed = sum(each.elsewhere[name]["crashed"] for each in chosen)
                print(
                    f"  another road, camera {name}: lateral error {np.mean(errors):.3f} m "
                    f"({', '.join(f'{e:.2f}' for e in errors)}), {crashed:.0f} left the road"
                )


def latency(model: str = "driving_ncp", turns: int = 3, seconds: float = 20.0) -> None:
    """Frame to command of the policy node, by turns without and with learning.

    A person has the vehicle in hand all the time, so that it learns as much as it ever will.

    Args:
        model: name or folder of the model.
        turns: of each kind.
        seconds: of frames at 30 Hz in a turn, after the learner has started.
    """
    found: dict[bool, list[tuple[np.ndarray, int]]] = {False: [], True: []}
    for _ in range(turns):
        for learns in found:
            found[learns].append(_latencies(model, learns, seconds))
    print("            frames  updates  age p50  p99   inference p50  p99 [ms]")
    for learns, parts in found.items():
        rows = np.concatenate([values for values, _ in parts]) * 1e3
        figures = [np.percentile(rows[:, k], q) for k in (0, 1) for q in (50, 99)]
        updates = sum(count for _, count in parts)
        name = "learning" if learns else "not"
        print(f"{name:<12}{len(rows):5d}  {updates:7d}  " + "  ".join(f"{f:6.2f}" for f in figures))


def _latencies(model: str, learns: bool, seconds: float) -> tuple[np.ndarray, int]:
    """Age and inference (frames, 2) [s], and how many updates came into force meanwhile."""
    import rclpy
    from geometry_msgs.msg import TwistStamped
    from sensor_msgs.msg import Image, JointState

    from liquid_control.ros import conversion, processes
    from liquid_control.ros.runtime import COMMAND, SENSOR

    folder = Path(tempfile.mkdtemp())
    environment = processes.environment(folder)
    os.environ["ROS_DOMAIN_ID"] = environment["ROS_DOMAIN_ID"]
    arguments = ["--ros-args", "-p", f"model:={model}", "-p", f"adapt:={str(learns).lower()}"]
    arguments += ["-p", "adapt_tolerance:=1.0"]
    child = processes.start(
        "policy", "liquid_control.ros.policy_node", arguments, environment, folder
    )
    rclpy.init()
    node = rclpy.create_node("latency")
    rows: list[tuple[float, float]] = []
    updates: list[JointState] = []
    node.create_subscription(JointState, "policy/latency", lambda m: rows.append(m.position), 50)
    node.create_subscription(JointState, "policy/updates", updates.append, 50)
    camera = node.create_publisher(Image, "image", SENSOR)
    person = node.create_publisher(TwistStamped, "intervention", COMMAND)
    frames = np.random.default_rng(0).integers(0, 256, (30, 78, 200, 3), np.uint8)
    begin = number = 0
    steady = time.monotonic()
    while not begin or number < begin + seconds * 30:
        stamp = time.time_ns()
        # It never gets what it wants: the sign changes every two seconds.
        curvature = 0.03 if number // 60 % 2 else -0.03
        person.publish(conversion.twist_stamped(5.0, 5.0 * curvature, stamp))
        camera.publish(conversion.image(frames[number % 30], stamp, "camera"))
        number += 1
        while (left := steady + number / 30 - time.monotonic()) > 0:
            rclpy.spin_once(node, timeout_sec=left)
        if not begin and rows and (len(updates) > 1 or not learns):
            begin = number
            rows.clear()
            updates.clear()
    node.destroy_node()
    rclpy.try_shutdown()
    processes.stop(child)
    return np.array(rows), len(updates)


def cost(model: str = "driving_ncp", frames: int = 200) -> None:
    """Processor time in the node's own thread, which hardly depends on what else runs.

    Args:
        model: name or folder of the model.
        frames: decided on.
    """
    import rclpy
    from rclpy.lifecycle import LifecycleNode

    from liquid_control.ros.adaptation import Adaptation
    from liquid_control.ros.vehicle import Vehicle

    torch.set_num_threads(1)
    rclpy.init()
    folder, vehicle = models.find(model), Vehicle(5.0, 2.7, 0.4)
    driver = Driver(Policy.load(folder))
    node = LifecycleNode("cost")
    adaptation = Adaptation(node, folder, driver, vehicle, DEFAULTS, driver.refresh)
    frame = np.random.default_rng(0).integers(0, 256, (78, 200, 3), np.uint8)
    spent: dict[str, list[float]] = {"decision": [], "learning": [], "new weights": []}

    def timed(name: str, work: Callable, *arguments: object) -> object:
        before = time.thread_time()
        result = work(*arguments)
        spent[name].append(time.thread_time() - before)
        return result

    region = TrustRegion(driver.policy.circuit, DEFAULTS.radius)
    rng = np.random.default_rng(0)
    for number in range(frames):
        decision = timed("decision", driver.step, frame, 1 / 30)
        timed("learning", adaptation.follow, decision, number)
        if number % 10 == 9:
            before = flat(driver.policy.circuit)
            step = torch.from_numpy(rng.normal(0, 1e-3, len(before)).astype(np.float32))
            after = region.project(before + step)
            figures = (0.2, 0.1, 0.0, 0.0, region.distance(after))
            update = Update(number, True, before.numpy(), after.numpy(), *figures)
            timed("new weights", adaptation._take, update)
    adaptation.destroy()
    rclpy.try_shutdown()
    for name, values in spent.items():
        middle, late = np.percentile(np.array(values[1:]) * 1e3, [50, 99])
        print(f"{name:<12} {middle:.2f} ms median, {late:.2f} ms p99")


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"drive": drive, "latency": latency, "cost": cost})
