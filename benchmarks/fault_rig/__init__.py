"""The rig of `benchmarks/faults.py` and `tests/faults`: real nodes, and what goes wrong with them.

- `rig`: starts the processes, listens to what the vehicle is told, measures a stop.
- `source`: the camera and the odometry of the vehicle, a process that can be told to misbehave.
- `flood`: a process that publishes on one topic, or sets parameters, as often as it is told to.
- `poisoned`: the policy node in a process whose weights turn NaN by a signal.
- `faults`: every fault after which the vehicle must stand still, as data.
"""
