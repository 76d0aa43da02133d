"""From bags to policies.

`recipe` holds the settings of a training, `networks` the circuits that it can name, `split` divides
recordings by time, `batches` orders their windows and `augment` varies them, `module` is the loss
and the optimiser, `closed_loop` drives in between, `curves` draws what was logged, and `imitation`
puts them together. `dagger` lets the policy drive and an expert correct it, round by round. `adapt`
fine-tunes a circuit alone, on `features` that are computed once; `online` does so while a vehicle
drives, within a `trust_region`. `rl` learns from rewards, and `tune` searches the settings of a
recipe.
"""
