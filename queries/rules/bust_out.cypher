/*
id = "bust_out"
title = "First-party bust-out"
version = 7
status = "stable"
severity = "critical"
anchor = ["Account"]
identity = ["strongest"]
budget_ms = 300
rationale = """
Accounts that have a phone, a mailbox or a device in common behave well for a while, and then, all in
one week, buy for several times what they usually spend, up to their limits: somebody means to pay none of it back. A
household does the first as well, at home and on its phone, and it is the limits that tell. Two accounts with one phone
and one device are one person's, if both spend far more than a couple that furnishes its home.
"""
source = "typology 6 of the catalogue"
blind_spots = """
Accounts without min_weeks earlier weeks of spending here: nothing is found in the first weeks of a stream. Transfers
are no purchases, and count for the norm only. Accounts that share only an address to
which one of them has moved; a device, the address that both had first, or an address and a phone, is what a household has,
and such accounts, unless they share an e-mail, count where the limits of both are known. A limit counts in the currency of the
payments that tell it; where one of the cards spent with tells none, the account has to spend min_growth_unlimited
times its norm instead. Limits that were used up over more than the window. Accounts that are tied to each other only
through a third, and a device that they did not both pay from in the window. Of an account's identifiers and devices
the first max_shared are read, of each of these the first max_holders accounts or cards, of an account's cards the
first max_cards, and of its transactions in the window the first max_transactions.
"""
triage = "Is it resold at once what was bought: gift cards, phones, gold? Were limits raised lately, payments returned?"

[returns]
emails = { role = "core", label = "Email" }
phones = { role = "core", label = "Phone" }
addresses = { role = "core", label = "Address" }
devices = { role = "core", label = "Device" }
account_ids = { role = "member", label = "Account" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
strongest = { role = "fact" }
utilisation = { role = "fact" }
accounts = { role = "measure", threshold = "min_accounts", means = "accounts tied to this one, itself included, that burst their norm and limit in the window" }
growth = { role = "measure", threshold = "min_growth", means = "times its weekly norm that the most restrained of them spent" }

[[false_positives]]
name = "a couple that furnishes its home, up to the limits"
fixture = "couple"

[[false_positives]]
name = "a family before Christmas: everybody spends many times the norm, within the limits"
fixture = "christmas"

[[false_positives]]
name = "holidays: one of a family pays for everybody"
fixture = "holidays"

[[false_positives]]
name = "the holiday season: many who have nothing to do with each other spend up to their limits"
fixture = "season"

[[false_positives]]
name = "presents: people who order to one friend's address have dear weeks of their own"
fixture = "presents"

[[false_positives]]
name = "a household, whose limits nobody tells, in a week of large purchases"
fixture = "household"

[[false_positives]]
name = "a household with one landline, in a week of large purchases"
fixture = "landline"

[[false_positives]]
name = "flatmates who move: deposits and rents leave every account, and nothing is bought on credit"
fixture = "move"

[params.window_ms]
default = 604800000
min = 86400000
max = 2592000000
meaning = "how far back the window reaches, in milliseconds"

[params.min_accounts]
default = 3
min = 2
max = 50
meaning = "accounts tied to the anchor, itself included, that burst in the window, unless two are one person's"

[params.min_growth]
default = 3.0
min = 1.0
max = 100.0
meaning = "what an account spends in the window, as a multiple of its weekly norm"

[params.min_growth_pair]
default = 10.0
min = 1.0
max = 100.0
meaning = "the same where there are two accounts, which have a phone and a device in common: a couple furnishes its home"

[params.min_utilisation]
default = 0.7
min = 0.1
max = 10.0
meaning = "what it spends in the window, as a share of the limits of the cards that it spends with"

[params.min_growth_unlimited]
default = 6.0
min = 1.0
max = 100.0
meaning = "what an account whose limits are not known spends in the window, as a multiple of its weekly norm"

[params.baseline_weeks]
default = 8
min = 2
max = 26
meaning = "whole weeks before the window whose mean, over those with any spending, is the norm"

[params.min_weeks]
default = 1
min = 1
max = 26
meaning = "how many of these weeks must have seen spending for a norm to be known"

[params.max_shared]
default = 20
min = 3
max = 200
meaning = "identifiers of the anchor, and devices of its cards, that are read, the first it had"

[params.max_holders]
default = 60
min = 10
max = 1000
meaning = "accounts of one identifier, and cards of one device, that are read, the first that had it"

[params.max_cards]
default = 20
min = 2
max = 200
meaning = "cards of one account that are read, the first it had"

[params.max_transactions]
default = 500
min = 50
max = 5000
meaning = "transactions of one account in the window that are read, the first"

[params.max_evidence]
default = 200
min = 10
max = 5000
meaning = "transaction ids that a finding carries"
*/
UNWIND $anchors AS a
MATCH (p:Account {id: a.id})
WHERE p.first_seen / 604800000 < (a.last - $window_ms) / 604800000
CALL {
  WITH a, p
  MATCH (p)-[:HAS]->(x)
  WHERE x.degree > 1 AND x.hub_since > a.first
  RETURN sum(CASE WHEN x:Address AND x.degree < $min_accounts THEN 0 ELSE x.degree - 1 END) AS close
}
WITH a, p, close
CALL {
  WITH a, p
  MATCH (p)-[:OWNS]->(:Card)-[:USED]->(x:Device)
  WHERE x.degree > 1 AND x.hub_since > a.first
  RETURN sum(x.degree - 1) AS devices
}
WITH a, p, close, devices
WHERE close + devices >= $min_accounts - 1 OR (close > 0 AND devices > 0)
CALL {
  WITH a, p
  MATCH (p)-[o:OWNS]->(c:Card)
  WITH a, p.first_seen / 604800000 AS opened, c ORDER BY o.first_seen, c.id LIMIT $max_cards
  MATCH (c)-[:MADE]->(t:Transaction)
  WHERE t.time > a.first - $window_ms AND t.time <= a.last AND t.status = 'approved' AND t.account = a.id
    AND coalesce(t.channel, '') <> 'transfer'
  WITH a.id AS account, a.first AS first, a.last AS last, opened, t.currency AS currency, sum(t.amount) AS most,
       min(t.credit_limit) AS lowest
  UNWIND range((first - $window_ms) / 604800000, (last - $window_ms) / 604800000) AS start
  UNWIND range(CASE WHEN opened > start - $baseline_weeks THEN opened ELSE start - $baseline_weeks END,
               start - 1) AS week
  MATCH (n:Tally {id: account + '|' + toString(week) + '|' + currency})
  WITH currency, most, lowest, start, count(n) AS weeks, avg(n.amount) AS norm
  WHERE weeks >= $min_weeks AND most >= $min_growth * norm
    AND (most >= $min_growth_unlimited * norm OR most >= $min_utilisation * lowest)
  RETURN count(*) AS bursts
}
WITH a, p, bursts
WHERE bursts > 0
CALL {
  WITH a, p
  MATCH (p)-[h:HAS]->(x)
  WITH a, x, h.first_seen AS ours ORDER BY ours, x.id LIMIT $max_shared
  WHERE x.degree > 1 AND x.hub_since > a.first
  CALL {
    WITH a, x
    MATCH (x)<-[g:HAS]-(q:Account)
    WHERE q.id <> a.id AND g.first_seen <= a.last
    RETURN q.id AS account, g.first_seen AS theirs ORDER BY theirs, account LIMIT $max_holders
  }
  RETURN labels(x)[0] AS kind, x.id AS id, x.hub_since AS until, account,
         CASE WHEN ours > theirs THEN ours ELSE theirs END AS since
  UNION ALL
  WITH a, p
  MATCH (p)-[:OWNS]->(:Card)-[u:USED]->(x:Device)
  WITH a, x, min(u.first_seen) AS ours, max(u.last_seen) AS latest ORDER BY ours, x.id LIMIT $max_shared
  WHERE x.degree > 1 AND x.hub_since > a.first AND latest > a.first - $window_ms - 60000
  CALL {
    WITH a, x
    MATCH (x)<-[v:USED]-(c:Card)
    WHERE v.first_seen <= a.last
    WITH a, c, v ORDER BY v.first_seen, c.id LIMIT $max_holders
    WHERE v.last_seen > a.first - $window_ms - 60000
    MATCH (c)<-[:OWNS]-(q:Account)
    WHERE q.id <> a.id
    RETURN q.id AS account, min(v.first_seen) AS theirs
  }
  RETURN 'Device' AS kind, x.id AS id, x.hub_since AS until, account,
         CASE WHEN ours > theirs THEN ours ELSE theirs END AS since
}
WITH a, collect(DISTINCT account) AS others,
     collect({kind: kind, id: id, account: account, since: since, until: until}) AS links
WHERE size(others) > 0
UNWIND a.times AS time
CALL {
  WITH a, time
  MATCH (p:Account {id: a.id})-[o:OWNS]->(c:Card)
  WITH a, time, c ORDER BY o.first_seen, c.id LIMIT $max_cards
  MATCH (c)-[:MADE]->(t:Transaction)
  WHERE t.time > time - $window_ms AND t.time <= time AND t.status = 'approved' AND t.account = a.id
    AND coalesce(t.channel, '') <> 'transfer'
  WITH a, time, c, t ORDER BY t.time, t.id LIMIT $max_transactions
  OPTIONAL MATCH (t)-[:ON]->(d:Device)
  WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH a.id AS account, time, t.currency AS currency, c.id AS card, sum(t.amount) AS paid, max(t.credit_limit) AS told,
       max(t.time) AS newest, collect(t.id) AS made, collect(DISTINCT d.id) AS used
  WITH account, time, currency, sum(paid) AS spent, CASE WHEN count(told) = count(card) THEN sum(told) END AS allowed,
       max(newest) AS newest, collect(card) AS cards, collect(made) AS made, collect(used) AS used
  WHERE newest = time
  UNWIND range((time - $window_ms) / 604800000 - $baseline_weeks, (time - $window_ms) / 604800000 - 1) AS week
  MATCH (n:Tally {id: account + '|' + toString(week) + '|' + currency})
  WITH currency, spent, allowed, cards, made, used, count(n) AS weeks, 1.0 * sum(n.amount) / count(n) AS norm
  WHERE weeks >= $min_weeks AND norm > 0 AND spent >= $min_growth * norm
    AND CASE WHEN allowed > 0 THEN spent >= $min_utilisation * allowed ELSE spent >= $min_growth_unlimited * norm END
  RETURN cards AS own_cards, made AS own_made, reduce(all = [], part IN used | all + part) AS own_devices,
         spent / norm AS own_growth, CASE WHEN allowed > 0 THEN 1.0 * spent / allowed END AS own_utilisation
  ORDER BY own_growth DESC, currency LIMIT 1
}
UNWIND links AS link
WITH a.id AS anchor, time, own_cards, own_made, own_devices, own_growth, own_utilisation, link
WHERE link.since <= time AND link.until > time AND (link.kind <> 'Device' OR link.id IN own_devices)
WITH anchor, time, own_cards, own_made, own_growth, own_utilisation, link.account AS account,
     collect({kind: link.kind, id: link.id}) AS shared
CALL {
  WITH account, time
  MATCH (q:Account {id: account})-[o:OWNS]->(c:Card)
  WITH account, time, c ORDER BY o.first_seen, c.id LIMIT $max_cards
  MATCH (c)-[:MADE]->(t:Transaction)
  WHERE t.account = account AND t.status = 'approved' AND coalesce(t.channel, '') <> 'transfer'
    AND t.time > time - $window_ms AND t.time <= time
  WITH account, time, c, t ORDER BY t.time, t.id LIMIT $max_transactions
  OPTIONAL MATCH (t)-[:ON]->(d:Device)
  WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH account, time, t.currency AS currency, c.id AS card, sum(t.amount) AS paid, max(t.credit_limit) AS told,
       collect(t.id) AS made, collect(DISTINCT d.id) AS used
  WITH account, time, currency, sum(paid) AS spent, CASE WHEN count(told) = count(card) THEN sum(told) END AS allowed,
       collect(card) AS cards, collect(made) AS made, collect(used) AS used
  UNWIND range((time - $window_ms) / 604800000 - $baseline_weeks, (time - $window_ms) / 604800000 - 1) AS week
  MATCH (n:Tally {id: account + '|' + toString(week) + '|' + currency})
  WITH currency, spent, allowed, cards, made, used, count(n) AS weeks, 1.0 * sum(n.amount) / count(n) AS norm
  WHERE weeks >= $min_weeks AND norm > 0 AND spent >= $min_growth * norm
    AND CASE WHEN allowed > 0 THEN spent >= $min_utilisation * allowed ELSE spent >= $min_growth_unlimited * norm END
  RETURN cards, made, reduce(all = [], part IN used | all + part) AS paid_from,
         spent / norm AS growth, CASE WHEN allowed > 0 THEN 1.0 * spent / allowed END AS utilisation
  ORDER BY growth DESC, currency LIMIT 1
}
WITH anchor, time, own_cards, own_made, own_growth, own_utilisation, account, cards, made, growth, utilisation,
     [s IN shared WHERE s.kind <> 'Device' OR s.id IN paid_from] AS shared
CALL {
  WITH anchor, account, shared
  UNWIND CASE WHEN any(s IN shared WHERE s.kind = 'Address') THEN [anchor, account] ELSE [] END AS one
  MATCH (q:Account {id: one})
  CALL {
    WITH q
    MATCH (q)-[h:HAS]->(x:Address)
    RETURN x.id AS home ORDER BY h.first_seen, home LIMIT 1
  }
  RETURN collect(home) AS homes
}
WITH anchor, time, own_cards, own_made, own_growth, own_utilisation, account, cards, made, growth, utilisation, shared,
     any(s IN shared WHERE s.kind = 'Address' AND s.id = homes[0] AND s.id = homes[1]) AS at_home
WHERE any(s IN shared WHERE s.kind = 'Email')
   OR (any(s IN shared WHERE s.kind = 'Phone') AND none(s IN shared WHERE s.kind = 'Address'))
   OR ((at_home OR any(s IN shared WHERE s.kind = 'Device')
        OR (any(s IN shared WHERE s.kind = 'Address') AND any(s IN shared WHERE s.kind = 'Phone')))
       AND own_utilisation IS NOT NULL AND utilisation IS NOT NULL)
WITH anchor, time, own_cards, own_made, own_growth, own_utilisation, account, cards, made, growth, utilisation, shared
ORDER BY account
WITH anchor, time, own_cards, own_made, own_growth, own_utilisation, [anchor] + collect(account) AS account_ids,
     collect(cards) AS cards, collect(made) AS made, collect(shared) AS shares, min(growth) AS growth,
     min(utilisation) AS utilisation
WHERE size(account_ids) >= $min_accounts
   OR (size(account_ids) > 1 AND growth >= $min_growth_pair AND own_growth >= $min_growth_pair
       AND any(s IN shares[0] WHERE s.kind = 'Phone') AND any(s IN shares[0] WHERE s.kind = 'Device'))
UNWIND shares AS shared
UNWIND shared AS s
WITH anchor, time, own_cards, own_made, own_growth, own_utilisation, account_ids, cards, made, growth, utilisation,
     s.kind AS kind, s.id AS id, count(s) AS holders
ORDER BY holders DESC, id
WITH anchor, time, own_cards, own_made, own_growth, own_utilisation, account_ids, cards, made, growth, utilisation,
     collect(id) AS ids,
     collect(CASE WHEN kind = 'Email' THEN id END) AS emails,
     collect(CASE WHEN kind = 'Phone' THEN id END) AS phones,
     collect(CASE WHEN kind = 'Address' THEN id END) AS addresses,
     collect(CASE WHEN kind = 'Device' THEN id END) AS devices
WITH anchor, time, account_ids, ids[0] AS strongest, emails, phones, addresses, devices,
     reduce(all = own_cards, some IN cards | all + some) AS card_ids,
     reduce(all = [], part IN own_made + reduce(parts = [], some IN made | parts + some) | all + part) AS transactions,
     CASE WHEN growth < own_growth THEN growth ELSE own_growth END AS growth,
     CASE WHEN own_utilisation IS NULL OR utilisation < own_utilisation THEN utilisation
          ELSE own_utilisation END AS utilisation
RETURN 'Account' AS anchor_label, anchor, time, emails, phones, addresses, devices, account_ids, card_ids,
       transactions[0..$max_evidence] AS transactions, strongest, utilisation,
       size(account_ids) AS accounts, growth
