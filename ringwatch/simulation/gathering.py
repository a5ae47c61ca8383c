"""An honest look-alike in the making: people who have a good reason to share what they share."""

from __future__ import annotations

import random
from collections import defaultdict

from ringwatch.simulation.checkout import Buyer, pay, send, usual_euros
from ringwatch.simulation.connections import shopper
from ringwatch.simulation.honest import status_of
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.places import Country
from ringwatch.simulation.population import Person, Population
from ringwatch.simulation.records import Event, HonestGroup, LookAlike, Payment, members
from ringwatch.simulation.scene import Scene


class Gathering(Scene):
    """The stage of one honest group: its draws and its payments."""

    def __init__(
        self,
        population: Population,
        rng: random.Random,
        *,
        group_id: str,
        kind: LookAlike,
        start: int,
        largest: int,
    ) -> None:
        super().__init__(population, rng, start=start, largest=largest)
        self.group_id = group_id
        self.kind = kind

    def buyer(self, person: Person, merchant: Merchant, time: float) -> Buyer:
        """A person as they appear at a merchant's checkout on any day."""
        return shopper(self.population, self.rng, person, merchant, self.moment(time))

    def buy(
        self,
        time: float,
        buyer: Buyer,
        merchant: Merchant,
        euros: float | None = None,
        *,
        decline_rate: float | None = None,
        discounts: float = 0.03,
    ) -> Payment:
        """One honest purchase, at an ordinary price and with the merchant's ordinary declines unless given."""
        moment = self.moment(time)
        price = usual_euros(self.rng, merchant) if euros is None else euros
        status = status_of(self.rng, merchant.decline_rate if decline_rate is None else decline_rate)
        return self.take(moment, pay(self.rng, moment, buyer, merchant, price, status, discounts=discounts))

    def send(self, time: float, sender: Buyer, receiver: str, country: Country, euros: float) -> None:
        """One honest transfer."""
        moment = self.moment(time)
        self.take(moment, send(self.rng, moment, sender, receiver, country, euros, status_of(self.rng, 0.02)))

    def take(self, moment: int, payment: Payment) -> Payment:
        """A payment is the group's."""
        self.events.append(Event(moment, payment))
        return payment

    def truth(self) -> HonestGroup:
        """What is true of the group, once it is staged; its events are then in order of time."""
        self.events.sort(key=lambda event: event.time)
        found: defaultdict[str, set[str]] = defaultdict(set)
        for event in self.events:
            for kind, value in members(event.payment):
                if value is not None:
                    found[kind].add(value)
        return HonestGroup(
            group_id=self.group_id,
            kind=self.kind,
            members={kind: sorted(values) for kind, values in sorted(found.items())},
            transaction_ids=[event.payment.transaction_id for event in self.events],
        )
