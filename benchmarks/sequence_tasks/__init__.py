"""Sequence benchmarks: tasks, models, training, tables and plots; see `benchmarks/sequences.py`."""
