"""Why a policy decides as it does, from recordings and from the network itself.

- `attend` shows where models look, on any `sources`, and measures whether that matters;
- `neurons` shows a circuit over whole drives: activity, hidden-state PCA, time constants and the
  influence of each synapse; `ablation` cuts synapses, `wiring_figure` draws the wiring;
- `explain` sets one page for one decision.
"""
