/*
id = "common_point_of_purchase"
title = "Common point of purchase"
version = 1
status = "stable"
severity = "critical"
anchor = ["Card"]
gate = { fraud_labels = "min_labels" }
identity = ["merchant"]
budget_ms = 250
rationale = """
Cards that have nothing in common but one merchant, at which all of them paid before they were abused: there their
data was stolen. Whoever else paid there is next, which is why it is worth knowing before the next chargeback.
The evidence is the abuse; where a label names a card and no transaction, it is the card's purchases at the merchant.
"""
source = "typology 8 of the catalogue; bad cards over all cards, and never their count, as card schemes ask for"
blind_spots = """
It sees what labels say, weeks after the fact, and only as far back as transactions are kept. A merchant past the hub
cap is not judged: among so many customers a compromise shows only against that merchant's own expected fraud. Cards
that were abused at a merchant itself, and never paid there before, do not count towards it. What matters is the
first abuse that is known of a card: purchases after it, or less than min_gap_ms before, say nothing.
"""
triage = "Since when, and through which terminal or page, did these cards pay there? Which other cards did?"

[returns]
merchant = { role = "core", label = "Merchant" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards called fraud that paid at the merchant before they were abused" }
share = { role = "measure", threshold = "min_share", means = "their share among all cards that paid there" }
elsewhere = { role = "measure", means = "the same share at the other merchants of the card that was called fraud last" }

[[false_positives]]
name = "a supermarket at which everybody pays, the cards that are abused later too"
fixture = "supermarket"

[[false_positives]]
name = "a shop at which stolen cards are spent: the fraud took place there"
fixture = "spent_there"

[[false_positives]]
name = "a chargeback that turned out to be honest"
fixture = "cleared"

[[false_positives]]
name = "a town whose cards were stolen elsewhere, and whose every shop has seen them"
fixture = "same_town"

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

[params.min_labels]
default = 1
min = 1
max = 10
meaning = "labels that called the card fraud"

[params.min_cards]
default = 3
min = 2
max = 100
meaning = "cards called fraud that paid at the merchant before they were abused"

[params.min_share]
default = 0.1
min = 0.0
max = 1.0
meaning = "their share among all cards that paid there"

[params.min_lift]
default = 3.0
min = 0.0
max = 100.0
meaning = "how many times the same share at the other merchants of the card"

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
  AND size(place.before) >= $min_share * place.all_cards
CALL {
  WITH place, time
  UNWIND place.before AS one
  CALL {
    WITH place, time, one
    MATCH (:Card {id: one.id})-[:MADE]->(t:Transaction)
    WHERE t.merchant_hour = place.merchant + '|' + toString(t.hour) AND t.status = 'approved'
      AND t.time > time - $window_ms AND t.time >= one.abused - $lookback_ms AND t.time <= one.abused - $min_gap_ms
    WITH t ORDER BY t.time, t.id LIMIT $max_per_card
    RETURN collect(t.id) AS bought
  }
  WITH one, bought ORDER BY one.id
  WHERE size(bought) > 0
  RETURN collect(one.id) AS card_ids, collect(CASE WHEN size([id IN one.frauds WHERE id IS NOT NULL]) > 0
                 THEN [id IN one.frauds WHERE id IS NOT NULL] ELSE bought END) AS parts
}
WITH anchor, time, place.merchant AS merchant, place.all_cards AS all_cards, bad_elsewhere, cards_elsewhere,
     card_ids, parts, size(card_ids) AS cards
WHERE anchor IN card_ids AND cards >= $min_cards AND cards >= $min_share * all_cards
  AND 1.0 * cards * cards_elsewhere >= $min_lift * bad_elsewhere * all_cards
WITH anchor, time, merchant, all_cards, bad_elsewhere, cards_elsewhere, card_ids, cards,
     reduce(found = [], part IN parts | found + part) AS transactions
RETURN 'Card' AS anchor_label, anchor, time, merchant, card_ids, transactions[0..$max_evidence] AS transactions,
       cards, 1.0 * cards / all_cards AS share,
       CASE WHEN cards_elsewhere > 0 THEN 1.0 * bad_elsewhere / cards_elsewhere ELSE 0.0 END AS elsewhere
