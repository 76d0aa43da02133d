"""DAgger: a policy learns from an expert what to do where the policy itself gets to.

`recipe` holds the settings, `select` decides what a round trains on, `rounds` records, trains and
scores round by round and goes on where it was killed, `summary` says what a round came to, `report`
shows the outcome, `command` is `liquid-control dagger`.
"""
