/*
id = "triangulation"
title = "Triangulation"
version = 6
status = "stable"
severity = "high"
anchor = ["Device"]
gate = { degree = "min_cards" }
identity = ["device"]
budget_ms = 150
rationale = """
A shop that does not exist sells goods to real customers and has them delivered by a real shop, which it pays with
stolen cards: on one device every order has another card and another address, nearly one to one, and no address is
the cardholder's. Where several cards are billed to one address, for one account and one mailbox, it is an agent's.
"""
source = "typology 13 of the catalogue"
blind_spots = """
Card and address belong together where the card is billed to that address, or where an account older than max_age_ms has
both, and had the address before the window or does not tell where the card is billed: what is not told of an old
account is its own business (account_takeover_fan_in looks after those that were taken over). A device at one merchant,
on one IP, for which nobody tells a billing address, is taken for the merchant's. So where guests order and nobody tells
their billing addresses, the first customers of a kiosk or a call centre on a new device look alike until it passes the
hub cap; and since a device may be told by its model, such guests count only where they pay from few IPs that are no hubs:
behind a proxy for each order, or where no IP is told, they are not found. The mailboxes to which orders are confirmed tie one device of a scheme to the next, but only those of accounts
no older than max_age_ms (an older one's is a victim's) are told: the graph keeps no guest's. Orders that go through a
warehouse or that name no address. Of one hour only the first max_per_hour transactions at the device are read, and of
these the first max_per_pair of each card and address.
"""
triage = "Where did these cards have things sent before? Does a recipient know the cardholder, or which shop sold it?"

[returns]
device = { role = "core", label = "Device" }
card_ids = { role = "member", label = "Card" }
account_ids = { role = "member", label = "Account" }
address_ids = { role = "member", label = "Address" }
email_ids = { role = "member", label = "Email" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards new to the device that paid for deliveries to addresses not known to belong to them" }
addresses = { role = "measure", threshold = "min_addresses", means = "such addresses" }
one_to_one = { role = "measure", threshold = "min_one_to_one", means = "cards or addresses, whichever are fewer, by pairs of both, over all deliveries ordered on the device" }
strange_share = { role = "measure", threshold = "min_strange_share", means = "share of these pairs in which card and address are not known to belong together" }

[[false_positives]]
name = "a gift buyer: many addresses, but one person's cards"
fixture = "gift_buyer"

[[false_positives]]
name = "an agent who shops for clients: many cards, but few addresses, or a forwarder's"
fixture = "agent"

[[false_positives]]
name = "an agent with a new account, who is billed for all clients' cards"
fixture = "agent_who_is_billed"

[[false_positives]]
name = "a family that sends presents from its new tablet"
fixture = "family"

[[false_positives]]
name = "a shared computer, from which customers of long standing order"
fixture = "shared_computer"

[[false_positives]]
name = "a public computer, where guests order to their billing addresses, but for a present now and then"
fixture = "internet_cafe"

[[false_positives]]
name = "a call centre that keys in its customers' orders"
fixture = "call_centre"

[[false_positives]]
name = "a shop's own terminal or clerk, from one IP, where nobody tells billing addresses"
fixture = "order_terminal"

[[false_positives]]
name = "old customers at a shared computer, one of whom has a second home"
fixture = "second_homes"

[[false_positives]]
name = "an agent to whom the clients' cards are billed, on a laptop that friends have used"
fixture = "agency"

[[false_positives]]
name = "guests whose device is told by its model, and their address by its region"
fixture = "phone_model"

[params.window_ms]
default = 604800000
min = 600000
max = 2592000000
meaning = "how far back the window reaches, in milliseconds"

[params.min_cards]
default = 4
min = 2
max = 50
meaning = "distinct cards, used on the device for the first time in the window, that paid for such deliveries"

[params.min_addresses]
default = 4
min = 2
max = 50
meaning = "distinct addresses that they were delivered to, none of them a hub"

[params.min_one_to_one]
default = 0.75
min = 0.0
max = 1.0
meaning = "cards or addresses, whichever are fewer, divided by the pairs of both: 1 if each card has one address"

[params.min_strange_share]
default = 0.75
min = 0.0
max = 1.0
meaning = "share of the pairs of card and address on the device that are new to it and not known to belong together"

[params.max_age_ms]
default = 2592000000
min = 86400000
max = 31536000000
meaning = "how long before the touch an account must have been opened to tell that card and address belong together, in milliseconds"

[params.max_billed]
default = 1
min = 1
max = 50
meaning = "cards that are billed to one address; where more are, for one account and one mailbox, it is an agent's"

[params.min_per_line]
default = 2.0
min = 1.0
max = 50.0
meaning = "such cards for each IP that they pay from, where nobody on the device tells an account or a billing address"

[params.max_per_hour]
default = 2000
min = 100
max = 10000
meaning = "transactions of one hour at the device that are read, the first of the hour"

[params.max_per_pair]
default = 10
min = 1
max = 100
meaning = "of those, how many count for one card and address, the first of the hour"

[params.max_owners]
default = 20
min = 3
max = 200
meaning = "accounts with both card and address that are read, and e-mails of an account, the first that had them"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (d:Device {id: a.id})<-[u:USED]-(:Card)
WHERE d.hub_since > a.first AND u.first_seen > a.first - $window_ms - 60000 AND u.first_seen <= a.last
WITH a, d, count(u) AS arrived,
     CASE WHEN d.first_seen > a.first - $window_ms THEN d.first_seen ELSE a.first - $window_ms END AS begin
WHERE arrived >= $min_cards
CALL {
  WITH a, begin
  UNWIND range(begin / 3600000, a.last / 3600000) AS hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(device_hour)
  RETURN DISTINCT hour
}
CALL {
  WITH a, d, hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(device_hour)
  WHERE t.status IN ['approved', 'declined'] AND NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH d, t ORDER BY t.time, t.id LIMIT $max_per_hour
  MATCH (t)-[:SHIPPED_TO]->(x:Address)
  MATCH (t)<-[:MADE]-(c:Card)
  WITH d, c, x, t ORDER BY t.time, t.id
  WITH d, c, x, collect(t) AS made
  MATCH (c)-[u:USED]->(d)
  CALL {
    WITH c, x
    MATCH (c)<-[o:OWNS]-(p:Account)-[h:HAS]->(x)
    WITH p, CASE WHEN o.first_seen > h.first_seen THEN o.first_seen ELSE h.first_seen END AS since
    ORDER BY since, p.id LIMIT $max_owners
    RETURN collect({opened: coalesce(p.created, p.first_seen), since: since}) AS owners
  }
  UNWIND made[0..$max_per_pair] AS t
  OPTIONAL MATCH (t)-[:AT]->(m:Merchant)
  OPTIONAL MATCH (t)-[:FROM]->(i:IP)
  RETURN {id: t.id, time: t.time, account: t.account, email: t.email, card: c.id, merchant: m.id, ip: i.id,
          line: CASE WHEN i.hub_since > t.time THEN i.id END, since: u.first_seen,
          address: x.id, until: x.hub_since, billing: t.billing_address, owners: owners} AS seen
}
WITH a, d.hub_since AS hub_since, seen ORDER BY seen.time DESC, seen.id
WITH a, hub_since, collect(seen) AS window
WITH a, hub_since, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.id AS device, time, [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS window
WHERE size(window) >= $min_cards
UNWIND window AS seen
WITH device, time, count(DISTINCT seen.card) AS payers, count(DISTINCT seen.address) AS places,
     count(DISTINCT seen.card + '|' + seen.address) AS pairs,
     count(DISTINCT CASE WHEN seen.billing IS NULL AND any(owner IN seen.owners WHERE owner.opened <= time - $max_age_ms
                           AND owner.since > time - $window_ms - 60000 AND owner.since <= time)
                         THEN seen.card + '|' + seen.address END) AS untold, collect(seen) AS window
WITH device, time, pairs, untold, 1.0 * CASE WHEN payers < places THEN payers ELSE places END / pairs AS one_to_one, window
WHERE one_to_one >= $min_one_to_one
CALL {
  WITH window
  UNWIND [seen IN window WHERE seen.billing IS NOT NULL] AS seen
  WITH seen.billing AS address, count(DISTINCT seen.card) AS cards, count(DISTINCT seen.account) AS buyers,
       count(DISTINCT seen.email) AS mailboxes
  WHERE cards > $max_billed AND buyers < 2 AND mailboxes < 2
  RETURN collect(address) AS agencies
}
WITH device, time, pairs, untold, one_to_one, window, agencies,
     all(seen IN window WHERE seen.account IS NULL AND seen.billing IS NULL) AS nameless
UNWIND [seen IN window WHERE seen.since > time - $window_ms - 60000 AND seen.until > time
        AND coalesce(seen.billing, '') <> seen.address AND NOT coalesce(seen.billing, '') IN agencies
        AND none(owner IN seen.owners WHERE owner.opened <= time - $max_age_ms AND owner.since <=
                 CASE WHEN seen.billing IS NULL THEN time ELSE time - $window_ms - 60000 END)] AS seen
WITH device, time, pairs - untold AS told, one_to_one, nameless, max(seen.time) AS newest,
     count(DISTINCT seen.merchant) AS merchants, count(DISTINCT seen.ip) AS ips, count(DISTINCT seen.line) AS lines,
     count(seen.billing) AS billed,
     count(DISTINCT seen.card + '|' + seen.address) AS strange,
     count(DISTINCT seen.card) AS cards, count(DISTINCT seen.address) AS addresses,
     collect(DISTINCT seen.card) AS card_ids, collect(DISTINCT seen.account) AS account_ids,
     collect(DISTINCT seen.address) AS address_ids, collect(seen.id) AS transactions
WHERE newest = time AND cards >= $min_cards AND addresses >= $min_addresses AND strange >= $min_strange_share * told
  AND (merchants <> 1 OR ips <> 1 OR billed > 0) AND (NOT nameless OR (lines > 0 AND cards >= $min_per_line * lines))
CALL {
  WITH time, account_ids
  UNWIND account_ids AS account
  MATCH (p:Account {id: account})
  WHERE coalesce(p.created, p.first_seen) > time - $max_age_ms
  CALL {
    WITH time, p
    MATCH (p)-[h:HAS]->(x:Email)
    WHERE h.first_seen <= time AND x.hub_since > time
    RETURN x.id AS email, h.first_seen AS since ORDER BY since, email LIMIT $max_owners
  }
  RETURN collect(DISTINCT email) AS email_ids
}
RETURN 'Device' AS anchor_label, device AS anchor, time, device, card_ids, account_ids, address_ids, email_ids,
       transactions[0..$max_evidence] AS transactions, cards, addresses, one_to_one,
       1.0 * strange / told AS strange_share
