"""Every circuit of the library, small, for the tests that hold for all; repeatable draws."""

import pytest
import torch

from liquid_control.circuits import (
    CTGRU,
    CTRNN,
    GRU,
    GRUD,
    LSTM,
    LTC,
    LTCLSTM,
    ODELSTM,
    ODERNN,
    CfC,
    Reservoir,
    auto_ncp,
)

INPUTS = 4
WIRING = auto_ncp(INPUTS, 10, 2, seed=1)


def reservoir(**options):
    network = Reservoir(INPUTS, 12, 3, **options)
    network.fit(
        *((torch.randn(5, 6, INPUTS), torch.randn(5, 6, 3)) if network.batch_first else ()),
        *(() if network.batch_first else (torch.randn(6, 5, INPUTS), torch.randn(6, 5, 3))),
    )
    return network


LIQUID = {
    "LTC": lambda **call: LTC(INPUTS, WIRING, **call),
    "LTC full": lambda **call: LTC(INPUTS, 7, **call),
    "LTC mixed memory": lambda **call: LTC(INPUTS, WIRING, mixed_memory=True, **call),
    "CfC dense": lambda **call: CfC(INPUTS, 7, backbone_units=12, **call),
    "CfC wired": lambda **call: CfC(INPUTS, WIRING, **call),
    "CfC no gate": lambda **call: CfC(INPUTS, WIRING, mode="no_gate", **call),
    "CfC pure": lambda **call: CfC(INPUTS, 7, proj_size=2, mode="pure", **call),
    "CfC mixed memory": lambda **call: CfC(INPUTS, WIRING, mixed_memory=True, **call),
    "LTC-LSTM": lambda **call: LTCLSTM(INPUTS, auto_ncp(6, 10, 2), 6, **call),
}
BASELINES = {
    "LSTM": lambda **call: LSTM(INPUTS, 7, 2, **call),
    "GRU": lambda **call: GRU(INPUTS, 7, **call),
    "GRU-D": lambda **call: GRUD(INPUTS, 7, 2, **call),
    "CT-RNN": lambda **call: CTRNN(INPUTS, 7, 2, **call),
    "CT-GRU": lambda **call: CTGRU(INPUTS, 5, 2, scales=3, **call),
    "ODE-RNN": lambda **call: ODERNN(INPUTS, 7, 2, solver="rk4", **call),
    "ODE-LSTM": lambda **call: ODELSTM(INPUTS, 7, 2, solver="rk4", **call),
    "reservoir": reservoir,
}
EVERY = LIQUID | BASELINES
EXPLICIT = {
    "LTC Euler": lambda **call: LTC(INPUTS, WIRING, solver="euler", **call),
    "LTC RK4": lambda **call: LTC(INPUTS, WIRING, solver="rk4", **call),
}


@pytest.fixture(autouse=True)
def repeatable_draws():
    torch.manual_seed(0)


def _each(makers, quick=None):
    """Parameters of a fixture; those that are not named in `quick`, where it is given, are slow."""
    return [
        pytest.param(
            make,
            id=name.replace(" ", "-"),
            marks=pytest.mark.slow if quick and name not in quick else (),
        )
        for name, make in makers.items()
    ]


@pytest.fixture(params=_each(EVERY | EXPLICIT))
def make(request):
    """A function that makes a circuit of 4 inputs; its arguments are those of the call contract."""
    return request.param


@pytest.fixture(params=_each(EVERY))
def make_traceable(request):
    """As `make`, without explicit solvers, which in a trace cannot look at speeds."""
    return request.param


@pytest.fixture(params=_each(EVERY, quick=("LTC", "CfC dense", "CfC wired")))
def make_compilable(request):
    """As `make_traceable`; a compiler takes seconds for each, so that not all are quick tests."""
    return request.param


@pytest.fixture(params=_each(LIQUID))
def make_liquid(request):
    return request.param


@pytest.fixture
def network(make):
    return make().eval()
