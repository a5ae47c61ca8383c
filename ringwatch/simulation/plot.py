"""A ring in the making: what every typology draws from, and the truth that it leaves."""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from ringwatch.simulation import values
from ringwatch.simulation.chance import heavy_tailed, lognormal
from ringwatch.simulation.checkout import Buyer, pay, usual_euros
from ringwatch.simulation.honest import purchase
from ringwatch.simulation.places import CITIES
from ringwatch.simulation.population import Merchant, Population
from ringwatch.simulation.records import Event, Payment, Ring, Typology
from ringwatch.simulation.rhythm import rfc3339

Kind = Literal["card", "account", "device", "ip", "email", "phone", "address", "merchant"]

_SLOW_SHARE = 0.12
_CAMOUFLAGED_SHARE = 0.5


class Plot:
    """The stage of one ring: its draws, its payments, and who belongs to it.

    ``kinds`` names what the ring controls or abuses; ``largest`` bounds its size. Times are epoch ms, and every
    payment lies between ``start`` and the simulation's end.
    """

    def __init__(
        self,
        population: Population,
        rng: random.Random,
        *,
        ring_id: str,
        typology: Typology,
        kinds: frozenset[Kind],
        start: int,
        largest: int,
    ) -> None:
        self.population = population
        self.rng = rng
        self.ring_id = ring_id
        self.typology = typology
        self.start = start
        self.events: list[Event] = []
        self._end = population.start + population.span_ms
        self._kinds = kinds
        self._largest = largest
        self._fraud: list[str] = []
        self._camouflage: list[str] = []
        self._members: defaultdict[str, set[str]] = defaultdict(set)

    def size(self, smallest: int, *, alpha: float = 1.2) -> int:
        """How many take part: heavy-tailed."""
        return heavy_tailed(self.rng, smallest, max(smallest, self._largest), alpha=alpha)

    def duration_ms(self, median_ms: float, sigma: float) -> int:
        """How long it goes on; some rings are many times slower than their kind."""
        duration = lognormal(self.rng, median_ms, sigma)
        if self.rng.random() < _SLOW_SHARE:
            duration *= lognormal(self.rng, 15, 0.6)
        return max(1, min(int(duration), self._end - self.start - 1))

    def times(self, count: int, duration_ms: int) -> list[int]:
        """``count`` ascending times within a duration from the start, denser towards its beginning."""
        return sorted(self.start + int(duration_ms * self.rng.betavariate(1.0, 1.4)) for _ in range(count))

    def merchants(self, count: int, *needs: str) -> list[Merchant]:
        """Online merchants that collect the named fields."""
        found: list[Merchant] = []
        while len(found) < count:
            merchant = self.population.online(self.rng)
            if merchant.collects.issuperset(needs):
                found.append(merchant)
        return found

    def devices(self, count: int) -> list[str]:
        """Devices that nobody else uses."""
        return [values.device(self.rng.getrandbits(64)) for _ in range(count)]

    def connections(self, count: int) -> list[tuple[str, str]]:
        """IPs with their networks: data centres, and homes whose owners do not know."""
        hosted = self.rng.random() < 0.5
        return [
            (values.hosting_ip(self.rng.getrandbits(17)), values.network(3, self.rng.randrange(4)))
            if hosted
            else (values.home_ip(2**23 + self.rng.getrandbits(23)), values.network(0, self.rng.randrange(4)))
            for _ in range(count)
        ]

    def addresses(self, count: int) -> list[str]:
        """Addresses where nobody of the honest lives."""
        return [
            values.address(self.rng.randint(1, 240), self.rng.getrandbits(31), self.rng.choice(CITIES).name)
            for _ in range(count)
        ]

    def phones(self, count: int) -> list[str]:
        """Phone numbers that no honest person has."""
        reserved = range(values.PHONE_NUMBERS * 3 // 4, values.PHONE_NUMBERS)
        return [values.phone(self.rng.choice(reserved)) for _ in range(count)]

    def emails(self, count: int) -> list[str]:
        """Mailboxes of the ring's own."""
        return [values.email(self.rng.getrandbits(63)) for _ in range(count)]

    def cards(self, count: int, *, hijacked_share: float) -> list[str]:
        """Different stolen cards: some belong to the honest people here, the others were never seen before."""
        found: dict[str, None] = {}
        while len(found) < count:
            if self.rng.random() < hijacked_share:
                found[self.population.customer(self.rng, self.start).card(0, self.start)] = None
            else:
                found[values.pan(self.rng.getrandbits(20), self.rng.getrandbits(40))] = None
        return list(found)

    def commit(
        self,
        time: int,
        buyer: Buyer,
        merchant: Merchant,
        euros: float,
        *,
        decline_rate: float,
        discounts: float = 0.03,
    ) -> None:
        """One fraudulent payment."""
        status = "declined" if self.rng.random() < decline_rate else "approved"
        time = min(time, self._end - 1)
        payment = pay(self.rng, time, buyer, merchant, euros, status, discounts=discounts)
        self.events.append(Event(time, payment, True, self.ring_id))
        self._fraud.append(payment.transaction_id)
        for kind, value in _shown(payment):
            if value is not None and kind in self._kinds:
                self._members[kind].add(value)

    def camouflage(self, buyers: Sequence[Buyer], duration_ms: int) -> None:
        """Ordinary purchases at popular merchants by the ring's identities, in some rings."""
        if self.rng.random() >= _CAMOUFLAGED_SHARE:
            return
        count = int(self.rng.uniform(0.1, 0.8) * len(self._fraud))
        for time in self.times(count, duration_ms):
            merchant = self.population.popular(self.rng)
            euros = usual_euros(self.rng, merchant)
            payment = pay(self.rng, time, self.rng.choice(buyers), merchant, euros, "approved")
            self.events.append(Event(time, payment, False, self.ring_id))
            self._camouflage.append(payment.transaction_id)

    def attract(self, merchant: Merchant, count: int, duration_ms: int) -> None:
        """Honest purchases at a merchant of the ring's: the people know nothing and are no members."""
        for time in self.times(count, duration_ms):
            person = self.population.customer(self.rng, time)
            self.events.append(Event(time, purchase(self.population, self.rng, person, merchant, time)))

    def identity(self, card: str, **shown: str | int | None) -> Buyer:
        """A pretended person with a device, a connection, a mailbox and an address of their own, unless given."""
        (ip, network), (device,) = self.connections(1)[0], self.devices(1)
        own = Buyer(
            card=card,
            email=self.emails(1)[0],
            device=device,
            ip=ip,
            network=network,
            home=self.addresses(1)[0],
        )
        return dataclasses.replace(own, **shown)  # type: ignore[arg-type]  # the names are Buyer's

    def truth(self) -> Ring:
        """What is true of the ring, once it is staged; its events are then in order of time."""
        self.events.sort(key=lambda event: event.time)
        own = [event.time for event in self.events if event.ring is not None]
        return Ring(
            ring_id=self.ring_id,
            typology=self.typology,
            first_seen=rfc3339(own[0]),
            last_seen=rfc3339(own[-1]),
            members={kind: sorted(found) for kind, found in sorted(self._members.items())},
            transaction_ids=self._fraud,
            camouflage_transaction_ids=self._camouflage,
        )


def _shown(payment: Payment) -> tuple[tuple[Kind, str | None], ...]:
    return (
        ("card", payment.card),
        ("account", payment.account),
        ("device", payment.device),
        ("ip", payment.ip),
        ("email", payment.email),
        ("phone", payment.phone),
        ("address", payment.shipping_address),
        ("address", payment.billing_address),
        ("merchant", payment.merchant),
    )
