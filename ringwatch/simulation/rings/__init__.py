"""The eighteen kinds of rings. Sizes, durations, prices and habits are drawn anew for every ring.

None of the figures here is a rule's threshold: they say what such rings do, and some do too little to be seen.
"""

from ringwatch.simulation.rings.catalogue import STAGINGS, Staging

__all__ = ["STAGINGS", "Staging"]
