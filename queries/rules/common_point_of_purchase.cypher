/*
id = "common_point_of_purchase"
title = "Common point of purchase"
version = 4
status = "stable"
severity = "critical"
anchor = ["Card"]
gate = { fraud_labels = "min_labels" }
identity = ["merchant"]
budget_ms = 250
rationale = """
Cards that have nothing in common but one merchant, at which all of them paid within days, weeks before they were
abused, and few others in these days: there, and then, their data was stolen. Whoever else paid there is next, which
is why it is worth knowing before the next chargeback. The more cards are bad anywhere, the sooner a few of them meet by
chance at one of the many merchants and in one of the many weeks that are looked at: so many at one place must be less
likely than that, given how many are bad elsewhere.
The evidence is the abuse; where a label names a card and no transaction, it is the card's purchases at the merchant.
"""
source = "typology 8 of the catalogue; bad cards over all cards, and never their count, as card schemes ask for; the comparison is the likelihood ratio of Poisson counts"
blind_spots = """
It sees what labels say, weeks after the fact, and only as far back as transactions are kept. A merchant past the hub
cap is not judged: among so many customers a compromise shows only against that merchant's own expected fraud. Cards
that were abused at a merchant itself, and never paid there before, do not count towards it. What matters is the
first abuse that is known of a card: purchases after it, or less than min_gap_ms before, say nothing. A skimmer that
copies a few of very many cards, or for much longer than exposure_ms, is one among the merchant's customers; so is one
that copies a handful where many cards are bad anyway. Of merchants at which nobody else pays nothing is known that
could be compared.
"""
triage = "Since when, and through which terminal or page, did these cards pay there? Which other cards did?"

[returns]
merchant = { role = "core", label = "Merchant" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards called fraud that paid at the merchant within exposure_ms, before they were abused" }
share = { role = "measure", threshold = "min_share", means = "their share among all payments there in that time" }
elsewhere = { role = "measure", means = "the share of cards called fraud at the other merchants of the card that was called fraud last" }
surprise = { role = "measure", threshold = "min_surprise", means = "how much likelier so many cards are there at that share than at the one elsewhere, as a natural logarithm" }

[[false_positives]]
name = "a supermarket at which everybody pays, the cards that are abused later too"
fixture = "supermarket"

[[false_positives]]
name = "a shop that several cards paid at over months, each abused for reasons of its own"
fixture = "months"

[[false_positives]]
name = "a shop at which stolen cards are spent: the fraud took place there"
fixture = "spent_there"

[[false_positives]]
name = "a chargeback that turned out to be honest"
fixture = "cleared"

[[false_positives]]
name = "a town whose cards were stolen elsewhere, and whose every shop has seen them"
fixture = "same_town"

[[false_positives]]
name = "a shop at which bad cards have met by chance, in a time when many are bad"
fixture = "by_chance"

[params.window_ms]
default = 15552000000
min = 86400000
max = 31536000000
meaning = "how far before the label purchases are looked for, in milliseconds"

[params.lookback_ms]
default = 7776000000
min = 86400000
max = 31536000000
meaning = "how long before its first abuse a card's purchase counts, in milliseconds"

[params.min_gap_ms]
default = 86400000
min = 0
max = 2592000000
meaning = "how long before it at the least, in milliseconds: what is nearer may be abuse that nobody has labelled yet"

[params.exposure_ms]
default = 432000000
min = 3600000
max = 7776000000
meaning = "within how long the cards paid at the merchant, in milliseconds: while data was stolen there"

[params.min_labels]
default = 1
min = 1
max = 10
meaning = "labels that called the card fraud"

[params.min_cards]
default = 3
min = 2
max = 100
meaning = "cards called fraud that paid at the merchant in that time, before they were abused"

[params.min_share]
default = 0.3
min = 0.0
max = 1.0
meaning = "their share among all payments there in that time"

[params.min_lift]
default = 3.0
min = 0.0
max = 100.0
meaning = "how many times the share of cards called fraud at the other merchants of the card"

[params.min_surprise]
default = 7.6
min = 0.0
max = 100.0
meaning = "how much likelier so many cards are at their share than at the one elsewhere, as a natural logarithm; ln 2000 (max_merchants and max_exposures) is what chance finds among all that is looked at"

[params.max_merchants]
default = 100
min = 10
max = 1000
meaning = "merchants of a card that are looked at, the first it paid"

[params.max_cards]
default = 2000
min = 100
max = 20000
meaning = "up to how many cards of a merchant are counted; with more it is not judged"

[params.max_per_card]
default = 10
min = 1
max = 100
meaning = "purchases of one card at the merchant that are read, the first"

[params.max_exposures]
default = 20
min = 1
max = 200
meaning = "periods of a merchant that are compared, those of most cards"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, card by card: the fraud, then what was bought at the merchant before"
*/
UNWIND $anchors AS a
CALL {
  WITH a
  MATCH (c:Card {id: a.id})<-[:OF]-(l:Label)
  WHERE c.fraud_labels >= $min_labels AND l.fraud_since IN a.times
  WITH DISTINCT c, l.fraud_since AS time
  WHERE coalesce(c.cleared_since, time + 1) > time
  MATCH (c)-[p:PAID]->(m:Merchant)
  WHERE p.first_seen <= time - 60000 AND m.hub_since > time
  WITH c, time, m ORDER BY p.first_seen, m.id
  WITH c, time, collect(m) AS merchants
  UNWIND merchants[0..$max_merchants] AS m
  RETURN m, {card: c.id, time: time} AS touch
}
WITH m, collect(touch) AS touches
CALL {
  WITH m
  MATCH (m)<-[p:PAID]-(c:Card)
  WITH c, p ORDER BY p.first_seen, c.id LIMIT $max_cards
  RETURN collect(p.first_seen) AS arrivals,
         collect(CASE WHEN c.fraud_since IS NOT NULL
                 THEN {id: c.id, since: p.first_seen, cleared: coalesce(c.cleared_since, 4611686018427387904)} END) AS labelled
}
CALL {
  WITH labelled
  UNWIND labelled AS one
  MATCH (:Card {id: one.id})<-[:OF]-(l:Label)
  WHERE l.fraud_since IS NOT NULL
  WITH one.id AS id, one.since AS since, one.cleared AS cleared,
       collect({said: l.fraud_since, at: coalesce(l.at, l.fraud_since),
                transaction: CASE WHEN l.kind = 'Transaction' THEN l.subject END,
                until: CASE WHEN l.verdict = 'legitimate' THEN l.time ELSE 4611686018427387904 END}) AS labels
  RETURN collect({id: id, since: since, cleared: cleared, labels: labels}) AS accused
}
UNWIND touches AS touch
WITH m.id AS merchant, touch.card AS anchor, touch.time AS time, arrivals, accused
WITH merchant, anchor, time, size([since IN arrivals WHERE since <= time - 60000]) AS all_cards,
     [one IN accused WHERE one.cleared > time | {id: one.id, since: one.since,
       labels: [l IN one.labels WHERE l.said <= time AND l.until > time]}] AS accused
WHERE all_cards < $max_cards
WITH merchant, anchor, time, all_cards,
     [one IN accused | {id: one.id, since: one.since, frauds: [l IN one.labels | l.transaction],
       abused: reduce(first = 4611686018427387904, l IN one.labels | CASE WHEN l.at < first THEN l.at ELSE first END)}] AS accused
WITH merchant, anchor, time, all_cards,
     [one IN accused WHERE one.abused <= time AND one.since <= one.abused - $min_gap_ms] AS before
WITH anchor, time, collect({merchant: merchant, all_cards: all_cards, before: before,
                            others: size([one IN before WHERE one.id <> anchor])}) AS places
WITH anchor, time, places, reduce(n = 0, place IN places | n + place.others) AS bad_anywhere,
     reduce(n = 0, place IN places | n + place.all_cards - 1) AS cards_anywhere
UNWIND places AS place
WITH anchor, time, place, bad_anywhere - place.others AS bad_elsewhere,
     cards_anywhere - place.all_cards + 1 AS cards_elsewhere
WHERE size(place.before) > place.others AND size(place.before) >= $min_cards
CALL {
  WITH place, time
  UNWIND place.before AS one
  CALL {
    WITH place, time, one
    MATCH (:Card {id: one.id})-[:MADE]->(t:Transaction)
    WHERE t.merchant_hour = place.merchant + '|' + toString(t.hour) AND t.status = 'approved'
      AND t.time > time - $window_ms AND t.time >= one.abused - $lookback_ms AND t.time <= one.abused - $min_gap_ms
    RETURN t.id AS id, t.time AS at ORDER BY at, id LIMIT $max_per_card
  }
  RETURN collect({card: one.id, frauds: one.frauds, id: id, time: at}) AS visits, collect(DISTINCT at) AS ends
}
WITH anchor, time, place.merchant AS merchant, visits, ends, (bad_elsewhere + 0.5) / (cards_elsewhere + 0.5) AS elsewhere
CALL {
  WITH anchor, merchant, visits, ends, elsewhere
  UNWIND ends AS until
  WITH anchor, merchant, elsewhere, until, [v IN visits WHERE v.time > until - $exposure_ms AND v.time <= until] AS seen
  WHERE size(seen) >= $min_cards AND any(v IN seen WHERE v.card = anchor)
  UNWIND seen AS v
  WITH merchant, elsewhere, until, count(DISTINCT v.card) AS cards, collect(v) AS seen
  WHERE cards >= $min_cards
  WITH merchant, elsewhere, until, cards, seen ORDER BY cards DESC, until LIMIT $max_exposures
  CALL {
    WITH merchant, until
    UNWIND range((until - $exposure_ms) / 3600000, until / 3600000) AS hour
    MATCH (n:Tally {id: merchant + '|' + toString(hour)})
    RETURN sum(n.transactions - n.declined) AS paid
  }
  WITH until, cards, seen, 1.0 * cards / paid AS share, paid * elsewhere AS expected
  WITH until, cards, seen, share,
       CASE WHEN cards > expected THEN cards * log(cards / expected) - cards + expected ELSE 0.0 END AS surprise
  RETURN cards, seen, share, surprise ORDER BY surprise DESC, until LIMIT 1
}
WITH anchor, time, merchant, elsewhere, cards, seen, share, surprise
WHERE share >= $min_share AND share >= $min_lift * elsewhere AND surprise >= $min_surprise
CALL {
  WITH seen
  UNWIND seen AS v
  WITH v ORDER BY v.card, v.time, v.id
  WITH v.card AS card, [id IN collect(v.frauds)[0] WHERE id IS NOT NULL] AS frauds, collect(v.id) AS bought
  WITH card, CASE WHEN size(frauds) > 0 THEN frauds ELSE bought END AS part ORDER BY card
  RETURN collect(card) AS card_ids, collect(part) AS parts
}
WITH anchor, time, merchant, elsewhere, cards, share, surprise, card_ids,
     reduce(found = [], part IN parts | found + part) AS transactions
RETURN 'Card' AS anchor_label, anchor, time, merchant, card_ids, transactions[0..$max_evidence] AS transactions,
       cards, share, elsewhere, surprise
