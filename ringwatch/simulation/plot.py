"""A ring in the making: what every typology draws from, and the truth that it leaves."""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer, pay, send, usual_euros
from ringwatch.simulation.connections import mobile
from ringwatch.simulation.honest import purchase
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.places import CITIES, Country
from ringwatch.simulation.population import Person, Population
from ringwatch.simulation.records import Event, Kind, Payment, Ring, Typology, members
from ringwatch.simulation.rhythm import DAY_MS, rfc3339
from ringwatch.simulation.scene import Scene

_SLOW_SHARE = 0.15
_HEIR_SHARE = 0.2
_CAMOUFLAGED_SHARE = 0.55
_MOST_CAMOUFLAGE = 3.0
#: How often rings connect over mobile networks, data centres and other people's homes.
_HABITS = (38, 20, 42)
_REMEMBERED_RINGS = 40

T = TypeVar("T")


class Assets(NamedTuple):
    """What a ring works with and may hand on: devices, connections (IP and network) and drop addresses."""

    devices: list[str]
    connections: list[tuple[str, str]]
    addresses: list[str]


class Underworld:
    """The assets of the latest rings, from which a new one may take some over."""

    def __init__(self) -> None:
        self._assets: deque[Assets] = deque(maxlen=_REMEMBERED_RINGS)

    def leave(self, assets: Assets) -> None:
        """A ring's assets are to be had."""
        self._assets.append(assets)

    def inherited(self, rng: random.Random) -> Assets:
        """An earlier ring's assets, or none."""
        if self._assets and rng.random() < _HEIR_SHARE:
            return rng.choice(self._assets)
        return Assets([], [], [])


class Plot(Scene):
    """The stage of one ring: its draws, its payments, and who belongs to it.

    ``kinds`` names what the ring controls or abuses. Some rings are two cells that share nothing at first and
    everything later, or the other way round: ``tool`` hands out what a cell has at a time.
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
        inherited: Assets,
    ) -> None:
        super().__init__(population, rng, start=start, largest=largest)
        self.ring_id = ring_id
        self.typology = typology
        self.assets = Assets([], [], [])
        self._inherited = inherited
        self._shape = rng.choices(("one", "merging", "splitting"), (80, 12, 8))[0]
        self._middle = start
        self._kinds = kinds
        self._fraud: list[str] = []
        self._camouflage: list[str] = []
        self._buyers: dict[str, Buyer] = {}
        self._members: defaultdict[str, set[str]] = defaultdict(set)

    def duration_ms(self, median_ms: float, sigma: float) -> int:
        """How long it goes on; some rings drip, many times slower than their kind."""
        if self.rng.random() < _SLOW_SHARE:
            median_ms *= lognormal(self.rng, 15, 0.6)
        duration = super().duration_ms(median_ms, sigma)
        self._middle = self.start + duration // 2
        return duration

    def tool(self, pool: Sequence[T], member: int, time: int) -> T:
        """What the ``member``-th uses at a time out of a pool, which cells may not share yet, or no more."""
        apart = self._shape != "one" and (time < self._middle) == (self._shape == "merging")
        return self.rng.choice(pool[member % 2 :: 2] or pool if apart else pool)

    def devices(self, count: int) -> list[str]:
        """Devices that no honest person uses; some may have been another ring's."""
        own = [values.device(self.rng.getrandbits(64)) for _ in range(count)]
        return self._taken_over(own, self._inherited.devices, self.assets.devices)

    def connections(self, count: int) -> list[tuple[str, str]]:
        """IPs with their networks: in data centres, at homes whose owners do not know, or a carrier's shared ones.

        A ring has its habits, but takes what it gets.
        """
        rng = self.rng
        habits = rng.choices(("mobile", "hosted", "home"), _HABITS, k=3)
        own: list[tuple[str, str]] = []
        for _ in range(count):
            kind = rng.choice(habits)
            if kind == "mobile":
                own.append(mobile(rng, self.population.resident(rng, self.start).carrier))
            elif kind == "hosted":
                own.append((values.hosting_ip(2**16 + rng.getrandbits(16)), self._network(3)))
            else:
                own.append((values.home_ip(2**23 + rng.getrandbits(23)), self._network(0)))
        return self._taken_over(own, self._inherited.connections, self.assets.connections)

    def addresses(self, count: int) -> list[str]:
        """Addresses where nobody of the honest lives."""
        rng = self.rng
        own = [
            values.address(rng.randint(1, 240), rng.getrandbits(31), rng.choice(CITIES).name) for _ in range(count)
        ]
        return self._taken_over(own, self._inherited.addresses, self.assets.addresses)

    def phones(self, count: int) -> list[str]:
        """Phone numbers that no honest person has."""
        return [values.phone(self.rng.choice(values.PHONES_OF_RINGS)) for _ in range(count)]

    def emails(self, count: int) -> list[str]:
        """Mailboxes of the ring's own."""
        return [values.email(self.rng.getrandbits(63)) for _ in range(count)]

    def account(self) -> str:
        """An account that is the ring's own."""
        return values.account(self.rng.getrandbits(64))

    def opened(self, before: int, median_ms: float, *, bought_share: float = 0.6) -> int:
        """When an account was opened that is used from ``before`` on: lately, or years ago by somebody else."""
        if self.rng.random() < bought_share:
            return before - int(lognormal(self.rng, 400 * DAY_MS, 1.0))
        return before - int(lognormal(self.rng, median_ms, 1.4))

    def cards(self, count: int, *, hijacked_share: float) -> list[str]:
        """Different stolen cards: some belong to the honest people here, the others were never seen before."""
        found: dict[str, None] = {}
        while len(found) < count:
            if self.rng.random() < hijacked_share:
                found[self.population.resident(self.rng, self.start).card(0, self.start)] = None
            else:
                found[values.pan(self.rng.getrandbits(20), self.rng.getrandbits(40))] = None
        return list(found)

    def identity(self, card: str, **shown: str | int | None) -> Buyer:
        """A pretended person with a device, a connection, a mailbox and an address of their own, unless given."""
        (ip, network), device = self.connections(1)[0], values.device(self.rng.getrandbits(64))
        own = Buyer(
            card=card,
            email=self.emails(1)[0],
            device=device,
            ip=ip,
            network=network,
            home=values.address(self.rng.randint(1, 240), self.rng.getrandbits(31), self.rng.choice(CITIES).name),
            credit_limit=500 * self.rng.randint(1, 20) if self.rng.random() < 0.3 else None,
        )
        return dataclasses.replace(own, **shown)  # type: ignore[arg-type]  # the names are Buyer's

    def victim(self, person: Person, **shown: str | int | None) -> Buyer:
        """An honest person's card and account, with whatever the ring shows instead of the rest."""
        own = Buyer(
            card=person.card(self.rng.randrange(person.cards), self.start),
            account=person.account,
            created=person.created,
            email=person.email,
            phone=person.phone,
            home=person.household.address,
            credit_limit=person.credit_limit,
        )
        return dataclasses.replace(own, **shown)  # type: ignore[arg-type]  # the names are Buyer's

    def commit(
        self,
        time: float,
        buyer: Buyer,
        merchant: Merchant,
        euros: float,
        *,
        decline_rate: float,
        discounts: float = 0.03,
    ) -> Payment:
        """One fraudulent payment."""
        moment = self.moment(time)
        status = "declined" if self.rng.random() < decline_rate else "approved"
        self._buyers.setdefault(buyer.card, buyer)
        return self.take(moment, pay(self.rng, moment, buyer, merchant, euros, status, discounts=discounts))

    def move(self, time: float, sender: Buyer, receiver: str, country: Country, euros: float) -> None:
        """One fraudulent transfer."""
        moment = self.moment(time)
        self._buyers.setdefault(sender.card, sender)
        status = "declined" if self.rng.random() < 0.03 else "approved"
        self.take(moment, send(self.rng, moment, sender, receiver, country, euros, status))

    def take(self, moment: int, payment: Payment) -> Payment:
        """A payment is the ring's fraud, and what it shows is the ring's, but for what everybody shares."""
        self.events.append(Event(moment, payment, True, self.ring_id))
        self._fraud.append(payment.transaction_id)
        for kind, value in members(payment):
            if value is not None and kind in self._kinds and not (kind == "ip" and values.is_carrier_ip(value)):
                self._members[kind].add(value)
        return payment

    def disguise(self, time: float, buyer: Buyer, merchant: Merchant, euros: float) -> None:
        """One honest-looking purchase by one of the ring's identities."""
        moment = self.moment(time)
        status = "declined" if self.rng.random() < merchant.decline_rate else "approved"
        payment = pay(self.rng, moment, buyer, merchant, euros, status)
        self.events.append(Event(moment, payment, False, self.ring_id))
        self._camouflage.append(payment.transaction_id)

    def camouflage(self) -> None:
        """In some rings, ordinary purchases at popular merchants by the ring's identities, over days if it can."""
        rng = self.rng
        if rng.random() >= _CAMOUFLAGED_SHARE or not self._buyers:
            return
        share = min(_MOST_CAMOUFLAGE, lognormal(rng, 0.6, 0.9))
        buyers = list(self._buyers.values())
        active_ms = max(event.time for event in self.events) - self.start
        span_ms = max(active_ms, min(int(lognormal(rng, DAY_MS, 1.0)), self._end - self.start - 1))
        for time in self.times(int(share * len(self._fraud)), span_ms):
            merchant = self.market.popular(rng)
            self.disguise(time, rng.choice(buyers), merchant, usual_euros(rng, merchant))

    def involve(self, kind: Kind, value: str) -> None:
        """Somebody is the ring's whom its payments do not show."""
        self._members[kind].add(value)

    def attract(self, merchant: Merchant, visits: Sequence[tuple[int, Person]]) -> None:
        """Honest purchases at a merchant of the ring's: the people know nothing."""
        for time, person in visits:
            moment = self.moment(time)
            self.events.append(Event(moment, purchase(self.population, self.rng, person, merchant, moment)))

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
            camouflage=round(len(self._camouflage) / len(self._fraud), 3),
        )

    def _network(self, kind: int) -> str:
        return values.network(kind, self.rng.randrange(4))

    def _taken_over(self, own: list[T], inherited: list[T], kept: list[T]) -> list[T]:
        """``own``, up to half of it replaced by what an earlier ring had; all of it is left to later ones."""
        taken = inherited[: (len(own) + 1) // 2]
        result = taken + own[len(taken) :]
        kept.extend(result)
        return result
