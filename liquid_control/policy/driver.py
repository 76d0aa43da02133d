"""Runs a policy frame by frame, and recomputes its decisions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from liquid_control.attention.visual_backprop import visual_backprop
from liquid_control.circuits import LTC
from liquid_control.errors import InputError
from liquid_control.policy.decision import Decision, frame_hash
from liquid_control.policy.policy import Policy

__all__ = ["Decision", "Driver", "frame_hash", "recompute"]


class Driver:
    """Runs a policy frame by frame: numpy in, numpy out, the neurons' state kept inside.

    The circuit's parameters are read at construction, at `reset` and at `refresh`: call one of them
    after changing them.

    Attributes:
        spec: what its commands mean.
        features: of the head in the last frame, float32 (features,).
        facts: what decides its bits besides policy and `fingerprint.build_facts`: nothing.
    """

    features: np.ndarray
    facts: Mapping[str, str] = MappingProxyType({})

    def __init__(self, policy: Policy) -> None:
        self.policy, self.spec = policy, policy.spec
        self._device = policy.scale.device
        self._pixels = torch.empty((1, *policy.head.size, 3), dtype=torch.uint8)
        self._pixels_numpy = self._pixels[0].numpy()
        self._activations: list[Tensor] = []
        self.reset()

    @torch.inference_mode()
    def reset(self) -> None:
        """Forget the past: neurons to zero."""
        self.refresh()
        sizes = self.policy.circuit.state_sizes
        self._state = torch.zeros((1, sum(sizes)), device=self._device)
        self._fresh = True

    @torch.inference_mode()
    def refresh(self) -> None:
        """Go on with the circuit's parameters as they are now, from the same state."""
        self._prepared = self.policy.circuit.prepare()

    @torch.inference_mode()
    def restore(self, state: np.ndarray) -> None:
        """Go on from a recorded state: float32 (19,), or as `Decision.state_before`."""
        self._state = torch.from_numpy(np.array(state, np.float32)[None]).to(self._device)
        self._fresh = False

    @torch.inference_mode()
    def step(self, frame: np.ndarray, elapsed_s: float) -> Decision:
        """Decide on one frame.

        Args:
            frame: uint8 RGB (rows, columns, 3) of any size; the policy's camera setup is applied.
            elapsed_s: time since the frame before [s], >= 0; after a reset the camera's period.

        Raises:
            InputError: the frame does not fit the camera setup.
            ValueError: a negative or NaN elapsed time.
        """
        policy = self.policy
        np.copyto(self._pixels_numpy, policy.camera.apply(frame))
        features, self._activations = policy.head(self._pixels.to(self._device), True)
        before, circuit = self._state, policy.circuit
        outputs, after = circuit.step(
            features, self._parts(before), elapsed_s / policy.tick, self._prepared
        )
        # One row holds all parts of a state, so that a decision can be recorded and recomputed.
        state = (
            after if isinstance(after, Tensor) else torch.cat((before[:, :0], *(after or ())), 1)
        )
        if type(circuit) is LTC and circuit.memory is None:
            constants = circuit.time_constants(features, state, self._prepared) * policy.tick
        else:
            constants = torch.full_like(state, torch.nan)
        # Only after everything has worked, so that a refused frame leaves the driver as it was.
        reset, self._state, self._fresh = self._fresh, state, False
        self.features = features[0].cpu().numpy()
        return Decision(
            command=policy.spec.clip((outputs * policy.scale)[0].cpu().numpy()),
            state_before=before[0].cpu().numpy(),
            state=state[0].cpu().numpy(),
            time_constants=constants[0].cpu().numpy(),
            elapsed=float(elapsed_s),
            reset=reset,
            frame_hash=frame_hash(self._pixels_numpy),
        )

    def _parts(self, state: Tensor) -> Tensor | tuple[Tensor, ...] | None:
        """A state (1, numbers) as the circuit takes it."""
        sizes = self.policy.circuit.state_sizes
        return state if len(sizes) == 1 else (state.split(sizes, 1) if sizes else None)

    @torch.inference_mode()
    def attention(self) -> np.ndarray:
        """Where the head looked last: float32 (rows, columns) in [0, 1] (VisualBackProp).

        Raises:
            RuntimeError: no frame came yet.
        """
        if not self._activations:
            raise RuntimeError("Attention needs a frame; call step() before attention().")
        head = self.policy.head
        return visual_backprop(self._activations, head.layers, head.size)[0].cpu().numpy()

    @torch.inference_mode()
    def activity(self) -> np.ndarray:
        """How strongly each channel of the head's first and last convolution answered last.

        Mean activations, float32 (channels of the first + of the last,), 0 or more; what
        `attention.monitor` compares with training.
        """
        ends = (self._activations[0], self._activations[-1])
        return torch.cat([maps[0].float().mean((1, 2)) for maps in ends]).cpu().numpy()


def recompute(policy: Policy, frame: np.ndarray, decision: Decision) -> np.ndarray:
    """The command that `policy` gives for a recorded decision, float32 (outputs,), clipped.

    Equal to `decision.command` to the bit on the same kind of machine and number of threads, to
    about 1e-6 of the limits elsewhere.

    Args:
        policy: the policy that is said to have decided.
        frame: the frame that it is said to have seen, uint8 RGB.
        decision: of it only frame_hash, state_before and elapsed are used.

    Raises:
        InputError: the frame is not the one of the decision.
    """
    came = frame_hash(policy.camera.apply(frame))
    if came != decision.frame_hash:
        raise InputError(
            f"The decision was made on frame {decision.frame_hash}, got frame {came}; pair "
            "decisions and frames by their time stamps."
        )
    driver = Driver(policy)
    driver.restore(decision.state_before)
    return driver.step(frame, decision.elapsed).command
