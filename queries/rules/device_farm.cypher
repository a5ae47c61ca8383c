/*
id = "device_farm"
title = "Device farm"
version = 1
status = "stable"
severity = "high"
anchor = ["Device"]
gate = { degree = "min_cards" }
identity = ["device"]
budget_ms = 100
rationale = """
One device that pays with many cards of many people within a day, most of them new to it, is run by somebody who
holds other people's cards: a farm of emulators, or a single machine with a stolen list.
"""
source = "Unit21's examples (3 users per card, 5 per IP); typology 3 of the catalogue"
blind_spots = """
A farm that adds fewer than min_new_cards cards a day. Transactions without an account add cards but never an
owner: where accounts are unknown, map the card (or the user) to account. Point-of-sale and cash-machine traffic
is left out, since a terminal belongs to the merchant. Of one hour only the first max_per_hour transactions at
the device are read, and of these the first max_per_card of each card. A kiosk or call centre on a new device fires until it passes the hub cap; then its ring is withdrawn.
"""
triage = "Do the owners share anything but the device (address, phone)? Were the cards seen before, elsewhere?"

[returns]
device = { role = "core", label = "Device" }
card_ids = { role = "member", label = "Card" }
account_ids = { role = "member", label = "Account" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards that the device paid with in the window" }
owners = { role = "measure", threshold = "min_owners", means = "accounts that those cards were used by" }
new_cards = { role = "measure", threshold = "min_new_cards", means = "of those cards, used on the device for the first time in the window" }

[[false_positives]]
name = "a family's tablet: several people, always the same"
fixture = "family_tablet"

[[false_positives]]
name = "a kiosk that serves everybody"
fixture = "kiosk"

[[false_positives]]
name = "a call centre that keys in its customers' orders"
fixture = "call_centre"

[[false_positives]]
name = "a shop's card terminal"
fixture = "terminal"

[params.window_ms]
default = 86400000
min = 600000
max = 604800000
meaning = "how far back the window reaches, in milliseconds"

[params.min_cards]
default = 4
min = 2
max = 50
meaning = "distinct cards on the device in the window"

[params.min_owners]
default = 3
min = 1
max = 50
meaning = "distinct accounts that those cards were used by"

[params.min_new_cards]
default = 3
min = 0
max = 50
meaning = "of those cards, how many were used on the device for the first time in the window"

[params.max_per_hour]
default = 2000
min = 100
max = 10000
meaning = "transactions of one hour at the device that are read, the first of the hour"

[params.max_per_card]
default = 10
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
MATCH (d:Device {id: a.id})<-[u:USED]-(:Card)
WHERE d.hub_since > a.first AND u.last_seen > a.first - $window_ms - 60000 AND u.first_seen <= a.last
WITH a, d, count(u) AS active,
     sum(CASE WHEN u.first_seen > a.first - $window_ms - 60000 THEN 1 ELSE 0 END) AS arrived
WHERE active >= $min_cards AND arrived >= $min_new_cards
UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
CALL {
  WITH a, d, hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(device_hour)
  WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH d, t ORDER BY t.time, t.id LIMIT $max_per_hour
  MATCH (t)<-[:MADE]-(c:Card)
  WITH d, c, t ORDER BY t.time, t.id
  WITH d, c, collect(t) AS made
  MATCH (c)-[u:USED]->(d)
  UNWIND made[0..$max_per_card] AS t
  RETURN {id: t.id, time: t.time, account: t.account, card: c.id, since: u.first_seen} AS seen
}
WITH a, d.hub_since AS hub_since, seen ORDER BY seen.time DESC, seen.id
WITH a, hub_since, collect(seen) AS window
WITH a, hub_since, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.id AS device, time, [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS window
WHERE size(window) >= $min_cards
UNWIND window AS seen
WITH device, time,
     count(DISTINCT seen.card) AS cards, count(DISTINCT seen.account) AS owners,
     count(DISTINCT CASE WHEN seen.since > time - $window_ms - 60000 THEN seen.card END) AS new_cards,
     collect(DISTINCT seen.card) AS card_ids, collect(DISTINCT seen.account) AS account_ids,
     collect(DISTINCT seen.id) AS transactions
WHERE cards >= $min_cards AND owners >= $min_owners AND new_cards >= $min_new_cards
RETURN 'Device' AS anchor_label, device AS anchor, time, device, card_ids, account_ids,
       transactions[0..$max_evidence] AS transactions, cards, owners, new_cards
