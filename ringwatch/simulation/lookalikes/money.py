"""Accounts that money runs through for good reasons: rents, dues, and a company's own."""

from __future__ import annotations

import dataclasses

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer
from ringwatch.simulation.gathering import Gathering
from ringwatch.simulation.honest import banking
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS


def treasury(gathering: Gathering) -> None:
    """A group of companies sweeps its accounts every night: out to the parent, and back where it is needed."""
    rng = gathering.rng
    country = gathering.city().country
    companies = [_company(gathering) for _ in range(rng.randint(2, 6))]
    balance = lognormal(rng, 3_000, 0.8)
    morning = gathering.start - gathering.start % DAY_MS
    for day in range(1, 1 + rng.randint(1, 8)):
        evening = morning + day * DAY_MS + 17 * HOUR_MS
        if rng.random() < 0.5:
            for number, sender in enumerate(companies):
                receiver = companies[(number + 1) % len(companies)].account or ""
                gathering.send(evening + number * lognormal(rng, HOUR_MS, 0.6), sender, receiver, country, balance)
                balance *= rng.uniform(0.9, 1.08)
        else:
            parent, *others = companies
            for child in others:
                gathering.send(evening, child, parent.account or "", country, lognormal(rng, balance, 0.4))
                gathering.send(
                    evening + 12 * HOUR_MS, parent, child.account or "", country, lognormal(rng, balance, 0.4)
                )


def landlord(gathering: Gathering) -> None:
    """Tenants pay in the first days of the month; the mortgage and the craftsmen are paid from it."""
    rng = gathering.rng
    _collected(gathering, lognormal(rng, 720, 0.3), spread=0.25, days=4.0, spent=rng.uniform(0.4, 1.0))


def club(gathering: Gathering) -> None:
    """Members pay the same dues, and the treasurer pays the hall or the trip from them."""
    rng = gathering.rng
    _collected(gathering, round(lognormal(rng, 45, 0.6)), spread=0.0, days=10.0, spent=rng.uniform(0.3, 1.0))


def _collected(gathering: Gathering, euros: float, *, spread: float, days: float, spent: float) -> None:
    rng = gathering.rng
    payers = gathering.people(gathering.size(6))
    country = payers[0].household.city.country
    holder = dataclasses.replace(_company(gathering), credit_limit=None)
    duration = gathering.duration_ms(days * DAY_MS, 0.4)
    total, last = 0.0, gathering.start
    for time, person in zip(gathering.times(len(payers), duration), payers, strict=True):
        amount = lognormal(rng, euros, spread) if spread else euros
        sender = banking(gathering.population, rng, person, time)
        gathering.send(time, sender, holder.account or "", country, amount)
        total, last = total + amount, time
    bills = rng.randint(1, 4)
    for _ in range(bills):
        moment = last + lognormal(rng, 3 * DAY_MS, 0.9)
        gathering.send(moment, holder, values.account(rng.getrandbits(64)), country, spent * total / bills)


def _company(gathering: Gathering) -> Buyer:
    rng = gathering.rng
    number = rng.getrandbits(20)
    return Buyer(
        card=values.pan(rng.getrandbits(20), rng.getrandbits(40)),
        account=values.account(rng.getrandbits(64)),
        created=gathering.start - int(lognormal(rng, 900, 0.8) * DAY_MS),
        device=values.device(rng.getrandbits(64)),
        ip=values.office_ip(number),
        network=values.network(2, number),
    )
