"""Eight recurrent networks on sequences: what they can express, remember and predict.

    python benchmarks/sequences.py trajectory      length of untrained networks' paths
    python benchmarks/sequences.py controller      train a robot's controller (shipped: no need)
    python benchmarks/sequences.py rollouts        record the walking robots
    python benchmarks/sequences.py train           all trainings; goes on where it was stopped
    python benchmarks/sequences.py tables          print the tables, draw the plots

Needs `pip install -e '.[bench,train,fast]'`, and for the task `activity` the data that aeon ships
(`pip install --no-deps aeon==1.6.0`). docs/sequences.md reads the results.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import tyro
from sequence_tasks.data import Data, Task
from sequence_tasks.models import MODELS, VARIANTS
from sequence_tasks.walkers import ROBOTS, Controller, mean_return, train_controller
from tqdm import tqdm

from liquid_control.errors import InputError
from liquid_control.files import replace_file

RESULTS = Path(__file__).with_name("results") / "sequences"
RECORDINGS = Path(__file__).parents[1] / "data" / "sequences"


def trajectory(trials: int = 10, folder: Path = RESULTS) -> None:
    """Measure the paths of untrained networks: trajectory.json, trajectory.csv, trajectory.png.

    Args:
        trials: random networks of each setting.
        folder: where the results go.
    """
    from sequence_tasks.plots import plot_trajectories
    from sequence_tasks.trajectory import KINDS, lengths

    if trials < 2:
        raise InputError(f"Expected 2 trials or more, for a deviation, got {trials}.")
    rows = lengths(trials)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "trajectory.json", json.dumps(rows, indent=1) + "\n")
    write_csv(folder / "trajectory.csv", rows)
    plot_trajectories(rows, folder / "trajectory.png")
    print("| varied | value |" + "".join(f" {name} |" for name in KINDS.values()))
    print("|---|---|" + "---|" * len(KINDS))
    for first in range(0, len(rows), len(KINDS)):
        group = rows[first : first + len(KINDS)]
        sweep = group[0]["sweep"]
        cells = [f"{row['plane']:.3g} ± {row['plane_deviation']:.2g}" for row in group]
        value = "A {targets}, {recurrent} recurrent" if sweep == "advantage" else f"{{{sweep}}}"
        print(f"| {sweep} | {value.format(**group[0])} | {' | '.join(cells)} |")


def controller(
    robot: str = "halfcheetah", steps: int = 2_000_000, checkpoints: Path = RECORDINGS
) -> None:
    """Train the controller of a robot by PPO, in place of the shipped one.

    Args:
        robot: "halfcheetah" or "walker2d".
        steps: steps of training.
        checkpoints: folder for what an interrupted training goes on from; stable-baselines3 pickles
            it, so use none that somebody else wrote.
    """
    require_robot(robot)
    trained = train_controller(robot, steps, checkpoints / "checkpoints")
    print(f"wrote {trained.save(robot)}")


def rollouts(episodes: int = 20, folder: Path = RECORDINGS) -> None:
    """Record the walking robots, and state the mean returns of their controllers.

    Args:
        episodes: episodes of the mean return.
        folder: where the recordings go.
    """
    from sequence_tasks.rollouts import record

    returns = {}
    for robot in ROBOTS:
        path = record(robot, folder)
        mean, deviation = mean_return(Controller.load(robot), robot, episodes)
        returns[robot] = {"mean": mean, "deviation": deviation, "episodes": episodes}
        with np.load(path) as file:
            frames, runs = len(file["observations"]), len(file["lengths"])
        print(f"{robot}: return {mean:.0f} ± {deviation:.0f} in {episodes} episodes without random")
        print(f"  actions; {frames} frames of {runs} episodes with 5 % of them in {path}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    replace_file(RESULTS / "controllers.json", json.dumps(returns, indent=1) + "\n")


def train(
    tasks: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    seeds: int = 3,
    cap: float = 600.0,
    rate: float | None = None,
    epochs: int | None = None,
    folder: Path = RESULTS,
    recordings: Path = RECORDINGS,
) -> None:
    """Train what has no result yet, seed after seed; safe to stop and start again.

    The learning rate of each network on each task is the best of four on the validation part, found
    by short pilots.

    Args:
        tasks: names of tasks, all by default.
        models: names of networks, the eight by default; "ltc_full" and "ltc_slow" are
            variants of the LTC-NCP.
        seeds: trainings of each network on each task.
        cap: seconds after which a training is stopped.
        rate: learning rate, in place of pilots; with a folder of its own.
        epochs: epochs, in place of the task's own; with a folder of its own.
        folder: where runs.jsonl and pilots.jsonl, a line a training, are and grow.
        recordings: where `rollouts` has put its files.
    """
    import torch
    from sequence_tasks.results import add, read
    from sequence_tasks.tasks import chosen
    from sequence_tasks.training import train as train_one

    known = (*MODELS, *VARIANTS)
    unknown = [model for model in models if model not in known]
    if unknown or seeds < 1 or not cap > 0:
        raise InputError(
            f"Expected models out of {', '.join(known)}, 1 or more seeds and a cap above 0 s, got "
            f"{', '.join(models) or 'all models'}, {seeds} and {cap}."
        )
    if not (rate is None or rate > 0) or not (epochs is None or epochs > 0):
        raise InputError(f"Expected a rate and epochs above 0, got {rate} and {epochs}.")
    if (rate is not None or epochs is not None) and folder == RESULTS:
        raise InputError(
            f"Expected a --folder of its own for another rate or other epochs, as {RESULTS} holds "
            "the results of the tasks' own recipes."
        )
    torch.set_num_threads(1)
    path, pilots = folder / "runs.jsonl", folder / "pilots.jsonl"
    done = {(each.task, each.model, each.seed) for each in read(path)}
    listed = chosen(recordings, tasks)
    plan = [
        (task, model, seed)
        for seed in range(seeds)
        for task in (replace(each, epochs=epochs or each.epochs) for each in listed)
        for model in models or MODELS
        if (task.name, model, seed) not in done
    ]
    made = {}
    with tqdm(plan, unit="training") as progress:
        for task, model, seed in progress:
            progress.set_postfix_str(f"{task.name} {model} {seed}")
            if task.name not in made:
                made[task.name] = task.make()
            data = made[task.name]
            best = rate if rate is not None else tuned_rate(task, data, model, pilots, cap)
            result = train_one(task, data, model, seed, best, cap)
            add(path, result)
            progress.write(
                f"{task.name:12} {model:12} seed {seed}: {result.test:.4f} after {result.epochs} "
                f"epochs of {result.epoch_process_s:.2f} s ({result.ended})"
            )


def tuned_rate(task: Task, data: Data, model: str, pilots: Path, cap_s: float) -> float:
    """The learning rate of the best pilot; trains the pilots that the file `pilots` lacks."""
    from sequence_tasks.results import add, read
    from sequence_tasks.training import RATES, best_rate, pilot

    tried = [each for each in read(pilots) if (each.task, each.model) == (task.name, model)]
    for rate in RATES:
        if all(each.recipe["rate"] != rate for each in tried):
            tried.append(pilot(task, data, model, rate, cap_s))
            add(pilots, tried[-1])
    return best_rate(tried, task)


def tables(folder: Path = RESULTS, recordings: Path = RECORDINGS) -> None:
    """Print a table of each task, and write tables.md, tasks.csv and tasks.png.

    Args:
        folder: where runs.jsonl is, and where these go.
        recordings: where `rollouts` has put its files.
    """
    from sequence_tasks.plots import plot_tasks
    from sequence_tasks.results import read, summary_rows, table
    from sequence_tasks.tasks import chosen

    results = read(folder / "runs.jsonl")
    if not results:
        raise InputError(f"Expected results in {folder / 'runs.jsonl'}, found none; run `train`.")
    listed = chosen(recordings, ())
    text = "\n\n".join(table(task, results) for task in listed) + "\n"
    print(text)
    replace_file(folder / "tables.md", text)
    write_csv(folder / "tasks.csv", summary_rows(listed, results))
    plot_tasks(listed, results, folder / "tasks.png")


def write_csv(path: Path, rows: list[dict]) -> None:
    """Rows with the same keys as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(path, text.getvalue())


def require_robot(robot: str) -> None:
    if robot not in ROBOTS:
        raise InputError(f"Expected a robot out of {', '.join(ROBOTS)}, got {robot!r}.")


def main(arguments: list[str] | None = None) -> int:
    """0 when the command succeeded, 2 when its input does not fit."""
    commands = {each.__name__: each for each in (trajectory, controller, rollouts, train, tables)}
    try:
        tyro.extras.subcommand_cli_from_dict(
            commands, args=arguments, prog="sequences.py", description=__doc__
        )
    except InputError as error:
        print(f"sequences.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
