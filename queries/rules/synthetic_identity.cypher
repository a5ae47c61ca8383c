/*
id = "synthetic_identity"
title = "Synthetic identities"
version = 2
status = "stable"
severity = "high"
anchor = ["Account"]
gate = { identifiers = "min_kinds" }
identity = ["strongest"]
budget_ms = 150
rationale = """
Invented people are put together from few parts: accounts opened within some months of each other that share
e-mails, phones and addresses, two kinds at least between some of them, and rare ones above all. A household shares
as much, but behind one door, and everybody reads their own mail.
"""
source = "typology 5 of the catalogue; a shared identifier weighs 1/ln(degree + 5), as in FRAUDAR"
blind_spots = """
Accounts that share one kind only. Rings that open accounts over more than the window. Up to max_household accounts
with one address and one phone, each with an e-mail of its own, cannot be told from a household. Without account_created
an account counts as opened at its first transaction here. Hub identifiers are no evidence. Of an account's identifiers
the first max_identifiers are read, and of each the first max_holders accounts.
"""
triage = "Same surname, or a plausible family? Then dismiss. Else: do spend and repayments look like one hand?"

[returns]
emails = { role = "core", label = "Email" }
phones = { role = "core", label = "Phone" }
addresses = { role = "core", label = "Address" }
account_ids = { role = "member", label = "Account" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
strongest = { role = "fact" }
accounts = { role = "measure", threshold = "min_accounts", means = "accounts opened in the window that share identity with this one, itself included" }
kinds = { role = "measure", threshold = "min_kinds", means = "kinds of identity that the closest of them shares with it" }
mailboxes = { role = "measure", means = "of the others, those that share an e-mail with it" }
weight = { role = "measure", threshold = "min_weight", means = "sum over the others of the rarity of what they share with it" }

[[false_positives]]
name = "a household with one address and one phone number"
fixture = "household"

[[false_positives]]
name = "a household that has moved in and opened its accounts in one week"
fixture = "new_household"

[[false_positives]]
name = "a student hall: one address, and flatmates with one phone"
fixture = "student_hall"

[params.window_ms]
default = 7776000000
min = 86400000
max = 31536000000
meaning = "how long before the touch the accounts may have been opened, in milliseconds"

[params.min_accounts]
default = 3
min = 2
max = 50
meaning = "accounts opened in the window that share identity with the anchor, itself included"

[params.min_kinds]
default = 2
min = 1
max = 3
meaning = "kinds of identity (e-mail, phone, address) that at least one of them shares with the anchor"

[params.min_weight]
default = 1.8
min = 0.0
max = 100.0
meaning = "sum over the other accounts of 1/ln(degree + 5) of each identifier that they share with the anchor"

[params.max_rare]
default = 10
min = 2
max = 50
meaning = "up to which degree an identifier counts although an account shares no other kind with the anchor"

[params.max_household]
default = 5
min = 1
max = 50
meaning = "accounts that may share min_kinds kinds and be a household, if one address is everybody's and no e-mail is shared"

[params.max_identifiers]
default = 20
min = 3
max = 200
meaning = "identifiers of the anchor that are read, the first it had"

[params.max_holders]
default = 100
min = 10
max = 1000
meaning = "accounts of one identifier that are read, the first that had it"

[params.max_evidence]
default = 200
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (p:Account {id: a.id})
WHERE coalesce(p.created, p.first_seen) > a.first - $window_ms
CALL {
  WITH a, p
  MATCH (p)-[h:HAS]->(x)
  RETURN x, h.first_seen AS since ORDER BY since, x.id LIMIT $max_identifiers
}
WITH a, p, x, since
WHERE x.degree > 1 AND x.hub_since > a.first AND since <= a.last
WITH a, p, labels(x)[0] AS kind, collect({node: x, since: since}) AS shared
WITH a, p, collect({kind: kind, shared: shared}) AS kinds
WHERE size(kinds) >= $min_kinds
UNWIND kinds AS k
UNWIND k.shared AS s
WITH a, p, k.kind AS kind, s.node AS x, s.since AS since
CALL {
  WITH a, x
  MATCH (x)<-[g:HAS]-(q:Account)
  WHERE q.id <> a.id AND g.first_seen <= a.last AND q.first_seen <= a.last
  RETURN q.id AS account, coalesce(q.created, q.first_seen) AS opened,
         CASE WHEN g.first_seen > q.first_seen THEN g.first_seen ELSE q.first_seen END AS theirs
  ORDER BY theirs, account LIMIT $max_holders
}
WITH a, coalesce(p.created, p.first_seen) AS own_opening,
     collect({kind: kind, id: x.id, until: x.hub_since, account: account, opened: opened,
              since: CASE WHEN since > theirs THEN since ELSE theirs END}) AS links
UNWIND a.times AS time
WITH a.id AS anchor, time, links
WHERE own_opening > time - $window_ms
UNWIND links AS link
WITH anchor, time, link
WHERE link.since <= time AND link.until > time
WITH anchor, time, link.kind AS kind, link.id AS id, count(link) + 1 AS degree, collect(link) AS held
UNWIND held AS link
WITH anchor, time, kind, id, degree, link
WHERE link.opened > time - $window_ms
WITH anchor, time, link.account AS account, count(DISTINCT kind) AS kinds, min(degree) AS rarest,
     sum(1 / log(degree + 5)) AS weight, max(CASE WHEN kind = 'Email' THEN 1 ELSE 0 END) AS mailbox,
     collect({kind: kind, id: id}) AS shared
WHERE kinds >= $min_kinds OR rarest <= $max_rare
WITH anchor, time, count(account) + 1 AS accounts, max(kinds) AS kinds, sum(mailbox) AS mailboxes,
     sum(CASE WHEN kinds >= $min_kinds THEN 1 ELSE 0 END) + 1 AS close, round(1000 * sum(weight)) / 1000 AS weight,
     [anchor] + collect(account) AS account_ids, collect(shared) AS shares
WHERE accounts >= $min_accounts AND kinds >= $min_kinds AND weight >= $min_weight
CALL {
  WITH time, account_ids
  UNWIND account_ids AS account
  MATCH (q:Account {id: account})
  CALL {
    WITH q
    MATCH (q)-[h:HAS]->(x:Address)
    WITH x, h ORDER BY h.first_seen, x.id LIMIT $max_identifiers
    RETURN collect({id: x.id, since: h.first_seen}) AS doors
  }
  WITH [door IN doors WHERE door.since <= time | door.id] AS doors
  WHERE size(doors) > 0
  WITH collect(doors) AS homes
  RETURN size(homes) = 0 OR any(door IN homes[0] WHERE all(home IN homes WHERE door IN home)) AS together
}
WITH anchor, time, accounts, kinds, mailboxes, close, weight, account_ids, shares, together
WHERE mailboxes > 0 OR NOT together OR close > $max_household
UNWIND shares AS shared
UNWIND shared AS s
WITH anchor, time, accounts, kinds, mailboxes, weight, account_ids, s.kind AS kind, s.id AS id, count(s) AS holders
ORDER BY holders DESC, id
WITH anchor, time, accounts, kinds, mailboxes, weight, account_ids, collect(id) AS ids,
     collect(CASE WHEN kind = 'Email' THEN id END) AS emails,
     collect(CASE WHEN kind = 'Phone' THEN id END) AS phones,
     collect(CASE WHEN kind = 'Address' THEN id END) AS addresses
CALL {
  WITH time, account_ids
  UNWIND account_ids AS account
  MATCH (q:Account {id: account})-[:OWNS]->(c:Card)-[:MADE]->(t:Transaction)
  WHERE t.account = account AND t.time > time - $window_ms AND t.time <= time
  WITH DISTINCT c, t ORDER BY t.time DESC, t.id LIMIT $max_evidence
  RETURN collect(DISTINCT c.id) AS card_ids, collect(t.id) AS transactions
}
RETURN 'Account' AS anchor_label, anchor, time, emails, phones, addresses, account_ids, card_ids,
       transactions, ids[0] AS strongest, accounts, kinds, mailboxes, weight
