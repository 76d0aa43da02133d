"""Many episodes recorded as bags, wherever they are driven."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from liquid_control.rollout.bundle import Bundle, model_bundle
from liquid_control.rollout.engine import Engine
from liquid_control.rollout.episode import Episode
from liquid_control.rollout.episode_bag import Settings, partial_folder, record_episode

__all__ = ["Recording", "record_episodes"]

# Settings, seed and folder of a bag.
Recording = tuple[Settings, int, Path]


def record_episodes(
    recordings: Sequence[Recording], engine: Engine
) -> Iterator[tuple[Recording, Episode]]:
    """Record episodes, each as one bag, and tell of each as soon as it is whole in its folder.

    On a Ray cluster a machine sends the bag's files to this one, which writes them. The messages
    are the same to the bit anywhere; how they lie in chunks of the file depends on the clock.
    """
    if engine.engine == "local":
        yield from engine.spread(_record, recordings)
        return
    bundle = functools.cache(model_bundle)
    jobs = (
        _Away(
            replace(settings, model=None),
            bundle(settings.model) if settings.model else None,
            *(seed, folder.name, number),
        )
        for number, (settings, seed, folder) in enumerate(recordings)
    )
    for job, (episode, files) in engine.spread(_record_away, jobs):
        recording = recordings[job.number]
        _keep(recording[2], files)
        yield recording, episode


@dataclass(frozen=True)
class _Away:
    """An episode to be recorded on a machine that has neither the model nor the folder.

    Args:
        settings: but for the model.
        model: who drives, if it is not the expert.
        seed: of the episode.
        name: of the bag.
        number: of the recording, among those asked for.
    """

    settings: Settings
    model: Bundle | None
    seed: int
    name: str
    number: int


# Name and content of each file of a bag; arrays travel and arrive without being copied.
_Files = list[tuple[str, np.ndarray]]


def _record(recording: Recording) -> Episode:
    return record_episode(*recording)


def _record_away(job: _Away) -> tuple[Episode, _Files]:
    settings = replace(job.settings, model=job.model.folder if job.model else None)
    with tempfile.TemporaryDirectory(prefix="liquid-control-") as place:
        folder = Path(place) / job.name
        episode = record_episode(settings, job.seed, folder)
        names = sorted(path.name for path in folder.iterdir())
        return episode, [(name, np.fromfile(folder / name, np.uint8)) for name in names]


def _keep(folder: Path, files: _Files) -> None:
    partial = partial_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, content in files:
        content.tofile(partial / name)
    partial.rename(folder)
