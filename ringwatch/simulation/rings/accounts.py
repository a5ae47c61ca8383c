"""Rings that live on accounts: taken over, invented, farmed for promotions, or run down until nothing is left."""

from __future__ import annotations

from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer, usual_euros
from ringwatch.simulation.honest import refund
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.plot import Plot
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS


def device_farm(plot: Plot) -> None:
    """A few machines or emulators run many accounts, most of them new, each with a card of its own."""
    rng = plot.rng
    cards = plot.cards(plot.size(4), hijacked_share=rng.uniform(0.1, 0.7))
    devices = plot.devices(1 + len(cards) // rng.randint(4, 14))
    connections = plot.connections(1 + len(cards) // rng.randint(3, 12))
    drops = plot.addresses(1 + len(cards) // rng.randint(3, 8))
    merchants = plot.merchants(rng.randint(1, 4), "account", "device")
    duration = plot.duration_ms(16 * HOUR_MS, 1.0)
    discounts = rng.random() * 0.5
    decline_rate = rng.betavariate(2, 9)
    bought_share = rng.uniform(0.3, 1.0)
    for member, (time, card) in enumerate(zip(plot.times(len(cards), duration), cards, strict=True)):
        ip, network = plot.tool(connections, member, time)
        buyer = plot.identity(
            card,
            account=plot.account(),
            created=plot.opened(time, 8 * HOUR_MS, bought_share=bought_share),
            device=plot.tool(devices, member, time),
            ip=ip,
            network=network,
            home=plot.tool(drops, member, time),
        )
        for purchase in range(rng.choices((1, 2, 3, 4), (35, 35, 20, 10))[0]):
            moment = time + purchase * lognormal(rng, duration / 12, 0.8)
            merchant = rng.choice(merchants)
            euros = usual_euros(rng, merchant, 1.1)
            plot.commit(moment, buyer, merchant, euros, decline_rate=decline_rate, discounts=discounts)


def account_takeover_fan_in(plot: Plot) -> None:
    """Somebody signs in to established accounts from a device that none of them knows, and buys on their cards."""
    rng = plot.rng
    old_enough = plot.population.start - int(rng.uniform(60, 200) * DAY_MS)
    victims = plot.people(plot.size(3), lambda person: person.created < old_enough)
    devices = plot.devices(1 + len(victims) // rng.randint(10, 40))
    connections = plot.connections(1 + len(victims) // rng.randint(3, 15))
    drops = plot.addresses(1 + len(victims) // rng.randint(3, 10))
    merchants = plot.merchants(rng.randint(1, 4), "account", "device")
    greed = lognormal(rng, 1.8, 0.6)
    decline_rate = rng.betavariate(3, 9)
    duration = plot.duration_ms(7 * HOUR_MS, 1.0)
    for member, (time, person) in enumerate(zip(plot.times(len(victims), duration), victims, strict=True)):
        ip, network = plot.tool(connections, member, time)
        buyer = plot.victim(
            person,
            device=plot.tool(devices, member, time),
            ip=ip,
            network=network,
            ship_to=plot.tool(drops, member, time),
        )
        for purchase in range(rng.choices((1, 2, 3), (45, 35, 20))[0]):
            moment = time + purchase * lognormal(rng, 7 * MINUTE_MS, 0.9)
            merchant = rng.choice(merchants)
            plot.commit(moment, buyer, merchant, usual_euros(rng, merchant, greed), decline_rate=decline_rate)


def synthetic_identity(plot: Plot) -> None:
    """Invented people who share mailboxes, phones or addresses build up a history, then spend."""
    rng = plot.rng
    merchants = plot.merchants(rng.randint(3, 8), "account", "email")
    merchants += plot.merchants(rng.randint(2, 4), "account", "phone", "billing")
    duration = plot.duration_ms(9 * DAY_MS, 0.8)
    greed = lognormal(rng, 3.0, 0.5)
    for time, buyer in _invented(plot, plot.size(3, payments=5), duration // 2, rng.uniform(3, 9)):
        small, large = rng.randint(2, 5), rng.randint(0, 3)
        moments = sorted(time + rng.random() * (plot.start + duration - time) for _ in range(small + large))
        for number, moment in enumerate(moments):
            merchant = rng.choice(merchants)
            euros = usual_euros(rng, merchant, 0.7 if number < small else greed)
            plot.commit(moment, buyer, merchant, euros, decline_rate=0.06)


def bust_out(plot: Plot) -> None:
    """Linked customers behave for weeks, then spend whatever their credit lines give within a day or two."""
    rng = plot.rng
    trust = plot.duration_ms(18 * DAY_MS, 0.5)
    spree = int(lognormal(rng, 30 * HOUR_MS, 0.6))
    break_at = max(plot.start, plot.moment(plot.start + trust) - spree)
    everyday = plot.merchants(rng.randint(3, 6), "account")
    targets = plot.merchants(rng.randint(1, 4), "account", "email", codes=frozenset(("5311", "5732", "4722")))
    utilisation = rng.uniform(0.75, 1.1)
    for _, buyer in _invented(plot, plot.size(3, payments=5), trust // 10, rng.uniform(2, 5), bought_share=0.7):
        limit = buyer.credit_limit or 500 * rng.randint(2, 12)
        for _ in range(rng.randint(3, 9)):
            merchant = rng.choice(everyday)
            moment = plot.start + rng.random() * max(1, break_at - plot.start)
            plot.disguise(moment, buyer, merchant, usual_euros(rng, merchant, 0.9))
        purchases = rng.randint(2, 7)
        for _ in range(purchases):
            euros = utilisation * limit / purchases * lognormal(rng, 1.0, 0.4)
            moment = break_at + rng.random() ** 1.5 * spree
            plot.commit(moment, buyer, rng.choice(targets), euros, decline_rate=0.12)


def promotion_abuse(plot: Plot) -> None:
    """One shopper opens account after account on one device, each for the same welcome offer."""
    rng = plot.rng
    cards = plot.cards(plot.size(3), hijacked_share=0.15)
    # A virtual card for each account, or a few that come round again.
    wallet = cards[: max(1, int(len(cards) * rng.uniform(0.4, 1.0)))]
    devices = plot.devices(1 + len(cards) // rng.randint(5, 20))
    connections = plot.connections(rng.randint(1, 4))
    drops = plot.addresses(1 + len(cards) // rng.randint(4, 15))
    merchant = _promoting(plot)
    discounts = rng.uniform(0.75, 1.0)
    duration = plot.duration_ms(20 * HOUR_MS, 1.1)
    for member, time in enumerate(plot.times(len(cards), duration)):
        ip, network = rng.choice(connections)
        buyer = plot.identity(
            wallet[member % len(wallet)],
            account=plot.account(),
            created=plot.opened(time, 30 * MINUTE_MS, bought_share=0.4),
            device=plot.tool(devices, member, time),
            ip=ip,
            network=network,
            home=plot.tool(drops, member, time),
        )
        for order in range(rng.choices((1, 2), (75, 25))[0]):
            moment = time + order * lognormal(rng, 2 * HOUR_MS, 1.0)
            euros = usual_euros(rng, merchant, rng.uniform(0.5, 1.0))
            plot.commit(moment, buyer, merchant, euros, decline_rate=0.06, discounts=discounts)


def refund_abuse(plot: Plot) -> None:
    """Customers of one hand order, keep the goods, and have most of their money back."""
    rng = plot.rng
    merchants = plot.merchants(rng.randint(1, 3), "account", "email", codes=frozenset(("5311", "5651", "5732")))
    duration = plot.duration_ms(12 * DAY_MS, 0.7)
    claims = rng.uniform(0.4, 0.95)
    patience = lognormal(rng, 3 * DAY_MS, 0.5)
    for time, buyer in _invented(plot, plot.size(3, payments=5), duration, rng.uniform(2, 6), bought_share=0.6):
        for order in range(1 + int(rng.expovariate(0.5))):
            moment = plot.moment(time + order * lognormal(rng, DAY_MS, 0.8))
            merchant = rng.choice(merchants)
            payment = plot.commit(moment, buyer, merchant, usual_euros(rng, merchant, 1.2), decline_rate=0.05)
            if payment.status == "approved" and rng.random() < claims:
                back = plot.moment(moment + 5 * MINUTE_MS + lognormal(rng, patience, 0.6))
                if back > moment:
                    plot.take(back, refund(rng, payment, back))


def _promoting(plot: Plot) -> Merchant:
    merchant = plot.merchants(1, "account", "device")[0]
    for _ in range(40):
        if merchant.promotes:
            break
        merchant = plot.merchants(1, "account", "device")[0]
    return merchant


def _invented(
    plot: Plot, count: int, spread_ms: int, crowd: float, *, bought_share: float = 0.55
) -> list[tuple[int, Buyer]]:
    """People who do not exist, and when each turns up: some ``crowd`` of them to a mailbox, phone or address.

    Which two or three kinds they share differs from ring to ring; some show a machine that they share as well.
    """
    rng = plot.rng
    cards = plot.cards(count, hijacked_share=0.0)
    shared = rng.sample(("email", "phone", "home"), rng.choices((2, 3), (60, 40))[0])
    size = 1 + int(count / crowd)
    pools = {"email": plot.emails(size), "phone": plot.phones(size), "home": plot.addresses(size)}
    machines = plot.devices(size) if rng.random() < 0.5 else []
    people = []
    for member, (time, card) in enumerate(zip(plot.times(count, spread_ms), cards, strict=True)):
        parts: dict[str, str | int | None] = {kind: plot.tool(pools[kind], member, time) for kind in shared}
        if machines:
            parts["device"] = plot.tool(machines, member, time)
        opened = plot.opened(time, 3 * DAY_MS, bought_share=bought_share)
        limit = 500 * rng.randint(2, 16)
        people.append(
            (time, plot.identity(card, account=plot.account(), created=opened, credit_limit=limit, **parts))
        )
    return people
