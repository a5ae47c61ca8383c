"""A simulated payment stream with the truth beside it; it shares no threshold with Ringwatch's rules."""

from ringwatch.simulation.files import write
from ringwatch.simulation.stream import DAYS, Simulation

__all__ = ["DAYS", "Simulation", "write"]
