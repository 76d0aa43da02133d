"""A Minari dataset on this disk becomes a bag: observations, actions and rewards of its episodes.

Nothing is downloaded, and no environment is made: the dataset says what its spaces are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from liquid_control.data import messages
from liquid_control.data.importers.writing import Clock, ImportReport, Sample, import_samples
from liquid_control.errors import InputError

if TYPE_CHECKING:
    from minari import MinariDataset

__all__ = ["import_minari"]

_METADATA = "metadata.json"


def import_minari(
    src: str | Path,
    dst: str | Path,
    overwrite: bool = False,
    rate: float | None = None,
    outputs: Sequence[str] = (),
    progress: bool = True,
) -> ImportReport:
    """Write the dataset `src` as the bag `dst`; each episode is a session.

    Images (uint8 RGB or grey) become the camera; everything else that was observed is flattened to
    the named vector `/observation`. The label is the action, reward and ends are on
    `/simulator/state`. An episode's last observation, which no action answers, is left out.

    Args:
        src: folder of the dataset, which holds data/metadata.json.
        dst: the bag.
        overwrite: replace a bag that is there.
        rate: steps per second; a dataset holds no times.
        outputs: names of the action's numbers; action_0, action_1, ... by default.
        progress: show a progress bar on a terminal.

    Raises:
        InputError: `src` is no dataset, or of a kind that is not supported; no rate is given, or
            see `import_samples`.
    """
    if rate is None:
        raise InputError(
            "A Minari dataset holds no times: give the steps per second of its environment with "
            "--rate."
        )
    dataset = _open(Path(src))
    names = _names(dataset, outputs)
    clock = Clock(rate)
    notes = [f"times are made up at {rate:g} Hz, as the dataset holds none"]
    if _camera(dataset.observation_space) is None:
        notes.append("nothing that was observed is an image, so the bag has no camera")
    report = ImportReport(Path(src), Path(dst), names, notes=notes)
    skipped: Counter[str] = Counter()
    facts = {"format": "minari", "dataset": dataset.id}
    total = int(dataset.total_steps)
    samples = _samples(dataset, clock, skipped)
    return import_samples(report, samples, skipped, overwrite, total, progress, facts)


def _open(src: Path) -> MinariDataset:
    folder = src if (src / _METADATA).is_file() else src / "data"
    try:
        described = json.loads((folder / _METADATA).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{src} is no Minari dataset ({_METADATA} is missing or damaged); give its folder, "
            "~/.minari/datasets/NAME by default."
        ) from error
    # Without these Minari would make the environment that the file names.
    if lacking := [x for x in ("observation_space", "action_space") if not described.get(x)]:
        raise InputError(
            f"The dataset {src} does not describe its {' and '.join(lacking)}; write it again with "
            "a newer Minari."
        )
    from minari import MinariDataset

    try:
        return MinariDataset(folder)
    except ImportError as error:
        raise InputError(
            f"The dataset {src} is kept as {described.get('data_format')!r}, for which a package "
            f"is missing ({_line(error)})."
        ) from error
    except (ValueError, KeyError, AssertionError, TypeError, OSError) as error:
        raise InputError(
            f"The dataset {src} cannot be read ({_line(error)}); copy it again."
        ) from error


def _names(dataset: MinariDataset, outputs: Sequence[str]) -> tuple[str, ...]:
    from gymnasium.spaces.utils import flatdim

    space = dataset.action_space
    count = 1 if _is_discrete(space) else flatdim(space)
    if outputs and len(outputs) != count:
        raise InputError(
            f"The actions of {dataset.id} have {count} numbers ({space}), got the --outputs "
            f"{', '.join(outputs)}; give one name for each."
        )
    return tuple(outputs) or tuple(f"action_{index}" for index in range(count))


def _samples(dataset: MinariDataset, clock: Clock, skipped: Counter[str]) -> Iterator[Sample]:
    camera = _camera(dataset.observation_space)
    for number in dataset.episode_indices:
        try:
            episode = next(iter(dataset.iterate_episodes([number])))
        # What h5py, Arrow and Pillow raise for damaged files is all of these.
        except (OSError, ValueError, KeyError, RuntimeError, StopIteration):
            skipped["episode damaged"] += 1
            continue
        for step in range(len(episode.rewards)):
            try:
                yield _sample(dataset, episode, step, camera, clock)
            except ValueError as reason:
                skipped[str(reason)] += 1
        clock.next_session()


def _sample(
    dataset: MinariDataset, episode: Any, step: int, camera: str | None, clock: Clock
) -> Sample:
    action = _flat(dataset.action_space, _at(episode.actions, step))
    observed = _at(episode.observations, step)
    if not np.isfinite(action).all():
        raise ValueError("unreadable record")
    image, rest = b"", None
    if camera is None:
        rest = _flat(dataset.observation_space, observed)
    elif camera == "":
        image = _png(observed)
    else:
        image = _png(observed[camera])
        spaces = dataset.observation_space.spaces
        others = [_flat(spaces[x], observed[x]) for x in sorted(spaces) if x != camera]
        rest = np.concatenate(others) if others else None
    more = []
    if rest is not None:
        names = [f"observation_{index}" for index in range(len(rest))]
        more.append(("/observation", partial(messages.named_vector, names, rest)))
    state = {
        "reward": float(episode.rewards[step]),
        "terminated": float(episode.terminations[step]),
        "truncated": float(episode.truncations[step]),
    }
    vector = partial(messages.named_vector, list(state), list(state.values()))
    more.append(("/simulator/state", vector))
    format = "png" if image else ""
    return Sample(clock.stamp(step), str(episode.id), action, image, format, tuple(more))


def _camera(space: Any) -> str | None:
    """Where the camera's image is: "" for the observation itself, a key of it, None for nowhere."""
    if _is_image(space):
        return ""
    parts = getattr(space, "spaces", {})
    parts = parts if isinstance(parts, dict) else {}
    return next((key for key, one in parts.items() if _is_image(one)), None)


def _is_image(space: Any) -> bool:
    shape = getattr(space, "shape", None) or ()
    flat_grey = len(shape) == 2 and min(shape) > 16
    return getattr(space, "dtype", None) == np.uint8 and (
        flat_grey or (len(shape) == 3 and (shape[2] in (1, 3) or shape[0] in (1, 3)))
    )


def _png(array: np.ndarray) -> bytes:
    array = np.asarray(array, np.uint8)
    if array.ndim == 3 and array.shape[2] not in (1, 3):
        array = np.moveaxis(array, 0, 2)
    colour = cv2.COLOR_RGB2BGR if array.ndim == 3 and array.shape[2] == 3 else cv2.COLOR_GRAY2BGR
    return cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(array), colour))[1].tobytes()


def _at(values: Any, step: int) -> Any:
    """One step of what Minari stacks, which may be a dictionary or a tuple of arrays."""
    if isinstance(values, dict):
        return {key: _at(value, step) for key, value in values.items()}
    if isinstance(values, tuple):
        return tuple(_at(value, step) for value in values)
    return values[step]


def _flat(space: Any, value: Any) -> np.ndarray:
    """float64 vector; a choice among n stays one number."""
    from gymnasium.spaces.utils import flatten

    if _is_discrete(space):
        return np.array([float(value)])
    return np.asarray(flatten(space, value), float).reshape(-1)


def _is_discrete(space: Any) -> bool:
    from gymnasium.spaces import Discrete

    return isinstance(space, Discrete)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
