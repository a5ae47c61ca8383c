"""What becomes known about payments: late, not about all of them, and not always right."""

from __future__ import annotations

from typing import Literal

from ringwatch.simulation.chance import derived, lognormal, mix
from ringwatch.simulation.records import Event, Label
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339

_CHARGEBACK_MEDIAN_DAYS, _CHARGEBACK_LATEST_DAYS = 24.0, 90.0
#: Fraud that an analyst sees before its victim does, and declined fraud that anybody looks at.
_SPOTTED_SHARE, _REVIEWED_DECLINE_SHARE = 0.15, 0.25
#: Victims who never notice, or give up.
_SILENT_SHARE = 0.08
_REVIEWED_HONEST_SHARE = 0.001
#: Online purchases whose buyer had the goods and has the money back all the same.
_FRIENDLY_FRAUD_SHARE = 0.0004
_WRONG_SHARE = 0.03

Source = Literal["chargeback", "analyst"]


def verdict(seed: int, event: Event) -> Label | None:
    """The label that a payment will have, if any; the same for the same seed, whatever came before.

    Whoever lost money charges back one to ninety days later; an analyst looks within hours at some declined,
    some fraudulent and a few honest payments, and errs now and then.
    """
    if event.redelivered:
        return None
    key = int(event.payment.transaction_id[:8], 16)
    declined = event.payment.status == "declined"
    if not event.fraud:
        share = mix(seed, key) / 2**64
        if share < _REVIEWED_HONEST_SHARE:
            return _reviewed(seed, key, event)
        online = event.payment.channel == "ecommerce" and event.payment.status == "approved"
        if online and share > 1.0 - _FRIENDLY_FRAUD_SHARE:
            return _charged_back(seed, key, event)
        return None
    rng = derived(seed, key, 1)
    if rng.random() < (_REVIEWED_DECLINE_SHARE if declined else _SPOTTED_SHARE):
        return _reviewed(seed, key, event)
    return None if declined or rng.random() < _SILENT_SHARE else _charged_back(seed, key, event)


def _charged_back(seed: int, key: int, event: Event) -> Label:
    rng = derived(seed, key, 2)
    days = min(_CHARGEBACK_LATEST_DAYS, 1.0 + lognormal(rng, _CHARGEBACK_MEDIAN_DAYS, 0.6))
    return _label(event, "fraud", "chargeback", int(days * DAY_MS))


def _reviewed(seed: int, key: int, event: Event) -> Label:
    rng = derived(seed, key, 3)
    fraud = event.fraud != (rng.random() < _WRONG_SHARE)
    delay = int(lognormal(rng, 9 * HOUR_MS, 1.0)) + 5 * MINUTE_MS
    return _label(event, "fraud" if fraud else "legitimate", "analyst", delay)


def _label(event: Event, verdict: Literal["fraud", "legitimate"], source: Source, delay_ms: int) -> Label:
    return Label(
        transaction_id=event.payment.transaction_id,
        verdict=verdict,
        source=source,
        time=rfc3339(event.arrived + delay_ms),
    )
