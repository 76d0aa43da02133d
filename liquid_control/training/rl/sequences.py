"""A circuit over sequences in which new episodes start, without a loop over time."""

from __future__ import annotations

import torch
from torch import Tensor

from liquid_control.circuits import LTC, CfC, Circuit
from liquid_control.perception.baseline import FeedForward

__all__ = ["run_sequences"]

Parts = tuple[Tensor, ...]

# Compiled code takes 16 rows at a time: with fewer than half of them, pieces fit in side by side.
FEW_ROWS = 8


def run_sequences(
    circuit: Circuit | FeedForward,
    inputs: Tensor,
    state: Parts,
    elapsed: Tensor,
    starts: Tensor,
) -> tuple[Tensor, Parts]:
    """Outputs of a circuit over sequences, its state zero again wherever an episode starts.

    Equal to stepping through them, in one call. The compiled code of LTC and CfC starts anew inside
    of a sequence. For other circuits, and where sequences are few, they are cut where an episode
    starts, and the pieces are rows of one batch. Shorter pieces are filled up with samples for
    which no time passes, so that the state behind them is the state at their end (see `Circuit`).

    Args:
        circuit: any, also one without a state.
        inputs: (sequences, time, inputs).
        state: parts (sequences, size) of the state before the first sample.
        elapsed: (sequences, time) in the circuit's unit; 0 marks padding, which leaves the state
            as it is.
        starts: (sequences, time) bool, whether a sample is the first one of an episode.

    Returns:
        Outputs (sequences, time, outputs) and the parts of the state after the last sample.
    """
    if not circuit.state_sizes:
        return circuit(inputs, None, elapsed)[0], ()
    rows, time = starts.shape
    if isinstance(circuit, LTC | CfC) and rows >= FEW_ROWS and time > 1:
        found = circuit.episodes(inputs, _state(state), elapsed, starts)
        if found is not None:
            return found[0], _parts(found[1])
    state = tuple(torch.where(starts[:, :1], 0.0, part) for part in state)
    if time == 1:
        output, after = circuit.step(inputs[:, 0], _state(state), elapsed[:, 0])
        return output.unsqueeze(1), _parts(after)
    if not starts[:, 1:].any():
        outputs, after = circuit(inputs, _state(state), elapsed)
        return outputs, _parts(after)
    first = starts.clone()
    first[:, 0] = True
    begin = first.flatten().nonzero().squeeze(1)  # of each piece, in the flattened sequences
    end = torch.cat((begin[1:], begin.new_tensor([rows * time])))
    length = (end - begin).unsqueeze(1)
    offset = torch.arange(int(length.max()), device=begin.device)
    inside = offset < length
    samples = begin.unsqueeze(1) + torch.minimum(offset, length - 1)
    goes_on = begin % time == 0  # the first piece of each sequence, in their order
    initial = []
    for part in state:
        piece = part.new_zeros(len(begin), part.shape[1])
        piece[goes_on] = part
        initial.append(piece)
    outputs, after = circuit(
        inputs.flatten(0, 1)[samples],
        _state(tuple(initial)),
        elapsed.flatten()[samples] * inside,
    )
    # Pieces in order and samples in order: what is inside of them is the flattened sequences.
    outputs = outputs[inside].unflatten(0, (rows, time))
    return outputs, tuple(part[end % time == 0] for part in _parts(after))


def _state(parts: Parts) -> Tensor | Parts:
    return parts[0] if len(parts) == 1 else parts


def _parts(state: Tensor | Parts) -> Parts:
    return (state,) if isinstance(state, Tensor) else tuple(state)
