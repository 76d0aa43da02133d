"""Handwritten digits as events: black and white pixels, read row by row, one sample a change.

The event-based digits of the ODE-LSTM and CfC papers, on the 1,797 digits of 8 x 8 pixels that
scikit-learn ships in place of MNIST's 70,000 of 28 x 28.
"""

from __future__ import annotations

import numpy as np

from sequence_tasks.data import Data, events

__all__ = ["THRESHOLD", "digits_data"]

THRESHOLD = 8  # half of the brightest value


def digits_data() -> Data:
    """The task's data: 1,257 digits to train on, 180 to validate, 360 to test; times in pixels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    rows = np.arange(len(labels))
    rest, test = train_test_split(rows, test_size=360, random_state=0, stratify=labels)
    train, validation = train_test_split(rest, test_size=180, random_state=0, stratify=labels[rest])
    # Encoded together, so that all parts are equally long.
    whole = events(list((images > THRESHOLD).astype(np.int64)), labels)
    parts = {"train": train, "validation": validation, "test": test}
    counts = np.bincount(labels[test])
    return Data(
        **{name: whole.pick(rows) for name, rows in parts.items()},
        outputs=10,
        reference=float(counts.max() / counts.sum()),
    )
