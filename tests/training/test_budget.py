"""An end by processor time: every network of a comparison gets the same, and anneals by then."""

import json

import pytest

from liquid_control.training import budget
from liquid_control.training.curves import read_logs
from liquid_control.training.imitation import fit
from liquid_control.training.module import Imitation

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def clock(monkeypatch):
    """Processor time [s] that passes only as a training does its steps: 6 s each."""

    class Clock:
        now = 1000.0

        def process_time(self) -> float:
            return self.now

    clock = Clock()
    step = Imitation.training_step

    def slow(module, batch, index):
        clock.now += 6
        return step(module, batch, index)

    monkeypatch.setattr(budget, "time", clock)
    monkeypatch.setattr(Imitation, "training_step", slow)
    return clock


def test_a_training_ends_with_its_time_at_a_rate_of_nearly_zero(small, clock, tmp_path):
    recipe = small(core_minutes=1.0, epochs=50, warmup=2)
    fit(recipe, tmp_path / "model", work=tmp_path / "work")
    results = json.loads((tmp_path / "model" / "training.json").read_text())
    assert (results["steps"], results["core_minutes"]) == (10, 1.0)
    module = Imitation.__new__(Imitation)
    module.recipe, module.steps, module.budget = recipe, 1000, budget.Budget(1.0)
    rates = []
    for _ in range(11):
        rates.append(module._rate_share(3))
        clock.now += 6
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.99
    assert rates[-1] < 1e-6


def test_time_before_an_interruption_counts(small, clock, tmp_path, monkeypatch):
    recipe = small(core_minutes=1.0, epochs=50, checkpoint=1)
    counted = Imitation.training_step

    def broken(module, batch, index):
        if module.global_step == 4:
            raise OSError("the machine is gone")
        return counted(module, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Imitation, "training_step", broken)
        with pytest.raises(OSError, match="gone"):
            fit(recipe, tmp_path / "model", work=tmp_path / "work")
    # Another process begins its own count, and waits before its first step.
    clock.now = 7.0
    fit(recipe, tmp_path / "model", work=tmp_path / "work")
    results = json.loads((tmp_path / "model" / "training.json").read_text())
    assert (results["steps"], results["core_minutes"]) == (10, 1.0)
    assert len(read_logs(tmp_path / "work" / "csv")) > 0
