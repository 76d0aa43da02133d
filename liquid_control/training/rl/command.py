"""`liquid-control rl RECIPE`: a policy from its own experience in a simulated world."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, fields, make_dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import docstring_parser
import numpy as np
import torch
import tyro
from stable_baselines3.common.logger import Logger, make_output_format
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecMonitor,
    VecNormalize,
)

from liquid_control import models
from liquid_control.errors import InputError
from liquid_control.evaluation.output import alone
from liquid_control.files import check_folder, replace_file
from liquid_control.policy import Policy
from liquid_control.rollout import parse_options
from liquid_control.training.networks import make_policy
from liquid_control.training.rl.algorithm import CircuitPPO
from liquid_control.training.rl.callbacks import BEST, CHECKPOINT, Keeper, Progress
from liquid_control.training.rl.checkpoint import restore
from liquid_control.training.rl.evaluation import Evaluator, Score
from liquid_control.training.rl.recipe import RLRecipe, read_rl_recipe
from liquid_control.training.rl.world import FeatureVecEnv, LearnerWorld, command_of

__all__ = ["learn", "make_learner", "make_worlds", "rl"]

_HELP = {
    each.arg_name: each.description for each in docstring_parser.parse(RLRecipe.__doc__).params
}
# Every key of the recipe but the mapping, as an option that is not given by default.
Changes = make_dataclass(
    "Changes",
    [
        (item.name, Annotated[f"{item.type} | None", tyro.conf.arg(help=_HELP[item.name])], None)
        for item in fields(RLRecipe)
        if item.name != "options"
    ],
)


def rl(
    recipe: Path,
    /,
    changes: tyro.conf.OmitArgPrefixes[Changes],
    output: Path | None = None,
    run: Path | None = None,
    threads: int = 0,
    option: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
) -> int:
    """Let a policy learn from its own driving; run the same command again to go on.

    Writes the model that drove best into the output folder, beside it `rl.json` (recipe, scores of
    the start and of the best, time) and `learning_curve.png`; checkpoint, evaluations.csv and logs
    go into the run's.

    Args:
        recipe: YAML file, config/rl_driving.yaml.
        changes: values instead of the recipe's.
        output: folder of the model instead of models/<model>.
        run: folder of the run instead of runs/rl-<model>.
        threads: CPU threads for torch; 0 leaves the choice to it.
        option: of the world, as NAME=VALUE beside or instead of the recipe's; once for each.
    """
    given = {name: value for name, value in vars(changes).items() if value is not None}
    settings = read_rl_recipe(recipe, given)
    settings = replace(settings, options=settings.options | parse_options(option))
    if threads:
        torch.set_num_threads(threads)
    output = output or models.share() / "models" / settings.model
    learn(settings, output, run or Path("runs") / f"rl-{settings.model}")
    return 0


def learn(recipe: RLRecipe, output: Path, run: Path) -> Policy:
    """Learn as `recipe` says, go on where an interrupted run stood, and write the best model.

    Raises:
        InputError: a model, world or option that does not exist or fit, a run of another recipe
            or in another process, an output that cannot be written, or parameters that turned NaN.
    """
    check_folder(output)
    torch.manual_seed(recipe.seed)
    policy = _start(recipe)
    with ExitStack() as last:
        worlds = make_worlds(recipe, policy)
        last.callback(worlds.close)
        model = make_learner(recipe, policy, worlds)
        run.mkdir(parents=True, exist_ok=True)
        last.enter_context(alone(run, "training", "--run"))
        if (run / CHECKPOINT).is_file():
            restore(run / CHECKPOINT, model, recipe)
        done = model.num_timesteps
        # New episodes for the rest of the run, not those of its beginning again.
        model.set_random_seed((recipe.seed + done) % 2**32)
        evaluator = Evaluator(recipe, run / "evaluations.csv", done)
        last.callback(evaluator.close)
        model.set_logger(_logger(run, done))
        started = time.perf_counter()
        if done < recipe.steps:
            model.learn(
                recipe.steps - done,
                [Progress(recipe.steps), Keeper(policy, recipe, evaluator, run)],
                reset_num_timesteps=False,
            )
        minutes = (time.perf_counter() - started) / 60
        policy.to("cpu").eval()
        known = recipe.evaluations and (run / BEST).is_dir()
        trained = Policy.load(run / BEST) if known else policy
    trained.save(output, {"trained_in": recipe.env, "init": recipe.init, "seed": recipe.seed})
    _summarise(recipe, evaluator, model, minutes, output)
    if evaluator.scores and find_spec("matplotlib") is not None:
        from liquid_control.training.rl.curve import draw_curve

        draw_curve(evaluator.scores, output / "learning_curve.png")
    return trained


def make_worlds(recipe: RLRecipe, policy: Policy) -> VecEnv:
    """The recipe's worlds side by side, their rewards and privileged values normalised.

    Raises:
        InputError: no such world, option or privileged value, or no place for an output.
    """
    make = partial(
        LearnerWorld,
        *(recipe.env, recipe.options, policy.spec, policy.camera, recipe.privileged),
        recipe.strides,
        smoothness=recipe.smoothness if recipe.smoothness_of == "action" else 0.0,
        time_cost=recipe.time_cost,
    )
    # Once in this process, where an error is a sentence and no broken pipe.
    first = make()
    try:
        first.reset(seed=0)
    finally:
        first.close()
    if recipe.processes:
        several: VecEnv = SubprocVecEnv([partial(_in_own_process, make)] * recipe.envs)
    else:
        several = DummyVecEnv([make] * recipe.envs)
    worlds: VecEnv = VecMonitor(several)
    if not recipe.head_rate:
        worlds = FeatureVecEnv(worlds, policy.head)
    keys = ["privileged"] if recipe.privileged else None
    return VecNormalize(worlds, norm_obs=bool(keys), norm_obs_keys=keys, gamma=recipe.gamma)


def make_learner(recipe: RLRecipe, policy: Policy, worlds: VecEnv) -> CircuitPPO:
    """What trains the circuit of `policy` in place, and its head if the recipe has a rate for it.

    On a GPU where the head learns and there is one; a circuit alone is faster on the CPU.
    """
    convolves = bool(recipe.head_rate)
    device = "cuda" if convolves and torch.cuda.is_available() else "cpu"
    policy.to(device)
    schedule = (lambda left: 0.1 + 0.9 * left) if recipe.decay else (lambda left: 1.0)
    return CircuitPPO(
        worlds,
        critic_warmup=recipe.critic_warmup,
        length=recipe.length,
        smoothness=recipe.smoothness if recipe.smoothness_of == "mean" else 0.0,
        learning_rate=schedule,
        n_steps=recipe.rollout,
        batch_size=recipe.batch,
        n_epochs=recipe.epochs,
        gamma=recipe.gamma,
        gae_lambda=recipe.gae_lambda,
        clip_range=lambda left: recipe.clip * schedule(left),
        ent_coef=recipe.entropy,
        vf_coef=recipe.value,
        max_grad_norm=recipe.gradient,
        target_kl=recipe.target_kl or None,
        policy_kwargs={
            "circuit": policy.circuit,
            "head": policy.head if convolves else None,
            "tick": policy.tick,
            "critic_layers": recipe.critic_layers,
            "log_std_init": float(np.log(recipe.noise)),
            "circuit_rate": recipe.circuit_rate,
            "head_rate": recipe.head_rate,
            "critic_rate": recipe.critic_rate,
        },
        seed=recipe.seed,
        device=device,
    )


def _in_own_process(make: Callable[[], LearnerWorld]) -> LearnerWorld:
    # Ctrl-C reaches every process of a terminal; the parent decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return make()


def _start(recipe: RLRecipe) -> Policy:
    if recipe.init is None:
        spec = command_of(recipe.env, recipe.options, recipe.outputs)
        return make_policy(recipe.circuit, spec).eval()
    policy = Policy.load(models.find(recipe.init))
    if recipe.outputs and recipe.outputs != policy.spec.names:
        raise InputError(
            f"The model {recipe.init} gives {', '.join(policy.spec.names)}, the recipe wants "
            f"{', '.join(recipe.outputs)}; leave `outputs` out, or start from nothing."
        )
    return policy


def _logger(run: Path, done: int) -> Logger:
    """CSV and TensorBoard; a run that goes on leaves the earlier files as they are."""
    kinds = [make_output_format(kind, str(run), f"-{done}") for kind in ("csv", "tensorboard")]
    return Logger(str(run), kinds)


def _summarise(
    recipe: RLRecipe, evaluator: Evaluator, model: CircuitPPO, minutes: float, output: Path
) -> None:
    scores = evaluator.scores
    results = {
        "recipe": recipe.to_dict(),
        "steps": model.num_timesteps,
        "minutes_of_the_last_part": round(minutes, 2),
        "start": _known(scores[0]) if scores else None,
        "best": _known(max(scores, key=lambda score: score.score)) if scores else None,
    }
    replace_file(output / "rl.json", json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    print(f"{output} holds the model")


def _known(score: Score) -> dict[str, float]:
    """What the world measures; JSON has no NaN."""
    return {name: value for name, value in asdict(score).items() if value == value}
