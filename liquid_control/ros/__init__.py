"""ROS 2 nodes: policy, simulator, safety, recorder and replay, each its own process.

Only this room imports rclpy. `conversion` makes messages, `runtime` starts and ends a node's
process, `processes` and `supervisor` run several of them for `liquid-control drive` and `replay`.
"""
