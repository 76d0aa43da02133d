"""Whether a policy looks at what it was trained on: its attention now, before, and in training.

Two figures of the saliency map and of the head's activations, from which the map is made:

- similarity: structural similarity of the map to the mean of the last seconds' maps (the comparison
  of Lechner et al., "Neural circuit policies enabling auditable autonomy", Nature Machine
  Intelligence 2020, there of clean and noisy frames). Low when the view changes all at once.
- drift: Mahalanobis distance of a description of the attention to that of training frames: how
  strongly each channel of the first and of the last convolution responds, and where the map lies.
  (Lee et al., "A simple unified framework for detecting out-of-distribution samples", 2018, of the
  activations of a network.) High as long as the view is unlike all of training.

Both are averaged over a moment, and an alarm that one of them raised lasts until both are ordinary.
Which descriptions were tried, and what is not noticed, is in docs/guarantees.md.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from liquid_control.attention.compare import ssim
from liquid_control.errors import InputError
from liquid_control.files import replace_file

__all__ = ["FILE", "Attention", "AttentionMonitor", "Calibration", "Limits", "describe"]

FILE = "attention_monitor.json"
FORMAT = "liquid_control attention monitor 1"
# The map as it enters the description, and below which response a channel is silent.
ROWS, COLUMNS = 4, 8
SILENT = 1e-3
# Exponential means [s]: of the maps that the newest is compared with, and of the two figures.
RECENT, SIMILARITY, DRIFT = 3.0, 0.3, 1.0
# Nothing is said before so much of a drive was seen [s].
SETTLING = 1.0


def describe(saliency: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """What the distribution of the training frames is of, float64 (channels + 32,).

    Args:
        saliency: floats in [0, 1], (rows, columns).
        activity: mean activation of each channel, (channels,), at least 0.
    """
    blocks = cv2.resize(saliency, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    # Roots and logarithms bring skewed numbers nearer to the normal distribution they are held to.
    return np.concatenate((np.log(activity + SILENT), np.sqrt(np.maximum(blocks, 0)).ravel()))


@dataclass(frozen=True)
class Limits:
    """When an alarm begins and ends.

    Args:
        drift: above it, it begins; `drift_clear`: below it, it may end.
        similarity: below it, it begins; `similarity_clear`: above it, it may end.
    """

    drift: float
    drift_clear: float
    similarity: float
    similarity_clear: float


@dataclass(frozen=True)
class Calibration:
    """What is known of a policy's attention in training.

    Args:
        head: hash of the head's weights; the attention depends on no others.
        mean: of the descriptions, (numbers,).
        whitening: upper triangular (numbers, numbers), W with drift = |W (description - mean)|.
        limits: of an alarm.
        facts: JSON-ready: from how much of what, and what was promised.
    """

    head: str
    mean: np.ndarray
    whitening: np.ndarray
    limits: Limits
    facts: dict = field(default_factory=dict)

    @staticmethod
    def fit(descriptions: np.ndarray, shrink: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
        """Mean and whitening of descriptions (frames, numbers).

        The covariance is drawn towards a multiple of the identity by `shrink` (Ledoit and Wolf
        2004), so that directions in which training hardly varies do not decide alone; by a multiple
        of each variance instead, noise of variance 0.05 was noticed 17 % of the time, not 100 %.
        """
        mean = descriptions.mean(0)
        covariance = np.cov(descriptions.T)
        covariance *= 1 - shrink
        covariance.flat[:: len(mean) + 1] += shrink * np.trace(covariance) / len(mean)
        return mean, np.linalg.cholesky(np.linalg.inv(covariance)).T

    def drift(self, description: np.ndarray) -> float:
        moved = self.whitening @ (description - self.mean)
        return math.sqrt(float(moved @ moved))

    def save(self, folder: str | Path) -> None:
        """Write it beside a model's weights."""
        upper = self.whitening[np.triu_indices(len(self.mean))]
        content = {
            "format": FORMAT,
            "head": self.head,
            "limits": asdict(self.limits),
            "facts": self.facts,
            "mean": [float(f"{value:.6g}") for value in self.mean],
            "whitening": [float(f"{value:.6g}") for value in upper],
        }
        replace_file(Path(folder) / FILE, json.dumps(content) + "\n")

    @classmethod
    def load(cls, folder: str | Path, head: str) -> Calibration | None:
        """The calibration of a model, or None where it has none.

        Args:
            folder: of the model.
            head: hash of the weights of its head.

        Raises:
            InputError: the file is damaged, or of other weights.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        again = "run `python benchmarks/attention_monitor.py calibrate` again, or remove it"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r}")
            mean = np.array(content["mean"], np.float64)
            whitening = np.zeros((len(mean), len(mean)))
            whitening[np.triu_indices(len(mean))] = content["whitening"]
            limits = Limits(**{name: float(each) for name, each in content["limits"].items()})
            calibration = cls(content["head"], mean, whitening, limits, content["facts"])
            if not (np.isfinite(mean).all() and np.isfinite(whitening).all()):
                raise ValueError("numbers that are not finite")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} is no calibration of an attention monitor ({type(error).__name__}: "
                f"{error}); {again}."
            ) from error
        if calibration.head != head:
            raise InputError(
                f"{path} was calibrated for a head with the hash {calibration.head}, the model's "
                f"has {head}; {again}."
            )
        return calibration


@dataclass(frozen=True)
class Attention:
    """What the monitor says of a moment.

    Args:
        similarity: to the recent past, 1 where nothing changes, down to -1.
        drift: from training; the root of the number of numbers where all is as usual.
        alarm: the view is unlike training, or has changed all at once.
    """

    similarity: float
    drift: float
    alarm: bool


class AttentionMonitor:
    """Follows the attention through a drive, map by map; any share of the frames will do.

    Args:
        calibration: of the policy's head.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._calibration, self._limits = calibration, calibration.limits
        self.forget()

    def forget(self) -> None:
        """Another drive begins."""
        self._recent: np.ndarray | None = None
        self._similarity, self._drift, self._seen = 1.0, 0.0, 0.0
        self._alarm = False

    def look(self, saliency: np.ndarray, activity: np.ndarray, elapsed: float) -> Attention:
        """Take in one map.

        Args:
            saliency: floats in [0, 1], (rows, columns), at least 22 x 22.
            activity: mean activation of each channel, `Driver.activity`.
            elapsed: since the map before [s].
        """
        rows, columns = saliency.shape
        # Half the size says as much, and is compared in a seventh of the time.
        small = cv2.resize(saliency, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        drift = self._calibration.drift(describe(saliency, activity))
        if self._recent is None:
            self._recent, self._drift = small, drift
        else:
            similarity = ssim(small, self._recent)
            self._similarity += _share(elapsed, SIMILARITY) * (similarity - self._similarity)
            self._drift += _share(elapsed, DRIFT) * (drift - self._drift)
            self._recent = self._recent + _share(elapsed, RECENT) * (small - self._recent)
            self._seen += elapsed
        limits = self._limits
        if self._alarm:
            ordinary = (
                self._drift < limits.drift_clear and self._similarity > limits.similarity_clear
            )
            self._alarm = not ordinary
        else:
            odd = self._drift > limits.drift or self._similarity < limits.similarity
            self._alarm = odd and self._seen >= SETTLING
        return Attention(self._similarity, self._drift, self._alarm)


def _share(elapsed: float, constant: float) -> float:
    """Of what is new in an exponential mean with a time constant [s]."""
    return -math.expm1(-elapsed / constant)
