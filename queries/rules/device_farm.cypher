/*
id = "device_farm"
title = "Device farm"
version = 9
status = "stable"
severity = "high"
anchor = ["Device"]
gate = { degree = "min_young_cards" }
identity = ["device"]
budget_ms = 150
rationale = """
One device that within a day pays with cards that are new to it, for accounts that are hardly older than their first
order or send their goods to one strange door, is run by somebody who holds other people's cards: a farm of emulators,
or a single machine with a stolen list. Customers of long standing who meet at one device have homes of their own; a
family has one home, but has been seen there before. Three cards do where every account says that it was just opened
and nothing ties them, as a home does; and those who all live behind one door have to be more than a small family. Nor
does a machine that nobody ever saw before, half of whose owners are strangers, change its address with every card:
that is an emulator behind proxies. And new customers with a home each do not pay on one machine of some days from
fewer IPs than they are: that is one person with invented homes. Wherever they live, min_residents people with a card
each, of whom nobody was ever seen before, do not meet at a new machine.
"""
source = "Unit21's examples (3 users per card, 5 per IP); typology 3 of the catalogue"
blind_spots = """
A farm that adds fewer than min_cards cards a day, or fewer than min_young_cards. Up to min_residents - 1 accounts
behind one door that is not told to be another's cannot be told from a household. Where no account is told at all each
card is an owner of its own: min_nameless of them are needed, half of them never seen before, at several merchants or
from min_networks IPs. A device at which one merchant alone is paid may be its terminal where neither a channel nor a
network nor an address is told, and is one unless all accounts are told to be young. An address is where a purchase is
sent, or else where its card is billed. An account is strange if it is young and tells no address of its own, if it
shares one with another account on the device and was never seen before the window, although its shop has been watched
for min_watch_ms, or if it orders to such a shared address that is new to it, not where the card is billed, and it had
another one or says where the card is billed. Of min_residents accounts on one device that are all young, half of them
told to be, all are strange. Nor is an address the own one of min_joint young accounts or more that share it with other
young ones, on whatever device, all told to be so, while it has been known for less than min_watch_ms, at a shop that
has been watched for longer: a farm has more machines than doors. All are on a machine first seen less than
min_watch_ms ago, at a shop that has been watched for longer, if all are told to be young, have an address each and
fewer IPs than they are. Where no address of any of them is known, all are, unless all are told to be old and buy at
one merchant, whose machine it may be. A smaller farm, or one of cards seen before, of accounts that each order to
another address is triangulation. Without account_created an account counts as opened at its first transaction here, so
that at the start of a stream guests whose purchases name no address look young, and the new tablet of a family of five
like a farm. Point-of-sale and cash-machine traffic is left out, since a terminal belongs to the merchant. Of one hour
only the first max_per_hour transactions at the device are read, and of these the first max_per_card of each card.
"""
triage = "Do the owners share anything but the device (address, phone)? Were the cards seen before, elsewhere?"

[returns]
device = { role = "core", label = "Device" }
card_ids = { role = "member", label = "Card" }
account_ids = { role = "member", label = "Account" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_young_cards", means = "cards that accounts used on the device for the first time in the window (min_cards at least, unless all accounts are young strangers)" }
owners = { role = "measure", threshold = "min_owners", means = "strange accounts on the device: young ones without an address of their own or in a crowd of such, on few IPs of a new machine, or at a strange one that they share" }
strange_share = { role = "measure", threshold = "min_strange_share", means = "their share of the accounts on the device in the window" }

[[false_positives]]
name = "a phone that has just come out, whose fingerprint is the same for all who buy it"
fixture = "new_model"

[[false_positives]]
name = "the same phone, bought by new customers who all live elsewhere"
fixture = "new_model_for_new_customers"

[[false_positives]]
name = "new customers with homes of their own, at a public computer"
fixture = "public_computer"

[[false_positives]]
name = "a family without accounts, whose cards are billed to one home"
fixture = "guests_of_one_home"

[[false_positives]]
name = "a family's tablet: several people, always the same"
fixture = "family_tablet"

[[false_positives]]
name = "a family of old customers on a tablet that they have just bought: the address is known"
fixture = "new_family_tablet"

[[false_positives]]
name = "a family of old customers whom the stream meets for the first time"
fixture = "first_day"

[[false_positives]]
name = "a young couple and a friend who sign up on one device"
fixture = "flat"

[[false_positives]]
name = "a young family of three with four cards, whose new tablet is all that is new to its shops"
fixture = "flat_with_four_cards"

[[false_positives]]
name = "a young family that buys what is not delivered: a phone number is all they share"
fixture = "one_number"

[[false_positives]]
name = "a kiosk that serves everybody"
fixture = "kiosk"

[[false_positives]]
name = "a public computer: its guests, old customers and new, order home"
fixture = "internet_cafe"

[[false_positives]]
name = "a phone model whose fingerprint is the same for all its owners"
fixture = "colliding_fingerprint"

[[false_positives]]
name = "a call centre that keys in its customers' orders"
fixture = "call_centre"

[[false_positives]]
name = "a mail-order shop whose customers pick up their parcels at one shop"
fixture = "parcel_shop"

[[false_positives]]
name = "a shop's card terminal"
fixture = "terminal"

[[false_positives]]
name = "a merchant's machine, at which old customers buy what is not delivered"
fixture = "old_customers"

[[false_positives]]
name = "a terminal of which nobody says that it is one"
fixture = "untold_terminal"

[[false_positives]]
name = "a family of four whose shop tells no accounts, on its new tablet"
fixture = "nameless_family"

[[false_positives]]
name = "a family of five whose shops tell no accounts: most of its cards were used before"
fixture = "cards_seen_elsewhere"

[[false_positives]]
name = "a mail-order shop that tells no accounts"
fixture = "mail_order"

[[false_positives]]
name = "a family that buys in some shops without an account"
fixture = "guests_at_home"

[[false_positives]]
name = "a young family of four, which signs up on its new tablet"
fixture = "young_family"

[[false_positives]]
name = "students who have just moved in with others, on one computer"
fixture = "students"

[[false_positives]]
name = "new customers who live with old ones, on one computer"
fixture = "housemates"

[[false_positives]]
name = "a young couple who sign up on two devices, one of them a computer that others use"
fixture = "young_couple"

[params.window_ms]
default = 86400000
min = 600000
max = 604800000
meaning = "how far back the window reaches, in milliseconds"

[params.min_cards]
default = 4
min = 2
max = 50
meaning = "distinct cards that accounts used on the device for the first time in the window; never below min_young_cards"

[params.min_young_cards]
default = 3
min = 2
max = 50
meaning = "the same if account_created says of each account that it is young, and no two share an address, a phone or an e-mail"

[params.min_owners]
default = 3
min = 1
max = 50
meaning = "strange accounts on the device in the window"

[params.min_residents]
default = 5
min = 1
max = 50
meaning = "the same where all of them have one address, to which none of them has moved, of young accounts with addresses of their own, and of accounts, or cards without one, none of which was seen before the window, nor the device"

[params.min_networks]
default = 3
min = 2
max = 50
meaning = "IPs from which cards without accounts pay at one merchant, whose own machine stays where it is"

[params.min_nameless]
default = 5
min = 1
max = 50
meaning = "cards on the device in the window, half of which were first seen in it, where no account is told; of those billed to one address one counts"

[params.min_strange_share]
default = 0.5
min = 0.0
max = 1.0
meaning = "their share of the accounts on the device in the window"

[params.min_joint]
default = 2
min = 1
max = 50
meaning = "young accounts on the device that share a new address with young ones on others: a couple who sign up on two devices is one"

[params.max_age_ms]
default = 2592000000
min = 60000
max = 31536000000
meaning = "how long before the touch an account may have been opened to be young, in milliseconds"

[params.min_watch_ms]
default = 604800000
min = 0
max = 31536000000
meaning = "how long before the touch a shop of it must have been seen first for an account to be called never seen before, in milliseconds"

[params.max_per_hour]
default = 2000
min = 100
max = 10000
meaning = "transactions of one hour at the device that are read, the first of the hour"

[params.max_per_card]
default = 10
min = 1
max = 100
meaning = "of those, how many count for one card, the first of the hour"

[params.max_addresses]
default = 20
min = 1
max = 200
meaning = "addresses, or identifiers, of an account that are read, the first it had"

[params.max_evidence]
default = 500
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
MATCH (d:Device {id: a.id})<-[u:USED]-(:Card)
WHERE d.hub_since > a.first AND u.first_seen > a.first - $window_ms - 60000 AND u.first_seen <= a.last
WITH a, d, count(u) AS arrived
WHERE arrived >= $min_young_cards
UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
CALL {
  WITH a, d, hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(device_hour)
  WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH d, t ORDER BY t.time, t.id LIMIT $max_per_hour
  MATCH (t)<-[:MADE]-(c:Card)
  WITH d, c, t ORDER BY t.time, t.id
  WITH d, c, collect(t) AS made
  MATCH (c)-[u:USED]->(d)
  UNWIND made[0..$max_per_card] AS t
  OPTIONAL MATCH (t)-[:AT]->(m:Merchant)
  OPTIONAL MATCH (t)-[:SHIPPED_TO]->(x:Address)
  OPTIONAL MATCH (t)-[:FROM]->(i:IP)
  WITH t, c, u, m, x, i.id AS ip, coalesce(x.id, t.billing_address) AS address
  OPTIONAL MATCH (y:Address {id: coalesce(address, '')})
  RETURN t, ip, c.id AS card, c.first_seen AS born, u.first_seen AS since, m.first_seen AS watched, m.id AS shop, address, y.hub_since AS until
}
WITH a, d, t.account IS NOT NULL AS named, coalesce(t.account, card) AS owner,
     collect({id: t.id, time: t.time, card: card, born: born, ip: ip, since: since, watched: watched, shop: shop, address: address,
              until: until, billing: t.billing_address,
              remote: t.channel IS NOT NULL OR t.ip_hour IS NOT NULL OR address IS NOT NULL}) AS made
WITH a, d, collect({owner: owner, named: named, made: made}) AS owners
WHERE size(owners) >= $min_owners
UNWIND owners AS one
CALL {
  WITH a, one
  UNWIND CASE WHEN one.named THEN [one.owner] ELSE [] END AS id
  MATCH (p:Account {id: id})
  CALL {
    WITH a, p
    MATCH (p)-[h:HAS]->(x:Address)
    WITH a, p, x, h ORDER BY h.first_seen, x.id LIMIT $max_addresses
    OPTIONAL MATCH (x)<-[g:HAS]-(q:Account)
    WHERE x.hub_since > a.first AND q.id <> p.id AND q.created > g.first_seen - $max_age_ms
    WITH x, h.first_seen AS since, min(g.first_seen) AS others ORDER BY since, x.id
    RETURN collect({id: x.id, since: since, appeared: x.first_seen, others: others}) AS homes
  }
  RETURN p.created AS told, p.first_seen AS met, homes
  UNION ALL
  WITH one
  UNWIND CASE WHEN one.named THEN [] ELSE [one.owner] END AS id
  MATCH (c:Card {id: id})
  RETURN null AS told, c.first_seen AS met, [] AS homes
}
WITH a, d, one, told, met, homes
UNWIND one.made AS seen
WITH a, d.hub_since AS hub_since, d.first_seen AS installed, one, told, met, homes, seen ORDER BY seen.time DESC, seen.id
WITH a, hub_since, installed,
     collect({id: seen.id, time: seen.time, owner: one.owner, named: one.named, opened: coalesce(told, met),
              told: told, met: met, watched: seen.watched, card: seen.card, since: seen.since, shop: seen.shop,
              ip: seen.ip, known: CASE WHEN seen.born < met THEN seen.born ELSE met END,
              remote: seen.remote,
              address: seen.address, until: seen.until, billing: seen.billing,
              moved: coalesce(head([home IN homes WHERE home.id = seen.address | home.since]), seen.time),
              appeared: head([home IN homes WHERE home.id = seen.address | home.appeared]),
              others: head([home IN homes WHERE home.id = seen.address | home.others]),
              settled: homes[0].since}) AS window
WITH a, hub_since, installed, window, [seen IN window | seen.time] AS moments
UNWIND [time IN a.times WHERE time < hub_since AND time IN moments] AS time
WITH a.id AS device, time, installed > time - $window_ms AS machine_is_new, installed > time - $min_watch_ms AS machine_is_young,
     [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time] AS window
WITH device, time, machine_is_new, machine_is_young, window,
     CASE WHEN machine_is_new AND any(seen IN window WHERE seen.watched <= time - $min_watch_ms) THEN window ELSE [] END AS news
WITH device, time, machine_is_new, machine_is_young, window,
     size(reduce(ips = [], seen IN news | CASE WHEN seen.ip IN ips OR seen.ip IS NULL THEN ips ELSE ips + [seen.ip] END)) AS lines,
     size(reduce(cards = [], seen IN news | CASE WHEN seen.card IN cards THEN cards ELSE cards + [seen.card] END)) AS cards
WITH device, time, machine_is_new, machine_is_young, lines >= $min_cards AND cards >= $min_cards AS hopping, window
WITH device, time, machine_is_new, machine_is_young, hopping,
     CASE WHEN NOT hopping AND any(seen IN window WHERE seen.named) THEN [seen IN window WHERE seen.named] ELSE window END AS window
WITH device, time, machine_is_new, machine_is_young, hopping, window,
     reduce(ips = [], seen IN window | CASE WHEN seen.ip IN ips OR seen.ip IS NULL THEN ips ELSE ips + [seen.ip] END) AS ips,
     reduce(cards = [], seen IN window | CASE WHEN seen.card IN cards THEN cards ELSE cards + [seen.card] END) AS cards
WHERE size(window) >= $min_young_cards
  AND (any(seen IN window WHERE (seen.remote AND seen.named) OR coalesce(seen.shop <> window[0].shop, true))
       OR size(ips) >= $min_networks
       OR all(seen IN window WHERE coalesce(seen.told > time - $max_age_ms, false)))
WITH device, time, hopping, window,
     CASE WHEN machine_is_young AND any(seen IN window WHERE seen.watched <= time - $min_watch_ms) THEN size(ips) ELSE 0 END AS lines,
     machine_is_new AND size(cards) >= $min_residents AND all(seen IN window WHERE seen.known > time - $window_ms)
       AND any(seen IN window WHERE seen.watched <= time - $min_watch_ms) AS newcomers,
     reduce(found = [], seen IN window |
     CASE WHEN seen.told > time - $max_age_ms AND seen.others <= time AND seen.appeared > time - $min_watch_ms AND seen.watched <= time - $min_watch_ms
               AND NOT seen.owner IN found THEN found + [seen.owner] ELSE found END) AS joint
CALL {
  WITH time, window, joint
  UNWIND window AS seen
  WITH time, joint, CASE WHEN seen.until > time THEN seen.address END AS address, seen
  WITH time, joint, address, collect(seen) AS parcels, count(DISTINCT seen.owner) AS residents
  UNWIND parcels AS seen
  WITH time, address, seen, residents, size(joint) >= $min_joint AND seen.owner IN joint AS together
  WITH time, seen.owner AS owner, min(CASE WHEN seen.named THEN 1 ELSE 0 END) AS named, min(seen.billing) AS billing,
       min(seen.opened) AS opened, min(seen.told) AS told, min(seen.met) AS met,
       min(seen.watched) AS watched, min(address) AS lowest, max(address) AS highest,
       coalesce(min(seen.settled), time + 1) AS settled,
       sum(CASE WHEN address IS NOT NULL AND residents = 1 AND NOT together THEN 1 ELSE 0 END) AS own,
       sum(CASE WHEN address IS NOT NULL AND residents > 1 THEN 1 ELSE 0 END) AS shared,
       sum(CASE WHEN address IS NOT NULL AND residents > 1 AND seen.moved > time - $window_ms - 60000
                 AND coalesce(seen.billing <> address, seen.settled <= time - $window_ms) THEN 1 ELSE 0 END) AS drops
  RETURN count(owner) AS present, sum(1 - named) AS nameless,
         count(CASE WHEN named = 0 THEN billing END) - count(DISTINCT CASE WHEN named = 0 THEN billing END) AS housemates,
         sum(CASE WHEN named = 0 AND met > time - $window_ms - 60000 THEN 1 ELSE 0 END) AS unseen, sum(CASE WHEN settled <= time THEN 1 ELSE 0 END) AS housed,
         sum(CASE WHEN told > time - $max_age_ms THEN 1 ELSE 0 END) AS young,
         sum(CASE WHEN coalesce(told > time - $max_age_ms, met > time - $window_ms - 60000) THEN 1 ELSE 0 END) AS strangers,
         sum(CASE WHEN told <= time - $max_age_ms THEN 1 ELSE 0 END) AS old,
         sum(CASE WHEN opened > time - $max_age_ms THEN 1 ELSE 0 END) AS fresh,
         min(lowest) AS lowest, max(highest) AS highest, sum(drops) AS moved,
         sum(CASE WHEN drops > 0 OR (opened > time - $max_age_ms AND (own = 0 OR shared > 0))
                    OR (met > time - $window_ms AND watched <= time - $min_watch_ms AND shared > 0)
                  THEN 1 ELSE 0 END) AS odd,
         sum(CASE WHEN own > 0 AND shared = 0 THEN 1 ELSE 0 END) AS lonely
}
WITH device, time, hopping AND 2 * strangers >= present AS hopping, window, present, young, nameless, housemates, unseen,
     coalesce(lowest = highest, false) AND moved = 0 AS neighbours,
     (housed = 0 AND (old < present OR any(seen IN window WHERE seen.shop <> window[0].shop)))
       OR (present >= $min_residents AND fresh = present AND 2 * young >= present)
       OR (lines > 0 AND lines < present AND young = present AND lonely = present) AS unsettled,
     newcomers AND present >= $min_residents AS newcomers, odd
WITH device, time, hopping, window, present, young, nameless, housemates, unseen, neighbours,
     CASE WHEN unsettled OR newcomers OR hopping THEN present ELSE odd END AS owners
WHERE owners >= $min_owners AND (owners >= $min_residents OR NOT neighbours)
  AND (nameless = 0 OR hopping OR (owners - housemates >= $min_nameless AND 2 * unseen >= nameless))
  AND owners >= $min_strange_share * present
UNWIND window AS seen
WITH device, time, owners, young = present AS all_young,
     1.0 * owners / present AS strange_share,
     count(DISTINCT CASE WHEN seen.since > time - $window_ms - 60000 THEN seen.card END) AS cards,
     collect(DISTINCT seen.card) AS card_ids, collect(DISTINCT CASE WHEN seen.named THEN seen.owner END) AS account_ids,
     collect(DISTINCT seen.id) AS transactions
WHERE cards >= $min_young_cards AND (cards >= $min_cards OR all_young)
CALL {
  WITH time, cards, account_ids
  UNWIND CASE WHEN cards < $min_cards THEN account_ids ELSE [] END AS account
  CALL {
    WITH account
    MATCH (p:Account {id: account})-[h:HAS]->(x)
    WITH x, h ORDER BY h.first_seen, x.id LIMIT $max_addresses
    RETURN labels(x)[0] AS kind, x.id AS id, h.first_seen AS since
  }
  WITH time, kind, id, since
  WHERE since <= time
  WITH kind, id, count(since) AS holders
  WHERE holders > 1
  RETURN count(id) AS common
}
WITH device, time, card_ids, account_ids, transactions, cards, owners, strange_share, common
WHERE common = 0
RETURN 'Device' AS anchor_label, device AS anchor, time, device, card_ids, account_ids,
       transactions[0..$max_evidence] AS transactions, cards, owners, strange_share
