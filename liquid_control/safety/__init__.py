"""What a vehicle may be told: limits, priorities, time-outs and stops as pure functions.

Nothing here reads a clock. Times come in as floats: `now` is the steady clock [s], `stamp` the time
of the frame that a command answers [s], `age` how long ago that was on the clock that made the
stamp [s]. The safety node (`ros/safety_node.py`) only wires these functions up.

- `limits`: the numbers, each a parameter of the node.
- `ramps`: speeds that change with bounded acceleration and jerk.
- `setpoint`: a car's command brought within the limits, and braking.
- `flight`: the same for a drone's velocity.
- `rules`: which of the two, by the type of the limits.
- `arbiter`: who drives (emergency stop > person > policy), and which commands are refused.
"""

from liquid_control.safety.arbiter import (
    Driver,
    Refusal,
    State,
    accept,
    driving,
    emergency_stop,
    release,
    resume,
    tick,
)
from liquid_control.safety.flight import FlightSetpoint
from liquid_control.safety.limits import FlightLimits, Limits
from liquid_control.safety.rules import (
    VEHICLES,
    AnyLimits,
    AnySetpoint,
    figures,
    outgoing,
    rest,
)
from liquid_control.safety.setpoint import (
    CREEP,
    Setpoint,
    brake,
    driven_curvature,
    limit,
    without_dead_band,
)

__all__ = [
    "CREEP",
    "VEHICLES",
    "AnyLimits",
    "AnySetpoint",
    "Driver",
    "FlightLimits",
    "FlightSetpoint",
    "Limits",
    "Refusal",
    "Setpoint",
    "State",
    "accept",
    "brake",
    "driven_curvature",
    "driving",
    "emergency_stop",
    "figures",
    "limit",
    "outgoing",
    "release",
    "rest",
    "resume",
    "tick",
    "without_dead_band",
]
