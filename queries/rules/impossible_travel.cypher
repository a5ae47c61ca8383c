/*
id = "impossible_travel"
title = "Impossible travel"
version = 1
status = "stable"
severity = "high"
anchor = ["Card"]
identity = ["card"]
budget_ms = 250
rationale = """
A card that is present in one place, and too soon afterwards in another one hundreds of kilometres away, exists twice:
one of the two is a copy.
"""
source = "Rupt (500 km at more than 1,000 km/h); typology 15 of the catalogue"
blind_spots = """
Transactions without coordinates (0, 0 counts as none), or that do not say that the card was present. A copy that is
used near its original, or long after it. Two branches of one merchant. A merchant is not believed where most of its
other customers in the window (of a hub: in the last hour) were elsewhere in it: that also hides a place where hardly
anybody but copies pays. Of a card's window the first max_transactions are read, and of a merchant's hour the first
max_per_hour.
"""
triage = "Which of the two places is the cardholder's? Which other cards paid at the other one, and where had they all paid before?"

[returns]
card = { role = "core", label = "Card" }
account_ids = { role = "member", label = "Account" }
transactions = { role = "evidence" }
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

[params.max_elsewhere]
default = 0.5
min = 0.1
max = 1.0
meaning = "the share of a merchant's other customers seen min_km away from it in the window, from which on it is not believed"

[params.min_customers]
default = 2
min = 1
max = 50
meaning = "how many such customers it takes"

[params.max_customers]
default = 20
min = 5
max = 200
meaning = "how many other customers of a merchant are asked, the latest"

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
WITH a, collect({id: t.id, time: t.time, account: t.account, latitude: t.latitude, longitude: t.longitude}) AS made
WHERE size(made) >= 2
UNWIND range(1, size(made) - 1) AS n
WITH a.id AS card, a.times AS times, made[n - 1] AS before, made[n] AS after
WHERE after.time IN times AND before.time > after.time - $window_ms
WITH card, before, after, after.time AS time,
     sin(radians(after.latitude - before.latitude) / 2) AS north, sin(radians(after.longitude - before.longitude) / 2) AS east
WITH card, before, after, time,
     north * north + cos(radians(before.latitude)) * cos(radians(after.latitude)) * east * east AS h
WITH card, before, after, time, 12742 * asin(sqrt(CASE WHEN h < 1 THEN h ELSE 1 END)) AS km,
     CASE WHEN time - before.time < 60000 THEN 60000 ELSE time - before.time END AS ms
WITH card, before, after, time, km, km * 3600000 / ms AS kmh
WHERE km >= $min_km AND kmh >= $min_kmh
OPTIONAL MATCH (:Transaction {id: before.id})-[:AT]->(m:Merchant)
OPTIONAL MATCH (:Transaction {id: after.id})-[:AT]->(o:Merchant)
WITH card, before, after, time, km, kmh, m, o
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
    WITH card, time, at, x, c, max(t.time) AS latest
    WHERE c.id <> card
    WITH time, at, x, c ORDER BY latest DESC, c.id LIMIT $max_customers
    MATCH (c)-[:MADE]->(t:Transaction)
    WHERE t.time > time - $window_ms AND t.time <= time AND t.channel IN ['pos', 'atm']
      AND t.latitude IS NOT NULL AND t.longitude IS NOT NULL AND (t.latitude <> 0 OR t.longitude <> 0)
      AND NOT coalesce(t.merchant_hour, '') STARTS WITH x.id + '|'
    WITH c, at.latitude AS latitude, t.latitude AS other, sin(radians(t.latitude - at.latitude) / 2) AS north,
         sin(radians(t.longitude - at.longitude) / 2) AS east
    WITH c, north * north + cos(radians(latitude)) * cos(radians(other)) * east * east AS h
    WITH c, max(12742 * asin(sqrt(CASE WHEN h < 1 THEN h ELSE 1 END))) AS km
    RETURN count(c) AS customers, sum(CASE WHEN km >= $min_km THEN 1 ELSE 0 END) AS elsewhere
  }
  WITH customers, elsewhere
  WHERE elsewhere >= $min_customers AND elsewhere >= $max_elsewhere * customers
  RETURN count(elsewhere) AS disbelieved
}
WITH card, before, after, time, km, kmh, m, o, disbelieved
WHERE disbelieved = 0
RETURN 'Card' AS anchor_label, card AS anchor, time, card, [before.account, after.account] AS account_ids,
       [after.id, before.id][0..$max_evidence] AS transactions, round(km) AS km, round(kmh) AS kmh,
       m.id AS left, o.id AS reached
