/*
id = "cyclic_flow"
title = "Cyclic flow"
version = 4
status = "stable"
severity = "high"
anchor = ["Account"]
gate = { senders = "min_senders" }
touch = { channel = ["transfer"], status = ["approved"] }
identity = ["account_ids"]
budget_ms = 200
rationale = """
Money that comes back to where it started through two to five other people's accounts, a little less each time, bought
nothing: it was sent round to hide where it comes from, or to make business look brisk.
"""
source = "typology 10 of the catalogue; cycles as in AMLSim"
blind_spots = """
Cycles of more than six accounts, or that take longer than the window. Money that is split, gathered, exchanged or
withdrawn on the way, or to which other money is added, and small amounts. Cycles of accounts that are all known to be
older than min_established_ms, since firms' sweeps look so, unless two of them share a device (all of them: that is the
treasurer's), or each sent money on
within max_hold_ms, more than once, and never at the same time of day: a sweep is a standing order, and friends take
days. Accounts past the hub cap are not passed through. Cycles within one hand: where all accounts have one e-mail,
phone, address or card in common. At each step the first max_senders accounts are followed, and of an anchor max_paths
paths; of one hour the first max_per_hour transfers between two accounts count.
"""
triage = "What do the accounts have in common? Who opened them, and when? Does the money go round again?"

[returns]
account_ids = { role = "core", label = "Account" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
hops = { role = "measure", threshold = "min_hops", means = "accounts that the money passed before it was back" }
returned = { role = "measure", means = "share of the first amount that came back" }
hours = { role = "measure", means = "hours that it took" }
currency = { role = "fact" }

[[false_positives]]
name = "a couple that sends money back and forth"
fixture = "couple"

[[false_positives]]
name = "a treasury that moves money between a firm's own accounts"
fixture = "treasury"

[[false_positives]]
name = "a group of companies, each with its own details: old accounts, whose balances are swept round every night"
fixture = "sweep"

[[false_positives]]
name = "such a group, which has founded a company this year"
fixture = "subsidiary"

[[false_positives]]
name = "such a group, that has sent money in turn only once, at no fixed hour"
fixture = "once_round"

[[false_positives]]
name = "three friends, customers for years, who lend each other much the same sum in turn"
fixture = "lenders"

[[false_positives]]
name = "a sum to which every account adds its own: takings that are gathered"
fixture = "gathered"

[[false_positives]]
name = "friends who settle small debts"
fixture = "friends"

[params.window_ms]
default = 604800000
min = 3600000
max = 2592000000
meaning = "how long the money may take, in milliseconds"

[params.min_senders]
default = 1
min = 1
max = 200
meaning = "accounts that have ever sent money to the one to which it comes back"

[params.min_hops]
default = 3
min = 3
max = 6
meaning = "accounts in the cycle, at least (at most six are looked for)"

[params.min_kept]
default = 0.8
min = 0.1
max = 1.0
meaning = "share of an amount that is sent on at least"

[params.max_growth]
default = 1.03
min = 1.0
max = 10.0
meaning = "share of an amount that is sent on at most: with more, it is other money as well"

[params.min_established_ms]
default = 7776000000
min = 0
max = 315360000000
meaning = "how long before it an account was opened, or seen first, that is established; one of the cycle has to be younger"

[params.min_rounds]
default = 2
min = 2
max = 20
meaning = "transfers in the window from each account of the cycle to the next, where all are established"

[params.max_hold_ms]
default = 86400000
min = 60000
max = 604800000
meaning = "how long each of them kept the money at most, where all are established, in milliseconds"

[params.max_punctuality_ms]
default = 1800000
min = 0
max = 43200000
meaning = "how far apart in the time of day two transfers on different days are that keep to one hour, in milliseconds"

[params.min_amount]
default = 10000
min = 0
max = 1000000000
meaning = "the smallest amount that counts, in minor units of whatever currency"

[params.max_senders]
default = 20
min = 5
max = 200
meaning = "accounts that are followed back from one account, the first that sent to it"

[params.max_paths]
default = 500
min = 50
max = 10000
meaning = "paths of one anchor that are followed"

[params.max_identifiers]
default = 20
min = 3
max = 200
meaning = "identifiers and cards of an account that are compared with the others', the first it had"

[params.max_per_hour]
default = 20
min = 5
max = 500
meaning = "transfers of one hour between two accounts that are read, the first of the hour, and of the window that are compared by time of day"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries"
*/
UNWIND $anchors AS a
MATCH (y:Account {id: a.id})
WHERE coalesce(y.senders, 0) >= $min_senders AND y.hub_since > a.first
CALL {
  WITH a, y
  MATCH (y)-[s:SENT]->(z:Account)
  WHERE s.last_seen > a.first - $window_ms - 60000 AND s.first_seen <= a.last AND z.hub_since > a.first
  WITH a, z, s ORDER BY s.first_seen, z.id LIMIT $max_paths
  RETURN collect({payer: a.id, payee: z.id, first: s.first_seen, last: s.last_seen}) AS openings
}
WITH a, y, openings
WHERE size(openings) > 0
CALL {
  WITH a, y
  MATCH (y)<-[s:SENT]-(z:Account)
  WHERE s.last_seen >= a.first - 60000 AND s.first_seen <= a.last AND z.hub_since > a.first
  WITH a, y, z, s ORDER BY s.first_seen, z.id LIMIT $max_senders
  WITH a, z, [y.id, z.id] AS passed, [{payer: z.id, payee: y.id, first: s.first_seen, last: s.last_seen}] AS legs
  CALL {
    WITH a, z, passed, legs
    MATCH (z)<-[s:SENT]-(w:Account)
    WHERE s.last_seen > a.first - $window_ms - 60000 AND s.first_seen <= legs[0].last AND w.hub_since > a.first
      AND NOT w.id IN passed
    RETURN w, s ORDER BY s.first_seen, w.id LIMIT $max_senders
  }
  WITH a, w AS z, passed + [w.id] AS passed, [{payer: w.id, payee: z.id, first: s.first_seen, last: s.last_seen}] + legs AS legs
  LIMIT $max_paths
  CALL {
    WITH a, z, passed, legs
    RETURN z AS far, passed AS through, legs AS longer
    UNION ALL
    WITH a, z, passed, legs
    MATCH (z)<-[s:SENT]-(w:Account)
    WHERE s.last_seen > a.first - $window_ms - 60000 AND s.first_seen <= legs[0].last AND w.hub_since > a.first
      AND NOT w.id IN passed
    WITH w, s, z, passed, legs ORDER BY s.first_seen, w.id LIMIT $max_senders
    RETURN w AS far, passed + [w.id] AS through,
           [{payer: w.id, payee: z.id, first: s.first_seen, last: s.last_seen}] + legs AS longer
  }
  WITH a, far AS z, through AS passed, longer AS legs
  LIMIT $max_paths
  CALL {
    WITH a, z, passed, legs
    RETURN z AS far, passed AS through, legs AS longer
    UNION ALL
    WITH a, z, passed, legs
    MATCH (z)<-[s:SENT]-(w:Account)
    WHERE size(legs) = 3 AND s.last_seen > a.first - $window_ms - 60000 AND s.first_seen <= legs[0].last
      AND w.hub_since > a.first AND NOT w.id IN passed
    WITH w, s, z, passed, legs ORDER BY s.first_seen, w.id LIMIT $max_senders
    RETURN w AS far, passed + [w.id] AS through,
           [{payer: w.id, payee: z.id, first: s.first_seen, last: s.last_seen}] + legs AS longer
  }
  WITH a, far AS z, through AS passed, longer AS legs
  LIMIT $max_paths
  CALL {
    WITH a, z, passed, legs
    RETURN passed AS through, legs AS longer
    UNION ALL
    WITH a, z, passed, legs
    MATCH (z)<-[s:SENT]-(w:Account)
    WHERE size(legs) = 4 AND s.last_seen > a.first - $window_ms - 60000 AND s.first_seen <= legs[0].last
      AND w.hub_since > a.first AND NOT w.id IN passed
    WITH w, s, z, passed, legs ORDER BY s.first_seen, w.id LIMIT $max_senders
    RETURN passed + [w.id] AS through,
           [{payer: w.id, payee: z.id, first: s.first_seen, last: s.last_seen}] + legs AS longer
  }
  RETURN through AS passed, longer AS legs LIMIT $max_paths
}
WITH a, passed, legs, [opening IN openings WHERE opening.payee = legs[0].payer AND opening.first <= legs[0].last] AS opening
WHERE size(opening) = 1 AND size(passed) >= $min_hops
WITH a, passed, opening + legs AS legs
UNWIND range(0, size(legs) - 1) AS n
CALL {
  WITH a, legs, n
  WITH a, legs[n] AS leg
  UNWIND range((CASE WHEN leg.first > a.first - $window_ms THEN leg.first ELSE a.first - $window_ms END) / 3600000,
               (CASE WHEN leg.last < a.last THEN leg.last ELSE a.last END) / 3600000) AS hour
  CALL {
    WITH leg, hour
    MATCH (t:Transaction {counterparty_hour: leg.payee + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(counterparty_hour)
    WHERE t.account = leg.payer AND t.status = 'approved' AND t.amount >= $min_amount
    RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
  }
  WITH a, t
  WHERE t.time > a.first - $window_ms AND t.time <= a.last
  WITH t ORDER BY t.time, t.id
  RETURN collect({id: t.id, time: t.time, amount: t.amount, currency: t.currency}) AS moved
}
WITH a.times AS times, passed, n, moved ORDER BY n
WITH times, passed, collect(moved) AS legs
CALL {
  WITH times, legs
  UNWIND legs[0] AS t
  WITH times, legs, [t] AS path
  UNWIND legs[1] AS t
  WITH times, legs, path, t, path[size(path) - 1] AS p
  WHERE t.time >= p.time AND t.currency = p.currency
    AND t.amount >= $min_kept * p.amount AND t.amount <= $max_growth * p.amount
  WITH times, legs, path, t ORDER BY path[0].time DESC, path[0].id
  WITH t, collect(path)[0] + [t] AS path, collect(legs)[0] AS legs, collect(times)[0] AS times
  UNWIND legs[2] AS u
  WITH times, legs, path, u, t AS p
  WHERE u.time >= p.time AND u.currency = p.currency
    AND u.amount >= $min_kept * p.amount AND u.amount <= $max_growth * p.amount
  WITH times, legs, path, u ORDER BY path[0].time DESC, path[0].id, path[1].id
  WITH u, collect(path)[0] + [u] AS path, collect(legs)[0] AS legs, collect(times)[0] AS times
  UNWIND CASE WHEN size(legs) > 3 THEN legs[3] ELSE [u] END AS v
  WITH times, legs, path, v, u AS p
  WHERE v.time >= p.time AND v.currency = p.currency
    AND v.amount >= $min_kept * p.amount AND v.amount <= $max_growth * p.amount
  WITH times, legs, path, v ORDER BY path[0].time DESC, path[0].id, path[1].id, path[2].id
  WITH v, collect(path)[0] AS path, collect(legs)[0] AS legs, collect(times)[0] AS times
  WITH times, legs, v, CASE WHEN size(legs) > 3 THEN path + [v] ELSE path END AS path
  UNWIND CASE WHEN size(legs) > 4 THEN legs[4] ELSE [v] END AS w
  WITH times, legs, path, w, v AS p
  WHERE w.time >= p.time AND w.currency = p.currency
    AND w.amount >= $min_kept * p.amount AND w.amount <= $max_growth * p.amount
  WITH times, legs, path, w ORDER BY path[0].time DESC, path[0].id, path[1].id, path[2].id
  WITH w, collect(path)[0] AS path, collect(legs)[0] AS legs, collect(times)[0] AS times
  WITH times, legs, w, CASE WHEN size(legs) > 4 THEN path + [w] ELSE path END AS path
  UNWIND CASE WHEN size(legs) > 5 THEN legs[5] ELSE [w] END AS x
  WITH times, legs, path, x, w AS p
  WHERE x.time IN times AND x.time >= p.time AND x.currency = p.currency
    AND x.amount >= $min_kept * p.amount AND x.amount <= $max_growth * p.amount
  WITH legs, path, x ORDER BY path[0].time DESC, path[0].id, path[1].id, path[2].id
  WITH x, collect(path)[0] AS path, collect(legs)[0] AS legs
  WITH x.time AS time, path[0].time AS since, CASE WHEN size(legs) > 5 THEN path + [x] ELSE path END AS path
  WHERE since > time - $window_ms
  RETURN time, since, path
}
CALL {
  WITH legs, time
  UNWIND legs AS leg
  WITH [t IN leg WHERE t.time > time - $window_ms AND t.time <= time | t.time][0..$max_per_hour] AS moments
  WITH size(moments) AS sent, size([m IN moments WHERE any(o IN moments WHERE o - m > 43200000
         AND (o - m + $max_punctuality_ms) % 86400000 <= 2 * $max_punctuality_ms)]) AS punctual
  RETURN min(sent) AS rounds, sum(punctual) AS punctual
}
WITH passed, time, since, path, rounds >= $min_rounds AND punctual = 0
       AND all(n IN range(1, size(path) - 1) WHERE path[n].time - path[n - 1].time <= $max_hold_ms) AS restless
CALL {
  WITH passed, time
  MATCH (y:Account {id: passed[0]})-[r:HAS|OWNS]->(x)
  WHERE r.first_seen <= time
  WITH passed, time, x, r ORDER BY r.first_seen, x.id LIMIT $max_identifiers
  UNWIND passed AS id
  MATCH (z:Account {id: id})-[g:HAS|OWNS]->(x)
  WHERE g.first_seen <= time
  WITH x, size(passed) AS accounts, count(DISTINCT z) AS holders
  WHERE holders = accounts
  RETURN count(x) AS common
}
WITH passed, time, since, path, restless, common
WHERE common = 0
CALL {
  WITH passed, time
  UNWIND passed AS id
  MATCH (z:Account {id: id})
  WHERE coalesce(z.created, z.first_seen) <= time - $min_established_ms
  RETURN count(z) AS established
}
UNWIND path AS t
MATCH (m:Transaction {id: t.id})<-[:MADE]-(c:Card)
OPTIONAL MATCH (m)-[:ON]->(d:Device)
WHERE d.hub_since > time
WITH passed, time, since, path, restless, established, collect(DISTINCT c.id) AS card_ids, count(d) AS told,
     count(DISTINCT d) AS devices
WHERE established < size(passed) OR (devices > 1 AND devices < told) OR restless
WITH passed AS account_ids, time, card_ids, [t IN path | t.id] AS transactions, size(passed) AS hops,
     1.0 * path[size(path) - 1].amount / path[0].amount AS returned, (time - since) / 3600000.0 AS hours,
     path[0].currency AS currency
RETURN 'Account' AS anchor_label, account_ids[0] AS anchor, time, account_ids, card_ids,
       transactions[0..$max_evidence] AS transactions, hops, returned, hours, currency
