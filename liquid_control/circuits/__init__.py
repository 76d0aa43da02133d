"""Liquid circuits: who is wired to whom, and the cells that run on a wiring."""

from liquid_control.circuits.ltc import LTC
from liquid_control.circuits.wiring import Wiring, flagship_wiring, ncp

__all__ = ["LTC", "Wiring", "flagship_wiring", "ncp"]
