/*
id = "synthetic_identity"
title = "Synthetic identities"
version = 8
status = "stable"
severity = "high"
anchor = ["Account"]
gate = { identifiers = "min_kinds" }
identity = ["strongest"]
budget_ms = 150
rationale = """
Invented people are put together from few parts: accounts that share e-mails, phones and addresses, two kinds at least
between some of them, and rare ones above all. A household shares as much, but behind one door, and everybody reads
their own mail. So accounts that share a mailbox and more count whenever they were opened, since old ones are bought
(but one phone, one door and one line as well is what an old family has);
others count if they were opened within some months of each other, and are no household: five people or more who all
open accounts within some months, with one phone and one address, are none, unless many more live there. And who has one
new account's phone and another's address has been put together, if several share each. Who lives together has one line:
accounts opened within weeks of each other, with one phone and one address, that never were at one IP are no household.
Of accounts that were old by then only what names the shared parts is evidence: the rest may be what their owners did,
before or after others had them.
"""
source = "typology 5 of the catalogue; a shared identifier weighs 1/ln(degree + 5), as in FRAUDAR"
blind_spots = """
Accounts that share one kind only, unless min_accounts have its phone and as many others its address, all young, more
than max_household in all. Rings that share no e-mail and open accounts over more than the window. Up to max_household
accounts with one phone and no e-mail in common, of which all but one have one address, cannot be told from a household
if they are seen at one IP, or at none, nor can more in a house that has more than twice as many; who shares an address
alone is a neighbour, or gets a present. Accounts that share an e-mail and a card are one person who signed up again,
and so are two that share an e-mail and a device; and accounts that share an e-mail or a card, each of which was only
ever used at one shop, and not at the other's, are one customer of several shops. Without account_created an account
counts as opened at its first transaction here. Hub identifiers are no evidence. Of an account's identifiers the first
max_identifiers are read, and of each the first max_holders accounts.
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
accounts = { role = "measure", threshold = "min_strangers", means = "accounts that share identity with this one, itself included; min_accounts at least where they share an address, or no e-mail" }
kinds = { role = "measure", threshold = "min_kinds", means = "kinds of identity that the closest of them, or else all of them, share with it" }
mailboxes = { role = "measure", means = "of the others, those that share an e-mail with it" }
weight = { role = "measure", means = "sum over the others of the rarity of what they share with it" }

[[false_positives]]
name = "a family of long standing with one mailbox"
fixture = "old_family"

[[false_positives]]
name = "a household with one address and one phone number"
fixture = "household"

[[false_positives]]
name = "a household that has moved in and opened its accounts in one week"
fixture = "new_household"

[[false_positives]]
name = "a young family with one phone number, at home behind one line"
fixture = "one_line"

[[false_positives]]
name = "a student hall: one address, and flatmates with one phone"
fixture = "student_hall"

[[false_positives]]
name = "five students of a hall whose flat has one phone"
fixture = "flat_in_a_hall"

[[false_positives]]
name = "people who signed up again, with a card that they had before"
fixture = "signed_up_again"

[[false_positives]]
name = "somebody who moved and signed up again on their own phone, with a new card"
fixture = "moved_with_phone"

[[false_positives]]
name = "a family one of whom has moved out, but keeps the number"
fixture = "moved_out"

[[false_positives]]
name = "presents that are ordered to the address of another family"
fixture = "presents"

[[false_positives]]
name = "a customer of several shops, of which each gives its customers accounts of its own"
fixture = "one_account_at_each_shop"

[params.window_ms]
default = 7776000000
min = 86400000
max = 31536000000
meaning = "how long before the touch accounts that share no e-mail may have been opened, in milliseconds"

[params.min_accounts]
default = 3
min = 2
max = 50
meaning = "accounts that share identity with the anchor, itself included"

[params.min_strangers]
default = 2
min = 2
max = 50
meaning = "the same where they share an e-mail and another kind, but no address"

[params.min_kinds]
default = 2
min = 1
max = 3
meaning = "kinds of identity (e-mail, phone, address) that at least one of them shares with the anchor"

[params.min_weight]
default = 1.8
min = 0.0
max = 100.0
meaning = "sum over the other accounts of 1/ln(degree + 5) of each identifier shared with the anchor, where it takes min_accounts that were opened in the window"

[params.max_rare]
default = 10
min = 2
max = 50
meaning = "up to which degree an identifier counts although an account shares no other kind with the anchor"

[params.max_household]
default = 4
min = 1
max = 50
meaning = "accounts that may share min_kinds kinds and be a household, if all but one have one address, and no e-mail is shared; or that may have a phone or an address in common with one, with some the one and with some the other"

[params.min_seen]
default = 2
min = 1
max = 20
meaning = "payments of an account whose IP is told, for it to count that none is another's: who live together have one line"

[params.max_apart_ms]
default = 2592000000
min = 86400000
max = 31536000000
meaning = "how far apart such accounts may have been opened, in milliseconds"

[params.max_crowding]
default = 2.0
min = 1.0
max = 100.0
meaning = "how many times as many accounts as that may have the address until it counts as a house of many homes"

[params.max_identifiers]
default = 20
min = 3
max = 200
meaning = "identifiers of the anchor, and devices of its cards, that are read, the first it had"

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
  AND (coalesce(p.created, p.first_seen) > a.first - $window_ms OR any(k IN kinds WHERE k.kind = 'Email'))
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
WITH a.id AS anchor, time, own_opening, links
UNWIND links AS link
WITH anchor, time, own_opening, link
WHERE link.since <= time AND link.until > time
WITH anchor, time, own_opening, link.kind AS kind, link.id AS id, count(link) + 1 AS degree, collect(link) AS held
UNWIND held AS link
WITH anchor, time, link.account AS account, count(DISTINCT kind) AS kinds, min(degree) AS rarest,
     sum(1 / log(degree + 5)) AS weight, max(CASE WHEN kind = 'Email' THEN 1 ELSE 0 END) AS mailbox,
     max(CASE WHEN kind = 'Phone' THEN 1 ELSE 0 END) AS phone,
     max(CASE WHEN kind = 'Address' THEN 1 ELSE 0 END) AS door,
     max(CASE WHEN kind = 'Address' THEN degree ELSE 0 END) AS neighbours, collect({kind: kind, id: id}) AS shared,
     max(CASE WHEN own_opening > time - $window_ms AND link.opened > time - $window_ms THEN 1 ELSE 0 END) AS young,
     max(CASE WHEN own_opening <= time - $window_ms AND link.opened <= time - $window_ms THEN 1 ELSE 0 END) AS old
WITH anchor, time, account, kinds, weight, mailbox, phone, door, neighbours, shared, young, old,
     (kinds >= $min_kinds AND young + mailbox > 0) OR (young = 1 AND rarest <= $max_rare AND mailbox + phone > 0) AS close,
     young = 1 AND kinds = 1 AND (door = 0 OR neighbours <= $max_rare) AS loose
WHERE close OR loose
WITH anchor, time, collect({account: account, kinds: kinds, weight: weight, mailbox: mailbox, phone: phone, door: door,
                            neighbours: neighbours, young: young, old: old, shared: shared, close: close, loose: loose}) AS others
WITH anchor, time, [q IN others WHERE q.close] AS others, [q IN others WHERE q.loose AND q.door = 1] AS tenants,
     size([q IN others WHERE q.close AND q.loose AND q.phone = 1]) AS callers
WITH anchor, time, others, CASE WHEN callers >= $min_accounts - 1 AND size(tenants) >= $min_accounts - 1
                                  AND callers + size(tenants) >= $max_household THEN tenants ELSE [] END AS tenants
WHERE size(tenants) > 0
   OR any(q IN others WHERE q.kinds >= $min_kinds AND (q.mailbox = 1 OR size(others) >= $min_accounts - 1))
CALL {
  WITH anchor, time, others, tenants
  MATCH (p:Account {id: anchor})-[o:OWNS]->(c:Card)
  WHERE o.first_seen <= time
  MATCH (c)<-[g:OWNS]-(q:Account)
  WHERE g.first_seen <= time AND q.id IN [other IN others + tenants | other.account]
  RETURN collect(DISTINCT q.id) AS mates
}
CALL {
  WITH anchor, time, others, tenants, mates
  UNWIND [anchor] + [q IN others + tenants WHERE q.mailbox = 1 OR q.account IN mates | q.account] AS account
  WITH DISTINCT time, account
  MATCH (q:Account {id: account})-[:OWNS]->(:Card)-[:MADE]->(t:Transaction)-[:AT]->(m:Merchant)
  WHERE t.account = account AND t.time > time - $window_ms AND t.time <= time
  WITH account, collect(DISTINCT m.id) AS shops
  WHERE size(shops) = 1
  RETURN collect({account: account, shop: shops[0]}) AS regulars
}
WITH anchor, time, tenants, others, regulars, head([r IN regulars WHERE r.account = anchor | r.shop]) AS shop,
     [q IN others WHERE q.mailbox = 1 AND q.account IN mates | q.account] AS selves
WITH anchor, time, tenants, others, selves + [r IN regulars WHERE r.shop <> shop | r.account] AS selves
WITH anchor, time, [q IN others WHERE NOT q.account IN selves] AS others,
     [q IN tenants WHERE NOT q.account IN selves] AS tenants
WITH anchor, time, others, CASE WHEN size(tenants) >= $min_accounts - 1 THEN tenants ELSE [] END AS tenants
CALL {
  WITH anchor, time, others
  UNWIND [anchor] + [q IN others WHERE q.young = 1 | q.account] AS account
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
  RETURN size(homes) < 2 OR any(home IN homes[0..2] WHERE any(door IN home
         WHERE size([other IN homes WHERE door IN other]) >= size(homes) - 1)) AS together
}
WITH anchor, time, tenants, others, together, [q IN others WHERE q.mailbox = 1 AND q.kinds >= $min_kinds] AS readers,
     [q IN others WHERE q.young = 1] AS young, [q IN others WHERE q.young = 1 AND q.kinds >= $min_kinds] AS near
CALL {
  WITH anchor, time, near, together, readers
  WITH anchor, time, CASE WHEN together AND size(near) >= $min_accounts - 1 THEN [q IN near | q.account] ELSE [] END
                     + [q IN readers WHERE q.old = 1 AND q.phone + q.door = 2 | q.account] AS accounts
  UNWIND CASE WHEN size(accounts) > 0 THEN [anchor] + accounts ELSE [] END AS account
  WITH DISTINCT anchor, time, account
  MATCH (q:Account {id: account})
  CALL {
    WITH time, q
    MATCH (q)-[:OWNS]->(:Card)-[:MADE]->(t:Transaction)-[:FROM]->(i:IP)
    WHERE t.account = q.id AND t.time <= time
    WITH time, t, i ORDER BY t.time, t.id LIMIT $max_identifiers
    RETURN count(t) AS seen, collect(DISTINCT CASE WHEN i.hub_since > time THEN i.id END) AS ips
  }
  WITH collect({id: q.id, own: q.id = anchor, ips: ips,
                opened: CASE WHEN q.created > time - $window_ms AND seen >= $min_seen THEN q.created END}) AS people
  WITH people, head([one IN people WHERE one.own]) AS self
  WITH people, self, [one IN people WHERE NOT one.own AND any(ip IN one.ips WHERE ip IN self.ips) | one.id] AS at_home
  RETURN at_home, size([one IN people WHERE NOT one.own AND NOT one.id IN at_home
                        AND abs(one.opened - self.opened) <= $max_apart_ms]) AS apart
}
WITH anchor, time, tenants, others, young, near, together, apart,
     CASE WHEN all(q IN readers WHERE q.old = 1 AND q.phone + q.door = 2 AND q.account IN at_home) THEN [] ELSE readers END AS readers
CALL {
  WITH anchor, time, readers
  UNWIND CASE WHEN size(readers) = 1 THEN readers ELSE [] END AS reader
  MATCH (p:Account {id: anchor})-[o:OWNS]->(c:Card)-[u:USED]->(d:Device)
  WHERE o.first_seen <= time AND u.first_seen <= time AND d.hub_since > time
  WITH time, reader, d, min(u.first_seen) AS since ORDER BY since, d.id LIMIT $max_identifiers
  MATCH (d)<-[v:USED]-(:Card)<-[g:OWNS]-(q:Account)
  WHERE q.id = reader.account AND v.first_seen <= time AND g.first_seen <= time
  RETURN count(q) AS in_one_hand
}
WITH anchor, time, tenants, others, readers, young,
     size(readers) >= $min_accounts - 1
       OR (in_one_hand = 0 AND size([q IN readers WHERE q.door = 0]) >= $min_strangers - 1) AS strangers,
     apart >= $min_accounts - 1 OR (size(young) >= $min_accounts - 1 AND size(near) > 0
       AND reduce(weight = 0.0, q IN young | weight + q.weight) >= $min_weight
       AND (NOT together OR any(q IN young WHERE q.mailbox = 1)
            OR size([q IN near WHERE q.neighbours <= $max_crowding * (size(near) + 1)]) >= $max_household)) AS newcomers
WITH anchor, time, tenants, others, readers, strangers, newcomers OR size(tenants) > 0 AS newcomers
WHERE strangers OR newcomers
UNWIND tenants + [q IN others WHERE (newcomers AND q.young = 1) OR q IN readers] AS q
WITH anchor, time, q, CASE WHEN size(tenants) > 0 AND q.kinds < 2 THEN 2 ELSE q.kinds END AS kinds ORDER BY q.account
WITH anchor, time, count(q) + 1 AS accounts, max(kinds) AS kinds, sum(q.mailbox) AS mailboxes,
     round(1000 * sum(q.weight)) / 1000 AS weight, [anchor] + collect(q.account) AS account_ids,
     CASE WHEN sum(q.young) > 0 THEN [anchor] ELSE [] END + collect(CASE WHEN q.young = 1 THEN q.account END) AS new_ids,
     collect(q.shared) AS shares
UNWIND shares AS shared
UNWIND shared AS s
WITH anchor, time, accounts, kinds, mailboxes, weight, account_ids, new_ids, s.kind AS kind, s.id AS id, count(s) AS holders
ORDER BY holders DESC, id
WITH anchor, time, accounts, kinds, mailboxes, weight, account_ids, new_ids, collect(id) AS ids,
     collect(CASE WHEN kind = 'Email' THEN id END) AS emails,
     collect(CASE WHEN kind = 'Phone' THEN id END) AS phones,
     collect(CASE WHEN kind = 'Address' THEN id END) AS addresses
CALL {
  WITH time, account_ids, new_ids, ids
  UNWIND account_ids AS account
  MATCH (q:Account {id: account})-[:OWNS]->(c:Card)-[:MADE]->(t:Transaction)
  WHERE t.account = account AND t.time > time - $window_ms AND t.time <= time
  OPTIONAL MATCH (t)-[:SHIPPED_TO]->(x:Address)
  WITH account, new_ids, ids, c, t, x
  WHERE account IN new_ids OR t.email IN ids OR t.phone IN ids OR t.billing_address IN ids OR x.id IN ids
  WITH DISTINCT c, t ORDER BY t.time DESC, t.id LIMIT $max_evidence
  RETURN collect(DISTINCT c.id) AS card_ids, collect(t.id) AS transactions
}
RETURN 'Account' AS anchor_label, anchor, time, emails, phones, addresses, account_ids, card_ids,
       transactions, ids[0] AS strongest, accounts, kinds, mailboxes, weight
