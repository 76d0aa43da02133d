"""Bounds that correct computation never leaves, and what is found where something else did."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

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
    AutoNCP,
    CfC,
    Reservoir,
    flagship_wiring,
)
from liquid_control.command import CURVATURE, SPEED, CommandSpec, Output
from liquid_control.models import find
from liquid_control.perception.baseline import FeedForward
from liquid_control.policy import Driver, Policy
from liquid_control.policy.guarantees import Guarantees

SPEC = CommandSpec((CURVATURE, SPEED))
FRAME = np.zeros((78, 200, 3), np.uint8)
FEATURES = 32


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def _reservoir() -> Reservoir:
    reservoir = Reservoir(FEATURES, 12, 2)
    reservoir.fit(torch.rand(1, 50, FEATURES), torch.rand(1, 50, 2))
    return reservoir


CIRCUITS = {
    "ltc": lambda: LTC(flagship_wiring(2)),
    "ltc dense": lambda: LTC(FEATURES, AutoNCP(16, 2, 0.3)),
    "ltc euler": lambda: LTC(flagship_wiring(2), solver="euler"),
    "ltc rk4": lambda: LTC(flagship_wiring(2), solver="rk4"),
    "ltc mixed": lambda: LTC(flagship_wiring(2), mixed_memory=True),
    "cfc wired": lambda: CfC(flagship_wiring(2)),
    "cfc no gate": lambda: CfC(flagship_wiring(2), mode="no_gate"),
    "cfc pure": lambda: CfC(flagship_wiring(2), mode="pure"),
    "cfc dense": lambda: CfC(FEATURES, 12, proj_size=2),
    "cfc mixed": lambda: CfC(flagship_wiring(2), mixed_memory=True),
    "lstm": lambda: LSTM(FEATURES, 12, 2),
    "gru": lambda: GRU(FEATURES, 12, 2),
    "gru-d": lambda: GRUD(FEATURES, 12, 2),
    "ct-rnn": lambda: CTRNN(FEATURES, 12, 2),
    "ct-gru": lambda: CTGRU(FEATURES, 6, 2),
    "ltc-lstm": lambda: LTCLSTM(FEATURES, AutoNCP(16, 2)),
    "ode-rnn": lambda: ODERNN(FEATURES, 12, 2, solver="rk4"),
    "ode-lstm": lambda: ODELSTM(FEATURES, 12, 2, solver="rk4"),
    "reservoir": _reservoir,
    "feed-forward": lambda: FeedForward(FEATURES, 2),
}
# Which parts of their states have no bound, by how their numbers are called.
UNBOUNDED = {
    "ltc rk4": {"inter", "command", "motor"},
    "ltc mixed": {"memory"},
    "cfc pure": {"inter", "command", "motor"},
    "cfc mixed": {"memory"},
    "lstm": {"memory"},
    "ltc-lstm": {"memory"},
    "ode-rnn": {"unit"},
    "ode-lstm": {"unit", "memory"},
}


class Given(nn.Module):
    """In the place of a head: whatever features a test wants."""

    size = (78, 200)
    layers = ()

    def __init__(self) -> None:
        super().__init__()
        self.values = torch.zeros(1, FEATURES)

    def forward(self, frames: Tensor, return_activations: bool) -> tuple[Tensor, list[Tensor]]:
        return self.values, []


def driver_of(circuit: nn.Module, spec: CommandSpec = SPEC) -> Driver:
    policy = Policy(spec, circuit=circuit)
    policy.head = Given()
    return Driver(policy.eval())


def shaken(circuit: nn.Module, seed: int, strength: float) -> nn.Module:
    """Its weights moved by normal noise, far more than training moves them."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for values in circuit.parameters():
            if values.requires_grad:
                values += strength * torch.randn(values.shape, generator=noise)
    return circuit


def features(random: np.random.Generator) -> Tensor:
    """Ordinary, none, huge, or each one of these at random: features of a ReLU."""
    choices = np.stack(
        [random.random(FEATURES), np.zeros(FEATURES), np.full(FEATURES, 10.0 ** random.integers(6))]
    )
    kind = random.integers(4)
    row = choices[kind] if kind < 3 else random.permuted(choices, axis=0)[0]
    return torch.from_numpy(row[None].astype(np.float32))


@pytest.mark.parametrize("kind", CIRCUITS)
@settings(deadline=None, max_examples=3, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**31 - 1), strength=st.sampled_from([0.0, 0.3, 2.0]))
def test_no_decision_of_a_correct_circuit_leaves_its_bounds(kind, seed, strength):
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    driver = driver_of(shaken(CIRCUITS[kind](), seed, strength))
    guarantees = Guarantees.of(driver.policy)
    # Explicit solvers refuse long times, and a neural ODE without a bound runs away in them.
    longest = 3 if kind not in ("ltc rk4", "ltc euler", "ode-rnn", "ode-lstm") else -2
    for _ in range(30):
        driver.policy.head.values = features(random)
        elapsed = random.choice([0.0, 1 / 30, 10.0 ** random.uniform(-6, longest)])
        try:
            decision = driver.step(FRAME, elapsed)
        except ValueError:
            # Only an explicit solver may refuse, and only a long time.
            assert elapsed > 0
            assert kind in ("ltc rk4", "ltc euler")
            continue
        assert guarantees.check(decision) is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", CIRCUITS)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**31 - 1), strength=st.sampled_from([0.0, 0.3, 2.0, 5.0]))
def test_no_decision_of_many_circuits_leaves_its_bounds(kind, seed, strength):
    test = test_no_decision_of_a_correct_circuit_leaves_its_bounds
    test.hypothesis.inner_test(kind, seed, strength)


@pytest.mark.parametrize("kind", CIRCUITS)
def test_a_circuit_says_which_of_its_numbers_have_no_bound(kind):
    policy = driver_of(CIRCUITS[kind]()).policy
    guarantees = Guarantees.of(policy)
    without = UNBOUNDED.get(kind, set())
    places = range(len(policy.state_names))
    low, high, why = guarantees.state.low, guarantees.state.high, guarantees.unbounded
    assert {policy.state_names[place].split("_")[0] for place in places if why[place]} == without
    for place in places:
        assert np.isfinite([low[place], high[place]]).all() == (not why[place])
        assert low[place] <= 0 <= high[place]


@pytest.mark.parametrize("name", ["driving_ncp", "drone_ncp", "rc_track_ncp"])
def test_extreme_features_come_close_to_the_bounds_of_a_shipped_policy(name):
    policy = Policy.load(find(name))
    guarantees, features = Guarantees.of(policy), policy.circuit.inputs
    random = torch.Generator().manual_seed(0)
    # None, or as many as saturate a synapse, for so long that the neurons settle.
    rows = 1e4 * (torch.rand(4000, 1, features, generator=random) < 0.5)
    with torch.no_grad():
        _, state = policy.circuit(rows.repeat(1, 10, 1), None, 10.0)
        constants = policy.circuit.time_constants(rows[:, 0], state)
    low, high = guarantees.state.low, guarantees.state.high
    reached = state.amax(0).clamp(min=0).numpy() - state.amin(0).clamp(max=0).numpy()
    # Each neuron alone may reach its bound; what takes one there keeps others away from theirs.
    assert 0.6 < (reached / (high - low)).mean() <= 1
    spans = np.log(guarantees.time_constants.high / guarantees.time_constants.low)
    seen = np.log(constants.amax(0).numpy() / constants.amin(0).numpy())
    assert 0.5 < (seen / spans).mean() <= 1


def test_bounds_are_narrower_than_the_published_ones():
    circuit = Policy.load(find("driving_ncp")).circuit
    published = [circuit.leak_potential.detach().clamp(max=0), circuit.leak_potential.clamp(min=0)]
    for synapses in (circuit.sensory, circuit.recurrent):
        target = torch.from_numpy(synapses.pairs[1])
        published[0] = published[0].scatter_reduce(0, target, synapses.reversal, "amin")
        published[1] = published[1].scatter_reduce(0, target, synapses.reversal, "amax")
    low, high = (each.detach().numpy() for each in published)
    guarantees = Guarantees.of(Policy.load(find("driving_ncp")))
    assert (guarantees.state.low > low).all()
    assert (guarantees.state.high < high).all()
    assert (guarantees.state.high - guarantees.state.low).mean() < 0.75 * (high - low).mean()


def test_a_single_synapse_takes_its_neuron_to_the_bound():
    policy = Policy(CommandSpec((CURVATURE,)), circuit=_alone())
    driver = Driver(policy.eval())
    policy.head = Given()
    guarantees = Guarantees.of(policy)
    policy.head.values = torch.full((1, FEATURES), 1e4)
    for _ in range(20):
        decision = driver.step(FRAME, 100.0)
    assert guarantees.check(decision) is None
    share, name = guarantees.largest_share()
    assert 0.9999 < share <= 1
    assert name in policy.state_names


def _alone() -> LTC:
    circuit = LTC(flagship_wiring(1))
    with torch.no_grad():
        for synapses in (circuit.sensory, circuit.recurrent):
            synapses.reversal.fill_(1.0)
            synapses.slope.abs_().clamp_(min=5.0)
            synapses.midpoint.fill_(-1.0)
        circuit.input_weight.fill_(1.0)
    return circuit


@pytest.mark.parametrize("kind", ["ltc", "cfc wired", "gru", "ltc mixed", "ltc-lstm"])
def test_a_state_pushed_out_is_found_by_name(kind):
    driver = driver_of(CIRCUITS[kind]())
    guarantees = Guarantees.of(driver.policy)
    for place, name in enumerate(driver.policy.state_names):
        if guarantees.unbounded[place]:
            continue
        high = float(guarantees.state.high[place])
        state = np.zeros(len(driver.policy.state_names), np.float32)
        state[place] = high * 1.001
        driver.restore(state)
        violation = guarantees.check(driver.step(FRAME, 0.0))
        assert (violation.kind, violation.name) == ("state before", name)
        assert violation.value == pytest.approx(high * 1.001)
        assert violation.high == pytest.approx(high)
        assert name in str(violation)
        assert f"{violation.value:.6g}" in str(violation)


@pytest.mark.parametrize("kind", CIRCUITS)
def test_a_nan_is_found_wherever_it_is(kind):
    driver = driver_of(CIRCUITS[kind]())
    guarantees = Guarantees.of(driver.policy)
    assert guarantees.check(driver.step(FRAME, 1 / 30)) is None
    driver.policy.head.values = torch.full((1, FEATURES), torch.nan)
    violation = guarantees.check(driver.step(FRAME, 1 / 30))
    assert np.isnan(violation.value)
    assert violation.kind == ("command" if kind == "feed-forward" else "state")


def test_an_infinite_number_without_a_bound_is_found():
    driver = driver_of(CIRCUITS["lstm"]())
    guarantees = Guarantees.of(driver.policy)
    state = np.zeros(24, np.float32)
    state[20] = np.inf
    driver.restore(state)
    violation = guarantees.check(driver.step(FRAME, 0.0))
    assert violation.name == "memory_unit_8"
    assert "outside the finite numbers" in str(violation)


@pytest.mark.parametrize("factor", [1e3, -1e3])
def test_a_weight_changed_after_the_bounds_were_taken_is_found(factor):
    driver = driver_of(CIRCUITS["ltc"]())
    guarantees = Guarantees.of(driver.policy)
    circuit = driver.policy.circuit
    with torch.no_grad():
        circuit.recurrent.reversal[3] *= factor
    name = driver.policy.wiring.names[circuit.recurrent.pairs[1][3]]
    driver.policy.head.values = torch.ones(1, FEATURES)
    found = [guarantees.check(driver.step(FRAME, 0.1)) for _ in range(50)]
    assert next(each for each in found if each).name == name


def test_a_time_constant_outside_is_found():
    driver = driver_of(CIRCUITS["ltc"]())
    guarantees = Guarantees.of(driver.policy)
    with torch.no_grad():
        driver.policy.circuit.raw_capacitance[4] = 5.0
    driver.refresh()
    violation = guarantees.check(driver.step(FRAME, 0.0))
    assert (violation.kind, violation.name) == ("time constant", driver.policy.state_names[4])


def test_a_command_is_bounded_by_what_its_motor_neuron_can_reach():
    wide = CommandSpec((Output("steering", "1", -5.0, 5.0), Output("gas", "1", 0.0, 5.0)))
    policy = driver_of(CIRCUITS["cfc wired"](), wide).policy
    command = Guarantees.of(policy).command
    np.testing.assert_allclose(command.high, [5, 5], rtol=1e-4)
    with torch.no_grad():
        ltc = LTC(flagship_wiring(2))
        ltc.output_weight.fill_(0.1)
    command = Guarantees.of(driver_of(ltc, wide).policy).command
    assert (np.abs(command.high) < 2).all()
    assert -2 < command.low[0] < command.low[1] == 0


def test_seconds_are_those_of_the_policy_whatever_its_tick():
    circuit = LTC(flagship_wiring(2))
    slow = Policy(SPEC, circuit=circuit, tick=10.0)
    fast = Policy(SPEC, circuit=circuit, tick=1.0)
    ratio = Guarantees.of(slow).time_constants.high / Guarantees.of(fast).time_constants.high
    np.testing.assert_allclose(ratio, 10.0)


def test_a_learning_policy_has_bounds_for_all_that_it_may_become():
    from liquid_control.circuits.flat import put
    from liquid_control.policy.bounds import Interval
    from liquid_control.training.trust_region import TrustRegion

    driver = driver_of(LTC(flagship_wiring(2)))
    circuit = driver.policy.circuit
    region = TrustRegion(circuit, 0.5)
    guarantees = Guarantees.of(driver.policy).within(
        Interval(region.state_low.double().numpy(), region.state_high.double().numpy()),
        Interval(region.fastest.detach().numpy(), region.slowest.detach().numpy()),
        SPEC.low,
        SPEC.high,
    )
    random = np.random.default_rng(0)
    noise = torch.Generator().manual_seed(0)
    for _ in range(20):
        put(circuit, region.project(region.shipped + torch.randn(len(region.low), generator=noise)))
        driver.refresh()
        for _ in range(10):
            driver.policy.head.values = features(random)
            assert guarantees.check(driver.step(FRAME, 10.0 ** random.uniform(-6, 2))) is None
