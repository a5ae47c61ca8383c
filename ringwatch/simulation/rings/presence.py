"""Rings that live on a place: a merchant of their own, a skimmed till, cloned cards, machines in step."""

from __future__ import annotations

import dataclasses

from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer, usual_euros
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.places import CATEGORIES
from ringwatch.simulation.plot import Plot
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS

_CASH = next(category for category in CATEGORIES if category.channel == "atm")


def merchant_collusion(plot: Plot) -> None:
    """A merchant charges many cards from a device or two of its own; few real customers ever come by."""
    rng = plot.rng
    merchant = plot.market.opened(rng, plot.merchants(1)[0].country)
    merchant = dataclasses.replace(merchant, collects=merchant.collects | {"device", "ip"})
    cards = plot.cards(plot.size(4, payments=3.5), hijacked_share=rng.uniform(0.2, 0.8))
    insistence = lognormal(rng, 2.4, 0.6)
    devices = plot.devices(rng.randint(1, 2))
    connections = plot.connections(rng.randint(1, 2))
    duration = plot.duration_ms(20 * HOUR_MS, 1.2)
    price = lognormal(rng, 60, 0.7)
    decline_rate = rng.betavariate(1, 9)
    for time, card in zip(plot.times(len(cards), duration), cards, strict=True):
        ip, network = rng.choice(connections)
        buyer = Buyer(card=card, device=rng.choice(devices), ip=ip, network=network)
        for charge in range(1 + int(rng.expovariate(1 / insistence))):
            moment = time + charge * lognormal(rng, duration / 12, 0.8)
            plot.commit(moment, buyer, merchant, lognormal(rng, price, 0.4), decline_rate=decline_rate)
    customers = plot.times(int(len(cards) * rng.random() * 0.5), duration)
    plot.attract(merchant, [(time, plot.population.customer(rng, time)) for time in customers])


def common_point_of_purchase(plot: Plot) -> None:
    """A till copies the cards of those who pay there; days later the copies are used here and there, by others."""
    rng = plot.rng
    victims = plot.people(plot.size(4))
    home = victims[0].household.city.country
    if rng.random() < 0.6:
        leak = plot.market.counter(rng, home)
    else:
        leak = plot.market.online(rng, codes=frozenset(("5651", "5814", "5815")))
    duration = plot.duration_ms(16 * DAY_MS, 0.6)
    skimming = max(1, int(duration * rng.uniform(0.2, 0.6)))
    visits = plot.times(len(victims), skimming)
    plot.attract(leak, list(zip(visits, victims, strict=True)))
    copied = [event.payment.card for event in plot.events]
    plot.involve("merchant", leak.id)
    shops = plot.merchants(1 + len(victims) // rng.randint(2, 5))
    tills = [plot.market.counter(rng, plot.city().country) for _ in range(2)]
    in_person = rng.random() * 0.6
    greed = lognormal(rng, 1.6, 0.5)
    decline_rate = rng.betavariate(3, 8)
    for visit, person, card in zip(visits, victims, copied, strict=True):
        time = visit + (plot.start + duration - visit) * rng.uniform(0.2, 1.0)
        counterfeit = rng.random() < in_person
        buyer = Buyer(card=card, city=plot.city()) if counterfeit else plot.identity(card)
        buyer = dataclasses.replace(buyer, credit_limit=person.credit_limit)
        for use in range(rng.choices((1, 2, 3), (50, 30, 20))[0]):
            shop = rng.choice(tills if counterfeit else shops)
            moment = time + use * lognormal(rng, HOUR_MS, 1.0)
            plot.commit(moment, buyer, shop, usual_euros(rng, shop, greed), decline_rate=decline_rate)


def impossible_travel(plot: Plot) -> None:
    """Cloned cards are used at tills and cash machines far away, while their owners go on shopping at home."""
    rng = plot.rng
    victims = plot.people(plot.size(3))
    cash = rng.random() < 0.4
    tills = []
    for _ in range(rng.randint(4, 8)):
        abroad = plot.city()
        channel = "atm" if cash and rng.random() < 0.5 else "pos"
        tills.append((abroad, _tracked(plot.market.counter(rng, abroad.country, channel))))
    duration = plot.duration_ms(30 * HOUR_MS, 1.0)
    greed = lognormal(rng, 1.4, 0.5)
    decline_rate = rng.betavariate(2, 8)
    for time, person in zip(plot.times(len(victims), duration), victims, strict=True):
        shop = _tracked(plot.market.counter(rng, person.household.city.country))
        before = plot.moment(time - lognormal(rng, 50 * MINUTE_MS, 0.8))
        at_home = [(before, person)] if rng.random() < 0.8 else []
        if rng.random() < 0.5:
            at_home.append((plot.moment(time + lognormal(rng, 2 * HOUR_MS, 0.8)), person))
        plot.attract(shop, at_home)
        shown = [event.payment.card for event in plot.events[-len(at_home) :]] if at_home else []
        card = shown[0] if shown else person.card(0, time)
        # Each clone goes to one place, far from where its owner lives.
        far = [(city, till) for city, till in tills if city.country is not person.household.city.country]
        abroad, till = rng.choice(far or tills)
        buyer = Buyer(card=card, credit_limit=person.credit_limit, city=abroad)
        for use in range(rng.choices((1, 2, 3, 4), (35, 30, 20, 15))[0]):
            moment = time + use * lognormal(rng, 20 * MINUTE_MS, 0.8)
            plot.commit(moment, buyer, till, usual_euros(rng, till, greed), decline_rate=decline_rate)


def lockstep(plot: Plot) -> None:
    """Cards that are run by one program visit the same merchants in the same hours, each behind its own mask."""
    rng = plot.rng
    count = plot.size(4, payments=8)
    cards = plot.cards(count, hijacked_share=rng.uniform(0.2, 0.8))
    merchants = list({shop.id: shop for shop in plot.merchants(rng.randint(4, 9), "ip")}.values())
    rounds = rng.randint(1, 3)
    duration = plot.duration_ms(3 * DAY_MS, 0.8)
    spread = lognormal(rng, 20 * MINUTE_MS, 0.6)
    decline_rate = rng.betavariate(2, 9)
    accounts = rng.random() < 0.6
    buyers = [
        plot.identity(card, account=plot.account(), created=plot.opened(plot.start, 4 * DAY_MS))
        if accounts
        else plot.identity(card)
        for card in cards
    ]
    for begin in plot.times(rounds, duration):
        tour = rng.sample(merchants, min(len(merchants), rng.randint(3, 6)))
        for stop, merchant in enumerate(tour):
            at = begin + stop * lognormal(rng, 15 * MINUTE_MS, 0.5)
            for buyer in buyers:
                if rng.random() < 0.85:
                    euros = usual_euros(rng, merchant, 0.9)
                    moment = at + rng.random() * spread
                    plot.commit(moment, buyer, merchant, euros, decline_rate=decline_rate)


def cash_out_burst(plot: Plot) -> None:
    """Many cards draw the same few sums at one place within minutes or hours: vouchers, or a cash machine."""
    rng = plot.rng
    cards = plot.cards(plot.size(6), hijacked_share=rng.uniform(0.2, 0.8))
    in_person = rng.random() < 0.4
    city = plot.city()
    merchant = plot.market.counter(rng, city.country, _CASH.channel) if in_person else plot.merchants(1, "ip")[0]
    sums = [round(lognormal(rng, 80, 0.8) / 5 + 1) * 5.0 for _ in range(rng.choices((1, 2, 3), (55, 30, 15))[0])]
    connections = plot.connections(1 + len(cards) // rng.randint(2, 8))
    devices = plot.devices(1 + len(cards) // rng.randint(1, 6))
    tested = plot.merchants(1)[0] if rng.random() < 0.3 else None
    decline_rate = rng.betavariate(2, 7)
    duration = plot.duration_ms(45 * MINUTE_MS, 1.0)
    ahead = min(duration, int(lognormal(rng, 20 * MINUTE_MS, 0.5)))
    for member, (time, card) in enumerate(zip(plot.times(len(cards), duration), cards, strict=True)):
        ip, network = plot.tool(connections, member, time)
        buyer = plot.identity(card, device=plot.tool(devices, member, time), ip=ip, network=network)
        if tested is not None:
            plot.commit(time, buyer, tested, lognormal(rng, 2.5, 0.7), decline_rate=0.3)
        shown = Buyer(card=card, city=city) if in_person else buyer
        for draw in range(rng.choices((1, 2), (75, 25))[0]):
            moment = time + (ahead if tested else 0) + draw * lognormal(rng, 3 * MINUTE_MS, 0.7)
            plot.commit(moment, shown, merchant, rng.choice(sums), decline_rate=decline_rate)


def _tracked(merchant: Merchant) -> Merchant:
    """The merchant, with a till that tells where it stands."""
    return dataclasses.replace(merchant, collects=merchant.collects | {"location"})
