/*
id = "refund_abuse"
title = "Refund abuse"
version = 9
status = "stable"
severity = "medium"
anchor = ["Account"]
touch = { status = ["refunded"] }
identity = ["email", "phone", "address", "device"]
budget_ms = 100
rationale = """
Goods that never came, empty boxes sent back: one hand that lives on refunds needs another account whenever a shop has
had enough of the last. So accounts share an e-mail, which a household does not, or they share a phone, an address or a
device and are young; several of them ask for their money, and they get back a large part of what they bought. One
refund for each account is enough where they read one another's mail; else it takes more, as two unlucky people under
one roof are no ring. Accounts are also bought, years old: where one shop, or all of them together, gives back to three
or more nearly all they pay there, and most of it is no clothing, their age says nothing, nor does what they buy
elsewhere. An account that is refunded is in the ring's own hand, so that what shares it is one ring. What was paid back
is evidence with its refund.
"""
source = "typology 12 of the catalogue"
blind_spots = """
Two old accounts (max_age_ms) that share no e-mail, or more that are refunded less or buy clothes; without
account_created an account is as old as its first transaction here, so that at the start of a stream all are young.
Accounts that share nothing but cards. Rings that buy clothing, of which much is sent back honestly, up to
min_clothing_share. A refund that names no account. Two people of one household who are both new, and both unlucky. Of
an account's identifiers, and of its devices, the first max_identifiers are read, of each the first max_holders
accounts, and of each of these the first max_transactions purchases and refunds of a day.
"""
triage = "Which reasons were given for the refunds, and did anything come back? Were the accounts opened in turn?"

[returns]
email = { role = "core", label = "Email" }
phone = { role = "core", label = "Phone" }
address = { role = "core", label = "Address" }
device = { role = "core", label = "Device" }
account_ids = { role = "core", label = "Account" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
accounts = { role = "measure", threshold = "min_accounts", means = "accounts with this identifier that were refunded in the window: young ones, unless it is an e-mail, or min_old_accounts" }
refunds = { role = "measure", threshold = "min_email_refunds", means = "purchases that were refunded to them in the window; unless it is an e-mail, min_refunds at least, or min_old_refunds where some are old" }
share = { role = "measure", threshold = "min_share", means = "refunds for each purchase of theirs in the window" }
account_share = { role = "measure", threshold = "min_account_share", means = "these accounts among all with this identifier that bought anything in the window" }

[[false_positives]]
name = "a household that has been buying, and returning, for years"
fixture = "household"

[[false_positives]]
name = "a household of old customers that has clothes sent to try on, and keeps few"
fixture = "old_household"

[[false_positives]]
name = "a household that is unlucky at several shops"
fixture = "several_shops"

[[false_positives]]
name = "a young couple that orders clothes to try on, and sends back most of them"
fixture = "clothing_returns"

[[false_positives]]
name = "a student hall: one address, many new accounts, some refunds"
fixture = "student_hall"

[[false_positives]]
name = "one customer, with one card, of two shops that each keep an account"
fixture = "one_customer_of_two_shops"

[params.window_ms]
default = 2592000000
min = 86400000
max = 7776000000
meaning = "how far back the window reaches, in milliseconds"

[params.min_accounts]
default = 2
min = 2
max = 50
meaning = "accounts with one identifier that were refunded in the window and, unless it is an e-mail, are young"

[params.min_refunds]
default = 4
min = 2
max = 500
meaning = "purchases that were refunded to these accounts in the window, however many times each"

[params.min_email_refunds]
default = 2
min = 2
max = 500
meaning = "the same for accounts that share an e-mail"

[params.min_old_accounts]
default = 3
min = 2
max = 50
meaning = "the same for accounts that share a phone, an address or a device, and are not all young"

[params.min_old_refunds]
default = 8
min = 2
max = 500
meaning = "purchases that one shop, or all together, refunded to these: min_clothing_share of all they bought there, less than half of it clothing"

[params.min_share]
default = 0.3
min = 0.05
max = 1.0
meaning = "refunds for each purchase of these accounts in the window"

[params.min_untold_share]
default = 0.6
min = 0.0
max = 2.0
meaning = "the same of accounts of which nobody says when they were opened, and that share no e-mail: they may be an old couple's"

[params.min_clothing_share]
default = 0.7
min = 0.05
max = 1.0
meaning = "the same for purchases of clothing (merchant categories 5600 to 5699, or so named)"

[params.min_account_share]
default = 0.5
min = 0.0
max = 1.0
meaning = "share of these accounts among all with the identifier that bought or were refunded in the window"

[params.max_age_ms]
default = 7776000000
min = 86400000
max = 63072000000
meaning = "how long before the touch an account may have been opened to be young, in milliseconds"

[params.max_identifiers]
default = 20
min = 3
max = 200
meaning = "identifiers and devices of the anchor that are read, the first it had"

[params.max_holders]
default = 100
min = 10
max = 1000
meaning = "accounts of one identifier that are read, the first that had it"

[params.max_transactions]
default = 500
min = 50
max = 10000
meaning = "an account with so many purchases in the window is no customer, and is not judged"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (r:Transaction {refunded_account: a.id})
USING INDEX SEEK r:Transaction(refunded_account)
WHERE r.time >= a.first AND r.time <= a.last
WITH a, collect(DISTINCT r.time) AS moments
MATCH (p:Account {id: a.id})
CALL {
  WITH a, p
  MATCH (p)-[h:HAS]->(x)
  WHERE h.first_seen <= a.last
  RETURN x ORDER BY h.first_seen, x.id LIMIT $max_identifiers
  UNION ALL
  WITH a, p
  MATCH (p)-[:OWNS]->(:Card)-[u:USED]->(x:Device)
  WHERE u.first_seen <= a.last
  WITH x, min(u.first_seen) AS since
  RETURN x ORDER BY since, x.id LIMIT $max_identifiers
}
WITH a, p, moments, x
WHERE (x.degree >= $min_accounts OR labels(x)[0] = 'Device') AND x.hub_since > a.first
CALL {
  WITH a, x
  MATCH (x)<-[h:HAS]-(q:Account)
  WHERE h.first_seen <= a.last
  RETURN q, h.first_seen AS since ORDER BY since, q.id LIMIT $max_holders
  UNION ALL
  WITH a, x
  MATCH (x)<-[u:USED]-(:Card)<-[:OWNS]-(q:Account)
  WHERE u.first_seen <= a.last
  WITH q, min(u.first_seen) AS since
  RETURN q, since ORDER BY since, q.id LIMIT $max_holders
}
CALL {
  WITH a, q
  MATCH (r:Transaction {refunded_account: q.id})
  USING INDEX SEEK r:Transaction(refunded_account)
  WHERE r.time >= (a.first - $window_ms) / 86400000 * 86400000 AND r.time <= a.last
  MATCH (r)<-[:MADE]-(c:Card)
  OPTIONAL MATCH (r)-[:AT]->(m:Merchant)
  WITH r, c, m ORDER BY r.time, r.id
  WITH r.time / 86400000 AS day, collect({id: r.id, time: r.time, card: c.id, shop: coalesce(m.id, ''),
                                          purchase: coalesce(r.original_transaction_id, r.id)}) AS made
  UNWIND made[0..$max_transactions] AS refund
  RETURN collect(refund) AS refunds
}
WITH a, moments, x, collect({id: q.id, opened: coalesce(q.created, q.first_seen), told: q.created IS NOT NULL, since: since,
                             refunds: refunds}) AS holders
WHERE size([q IN holders WHERE size(q.refunds) > 0]) >= $min_accounts
WITH a, moments, x, holders, reduce(n = 0, q IN holders | n + size(q.refunds)) AS made
WHERE made >= CASE WHEN labels(x)[0] = 'Email' THEN $min_email_refunds ELSE $min_refunds END OR made >= $min_old_refunds
UNWIND holders AS q
CALL {
  WITH a, q
  MATCH (:Account {id: q.id})-[o:OWNS]->(c:Card)
  WHERE o.last_seen > a.first - $window_ms - 60000 AND o.first_seen <= a.last
  MATCH (c)-[:MADE]->(t:Transaction)
  WHERE t.account = q.id AND t.status = 'approved'
    AND t.time >= (a.first - $window_ms) / 86400000 * 86400000 AND t.time <= a.last
  OPTIONAL MATCH (t)-[:AT]->(m:Merchant)
  WITH t, m ORDER BY t.time, t.id
  WITH t.time / 86400000 AS day, collect({id: t.id, time: t.time, shop: coalesce(m.id, ''),
                                          category: toLower(coalesce(m.category, ''))}) AS made
  UNWIND made[0..$max_transactions] AS purchase
  WITH purchase, purchase.category STARTS WITH '56' OR purchase.category CONTAINS 'cloth'
       OR purchase.category CONTAINS 'apparel' OR purchase.category CONTAINS 'fashion' AS is_clothing
  RETURN collect({id: purchase.id, time: purchase.time, shop: purchase.shop, clothing: is_clothing}) AS purchases
}
WITH a, moments, x, collect({id: q.id, opened: q.opened, told: q.told, since: q.since, refunds: q.refunds,
                             purchases: purchases}) AS holders
UNWIND [time IN a.times WHERE time IN moments AND time < x.hub_since] AS time
WITH a.id AS anchor, time, labels(x)[0] AS kind, x.id AS shared,
     [q IN holders WHERE q.since <= time |
      {id: q.id, opened: q.opened, told: q.told,
       refunds: [r IN q.refunds WHERE r.time > time - $window_ms AND r.time <= time],
       purchases: [t IN q.purchases WHERE t.time > time - $window_ms AND t.time <= time]}] AS holders
WITH anchor, time, kind, shared, [q IN holders WHERE size(q.refunds) + size(q.purchases) > 0] AS active
WITH anchor, time, kind, shared, size(active) AS active,
     [q IN active WHERE size(q.refunds) > 0 AND size(q.purchases) < $max_transactions] AS refunded
WITH anchor, time, kind, shared, active, refunded,
     [q IN refunded WHERE kind = 'Email' OR q.opened > time - $max_age_ms] AS young,
     reduce(shops = [], shop IN [r IN coalesce(head([q IN refunded WHERE q.id = anchor]).refunds, []) WHERE r.time = time |
                                 r.shop] | CASE WHEN shop IN shops THEN shops ELSE shops + [shop] END) AS shops
WITH anchor, time, kind, shared, active,
     [{old: false, shop: '', accounts: young},
      {old: true, shop: '', accounts: CASE WHEN size(refunded) > size(young) THEN refunded ELSE [] END}]
     + [shop IN CASE WHEN size(refunded) > size(young) THEN shops ELSE [] END |
      {old: true, shop: shop, accounts: [q IN refunded WHERE any(r IN q.refunds WHERE r.shop = shop) |
                             {id: q.id, told: true, refunds: [r IN q.refunds WHERE r.shop = shop],
                              purchases: [t IN q.purchases WHERE t.shop = shop]}]}] AS groups
UNWIND groups AS found
WITH anchor, time, kind, shared, active, found.old AS old, found.shop AS shop, found.accounts AS refunded
WHERE size(refunded) >= CASE WHEN old THEN $min_old_accounts ELSE $min_accounts END
  AND size(refunded) >= $min_account_share * active AND any(q IN refunded WHERE q.id = anchor)
WITH anchor, time, kind, shared, active, old, shop, refunded,
     reduce(n = 0, q IN refunded | n + size(q.purchases)) AS purchases,
     reduce(n = 0.0, q IN refunded | n + reduce(m = 0.0, t IN q.purchases | m +
       CASE WHEN t.clothing THEN $min_clothing_share WHEN q.told OR kind = 'Email' THEN $min_share ELSE $min_untold_share END)) AS allowed
UNWIND refunded AS q
WITH anchor, time, kind, shared, active, old, shop, purchases, allowed, q, [t IN q.purchases | t.id] AS bought
UNWIND q.refunds AS r
WITH anchor, time, kind, shared, active, old, shop, purchases, allowed, q.id AS account, bought, r
ORDER BY r.time DESC, r.id
WITH anchor, time, kind, shared, active, old, shop, purchases, allowed, count(DISTINCT account) AS accounts,
     count(DISTINCT r.purchase) AS refunds, collect(DISTINCT account) AS account_ids,
     collect(DISTINCT r.card) AS card_ids,
     collect(r.id) + collect(DISTINCT CASE WHEN r.purchase IN bought THEN r.purchase END) AS transactions
WHERE CASE WHEN old THEN refunds >= $min_old_refunds AND refunds >= $min_clothing_share * purchases
                         AND 2 * allowed < ($min_share + $min_clothing_share) * purchases
           ELSE refunds >= CASE WHEN kind = 'Email' THEN $min_email_refunds ELSE $min_refunds END AND refunds >= allowed
                AND size(card_ids) >= $min_accounts END
WITH anchor, time, kind, shared, active, old, purchases, accounts, refunds, account_ids, card_ids, transactions
     ORDER BY old, refunds, transactions[0]
WITH anchor, time, kind, shared, collect({active: active, purchases: purchases, accounts: accounts, refunds: refunds,
                                          account_ids: account_ids, card_ids: card_ids, transactions: transactions}) AS found
WITH anchor, time, kind, shared, found[size(found) - 1] AS f
WITH anchor, time, kind, shared, f.active AS active, f.purchases AS purchases, f.accounts AS accounts,
     f.refunds AS refunds, f.account_ids AS account_ids, f.card_ids AS card_ids, f.transactions AS transactions
RETURN 'Account' AS anchor_label, anchor, time,
       CASE WHEN kind = 'Email' THEN shared END AS email, CASE WHEN kind = 'Phone' THEN shared END AS phone,
       CASE WHEN kind = 'Address' THEN shared END AS address,
       CASE WHEN kind = 'Device' THEN shared END AS device, account_ids, card_ids,
       transactions[0..$max_evidence] AS transactions, accounts, refunds,
       1.0 * refunds / CASE WHEN purchases > refunds THEN purchases ELSE refunds END AS share,
       1.0 * accounts / active AS account_share
