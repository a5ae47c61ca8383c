"""Honest groups of every kind that looks like a ring: each is staged as a ring is, and has its line of truth."""

from ringwatch.simulation.lookalikes.catalogue import GATHERINGS

__all__ = ["GATHERINGS"]
