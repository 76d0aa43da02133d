"""Properties that hold for anything: a few hundred cases each time, many more where there is time.

Each property is one function of `cases`: the quick suite draws few, the same ones every time; the
slow one draws so many that all of this folder together are more than 100,000.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`cases` is what the mark `cases(quick, slow)` says."""
    mark = metafunc.definition.get_closest_marker("cases")
    if mark is not None:
        quick, slow = mark.args
        marks = [pytest.mark.slow, pytest.mark.timeout(3600)]
        metafunc.parametrize("cases", [quick, pytest.param(slow, marks=marks)])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cases(quick, slow): how many cases a property is tried on")


@pytest.fixture
def holds(cases: int) -> Callable[..., None]:
    """holds(property, *strategies): the property holds for so many draws; the same every time."""

    def run(property: Callable[..., None], *strategies: st.SearchStrategy) -> None:
        chosen = settings(
            max_examples=cases,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            # What fails is shown as it came: making it smaller takes minutes.
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
        )
        chosen(given(*strategies)(property))()

    return run
