"""`liquid-control train RECIPE`: a policy from bags, by behavioural cloning on sequences."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import ConcatDataset, DataLoader

from liquid_control import models
from liquid_control.data.drive import Drive, load_drives
from liquid_control.data.sequences import SequenceDataset
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.files import replace_file
from liquid_control.policy import Policy
from liquid_control.training.augment import Augmented
from liquid_control.training.module import Imitation
from liquid_control.training.recipe import Recipe, check, read_recipe
from liquid_control.training.split import split_by_time

__all__ = ["fit", "train"]


def train(
    recipe: Path,
    /,
    data: tuple[str, ...] = (),
    output: Path | None = None,
    init: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    threads: int = 0,
) -> int:
    """Train a policy from bags; run the same command again to go on after an interruption.

    Writes `model.safetensors`, `config.json` and `training.json` (losses, open-loop figures of the
    test part, time) into the output folder, and checkpoints and logs into `checkpoints/<model>`.

    Args:
        recipe: YAML file, config/driving.yaml.
        data: bags or folders of bags instead of the recipe's.
        output: folder of the model instead of models/<model>.
        init: start from the weights of this model.
        epochs: instead of the recipe's.
        seed: instead of the recipe's.
        threads: CPU threads for torch; 0 leaves the choice to it.
    """
    settings = read_recipe(recipe)
    changes = {"data": data or settings.data, "epochs": epochs, "seed": seed}
    settings = replace(settings, **{k: v for k, v in changes.items() if v is not None})
    if threads:
        torch.set_num_threads(threads)
    output = output or models.share() / "models" / settings.model
    fit(check(settings, str(recipe)), output, models.find(init) if init else None)
    return 0


def fit(recipe: Recipe, output: Path, init: Path | None = None) -> Policy:
    """Train as `recipe` says and write the model into `output`.

    Raises:
        InputError: no data, or data that do not hold the wanted outputs.
    """
    drives = load_drives(recipe.data, recipe.camera, recipe.outputs)
    training, validation, test = split_by_time(drives, recipe.validation, recipe.test)
    lightning.seed_everything(recipe.seed, verbose=False)
    policy = Policy.load(init) if init else Policy(recipe.spec, recipe.camera)
    policy.train()
    batches = _loader(training, recipe, shuffle=True)
    module = Imitation(policy, recipe, steps=recipe.epochs * len(batches))
    work = Path("checkpoints") / output.name
    trainer = _trainer(recipe, work)
    last = work / "last.ckpt"
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Frames come from memory-mapped files: loader processes would only copy them twice.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer.fit(
            module,
            batches,
            _loader(validation, recipe, shuffle=False) if validation else None,
            ckpt_path=str(last) if last.is_file() else None,
            weights_only=True,
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    policy.eval()
    results = {
        "recipe": recipe.model,
        "frames": {
            "training": sum(map(len, training)),
            "validation": sum(map(len, validation)),
            "test": sum(map(len, test)),
        },
        "windows": len(batches.dataset),
        "steps": trainer.global_step,
        "minutes": round((time.perf_counter() - started) / 60, 2),
        "losses": {name: float(value) for name, value in trainer.callback_metrics.items()},
        "test": open_loop(policy, test).summary if test else None,
    }
    policy.save(output, extra={"trained_on": list(recipe.data), "seed": recipe.seed})
    replace_file(output / "training.json", json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    return policy


def _loader(drives: list[Drive], recipe: Recipe, shuffle: bool) -> DataLoader:
    sets = [
        SequenceDataset(drives, recipe.length, recipe.shift, stride=stride)
        for stride in recipe.strides
    ]
    windows = ConcatDataset(sets)
    if shuffle:
        windows = Augmented(windows, recipe.augmentation, recipe.seed)
    return DataLoader(windows, recipe.batch, shuffle=shuffle, drop_last=shuffle)


def _trainer(recipe: Recipe, work: Path) -> lightning.Trainer:
    work.mkdir(parents=True, exist_ok=True)
    return lightning.Trainer(
        max_epochs=recipe.epochs,
        precision=recipe.precision,
        gradient_clip_val=recipe.clip,
        log_every_n_steps=10,
        default_root_dir=work,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        logger=[TensorBoardLogger(work, "tensorboard", ""), CSVLogger(work, "csv", "")],
        callbacks=[
            ModelCheckpoint(work, save_last=True, save_top_k=0, every_n_train_steps=200),
            LearningRateMonitor("step"),
            TQDMProgressBar(refresh_rate=10),
        ],
    )
