"""PilotNet's measure of autonomy on a recording: how often would a person have had to take over?

Bojarski et al., "End to End Learning for Self-Driving Cars", 2016, section 6:

    autonomy = (1 - interventions * 6 s / elapsed time) * 100 %

An intervention is counted where the simulated vehicle is more than 1 m beside the recorded path; it
is then set back onto it. With psi the angle and y the way to the left between the two, v the
recorded speed, k the asked and k* the recorded curvature [1/m]:

    dpsi/dt = (k - k*) v,  dy/dt = v sin(psi)

As in the paper the policy can be shown what it would see from there (`Viewpoint`), which needs the
camera's geometry; without, it is shown the recorded frames, cannot correct itself, and errors only
add up, so that the measure is a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from liquid_control.camera import Viewpoint
from liquid_control.data.drive import Drive
from liquid_control.data.sequences import elapsed_times
from liquid_control.evaluation.open_loop_figures import Blocks
from liquid_control.policy import Policy

__all__ = ["AWAY_M", "TAKEOVER_S", "autonomy", "deviations", "driven_with_views"]

AWAY_M, TAKEOVER_S = 1.0, 6.0
# Upper end of the exact 95 % interval of a Poisson mean where none was seen (Garwood 1936).
NONE_SEEN = 3.689


class _Beside:
    """Where the simulated vehicle is: `left` [m] and `yaw` [rad] of the recorded one."""

    def __init__(self) -> None:
        self.left = self.yaw = 0.0

    def move(self, more: float, speed: float, elapsed: float) -> tuple[float, bool]:
        """Go on with `more` curvature [1/m] than recorded: where it came to, whether beyond 1 m."""
        self.yaw += more * speed * elapsed
        self.left += speed * math.sin(self.yaw) * elapsed
        left, away = self.left, abs(self.left) > AWAY_M
        if away:
            self.left = self.yaw = 0.0
        return left, away


def deviations(
    more: np.ndarray, speed: np.ndarray, elapsed: np.ndarray, runs: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Way to the left (frames,) [m] and bool (frames,) interventions, as errors add up.

    Args:
        more: asked less recorded curvature (frames,) [1/m].
        speed: (frames,) [m/s].
        elapsed: (frames,) since the frame before [s].
        runs: [start, stop) of stretches without a gap; each starts on the recorded path.
    """
    left, away = np.zeros(len(more)), np.zeros(len(more), bool)
    for start, stop in runs:
        vehicle = _Beside()
        for row in range(start, stop):
            left[row], away[row] = vehicle.move(
                float(more[row]), float(speed[row]), float(elapsed[row])
            )
    return left, away


@torch.inference_mode()
def driven_with_views(
    policy: Policy,
    drive: Drive,
    view: Viewpoint,
    path: np.ndarray,
    speed: np.ndarray,
    on_frame: Callable[[], object],
) -> tuple[np.ndarray, np.ndarray]:
    """As `deviations`, of a policy that sees each frame as from where it would be.

    Args:
        policy: with an output "curvature".
        drive: the recording.
        view: makes the frames of `drive` those of other places.
        path: curvature (frames,) [1/m] that the recording's vehicle drove.
        speed: (frames,) [m/s] of it.
        on_frame: called after each frame.
    """
    place = policy.spec.names.index("curvature")
    left, away = np.zeros(len(drive)), np.zeros(len(drive), bool)
    elapsed = elapsed_times(drive)
    for start, stop in drive.runs():
        vehicle, state = _Beside(), None
        for row in range(start, stop):
            frame = view.apply(np.asarray(drive.frames[row]), vehicle.left, vehicle.yaw)
            frames = torch.from_numpy(np.array(frame))[None, None]
            asked, state = policy(frames, state, float(elapsed[row]))
            curvature = policy.spec.clip(asked[0, 0].numpy())[place]
            left[row], away[row] = vehicle.move(
                float(curvature - path[row]), float(speed[row]), float(elapsed[row])
            )
            on_frame()
    return left, away


def autonomy(away: np.ndarray, elapsed: np.ndarray, blocks: Blocks) -> dict:
    """Interventions, their number in 10 minutes, and autonomy [%] with its 95 % interval.

    Less than nothing counts as 0 %: where interventions come faster than every 6 s. Where there was
    none, the interval follows from the Poisson distribution instead of the bootstrap.
    """
    sums = blocks.sums(np.stack([away, elapsed], axis=-1).astype(np.float64))

    def share(totals: np.ndarray) -> np.ndarray:
        return np.clip(100 * (1 - totals[..., 0] * TAKEOVER_S / totals[..., 1]), 0.0, None)

    count, seconds = sums.sum(0)
    interval = blocks.interval(share(blocks.weights @ sums))
    if count == 0:
        # The bootstrap has no width there.
        interval = [float(share(np.array([NONE_SEEN, seconds]))), 100.0]
    return {
        "interventions": int(count),
        "seconds": float(seconds),
        "per_10_minutes": float(600 * count / seconds),
        "autonomy": {
            "mean": float(share(sums.sum(0))),
            "interval": interval,
        },
    }
