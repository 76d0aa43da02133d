"""What a run that was killed needs to go on, in one file that cannot run code.

stable-baselines3's own files hold pickled objects, which can run anything when they are loaded.
Here the learner is made anew from its recipe, and only tensors and numbers are read.
"""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.vec_env import VecNormalize

from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.training.rl.algorithm import CircuitPPO
from liquid_control.training.rl.recipe import RLRecipe

__all__ = ["restore", "save"]

FORMAT = "liquid_control rl checkpoint 1"
# What may change when a run goes on.
FREE = (
    *("steps", "processes", "evaluate_every", "evaluations", "evaluation_seed"),
    *("checkpoint_every",),
)


def save(path: Path, model: CircuitPPO, recipe: RLRecipe) -> None:
    """Write the state of a run in one step."""
    content = {
        "format": FORMAT,
        "recipe": json.dumps(_fixed(recipe)),
        "steps": model.num_timesteps,
        "updates": model._n_updates,
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "statistics": _statistics(model.get_vec_normalize_env()),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, buffer.getvalue())


def restore(path: Path, model: CircuitPPO, recipe: RLRecipe) -> None:
    """Put a learner that was made from `recipe` where the run stood.

    Raises:
        InputError: the file is no checkpoint, is damaged, or belongs to another recipe.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != FORMAT:
            raise KeyError(FORMAT)
        # A setting that an older version did not have is as if it had been at its default.
        before = _fixed(RLRecipe("", "")) | json.loads(content["recipe"])
        now = _fixed(recipe)
        if changed := [name for name in now if before[name] != now[name]]:
            raise InputError(
                f"{path} belongs to a run with another {', '.join(changed)}; give another --run or "
                "remove that folder."
            )
        model.policy.load_state_dict(content["policy"])
        model.policy.optimizer.load_state_dict(content["optimizer"])
        model.num_timesteps, model._n_updates = content["steps"], content["updates"]
        _take_statistics(model.get_vec_normalize_env(), content["statistics"])
    except (OSError, EOFError, pickle.UnpicklingError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path} is no checkpoint of this version, or damaged ({type(error).__name__}); remove "
            "it to begin again."
        ) from error


def _fixed(recipe: RLRecipe) -> dict[str, Any]:
    # Through JSON, as what is compared has come through it.
    values = json.loads(json.dumps(recipe.to_dict()))
    return {name: value for name, value in values.items() if name not in FREE}


def _statistics(normalize: VecNormalize | None) -> dict[str, dict[str, Any]]:
    """Running means of rewards, and of privileged values where there are some."""
    return {
        name: {
            "mean": torch.as_tensor(each.mean),
            "var": torch.as_tensor(each.var),
            "count": float(each.count),
        }
        for name, each in _running(normalize).items()
    }


def _take_statistics(normalize: VecNormalize | None, values: dict[str, dict[str, Any]]) -> None:
    for name, each in _running(normalize).items():
        each.mean, each.var = values[name]["mean"].numpy(), values[name]["var"].numpy()
        each.count = values[name]["count"]


def _running(normalize: VecNormalize | None) -> dict[str, Any]:
    if normalize is None:
        return {}
    observed = normalize.obs_rms if normalize.norm_obs else {}
    return {"return": normalize.ret_rms, **observed}
