/*
id = "bin_attack"
title = "BIN attack"
version = 6
status = "stable"
severity = "high"
anchor = ["Merchant"]
gate = { degree = "min_cards" }
identity = ["merchant", "bin"]
budget_ms = 150
rationale = """
Card numbers that were made up from one issuer's range are tried at a merchant: within half a day it sees many cards of
that BIN that nobody had seen before, more than it usually sees of it at all, and declines a good part of them. The
others are what the attacker was looking for. Declined cards that were used before, or on accounts of long standing, are
customers', whose bank may be down; new cards that are nearly all accepted are new customers'.
"""
source = "Visa's acquirer monitoring programme (20 % enumerated); typology 2 of the catalogue"
blind_spots = """
Cards whose BIN is not known (tokens without card_bin). Attempts spread over many merchants, or slower than min_cards in
the window. Numbers that are nearly all valid: fewer than min_declined declined cards are chance. Stolen cards of one
bank, which were used before. In the first day of a stream every card is new, a guest's too. Numbers that are tried on
bought accounts. A merchant that in the same hours declines as many new cards of other BINs. An attack on the BIN that
most customers carry has to be that much larger, and one that goes on for hours, or comes back a week later at the same
hour, expects itself. The expected number comes from the merchant's own preceding hours and, once it has been seen for a
week, from the same hour of earlier weeks: a new merchant expects none. Of one hour only the first max_per_hour declined
transactions of new cards are read, and of a BIN that makes up enough of them the first that are declined or made with
new cards.
"""
triage = "Do the numbers, amounts or expiry dates run in a sequence? Which devices and IPs: block those, not the BIN."

[returns]
merchant = { role = "core", label = "Merchant" }
bin = { role = "fact" }
card_ids = { role = "member", label = "Card" }
device_ids = { role = "member", label = "Device" }
ip_ids = { role = "member", label = "IP" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards of the BIN at the merchant in the window that are new" }
declined_share = { role = "measure", threshold = "min_declined_share", means = "share of these cards that were declined" }
new_share = { role = "measure", threshold = "min_new_share", means = "share of new cards among all declined cards of the BIN there" }
bin_share = { role = "measure", threshold = "min_bin_share", means = "share of the BIN among all new cards that were declined there" }
lift = { role = "measure", threshold = "min_lift", means = "times the cards of the BIN, declined or not, in an average window before it, or at the same hour of earlier weeks (one at least)" }

[[false_positives]]
name = "a local bank, whose cards most customers carry, has an outage"
fixture = "local_bank"

[[false_positives]]
name = "an issuer's outage, at a shop that its customers never came to in such numbers"
fixture = "outage"

[[false_positives]]
name = "an outage on the first day of a stream, in which no card has been seen before: their accounts are years old"
fixture = "first_day_outage"

[[false_positives]]
name = "a sale brings many times the usual customers"
fixture = "sale"

[[false_positives]]
name = "a busy morning on the first days of a stream: new customers of every bank, many of whom are declined"
fixture = "busy_morning"

[[false_positives]]
name = "a weekly market: once a week, at the same hours, the town's bank cards come, and are declined more than usual"
fixture = "weekly_market"

[params.window_ms]
default = 43200000
min = 600000
max = 86400000
meaning = "how far back the window reaches, in milliseconds"

[params.min_cards]
default = 10
min = 2
max = 1000
meaning = "distinct cards of one BIN at the merchant in the window that are new"

[params.min_declined]
default = 5
min = 1
max = 1000
meaning = "how many of them must have been declined: fewer are chance, whatever their share"

[params.min_declined_share]
default = 0.2
min = 0.0
max = 1.0
meaning = "share of them that must have been declined"

[params.max_age_ms]
default = 86400000
min = 0
max = 2592000000
meaning = "how long after it was first seen, at whatever merchant, a card that is tried is new, in milliseconds"

[params.min_account_age_ms]
default = 2592000000
min = 0
max = 31536000000
meaning = "how long before the payment the account was opened on which a card is nobody's guess, in milliseconds"

[params.min_new_share]
default = 0.5
min = 0.0
max = 1.0
meaning = "share of new cards among all declined cards of the BIN at the merchant in the window"

[params.min_bin_share]
default = 0.5
min = 0.0
max = 1.0
meaning = "share of the BIN among all new cards, whatever their BIN, that the merchant declined in the window"

[params.min_lift]
default = 3.0
min = 1.0
max = 100.0
meaning = "how many times the cards of the BIN, declined or not, that the merchant lets expect"

[params.baseline_hours]
default = 6
min = 1
max = 48
meaning = "whole clock hours before the window that the expected number is averaged over"

[params.baseline_weeks]
default = 4
min = 1
max = 12
meaning = "earlier weeks whose same hour of the week is averaged over; the larger of the two averages is expected"

[params.max_per_hour]
default = 300
min = 100
max = 10000
meaning = "declined transactions of new cards in one hour that are read, and transactions of one BIN that are declined or made with new cards, the first of the hour"

[params.max_expected]
default = 5000
min = 100
max = 20000
meaning = "transactions of the BIN in one earlier hour that the expected number is counted from"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
MATCH (n:Tally {id: a.id + '|' + toString(hour)})
WITH a, sum(n.declined) AS declined, sum(n.transactions) AS made
WHERE declined >= $min_declined AND made >= $min_cards
WITH a
CALL {
  WITH a
  UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, hour
    MATCH (t:Transaction {declined_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(declined_hour)
    MATCH (t)<-[:MADE]-(c:Card)
    WHERE c.first_seen > t.time - $max_age_ms
    RETURN t, c ORDER BY t.time, t.id LIMIT $max_per_hour
  }
  OPTIONAL MATCH (p:Account {id: coalesce(t.account, '')})
  WITH a, t, c, coalesce(p.created <= t.time - $min_account_age_ms, false) AS customer
  WHERE t.time > a.first - $window_ms AND t.time <= a.last AND NOT customer
  RETURN collect({bin: c.bin, card: c.id, time: t.time}) AS refused
}
CALL {
  WITH a, refused
  UNWIND [seen IN refused WHERE seen.time > a.last - $window_ms AND seen.time <= a.first] AS seen
  RETURN count(DISTINCT seen.card) AS at_every_touch
}
CALL {
  WITH refused, at_every_touch
  UNWIND refused AS seen
  WITH at_every_touch, seen.bin AS bin, count(DISTINCT seen.card) AS cards
  WHERE bin IS NOT NULL AND cards >= $min_declined AND cards >= $min_bin_share * at_every_touch
  RETURN collect(bin) AS bins
}
WITH a, refused, bins
WHERE size(bins) > 0
CALL {
  WITH a, bins
  UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, bins, hour
    MATCH (t:Transaction {merchant_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(merchant_hour)
    WHERE t.status IN ['approved', 'declined']
    MATCH (t)<-[:MADE]-(c:Card)
    WHERE c.bin IN bins AND (t.status = 'declined' OR c.first_seen > t.time - $max_age_ms)
    WITH t, c ORDER BY t.time, t.id
    WITH c.bin AS bin, collect({t: t, c: c}) AS made
    UNWIND made[0..$max_per_hour] AS one
    RETURN bin, one.t AS t, one.c AS c
  }
  OPTIONAL MATCH (p:Account {id: coalesce(t.account, '')})
  WITH a, bin, t, c, coalesce(p.created <= t.time - $min_account_age_ms, false) AS customer
  WHERE t.time > a.first - $window_ms AND t.time <= a.last
  WITH bin, t, c, customer ORDER BY t.time DESC, t.id
  RETURN bin, collect({id: t.id, time: t.time, card: c.id, new: c.first_seen > t.time - $max_age_ms AND NOT customer,
                       declined: t.status = 'declined'}) AS window
}
WITH a, bin, refused, window, [seen IN window WHERE seen.new | seen.time] AS moments
WHERE size(moments) >= $min_cards
UNWIND [time IN a.times WHERE time IN moments] AS time
WITH a.id AS anchor, bin, time, refused,
     [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS window
WHERE size(window) >= $min_cards
CALL {
  WITH time, refused
  UNWIND [seen IN refused WHERE seen.time > time - $window_ms AND seen.time <= time] AS seen
  RETURN count(DISTINCT seen.card) AS of_all_bins
}
UNWIND window AS seen
WITH anchor, bin, time, of_all_bins, seen, CASE WHEN seen.new THEN seen END AS tried
WITH anchor, bin, time, of_all_bins, count(DISTINCT tried.card) AS cards, collect(DISTINCT tried.card) AS card_ids,
     collect(tried.id) AS transactions,
     count(DISTINCT CASE WHEN tried.declined THEN tried.card END) AS declined,
     count(DISTINCT CASE WHEN seen.declined THEN seen.card END) AS all_declined
WHERE cards >= $min_cards AND declined >= $min_declined AND declined >= $min_declined_share * cards
  AND declined >= $min_new_share * all_declined AND declined >= $min_bin_share * of_all_bins
WITH anchor, bin, (time - $window_ms) / 3600000 AS start,
     collect({time: time, cards: cards, declined_share: 1.0 * declined / cards,
              new_share: 1.0 * declined / all_declined, bin_share: 1.0 * declined / of_all_bins, card_ids: card_ids,
              transactions: transactions[0..$max_evidence]}) AS hits
MATCH (m:Merchant {id: anchor})
UNWIND [week IN range(0, $baseline_weeks) WHERE week = 0 OR m.first_seen / 3600000 < start - 168 * week] AS week
UNWIND CASE week WHEN 0 THEN range(start - $baseline_hours, start - 1)
       ELSE range(start - 168 * week, start - 168 * week + $window_ms / 3600000) END AS hour
CALL {
  WITH anchor, bin, hour
  MATCH (t:Transaction {merchant_hour: anchor + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(merchant_hour)
  MATCH (t)<-[:MADE]-(c:Card)
  WHERE c.bin = bin
  WITH t, c ORDER BY t.time, t.id LIMIT $max_expected
  RETURN count(DISTINCT c) AS earlier
}
WITH anchor, bin, hits, week = 0 AS preceding, avg(1.0 * earlier) AS per_hour
WITH anchor, bin, hits, max(per_hour) * $window_ms / 3600000 AS average
WITH anchor, bin, hits, CASE WHEN average > 1 THEN average ELSE 1.0 END AS expected
UNWIND hits AS hit
WITH anchor, bin, hit, hit.cards / expected AS lift
WHERE lift >= $min_lift
CALL {
  WITH hit
  UNWIND hit.transactions AS id
  MATCH (t:Transaction {id: id})
  OPTIONAL MATCH (t)-[:ON]->(d:Device)
  OPTIONAL MATCH (t)-[:FROM]->(i:IP)
  RETURN collect(DISTINCT CASE WHEN d.hub_since > hit.time THEN d.id END) AS device_ids,
         collect(DISTINCT CASE WHEN i.hub_since > hit.time THEN i.id END) AS ip_ids
}
RETURN 'Merchant' AS anchor_label, anchor, hit.time AS time, anchor AS merchant, bin,
       hit.card_ids AS card_ids, device_ids, ip_ids,
       hit.transactions AS transactions, hit.cards AS cards, hit.declined_share AS declined_share,
       hit.new_share AS new_share, hit.bin_share AS bin_share, lift
