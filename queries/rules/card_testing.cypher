/*
id = "card_testing"
title = "Card testing"
version = 8
status = "stable"
severity = "high"
anchor = ["Device", "IP"]
gate = { degree = "min_cards" }
reach = { Device = ["young_ms", "mailbox_ms"] }
identity = ["device", "ip"]
budget_ms = 100
rationale = """
Whoever buys a list of stolen cards first finds out which of them live: many cards that have not been seen at one device
or IP before pay small amounts there within minutes, and most are declined. Whoever takes hours over it does so from a
device that has just appeared, and tries what lives once more, so that there it is the cards that are counted: five
people who come to a new device are not declined every other one. Nor are five within minutes, whatever they pay: at a
device what is quick need not be small. Nor do five cards without an account have one mailbox: where the buyers at one
device name the same within a day (at an IP within minutes), however old it is, fewer declines are enough, unless they
have things sent to several addresses, as an agent's clients do. Where a shop declines many of its customers anyway,
what is declined at the place has to stand out from that.
"""
source = "Hyperswitch (3 failures per card and IP), FraudHalo (over 40 % declines in 5 minutes); typology 1"
blind_spots = """
A small amount is given in minor units and is the same for every currency: 1000 is 10.00 EUR and 1000 JPY, which are
alike, but 10 SEK or 1000 KRW are hardly anything: where such currencies matter it has to be raised. Tests spread over
many devices and IPs, or over hours at an IP or, unless one mailbox tells, at a device that is older than young_ms. A
list of which most cards live. Cards at one IP, each on an account of its own, where no device is told: so a shop bills
its subscribers. A tester who takes a shop that declines so many that five more are nothing, unless one mailbox tells.
Hubs: a tester behind a carrier's NAT is seen by the device only. Of one hour only the first max_per_hour transactions
(at an IP: small ones) are read, and of these the first max_per_card of each card.
"""
triage = "Is it one merchant or many? Which of the cards were approved: those are the ones that will be used."

[returns]
device = { role = "core", label = "Device" }
ip = { role = "core", label = "IP" }
card_ids = { role = "member", label = "Card" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards new to the place that paid in the window (at an IP small amounts), or small amounts at a young device ever, or whatever for one mailbox" }
declined_share = { role = "measure", threshold = "min_mailbox_share", means = "declined share of the transactions in the window (at an IP of the small ones), or of the cards that made small ones at a young device: min_declined_share at least, and more than is usual at the shop; or of the cards of one mailbox" }
merchants = { role = "measure", means = "merchants at which they were tried" }

[[false_positives]]
name = "a shop bills its subscribers from its own server, and many cards have expired"
fixture = "billing_run"

[[false_positives]]
name = "a carrier's or an office's shared address: many cards, few declines"
fixture = "carrier_nat"

[[false_positives]]
name = "an issuer's outage: its cards are declined everywhere, with usual amounts"
fixture = "issuer_outage"

[[false_positives]]
name = "an issuer's outage at a shared place where small amounts are usual: its cards are known there"
fixture = "issuer_outage_small"

[params.window_ms]
default = 600000
min = 60000
max = 3600000
meaning = "how far back the window reaches, in milliseconds"

[[false_positives]]
name = "a ticket machine at a busy hour: some of its customers are declined"
fixture = "busy_kiosk"

[[false_positives]]
name = "a new kiosk that sells small things: some of its customers are declined"
fixture = "new_kiosk"

[[false_positives]]
name = "a shop that declines a third of its customers, some of whom share an IP"
fixture = "strict_shop"

[[false_positives]]
name = "customers of a new kiosk, each with a mailbox"
fixture = "kiosk_with_receipts"

[[false_positives]]
name = "a buyer with an account, whose new tablet is told five cards"
fixture = "one_account"

[[false_positives]]
name = "an agent who buys as a guest, with the cards of five clients"
fixture = "agent"

[params.young_ms]
default = 604800000
min = 600000
max = 604800000
meaning = "for how long after its first use a device is young, and is judged by all small amounts that were tried there, in milliseconds"

[params.mailbox_ms]
default = 86400000
min = 600000
max = 604800000
meaning = "how long one mailbox is followed at a device, in milliseconds"

[params.min_cards]
default = 5
min = 2
max = 50
meaning = "distinct cards that were used at the place for the first time in the window (at an IP with small amounts), or with small amounts at a young device"

[params.min_declined_share]
default = 0.5
min = 0.1
max = 1.0
meaning = "declined share of the transactions in the window (at an IP of the small ones), or of the cards at a young device"

[params.min_mailbox_share]
default = 0.4
min = 0.1
max = 1.0
meaning = "declined share of min_cards cards or more that paid at a device without an account within mailbox_ms, all for one e-mail (at an IP: small amounts in the window)"

[params.usual_ms]
default = 604800000
min = 3600000
max = 2592000000
meaning = "how long what is usual at a shop is counted, until young_ms (where it was quick, mailbox_ms) before the touch, in milliseconds"

[params.min_deviations]
default = 3.0
min = 0.0
max = 10.0
meaning = "standard deviations by which the declined cards have to exceed what is usual at the shops"

[params.small_amount]
default = 1000
min = 0
max = 100000000
meaning = "the largest amount that counts as small, in minor units of whatever currency"

[params.max_per_hour]
default = 2000
min = 100
max = 10000
meaning = "transactions of one hour at a device, and small ones at an IP, that are read, the first of the hour"

[params.max_per_card]
default = 5
min = 1
max = 100
meaning = "of those, how many count for one card, the first of the hour"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
CALL {
  WITH a
  UNWIND CASE WHEN a.label = 'Device' THEN [a.id] ELSE [] END AS id
  MATCH (x:Device {id: id})
  WHERE x.hub_since > a.first
  UNWIND range(CASE WHEN x.first_seen > a.first - $young_ms THEN x.first_seen ELSE a.first - $mailbox_ms END / 3600000,
               a.last / 3600000) AS hour
  CALL {
    WITH a, hour
    MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(device_hour)
    WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
    RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
  }
  RETURN x, t
  UNION ALL
  WITH a
  UNWIND CASE WHEN a.label = 'IP' THEN [a.id] ELSE [] END AS id
  MATCH (x:IP {id: id})
  WHERE x.hub_since > a.first
  UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
  CALL {
    WITH a, hour
    MATCH (t:Transaction {ip_hour: a.id + '|' + toString(hour)})
    USING INDEX SEEK t:Transaction(ip_hour)
    WHERE t.amount <= $small_amount AND NOT coalesce(t.channel, '') IN ['pos', 'atm']
    RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
  }
  RETURN x, t
}
WITH a, x, collect(t) AS tried, sum(CASE WHEN t.status = 'declined' THEN 1 ELSE 0 END) AS declined
WHERE size(tried) >= $min_cards
  AND declined >= $min_cards * CASE WHEN $min_mailbox_share < $min_declined_share THEN $min_mailbox_share ELSE $min_declined_share END
UNWIND tried AS t
MATCH (t)<-[:MADE]-(c:Card)
WITH a, x, c, t ORDER BY t.time, t.id
WITH a, x, c, t.time / 3600000 AS hour, collect(t) AS made
MATCH (c)-[u:USED]->(x)
UNWIND made[0..$max_per_card] AS t
OPTIONAL MATCH (t)-[:AT]->(m:Merchant)
OPTIONAL MATCH (t)-[:SHIPPED_TO]->(y:Address)
WITH a, x, t, c, u, m, y ORDER BY t.time DESC, t.id
WITH a, x.hub_since AS hub_since, CASE WHEN a.label = 'Device' THEN x.first_seen ELSE 0 END AS opened,
     collect({id: t.id, time: t.time, declined: t.status = 'declined', card: c.id, since: u.first_seen,
              merchant: m.id, small: t.amount <= $small_amount, account: t.account, in_browser: t.device_hour IS NOT NULL,
              mailbox: CASE WHEN t.account IS NULL THEN t.email END, sent_to: y.id}) AS window
WITH a, hub_since, opened, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.label AS label, a.id AS anchor, time, opened > time - $young_ms AS young, window
WITH label, anchor, time, young,
     [seen IN window WHERE seen.time <= time
                      AND seen.time > time - CASE WHEN label = 'IP' THEN $window_ms WHEN young THEN $young_ms
                                                  ELSE $mailbox_ms END] AS window
WHERE size(window) >= $min_cards
CALL {
  WITH time, window
  UNWIND [seen IN window WHERE seen.mailbox IS NOT NULL AND seen.time > time - $mailbox_ms] AS seen
  WITH time, seen.mailbox AS mailbox, max(seen.time) AS newest, count(DISTINCT seen.card) AS cards,
       count(DISTINCT CASE WHEN seen.declined THEN seen.card END) AS declined, count(DISTINCT seen.sent_to) AS addresses
  WHERE newest = time AND cards >= $min_cards AND declined >= $min_mailbox_share * cards AND addresses < 2
  WITH mailbox, cards, declined ORDER BY cards DESC, mailbox LIMIT 1
  RETURN collect({id: mailbox, cards: cards, declined: 1.0 * declined / cards}) AS mailboxes
}
UNWIND window AS seen
WITH label, anchor, time, young, mailboxes, seen, seen.time > time - $window_ms AS recent
WITH label, anchor, time, young, mailboxes, count(DISTINCT CASE WHEN seen.small THEN seen.card END) AS all_cards,
     count(DISTINCT CASE WHEN seen.small AND seen.declined THEN seen.card END) AS declined_cards,
     count(DISTINCT CASE WHEN recent AND seen.since > time - $window_ms - 60000 THEN seen.card END) AS new_cards,
     count(DISTINCT seen.card) = count(DISTINCT seen.account) AND none(used IN collect(seen.in_browser) WHERE used) AS billed,
     sum(CASE WHEN recent THEN 1 ELSE 0 END) AS made, sum(CASE WHEN recent AND seen.declined THEN 1 ELSE 0 END) AS declined,
     collect(seen) AS window
WITH label, anchor, time, young, mailboxes, billed, all_cards, CASE WHEN all_cards > 0 THEN 1.0 * declined_cards / all_cards ELSE 0.0 END AS declined_cards, new_cards,
     CASE WHEN made > 0 THEN 1.0 * declined / made ELSE 0.0 END AS declined, window
WITH label, anchor, time, all_cards, declined_cards, new_cards, declined, window, mailboxes,
     new_cards >= $min_cards AND declined >= $min_declined_share AND NOT (label = 'IP' AND billed) AS quick,
     young AND all_cards >= $min_cards AND declined_cards >= $min_declined_share AS slow
WHERE quick OR slow OR size(mailboxes) > 0
CALL {
  WITH time, window, quick, slow
  UNWIND CASE WHEN quick OR slow THEN window ELSE [] END AS seen
  WITH time, CASE WHEN quick THEN $mailbox_ms ELSE $young_ms END AS back, size(window) AS made,
       seen.merchant AS merchant, count(seen.id) AS here
  WHERE merchant IS NOT NULL
  UNWIND range((time - back - $usual_ms) / 3600000, (time - back) / 3600000 - 1) AS hour
  MATCH (n:Tally {id: merchant + '|' + toString(hour)})
  WITH merchant, made, here, sum(n.transactions) AS transactions, sum(n.declined) AS declined
  RETURN coalesce(sum(1.0 * here * declined / transactions / made), 0.0) AS usual
}
WITH label, anchor, time, all_cards, declined_cards, new_cards, declined, window, mailboxes, quick, slow, usual,
     CASE WHEN quick THEN new_cards ELSE all_cards END AS tried,
     CASE WHEN quick THEN declined ELSE declined_cards END AS refused
WITH label, anchor, time, window, mailboxes, quick, tried, refused,
     (quick OR slow) AND refused > usual AND tried * (refused - usual) >= $min_deviations * sqrt(usual * (1 - usual) * tried) AS stands_out
WHERE stands_out OR size(mailboxes) > 0
UNWIND [seen IN window WHERE CASE WHEN NOT stands_out THEN coalesce(seen.mailbox = mailboxes[0].id, false) AND seen.time > time - $mailbox_ms
                                  WHEN quick THEN seen.time > time - $window_ms ELSE seen.small END] AS seen
WITH label, anchor, time, CASE WHEN stands_out THEN tried ELSE mailboxes[0].cards END AS cards,
     CASE WHEN stands_out THEN refused ELSE mailboxes[0].declined END AS declined_share,
     count(DISTINCT seen.merchant) AS merchants, collect(DISTINCT seen.card) AS card_ids, collect(seen.id) AS transactions
RETURN label AS anchor_label, anchor, time,
       CASE WHEN label = 'Device' THEN anchor END AS device, CASE WHEN label = 'IP' THEN anchor END AS ip,
       card_ids, transactions[0..$max_evidence] AS transactions, cards, declined_share, merchants
