"""Liquid circuits: who is wired to whom, the cells that run on a wiring, and their baselines."""

from liquid_control.circuits.baselines import CTGRU, CTRNN, GRU, GRUD, LSTM
from liquid_control.circuits.cfc import CfC
from liquid_control.circuits.circuit import Circuit
from liquid_control.circuits.from_ncps import from_ncps, neuron_order
from liquid_control.circuits.fused_step import Stepper
from liquid_control.circuits.hybrid import LTCLSTM
from liquid_control.circuits.ltc import LTC
from liquid_control.circuits.ode import ODELSTM, ODERNN
from liquid_control.circuits.recipes import NCP, AutoNCP, FullyConnected, Random
from liquid_control.circuits.reservoir import Reservoir
from liquid_control.circuits.saving import load, save
from liquid_control.circuits.wiring import Wiring, flagship_wiring, ncp
from liquid_control.circuits.wiring_kinds import (
    auto_ncp,
    from_adjacency,
    fully_connected,
    random_sparse,
)

__all__ = [
    "CTGRU",
    "CTRNN",
    "GRU",
    "GRUD",
    "LSTM",
    "LTC",
    "LTCLSTM",
    "NCP",
    "ODELSTM",
    "ODERNN",
    "AutoNCP",
    "CfC",
    "Circuit",
    "FullyConnected",
    "Random",
    "Reservoir",
    "Stepper",
    "Wiring",
    "auto_ncp",
    "flagship_wiring",
    "from_adjacency",
    "from_ncps",
    "fully_connected",
    "load",
    "ncp",
    "neuron_order",
    "random_sparse",
    "save",
]
