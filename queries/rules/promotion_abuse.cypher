/*
id = "promotion_abuse"
title = "Promotion abuse"
version = 5
status = "stable"
severity = "medium"
anchor = ["Device"]
touch = { status = ["approved"], promotion = true }
identity = ["device", "promotion"]
budget_ms = 100
rationale = """
A promotion is meant to be used once by each customer. Several accounts on one device, or guests, each of which buys for
the first time only days before it redeems the same promotion, or another of the same shop, are one customer who comes
back under new names: a shop that changes its code every week makes the same offer. When an account was opened says less:
names are also bought, or put by for later, years old and never used.
"""
source = "typology 11 of the catalogue"
blind_spots = """
Accounts that have been buying here for longer than max_age_ms. In the first days of a stream everybody looks new, so
that a family of which several take the same offer on one device may look alike. A device for every account. A household whose members all sign up for the same offer in the same days. A shop's tablet at which hardly
anything else is bought fires until it passes the hub cap. Of one hour only the first max_per_hour approved
transactions at the device are read, and of these the first max_per_account of each account and promotion.
"""
triage = "Do the accounts share cards, an address or a pattern in their e-mails? What was the promotion worth?"

[returns]
device = { role = "core", label = "Device" }
promotion = { role = "fact" }
account_ids = { role = "member", label = "Account" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
accounts = { role = "measure", threshold = "min_accounts", means = "new customers (min_at_home at least from one IP; min_guests at least if fewer of them have accounts) that redeemed the promotion, or another of the shop, on the device in the window" }
share = { role = "measure", threshold = "min_share", means = "their share among the customers that bought anything on the device in the window" }

[[false_positives]]
name = "a family, most of whom have bought before, on its tablet"
fixture = "family"

[[false_positives]]
name = "a shop's kiosk, at which some sign up for the welcome offer and most do not"
fixture = "kiosk"

[[false_positives]]
name = "a shop's card terminal"
fixture = "terminal"

[[false_positives]]
name = "colleagues who take part in a sale from an office's computer"
fixture = "office"

[[false_positives]]
name = "a family of three, at home"
fixture = "family_at_home"

[params.window_ms]
default = 604800000
min = 600000
max = 2592000000
meaning = "how far back the window reaches, in milliseconds"

[params.min_accounts]
default = 3
min = 2
max = 50
meaning = "accounts that redeemed one promotion, or one shop's, on the device in the window while they were new here"

[params.max_age_ms]
default = 259200000
min = 60000
max = 2592000000
meaning = "how long before it redeems an account may have been seen first to be new, in milliseconds"

[params.min_at_home]
default = 4
min = 2
max = 50
meaning = "the same where all of it comes from one IP: a family of three is at home"

[params.min_guests]
default = 5
min = 2
max = 50
meaning = "the same counting those without an account, each by its e-mail, or else its card"

[params.min_share]
default = 0.5
min = 0.0
max = 1.0
meaning = "share of these accounts among all that bought on the device in the window"

[params.max_per_hour]
default = 2000
min = 100
max = 10000
meaning = "approved transactions of one hour at the device that are read, the first of the hour"

[params.max_per_account]
default = 10
min = 1
max = 100
meaning = "of those, how many count for one account and promotion, the first of the hour"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (d:Device {id: a.id})
WHERE d.hub_since > a.first
UNWIND [touch IN a.times | touch / 3600000] AS touched
WITH DISTINCT a, d, touched AS hour
MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
USING INDEX SEEK t:Transaction(device_hour)
WHERE t.promotion IS NOT NULL AND t.status = 'approved'
  AND t.time >= a.first AND t.time <= a.last
WITH DISTINCT a, d
CALL {
  WITH a, d
  MATCH (d)<-[u:USED]-(c:Card)
  WHERE u.last_seen > a.first - $window_ms - 60000 AND u.first_seen <= a.last
  OPTIONAL MATCH (c)<-[:OWNS]-(p:Account)
  WITH a, coalesce(p.id, c.id) AS customer, coalesce(p.first_seen, c.first_seen) AS met
  WHERE met > a.first - $window_ms - $max_age_ms
  WITH DISTINCT customer LIMIT $min_accounts
  RETURN count(customer) AS candidates
}
WITH a, d, candidates,
     CASE WHEN d.first_seen > a.first - $window_ms THEN d.first_seen ELSE a.first - $window_ms END AS begin
WHERE candidates >= $min_accounts
CALL {
  WITH a, begin
  UNWIND range(begin / 3600000, a.last / 3600000) AS hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(device_hour)
  RETURN DISTINCT hour
}
CALL {
  WITH a, hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(device_hour)
  WHERE t.status = 'approved' AND NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH t ORDER BY t.time, t.id LIMIT $max_per_hour
  MATCH (t)<-[:MADE]-(c:Card)
  WITH t, c ORDER BY t.time, t.id
  WITH coalesce(t.account, t.email, c.id) AS customer, t.promotion AS promotion, collect({node: t, card: c}) AS made
  UNWIND made[0..$max_per_account] AS one
  WITH customer, promotion, one.node AS t, one.card AS c
  OPTIONAL MATCH (p:Account {id: coalesce(t.account, '')})
  OPTIONAL MATCH (t)-[:AT]->(m:Merchant)
  OPTIONAL MATCH (t)-[:FROM]->(i:IP)
  RETURN {id: t.id, time: t.time, customer: customer, account: t.account, card: c.id, shop: m.id, ip: i.id,
          redeemed: CASE WHEN coalesce(p.first_seen, c.first_seen) > t.time - $max_age_ms THEN promotion END} AS seen
}
WITH a, d.hub_since AS hub_since, seen ORDER BY seen.time DESC, seen.id
WITH a, hub_since, collect(seen) AS window
WITH a, hub_since, window, [seen IN window WHERE seen.redeemed IS NOT NULL | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.id AS device, time, [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS window
WHERE size(window) >= $min_accounts
UNWIND window AS seen
WITH device, time, count(DISTINCT seen.customer) AS active, collect(seen) AS window
WITH device, time, active, window, [seen IN window WHERE seen.redeemed IS NOT NULL AND seen.time = time] AS now
UNWIND range(0, size(now) - 1) AS n
WITH device, time, active, window, now, now[n].redeemed AS promotion,
     any(earlier IN now[0..n] WHERE earlier.redeemed = now[n].redeemed) AS repeated
WHERE NOT repeated
WITH device, time, active, window, promotion, [seen IN now WHERE seen.redeemed = promotion | seen.shop] AS shops
UNWIND [seen IN window WHERE seen.redeemed = promotion OR (seen.redeemed IS NOT NULL AND seen.shop IN shops)] AS seen
WITH device, time, active, promotion, count(DISTINCT seen.customer) AS accounts,
     count(DISTINCT seen.account) AS named, count(DISTINCT seen.ip) AS ips,
     collect(DISTINCT seen.account) AS account_ids, collect(DISTINCT seen.card) AS card_ids,
     collect(seen.id) AS transactions
WHERE (named >= CASE WHEN ips = 1 THEN $min_at_home ELSE $min_accounts END OR accounts >= $min_guests) AND accounts >= $min_share * active
RETURN 'Device' AS anchor_label, device AS anchor, time, device, promotion, account_ids, card_ids,
       transactions[0..$max_evidence] AS transactions, accounts, 1.0 * accounts / active AS share
