"""The actor and critic that RecurrentPPO trains: a circuit acts, in place of an LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from liquid_control.circuits import Circuit
from liquid_control.perception import VisionHead
from liquid_control.perception.baseline import BaselineHead, FeedForward
from liquid_control.training.rl.sequences import run_sequences

__all__ = ["CircuitActorCritic", "roughness"]

# What RecurrentPPO stores beside each step: two tensors (1, environments, size), for h and c.
LSTMStates = tuple[Tensor, Tensor]
Observation = dict[str, Tensor]


class _StateShape(NamedTuple):
    """What RecurrentPPO asks of an LSTM before it makes room for its states."""

    num_layers: int
    hidden_size: int


class CircuitActorCritic(RecurrentActorCriticPolicy):
    """A recurrent policy for `RecurrentPPO` whose memory is a circuit.

    Observations are dictionaries of
        features: float32 (inputs,), or frame: uint8 (rows * columns * 3,), which `head` turns into
            them;
        elapsed: float32 (1,), time since the observation before [s]; at the first one of an episode
            the camera's period. 0 is padding.
        privileged: float32 (any,), optional; the critic alone sees it.

    The circuit's outputs are the means of the actions, so that the circuit with its head is the
    trained policy, as it is. Noise is Gaussian, with one learnt standard deviation per output.

    The critic is a network of its own on features and privileged values. It does not change the
    head: a critic that begins at random would spoil what imitation has learnt.

    Args:
        observation_space, action_space, lr_schedule: as stable-baselines3 gives them. The
            schedule's value multiplies all rates.
        circuit: the actor; trained in place. One output per action. May be the `FeedForward` of the
            baseline, which has no memory: then this is plain PPO.
        head: turns frames into features and is trained, too; in place.
        critic_circuit: a memory for the critic, whose inputs are features and privileged values;
            by default it has none.
        critic_layers: sizes of the critic's hidden layers.
        tick: what circuits count as one unit of time [s], see `Policy`.
        log_std_init: logarithm of the first standard deviation of actions.
        circuit_rate, head_rate, critic_rate: learning rates of Adam.
        use_sde: must be False.

    Raises:
        ValueError: observations or actions are of another kind, or do not fit the circuit.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        circuit: Circuit | FeedForward,
        head: VisionHead | BaselineHead | None = None,
        critic_circuit: Circuit | None = None,
        critic_layers: Sequence[int] = (64, 64),
        tick: float = 1.0,
        log_std_init: float = -1.0,
        circuit_rate: float = 3e-4,
        head_rate: float = 3e-5,
        critic_rate: float = 1e-3,
        use_sde: bool = False,
    ) -> None:
        seen = "features" if head is None else "frame"
        _check(observation_space, action_space, circuit, seen, use_sde)
        # Not its own constructor, which would make LSTMs.
        super(RecurrentActorCriticPolicy, self).__init__(
            observation_space, action_space, lr_schedule
        )
        self.circuit, self.head, self.critic_circuit = circuit, head, critic_circuit
        self.tick = tick
        # Weights of entropy and of roughness in what `evaluate_actions` gives as entropy; None: the
        # entropy as it is.
        self.bonus: tuple[float, float] | None = None
        features, privileged = circuit.inputs, observation_space.spaces.get("privileged")
        inputs = features + (0 if privileged is None else privileged.shape[0])
        if critic_circuit is not None and critic_circuit.inputs != inputs:
            raise ValueError(
                f"The critic's circuit must take {inputs} inputs (features and privileged values), "
                f"got one for {critic_circuit.inputs}."
            )
        self.value_net = _layers(
            inputs if critic_circuit is None else critic_circuit.outputs, critic_layers
        )
        self.log_std = nn.Parameter(torch.full(action_space.shape, float(log_std_init)))
        circuits = [circuit, *([] if critic_circuit is None else [critic_circuit])]
        self.lstm_actor = _StateShape(1, max(sum(each.state_sizes) for each in circuits))
        self.lstm_hidden_state_shape = (1, 1, self.lstm_actor.hidden_size)
        groups = [
            {"name": "actor", "params": [*circuit.parameters(), self.log_std], "rate": circuit_rate}
        ]
        if head is not None:
            groups.append({"name": "head", "params": [*head.parameters()], "rate": head_rate})
        critic = [*self.value_net.parameters()]
        critic += [] if critic_circuit is None else critic_circuit.parameters()
        groups.append({"name": "critic", "params": critic, "rate": critic_rate})
        self.optimizer = torch.optim.Adam(groups, lr=lr_schedule(1), eps=1e-5)

    def _build(self, lr_schedule: Schedule) -> None:
        """Networks are made by the constructor, once torch allows for it."""

    def forward(
        self,
        obs: Observation,
        lstm_states: RNNStates,
        episode_starts: Tensor,
        deterministic: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, RNNStates]:
        """Actions (N, outputs), values (N, 1), logarithms of probabilities (N,), and states."""
        features = self._features(obs)
        distribution, actor = self._act(features, obs, lstm_states.pi, episode_starts)
        values, critic = self._judge(features, obs, lstm_states.vf, episode_starts)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, values, distribution.log_prob(actions), RNNStates(actor, critic)

    def evaluate_actions(
        self, obs: Observation, actions: Tensor, lstm_states: RNNStates, episode_starts: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Values (N, 1), logarithms of probabilities and entropies (N,) over whole sequences.

        With a `bonus`, what it makes of the entropies instead.

        Observations and starts are (sequences * time, ...), sequence after sequence, and the states
        those before the first sample of each.
        """
        features = self._features(obs)
        distribution, _ = self._act(features, obs, lstm_states.pi, episode_starts)
        values, _ = self._judge(features, obs, lstm_states.vf, episode_starts)
        entropy = distribution.entropy()
        if self.bonus is not None:
            rows = lstm_states.pi[0].shape[1]
            means, starts, elapsed = (
                each.unflatten(0, (rows, -1))
                for each in (distribution.distribution.mean, episode_starts, obs["elapsed"])
            )
            rough = roughness(means, starts, elapsed.squeeze(2)).flatten()
            entropy = self.bonus[0] * entropy - self.bonus[1] * rough
        return values, distribution.log_prob(actions), entropy

    def get_distribution(
        self, obs: Observation, lstm_states: LSTMStates, episode_starts: Tensor
    ) -> tuple[Distribution, LSTMStates]:
        return self._act(self._features(obs), obs, lstm_states, episode_starts)

    def predict_values(
        self, obs: Observation, lstm_states: LSTMStates, episode_starts: Tensor
    ) -> Tensor:
        return self._judge(self._features(obs), obs, lstm_states, episode_starts)[0]

    def set_training_mode(self, mode: bool) -> None:
        """Never: with dropout, probabilities would not be comparable to those of the rollout."""
        super().set_training_mode(False)

    def _features(self, obs: Observation) -> Tensor:
        if self.head is None:
            return obs["features"].float()
        # Convolutions are the cost: none for padding.
        real = obs["elapsed"].flatten() > 0
        found = self.head(obs["frame"][real].view(-1, *self.head.size, 3))
        return found.new_zeros(len(real), found.shape[1]).index_put((real,), found)

    def _act(
        self, features: Tensor, obs: Observation, states: LSTMStates, starts: Tensor
    ) -> tuple[Distribution, LSTMStates]:
        ticks = obs["elapsed"] / self.tick
        means, states = _recur(self.circuit, features, ticks, states, starts)
        return self.action_dist.proba_distribution(means, self.log_std), states

    def _judge(
        self, features: Tensor, obs: Observation, states: LSTMStates, starts: Tensor
    ) -> tuple[Tensor, LSTMStates]:
        seen = features.detach()
        if "privileged" in obs:
            seen = torch.cat((seen, obs["privileged"].float()), 1)
        if self.critic_circuit is not None:
            ticks = obs["elapsed"] / self.tick
            seen, states = _recur(self.critic_circuit, seen, ticks, states, starts)
        return self.value_net(seen), states


def roughness(means: Tensor, starts: Tensor, elapsed: Tensor) -> Tensor:
    """How much outputs swing, as the squared change per second, times the seconds it took.

    A reward that is less by the change of the *action* tells the same, but nearly all of it is the
    noise of exploration, behind which PPO does not find what the network itself can do about it.
    The gradient of the means needs no trying: the temporal term of CAPS (Mysore et al.,
    "Regularizing Action Policies for Smooth Control", ICRA 2021), squared.

    Args:
        means: (sequences, time, outputs).
        starts: (sequences, time), 1 where an episode begins.
        elapsed: (sequences, time), seconds since the decision before; 0 is padding.

    Returns:
        (sequences, time); 0 for the first decision of a sequence or an episode, and for padding.
    """
    change = means.diff(dim=1).square().sum(2)
    counts = (starts[:, 1:] < 0.5) & (elapsed[:, 1:] > 0)
    swings = torch.where(counts, change / elapsed[:, 1:].clamp_min(1e-6), 0.0)
    return torch.nn.functional.pad(swings, (1, 0))


def _recur(
    circuit: Circuit | FeedForward,
    inputs: Tensor,
    elapsed: Tensor,
    states: LSTMStates,
    starts: Tensor,
) -> tuple[Tensor, LSTMStates]:
    """Outputs (sequences * time, outputs) and states, in the layout of RecurrentPPO."""
    packed, rest = states
    rows, sizes = packed.shape[1], circuit.state_sizes
    free = packed.shape[2] - sum(sizes)
    *parts, unused = packed[0].split((*sizes, free), 1)
    outputs, parts = run_sequences(
        circuit,
        inputs.unflatten(0, (rows, -1)),
        tuple(parts),
        elapsed.reshape(rows, -1),
        starts.reshape(rows, -1) > 0.5,
    )
    return outputs.flatten(0, 1), (torch.cat((*parts, unused), 1).unsqueeze(0), rest)


def _layers(inputs: int, sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in sizes:
        layers += [nn.Linear(inputs, size), nn.Tanh()]
        nn.init.orthogonal_(layers[-2].weight, np.sqrt(2))
        inputs = size
    layers.append(nn.Linear(inputs, 1))
    for layer in layers[::2]:
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def _check(
    observations: spaces.Space,
    actions: spaces.Space,
    circuit: Circuit | FeedForward,
    seen: str,
    use_sde: bool,
) -> None:
    if not isinstance(observations, spaces.Dict) or not {seen, "elapsed"} <= set(observations):
        raise ValueError(
            f"Observations must be a dictionary with {seen!r} and 'elapsed', got {observations}; "
            "make worlds with liquid_control.training.rl.world."
        )
    if seen == "features" and observations["features"].shape != (circuit.inputs,):
        raise ValueError(
            f"The circuit takes {circuit.inputs} inputs, but observations have features of shape "
            f"{observations['features'].shape}; choose a circuit that fits."
        )
    if not isinstance(actions, spaces.Box) or actions.shape != (circuit.outputs,):
        raise ValueError(
            f"The circuit gives {circuit.outputs} outputs, which must be as many real actions, got "
            f"{actions}; choose a circuit that fits."
        )
    if use_sde:
        raise ValueError(
            "A circuit's actions have plain Gaussian noise, got use_sde=True; leave it out."
        )
