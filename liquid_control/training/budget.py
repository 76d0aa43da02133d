"""An end after so much processor time, and a learning rate that arrives there."""

from __future__ import annotations

import time

import lightning

__all__ = ["Budget"]


class Budget(lightning.Callback):
    """Ends a training after its processor time, counted over all its interruptions.

    With one thread on a quiet machine that is its wall time. Networks that are compared by equal
    time get the same on a shared machine, too.

    Args:
        minutes: of all threads of this process together.
    """

    def __init__(self, minutes: float) -> None:
        self.seconds = minutes * 60
        self._before, self._started = 0.0, time.process_time()

    @property
    def used(self) -> float:
        """Processor time so far [s]."""
        return self._before + time.process_time() - self._started

    @property
    def share(self) -> float:
        """Of the budget that is used, 1 at its end."""
        return min(1.0, self.used / self.seconds)

    def on_train_start(self, trainer, pl_module) -> None:
        self._started = time.process_time()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        # Processes must end together.
        over = trainer.strategy.broadcast(self.used >= self.seconds)
        trainer.should_stop = trainer.should_stop or over

    def state_dict(self) -> dict:
        return {"used": self.used}

    def load_state_dict(self, state_dict: dict) -> None:
        self._before = state_dict["used"]
