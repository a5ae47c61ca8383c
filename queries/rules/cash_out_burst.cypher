/*
id = "cash_out_burst"
title = "Cash-out burst"
version = 8
status = "stable"
severity = "critical"
anchor = ["Merchant"]
gate = { degree = "min_cards" }
identity = ["merchant", "amount", "currency"]
budget_ms = 150
rationale = """
Many cards pay one and the same amount at a merchant within three hours, or try to, several times what the merchant lets
expect, and an amount that is not its price: stolen cards are turned into money, gift cards or goods that sell like money.
Customers at a sale come on devices, with cards or on accounts that they had before; who pays with many cards wipes one device
after the other. At a terminal strangers' cards are what tells: a party that shares a bill has been seen before. Who comes
to empty cards takes more than is usual; new customers whom an advertisement brings try it for less.
A cash machine has no price: where next to nothing but one amount is drawn, by enough cards, nothing need be known of its past.
"""
source = "typology 17 of the catalogue"
blind_spots = """
A merchant first seen less than min_age_ms before the window has no baseline, and is not judged, unless it is a cash
machine. Amounts that vary a little. An amount that is a usual price of the merchant. Bursts that are mostly declined.
Online, cards that come from a device and an address each look like a crowd at a sale, unless their devices, or where
none is told the cards, are all new, and half of the cards; those on one IP, on accounts of their own and no devices,
are what a shop bills its subscribers. Accounts that are old and were never seen here are taken for customers' own,
though they may be bought. A hub device or address counts as one for each card. At a terminal or a cash machine, where
nothing is known of who pays, a burst has to exceed what the merchant takes in all, and at a terminal to be of more
cards. Of one hour the first max_per_hour transactions are read. At a terminal that was first seen less than
min_watch_ms before nobody is a stranger. Of the past the max_history newest are read, hour by hour, of the last
baseline_hours.
"""
triage = "What was sold: gift cards, tickets, cash? Do the cards come from one issuer or one place? Is the merchant in on it?"

[returns]
merchant = { role = "core", label = "Merchant" }
amount = { role = "fact" }
currency = { role = "fact" }
card_ids = { role = "member", label = "Card" }
device_ids = { role = "member", label = "Device" }
ip_ids = { role = "member", label = "IP" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards that paid this amount at the merchant in the window, or tried to" }
lift = { role = "measure", threshold = "min_lift", means = "times the transactions that the hour of the week, or the hours before, let expect (one at least)" }
usual_share = { role = "fact" }
places = { role = "fact" }

[[false_positives]]
name = "fixed-price goods: tickets or subscriptions that always cost the same"
fixture = "fixed_price"

[[false_positives]]
name = "a flash sale: a new price for everybody, paid from everybody's own device"
fixture = "flash_sale"

[[false_positives]]
name = "a cash machine on salary day: round amounts, and many of them"
fixture = "salary_day"

[[false_positives]]
name = "a new cash machine: people draw different sums"
fixture = "new_machine"

[[false_positives]]
name = "a new shop with one price, or a new terminal"
fixture = "new_shop"

[[false_positives]]
name = "a shop's own server bills its subscribers"
fixture = "billing_run"

[[false_positives]]
name = "a coach party that eats the set menu"
fixture = "coach_party"

[[false_positives]]
name = "a concert goes on sale: old customers on new devices"
fixture = "new_phones"

[[false_positives]]
name = "wages have come: a sum that many draw, and some more than that"
fixture = "wages"

[[false_positives]]
name = "a restaurant's rush hour, and a party that shares the bill"
fixture = "shared_bill"

[[false_positives]]
name = "new customers of a shop that advertises a trial for next to nothing"
fixture = "trial"

[[false_positives]]
name = "parents who pay for a school trip: new customers, half of them on old accounts"
fixture = "school_trip"

[[false_positives]]
name = "a flight is cancelled, and everybody books a room from the airport's network"
fixture = "stranded"

[params.window_ms]
default = 10800000
min = 600000
max = 86400000
meaning = "how far back the window reaches, in milliseconds"

[params.min_cards]
default = 6
min = 3
max = 1000
meaning = "distinct cards that pay the same amount at the merchant in the window or try to, half of them with success"

[params.min_cards_in_person]
default = 8
min = 3
max = 1000
meaning = "the same where nothing is known of who pays, and not at a cash machine: friends share a bill"

[params.min_cards_young]
default = 12
min = 3
max = 1000
meaning = "the same at a cash machine that was first seen less than min_age_ms before the window"

[params.min_young_share]
default = 0.9
min = 0.5
max = 1.0
meaning = "these cards among them and the other payouts of the window at such a machine: people draw different sums"

[params.min_lift]
default = 3.0
min = 1.0
max = 100.0
meaning = "how many times the expected number of transactions these cards are"

[params.min_per_place]
default = 2.0
min = 1.0
max = 100.0
meaning = "cards per device that online payments come from, or per IP where these are fewer"

[params.min_new_share]
default = 0.8
min = 0.0
max = 1.0
meaning = "share of these cards, min_cards at least, that pay from devices that were first seen in the window (or were themselves, where no device is told), and twice as many as usually do there: customers at a sale have theirs"

[params.min_account_age_ms]
default = 7776000000
min = 86400000
max = 31536000000
meaning = "for how long an account must have been open, as it is told, for it to be a customer's own, whatever IP it pays from, if it was never seen before or its card's device is not new to it"

[params.min_watch_ms]
default = 604800000
min = 0
max = 31536000000
meaning = "how long before the touch the merchant must have been seen first for devices and cards to be called new, in milliseconds"

[params.max_usual_share]
default = 0.2
min = 0.0
max = 1.0
meaning = "up to which share of the merchant's earlier transactions may have been of the amount, or, where they are not in one hand by their devices, of more"

[params.min_age_ms]
default = 86400000
min = 3600000
max = 31536000000
meaning = "how long before the window the merchant must have been seen first, in milliseconds"

[params.baseline_weeks]
default = 4
min = 1
max = 12
meaning = "earlier weeks whose same hour of the week is averaged over"

[params.baseline_hours]
default = 24
min = 1
max = 168
meaning = "whole clock hours before the window that are averaged over, and in which the amount's usual share is looked for"

[params.max_history]
default = 1000
min = 100
max = 20000
meaning = "earlier transactions after which no further hour is looked at for the amount's usual share"

[params.max_per_hour]
default = 2000
min = 100
max = 20000
meaning = "transactions of one hour at the merchant that are read, the first of the hour"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (m:Merchant {id: a.id})
UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
MATCH (n:Tally {id: a.id + '|' + toString(hour)})
WITH a, m, sum(n.transactions) AS most, sum(n.transactions - n.declined) AS approved
WHERE most >= $min_cards AND 2 * approved >= $min_cards
  AND (most >= $min_cards_young OR m.first_seen <= a.last - $window_ms - $min_age_ms)
CALL {
  WITH a
  UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, hour
    MATCH (t:Transaction {merchant_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(merchant_hour)
    WHERE t.status IN ['approved', 'declined']
    WITH t ORDER BY t.time, t.id LIMIT $max_per_hour
    RETURN t
  }
  WITH t.amount AS amount, t.currency AS currency, collect(t) AS made
  WHERE size(made) >= $min_cards
  UNWIND made AS t
  MATCH (t)<-[:MADE]-(c:Card)
  OPTIONAL MATCH (t)-[:ON]->(d:Device)<-[u:USED]-(c)
  WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
  OPTIONAL MATCH (t)-[:FROM]->(i:IP)
  WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
  OPTIONAL MATCH (p:Account {id: coalesce(t.account, '')})
  WITH amount, currency, t, c, d, i,
       coalesce(p.created <= t.time - $min_account_age_ms
                AND (p.first_seen > t.time - $window_ms OR coalesce(u.first_seen <= t.time - $window_ms, true)), false) AS settled
  ORDER BY t.time DESC, t.id
  RETURN amount, currency, collect({id: t.id, time: t.time, card: c.id, channel: t.channel, account: t.account,
                                    paid: t.status = 'approved', device: d.id, device_hub: d.hub_since, settled: settled,
                                    born: c.first_seen, since: coalesce(d.first_seen, c.first_seen), ip: i.id, ip_hub: i.hub_since}) AS window
}
WITH a.id AS merchant, m.first_seen AS opened, a.times AS times, amount, currency, window,
     [seen IN window | seen.time] AS moments
UNWIND [time IN times WHERE time IN moments] AS time
WITH merchant, opened, amount, currency, time,
     [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS window
WHERE size(window) >= CASE WHEN opened > time - $window_ms - $min_age_ms THEN $min_cards_young ELSE $min_cards END
UNWIND window AS seen
WITH merchant, opened, amount, currency, time, seen,
     CASE WHEN seen.device_hub > time THEN seen.device END AS device, CASE WHEN seen.ip_hub > time THEN seen.ip END AS ip,
     seen.device IS NOT NULL OR seen.ip IS NOT NULL AS told
WITH merchant, opened, amount, currency, time, count(DISTINCT seen.card) AS cards,
     count(DISTINCT CASE WHEN seen.paid THEN seen.card END) AS paid,
     count(DISTINCT CASE WHEN seen.channel = 'atm' THEN seen.card END) AS drawn,
     count(DISTINCT CASE WHEN told THEN seen.card END) AS online,
     count(DISTINCT CASE WHEN seen.born > time - $window_ms THEN seen.card END) AS strangers,
     count(DISTINCT CASE WHEN told AND seen.since > time - $window_ms AND NOT seen.settled THEN seen.card END) AS nowhere,
     count(seen.device) = 0 AND count(DISTINCT seen.ip) = 1 AND count(DISTINCT seen.account) = count(DISTINCT seen.card) AS billed,
     count(DISTINCT CASE WHEN device IS NOT NULL THEN 'device ' + device WHEN told THEN 'card ' + seen.card END) AS devices,
     count(DISTINCT CASE WHEN ip IS NOT NULL AND NOT seen.settled THEN 'ip ' + ip WHEN told THEN 'card ' + seen.card END) AS ips,
     collect(DISTINCT seen.card) AS card_ids, collect(DISTINCT device) AS device_ids, collect(DISTINCT ip) AS ip_ids,
     collect(seen.id) AS transactions
WITH merchant, opened, amount, currency, time, cards, paid, drawn, online, strangers, nowhere, billed, card_ids, device_ids, ip_ids, transactions,
     CASE WHEN devices < ips THEN devices ELSE ips END AS places
WHERE cards >= $min_cards AND 2 * paid >= $min_cards
  AND CASE WHEN opened > time - $window_ms - $min_age_ms THEN 2 * drawn > cards AND cards >= $min_cards_young
           WHEN 2 * online >= cards THEN NOT billed AND (online >= $min_per_place * places
             OR (nowhere >= $min_cards AND nowhere >= $min_new_share * online AND 2 * strangers >= cards
                 AND opened <= time - $min_watch_ms))
           ELSE 2 * drawn > cards
             OR (cards >= $min_cards_in_person AND 2 * strangers >= cards AND opened <= time - $min_watch_ms) END
WITH merchant, opened, amount, currency, (time - $window_ms) / 3600000 AS start, time / 3600000 AS until,
     {time: time, cards: cards, seen_online: 2 * online >= cards,
      new_share: CASE WHEN 2 * online >= cards AND online < $min_per_place * places THEN 1.0 * nowhere / online END,
      young: opened > time - $window_ms - $min_age_ms, places: places, card_ids: card_ids, device_ids: device_ids,
      ip_ids: ip_ids, transactions: transactions[0..$max_evidence]} AS burst
WITH merchant, opened, amount, currency, start, until, burst.seen_online AND burst.new_share IS NULL AS one_hand,
     collect(burst) AS bursts
CALL {
  WITH merchant, opened, start, until
  UNWIND [week IN range(1, $baseline_weeks) WHERE opened / 3600000 < start - 168 * week] AS week
  UNWIND range(start - 168 * week, until - 168 * week) AS hour
  OPTIONAL MATCH (n:Tally {id: merchant + '|' + toString(hour)})
  RETURN coalesce(avg(1.0 * coalesce(n.transactions, 0)), 0.0) AS usual,
         collect(CASE WHEN n IS NOT NULL THEN {hour: hour, total: n.transactions} END) AS same_hours
}
CALL {
  WITH merchant, opened, start
  UNWIND [back IN range(1, $baseline_hours) WHERE opened / 3600000 < start - back] AS back
  OPTIONAL MATCH (n:Tally {id: merchant + '|' + toString(start - back)})
  WITH back, start - back AS hour, n ORDER BY back
  RETURN coalesce(avg(1.0 * coalesce(n.transactions, 0)), 0.0) AS recent,
         collect(CASE WHEN n IS NOT NULL THEN {hour: hour, total: n.transactions} END) AS last_hours
}
WITH merchant, amount, currency, one_hand, bursts, last_hours + same_hours AS past,
     CASE WHEN usual > recent THEN usual ELSE recent END * $window_ms / 3600000 AS volume
CALL {
  WITH merchant, amount, currency, one_hand, past
  UNWIND [n IN range(0, size(past) - 1)
          WHERE reduce(read = 0, earlier IN past[0..n] | read + earlier.total) < $max_history | past[n].hour] AS hour
  CALL {
    WITH merchant, amount, currency, one_hand, hour
    MATCH (t:Transaction {merchant_hour: merchant + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(merchant_hour)
    WHERE t.status = 'approved'
    WITH amount, currency, one_hand, t ORDER BY t.time, t.id LIMIT $max_per_hour
    MATCH (t)<-[:MADE]-(c:Card)
    OPTIONAL MATCH (t)-[:ON]->(d:Device)
    RETURN count(t) AS earlier,
           sum(CASE WHEN t.currency = currency AND (t.amount = amount OR (t.amount > amount AND NOT one_hand))
                    THEN 1 ELSE 0 END) AS same,
           sum(CASE WHEN coalesce(d.first_seen, c.first_seen) > t.time - $window_ms THEN 1 ELSE 0 END) AS new
  }
  RETURN CASE WHEN sum(earlier) > 0 THEN 1.0 * sum(same) / sum(earlier) ELSE 0.0 END AS usual_share,
         CASE WHEN sum(earlier) > 0 THEN 1.0 * sum(new) / sum(earlier) ELSE 0.0 END AS usually_new
}
WITH merchant, amount, currency, bursts, volume, usual_share, usually_new
WHERE usual_share <= $max_usual_share
UNWIND [burst IN bursts WHERE coalesce(burst.new_share >= 2 * usually_new, true)] AS burst
WITH merchant, amount, currency, volume, usual_share, burst, burst.time AS time, burst.cards AS cards,
     burst.young AS young, burst.seen_online AS seen_online
CALL {
  WITH merchant, amount, currency, time, young, seen_online
  UNWIND CASE WHEN seen_online AND NOT young THEN [] ELSE range((time - $window_ms) / 3600000, time / 3600000) END AS hour
  MATCH (t:Transaction {merchant_hour: merchant + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(merchant_hour)
  WHERE t.status = 'approved' AND t.time > time - $window_ms AND t.time <= time
    AND (t.amount <> amount OR t.currency <> currency)
  WITH t LIMIT $max_per_hour
  RETURN count(t) AS others
}
WITH merchant, amount, currency, time, volume, usual_share, burst, cards, young, seen_online, others
WHERE NOT young OR cards >= $min_young_share * (cards + others)
WITH merchant, amount, currency, time, usual_share, burst, cards,
     CASE WHEN seen_online THEN usual_share * volume WHEN others > volume THEN others ELSE volume END AS expected
WITH merchant, amount, currency, time, usual_share, burst, cards,
     cards / CASE WHEN expected > 1 THEN 1.0 * expected ELSE 1.0 END AS lift
WHERE lift >= $min_lift
RETURN 'Merchant' AS anchor_label, merchant AS anchor, time, merchant, amount, currency, burst.card_ids AS card_ids,
       burst.device_ids AS device_ids, burst.ip_ids AS ip_ids, burst.transactions AS transactions, cards, lift, usual_share,
       burst.places AS places
