"""From bags to policies.

`recipe` holds the settings of a training, `split` divides recordings by time, `augment` varies
batches, `module` is the loss and the optimiser, and `imitation` puts them together.
"""
