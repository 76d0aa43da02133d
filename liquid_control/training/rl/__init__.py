"""Reinforcement learning of policies with stable-baselines3, any circuit in place of an LSTM.

`recipe` holds the settings, `world` is a simulated world as the learner sees it and turns frames
into features, `sequences` runs a circuit over sequences in which episodes start, `actor_critic` is
the policy that RecurrentPPO trains and `algorithm` how, `evaluation` drives in between as
`liquid-control evaluate` does, `curve` draws that, `checkpoint` keeps what a killed run needs to go
on, `callbacks` call them, and `command` puts them together.
"""
