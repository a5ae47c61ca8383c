/*
id = "lockstep"
title = "Lockstep"
version = 7
status = "stable"
severity = "high"
anchor = ["Card"]
gate = { gap_ms = "window_ms" }
identity = ["card"]
budget_ms = 250
rationale = """
A card that turns up at several merchants where it never was, and within an hour meets the same other cards at each of
them, is in one hand with them: people share a place or two, and mostly ones that they know. Some of the others may know
the merchants (stolen cards have a life of their own). Those who meet in person (at a concert, on the way to work) share
more, so that a merchant at which the card was present counts less: friends see half a dozen of an evening. It counts whole
where they spend far more than is usual there, at three such merchants. Online, who has an account of long standing and
no strange device counts as if met in person. So does one
in a crowd, where only those who paid next to the card count: a ring that takes its cards through popular shops pays
with them one after the other.
"""
source = "typology 16 of the catalogue; lockstep behaviour as in CopyCatch (Beutel et al., WWW 2013)"
blind_spots = """
Groups that share fewer merchants in the window, spread over more than an hour, or go where each of their cards has been
before. A small group that keeps to popular merchants: where others made more than max_crowd payments around a card's
own, and the peers less than min_share of them, a merchant counts half, and only for peers that are among the max_crowd
nearest. A coach party that spends much in small places looks like a ring. What is usual is known of
merchants that are no hubs, from what was paid there more than a window ago. At the start of a stream every merchant is new. Of
a card's new merchants the first max_merchants are read, and of a merchant's hour the first max_per_hour transactions.
"""
triage = "Do the amounts repeat? Do the cards share a device, an address or an issuer? Were the merchants new to everybody?"

[returns]
card = { role = "core", label = "Card" }
peer_ids = { role = "core", label = "Card" }
account_ids = { role = "member", label = "Account" }
transactions = { role = "evidence" }
peers = { role = "measure", threshold = "min_peers", means = "other cards that were at that many of the same merchants within the hour" }
merchants = { role = "measure", threshold = "min_merchants", means = "merchants new to the card at which they were together in the window; one where they were in person, or in a crowd, counts less" }

[[false_positives]]
name = "visitors of a concert, at the ticket shop and the bar"
fixture = "concert"

[[false_positives]]
name = "a festival: some of the crowd go to the same three stalls"
fixture = "festival"

[[false_positives]]
name = "commuters who meet at the kiosk, the bakery and the café every day"
fixture = "commuters"

[[false_positives]]
name = "regulars who order lunch from the same places on the web at noon"
fixture = "regulars"

[[false_positives]]
name = "commuters who have just begun to meet there"
fixture = "new_commuters"

[[false_positives]]
name = "friends at a fair, who pay at one stall after the other"
fixture = "evening_out"

[[false_positives]]
name = "friends at the same few shops, who spend what everybody spends there"
fixture = "usual_amounts"

[[false_positives]]
name = "players of one team, with old accounts, who buy the same things in the same hour"
fixture = "team"

[params.window_ms]
default = 172800000
min = 3600000
max = 604800000
meaning = "how far back the window reaches, in milliseconds"

[params.together_ms]
default = 3600000
min = 60000
max = 3600000
meaning = "how far apart two payments at a merchant may be, in milliseconds"

[params.min_peers]
default = 3
min = 2
max = 100
meaning = "other cards that were at min_merchants of the same merchants, at least half as many at the latest one"

[params.min_merchants]
default = 3
min = 2
max = 20
meaning = "merchants new to the card that it shares with another; one at which it was present counts in_person_weight, one in a crowd half"

[params.in_person_weight]
default = 0.4
min = 0.0
max = 1.0
meaning = "how much a merchant counts at which the card was present"

[params.min_lift]
default = 2.4
min = 1.0
max = 100.0
meaning = "how many times what is usual at a merchant these cards spend in person, as the geometric mean over min_merchants or more, for each to count whole"

[params.max_customers]
default = 30
min = 3
max = 500
meaning = "cards that paid at a merchant before whose payments there are read, the first it had"

[params.min_known]
default = 3
min = 1
max = 1000
meaning = "earlier payments at a merchant from which on something is usual there"

[params.min_age_ms]
default = 7776000000
min = 86400000
max = 31536000000
meaning = "for how long a peer's account must have been open, as it is told, to be a friend's rather than a stranger's, if its device is not new to it; a merchant at which it was online counts in_person_weight then"

[params.max_crowd]
default = 30
min = 5
max = 200
meaning = "up to how many payments of others around a card's own are no crowd; in one, as many of the nearest count"

[params.min_share]
default = 0.5
min = 0.1
max = 1.0
meaning = "the peers' share of these payments, from which on they are no crowd either"

[params.max_merchants]
default = 20
min = 5
max = 100
meaning = "new merchants of a card in the window that are read, the first"

[params.max_per_hour]
default = 200
min = 50
max = 2000
meaning = "transactions of one hour at a merchant that are read, the first of the hour"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (c:Card {id: a.id})-[p:PAID]->()
WHERE p.first_seen > a.first - $window_ms - 60000 AND p.first_seen <= a.last
WITH a, c, count(p) AS found, max(p.last_seen) AS last
WHERE found >= $min_merchants AND last >= a.first - 60000
CALL {
  WITH a, c
  MATCH (c)-[p:PAID]->(m:Merchant)
  WHERE p.first_seen > a.first - $window_ms - 60000 AND p.first_seen <= a.last
  WITH a, c, p.first_seen AS since, m.id AS merchant ORDER BY since, merchant LIMIT $max_merchants
  WITH a, c, collect({merchant: merchant, since: since}) AS places
  MATCH (c)-[:MADE]->(t:Transaction)
  WHERE t.time > a.first - $window_ms AND t.time <= a.last AND t.status IN ['approved', 'declined']
  UNWIND [place IN places WHERE t.merchant_hour STARTS WITH place.merchant + '|'] AS place
  UNWIND range((t.time - $together_ms) / 3600000, (t.time + $together_ms) / 3600000) AS hour
  WITH place.merchant AS merchant, place.since AS since, hour, collect(t.time) AS times
  MATCH (n:Tally {id: merchant + '|' + toString(hour)})
  WITH merchant, since, collect({merchant: merchant, hour: n.id, times: times}) AS hours, sum(n.transactions) AS made
  WHERE made > $min_peers
  WITH merchant, since, hours ORDER BY made, merchant
  RETURN collect({merchant: merchant, since: since, hours: hours}) AS fresh
}
WITH a, fresh
WHERE size(fresh) >= $min_merchants
CALL {
  WITH a, fresh
  WITH a, fresh, [visit IN fresh | visit.merchant] AS places,
       [visit IN fresh WHERE any(h IN visit.hours WHERE any(time IN h.times WHERE time >= a.first))
        | visit.merchant] AS latest,
       reduce(all = [], visit IN fresh | all + visit.hours) AS hours
  WITH a, fresh, places, latest, hours, [h IN hours | h.hour] AS when
  CALL {
    WITH a, fresh
    UNWIND fresh[0..size(fresh) - $min_merchants + 1] AS visit
    UNWIND visit.hours AS h
    CALL {
      WITH a, h
      MATCH (t:Transaction {merchant_hour: h.hour})
      USING INDEX SEEK t:Transaction(merchant_hour)
      WHERE t.time <= a.last AND t.status IN ['approved', 'declined']
        AND any(time IN h.times WHERE abs(time - t.time) <= $together_ms)
      RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
    }
    MATCH (t)<-[:MADE]-(o:Card)
    WHERE o.id <> a.id
    RETURN DISTINCT o
  }
  CALL {
    WITH a, places, o
    MATCH (o)-[p:PAID]->(m:Merchant)
    WHERE p.last_seen > a.first - $window_ms - 60000 AND p.first_seen <= a.last AND m.id IN places
    RETURN count(m) AS common
  }
  WITH a, latest, hours, when, o, common
  WHERE common >= $min_merchants
  CALL {
    WITH a, hours, when, o
    MATCH (o)-[:MADE]->(t:Transaction)
    WHERE t.time > a.first - $window_ms - $together_ms AND t.time <= a.last AND t.merchant_hour IN when
    UNWIND [h IN hours WHERE h.hour = t.merchant_hour
                         AND any(time IN h.times WHERE abs(time - t.time) <= $together_ms)] AS h
    RETURN collect(DISTINCT h.merchant) AS met
  }
  WITH latest, met
  WHERE size(met) >= $min_merchants AND any(merchant IN met WHERE merchant IN latest)
  RETURN count(*) AS company
}
WITH a, fresh, company
WHERE 2 * company >= $min_peers
CALL {
  WITH a, fresh
  UNWIND fresh AS visit
  WITH a, visit.merchant AS m, visit.since AS since, [h IN visit.hours | h.hour] AS hours
  CALL {
    WITH a, hours
    UNWIND hours AS hour
    CALL {
      WITH a, hour
      MATCH (t:Transaction {merchant_hour: hour})
      USING INDEX SEEK t:Transaction(merchant_hour)
      WHERE t.time <= a.last AND t.status IN ['approved', 'declined']
      RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
    }
    MATCH (t)<-[:MADE]-(c:Card)
    WITH a, t, c ORDER BY t.time, t.id
    WITH a, c.id AS card, {id: t.id, time: t.time, card: c.id, account: t.account, amount: t.amount,
                           currency: t.currency, in_person: coalesce(t.channel, '') IN ['pos', 'atm']} AS seen
    RETURN collect(CASE WHEN card = a.id THEN seen END) AS own, collect(CASE WHEN card <> a.id THEN seen END) AS all
  }
  CALL {
    WITH own, all
    RETURN [o IN all WHERE any(s IN own WHERE abs(s.time - o.time) <= $together_ms)] AS others
  }
  WITH m, since, own, others
  WHERE size(own) > 0 AND size(others) >= $min_peers
  RETURN collect({merchant: m, since: since, own: own, others: others}) AS visits
}
WITH a, visits
WHERE size(visits) >= $min_merchants
CALL {
  WITH visits
  UNWIND visits AS visit
  UNWIND visit.others AS o
  WITH o.card AS peer, count(DISTINCT visit.merchant) AS merchants
  WHERE merchants >= $min_merchants
  RETURN collect(peer) AS candidates
}
WITH a, visits, candidates
WHERE size(candidates) >= $min_peers
WITH a, [visit IN visits | {merchant: visit.merchant, since: visit.since, own: visit.own, others: visit.others,
                            mates: [o IN visit.others WHERE o.card IN candidates]}] AS visits
CALL {
  WITH visits
  UNWIND visits AS visit
  UNWIND [o IN visit.mates WHERE NOT o.in_person] AS o
  MATCH (t:Transaction {id: o.id})<-[:MADE]-(c:Card)
  OPTIONAL MATCH (p:Account {id: coalesce(t.account, '')})
  OPTIONAL MATCH (t)-[:ON]->(d:Device)<-[u:USED]-(c)
  WITH o.card AS peer, min(CASE WHEN p.created <= t.time - $min_age_ms
                                 AND (c.first_seen > t.time - $window_ms OR coalesce(u.first_seen <= t.time - $window_ms, true))
                                THEN 1 ELSE 0 END) AS old
  WITH peer WHERE old = 1
  RETURN collect(peer) AS settled
}
CALL {
  WITH visits
  UNWIND [visit IN visits WHERE visit.own[0].in_person] AS visit
  MATCH (m:Merchant {id: visit.merchant})
  WHERE m.hub_since > visit.since
  CALL {
    WITH m, visit
    MATCH (m)<-[p:PAID]-(o:Card)
    WHERE p.first_seen < visit.since - $window_ms
    RETURN o ORDER BY p.first_seen, o.id LIMIT $max_customers
  }
  MATCH (o)-[:MADE]->(t:Transaction)
  WHERE t.time < visit.since - $window_ms AND t.status = 'approved' AND t.currency = visit.own[0].currency
  MATCH (t)-[:AT]->(x:Merchant)
  WITH visit, t, x.id AS paid
  WHERE paid = visit.merchant
  WITH visit.merchant AS merchant, avg(t.amount) AS usual, count(t) AS known
  WHERE known >= $min_known
  RETURN collect({merchant: merchant, usual: usual}) AS usuals
}
CALL {
  WITH a, visits, settled, usuals
  UNWIND a.times AS time
  CALL {
    WITH visits, time
    UNWIND [visit IN visits WHERE visit.since > time - $window_ms - 60000] AS visit
    UNWIND [s IN visit.own WHERE s.time > time - $window_ms AND s.time <= time] AS own
    WITH visit.merchant AS merchant, own,
         [o IN visit.mates WHERE o.time > time - $window_ms AND o.time <= time
                             AND abs(own.time - o.time) <= $together_ms] AS near,
         [o IN visit.others WHERE o.time > time - $window_ms AND o.time <= time
                              AND abs(own.time - o.time) <= $together_ms | abs(own.time - o.time)] AS gaps
    CALL {
      WITH own, near
      UNWIND near AS o
      WITH o.card AS peer, min(abs(own.time - o.time)) AS nearest, collect(o) AS visits
      RETURN collect({peer: peer, nearest: nearest, visits: visits}) AS met
    }
    UNWIND met AS m
    WITH m.peer AS peer, count(DISTINCT merchant) AS common,
         collect({merchant: merchant, own: own, visits: m.visits, nearest: m.nearest, gaps: gaps}) AS shared
    WHERE common >= $min_merchants
    RETURN collect({peer: peer, shared: shared}) AS peers
  }
  WITH a, time, settled, usuals, peers
  WHERE size(peers) >= $min_peers
    AND 2 * size([p IN peers WHERE any(s IN p.shared WHERE s.own.time = time)]) >= $min_peers
  CALL {
    WITH peers
    UNWIND peers AS p
    UNWIND p.shared AS s
    WITH s.merchant AS merchant, s.own.id AS occasion, sum(size(s.visits)) AS theirs, head(collect(s.gaps)) AS gaps,
         collect({peer: p.peer, own: s.own, visits: s.visits, nearest: s.nearest}) AS ties
    RETURN collect({merchant: merchant, ties: ties, gaps: gaps,
                    crowded: size(gaps) > $max_crowd AND theirs < $min_share * size(gaps)}) AS places
  }
  CALL {
    WITH usuals, places
    UNWIND places AS place
    UNWIND [u IN usuals WHERE u.merchant = place.merchant] AS u
    CALL {
      WITH place, u
      UNWIND place.ties AS tie
      UNWIND [tie.own] + tie.visits AS seen
      RETURN avg(CASE WHEN seen.in_person THEN seen.amount / u.usual END) AS dearer
    }
    RETURN CASE WHEN count(dearer) >= $min_merchants THEN exp(avg(log(dearer))) END AS lift
  }
  CALL {
    WITH time, settled, places, lift
    UNWIND places AS place
    UNWIND [tie IN place.ties
            WHERE NOT place.crowded OR size([gap IN place.gaps WHERE gap <= tie.nearest]) <= $max_crowd] AS tie
    WITH tie.peer AS peer, place.merchant AS merchant,
         max(CASE WHEN tie.own.in_person THEN CASE WHEN lift >= $min_lift THEN 1.0 ELSE $in_person_weight END
                  WHEN tie.peer IN settled THEN $in_person_weight ELSE 1.0 END
             * CASE WHEN place.crowded THEN 0.5 ELSE 1.0 END) AS weight,
         max(CASE WHEN tie.own.time = time THEN 1 ELSE 0 END) AS here, collect([tie.own] + tie.visits) AS seen
    WITH peer, sum(weight) AS met, max(here) AS here, collect({merchant: merchant, seen: seen}) AS shared
    WHERE met >= $min_merchants
    RETURN collect({peer: peer, here: here = 1, shared: shared}) AS found
  }
  WITH a, time, found
  WHERE size(found) >= $min_peers AND 2 * size([p IN found WHERE p.here]) >= $min_peers
  CALL {
    WITH found
    UNWIND found AS p
    UNWIND p.shared AS s
    UNWIND s.seen AS occasion
    UNWIND occasion AS seen
    WITH DISTINCT s.merchant AS merchant, seen.time AS seen_at, seen.id AS id, seen.account AS account
    ORDER BY seen_at DESC, id
    RETURN count(DISTINCT merchant) AS merchants, collect(DISTINCT account) AS account_ids,
           collect(id)[0..$max_evidence] AS transactions
  }
  RETURN a.id AS card, time, [p IN found | p.peer] AS peer_ids, account_ids, transactions,
         size(found) AS others, merchants
}
RETURN 'Card' AS anchor_label, card AS anchor, time, card, peer_ids, account_ids, transactions,
       others AS peers, merchants
