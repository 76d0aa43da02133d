"""The eight networks that are compared, each with 32 neurons before its outputs, and variants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from liquid_control.circuits import (
    CTRNN,
    GRUD,
    LSTM,
    LTC,
    ODERNN,
    AutoNCP,
    CfC,
    Circuit,
    FullyConnected,
)
from liquid_control.errors import InputError

__all__ = ["MODELS", "UNITS", "VARIANTS", "Network", "build", "parameters"]

UNITS = 32

# Names as in tables; the keys are those of the command line and of files.
MODELS = {
    "ltc_ncp": "LTC-NCP",
    "cfc": "CfC",
    "cfc_no_gate": "CfC no-gate",
    "cfc_mixed": "CfC mixed memory",
    "lstm": "LSTM",
    "ctrnn": "CT-RNN",
    "ode_rnn": "ODE-RNN",
    "grud": "GRU-D",
}
# Trained only when asked for by name: they tell what the sparse wiring of the LTC-NCP costs it, and
# what becomes of an LTC whose time constants are those of a whole stream in place of one bit.
VARIANTS = {"ltc_full": "LTC, all synapses", "ltc_slow": "LTC, all synapses, 16 times slower"}


class Network(nn.Module):
    """A circuit whose elapsed times are also its inputs, where it would not see them otherwise.

    The papers give the LSTM the elapsed time as one more feature; all others take it as what it
    is.

    Args:
        circuit: the network itself.
        sees_time: append the elapsed time to the inputs.
        readout: linear map behind the circuit, for one that has none of its own.
    """

    def __init__(
        self, circuit: Circuit, sees_time: bool = False, readout: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.circuit = circuit
        self.sees_time = sees_time
        self.readout = nn.Identity() if readout is None else readout

    def forward(self, inputs: Tensor, elapsed: Tensor) -> Tensor:
        """Outputs (batch, time, outputs) of inputs (batch, time, features)."""
        if self.sees_time:
            inputs = torch.cat((inputs, elapsed.unsqueeze(-1)), 2)
        return self.readout(self.circuit(inputs, None, elapsed)[0])


def build(name: str, inputs: int, outputs: int, seed: int) -> Network:
    """A fresh network; the same seed gives the same weights (and wiring).

    All have 32 neurons and a linear map to the outputs, but for the LTC-NCP: 32 inter and command
    neurons, and motor neurons in place of the map (AutoNCP, half of the synapses).

    Raises:
        InputError: an unknown name.
    """
    torch.manual_seed(seed)
    match name:
        case "ltc_ncp":
            recipe = AutoNCP(UNITS + outputs, outputs, seed=seed)
            return Network(LTC(inputs, recipe))
        case "cfc":
            return Network(CfC(inputs, UNITS, outputs))
        case "cfc_no_gate":
            return Network(CfC(inputs, UNITS, outputs, mode="no_gate"))
        case "cfc_mixed":
            return Network(CfC(inputs, UNITS, outputs, mixed_memory=True))
        case "lstm":
            return Network(LSTM(inputs + 1, UNITS, outputs), sees_time=True)
        case "ctrnn":
            return Network(CTRNN(inputs, UNITS, outputs))
        case "ode_rnn":
            # One Runge-Kutta step a sample: adaptive solvers took several times as long.
            return Network(ODERNN(inputs, UNITS, outputs, solver="rk4", steps=1))
        case "grud":
            return Network(GRUD(inputs, UNITS, outputs))
        case "ltc_full" | "ltc_slow":
            circuit = LTC(inputs, FullyConnected(UNITS), time_unit=16.0 if "slow" in name else 1.0)
            return Network(circuit, readout=nn.Linear(UNITS, outputs))
    known = ", ".join((*MODELS, *VARIANTS))
    raise InputError(f"Expected one of the models {known}, got {name!r}.")


def parameters(network: nn.Module) -> int:
    """Number of values that training changes."""
    return sum(each.numel() for each in network.parameters() if each.requires_grad)
