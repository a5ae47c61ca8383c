/*
id = "merchant_collusion"
title = "Merchant collusion"
version = 6
status = "stable"
severity = "high"
anchor = ["Device", "IP"]
gate = { degree = "min_cards" }
identity = ["merchant", "device", "ip"]
budget_ms = 150
rationale = """
A merchant that lives on one device, or behind one IP, and charges the same few cards there again and again within a
week is selling to itself: cashing out stolen cards, or laundering another shop's transactions. Where it names none of
its customers' accounts, fewer charges for each card will do: an agent who orders for many has one. A shop of which one
account is the main customer sells to a company. And where nearly no card was ever seen before, at a machine that never
stays where it is, or behind one IP always on another machine, there are no customers at all.
"""
source = "typology 7 of the catalogue"
blind_spots = """
Collusion through a card terminal: there every transaction of a shop comes from one device anyway, so point-of-sale
traffic is left out. Cards that are used once each, unless they are min_nobodies that were never seen before; that nobody says
before the stream is older than the window. Behind an IP only merchants below the hub cap count, and not where
most of it comes from devices that serve one card each, again and again: people on their own phones, whom a shop's or an
office's network has in common. A merchant with max_merchant approved transactions or more in the window is not judged,
since its total is not counted further. Of one hour only the first max_per_hour approved transactions at the device or
IP are read.
"""
triage = "What does the merchant sell, and since when? Do the amounts repeat? Where else are these cards used?"

[returns]
merchant = { role = "core", label = "Merchant" }
device = { role = "core", label = "Device" }
ip = { role = "core", label = "IP" }
card_ids = { role = "member", label = "Card" }
account_ids = { role = "member", label = "Account" }
transactions = { role = "evidence" }
made = { role = "measure", threshold = "min_transactions", means = "approved transactions from here at the merchant in the window" }
share = { role = "measure", threshold = "min_share", means = "their share among all approved transactions of the merchant in the window" }
cards = { role = "measure", threshold = "min_cards", means = "distinct cards that made them" }
per_card = { role = "measure", threshold = "min_per_card", means = "transactions per card; min_per_card_ip at least behind an IP, or fewer where cards were never seen before" }

[[false_positives]]
name = "a shop's tablet, at which every customer pays"
fixture = "in_store_tablet"

[[false_positives]]
name = "mail order: the shop keys in its customers' orders"
fixture = "mail_order"

[[false_positives]]
name = "an office that orders lunch from the place around the corner"
fixture = "office_lunch"

[[false_positives]]
name = "a café's regulars, who order in its app on its network"
fixture = "regulars"

[[false_positives]]
name = "an agent who orders for clients from a small shop"
fixture = "agent"

[[false_positives]]
name = "a company that orders from a small shop with its employees' cards"
fixture = "company"

[params.window_ms]
default = 604800000
min = 600000
max = 2592000000
meaning = "how far back the window reaches, in milliseconds"

[params.min_transactions]
default = 6
min = 2
max = 1000
meaning = "approved transactions from one device or IP at the merchant in the window"

[params.min_share]
default = 0.5
min = 0.1
max = 1.0
meaning = "their share among all approved transactions of the merchant in the window"

[params.min_cards]
default = 3
min = 1
max = 50
meaning = "distinct cards that made them"

[params.min_owners]
default = 2
min = 1
max = 100
meaning = "accounts, or cards without one, that made them"

[params.min_per_card]
default = 2.0
min = 1.0
max = 100.0
meaning = "transactions per card from one device, on average, where any of them names an account"

[params.min_per_card_unnamed]
default = 1.5
min = 1.0
max = 100.0
meaning = "the same where none does: the customers of a mail-order shop seldom come back within a week"

[params.min_per_card_ip]
default = 3.0
min = 1.0
max = 100.0
meaning = "transactions per card behind one IP, on average: many who share a network come back to the same shop"

[params.min_nobodies]
default = 6
min = 2
max = 100
meaning = "cards, each however often, that are enough where nearly none was seen before its payment here"

[params.min_nobody_share]
default = 0.9
min = 0.0
max = 1.0
meaning = "share of the cards that were never seen before their payment here"

[params.min_places]
default = 3
min = 2
max = 100
meaning = "IPs from which the device then paid; at an IP there is a device for each card"

[params.max_personal_share]
default = 0.5
min = 0.0
max = 1.0
meaning = "share of the transactions behind an IP that devices made which paid with one card only, and more than once"

[params.max_per_hour]
default = 500
min = 100
max = 10000
meaning = "approved transactions of one hour at the device or IP that are read, the first of the hour"

[params.max_merchant]
default = 1000
min = 100
max = 20000
meaning = "up to how many approved transactions of the merchant in the window are counted"

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
  MATCH (x:Device {id: id})<-[u:USED]-(c:Card)
  WHERE x.hub_since > a.first
    AND u.last_seen > a.first - $window_ms - 60000 AND u.first_seen <= a.last
  WITH a, x, collect(c) AS active
  WHERE size(active) >= $min_cards
  UNWIND [touch IN a.times | touch / 3600000] AS touched
  WITH DISTINCT a, x, active, touched AS hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(device_hour)
  WHERE t.status = 'approved' AND t.time >= a.first AND t.time <= a.last
  MATCH (t)-[:AT]->(m:Merchant)
  WITH DISTINCT a, x, active, m
  UNWIND active AS c
  MATCH (c)-[p:PAID]->(m)
  WHERE p.last_seen > a.first - $window_ms - 60000 AND p.first_seen <= a.last
  WITH a, x, m, count(c) AS payers
  WHERE payers >= $min_cards
  WITH a, x, collect(m) AS merchants
  UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, merchants, hour
    MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(device_hour)
    WHERE t.status = 'approved' AND NOT coalesce(t.channel, '') IN ['pos', 'atm']
    WITH merchants, t ORDER BY t.time, t.id LIMIT $max_per_hour
    MATCH (t)-[:AT]->(m:Merchant)
    WHERE m IN merchants
    RETURN t, m
  }
  RETURN x.hub_since AS hub_since, m.id AS merchant, t
  UNION ALL
  WITH a
  UNWIND CASE WHEN a.label = 'IP' THEN [a.id] ELSE [] END AS id
  MATCH (x:IP {id: id})<-[u:USED]-(c:Card)
  WHERE x.hub_since > a.first
    AND u.last_seen > a.first - $window_ms - 60000 AND u.first_seen <= a.last
  WITH a, x, collect(c) AS active
  WHERE size(active) >= $min_cards
  UNWIND [touch IN a.times | touch / 3600000] AS touched
  WITH DISTINCT a, x, active, touched AS hour
  MATCH (t:Transaction {ip_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(ip_hour)
  WHERE t.status = 'approved' AND t.time >= a.first AND t.time <= a.last
  MATCH (t)-[:AT]->(m:Merchant)
  WHERE m.hub_since > a.first
  WITH DISTINCT a, x, active, m
  UNWIND active AS c
  MATCH (c)-[p:PAID]->(m)
  WHERE p.last_seen > a.first - $window_ms - 60000 AND p.first_seen <= a.last
  WITH a, x, m, count(c) AS payers
  WHERE payers >= $min_cards
  WITH a, x, collect(m) AS merchants
  UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, merchants, hour
    MATCH (t:Transaction {ip_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(ip_hour)
    WHERE t.status = 'approved' AND NOT coalesce(t.channel, '') IN ['pos', 'atm']
    WITH merchants, t ORDER BY t.time, t.id LIMIT $max_per_hour
    MATCH (t)-[:AT]->(m:Merchant)
    WHERE m IN merchants
    RETURN t, m
  }
  RETURN CASE WHEN m.hub_since < x.hub_since THEN m.hub_since ELSE x.hub_since END AS hub_since,
         m.id AS merchant, t
}
WITH a, hub_since, merchant, collect(t) AS made
WHERE size(made) >= $min_transactions
UNWIND made AS t
MATCH (t)<-[:MADE]-(c:Card)
OPTIONAL MATCH (t)-[:ON]->(d:Device)
OPTIONAL MATCH (t)-[:FROM]->(i:IP)
WITH a, hub_since, merchant, t, c, d, i ORDER BY t.time DESC, t.id
WITH a, hub_since, merchant, collect({id: t.id, time: t.time, account: t.account, card: c.id, born: c.first_seen,
                                      device: d.id, place: CASE WHEN a.label = 'Device' THEN i.id ELSE d.id END}) AS window
WITH a, hub_since, merchant, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.label AS label, a.id AS anchor, merchant, time,
     [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS window
WHERE size(window) >= $min_transactions AND size(window) < $max_merchant
CALL {
  WITH label, window
  UNWIND [seen IN window WHERE label = 'IP' AND seen.device IS NOT NULL] AS seen
  WITH seen.device AS device, count(DISTINCT seen.card) AS users, count(seen) AS made
  RETURN sum(CASE WHEN users = 1 AND made > 1 THEN made ELSE 0 END) AS personal
}
WITH label, anchor, merchant, time, window
WHERE personal <= $max_personal_share * size(window)
UNWIND window AS seen
WITH label, anchor, merchant, time, count(seen) AS made, count(DISTINCT seen.card) AS cards,
     count(DISTINCT coalesce(seen.account, seen.card)) AS owners, count(DISTINCT seen.place) AS places,
     count(DISTINCT CASE WHEN seen.born >= seen.time THEN seen.card END) AS nobodies,
     collect(DISTINCT seen.card) AS card_ids, collect(DISTINCT seen.account) AS account_ids,
     collect(seen.id) AS transactions
WITH label, anchor, merchant, time, made, cards, owners, card_ids, account_ids, transactions,
     made >= CASE WHEN label = 'IP' THEN $min_per_card_ip WHEN size(account_ids) > 0 AND places < $min_places
                  THEN $min_per_card ELSE $min_per_card_unnamed END * cards AS repeated,
     cards >= $min_nobodies AND nobodies >= $min_nobody_share * cards
       AND places >= CASE WHEN label = 'IP' THEN cards ELSE $min_places END AS staged
WHERE cards >= $min_cards AND owners >= $min_owners AND (repeated OR staged)
CALL {
  WITH time, repeated
  UNWIND CASE WHEN repeated THEN [] ELSE range((time - 2 * $window_ms) / 3600000, (time - $window_ms) / 3600000) END AS hour
  MATCH (h:Hour {id: hour})
  RETURN count(h) AS watched
}
WITH label, anchor, merchant, time, made, cards, card_ids, account_ids, transactions, repeated, watched
WHERE repeated OR watched > 0
CALL {
  WITH merchant, time
  UNWIND range((time - $window_ms) / 3600000, time / 3600000) AS hour
  MATCH (t:Transaction {merchant_hour: merchant + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(merchant_hour)
  WHERE t.status = 'approved' AND t.time > time - $window_ms AND t.time <= time
  WITH t LIMIT $max_merchant
  RETURN count(t) AS total
}
WITH label, anchor, merchant, time, made, cards, card_ids, account_ids, transactions, total, 1.0 * made / total AS share
WHERE total < $max_merchant AND share >= $min_share
RETURN label AS anchor_label, anchor, time, merchant,
       CASE WHEN label = 'Device' THEN anchor END AS device, CASE WHEN label = 'IP' THEN anchor END AS ip,
       card_ids, account_ids, transactions[0..$max_evidence] AS transactions,
       made, share, cards, 1.0 * made / cards AS per_card
