/*
id = "mule_account"
title = "Mule account"
version = 7
status = "stable"
severity = "high"
anchor = ["Account"]
gate = { senders = "min_senders" }
touch = { channel = ["transfer", "atm"], status = ["approved"] }
identity = ["account"]
budget_ms = 150
rationale = """
Money that comes in within a week from several people who never sent any before, and leaves again two days after it came
on average, nearly all of it and to more than one place or bit by bit, or from an account that is new or that nobody has
seen before, only passes through: the account is lent to somebody else. Where it goes belongs to the ring as well: one
account gathers what several mules pass on.
"""
source = "typology 9 of the catalogue, whose 48 hours are how long money rests; 5 to 10 accounts on each side as in AMLSim"
blind_spots = """
Money that goes on to accounts most of which it came from. Sums that are alike into an account that is older than
max_age_ms: rents, dues, or the price of something that does not exist. Money that leaves by card payments, or later, or
to one account in less than min_parts parts, unless account_created tells that the account is new, or nobody does how
old it is, it was never seen before the window and the sums differ. Accounts that have passed the hub cap. Money out
counts from the first transfer in on, and every currency for itself: what is exchanged in between is not followed. An
account that spends what it had before, so that more than max_share leaves, looks like anybody's. Of one hour the first
max_per_hour transfers in are read, and of what leaves in the window the first max_sent of each card.
"""
triage = "Since when is the account open, and did it do anything before? Do the senders know each other? Who holds the accounts that were paid?"

[returns]
account = { role = "core", label = "Account" }
sender_ids = { role = "member", label = "Account" }
receiver_ids = { role = "core", label = "Account" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
senders = { role = "measure", threshold = "min_senders", means = "accounts that sent it money in the window, and never before" }
share = { role = "measure", threshold = "min_share", means = "share of the money received in the window that has left" }
receivers = { role = "measure", means = "accounts that it was sent on to (cash counts as one)" }
parts = { role = "measure", means = "transfers and withdrawals by which it left" }
rest_hours = { role = "fact" }
currency = { role = "fact" }

[[false_positives]]
name = "a landlord: the same tenants every month"
fixture = "landlord"

[[false_positives]]
name = "a landlord whom the stream meets for the first time: the rents are alike"
fixture = "first_rents"

[[false_positives]]
name = "a firm's central account: what its branches send in the evening goes back to them in the morning"
fixture = "sweep"

[[false_positives]]
name = "a club that collects for a trip, and pays for it"
fixture = "club"

[[false_positives]]
name = "a household: several people pay their share, and the rent is due"
fixture = "shared_rent"

[[false_positives]]
name = "a treasurer: dues are gathered for a week, rest, and are spent to the last cent"
fixture = "treasurer"

[[false_positives]]
name = "a club of long standing: its dues are the same for everybody, and are spent at once"
fixture = "dues"

[params.window_ms]
default = 604800000
min = 3600000
max = 1209600000
meaning = "how far back the window reaches, in milliseconds"

[params.min_senders]
default = 5
min = 2
max = 100
meaning = "accounts that sent money in the window, and never before"

[params.min_share]
default = 0.8
min = 0.1
max = 1.0
meaning = "share of the money received in the window that has left"

[params.max_share]
default = 1.1
min = 1.0
max = 10.0
meaning = "above which share more leaves than came in: then it is not the same money"

[params.max_rest_ms]
default = 172800000
min = 3600000
max = 1209600000
meaning = "how long the money rests on average, in milliseconds: from the mean time of what came in to that of what left"

[params.min_receivers]
default = 2
min = 1
max = 50
meaning = "accounts that the money was sent on to (cash, and transfers to an unknown account, count as one)"

[params.min_parts]
default = 3
min = 1
max = 50
meaning = "transfers and withdrawals by which the money left, where it went to fewer"

[params.max_new_ms]
default = 2592000000
min = 0
max = 31536000000
meaning = "how long before the touch an account was opened, as account_created tells, of which one transfer to one account is enough, in milliseconds"

[params.max_age_ms]
default = 15552000000
min = 86400000
max = 157680000000
meaning = "how long before the touch an account may have been opened, in milliseconds, for sums that are alike to count"

[params.max_alike_share]
default = 0.8
min = 0.1
max = 1.0
meaning = "share of the transfers received by an older account that may be of sums that are alike"

[params.alike_factor]
default = 1.5
min = 1.0
max = 10.0
meaning = "times above or below the median sum that a sum may be to be alike"

[params.max_per_hour]
default = 500
min = 50
max = 5000
meaning = "transfers of one hour to the account that are read, the first of the hour"

[params.max_sent]
default = 500
min = 50
max = 5000
meaning = "transfers and cash withdrawals of one of the account's cards in the window that are read, the first"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (x:Account {id: a.id})
WHERE x.hub_since > a.first
CALL {
  WITH a, x
  MATCH (x)<-[s:SENT]-(q:Account)
  WHERE s.first_seen > a.first - $window_ms - 60000 AND s.first_seen <= a.last
  WITH q LIMIT $min_senders
  RETURN count(q) AS arrived
}
WITH a, x, arrived
WHERE arrived >= $min_senders
CALL {
  WITH a, x
  UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, hour
    MATCH (t:Transaction {counterparty_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(counterparty_hour)
    WHERE t.status = 'approved' AND t.account IS NOT NULL
    RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
  }
  MATCH (q:Account {id: t.account})-[s:SENT]->(x)
  RETURN {id: t.id, time: t.time, amount: t.amount, currency: t.currency, sender: q.id, since: s.first_seen} AS seen
  UNION ALL
  WITH a, x
  MATCH (x)-[o:OWNS]->(c:Card)
  WHERE o.last_seen > a.first - $window_ms - 60000 AND o.first_seen <= a.last
  CALL {
    WITH a, c
    MATCH (c)-[:MADE]->(t:Transaction)
    WHERE t.time > a.first - $window_ms AND t.time <= a.last AND t.account = a.id AND t.status = 'approved'
      AND t.channel IN ['transfer', 'atm'] AND coalesce(t.counterparty, '') <> a.id
    RETURN t ORDER BY t.time, t.id LIMIT $max_sent
  }
  RETURN {id: t.id, time: t.time, amount: t.amount, currency: t.currency, card: c.id,
          receiver: CASE WHEN t.channel = 'transfer' THEN t.counterparty END} AS seen
}
WITH a, x.hub_since AS hub_since, coalesce(x.created, x.first_seen) AS opened, x.created AS told, x.first_seen AS met, seen
ORDER BY seen.time DESC, seen.id
WITH a, hub_since, opened, told, met, seen.currency AS currency, collect(seen) AS window
WITH a, hub_since, opened, told, met, currency, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.id AS account, opened, told, met, time, currency, [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS window
WITH account, opened, told, met, time, currency, window, [seen IN window WHERE seen.sender IS NOT NULL] AS received
WHERE size(received) >= $min_senders
CALL {
  WITH received
  UNWIND [seen IN received | seen.amount] AS amount
  WITH amount ORDER BY amount
  WITH collect(amount) AS amounts
  WITH amounts, amounts[size(amounts) / 2] AS median
  RETURN size([amount IN amounts WHERE $alike_factor * amount >= median AND amount <= $alike_factor * median]) AS alike
}
WITH account, opened, told, time, currency, window, received, alike <= $max_alike_share * size(received) AS differ,
     told IS NULL AND met > time - $window_ms AS unseen
WHERE opened > time - $max_age_ms OR differ
CALL {
  WITH time, unseen
  UNWIND CASE WHEN unseen THEN range((time - 2 * $window_ms) / 3600000, (time - $window_ms) / 3600000) ELSE [] END AS hour
  MATCH (h:Hour {id: hour})
  RETURN count(h) AS watched
}
WITH account, coalesce(told > time - $max_new_ms, differ AND watched > 0) AS young, time, currency,
     received[size(received) - 1].time AS since, window
UNWIND window AS seen
WITH account, young, time, currency, since, seen
WHERE seen.time >= since
WITH account, young, time, currency,
     count(DISTINCT CASE WHEN seen.since > time - $window_ms - 60000 THEN seen.sender END) AS senders,
     sum(CASE WHEN seen.sender IS NOT NULL THEN seen.amount ELSE 0 END) AS received,
     sum(CASE WHEN seen.sender IS NULL THEN seen.amount ELSE 0 END) AS sent,
     sum(CASE WHEN seen.sender IS NOT NULL THEN 1.0 * seen.amount * (seen.time - since) ELSE 0.0 END) AS came_at,
     sum(CASE WHEN seen.sender IS NULL THEN 1.0 * seen.amount * (seen.time - since) ELSE 0.0 END) AS left_at,
     count(DISTINCT CASE WHEN seen.sender IS NULL THEN coalesce(seen.receiver, '') END) AS receivers,
     sum(CASE WHEN seen.sender IS NULL THEN 1 ELSE 0 END) AS parts,
     collect(DISTINCT seen.sender) AS sender_ids, collect(DISTINCT seen.receiver) AS receiver_ids,
     collect(DISTINCT seen.card) AS card_ids, collect(seen.id) AS transactions
WHERE senders >= $min_senders AND (young OR receivers >= $min_receivers OR parts >= $min_parts) AND sent > 0
  AND sent >= $min_share * received AND sent <= $max_share * received
WITH account, time, sender_ids, receiver_ids, card_ids, transactions, senders, 1.0 * sent / received AS share, receivers,
     parts, left_at / sent - came_at / received AS rest, currency
WHERE rest <= $max_rest_ms AND 2 * size([id IN receiver_ids WHERE id IN sender_ids]) <= size(receiver_ids)
RETURN 'Account' AS anchor_label, account AS anchor, time, account, sender_ids, receiver_ids, card_ids,
       transactions[0..$max_evidence] AS transactions, senders, share, receivers, parts,
       rest / 3600000.0 AS rest_hours, currency
