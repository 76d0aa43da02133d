"""Search for a recipe's settings with Optuna.

`space` reads what is searched, `study` keeps trials so that a kill loses none and several processes
share them, `trial` trains one and reports in between, `results` and `plot` write what was found,
and `command` is `liquid-control tune`.
"""
