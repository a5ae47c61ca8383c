"""Rings that move money between accounts: mules, and circles."""

from __future__ import annotations

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer
from ringwatch.simulation.plot import Plot
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS


def mule_fan_in_fan_out(plot: Plot) -> None:
    """Victims send money to mules, who pass nearly all of it on within hours or days, to few or to many."""
    rng = plot.rng
    victims = plot.people(plot.size(5, payments=3))
    country = victims[0].household.city.country
    mules = [_holder(plot) for _ in range(1 + len(victims) // rng.randint(5, 20))]
    collectors = [plot.account() for _ in range(rng.randint(1, 1 + len(mules)))]
    price = lognormal(rng, 250, 0.9)
    duration = plot.duration_ms(2 * DAY_MS, 0.9)
    hold = lognormal(rng, 6 * HOUR_MS, 0.8)
    takeover = rng.random() < 0.4
    machines = plot.devices(1 + len(victims) // 8)
    connections = plot.connections(1 + len(victims) // 6)
    received: dict[int, list[tuple[float, float]]] = {}
    for member, (time, person) in enumerate(zip(plot.times(len(victims), duration), victims, strict=True)):
        # Either the victims are talked into it and pay from home, or somebody else is in their accounts.
        if takeover:
            ip, network = plot.tool(connections, member, time)
            device = plot.tool(machines, member, time)
        else:
            device, ip, network = person.device(time), person.household.ip, person.household.network
        sender = plot.victim(person, device=device, ip=ip, network=network)
        for payment in range(rng.choices((1, 2), (80, 20))[0]):
            number = rng.randrange(len(mules))
            euros = lognormal(rng, price, 0.6)
            moment = time + payment * lognormal(rng, 4 * HOUR_MS, 0.8)
            plot.move(moment, sender, mules[number].account or "", country, euros)
            received.setdefault(number, []).append((moment, euros))
    kept = rng.uniform(0.02, 0.15)
    for number, payments in received.items():
        while payments:
            batch = [payments.pop(0) for _ in range(min(len(payments), rng.randint(1, 4)))]
            leaving = (1 - kept) * sum(euros for _, euros in batch)
            ready = max(moment for moment, _ in batch) + lognormal(rng, hold, 0.6)
            parts = rng.choices((1, 2, 3), (60, 25, 15))[0]
            for part in range(parts):
                moment = ready + part * lognormal(rng, HOUR_MS, 0.8)
                plot.move(moment, mules[number], rng.choice(collectors), country, leaving / parts)


def cyclic_flow(plot: Plot) -> None:
    """Money goes round through accounts of one hand and comes back a little less, to look like business."""
    rng = plot.rng
    country = plot.city().country
    for _ in range(1 + plot.size(3, payments=4) // rng.randint(3, 8)):
        holders = [_holder(plot) for _ in range(rng.choices((3, 4, 5, 6), (40, 30, 20, 10))[0])]
        duration = plot.duration_ms(3 * DAY_MS, 0.9)
        keep = rng.uniform(0.82, 1.0)
        for begin in plot.times(rng.choices((1, 2, 3, 4), (35, 30, 20, 15))[0], duration):
            euros = lognormal(rng, 450, 1.0)
            moment: float = begin
            for number, holder in enumerate(holders):
                receiver = holders[(number + 1) % len(holders)].account or ""
                plot.move(moment, holder, receiver, country, euros)
                euros *= min(1.0, rng.gauss(keep, 0.03))
                moment += lognormal(rng, 4 * HOUR_MS, 0.8)


def _holder(plot: Plot) -> Buyer:
    """An account that is the ring's, bought or opened for it, with a card and a machine that it is run from."""
    rng = plot.rng
    ip, network = plot.connections(1)[0]
    return Buyer(
        card=values.pan(rng.getrandbits(20), rng.getrandbits(40)),
        account=plot.account(),
        created=plot.opened(plot.start, 12 * DAY_MS, bought_share=0.6),
        phone=plot.phones(1)[0],
        device=plot.devices(1)[0],
        ip=ip,
        network=network,
        email=plot.emails(1)[0],
        home=plot.addresses(1)[0],
    )
