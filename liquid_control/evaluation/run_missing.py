"""What a report cannot show because its topic was not recorded, in plain sentences."""

from __future__ import annotations

from liquid_control.evaluation.run_data import RunData

__all__ = ["missing"]

_WITHOUT = {
    "/policy/decision": "the commands of the policy and the frames it skipped are unknown",
    "/policy/neurons": "the activity of the neurons and their time constants are not shown",
    "/policy/latency": "the time from frame to command and the inference time are unknown",
    "/policy/attention/overlay/compressed": "attention is drawn from the saliency maps where they "
    "have the size of the camera frames, and not shown elsewhere",
}
_DRIVE = {
    "/simulator/state": "lateral error, heading error, crashes and the curvature of the road are "
    "unknown",
    "/simulator/road": "the map shows the driven line without the lane",
    "/simulator/road/left": "the map shows no left edge of the road",
    "/simulator/road/right": "the map shows no right edge of the road",
    "/odom": "the wheels' own measure of speed and place is missing",
    "/cmd_vel": "the speed asked is unknown",
    "/cmd_vel_safe": "it is unknown what the safety node changed",
}
_REPLAY = {"/expert/command": "the policy's command has nothing to be compared with"}


def missing(run: RunData) -> dict[str, str]:
    """Topic -> sentence, for the topics that a run of this kind should have and has not."""
    expected = dict(_WITHOUT)
    expected |= _REPLAY if run.kind == "replay" else _DRIVE
    if run.kind == "recording":
        expected = {"/policy/decision": _WITHOUT["/policy/decision"]} | _REPLAY
    if run.flies:
        expected = {name: why for name, why in expected.items() if "/road" not in name}
    sentences = {
        topic: f"{topic} was not recorded: {effect}."
        for topic, effect in expected.items()
        if topic in run.absent
    }
    if run.saliency is None and "/policy/attention/overlay/compressed" in sentences:
        topic = "/policy/attention/overlay/compressed"
        sentences[topic] = f"{topic} was not recorded: what the policy looked at is not shown."
    return sentences
