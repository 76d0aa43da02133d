"""`liquid-control train RECIPE`: a policy from bags, by behavioural cloning on sequences."""

from __future__ import annotations

import json
import logging
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import lightning
import torch
import tyro
from lightning.pytorch.callbacks import (
    LearningRateMonitor,
    ModelCheckpoint,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from liquid_control import models
from liquid_control.data.drive import Drive, load_drives
from liquid_control.errors import InputError
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.evaluation.output import alone
from liquid_control.files import check_folder, json_text, replace_file
from liquid_control.policy import Policy
from liquid_control.training import curves
from liquid_control.training.batches import Windows, validation_loader
from liquid_control.training.budget import Budget
from liquid_control.training.closed_loop import ClosedLoopScore
from liquid_control.training.module import Imitation
from liquid_control.training.networks import make_policy
from liquid_control.training.options import merged, with_defaults
from liquid_control.training.recipe import Recipe, check, read_recipe
from liquid_control.training.split import split_by_time

__all__ = ["Machine", "fit", "train"]

# What may change between an interruption and going on, as it changes no number.
FREE = ("minutes", "checkpoint")


@dataclass(frozen=True)
class Machine:
    """What a training runs on; the same recipe gives the same steps on any number of processes.

    Args:
        devices: processes, one for each GPU; on a CPU any number. 0 takes every GPU, or one CPU
            process.
        nodes: machines; start the same command on each, as Lightning describes.
        accelerator: auto, cpu or gpu.
        loaders: processes that load and vary batches; worth it beside a GPU.
        threads: of torch in each process; 0 leaves the choice to it.

    Raises:
        InputError: a number that is too small.
    """

    devices: int = 0
    nodes: int = 1
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    loaders: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if min(self.devices, self.loaders, self.threads) < 0 or self.nodes < 1:
            raise InputError(
                "A training needs 1 or more nodes and 0 or more devices, loaders and threads, got "
                f"{self.nodes}, {self.devices}, {self.loaders} and {self.threads}."
            )


def train(
    recipe: Path,
    /,
    settings: Annotated[Recipe, tyro.conf.arg(name="")],
    machine: Annotated[Machine, tyro.conf.arg(name="")],
    output: Path | None = None,
    init: str | None = None,
) -> int:
    """Train a policy from bags; run the same command again to go on after an interruption.

    Writes `model.safetensors`, `config.json`, `training.json` (losses, scores of the closed loop,
    open-loop figures of the test part, time) and `learning_curve.png` into the output folder, and
    checkpoints and logs (TensorBoard, CSV) into `checkpoints/<model>`.

    Args:
        recipe: YAML file, config/driving.yaml.
        settings: of the recipe, each of which can be given here instead.
        machine: what it runs on.
        output: folder of the model instead of models/<model>.
        init: start from the weights of this model.
    """
    output = output or models.share() / "models" / settings.model
    where = f"{recipe} with the command line's options"
    try:
        fit(check(settings, where), output, models.find(init) if init else None, machine=machine)
    except KeyboardInterrupt:
        print(
            f"liquid-control: interrupted; the last checkpoint is in checkpoints/{output.name}, "
            "run the same command again to go on.",
            file=sys.stderr,
        )
        return 130
    return 0


def for_arguments(arguments: Sequence[str]) -> Callable[..., int]:
    """`train` with the recipe that these arguments name as the defaults of its settings.

    Raises:
        InputError: the recipe is refused.
    """
    named = bool(arguments) and not arguments[0].startswith("-")
    settings = read_recipe(arguments[0]) if named else Recipe(data=("data",), model="name")
    return with_defaults(train, settings=settings, machine=Machine())


train.for_arguments = for_arguments


def fit(
    recipe: Recipe,
    output: Path,
    init: Path | None = None,
    *,
    work: Path | None = None,
    machine: Machine | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    test: bool = True,
    drives: Sequence[Drive] | None = None,
) -> Policy:
    """Train as `recipe` says and write the model into `output`.

    Args:
        recipe: what to train, and how.
        output: folder of the model.
        init: a model to start from.
        work: folder for checkpoints and logs; `checkpoints/<name of output>` by default. A
            training that was interrupted there goes on.
        machine: what it runs on.
        callbacks: more of Lightning's, called after the drives of the closed loop.
        test: measure the outcome on the test part; a search must not see it.
        drives: the recordings, if not simply those that the recipe names.

    Raises:
        InputError: no data, data that do not hold the wanted outputs or are too short, a checkpoint
            of another training, another process that trains there, an output that cannot be
            written, a machine that lacks what is asked for, or a loss that is not finite.
    """
    check_folder(output)
    machine = machine or Machine()
    if machine.threads:
        torch.set_num_threads(machine.threads)
    work = work or Path("checkpoints") / output.name
    if drives is None:
        drives = load_drives(recipe.data, recipe.camera, recipe.outputs, recipe.labels)
    parts = split_by_time(drives, recipe.validation, recipe.test)
    lightning.seed_everything(recipe.seed, verbose=False)
    policy = Policy.load(init) if init else make_policy(recipe.circuit, recipe.spec, recipe.camera)
    if (policy.spec.names, policy.camera) != (recipe.outputs, recipe.camera):
        raise InputError(
            f"{init} gives {', '.join(policy.spec.names)} from {policy.camera}, the recipe wants "
            f"{', '.join(recipe.outputs)} from {recipe.camera}; start from another model or change "
            "the recipe."
        )
    windows = Windows(parts[0], recipe, varied=True)
    facts = {"frames": [sum(map(len, part)) for part in parts], "init": str(init), **_plain(recipe)}
    budget = Budget(recipe.core_minutes) if recipe.core_minutes else None
    module = Imitation(policy.train(), recipe, windows, facts, machine.loaders, budget)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    loop = ClosedLoopScore(recipe.closed_loop, work) if recipe.closed_loop.world else None
    speed = _Speed()
    trainer = _trainer(recipe, machine, work, [speed, *filter(None, (loop, budget)), *callbacks])
    # The processes of one training fill one folder.
    with alone(work, "training") if trainer.is_global_zero else nullcontext():
        last = _checkpoint(work, facts)
        _announce(trainer, drives, parts, windows, last)
        started = time.perf_counter()
        validation = validation_loader(parts[1], recipe) if parts[1] else None
        _go_through(trainer, module, validation, last)
        best = Policy.load(loop.best) if loop else module.best.eval().cpu()
        if trainer.is_global_zero:
            frames = dict(zip(("training", "validation", "test"), facts["frames"], strict=True))
            results = {
                "recipe": recipe.model,
                "frames": frames,
                "windows": len(windows),
                "steps": trainer.global_step,
                "minutes": round((time.perf_counter() - started) / 60, 2),
                **({"core_minutes": round(budget.used / 60, 2)} if budget else {}),
                "frames_per_second": round(speed.mean, 1),
                "losses": {
                    name: float(value)
                    for name, value in trainer.callback_metrics.items()
                    if name.startswith("losses/")
                },
                "closed_loop": loop.history if loop else None,
                "test": open_loop(best, parts[2]).summary if test and parts[2] else None,
            }
            _write(best, results, recipe, output, work)
    return best


def _go_through(
    trainer: lightning.Trainer, module: Imitation, validation: DataLoader | None, last: Path | None
) -> None:
    with warnings.catch_warnings():
        # Frames come from memory-mapped files: loader processes would only copy them twice.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*is smaller than the logging interval.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")
        warnings.filterwarnings("ignore", ".*but have no `val_dataloader`.*")
        # The averaged policy never trains.
        warnings.filterwarnings("ignore", ".*module.s. in eval mode.*")
        try:
            trainer.fit(
                module,
                val_dataloaders=validation,
                ckpt_path=str(last) if last else None,
                weights_only=True,
            )
        except SystemExit as leaving:
            # After Ctrl-C Lightning ignores further ones and leaves; what leaving means is decided
            # by the command.
            if not trainer.interrupted:
                raise
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from leaving


class _Speed(lightning.Callback):
    """Frames per second of the training alone, without drives and validation."""

    def __init__(self) -> None:
        self.frames, self.seconds = 0, 0.0

    @property
    def mean(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.frames += batch["elapsed"].numel() * trainer.world_size
        self.seconds += time.perf_counter() - self._started
        pl_module.log("frames_per_second", self.mean, prog_bar=True)


def _trainer(
    recipe: Recipe, machine: Machine, work: Path, callbacks: list[lightning.Callback]
) -> lightning.Trainer:
    work.mkdir(parents=True, exist_ok=True)
    several = machine.devices > 1 or machine.nodes > 1
    if recipe.minutes:
        callbacks.append(Timer(timedelta(minutes=recipe.minutes), interval="step", verbose=False))
    callbacks += [
        LearningRateMonitor("step"),
        TQDMProgressBar(refresh_rate=10),
        ModelCheckpoint(
            work,
            save_last=True,
            save_top_k=0,
            every_n_train_steps=recipe.checkpoint,
            enable_version_counter=False,
        ),
    ]
    try:
        return lightning.Trainer(
            max_epochs=recipe.epochs,
            accelerator=machine.accelerator,
            devices=machine.devices or "auto",
            num_nodes=machine.nodes,
            strategy="ddp" if several else "auto",
            # Batches are divided by `Order`, which knows the processes.
            use_distributed_sampler=False,
            precision=recipe.precision,
            gradient_clip_val=recipe.clip,
            log_every_n_steps=10,
            default_root_dir=work,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            logger=[TensorBoardLogger(work, "tensorboard", ""), CSVLogger(work, "csv")],
            callbacks=callbacks,
        )
    except (MisconfigurationException, ValueError) as error:
        raise InputError(
            f"This machine cannot train with --accelerator {machine.accelerator}, --devices "
            f"{machine.devices} and --precision {recipe.precision}: "
            f"{' '.join(str(error).split()).rstrip('.')}; change one of them."
        ) from error


def _plain(recipe: Recipe) -> dict:
    """The recipe as JSON gives it back."""
    settings = json.loads(json.dumps(recipe.to_dict()))
    return {name: value for name, value in settings.items() if name not in FREE}


def _checkpoint(work: Path, facts: dict) -> Path | None:
    """The checkpoint to go on from, if there is one.

    Raises:
        InputError: it is of another training, or cannot be read.
    """
    last = work / "last.ckpt"
    if not last.is_file():
        return None
    try:
        before = json.loads(torch.load(last, map_location="cpu", weights_only=True)["training"])
    except (
        *(RuntimeError, KeyError, EOFError, OSError, ValueError, TypeError),
        pickle.UnpicklingError,
    ) as error:
        raise InputError(
            f"The checkpoint {last} cannot be read ({type(error).__name__}); remove {work} and "
            "begin again."
        ) from error
    # A setting that an older version did not have is as if it had been left at its default.
    before = merged(_plain(Recipe(data=(), model="")), before)
    if changed := sorted(name for name in facts if before.get(name) != facts[name]):
        raise InputError(
            f"{work} holds a training with another {', '.join(changed)}; remove it, or give "
            "another --output."
        )
    return last


def _announce(trainer, drives: Sequence[Drive], parts, windows: Windows, last: Path | None) -> None:
    if not trainer.is_global_zero:
        return
    skipped = sum(sum(drive.skipped.values()) for drive in drives)
    counts = " + ".join(str(sum(map(len, part))) for part in parts)
    print(
        f"{len(drives)} bags, {counts} frames (training + validation + test), {skipped} left out, "
        f"{len(windows)} windows; {'going on from ' + str(last) if last else 'a fresh start'}"
    )


def _write(best: Policy, results: dict, recipe: Recipe, output: Path, work: Path) -> None:
    score = {} if results["closed_loop"] is None else {"closed_loop": dict(best.extra)}
    facts = {"trained_on": list(recipe.data), "circuit": recipe.circuit, "seed": recipe.seed}
    best.save(output, extra={**facts, **score})
    text = json_text(results)
    replace_file(output / "training.json", text)
    curves.draw(work / "csv", output / "learning_curve.png", f"{output.name}: learning curves")
    print(text, end="")
    print(f"{output} holds the model, {work} its checkpoint and logs")
