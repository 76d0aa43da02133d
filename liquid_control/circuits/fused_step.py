"""One LTC sample at a time for a control loop: four numpy calls an unfold, no torch, no compiler.

    stepper = Stepper(circuit)
    output = stepper(features, elapsed)      # (motor,), the neurons' state is kept inside

A torch operation on some ten numbers costs a microsecond and a check of its arguments another. So
what does not change from sample to sample is multiplied out beforehand, and both updates of a
state vector, currents and leak, are one product with one matrix.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from liquid_control.circuits.ltc import LTC

__all__ = ["Stepper"]


# Seconds. A neuron moves by less than rounding in it, and dividing by less could overflow.
SHORTEST = 1e-20


class Stepper:
    """Steps a circuit on one robot; gives the numbers of `LTC.step` to rounding, float32.

    The parameters are read when it is made: make another after changing them.

    Args:
        circuit: with the fused solver and without mixed memory.

    Raises:
        ValueError: another solver, or mixed memory.
    """

    def __init__(self, circuit: LTC) -> None:
        if circuit.solver != "fused" or circuit.memory is not None:
            raise ValueError(
                "A Stepper takes an LTC with solver='fused' and without mixed memory, got "
                f"solver={circuit.solver!r}, mixed_memory={circuit.memory is not None}; use "
                "circuit.step()."
            )
        with torch.no_grad():
            prepared = circuit.prepare()
        (
            sensory_slope,
            sensory_offset,
            sensory_current,
            slope,
            offset,
            current,
            leak,
            capacitance,
        ) = (tensor.detach().cpu().double().numpy() for tensor in prepared)
        self.unfolds = circuit.unfolds
        inputs, units = circuit.wiring.inputs, circuit.wiring.units
        sensed, count = sensory_current.shape[0], current.shape[0]

        # s(u) = 1/2 + tanh(u/2) / 2: the halves are in the matrices, and the constant part of all
        # sums in the row that multiplies the 1.
        self._sensory_slope = _single(np.vstack((sensory_slope, sensory_offset)) / 2)
        constant = leak + sensory_current.sum(0) / 2 + current.sum(0) / 2
        self._sensory_current = _single(np.vstack((sensory_current / 2, constant)))
        self._slope = _single(np.vstack((offset, slope)) / 2)
        self._capacitance = _single(capacitance * circuit.unfolds)
        self._output_weight = circuit.output_weight.detach().cpu().float().numpy().copy()
        self._output_bias = circuit.output_bias.detach().cpu().float().numpy().copy()

        self._sample = np.ones(inputs + 1, np.float32)
        self._sensed = np.ones(sensed + 1, np.float32)
        # (activations, 1, state) @ advance = (C/h x + p, C/h + q).
        self._neurons = np.zeros(count + 1 + units, np.float32)
        self._neurons[count] = 1
        self._advance = np.zeros((count + 1 + units, 2 * units), np.float32)
        self._advance[:count] = current / 2
        self._sums = np.empty(2 * units, np.float32)
        # Views and methods of these, once: looking one up costs half an operation.
        self._into_sample, self._into_sensed = self._sample[:-1], self._sensed[:-1]
        self._activation, self._state = self._neurons[:count], self._neurons[count + 1 :]
        self._base = self._advance[count]
        self._below_base = self._base[units:]
        self._diagonal = self._advance[count + 1 :].reshape(-1)[:: 2 * units + 1]
        self._above, self._below = self._sums[:units], self._sums[units:]
        self._motor = self._state[units - circuit.wiring.motor :]
        self._sense, self._sum_sensed = self._sample.dot, self._sensed.dot
        self._activate, self._sum = self._neurons[count:].dot, self._neurons.dot

    @property
    def state(self) -> np.ndarray:
        """The neurons (units,), a copy; assign to it to start elsewhere than at 0."""
        return self._state.copy()

    @state.setter
    def state(self, state: np.ndarray) -> None:
        state = np.asarray(state)
        if state.shape != self._state.shape:
            raise ValueError(f"The state must have shape {self._state.shape}, got {state.shape}.")
        self._state[:] = state

    def __call__(self, inputs: np.ndarray, elapsed: float) -> np.ndarray:
        """Take in one sample.

        Args:
            inputs: (inputs,).
            elapsed: time since the sample before [s], finite and >= 0.

        Returns:
            Outputs (motor,), float32.

        Raises:
            ValueError: a negative or non-finite elapsed time, or inputs of another shape.
        """
        if not 0 <= elapsed < math.inf:
            raise ValueError(f"The elapsed time must be finite and 0 s or more, got {elapsed} s.")
        if inputs.shape != self._into_sample.shape:
            raise ValueError(
                f"The inputs must have shape {self._into_sample.shape}, got {inputs.shape}."
            )
        tanh, divide, sums, activation = np.tanh, np.divide, self._sums, self._activation
        if elapsed == 0:
            return self._output()
        self._into_sample[:] = inputs
        self._sense(self._sensory_slope, self._into_sensed)
        tanh(self._into_sensed, self._into_sensed)
        self._sum_sensed(self._sensory_current, sums)
        divide(self._capacitance, max(elapsed, SHORTEST), self._diagonal)
        self._base[:] = sums
        self._below_base += self._diagonal
        for _ in range(self.unfolds):
            self._activate(self._slope, activation)
            tanh(activation, activation)
            self._sum(self._advance, sums)
            divide(self._above, self._below, self._state)
        return self._output()

    def _output(self) -> np.ndarray:
        return self._motor * self._output_weight + self._output_bias


def _single(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
