/*
id = "impossible_travel"
title = "Impossible travel"
version = 6
status = "stable"
severity = "high"
anchor = ["Card"]
gate = { gap_ms = "max_journey_ms" }
touch = { channel = ["pos", "atm"], status = ["approved", "declined"] }
identity = ["card"]
budget_ms = 250
rationale = """
A card that is present in one place, and too soon afterwards in another one hundreds of kilometres away, exists twice:
one of the two is a copy. The copy is the one at the place that the card came to later, and whoever has it uses it more
than once while it works, or once for several times what its owner usually pays, told in the currency of the place where
the owner is. What the owner pays meanwhile is no part of the fraud. Whoever else was at that till, and too soon
elsewhere, is another copy of the same hand.
"""
source = "Rupt (500 km at more than 1,000 km/h); typology 15 of the catalogue"
blind_spots = """
Transactions without coordinates (0, 0 counts as none), or that do not say that the card was present. A copy that is
used near its original, long after it, or only once for an amount that its owner might have paid, or in another currency
than that of the owner's place (what the card paid in it before was on the web, or on a journey): such a payment is more
often a till that is located wrongly. A copy that is seen before its original (in history_ms) is taken for it. Two
branches of one merchant. A merchant is not believed where most of its other customers in the window (of a hub: in the
last hour) paid there once, no more than they paid elsewhere, and were elsewhere in it. Of a card's window the first
max_transactions are read, and of a merchant's hour the first max_per_hour. Other copies are looked for among the
max_customers latest customers of tills below the hub cap.
"""
triage = "Which of the two places is the cardholder's? Which other cards paid at the other one, and where had they all paid before?"

[returns]
card = { role = "core", label = "Card" }
peer_ids = { role = "member", label = "Card" }
account_ids = { role = "member", label = "Account" }
transactions = { role = "evidence" }
payments = { role = "measure", means = "payments with the card present at the place that it came to later (few only if one of them is far more than usual)" }
km = { role = "measure", threshold = "min_km", means = "kilometres between two consecutive payments with the card present" }
kmh = { role = "measure", threshold = "min_kmh", means = "kilometres per hour that the card would have travelled" }
left = { role = "fact" }
reached = { role = "fact" }

[[false_positives]]
name = "a merchant that is located at its headquarters"
fixture = "headquarters"

[[false_positives]]
name = "an online shop, located anywhere"
fixture = "online"

[[false_positives]]
name = "a flight"
fixture = "flight"

[[false_positives]]
name = "a traveller who once pays at a till that is located elsewhere, and goes on shopping"
fixture = "traveller"

[[false_positives]]
name = "a traveller, and a till that is located at home: what is paid abroad is far more than the card ever paid in that currency on the web"
fixture = "foreign_currency"

[params.window_ms]
default = 172800000
min = 3600000
max = 604800000
meaning = "how far back the window reaches, in milliseconds"

[params.min_km]
default = 500
min = 50
max = 20000
meaning = "kilometres between two consecutive payments"

[params.min_kmh]
default = 1000
min = 100
max = 100000
meaning = "kilometres per hour that lie between them (two payments at the same moment count as a minute apart)"

[params.min_payments]
default = 2
min = 1
max = 20
meaning = "payments at the place that the card came to later, at most burst_ms from the impossible journey, unless one of them is far more than usual"

[params.min_times_usual]
default = 4.0
min = 1.5
max = 100.0
meaning = "how many times the average of a card's other payments is far more than usual"

[params.min_usual]
default = 3
min = 1
max = 100
meaning = "approved payments of the card in history_ms, in the currency of its owner's place, without which nobody knows what is usual"

[params.max_journey_ms]
default = 72100000
min = 43200000
max = 604800000
meaning = "how far apart two consecutive payments may be, in milliseconds: at min_kmh, half-way round the Earth takes 20 hours"

[params.burst_ms]
default = 7200000
min = 60000
max = 43200000
meaning = "how long after an impossible journey, and before it, payments at the strange place belong to it, in milliseconds"

[params.history_ms]
default = 2592000000
min = 172800000
max = 7776000000
meaning = "how far back is asked at which of the two places the card was seen first, in milliseconds"

[params.max_elsewhere]
default = 0.5
min = 0.1
max = 1.0
meaning = "the share of a merchant's other customers who paid there once, no more than they usually do, and were seen min_km away from it in the window, from which on it is not believed"

[params.min_customers]
default = 2
min = 1
max = 50
meaning = "how many such customers it takes"

[params.max_customers]
default = 20
min = 5
max = 200
meaning = "how many other customers of a merchant are asked where else they were, the latest"

[params.max_transactions]
default = 500
min = 50
max = 5000
meaning = "transactions of a card in the window that are read, the first"

[params.max_per_hour]
default = 100
min = 10
max = 1000
meaning = "transactions of one hour at a merchant that are read, the first of the hour"

[params.max_evidence]
default = 200
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
CALL {
  WITH a
  MATCH (c:Card {id: a.id})-[:MADE]->(t:Transaction)
  WHERE t.time > a.first - $window_ms AND t.time <= a.last AND t.channel IN ['pos', 'atm']
    AND t.status IN ['approved', 'declined'] AND t.latitude IS NOT NULL AND t.longitude IS NOT NULL
    AND (t.latitude <> 0 OR t.longitude <> 0)
  RETURN t ORDER BY t.time, t.id LIMIT $max_transactions
}
WITH a, collect({id: t.id, time: t.time, account: t.account, latitude: t.latitude, longitude: t.longitude,
                   amount: t.amount, currency: t.currency}) AS made
WHERE size(made) > 1
WITH a, made, [n IN range(1, size(made) - 1) WHERE made[n].time > a.first - $burst_ms
               AND made[n - 1].time >= made[n].time - $max_journey_ms | {before: made[n - 1], after: made[n]}] AS moves
WITH a, made, [move IN moves | {before: move.before, after: move.after,
       ms: CASE WHEN move.after.time - move.before.time < 60000 THEN 60000 ELSE move.after.time - move.before.time END,
       h: sin(radians(move.after.latitude - move.before.latitude) / 2) ^ 2
          + cos(radians(move.before.latitude)) * cos(radians(move.after.latitude))
            * sin(radians(move.after.longitude - move.before.longitude) / 2) ^ 2}] AS moves
WITH a, made, [move IN moves | {before: move.before, after: move.after, ms: move.ms,
       km: 12742 * asin(sqrt(CASE WHEN move.h < 1 THEN move.h ELSE 1 END))}] AS moves
WITH a, made, [move IN moves WHERE move.km >= $min_km AND move.km * 3600000 / move.ms >= $min_kmh] AS jumps
WHERE size(jumps) > 0
UNWIND [time IN a.times WHERE any(seen IN made WHERE seen.time = time)] AS time
WITH a.id AS card, time, made,
     [jump IN jumps WHERE jump.after.time <= time AND jump.after.time > time - $burst_ms][-1] AS jump
WHERE jump IS NOT NULL
WITH card, time, made, jump, jump.before AS before, jump.after AS after
CALL {
  WITH card, time, before, after
  MATCH (c:Card {id: card})-[:MADE]->(t:Transaction)
  WHERE t.time > time - $history_ms AND t.time <= time AND t.channel IN ['pos', 'atm']
    AND t.status IN ['approved', 'declined'] AND t.latitude IS NOT NULL AND t.longitude IS NOT NULL
    AND (t.latitude <> 0 OR t.longitude <> 0)
  WITH t.time AS seen,
       sin(radians(t.latitude - before.latitude) / 2) ^ 2 + cos(radians(before.latitude))
         * cos(radians(t.latitude)) * sin(radians(t.longitude - before.longitude) / 2) ^ 2 AS to_before,
       sin(radians(t.latitude - after.latitude) / 2) ^ 2 + cos(radians(after.latitude))
         * cos(radians(t.latitude)) * sin(radians(t.longitude - after.longitude) / 2) ^ 2 AS to_after
  RETURN min(CASE WHEN to_before < to_after THEN seen END) AS first_before,
         min(CASE WHEN to_after < to_before THEN seen END) AS first_after
}
WITH card, time, jump, before, after, first_before <= first_after AS came,
     [seen IN made WHERE seen.time > time - $window_ms AND seen.time <= time | {at: seen,
       to_before: sin(radians(seen.latitude - before.latitude) / 2) ^ 2 + cos(radians(before.latitude))
         * cos(radians(seen.latitude)) * sin(radians(seen.longitude - before.longitude) / 2) ^ 2,
       to_after: sin(radians(seen.latitude - after.latitude) / 2) ^ 2 + cos(radians(after.latitude))
         * cos(radians(seen.latitude)) * sin(radians(seen.longitude - after.longitude) / 2) ^ 2}] AS made
WITH card, time, jump, before, after, CASE WHEN came THEN
       [seen IN made WHERE seen.to_after < seen.to_before AND abs(seen.at.time - after.time) <= $burst_ms | seen.at] ELSE
       [seen IN made WHERE seen.to_before < seen.to_after AND abs(seen.at.time - before.time) <= $burst_ms | seen.at]
     END AS strange
WHERE size(strange) > 0
CALL {
  WITH card, time, before, after, strange
  WITH card, time, strange, [seen IN strange | seen.id] AS ids, before.currency = after.currency AS comparable
  UNWIND CASE WHEN comparable AND size(strange) < $min_payments THEN strange ELSE [] END AS seen
  MATCH (c:Card {id: card})-[:MADE]->(t:Transaction)
  WHERE t.time > time - $history_ms AND t.time <= time AND t.status = 'approved' AND t.currency = seen.currency
    AND NOT t.id IN ids
  WITH seen, count(t) AS payments, sum(t.amount) AS spent
  WHERE payments >= $min_usual AND seen.amount * payments >= $min_times_usual * spent
  RETURN count(seen) AS lavish
}
WITH card, time, jump, before, after, strange, lavish
WHERE lavish > 0 OR size(strange) >= $min_payments
OPTIONAL MATCH (:Transaction {id: before.id})-[:AT]->(m:Merchant)
OPTIONAL MATCH (:Transaction {id: after.id})-[:AT]->(o:Merchant)
WITH card, before, after, time, jump, strange, m, o
WHERE m IS NULL OR o IS NULL OR m.id <> o.id
CALL {
  WITH card, before, after, time, m, o
  UNWIND [{at: before, merchant: m}, {at: after, merchant: o}] AS place
  WITH card, time, place.at AS at, place.merchant AS x
  WHERE x IS NOT NULL
  CALL {
    WITH card, time, at, x
    UNWIND range((time - CASE WHEN x.hub_since <= time THEN 3600000 ELSE $window_ms END) / 3600000, time / 3600000) AS hour
    CALL {
      WITH time, x, hour
      MATCH (t:Transaction {merchant_hour: x.id + '|' + toString(hour)})
      USING INDEX SEEK t:Transaction(merchant_hour)
      WHERE t.time <= time AND t.channel IN ['pos', 'atm']
      RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
    }
    MATCH (t)<-[:MADE]-(c:Card)
    WITH card, time, at, x, c, max(t.time) AS latest, count(t) AS visits, max(t.amount) AS most, min(t.currency) AS currency
    WHERE c.id <> card
    WITH time, at, x, c, visits, most, currency ORDER BY latest DESC, c.id LIMIT $max_customers
    MATCH (c)-[:MADE]->(t:Transaction)
    WHERE t.time > time - $window_ms AND t.time <= time AND t.channel IN ['pos', 'atm']
      AND t.latitude IS NOT NULL AND t.longitude IS NOT NULL AND (t.latitude <> 0 OR t.longitude <> 0)
      AND NOT coalesce(t.merchant_hour, '') STARTS WITH x.id + '|'
    WITH c, visits, most, CASE WHEN t.currency = currency THEN t.amount END AS amount,
         at.latitude AS latitude, t.latitude AS other, sin(radians(t.latitude - at.latitude) / 2) AS north,
         sin(radians(t.longitude - at.longitude) / 2) AS east
    WITH c, visits, most, amount, north * north + cos(radians(latitude)) * cos(radians(other)) * east * east AS h
    WITH c, visits, most, avg(amount) AS usual, max(12742 * asin(sqrt(CASE WHEN h < 1 THEN h ELSE 1 END))) AS km
    WITH c, visits, km, coalesce(most >= $min_times_usual * usual, false) AS lavish
    RETURN count(c) AS customers, sum(CASE WHEN km >= $min_km AND visits = 1 AND NOT lavish THEN 1 ELSE 0 END) AS elsewhere
  }
  WITH customers, elsewhere
  WHERE elsewhere >= $min_customers AND elsewhere >= $max_elsewhere * customers
  RETURN count(elsewhere) AS disbelieved
}
WITH card, time, jump, strange, m, o, disbelieved
WHERE disbelieved = 0
CALL {
  WITH card, time, strange
  UNWIND strange AS seen
  MATCH (:Transaction {id: seen.id})-[:AT]->(x:Merchant)
  WHERE x.hub_since > time
  WITH card, time, x, min(seen.latitude) AS latitude, min(seen.longitude) AS longitude
  UNWIND range((time - $max_journey_ms) / 3600000, time / 3600000) AS hour
  CALL {
    WITH time, x, hour
    MATCH (t:Transaction {merchant_hour: x.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(merchant_hour)
    WHERE t.time > time - $max_journey_ms AND t.time <= time AND t.channel IN ['pos', 'atm']
      AND t.status IN ['approved', 'declined']
    RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
  }
  MATCH (t)<-[:MADE]-(c:Card)
  WHERE c.id <> card
  WITH time, x, latitude, longitude, c, t ORDER BY t.time DESC, t.id
  WITH time, x, latitude, longitude, c, min(t.time) AS came, max(t.time) AS left,
       collect(t.id) AS ids, collect(DISTINCT t.account) AS accounts
  ORDER BY left DESC, c.id LIMIT $max_customers
  MATCH (c)-[:MADE]->(t:Transaction)
  WHERE t.time > came - $max_journey_ms AND t.time <= time AND t.channel IN ['pos', 'atm']
    AND t.status IN ['approved', 'declined'] AND t.latitude IS NOT NULL AND t.longitude IS NOT NULL
    AND (t.latitude <> 0 OR t.longitude <> 0) AND NOT coalesce(t.merchant_hour, '') STARTS WITH x.id + '|'
  WITH c, ids, accounts, CASE WHEN t.time < came - 60000 THEN came - t.time WHEN t.time > left + 60000 THEN t.time - left
                              ELSE 60000 END AS ms,
       sin(radians(t.latitude - latitude) / 2) ^ 2 + cos(radians(latitude)) * cos(radians(t.latitude))
         * sin(radians(t.longitude - longitude) / 2) ^ 2 AS h
  WITH c, ids, accounts, ms, 12742 * asin(sqrt(CASE WHEN h < 1 THEN h ELSE 1 END)) AS km
  WHERE km >= $min_km AND km * 3600000 / ms >= $min_kmh
  WITH DISTINCT c.id AS peer, ids, accounts ORDER BY peer
  WITH collect({peer: peer, ids: ids, accounts: accounts}) AS found
  RETURN [p IN found | p.peer] AS peer_ids, reduce(all = [], p IN found | all + p.accounts) AS their_accounts,
         reduce(all = [], p IN found | all + p.ids) AS theirs
}
UNWIND strange AS seen
WITH card, time, jump, m.id AS left, o.id AS reached, peer_ids, their_accounts, theirs, seen ORDER BY seen.time DESC, seen.id
WITH card, time, jump, left, reached, peer_ids, their_accounts, theirs, count(seen) AS payments,
     collect(DISTINCT seen.account) AS account_ids, collect(seen.id) AS transactions
RETURN 'Card' AS anchor_label, card AS anchor, time, card, peer_ids,
       account_ids + [id IN their_accounts WHERE NOT id IN account_ids] AS account_ids,
       (transactions + theirs)[0..$max_evidence] AS transactions,
       payments, round(jump.km) AS km, round(jump.km * 3600000 / jump.ms) AS kmh, left, reached
