/*
id = "card_cycling"
title = "Card cycling"
version = 9
status = "stable"
severity = "medium"
anchor = ["Account"]
gate = { degree = "min_cards" }
identity = ["account"]
budget_ms = 100
rationale = """
Who holds a list of stolen cards puts one after the other into the same account until one is accepted: within a day the
account gets several cards that it never had, and many of them are declined at the first try, or (where the account is
young, or was never seen in a shop that has been watched for long) billed, or for want of that sent, each to another
address. Where no billing address is told, several new cards of a young account at one merchant within the hour are
doubt enough; if it takes them longer, a card that is refused and the next new one that comes within the hour. So are
four cards of several issuers on an account of some weeks, of which nobody has ever seen any before the day, or six where
addresses are told. A card
that was accepted before it was declined has reached its limit, one that is accepted for the same sum at a later try is
its owner's. Cards that are billed to one address (or for want of that sent there), unless nearly all of them are
refused, are a company's or a family's; and an old account that gets other people's cards on a device long in use (or, where the
merchant does not tell the device, from an IP of few that is) is an agent's. What it has sent to where it has long had
things sent to is its owner's, refused or not; but where min_cards new cards, billed to an address, have things sent
from a new device to others that are as new, somebody else has the account, if it is an old one.
"""
source = "typology 18 of the catalogue"
blind_spots = """
Cards that are nearly all accepted, tell no billing addresses and come to several merchants, or slowly, unless neither
they nor the account was seen before: then it is a company, a family or a wallet just as well; three cards for one
purchase on an old account, of which one is accepted; an old account, seen before, whose new cards are all accepted, wherever they
are billed, or a third of them where all are billed to one address, or which come from a device, or for want of it an IP,
that was seen before the window. A new account for every card, or a new card every other day. On the first day of a
stream all cards of an account are new. An account that gets more than max_cards in the window stands for many people
(the guests of a shop) and is not judged; until it has them, it may be. Point-of-sale and cash-machine traffic is left
out, since there the card was in somebody's hand. Of each card only its first max_per_card attempts on the account are
read.
"""
triage = "Was the account opened, or its password changed, just before? What was bought with the card that worked?"

[returns]
account = { role = "core", label = "Account" }
card_ids = { role = "member", label = "Card" }
device_ids = { role = "member", label = "Device" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards that came to the account and were tried in the window, if it is old from a device as new" }
doubtful_share = { role = "measure", threshold = "min_doubtful_share", means = "share of these cards that look tried out: refused at first, at an address that no other account has, in a rush at one merchant, or never seen anywhere" }

[[false_positives]]
name = "a company's new account, with a card of one issuer for every cost centre"
fixture = "cost_centres"

[[false_positives]]
name = "somebody whose first two cards are refused, and who pays with the third"
fixture = "one_purchase"

[[false_positives]]
name = "an agent of long standing whom the stream meets late: everybody's goods go home"
fixture = "agent_met_late"

[[false_positives]]
name = "a corporate buyer, whose many cards have long been on file"
fixture = "corporate_buyer"

[[false_positives]]
name = "a company that puts its new employees' cards on file in one day"
fixture = "corporate_onboarding"

[[false_positives]]
name = "a company of long standing that comes to a merchant with its employees' cards, half of which are refused at first"
fixture = "company_joins"

[[false_positives]]
name = "somebody with a new account and three cards, two of which are declined until the second try"
fixture = "second_try"

[[false_positives]]
name = "a family that fills its new wallet; one of the cards is refused"
fixture = "family_wallet"

[[false_positives]]
name = "an agent who shops for clients with their cards, on an account of long standing"
fixture = "personal_shopper"

[[false_positives]]
name = "somebody with a new account and three cards, who has two presents delivered"
fixture = "two_presents"

[[false_positives]]
name = "somebody with a new account and three cards, two of which are refused at home"
fixture = "refused_at_home"

[[false_positives]]
name = "an account that stands for all guests of a shop"
fixture = "guests"

[[false_positives]]
name = "a loyalty account, which a whole family shows at the till"
fixture = "loyalty_account"

[[false_positives]]
name = "a customer of long standing with new cards, whose goods go home"
fixture = "sent_home"

[params.window_ms]
default = 86400000
min = 600000
max = 604800000
meaning = "how far back the window reaches, in milliseconds"

[params.min_cards]
default = 3
min = 2
max = 50
meaning = "distinct cards on the account, tried there for the first time in the window"

[params.min_doubtful_share]
default = 0.4
min = 0.0
max = 1.0
meaning = "share of these cards that were declined at the first try (and not accepted for the same sum later, nor billed to one address with enough that were accepted), or on a young or unknown account billed to an address that none of the others had (or sent there, where min_cards are), or tried at one merchant in a rush or after a refusal"

[params.max_home_refusals]
default = 0.7
min = 0.0
max = 1.0
meaning = "share of the cards billed to one address, or for want of that sent there, that may be refused without being doubtful"

[params.rush_ms]
default = 3600000
min = 60000
max = 86400000
meaning = "within which min_cards cards at one merchant, without billing addresses, are doubtful on a young account; where it gets them there in longer, within which a card after a refused one is, in milliseconds"

[params.max_age_ms]
default = 2592000000
min = 86400000
max = 31536000000
meaning = "how long before the touch an account may have been opened to be young, in milliseconds"

[params.min_watch_ms]
default = 604800000
min = 0
max = 31536000000
meaning = "how long before the touch a shop of an old account must have been seen first for the account to be unknown if it was not seen before the window, in milliseconds"

[params.min_bare_cards]
default = 4
min = 2
max = 50
meaning = "cards that are doubtful enough, however they fare, where neither they, of several issuers, nor the account were ever seen before the window and no address is told; as many are one purchase for one sum no longer"

[params.min_housed_cards]
default = 6
min = 2
max = 50
meaning = "the same where an address is told"

[params.max_bare_age_ms]
default = 7776000000
min = 86400000
max = 31536000000
meaning = "how long before the touch such an account may have been opened, in milliseconds"

[params.max_homes]
default = 20
min = 1
max = 200
meaning = "addresses of an account that are read, the first it had"

[params.max_cards]
default = 50
min = 10
max = 500
meaning = "an account that gets more cards in the window stands for many people, and is not judged"

[params.max_per_card]
default = 5
min = 1
max = 50
meaning = "attempts of each of these cards on the account that are read, its first"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (p:Account {id: a.id})-[o:OWNS]->(c:Card)
WHERE o.first_seen >= (a.first - $window_ms - 60000) / 3600000 * 3600000 AND o.first_seen <= a.last
WITH a, c, o.first_seen AS since ORDER BY since, c.id
WITH a, since / 3600000 AS hour, collect({card: c.id, since: since}) AS joined
UNWIND joined[0..$max_cards + 1] AS recent
WITH a, collect(recent) AS joined
WHERE size(joined) >= $min_cards
MATCH (p:Account {id: a.id})
CALL {
  WITH p
  MATCH (p)-[h:HAS]->(x:Address)
  WITH x, h ORDER BY h.first_seen, x.id LIMIT $max_homes
  RETURN collect({id: x.id, since: h.first_seen}) AS homes
}
WITH a, joined, homes, coalesce(p.created, p.first_seen) AS opened, p.first_seen AS met
UNWIND joined AS recent
CALL {
  WITH a, recent
  MATCH (c:Card {id: recent.card})-[:MADE]->(t:Transaction)
  WHERE t.account = a.id AND t.status IN ['approved', 'declined'] AND NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH a, recent, t ORDER BY t.time, t.id LIMIT $max_per_card
  WITH a, recent, collect(t) AS tries
  UNWIND tries AS t
  MATCH (c:Card {id: recent.card})
  OPTIONAL MATCH (t)-[:ON]->(d:Device)
  OPTIONAL MATCH (t)-[:FROM]->(i:IP)
  OPTIONAL MATCH (t)-[:AT]->(m:Merchant)
  OPTIONAL MATCH (t)-[:SHIPPED_TO]->(x:Address)
  RETURN {id: t.id, time: t.time, refused: tries[0].status = 'declined', first: t.id = tries[0].id,
          mended: coalesce(head([try IN tries WHERE try.status = 'approved' AND try.amount = tries[0].amount | try.time]),
                           a.last + 1),
          card: recent.card, bin: c.bin, amount: t.amount, born: c.first_seen, since: recent.since, billing: t.billing_address,
          sent_to: x.id, merchant: m.id, watched: m.first_seen, device: d.id,
          known: coalesce(d.first_seen, CASE WHEN i.hub_since > t.time THEN i.first_seen END), until: d.hub_since} AS seen
}
WITH a, opened, met, homes, seen ORDER BY seen.time DESC, seen.id
WITH a, opened, met, homes, collect(seen) AS window
WITH a, opened, met, homes, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time IN moments] AS time
WITH a.id AS account, opened > time - $max_age_ms AS young, opened > time - $max_bare_age_ms AND met > time - $window_ms AS fresh, met > time - $window_ms AS unseen,
     [home IN homes WHERE home.since <= time - $window_ms - 60000 | home.id] AS homes, time, [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time
                             AND seen.since > time - $window_ms - 60000
                             AND (opened > time - $max_age_ms OR coalesce(seen.known, time) > time - $window_ms)] AS window
WHERE size(window) >= $min_cards AND size(window) <= $max_cards * $max_per_card
WITH account, young, fresh, young OR (unseen AND any(seen IN window WHERE seen.watched <= time - $min_watch_ms)) AS strange,
     homes, time, window
CALL {
  WITH young, strange, window
  UNWIND [seen IN window WHERE strange AND (young OR coalesce(seen.billing <> seen.sent_to, true))] AS seen
  WITH coalesce(seen.billing, seen.sent_to) AS address, count(DISTINCT seen.card) AS sharers,
       count(DISTINCT CASE WHEN seen.billing IS NOT NULL THEN seen.card END) AS billed
  WHERE address IS NOT NULL AND sharers = 1
  RETURN CASE WHEN count(address) >= CASE WHEN sum(billed) > 0 THEN 2 ELSE $min_cards END
              THEN collect(address) ELSE [] END AS lonely
}
CALL {
  WITH young, time, window
  UNWIND [seen IN window WHERE young AND seen.billing IS NULL AND seen.merchant = window[0].merchant
                           AND seen.time > time - $rush_ms] AS seen
  WITH collect(DISTINCT seen.card) AS cards
  RETURN CASE WHEN size(cards) >= $min_cards THEN cards ELSE [] END AS rushed
}
CALL {
  WITH young, window
  UNWIND [seen IN window WHERE young AND seen.first AND seen.billing IS NULL AND seen.merchant IS NOT NULL] AS seen
  WITH seen.merchant AS merchant, collect(seen) AS tries
  WHERE size(tries) >= $min_cards
  UNWIND [seen IN tries WHERE seen.refused] AS refused
  UNWIND [seen IN tries WHERE seen.time > refused.time AND seen.time <= refused.time + $rush_ms | seen.card] AS card
  RETURN collect(DISTINCT card) AS retried
}
CALL {
  WITH young, homes, window
  UNWIND [seen IN window WHERE NOT young AND seen.device IS NOT NULL AND size(homes) > 0
                           AND seen.billing <> seen.sent_to AND NOT seen.sent_to IN homes] AS seen
  WITH collect(DISTINCT seen.card) AS cards, count(DISTINCT seen.sent_to) AS places
  RETURN CASE WHEN size(cards) >= $min_cards AND places >= $min_cards THEN cards ELSE [] END AS astray
}
CALL {
  WITH young, time, window, astray
  WITH young, time, [seen IN window WHERE NOT seen.card IN astray] AS window
  WITH young, time, window, [seen IN window WHERE seen.billing IS NOT NULL | seen.billing] AS billings
  UNWIND window AS seen
  WITH DISTINCT young, coalesce(seen.billing, seen.sent_to) AS address, billings, seen.card AS card,
       seen.refused AND seen.mended > time AS refused
  WHERE address IN billings
  WITH young, address, collect(card) AS cards, sum(CASE WHEN refused THEN 1 ELSE 0 END) AS refusals
  WHERE refusals <= $max_home_refusals * size(cards) AND (NOT young OR size(cards) < $min_bare_cards)
  UNWIND cards AS card
  RETURN collect(DISTINCT card) AS settled
}
WITH account, young, homes, time, window, lonely, rushed, retried, settled, astray,
     fresh AND all(seen IN window WHERE seen.born > time - $window_ms)
       AND any(seen IN window WHERE seen.watched <= time - $min_watch_ms)
       AND NOT all(seen IN window WHERE coalesce(seen.bin = window[0].bin, false)) AS bare,
     CASE WHEN any(seen IN window WHERE seen.billing IS NOT NULL OR seen.sent_to IS NOT NULL) THEN $min_housed_cards
          ELSE $min_bare_cards END AS enough,
     NOT young AND size([seen IN window WHERE seen.first AND NOT seen.refused]) < 2
       AND all(seen IN window WHERE coalesce(seen.amount = window[0].amount AND seen.merchant = window[0].merchant, false))
       AS one_purchase
UNWIND window AS seen
WITH account, time, bare, enough, one_purchase, max(seen.time) AS newest, count(DISTINCT seen.card) AS cards,
     count(DISTINCT CASE WHEN (seen.refused AND seen.mended > time AND NOT seen.card IN settled
                              AND (young OR NOT coalesce(seen.sent_to, '') IN homes))
                             OR coalesce(seen.billing, seen.sent_to) IN lonely OR seen.card IN rushed OR seen.card IN retried OR seen.card IN astray
                         THEN seen.card END) AS doubtful,
     collect(DISTINCT seen.card) AS card_ids,
     collect(DISTINCT CASE WHEN seen.until > time THEN seen.device END) AS device_ids,
     collect(seen.id) AS transactions
WITH account, time, newest, cards,
     CASE WHEN bare AND cards >= enough THEN cards WHEN one_purchase AND cards < $min_bare_cards THEN 0
          ELSE doubtful END AS doubtful,
     card_ids, device_ids, transactions
WHERE newest = time AND cards >= $min_cards AND cards <= $max_cards AND doubtful >= $min_doubtful_share * cards
RETURN 'Account' AS anchor_label, account AS anchor, time, account, card_ids, device_ids,
       transactions[0..$max_evidence] AS transactions, cards, 1.0 * doubtful / cards AS doubtful_share
