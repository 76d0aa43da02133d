"""The one call contract of all circuits, liquid and baseline.

A circuit adds its equations in three small methods (`_drive`, `_next`, `_read`); shapes, states,
elapsed times, precision and the loop over time are here, once.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from liquid_control.circuits.arguments import either, require_tensor
from liquid_control.circuits.tracing import exporting, full_precision, traced

__all__ = ["Circuit", "State"]

State = Tensor | tuple[Tensor, ...]


class Circuit(nn.Module):
    """A recurrent network that knows how much time passed between its samples.

    It computes in the precision of its parameters, also inside `torch.autocast`, and returns it.
    A row whose elapsed time is 0 keeps its state: for cells that solve an ODE that is the limit,
    for the others a rule, so that two samples with one time stamp do not advance the state twice.

    `torch.export` with a dynamic number of samples turns the loop over time into a scan. Inside of
    it, of `torch.compile` and of the transforms of `torch.func` the values of elapsed times cannot
    be checked.

    Args:
        inputs: number of input features.
        state_sizes: features of each part of the state; the state is a tensor (batch, size) where
            there is one part, else a tuple of such tensors.
        outputs: number of output features.
        time_unit: elapsed time where none is given [s].
        batch_first: sequences are (batch, time, features), else (time, batch, features).
        return_sequences: return the outputs of all samples, else of the last one alone.
    """

    checkpoint_every: int | None = None
    """Where set, a forward pass with gradients keeps the state after each so many samples alone,
    and the backward pass computes what lies between again: memory for half as much time again."""

    made_with: dict[str, Any]
    """The arguments that the circuit was made with, by name, defaults included."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Circuit:
        circuit = super().__new__(cls)
        if args or kwargs:  # a copy is made without, and takes over what its original has
            bound = inspect.signature(cls.__init__).bind(circuit, *args, **kwargs)
            bound.apply_defaults()
            made_with = {name: value for name, value in bound.arguments.items() if name != "self"}
            made_with |= made_with.pop("call", {})
            object.__setattr__(circuit, "made_with", made_with)
        return circuit

    def __init__(
        self,
        inputs: int,
        state_sizes: tuple[int, ...],
        outputs: int,
        time_unit: float = 1.0,
        batch_first: bool = True,
        return_sequences: bool = True,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, *state_sizes) < 1:
            raise ValueError(
                "A circuit needs at least one input, one unit and one output, got "
                f"{inputs}, {', '.join(map(str, state_sizes))} and {outputs}."
            )
        if not 0 < time_unit < math.inf:
            raise ValueError(f"The time unit must be finite and above 0 s, got {time_unit} s.")
        self.inputs = inputs
        self.state_sizes = state_sizes
        self.outputs = outputs
        self.time_unit = time_unit
        self.batch_first = batch_first
        self.return_sequences = return_sequences

    @property
    def state_size(self) -> int:
        """Features of the first part of the state."""
        return self.state_sizes[0]

    @property
    def output_size(self) -> int:
        """Number of output features; another name of `outputs`, that of the ncps library."""
        return self.outputs

    def forward(
        self,
        input: Tensor,
        state: State | None = None,
        elapsed: float | Tensor | None = None,
        *,
        hx: State | None = None,
        timespans: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run over sequences.

        Args:
            input: (batch, time, inputs), or (time, inputs) without a batch.
            state: (batch, units), a tuple of these for circuits with more than one part, or None
                for zeros; without a batch, (units,).
            elapsed: time since the sample before [s], finite and >= 0: a number, (time,) or
                (batch, time); by default the circuit's time unit.
            hx: another name of `state`, that of the ncps library.
            timespans: another name of `elapsed`. Both may be (batch, time, 1), too.

        Returns:
            Outputs (batch, time, outputs) and the state after the last sample, both without the
            batch if the input had none. With `batch_first=False` time comes before batch.

        Raises:
            ValueError: an elapsed time is negative or not finite, or a shape does not fit.
            TypeError: the input is no tensor of real numbers, or the state no tensor.
        """
        require_tensor(input)
        state = either(state, hx, "state", "hx")
        elapsed = either(elapsed, timespans, "elapsed", "timespans")
        if isinstance(elapsed, Tensor) and elapsed.dim() == input.dim() and elapsed.shape[-1] == 1:
            elapsed = elapsed.squeeze(-1)
        with full_precision(input.device):
            batched = input.dim() == 3
            outputs, parts = self._pieces(*self._entered(input, state, elapsed))
            if not self.return_sequences:
                outputs = outputs[:, -1]
            elif batched and not self.batch_first:
                outputs = outputs.transpose(0, 1)
            return (outputs if batched else outputs[0]), self._whole(parts, batched)

    def step(
        self,
        input: Tensor,
        state: State | None = None,
        elapsed: float | Tensor | None = None,
        prepared: Any = None,
    ) -> tuple[Tensor, State]:
        """One sample.

        Args:
            input: (batch, inputs), or (inputs,) without a batch.
            state: as in `forward`.
            elapsed: time since the sample before [s], finite and >= 0: a number or (batch,).
            prepared: what `prepare` returned for the present parameters; saves computing it where
                the step is not compiled.

        Without gradients (`torch.no_grad`, `torch.inference_mode`), in float32 on a CPU and with
        numba installed, an LTC with the fused solver and a wired CfC take a step in one compiled
        call, which sees at once when a parameter changes.

        Returns:
            Outputs (batch, outputs) and the new state, both without the batch if the input had
            none.

        Raises:
            ValueError: as `forward`.
        """
        require_tensor(input)
        after = self._step_compiled(input, state, elapsed)
        if after is not None:
            return after
        batched = input.dim() == 2
        if input.dim() not in (1, 2) or input.shape[-1] != self.inputs or 0 in input.shape[:-1]:
            raise ValueError(
                f"The input must have shape (batch, {self.inputs}) or ({self.inputs},), got "
                f"{tuple(input.shape)}; sequences go to the circuit itself, not to step()."
            )
        with full_precision(input.device):
            input = input.to(self._like())
            elapsed = self._elapsed(elapsed, input.shape[:-1], input)
            if not batched:
                input, elapsed = input.unsqueeze(0), elapsed.unsqueeze(0)
            parts = self._parts(state, input.shape[0], batched, input)
            prepared = self.prepare() if prepared is None else prepared
            drives = self._drive(prepared, input.unsqueeze(1), elapsed.unsqueeze(1))
            resting = self._resting(elapsed)
            parts = self._move(prepared, parts, resting, *(drive[:, 0] for drive in drives))
            output = self._read(prepared, parts)
            return (output if batched else output[0]), self._whole(parts, batched)

    def _step_compiled(
        self, input: Tensor, state: State | None, elapsed: float | Tensor | None
    ) -> tuple[Tensor, State] | None:
        """As `step`, or None where that needs torch operations."""
        return None

    def prepare(self) -> Any:
        """What the present parameters amount to, for a caller that steps often; may be None."""
        return None

    def _prepare_sequence(self) -> Any:
        """As `prepare`, in the form that is fastest for many samples."""
        return self.prepare()

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        """All that does not depend on the state, for a whole sequence at once.

        `inputs` is (batch, time, inputs), `elapsed` (batch, time); so begins each tensor returned.
        """
        raise NotImplementedError

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        """The state after one sample; `drive` is one time slice of what `_drive` returned."""
        raise NotImplementedError

    def _read(self, prepared: Any, state: tuple[Tensor, ...]) -> Tensor:
        """Outputs (..., outputs) of a state."""
        raise NotImplementedError

    def _keeps_state_at_rest(self) -> bool:
        """Whether the equations themselves leave the state as it is when no time passes."""
        return False

    def _pieces(
        self, inputs: Tensor, state: tuple[Tensor, ...], elapsed: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """As `_sequence`, in pieces of `checkpoint_every` samples."""
        length = self.checkpoint_every
        if length is None or traced() or not torch.is_grad_enabled():
            return self._sequence(inputs, state, elapsed)
        if not isinstance(length, int) or length < 1:
            raise ValueError(f"checkpoint_every must be a number of samples or None, got {length}.")
        outputs = []
        for piece in zip(inputs.split(length, 1), elapsed.split(length, 1), strict=True):
            output, state = checkpoint(
                self._sequence, piece[0], state, piece[1], use_reentrant=False
            )
            outputs.append(output)
        return torch.cat(outputs, 1), state

    def _sequence(
        self, inputs: Tensor, state: tuple[Tensor, ...], elapsed: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Outputs (batch, time, outputs) and last state, from checked tensors."""
        prepared = self._prepare_sequence()
        drives = self._drive(prepared, inputs, elapsed)
        resting = self._resting(elapsed)
        if exporting():
            return self._scan(prepared, state, resting, drives)
        states = self._states(prepared, state, resting, drives)
        # One read of all samples is faster than one of each.
        return self._read(prepared, states), tuple(part[:, -1].clone() for part in states)

    def _states(
        self,
        prepared: Any,
        state: tuple[Tensor, ...],
        resting: Tensor | None,
        drives: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...]:
        """The state after each sample, its parts (batch, time, size)."""
        states = []
        for time, drive in enumerate(zip(*(drive.unbind(1) for drive in drives), strict=True)):
            rest = None if resting is None else resting[:, time]
            state = self._move(prepared, state, rest, *drive)
            states.append(state)
        return tuple(torch.stack(part, 1) for part in zip(*states, strict=True))

    def _scan(
        self,
        prepared: Any,
        state: tuple[Tensor, ...],
        resting: Tensor | None,
        drives: tuple[Tensor, ...],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        from torch._higher_order_ops.scan import scan

        sequences = drives if resting is None else (resting, *drives)

        def body(state, drive):
            rest = () if resting is None else drive[:1]
            drive = drive[len(rest) :]
            state = self._move(prepared, state, rest[0] if rest else None, *drive)
            return state, self._read(prepared, state).clone()

        state, outputs = scan(body, state, tuple(each.transpose(0, 1) for each in sequences))
        return outputs.transpose(0, 1), tuple(state)

    def _move(
        self, prepared: Any, state: tuple[Tensor, ...], resting: Tensor | None, *drive: Tensor
    ) -> tuple[Tensor, ...]:
        after = self._next(prepared, state, *drive)
        if resting is None:
            return after
        keep = resting.unsqueeze(-1)
        return tuple(torch.where(keep, old, new) for old, new in zip(state, after, strict=True))

    def _resting(self, elapsed: Tensor) -> Tensor | None:
        """Rows for which no time passes, or None where there are none to look after."""
        if self._keeps_state_at_rest():
            return None
        resting = elapsed == 0
        # A trace must hold for any elapsed time, so it cannot depend on these.
        return resting if traced() or resting.any() else None

    def _entered(
        self, input: Tensor, state: State | None, elapsed: float | Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """The checked arguments of `forward` as `_sequence` takes them."""
        batched, time_first = input.dim() == 3, not self.batch_first
        if input.dim() not in (2, 3) or input.shape[-1] != self.inputs or 0 in input.shape[:-1]:
            order = "time, batch" if time_first else "batch, time"
            raise ValueError(
                f"The input must have shape ({order}, {self.inputs}) or (time, {self.inputs}) with "
                f"at least one sample, got {tuple(input.shape)}."
            )
        input = input.to(self._like())
        elapsed = self._elapsed(elapsed, input.shape[:-1], input)
        if not batched:
            input, elapsed = input.unsqueeze(0), elapsed.unsqueeze(0)
        elif time_first:
            input, elapsed = input.transpose(0, 1), elapsed.transpose(0, 1)
        return input, self._parts(state, input.shape[0], batched, input), elapsed

    def _like(self) -> Tensor:
        """A tensor with the precision and the device in which the circuit computes."""
        return next(self.parameters())

    def _elapsed(
        self, elapsed: float | Tensor | None, samples: tuple[int, ...], like: Tensor
    ) -> Tensor:
        """Checked elapsed times, expanded to the shape of the samples."""
        elapsed = self.time_unit if elapsed is None else elapsed
        if isinstance(elapsed, int | float):
            # Looked at here, as a look at a tensor makes a GPU wait.
            if not 0 <= elapsed <= torch.finfo(like.dtype).max:
                raise ValueError(
                    "Elapsed times must be finite and 0 s or more, got "
                    f"{elapsed} s for a circuit of {like.dtype}."
                )
            return like.new_full(tuple(samples), elapsed)
        if not isinstance(elapsed, Tensor):
            try:
                elapsed = torch.as_tensor(elapsed)
            except (TypeError, ValueError, RuntimeError) as error:
                raise TypeError(
                    "Elapsed times must be a number or a tensor, got "
                    f"{type(elapsed).__name__}: {error}"
                ) from error
        if elapsed.is_complex():
            raise TypeError("Elapsed times must be real numbers, got complex ones.")
        elapsed = elapsed.to(like)
        samples, given = tuple(samples), tuple(elapsed.shape)
        time = samples[int(self.batch_first) :][:1] if len(samples) == 2 else samples
        # Lengths first: a comparison of shapes of unlike lengths would tie a traced batch to time.
        fits = not given or given == (time if len(given) == 1 else samples)
        if not fits or len(given) > len(samples):
            shapes = tuple(dict.fromkeys(((), time, samples)))
            raise ValueError(f"Elapsed times must have one of the shapes {shapes}, got {given}.")
        if not traced():
            # Both are NaN where one time is.
            least, most = (end.item() for end in elapsed.detach().aminmax())
            if not (least >= 0 and most < math.inf):
                raise ValueError(
                    f"Elapsed times must be finite and 0 s or more, got {least} to {most} s."
                )
        if len(given) == 1 < len(samples) and not self.batch_first:
            elapsed = elapsed.unsqueeze(1)
        return elapsed.expand(samples)

    def _parts(
        self, state: State | None, batch: int, batched: bool, like: Tensor
    ) -> tuple[Tensor, ...]:
        """The state as a tuple of checked (batch, size) tensors."""
        if state is None:
            return tuple(like.new_zeros(batch, size) for size in self.state_sizes)
        shapes = [(batch, size) if batched else (size,) for size in self.state_sizes]
        many = len(shapes) > 1
        parts = tuple(state) if isinstance(state, tuple | list) else (state,)
        for part in parts:
            if not isinstance(part, Tensor):
                raise TypeError(
                    f"The state must be a {'tuple of tensors' if many else 'tensor'} of "
                    f"{'shapes' if many else 'shape'} {', '.join(map(str, shapes))}, got "
                    f"{type(part).__name__}{' in it' if part is not state else ''}."
                )
        given = [tuple(part.shape) for part in parts]
        if given != shapes:
            raise ValueError(
                f"The state must {'be a tuple of shapes' if many else 'have shape'} "
                f"{', '.join(map(str, shapes))}, got {', '.join(map(str, given))}."
            )
        return tuple((part if batched else part.unsqueeze(0)).to(like) for part in parts)

    def _whole(self, parts: tuple[Tensor, ...], batched: bool) -> State:
        parts = parts if batched else tuple(part[0] for part in parts)
        return parts[0] if len(parts) == 1 else parts
