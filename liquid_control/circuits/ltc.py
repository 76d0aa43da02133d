"""The liquid time-constant cell (LTC) on a sparse wiring, solved semi-implicitly.

    C_i dx_i/dt = g_i (v_i - x_i) + sum_j w_ji s(a_ji (x_j - m_ji)) (E_ji - x_i)

with the logistic function s, capacitance C, leak conductance g, leak potential v, and per synapse
the weight w, slope a, midpoint m and reversal potential E (Hasani et al., "Liquid Time-constant
Networks", AAAI 2021, eq. 1 and 3; Lechner et al. 2020, Methods).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_control.circuits import fused_sample, fused_sequence
from liquid_control.circuits.circuit import Circuit, State
from liquid_control.circuits.memory import LongMemory
from liquid_control.circuits.recipes import Recipe, wiring_of
from liquid_control.circuits.snapshot import Snapshot
from liquid_control.circuits.solvers import SOLVERS, fused, substeps
from liquid_control.circuits.synapses import (
    Prepared,
    Synapses,
    currents,
    inverse_softplus,
    sense,
    uniform,
)
from liquid_control.circuits.tracing import full_precision, traced
from liquid_control.circuits.wiring import Wiring

__all__ = ["LTC", "Prepared"]

# Steps longer than this many time constants let an explicit solver run away.
UNSTABLE = 2.0


class LTC(Circuit):
    """Liquid time-constant network.

    Each sample takes `unfolds` steps of length h = elapsed time / unfolds. With the fused solver,
    x <- (x + h/C (g v + sum w s E)) / (1 + h/C (g + sum w s)), the state stays within the smallest
    and largest of {initial state, v, E of the incoming synapses}, however long the elapsed time,
    and an elapsed time of 0 leaves it as it is. The explicit solvers take more steps where a step
    would exceed the fastest time constant, and refuse to take more than 1000; inside of
    `torch.compile`, `torch.export` and `vmap`, where they cannot, they return NaN where the steps
    are too long to be stable.

    Outputs are the motor neurons' states after an affine map.

    Made by `LTC(wiring)`, or with the arguments of `ncps.torch.LTC`: `LTC(20, 50)` for 20 inputs
    and 50 fully connected neurons, `LTC(20, AutoNCP(28, 4))`.

    Args:
        input_size: number of inputs; or the wiring itself, and then no `units`.
        units: number of fully connected neurons, or a wiring, or a recipe for one; only its
            synapses have parameters.
        return_sequences, batch_first: see `Circuit`.
        mixed_memory: let an LSTM carry a long-term memory; the state is then (x, c).
        input_mapping, output_mapping: "affine" (factor and offset are learnt), "linear" (factor
            alone) or None.
        ode_unfolds: the name of `unfolds` in ncps.
        epsilon, implicit_param_constraints: accepted from callers of ncps, without effect: nothing
            here divides by 0, and parameters that must be positive always are.
        unfolds: solver steps per sample.
        time_unit: scale of the initial time constants [s], capacitances 0.4 to 0.6 time units, and
            the elapsed time where none is given. The reference counts frames at 30 Hz as its time;
            with seconds in their place a fresh circuit would answer 30 times slower, too late to
            steer by and to train on 16 frames. So 1/30 for `LTC(wiring)`, else 1 as in ncps.
        solver: "fused", "euler" or "rk4"; see `solvers`.

    Raises:
        ValueError: an unknown mapping or solver, or a wiring that does not fit the inputs.
    """

    def __init__(
        self,
        input_size: int | Wiring,
        units: int | Wiring | Recipe | None = None,
        return_sequences: bool = True,
        batch_first: bool = True,
        mixed_memory: bool = False,
        input_mapping: str | None = "affine",
        output_mapping: str | None = "affine",
        ode_unfolds: int | None = None,
        epsilon: float | None = None,
        implicit_param_constraints: bool = True,
        *,
        unfolds: int = 6,
        time_unit: float | None = None,
        solver: str = "fused",
    ) -> None:
        wiring = wiring_of(input_size, units)
        if time_unit is None:
            time_unit = 1 / 30 if units is None else 1.0
        units = wiring.units
        sizes = (units, units) if mixed_memory else (units,)
        super().__init__(
            wiring.inputs, sizes, wiring.motor, time_unit, batch_first, return_sequences
        )
        unfolds = unfolds if ode_unfolds is None else ode_unfolds
        if solver not in SOLVERS or not isinstance(unfolds, int) or unfolds < 1:
            raise ValueError(
                f"The solver must be one of {list(SOLVERS)} with 1 or more unfolds, got "
                f"{solver!r} with {unfolds}."
            )
        self.wiring = wiring
        self.unfolds = unfolds
        self.solver = solver
        self.sensory = Synapses(wiring.sensory)
        self.recurrent = Synapses(wiring.adjacency)
        self.raw_leak_conductance = nn.Parameter(inverse_softplus(uniform(units, 0.001, 1.0)))
        self.leak_potential = nn.Parameter(uniform(units, -0.2, 0.2))
        self.raw_capacitance = nn.Parameter(inverse_softplus(time_unit * uniform(units, 0.4, 0.6)))
        self._add_map("input", wiring.inputs, input_mapping)
        self._add_map("output", wiring.motor, output_mapping)
        self._balance_motor_neurons()
        self.memory = LongMemory(wiring.inputs, units) if mixed_memory else None
        names = (*fused_sequence.NAMES, "output_weight", "output_bias")
        self._prepared = Snapshot(names, fused_sequence.prepared)

    def _add_map(self, name: str, size: int, kind: str | None) -> None:
        learnt = {"affine": ("weight", "bias"), "linear": ("weight",), None: ()}
        if kind not in learnt:
            raise ValueError(f"{name}_mapping must be 'affine', 'linear' or None, got {kind!r}.")
        for part, value in (("weight", torch.ones(size)), ("bias", torch.zeros(size))):
            if part in learnt[kind]:
                self.register_parameter(f"{name}_{part}", nn.Parameter(value))
            else:
                self.register_buffer(f"{name}_{part}", value, persistent=False)

    @property
    def ode_unfolds(self) -> int:
        """Another name of `unfolds`, that of the ncps library."""
        return self.unfolds

    @property
    def leak_conductance(self) -> Tensor:
        """Positive leak conductances g (units,)."""
        return functional.softplus(self.raw_leak_conductance)

    @property
    def capacitance(self) -> Tensor:
        """Positive capacitances C (units,)."""
        return functional.softplus(self.raw_capacitance)

    def prepare(self) -> Prepared:
        """The solver's constants for the present parameters.

        A caller that steps often with the same parameters computes them once and hands them to
        `step`; they are stale as soon as a parameter changes.
        """
        sensory_slope, sensory_offset, sensory_current = self.sensory.prepare()
        conductance = self.leak_conductance
        return Prepared(
            sensory_slope * self.input_weight.unsqueeze(1),
            self.input_bias @ sensory_slope + sensory_offset,
            sensory_current,
            *self.recurrent.prepare(),
            torch.cat((conductance * self.leak_potential, conductance)),
            self.capacitance,
        )

    def _prepare_sequence(self) -> Prepared:
        one_hot, pairs = map(sum, zip(self.sensory.costs(), self.recurrent.costs(), strict=True))
        if one_hot <= pairs:
            return self.prepare()
        slope, offset, current = self.sensory.prepare_pairs()
        recurrent = self.recurrent.prepare_pairs()
        factor = slope * self.input_weight.unsqueeze(1)
        shift = offset + slope * self.input_bias.unsqueeze(1)
        conductance = self.leak_conductance
        leak = torch.cat((conductance * self.leak_potential, conductance))
        return Prepared(factor, shift, current, *recurrent, leak, self.capacitance)

    def _sequence(
        self, inputs: Tensor, state: tuple[Tensor, ...], elapsed: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        plain = self.solver == "fused" and self.memory is None
        if plain and fused_sequence.applies(inputs, *state, elapsed, self.leak_potential):
            states = fused_sequence.solve(self, inputs, *state, elapsed)
            # A copy, so that a caller who keeps the state does not keep the whole sequence.
            return self._output(states), (states[:, -1].clone(),)
        return super()._sequence(inputs, state, elapsed)

    def episodes(
        self, input: Tensor, state: Tensor, elapsed: Tensor, starts: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """As `forward`, with the state set to zero before each sample that starts an episode.

        Args:
            input, state, elapsed: with a batch, its rows first, as `forward` takes them.
            starts: (batch, time) bool.

        Returns:
            Outputs and last state, or None where compiled code cannot take the tensors.
        """
        if self.solver != "fused" or self.memory is not None or not self.batch_first:
            return None
        input, parts, elapsed = self._entered(input, state, elapsed)
        if not fused_sequence.applies(input, *parts, elapsed, self.leak_potential):
            return None
        states = fused_sequence.solve(self, input, *parts, elapsed, starts)
        return self._output(states), states[:, -1].clone()

    def _step_compiled(
        self, input: Tensor, state: State | None, elapsed: float | Tensor | None
    ) -> tuple[Tensor, State] | None:
        if self.solver != "fused" or self.memory is not None:
            return None
        sample = fused_sample.sample(self, input, state, elapsed, self.outputs)
        prepared = None if sample is None else self._prepared.of(self)
        if prepared is None:
            return None
        step = fused_sequence.compiled("fused_kernel").step
        done = step(*sample.arguments, self.unfolds, *prepared)
        return (sample.outputs, sample.states) if done else None

    def _drive(self, prepared: Prepared, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        drive = sense(prepared, inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        own = (drive, self._rate(prepared, elapsed))
        return own if self.memory is None else (self.memory.drive(inputs), *own)

    def _next(
        self, prepared: Prepared, state: tuple[Tensor, ...], *drive: Tensor
    ) -> tuple[Tensor, ...]:
        if self.memory is None:
            return (self._advance(prepared, state[0], *drive),)
        neurons, cell = self.memory(*state, drive[0])
        return self._advance(prepared, neurons, *drive[1:]), cell

    def _read(self, prepared: Prepared, state: tuple[Tensor, ...]) -> Tensor:
        return self._output(state[0])

    def _keeps_state_at_rest(self) -> bool:
        return self.memory is None

    def time_constants(
        self, inputs: Tensor, state: Tensor, prepared: Prepared | None = None
    ) -> Tensor:
        """Effective time constants C / (g + sum w s) [s] at an input and a state.

        Args:
            inputs: (batch, inputs).
            state: (batch, units).
            prepared: as in `step`.

        Returns:
            (batch, units), each between C / (g + sum w) and C / g (Hasani et al. 2021, theorem 1).
        """
        with full_precision(inputs.device):
            prepared = prepared or self.prepare()
            drive = sense(prepared, inputs.to(self.input_weight.dtype))
            return prepared.capacitance / currents(prepared, state, drive)[1]

    def _advance(self, prepared: Prepared, state: Tensor, drive: Tensor, rate: Tensor) -> Tensor:
        """The state after one sample, `rate` being h / C for h = elapsed time / unfolds."""
        solve = partial(currents, prepared, drive=drive)
        if self.solver == "fused":
            for _ in range(self.unfolds):
                state = fused(state, rate, solve)
            return state
        # g + sum w, which is what a neuron conducts with all of its synapses open.
        largest = prepared.leak[self.wiring.units :]
        for part in (prepared.sensory_current, prepared.current):
            opened = part.sum(0)[self.wiring.units :] if part.dim() == 2 else part[1].sum(0)
            largest = largest + opened
        spans = self.unfolds * rate * largest
        steps = substeps(spans, self.unfolds)
        if traced():
            # It cannot refuse, but what came out of an unstable step must not pass for a result.
            unstable = (spans > UNSTABLE * steps).any(-1, keepdim=True)
            state = torch.where(unstable, torch.nan, state)
        for _ in range(steps):
            state = SOLVERS[self.solver](state, rate * (self.unfolds / steps), solve)
        return state

    def _rate(self, prepared: Prepared, elapsed: Tensor) -> Tensor:
        """h / C, (..., units)."""
        step = (elapsed / self.unfolds).unsqueeze(-1)
        if self.solver == "fused":
            # Far beyond rest already; more would overflow and give inf / inf, in gradients first.
            longest = torch.finfo(step.dtype).max ** 0.5
            step = torch.minimum(step, longest * prepared.capacitance.detach())
        return step / prepared.capacitance

    def _output(self, state: Tensor) -> Tensor:
        return state[..., -self.wiring.motor :] * self.output_weight + self.output_bias

    @torch.no_grad()
    def _balance_motor_neurons(self) -> None:
        """Start with outputs of about 0 at rest, and room for +-1 in both directions.

        Motor neurons leak to 0. At rest (inputs 0.5) excitation P and inhibition Q of one are made
        equal by the factors sqrt(Q/P) and sqrt(P/Q) on the weights, and both are raised until
        either kind of synapse alone outweighs the leak; the output weight makes that an output of
        1.5. A neuron with synapses of one kind only stays as drawn.
        """
        prepared = self.prepare()
        drive = sense(prepared, torch.full((1, self.wiring.inputs), 0.5))
        state = torch.zeros(1, self.wiring.units)
        rate = torch.ones(1)  # h / C = 1 for each neuron settles well within 180 steps
        for _ in range(180):
            state = fused(state, rate, partial(currents, prepared, drive=drive))
        activation = torch.sigmoid(torch.addmm(prepared.offset, state, prepared.slope))[0]
        weight = self.recurrent.weight
        first = self.wiring.units - self.wiring.motor
        self.leak_potential[first:] = 0
        for motor in range(first, self.wiring.units):
            incoming = self.recurrent.target[:, motor] > 0
            exciting = incoming & (self.recurrent.reversal > 0)
            inhibiting = incoming & (self.recurrent.reversal < 0)
            if not (exciting.any() and inhibiting.any()):
                continue
            excitation = (weight * activation)[exciting].sum()
            inhibition = (weight * activation)[inhibiting].sum()
            weight[exciting] *= torch.sqrt(inhibition / excitation)
            weight[inhibiting] *= torch.sqrt(excitation / inhibition)
            weaker = torch.minimum(weight[exciting].sum(), weight[inhibiting].sum())
            leak = prepared.leak[self.wiring.units + motor]
            raised = torch.maximum(weaker, 2 * leak)
            weight[incoming] *= raised / weaker
            if self.output_weight.requires_grad:
                self.output_weight[motor - first] = 1.5 * (raised + leak) / raised
        self.recurrent.raw_weight.copy_(inverse_softplus(weight))
