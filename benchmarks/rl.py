"""Time of a recurrent PPO update: our circuits beside the LSTM policy of sb3-contrib, in one run.

    python benchmarks/rl.py                   one thread, prints the tables
    python benchmarks/rl.py --json-file F     writes them as JSON, too

All learn from 32 features a step, made in advance, of worlds whose episodes end at random, so that
episodes start inside of a rollout. Every contender has 19 neurons of memory in its actor.
sb3-contrib learns from whole rollouts, cut where episodes start; ours from sequences of 32 steps,
but for one contender. They take turns, so that a change of the machine's speed meets all; quote the
ratio of the medians. Beside the time on the clock stands the processor time of this process, which
other programs disturb less.

The second table runs the circuit of each contender over the batches of one update again, forward
and backward: its share of the update. The third does whole rounds (rollout and update of five
epochs) in `Driving-v0`, with a frozen head and with one that learns, in one process so that all is
counted; it needs models/driving_ncp.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium import spaces
from rich.console import Console
from rich.table import Table
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from liquid_control.circuits import LSTM, LTC, CfC, Circuit, flagship_wiring
from liquid_control.policy import Policy
from liquid_control.training.rl import actor_critic
from liquid_control.training.rl.algorithm import CircuitPPO
from liquid_control.training.rl.command import make_learner, make_worlds
from liquid_control.training.rl.recipe import RLRecipe

FEATURES, NEURONS = 32, 19


class Features(gymnasium.Env):
    """Random features that change slowly; episodes of 20 to 200 steps."""

    action_space = spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, timed: bool) -> None:
        self._timed = timed
        features = spaces.Box(-np.inf, np.inf, (FEATURES,))
        elapsed = spaces.Box(0.0, np.inf, (1,))
        both = spaces.Dict({"features": features, "elapsed": elapsed})
        self.observation_space = both if timed else features

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self._left = int(self.np_random.integers(20, 200))
        self._features = self.np_random.uniform(0, 1, FEATURES)
        return self._observe(), {}

    def step(self, action: np.ndarray):
        self._left -= 1
        self._features += 0.1 * self.np_random.normal(size=FEATURES)
        reward = -float((action[0] - self._features[0]) ** 2)
        return self._observe(), reward, self._left <= 0, False, {}

    def _observe(self):
        features = self._features.astype(np.float32)
        if not self._timed:
            return features
        return {"features": features, "elapsed": np.array([1 / 30], np.float32)}


@dataclass
class Contender:
    """A learner with a full rollout buffer."""

    name: str
    model: RecurrentPPO
    wall_s: list[float] = field(default_factory=list)
    process_s: list[float] = field(default_factory=list)

    def turn(self) -> None:
        wall, process = time.perf_counter(), time.process_time()
        self.model.train()
        self.wall_s.append(time.perf_counter() - wall)
        self.process_s.append(time.process_time() - process)


def settings_of(batch: int, rollout: int) -> dict[str, Any]:
    return {
        "n_steps": rollout,
        "batch_size": batch,
        "n_epochs": 1,
        "seed": 0,
        "device": "cpu",
    }


def theirs(name: str, critic: bool, envs: int, **settings: Any) -> Contender:
    worlds = DummyVecEnv([lambda: Features(False)] * envs)
    keywords = {"lstm_hidden_size": NEURONS, "enable_critic_lstm": critic}
    model = RecurrentPPO("MlpLstmPolicy", worlds, policy_kwargs=keywords, **settings)
    return filled(Contender(name, model))


def ours(
    name: str, circuit: Circuit, critic: Circuit | None = None, *, envs: int, **settings: Any
) -> Contender:
    worlds = DummyVecEnv([lambda: Features(True)] * envs)
    keywords = {"circuit": circuit, "critic_circuit": critic}
    return filled(Contender(name, CircuitPPO(worlds, policy_kwargs=keywords, **settings)))


def filled(contender: Contender) -> Contender:
    """Learns once, which compiles, allocates and leaves a full buffer."""
    contender.model.set_logger(Logger(None, []))
    contender.model.learn(1)
    return contender


def update_table(contenders: list[Contender], turns: int) -> list[dict]:
    for _ in range(turns):
        for contender in contenders:
            contender.turn()
    rows = []
    for contender in contenders:
        row = {"name": contender.name, "turns": turns}
        for clock in ("wall_s", "process_s"):
            values = getattr(contender, clock)
            row[clock] = statistics.median(values)
            row[f"{clock}_range"] = [min(values), max(values)]
            for base, label in zip(contenders, ("both_lstm", "actor_lstm"), strict=False):
                before = statistics.median(getattr(base, clock))
                row[f"{clock}_times_faster_than_{label}"] = before / row[clock]
        rows.append(row)
    return rows


def circuit_calls(model: CircuitPPO) -> list[tuple[Tensor, ...]]:
    """Inputs, state and elapsed times of every call of the circuit in one update."""
    calls, run = [], actor_critic.run_sequences

    def note(circuit: Circuit, *arguments: Any):
        if circuit is model.policy.circuit:
            calls.append(arguments)
        return run(circuit, *arguments)

    actor_critic.run_sequences = note
    model.train()
    actor_critic.run_sequences = run
    return calls


def circuit_time(model: CircuitPPO, turns: int) -> tuple[float, float]:
    """Median time on the clock of one update, and of its circuit alone, in turns [s]."""
    calls, circuit = circuit_calls(model), model.policy.circuit

    def alone() -> None:
        for inputs, state, elapsed, starts in calls:
            outputs, _ = actor_critic.run_sequences(
                circuit, inputs.detach(), state, elapsed, starts
            )
            circuit.zero_grad()  # as PPO does; else gradients are added, not handed over
            outputs.sum().backward()

    return tuple(medians([model.train, alone], turns))


def medians(calls: list[Callable[[], object]], turns: int) -> list[float]:
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(turns):
        for call, taken in zip(calls, seconds, strict=True):
            started = time.process_time()
            call()
            taken.append(time.process_time() - started)
    return [statistics.median(taken) for taken in seconds]


def share_table(contenders: list[Contender], turns: int) -> list[dict]:
    rows = []
    for contender in contenders:
        update, circuit = circuit_time(contender.model, turns)
        rows.append(
            {
                "name": contender.name,
                "update_process_s": update,
                "circuit_process_s": circuit,
                "share": circuit / update,
            }
        )
    return rows


def world_table(turns: int, rounds: int) -> list[dict]:
    """Rounds of rollout and update in Driving-v0, in one process, from models/driving_ncp."""
    rows = []
    for name, head_rate in (("frozen head", 0.0), ("head learns", 1e-5)):
        recipe = RLRecipe(
            model="benchmark",
            env="liquid_control/Driving-v0",
            options={"seconds": 8.0},
            envs=2,
            processes=False,
            rollout=rounds,
            batch=128,
            epochs=5,
            target_kl=0.0,
            head_rate=head_rate,
            privileged=("lateral_error", "heading_error"),
        )
        policy = Policy.load(Path("models/driving_ncp"))
        worlds = make_worlds(recipe, policy)
        model = make_learner(recipe, policy, worlds)
        model.set_logger(Logger(None, []))
        model.learn(2 * rounds)  # the first round compiles and loads
        driving, run = [0.0], actor_critic.run_sequences

        def timed(*arguments: Any, driving: list[float] = driving, run: Callable = run):
            started = time.process_time()
            result = run(*arguments)
            driving[0] += (time.process_time() - started) * (not torch.is_grad_enabled())
            return result

        actor_critic.run_sequences = timed
        started = time.process_time()
        model.learn(2 * rounds, reset_num_timesteps=False)
        whole = time.process_time() - started
        actor_critic.run_sequences = run
        update, circuit = circuit_time(model, turns)
        worlds.close()
        rows.append(
            {
                "name": name,
                "decisions": 2 * rounds,
                "round_process_s": whole,
                "update_process_s": update,
                "circuit_in_update_process_s": circuit,
                "circuit_in_rollout_process_s": driving[0],
                "share_of_update": circuit / update,
                "share_of_round": (circuit + driving[0]) / whole,
            }
        )
    return rows


def show(title: str, rows: list[dict]) -> None:
    names = [name for name in rows[0] if not name.endswith("_range")]
    table = Table(title=title)
    for name in names:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(
            *(f"{row[n]:.4g}" if isinstance(row[n], float) else str(row[n]) for n in names)
        )
    Console(width=160).print(table)


def main(
    turns: int = 9,
    envs: int = 8,
    rollout: int = 256,
    batch: int = 512,
    world: bool = True,
    json_file: Path | None = None,
) -> None:
    """Print the tables.

    Args:
        turns: measurements of each.
        envs: worlds side by side.
        rollout: steps of each in an update of one epoch.
        batch: steps in a batch.
        world: also the third table.
        json_file: where to write the tables.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = {**settings_of(batch, rollout), "envs": envs}
    wiring = flagship_wiring(1)
    liquid = [
        ours("LTC, 19 neurons, 253 synapses", LTC(wiring), **settings),
        ours("CfC, 19 neurons, 253 synapses", CfC(wiring), **settings),
        ours("our LSTM, 19 neurons", LSTM(FEATURES, NEURONS, 1), **settings),
        ours("LTC, and a CfC in the critic", LTC(wiring), CfC(wiring), **settings),
        ours("LTC, gradients through whole rollouts", LTC(wiring), length=rollout, **settings),
    ]
    contenders = [
        theirs("sb3-contrib, LSTMs in actor and critic", True, **settings),
        theirs("sb3-contrib, LSTM in the actor alone", False, **settings),
        *liquid,
    ]
    tables = {
        "update on features": update_table(contenders, turns),
        "share of the circuit": share_table(liquid, turns),
    }
    if world:
        tables["rounds in Driving-v0"] = world_table(3, 128)
    for title, rows in tables.items():
        show(title, rows)
    if json_file is not None:
        json_file.write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
