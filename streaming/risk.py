"""A ring's risk: how likely at least one of its parts is right, were they independent (noisy-OR).

Each part is a probability: what findings of a severity are taken to be worth until people have judged, and from
then on what they say of rings with that typology. How far a measure exceeds its threshold is shown, and
strengthens nothing: nobody has measured by how much it should.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from queries.spec import Severity
from streaming.ring_state import Ring, Verdict

#: How often a finding of each severity is taken to be right before anybody has judged one.
PRIORS: Mapping[Severity, float] = {"low": 0.3, "medium": 0.5, "high": 0.7, "critical": 0.85}

#: How many verdicts that assumption is worth.
PRIOR_WEIGHT = 10

#: A burst by itself says little: honest crowds burst too, and a slow ring never does.
_BURST_WEIGHT = 0.1
#: MIDAS's score is chi-squared with one degree of freedom when nothing bursts: its 95 % quantile.
_BURST_THRESHOLD = 3.841


class RiskPart(msgspec.Struct, frozen=True):
    """How likely one typology is right: its severity's ``prior``, and the verdicts on rings that show it."""

    id: str
    risk: float
    prior: float
    confirmed: int
    dismissed: int


class Risk(msgspec.Struct, frozen=True):
    """Every part, and ``final``, which is their noisy-OR; a part that nothing is known of is ``None``."""

    final: float
    rules: list[RiskPart]
    density: float | None
    burst: float | None
    model: float | None = None
    model_version: str | None = None


class Calibration:
    """What people have said of rings, by typology."""

    def __init__(self, verdicts: Iterable[tuple[Verdict, Iterable[str]]] = ()) -> None:
        self._counts: Counter[tuple[Verdict, str]] = Counter()
        for verdict, typologies in verdicts:
            self._counts.update((verdict, typology) for typology in typologies)

    def part(self, typology: str, severity: Severity) -> RiskPart:
        """The mean of the Beta distribution that the prior becomes through the verdicts.

        A verdict counts for each typology that its ring shows, since nobody says which of them was right.
        """
        confirmed, dismissed = self._counts["confirmed", typology], self._counts["dismissed", typology]
        prior = PRIORS[severity]
        mean = (prior * PRIOR_WEIGHT + confirmed) / (PRIOR_WEIGHT + confirmed + dismissed)
        return RiskPart(typology, round(mean, 6), prior, confirmed, dismissed)


def assess(ring: Ring, calibration: Calibration) -> Risk:
    """Every part of a ring's risk."""
    parts = {
        typology: (known.part, calibration.part(typology, known.severity))
        for typology, known in sorted(ring.typologies.items())
    }
    burst = None if ring.burst is None else round(_BURST_WEIGHT * _chi_squared_cdf(ring.burst), 6)
    model = ring.learned.risk if ring.learned is not None else None
    chances = [part.risk for kind, part in parts.values() if kind != "model"]
    chances += [chance for chance in (burst, model) if chance is not None]
    return Risk(
        final=round(1 - math.prod(1 - chance for chance in chances), 6),
        rules=[part for kind, part in parts.values() if kind == "rule"],
        density=next((part.risk for kind, part in parts.values() if kind == "density"), None),
        burst=burst,
        model=model,
        model_version=ring.learned.model if ring.learned is not None else None,
    )


def risk_in_words(ring: Ring, calibration: Calibration) -> list[str]:
    """The risk and where it comes from, a line for each part."""
    risk = assess(ring, calibration)
    said = [f"risk {risk.final:.2f}: how likely one of the following is right at least"]
    for typology, known in sorted(ring.typologies.items()):
        if known.part == "model":
            continue  # its word is the scores of the ring's payments
        part = calibration.part(typology, known.severity)
        verdicts = f"{part.confirmed} confirmed and {part.dismissed} dismissed rings so far"
        said.append(f"{typology} {part.risk:.2f}: {part.prior:g} as {known.severity} severity goes, {verdicts}")
    if risk.burst is not None:
        measured = f"highest MIDAS score of its members: {ring.burst:g} (threshold {_BURST_THRESHOLD:g})"
        said.append(f"burst {risk.burst:.2f}: {measured}")
    said.append(_learned_in_words(ring))
    return said


def _learned_in_words(ring: Ring) -> str:
    learned = ring.learned
    if learned is None or learned.risk is None:
        return "no learned part: no model has scored its payments"
    share = f"the mean over {learned.scored} of its {learned.asked} latest payments"
    return f"learned {learned.risk:.2f}: {share}, scored by model {learned.model}"


def _chi_squared_cdf(score: float) -> float:
    """How improbable a score is without a burst (one degree of freedom)."""
    return math.erf(math.sqrt(max(score, 0.0) / 2))
