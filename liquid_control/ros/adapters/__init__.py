"""From a safe velocity to the set-points of flight controllers, each in its own frames.

- `frames`: ENU and NED, FLU and FRD.
- `mavros`, `px4`, `crazyflie`: a pure conversion each, and a thin publisher of it.

None of them arms, takes off, lands or changes a mode: a pilot does.
"""
