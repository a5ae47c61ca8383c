"""Rings that live on card numbers: tried, guessed, cycled, hidden behind proxies, or spent on real orders."""

from __future__ import annotations

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer, usual_euros
from ringwatch.simulation.plot import Plot
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


def card_testing(plot: Plot) -> None:
    """Stolen cards are tried with small amounts from a few devices or addresses; some rings then use them."""
    rng = plot.rng
    cards = plot.cards(plot.size(5), hijacked_share=rng.uniform(0.2, 0.8))
    devices = plot.devices(1 + len(cards) // rng.randint(8, 40))
    connections = plot.connections(1 + len(cards) // rng.randint(5, 30))
    mailboxes = plot.emails(1 + len(cards) // 10)
    merchants = plot.merchants(rng.choices((1, 2, 3, 4), (55, 20, 15, 10))[0], "device", "ip")
    decline_rate = rng.betavariate(6, 4)
    price = lognormal(rng, 3.0, 0.9)
    duration = plot.duration_ms(20 * MINUTE_MS, 1.1)
    cashes_out = rng.random() < 0.3
    shops, greed = plot.merchants(rng.randint(1, 3), "device"), lognormal(rng, 1.8, 0.5)
    pause = lognormal(rng, 6 * HOUR_MS, 1.0)
    for member, (time, card) in enumerate(zip(plot.times(len(cards), duration), cards, strict=True)):
        ip, network = plot.tool(connections, member, time)
        buyer = Buyer(
            card=card,
            device=plot.tool(devices, member, time),
            ip=ip,
            network=network,
            email=rng.choice(mailboxes),
        )
        works = False
        for attempt in range(rng.choices((1, 2, 3), (60, 30, 10))[0]):
            moment = time + attempt * lognormal(rng, 15 * SECOND_MS, 0.7)
            euros = lognormal(rng, price, 0.5)
            payment = plot.commit(moment, buyer, rng.choice(merchants), euros, decline_rate=decline_rate)
            works = works or payment.status == "approved"
        if cashes_out and works and rng.random() < 0.7:
            shop = rng.choice(shops)
            later = time + pause * rng.uniform(0.3, 2.0)
            plot.commit(later, buyer, shop, usual_euros(rng, shop, greed), decline_rate=0.15)


def bin_attack(plot: Plot) -> None:
    """Card numbers under one BIN are enumerated at a merchant, through many addresses; most are declined."""
    rng = plot.rng
    count = plot.size(12, alpha=1.1)
    issuer, serial = rng.getrandbits(20), rng.getrandbits(30)
    connections = plot.connections(1 + count // rng.randint(2, 20))
    devices = plot.devices(1 + count // rng.randint(2, 30))
    headless = rng.random() < 0.3
    merchant = plot.merchants(1, "ip")[0]
    decline_rate = rng.betavariate(8, 2)
    price = lognormal(rng, 5.0, 1.0)
    duration = plot.duration_ms(30 * MINUTE_MS, 1.0)
    for member, time in enumerate(plot.times(count, duration)):
        serial += 1 + int(rng.expovariate(0.4))
        ip, network = plot.tool(connections, member, time)
        buyer = Buyer(
            card=values.pan(issuer, serial),
            device=None if headless else plot.tool(devices, member, time),
            ip=ip,
            network=network,
        )
        plot.commit(time, buyer, merchant, lognormal(rng, price, 0.35), decline_rate=decline_rate)


def card_cycling(plot: Plot) -> None:
    """An account, or a few of one hand, runs through card after card until one is taken."""
    rng = plot.rng
    count = plot.size(4)
    cards = plot.cards(count, hijacked_share=rng.uniform(0.2, 0.8))
    accounts = [plot.account() for _ in range(1 + count // rng.randint(6, 25))]
    opened = {account: plot.opened(plot.start, 3 * DAY_MS) for account in accounts}
    devices = plot.devices(1 + len(accounts) // 2)
    connections = plot.connections(rng.randint(1, 3))
    mailboxes = plot.emails(len(accounts))
    merchants = plot.merchants(rng.randint(1, 3), "account", "device")
    decline_rate = rng.betavariate(4, 5)
    duration = plot.duration_ms(9 * HOUR_MS, 1.1)
    greed = lognormal(rng, 1.4, 0.6)
    for time, card in zip(plot.times(count, duration), cards, strict=True):
        number = rng.randrange(len(accounts))
        ip, network = rng.choice(connections)
        buyer = plot.identity(
            card,
            account=accounts[number],
            created=opened[accounts[number]],
            email=mailboxes[number],
            device=devices[number % len(devices)],
            ip=ip,
            network=network,
        )
        for attempt in range(rng.choices((1, 2, 3), (65, 25, 10))[0]):
            merchant = rng.choice(merchants)
            moment = time + attempt * lognormal(rng, 3 * MINUTE_MS, 1.0)
            plot.commit(moment, buyer, merchant, usual_euros(rng, merchant, greed), decline_rate=decline_rate)


def triangulation(plot: Plot) -> None:
    """A false shop takes real orders and fills them with stolen cards: every parcel goes to another customer."""
    rng = plot.rng
    count = plot.size(5)
    cards = plot.cards(count, hijacked_share=rng.uniform(0.2, 0.7))
    devices = plot.devices(1 + count // rng.randint(10, 40))
    connections = plot.connections(1 + count // rng.randint(6, 25))
    merchants = plot.merchants(rng.randint(1, 3), "device", codes=frozenset(("5311", "5651", "5732")))
    mailboxes = plot.emails(1 + count // rng.randint(2, 12))
    decline_rate = rng.betavariate(2, 10)
    duration = plot.duration_ms(2 * DAY_MS, 1.0)
    for member, (time, card) in enumerate(zip(plot.times(count, duration), cards, strict=True)):
        ip, network = plot.tool(connections, member, time)
        home = plot.population.customer(rng, time).household.address
        device = plot.tool(devices, member, time)
        buyer = plot.identity(
            card, email=rng.choice(mailboxes), device=device, ip=ip, network=network, ship_to=home
        )
        for order in range(1 if rng.random() < 0.85 else 2):
            merchant = rng.choice(merchants)
            moment = time + order * lognormal(rng, 2 * HOUR_MS, 0.8)
            plot.commit(moment, buyer, merchant, usual_euros(rng, merchant, 1.1), decline_rate=decline_rate)


def ip_hopping(plot: Plot) -> None:
    """A ring's cards shop through proxies, with another address and network every few minutes."""
    rng = plot.rng
    count = plot.size(3, payments=6)
    cards = plot.cards(count, hijacked_share=rng.uniform(0.2, 0.8))
    exits = plot.connections(6 + 2 * count) + plot.connections(4 + count)
    devices = plot.devices(1 + count // rng.randint(1, 5))
    drops = plot.addresses(1 + count // rng.randint(2, 6))
    merchants = plot.merchants(rng.randint(2, 5), "ip", "device")
    decline_rate = rng.betavariate(3, 8)
    pace = lognormal(rng, 8 * MINUTE_MS, 0.6)
    greed = lognormal(rng, 1.2, 0.5)
    for member, (time, card) in enumerate(
        zip(plot.times(count, plot.duration_ms(9 * HOUR_MS, 1.1)), cards, strict=True)
    ):
        moment: float = time
        own = plot.identity(card, device=devices[member % len(devices)], home=rng.choice(drops))
        for _ in range(3 + int(rng.expovariate(0.3))):
            ip, network = rng.choice(exits)
            merchant = rng.choice(merchants)
            buyer = Buyer(card=card, email=own.email, device=own.device, ip=ip, network=network, home=own.home)
            plot.commit(moment, buyer, merchant, usual_euros(rng, merchant, greed), decline_rate=decline_rate)
            moment += lognormal(rng, pace, 0.6)
