/*
id = "account_takeover_fan_in"
title = "Account takeover from one device"
version = 10
status = "stable"
severity = "critical"
anchor = ["Device"]
gate = { degree = "min_accounts" }
identity = ["device"]
budget_ms = 150
rationale = """
Accounts that are long established and have nothing to do with each other, each paying within a day from the same device
that none of them used before, and most of them unlike themselves: the goods go to an address that is new to the
account, the money to where another's goes, or the purchase is declined, or, nothing being delivered, they all do the
same round of shops or spend several times what they usually do. Somebody has their passwords. Two who are unlike
themselves, each in another way, are chance at any shared machine, and so are half of its guests, or two of them who buy
something dear; two who order to one address, send to one account or do one round of shops are not. And whatever they
buy, strangers do not share a machine that changes its IP all the time, two and more of them behind each: it hides
behind proxies.
"""
source = "typology 4 of the catalogue"
blind_spots = """
Accounts are established by account_created, else by their first transaction here: without account_created nothing is
found in the first min_known_ms of a stream. A device that the attacker has warmed up with other cards (min_new_share).
Victims that shared an address, e-mail or phone before, or from their first transaction here on, count as one household.
An address is foreign to an account if it is new to it, not where the card is billed, and the account had another one or
says where the card is billed; so where most victims buy what is not delivered, and most of it is approved, nothing is
found unless they have min_shops shops in common, or spend min_times_usual as much as ever, at more than one shop (at
one it may be a travel agent's machine), or are min_per_line for each of min_lines IPs or more. Where no address of any
of them is known, all count as unlike themselves, if each was seen here before the window and does not only send money.
A takeover that only looks and does not pay. Fewer than min_accounts accounts that are unlike themselves, unless two of
them order to one address, send to one account or do one round of shops. A device at which one merchant alone is paid,
where neither a channel nor a network nor an address is told, may be its terminal, and counts as one. A thief who pays
from an address on the net from which one of the victims has long paid. Of one hour only the first max_per_hour
transactions at the device are read, and of these the first max_per_card of each card.
"""
triage = "Did e-mail, phone or delivery address change shortly before? Do the purchases look alike?"

[returns]
device = { role = "core", label = "Device" }
account_ids = { role = "member", label = "Account" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
accounts = { role = "measure", threshold = "min_accounts", means = "unrelated established accounts to which the device is new" }
new_share = { role = "measure", threshold = "min_new_share", means = "their share among these accounts and the cards that the device knew before" }
strange_share = { role = "measure", threshold = "min_strange_share", means = "share of the accounts that order to a foreign address, or are declined, make the same round of shops or spend far more than usual; min_apart_share at least where each does it in its own way" }

[[false_positives]]
name = "a family on its new tablet, at home: from there one of them has long paid"
fixture = "new_tablet_at_home"

[[false_positives]]
name = "a terminal of which nobody says that it is one"
fixture = "untold_terminal"

[[false_positives]]
name = "a shared computer, in a library"
fixture = "shared_computer"

[[false_positives]]
name = "an internet café whose guests order home, are declined now and then, or send a present"
fixture = "internet_cafe"

[[false_positives]]
name = "a shared machine at which two old customers send a present, each to a friend"
fixture = "two_presents"

[[false_positives]]
name = "a phone model whose fingerprint is the same for all its owners"
fixture = "colliding_fingerprint"

[[false_positives]]
name = "a call centre with new machines, or a mail-order shop, that keys in its customers' orders"
fixture = "call_centre"

[[false_positives]]
name = "a travel agency's new machine, on which old customers book what costs far more than they usually spend"
fixture = "travel_agency"

[[false_positives]]
name = "customers who pick up their parcels at one shop, where a clerk keys in their orders"
fixture = "parcel_shop"

[[false_positives]]
name = "a support desk that acts for customers"
fixture = "support_desk"

[[false_positives]]
name = "a household that has bought a new computer"
fixture = "new_family_computer"

[params.window_ms]
default = 86400000
min = 600000
max = 604800000
meaning = "how far back the window reaches, in milliseconds"

[params.min_accounts]
default = 3
min = 2
max = 50
meaning = "unrelated established accounts to which the device is new, and distinct cards that they pay with; and accounts unlike themselves, unless two order to one address, send to one account or do one round of shops"

[params.min_age_ms]
default = 2592000000
min = 86400000
max = 31536000000
meaning = "how long before the touch an account must have been opened to be established, in milliseconds"

[params.min_known_ms]
default = 604800000
min = 3600000
max = 31536000000
meaning = "how long before the touch its first transaction must have been, where nobody says when it was opened, in milliseconds"

[params.min_shops]
default = 2
min = 2
max = 20
meaning = "shops of an account on the device at which others of these accounts paid there, too, that make a round of shops; and shops at which accounts must spend more than usual"

[params.min_times_usual]
default = 3.0
min = 1.5
max = 100.0
meaning = "how many times an account's average payment of the weeks before is far more than usual, where nothing is delivered"

[params.usual_weeks]
default = 8
min = 1
max = 26
meaning = "calendar weeks before the window whose approved payments say what is usual"

[params.min_usual]
default = 3
min = 1
max = 100
meaning = "payments in these weeks without which nobody knows what is usual"

[params.min_new_share]
default = 0.5
min = 0.0
max = 1.0
meaning = "share of these accounts among them and the cards that the device knew before the window"

[params.min_strange_share]
default = 0.5
min = 0.0
max = 1.0
meaning = "share of the accounts that order to a foreign address or, nothing being delivered, are declined, do the others' round of shops or spend far more than usual"

[params.min_apart_share]
default = 0.7
min = 0.0
max = 1.0
meaning = "the same where no two of them order to one address, send to one account or do one round of shops"

[params.min_lines]
default = 3
min = 2
max = 50
meaning = "IPs, no hubs among them, from which a device pays in the window that hides behind proxies: one that many share has one"

[params.min_per_line]
default = 2.0
min = 1.0
max = 100.0
meaning = "unrelated established accounts for each of these IPs, from which on they are all unlike themselves: phones that only look like one have an IP each"

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

[params.max_relatives]
default = 50
min = 10
max = 1000
meaning = "identifiers of an account, and accounts of each, that are read to tell whether victims are one household"

[params.max_addresses]
default = 20
min = 1
max = 200
meaning = "addresses of an account that are read, the first it had"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, account by account, the newest first"
*/
UNWIND $anchors AS a
MATCH (d:Device {id: a.id})<-[u:USED]-(:Card)
WHERE d.hub_since > a.first AND u.first_seen > a.first - $window_ms - 60000 AND u.first_seen <= a.last
WITH a, d, count(u) AS new_cards
WHERE new_cards >= $min_accounts
UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
CALL {
  WITH a, hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(device_hour)
  WHERE t.account IS NOT NULL AND NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH t ORDER BY t.time, t.id LIMIT $max_per_hour
  MATCH (t)<-[:MADE]-(c:Card)
  WITH c, t ORDER BY t.time, t.id
  WITH c, collect(t) AS made
  UNWIND made[0..$max_per_card] AS t
  OPTIONAL MATCH (t)-[:SHIPPED_TO]->(x:Address)
  OPTIONAL MATCH (t)-[:AT]->(m:Merchant)
  OPTIONAL MATCH (t)-[:TO]->(r:Account)
  OPTIONAL MATCH (t)-[:FROM]->(i:IP)<-[w:USED]-(c)
  RETURN t.account AS account, {id: t.id, time: t.time, card: c.id, account: t.account, status: t.status, shop: m.id, payee: r.id,
                                amount: t.amount, currency: t.currency,
                                address: x.id, until: x.hub_since, billing: t.billing_address,
                                ip: CASE WHEN i.hub_since > t.time THEN i.id END,
                                at_home_since: CASE WHEN i.hub_since > t.time THEN w.first_seen END,
                                remote: t.channel IS NOT NULL OR t.ip_hour IS NOT NULL
                                        OR coalesce(x.id, t.billing_address) IS NOT NULL} AS seen
}
WITH a, d, account, seen ORDER BY seen.time DESC, seen.id
WITH a, d, account, collect(seen) AS made
MATCH (p:Account {id: account})
WHERE coalesce(p.created + $min_age_ms, p.first_seen + $min_known_ms) <= a.last
MATCH (d)<-[u:USED]-(:Card)<-[:OWNS]-(p)
WITH a, d, p, made, min(u.first_seen) AS joined
WHERE joined > a.first - $window_ms - 60000
CALL {
  WITH a, p
  MATCH (p)-[h:HAS]->(x)
  WITH a, x, CASE WHEN h.first_seen > p.first_seen THEN h.first_seen ELSE 0 END AS ours, h
  ORDER BY h.first_seen, x.id LIMIT $max_relatives
  WHERE x.hub_since > a.first
  CALL {
    WITH x
    MATCH (x)<-[g:HAS]-(q:Account)
    RETURN q.id AS id, CASE WHEN g.first_seen > q.first_seen THEN g.first_seen ELSE 0 END AS theirs
    ORDER BY g.first_seen, id LIMIT $max_relatives
  }
  RETURN collect({id: id, since: CASE WHEN ours > theirs THEN ours ELSE theirs END,
                  until: x.hub_since}) AS relatives
}
CALL {
  WITH p
  MATCH (p)-[h:HAS]->(x:Address)
  WITH x, h ORDER BY h.first_seen, x.id LIMIT $max_addresses
  RETURN collect({id: x.id, since: h.first_seen}) AS homes
}
CALL {
  WITH a, p, made
  UNWIND made AS seen
  WITH DISTINCT a, p, seen.currency AS currency
  UNWIND range((a.first - $window_ms) / 604800000 - $usual_weeks, (a.last - $window_ms) / 604800000) AS week
  MATCH (n:Tally {id: p.id + '|' + toString(week) + '|' + currency})
  RETURN collect({week: week, currency: currency, payments: n.transactions, spent: n.amount}) AS weeks
}
WITH a, d, p, joined, relatives, homes, weeks, made ORDER BY p.id
WITH a, d, collect({id: p.id, established: coalesce(p.created + $min_age_ms, p.first_seen + $min_known_ms),
                    joined: joined, relatives: relatives, met: p.first_seen,
                    settled: coalesce(homes[0].since, a.last + 1), weeks: weeks,
                    visits: [seen IN made | {time: seen.time, shop: seen.shop, payee: seen.payee, declined: seen.status = 'declined',
                             amount: seen.amount, currency: seen.currency,
                             delivered: seen.address IS NOT NULL, address: seen.address,
                             foreign: coalesce(seen.address <> seen.billing, seen.address IS NOT NULL),
                             billed: seen.billing IS NOT NULL, until: seen.until,
                             since: coalesce(head([home IN homes WHERE home.id = seen.address | home.since]),
                                             seen.time)}]}) AS candidates, collect(made) AS parts
WHERE size(candidates) >= $min_accounts
MATCH (d)<-[u:USED]-(:Card)
WITH a, d.hub_since AS hub_since, candidates, parts, collect(u.first_seen) AS arrivals
WITH a, hub_since, candidates, arrivals, reduce(window = [], part IN parts | window + part) AS window
WITH a, hub_since, candidates, arrivals, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.id AS device, time, window, size([since IN arrivals WHERE since <= time - $window_ms - 60000]) AS known,
     [p IN candidates WHERE p.established <= time AND p.joined > time - $window_ms - 60000
      AND any(visit IN p.visits WHERE visit.time > time - $window_ms AND visit.time <= time)] AS present
WITH device, time, window, known, present, [p IN present | p.id] AS account_ids
WITH device, time, window, known, account_ids, present,
     size([p IN present WHERE none(q IN p.relatives WHERE q.id < p.id AND q.id IN account_ids
                                   AND q.since <= time - $window_ms AND q.until > time)]) AS accounts
WHERE accounts >= $min_accounts AND accounts >= $min_new_share * (accounts + known)
WITH device, time, window, known, account_ids, present, accounts,
     [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS recent
WHERE any(seen IN recent WHERE seen.remote OR coalesce(seen.shop <> recent[0].shop, true))
  AND none(seen IN recent WHERE coalesce(seen.at_home_since <= time - $window_ms, false))
WITH device, time, window, known, account_ids, accounts,
     size(reduce(ips = [], seen IN recent |
       CASE WHEN seen.ip IN ips OR seen.ip IS NULL THEN ips ELSE ips + [seen.ip] END)) AS lines,
     [p IN present | {id: p.id, met: p.met, settled: p.settled, weeks: p.weeks, visits: [visit IN p.visits WHERE visit.time > time - $window_ms
                                                             AND visit.time <= time]}] AS present
CALL {
  WITH present
  UNWIND present AS p
  UNWIND [visit IN p.visits WHERE visit.shop IS NOT NULL] AS visit
  WITH visit.shop AS shop, collect(DISTINCT p.id) AS customers
  WHERE size(customers) > 1
  UNWIND customers AS customer
  WITH customer, count(shop) AS shops
  WHERE shops >= $min_shops
  RETURN collect(customer) AS rounds
}
CALL {
  WITH time, present
  UNWIND present AS p
  UNWIND p.visits AS visit
  WITH p, visit, [n IN p.weeks WHERE n.currency = visit.currency AND n.week < (time - $window_ms) / 604800000
                  AND n.week >= (time - $window_ms) / 604800000 - $usual_weeks] AS weeks
  WITH p, visit, reduce(total = 0, n IN weeks | total + n.payments) AS payments,
       reduce(total = 0, n IN weeks | total + n.spent) AS spent
  WHERE payments >= $min_usual AND visit.amount * payments >= $min_times_usual * spent
  WITH collect(DISTINCT p.id) AS spenders, count(DISTINCT visit.shop) AS shops
  RETURN CASE WHEN shops >= $min_shops THEN spenders ELSE [] END AS spenders
}
CALL {
  WITH time, present
  UNWIND present AS p
  UNWIND [visit IN p.visits WHERE visit.foreign AND visit.until > time AND visit.since > time - $window_ms - 60000
          AND (visit.billed OR p.settled <= time - $window_ms)] AS visit
  WITH visit.address AS address, collect(DISTINCT p.id) AS orderers
  WITH collect(orderers) AS parts
  RETURN reduce(all = [], part IN parts | all + part) AS astray, any(part IN parts WHERE size(part) > 1) AS one_drop
}
CALL {
  WITH present
  UNWIND present AS p
  UNWIND [visit IN p.visits WHERE visit.payee IS NOT NULL] AS visit
  WITH visit.payee AS payee, collect(DISTINCT p.id) AS senders
  WHERE size(senders) > 1
  UNWIND senders AS sender
  RETURN collect(DISTINCT sender) AS emptied
}
WITH device, time, window, known, account_ids, accounts,
     size(rounds) + size(emptied) > 0 OR one_drop AS in_concert,
     size([p IN present WHERE (lines >= $min_lines AND accounts >= $min_per_line * lines)
           OR (all(q IN present WHERE q.settled > time AND q.met <= time - $window_ms)
               AND any(visit IN p.visits WHERE visit.payee IS NULL))
           OR p.id IN astray OR p.id IN emptied
           OR (none(visit IN p.visits WHERE visit.delivered)
               AND (p.id IN rounds OR p.id IN spenders OR any(visit IN p.visits WHERE visit.declined)))]) AS strange
WHERE (in_concert OR strange >= $min_accounts)
  AND strange >= CASE WHEN in_concert THEN $min_strange_share ELSE $min_apart_share END * size(account_ids)
UNWIND [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time
        AND seen.account IN account_ids] AS seen
WITH device, time, account_ids, accounts, 1.0 * accounts / (accounts + known) AS new_share,
     1.0 * strange / size(account_ids) AS strange_share, max(seen.time) AS newest,
     collect(DISTINCT seen.card) AS card_ids, collect(DISTINCT seen.id) AS transactions
WHERE newest = time AND size(card_ids) >= $min_accounts
RETURN 'Device' AS anchor_label, device AS anchor, time, device, account_ids, card_ids,
       transactions[0..$max_evidence] AS transactions, accounts, new_share, strange_share
