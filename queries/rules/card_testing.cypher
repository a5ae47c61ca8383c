/*
id = "card_testing"
title = "Card testing"
version = 3
status = "stable"
severity = "high"
anchor = ["Device", "IP"]
gate = { degree = "min_cards" }
identity = ["device", "ip"]
budget_ms = 100
rationale = """
Whoever buys a list of stolen cards first finds out which of them live: many cards that have not been seen at one device
or IP before pay small amounts there within minutes, and most are declined. Whoever takes hours over it does so from a
device that has just appeared, and tries what lives once more, so that there it is the cards that are counted: five
people who come to a new device are not declined every other one. Nor are five within minutes, whatever they pay: at a
device what is quick need not be small.
"""
source = "Hyperswitch (3 failures per card and IP), FraudHalo (over 40 % declines in 5 minutes); typology 1"
blind_spots = """
A small amount is given in minor units and is the same for every currency: 1000 is 10.00 EUR and 1000 JPY, which are
alike, but 10 SEK or 1000 KRW are hardly anything: where such currencies matter it has to be raised. Tests spread over
many devices and IPs, or over hours at an IP or at a device that is older than young_ms. A list of which most cards
live. Hubs: a tester behind a carrier's NAT is seen by the device only. Of one hour only the first max_per_hour
transactions (at an IP: small ones) are read, and of these the first max_per_card of each card.
"""
triage = "Is it one merchant or many? Which of the cards were approved: those are the ones that will be used."

[returns]
device = { role = "core", label = "Device" }
ip = { role = "core", label = "IP" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards new to the place that paid in the window (at an IP small amounts), or small amounts at a young device ever" }
declined_share = { role = "measure", threshold = "min_declined_share", means = "declined share of the transactions in the window (at an IP of the small ones), or of the cards that made small ones at a young device" }
merchants = { role = "measure", means = "merchants at which they were tried" }

[[false_positives]]
name = "a carrier's or an office's shared address: many cards, few declines"
fixture = "carrier_nat"

[[false_positives]]
name = "an issuer's outage: its cards are declined everywhere, with usual amounts"
fixture = "issuer_outage"

[[false_positives]]
name = "an issuer's outage at a shared place where small amounts are usual: its cards are known there"
fixture = "issuer_outage_small"

[params.window_ms]
default = 600000
min = 60000
max = 3600000
meaning = "how far back the window reaches, in milliseconds"

[[false_positives]]
name = "a ticket machine at a busy hour: some of its customers are declined"
fixture = "busy_kiosk"

[[false_positives]]
name = "a new kiosk that sells small things: some of its customers are declined"
fixture = "new_kiosk"

[params.young_ms]
default = 86400000
min = 600000
max = 86400000
meaning = "for how long after its first use a device is young, and is judged by all small amounts that were tried there"

[params.min_cards]
default = 5
min = 2
max = 50
meaning = "distinct cards that were used at the place for the first time in the window (at an IP with small amounts), or with small amounts at a young device"

[params.min_declined_share]
default = 0.5
min = 0.1
max = 1.0
meaning = "declined share of the transactions in the window (at an IP of the small ones), or of the cards at a young device"

[params.small_amount]
default = 1000
min = 0
max = 100000000
meaning = "the largest amount that counts as small, in minor units of whatever currency"

[params.max_per_hour]
default = 2000
min = 100
max = 10000
meaning = "transactions of one hour at a device, and small ones at an IP, that are read, the first of the hour"

[params.max_per_card]
default = 5
min = 1
max = 100
meaning = "of those, how many count for one card, the first of the hour"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
CALL {
  WITH a
  UNWIND CASE WHEN a.label = 'Device' THEN [a.id] ELSE [] END AS id
  MATCH (x:Device {id: id})
  WHERE x.hub_since > a.first
  WITH a, x, CASE WHEN x.first_seen > a.first - $young_ms AND x.first_seen < a.first - $window_ms THEN x.first_seen
                  ELSE a.first - $window_ms END AS start
  UNWIND range(start / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, hour
    MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(device_hour)
    WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
    RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
  }
  RETURN x, t
  UNION ALL
  WITH a
  UNWIND CASE WHEN a.label = 'IP' THEN [a.id] ELSE [] END AS id
  MATCH (x:IP {id: id})
  WHERE x.hub_since > a.first
  UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, hour
    MATCH (t:Transaction {ip_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(ip_hour)
    WHERE t.amount <= $small_amount AND NOT coalesce(t.channel, '') IN ['pos', 'atm']
    RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
  }
  RETURN x, t
}
WITH a, x, collect(t) AS tried, sum(CASE WHEN t.status = 'declined' THEN 1 ELSE 0 END) AS declined
WHERE size(tried) >= $min_cards AND declined >= $min_cards * $min_declined_share
UNWIND tried AS t
MATCH (t)<-[:MADE]-(c:Card)
WITH a, x, c, t ORDER BY t.time, t.id
WITH a, x, c, t.time / 3600000 AS hour, collect(t) AS made
MATCH (c)-[u:USED]->(x)
UNWIND made[0..$max_per_card] AS t
OPTIONAL MATCH (t)-[:AT]->(m:Merchant)
WITH a, x, t, c, u, m ORDER BY t.time DESC, t.id
WITH a, x.hub_since AS hub_since, CASE WHEN a.label = 'Device' THEN x.first_seen ELSE 0 END AS opened,
     collect({id: t.id, time: t.time, declined: t.status = 'declined', card: c.id, since: u.first_seen,
              merchant: m.id, small: t.amount <= $small_amount}) AS window
WITH a, hub_since, opened, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.label AS label, a.id AS anchor, time, opened > time - $young_ms AS young, window
WITH label, anchor, time, young,
     [seen IN window WHERE seen.time <= time AND (young OR seen.time > time - $window_ms)] AS window
WHERE size(window) >= $min_cards
UNWIND window AS seen
WITH label, anchor, time, young, seen, seen.time > time - $window_ms AS recent
WITH label, anchor, time, young, count(DISTINCT CASE WHEN seen.small THEN seen.card END) AS all_cards,
     count(DISTINCT CASE WHEN seen.small AND seen.declined THEN seen.card END) AS declined_cards,
     count(DISTINCT CASE WHEN recent AND seen.since > time - $window_ms - 60000 THEN seen.card END) AS new_cards,
     sum(CASE WHEN recent THEN 1 ELSE 0 END) AS made, sum(CASE WHEN recent AND seen.declined THEN 1 ELSE 0 END) AS declined,
     collect(seen) AS window
WITH label, anchor, time, young, all_cards, CASE WHEN all_cards > 0 THEN 1.0 * declined_cards / all_cards ELSE 0.0 END AS declined_cards, new_cards,
     CASE WHEN made > 0 THEN 1.0 * declined / made ELSE 0.0 END AS declined, window
WITH label, anchor, time, young, all_cards, declined_cards, new_cards, declined, window,
     new_cards >= $min_cards AND declined >= $min_declined_share AS quick
WHERE quick OR (young AND all_cards >= $min_cards AND declined_cards >= $min_declined_share)
UNWIND [seen IN window WHERE CASE WHEN quick THEN seen.time > time - $window_ms ELSE seen.small END] AS seen
WITH label, anchor, time, CASE WHEN quick THEN new_cards ELSE all_cards END AS cards,
     CASE WHEN quick THEN declined ELSE declined_cards END AS declined_share,
     count(DISTINCT seen.merchant) AS merchants, collect(DISTINCT seen.card) AS card_ids, collect(seen.id) AS transactions
RETURN label AS anchor_label, anchor, time,
       CASE WHEN label = 'Device' THEN anchor END AS device, CASE WHEN label = 'IP' THEN anchor END AS ip,
       card_ids, transactions[0..$max_evidence] AS transactions, cards, declined_share, merchants
