"""Recordings: rosbag2 bags in and out, the drives and windows that training reads, and importers.

`messages` builds and reads standard ROS 2 messages, `bag` writes and reads bags, `recovery` reads
what a killed recorder left, `drive` turns a bag into aligned frames and labels, which
`recorded_labels` and `interventions` take from an expert or from a person who took over,
`sequences` cuts drives into windows (the only file here that imports torch), `importers` turn other
recordings into bags. None of them needs ROS.
"""
