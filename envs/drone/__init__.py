"""`Drone-v0`: a quadrotor in a forest or a city, seen through its front camera."""
