/*
id = "ip_hopping"
title = "IP hopping"
version = 8
status = "stable"
severity = "medium"
anchor = ["Card"]
gate = { gap_ms = "window_ms" }
reach = { Card = ["new_ms"] }
identity = ["card"]
budget_ms = 150
rationale = """
A card that pays within an hour from several addresses of several networks, none of which it had used before, and from a
device that is as new to it, is paid with by a script behind rotating proxies: people change networks now and then, and
who hides behind a VPN or is on a train holds their own device. Addresses alone prove nothing, a new card in a new phone
has them too: it takes declines, other cards that came to the device the same day, or to one of the addresses with a
parcel for the same new door, a second device that is new, or yet more networks. These other cards are in the same hand.
A card that has only ever paid from one account, of long standing, and that no other card joins, is with its owner on the
way, declined or not.
An address of a carrier or a VPN that many share is a step on the way too: its network counts, and where it is needed to
make up min_ips, it takes one sign more in its place.
"""
source = "typology 14 of the catalogue"
blind_spots = """
Proxies of one network, or one proxy per card; a device that the card has used for longer than new_ms, or an account older
than min_account_age_ms if it is the card's only one so far (the owner's, taken over, with a device for each); a script that
is never declined, keeps to three networks and takes one device for every card. Where no device is told, that counts as a
sign. Other cards at a delivery address, which counts in its first new_ms only, are those that came to one of the card's own
network addresses. Addresses that have passed the hub cap are no members, so that a script that changes between carriers'
gateways has to show more. Where no address of the window has a network, the first half of an IPv4 address (the first two
groups of an IPv6 one) stands for it; where some have one, those without add an address and no network. At the start of a
stream every address and device is new. Point-of-sale and cash-machine traffic is left out. Of one hour only the first
max_per_hour transactions at an address, or a device, are read, and of a card's addresses the first max_ips.
"""
triage = "Is the device the same throughout? What was bought, and where is it sent? Do the addresses belong to a hosting company?"

[returns]
card = { role = "core", label = "Card" }
ip_ids = { role = "member", label = "IP" }
device_ids = { role = "core", label = "Device" }
address_ids = { role = "core", label = "Address" }
peer_ids = { role = "member", label = "Card" }
account_ids = { role = "member", label = "Account" }
transactions = { role = "evidence" }
ips = { role = "measure", threshold = "min_ips", means = "addresses new to the card that it paid from in the window" }
signs = { role = "measure", threshold = "min_signs", means = "further signs: declined payments, other cards on its devices or at its new addresses that day, networks beyond min_networks" }
networks = { role = "measure", threshold = "min_networks", means = "networks that those addresses belong to" }

[[false_positives]]
name = "a phone on the move: many addresses of one carrier"
fixture = "mobile_handover"

[[false_positives]]
name = "a VPN whose exits are shared by many, beside a home and a phone"
fixture = "vpn"

[[false_positives]]
name = "somebody whose VPN takes another exit for every purchase, on the laptop they always use"
fixture = "vpn_hopping"

[[false_positives]]
name = "a new card on a new laptop behind such a VPN; one of the payments is declined"
fixture = "vpn_new_card"

[[false_positives]]
name = "a family's new tablet on a train, with the cards of two of them"
fixture = "family_on_a_train"

[[false_positives]]
name = "a traveller who changes between networks that the card knows"
fixture = "known_networks"

[[false_positives]]
name = "a new card on a new phone that roams: gateways of three carriers, a declined payment, and home"
fixture = "roaming"

[[false_positives]]
name = "a family on the way, whose parcels go home"
fixture = "family_on_holiday"

[[false_positives]]
name = "an old customer with a new phone on a train through several countries, declined for lack of money"
fixture = "train_abroad"

[[false_positives]]
name = "somebody with a new card on trains and behind a VPN, whose orders go home"
fixture = "sent_home"

[params.window_ms]
default = 3600000
min = 300000
max = 86400000
meaning = "how far back the window reaches, in milliseconds"

[params.min_ips]
default = 4
min = 2
max = 100
meaning = "distinct addresses new to the card that it paid from in the window"

[params.min_networks]
default = 3
min = 1
max = 50
meaning = "distinct networks that those addresses belong to"

[params.min_signs]
default = 2
min = 0
max = 20
meaning = "declined payments, other cards that came to its devices or to new delivery addresses of its within new_ms, networks beyond min_networks and devices beyond the first, taken together; one less for each shared address that min_ips needs"

[params.new_ms]
default = 86400000
min = 300000
max = 2592000000
meaning = "for how long an address or a device is new to a card after its first use there, and a delivery address to everybody, in milliseconds"

[params.min_account_age_ms]
default = 2592000000
min = 0
max = 31536000000
meaning = "how long before the payment a card's only account was opened that is its owner's, in milliseconds"

[params.max_ips]
default = 200
min = 10
max = 1000
meaning = "new addresses of a card that are read, and devices that are not new to it, the first it used"

[params.max_per_hour]
default = 500
min = 100
max = 10000
meaning = "transactions of one hour at an address, or a device, that are read, the first of the hour"

[params.max_evidence]
default = 200
min = 10
max = 5000
meaning = "transaction ids that a finding carries, the newest"
*/
UNWIND $anchors AS a
CALL {
  WITH a
  MATCH (c:Card {id: a.id})-[u:USED]->(i:IP)
  WHERE u.last_seen > a.first - $window_ms - 60000 AND u.first_seen <= a.last
    AND u.first_seen > a.first - $new_ms - 60000
  RETURN i, u.first_seen AS since ORDER BY since, i.id LIMIT $max_ips
}
WITH a, collect({node: i, since: since}) AS ips
WHERE size(ips) >= $min_ips
UNWIND ips AS used
WITH a, used.node AS i, used.since AS since
UNWIND range((a.first - $window_ms) / 3600000, a.last / 3600000) AS hour
CALL {
  WITH a, i, hour
  MATCH (t:Transaction {ip_hour: i.id + '|' + toString(hour)})
  USING INDEX SEEK t:Transaction(ip_hour)
  WHERE NOT coalesce(t.channel, '') IN ['pos', 'atm']
  WITH a, t ORDER BY t.time, t.id LIMIT $max_per_hour
  MATCH (t)<-[:MADE]-(c:Card)
  WITH a, t, c
  WHERE c.id = a.id
  OPTIONAL MATCH (t)-[:ON]->(d:Device)
  OPTIONAL MATCH (t)-[:SHIPPED_TO]->(x:Address)
  RETURN t, d, x
}
WITH a, i, since, t, d, x ORDER BY t.time DESC, t.id
WITH a, collect({id: t.id, time: t.time, declined: t.status = 'declined', account: t.account, device: d.id, shared: d.hub_since,
                 ip: i.id, network: i.network,
                 area: CASE WHEN i.id CONTAINS ':' THEN split(i.id, ':')[0..2] ELSE split(i.id, '.')[0..2] END,
                 until: i.hub_since, since: since, home: t.billing_address = x.id, drop: x.id, opened: x.first_seen, closed: x.hub_since}) AS window
WHERE size(window) >= $min_ips
CALL {
  WITH a
  MATCH (c:Card {id: a.id})-[u:USED]->(d:Device)
  WHERE u.first_seen <= a.last - $new_ms - 60000
  WITH d.id AS device, u.first_seen AS since ORDER BY since, device LIMIT $max_ips
  RETURN collect({device: device, since: since}) AS held
}
UNWIND a.times AS time
WITH a.id AS card, time, [own IN held WHERE own.since <= time - $new_ms - 60000 | own.device] AS held,
     [seen IN window WHERE seen.time > time - $window_ms AND seen.time <= time
                       AND seen.since > time - $new_ms - 60000] AS window
WHERE size(window) >= $min_ips AND window[0].time = time AND none(seen IN window WHERE coalesce(seen.device, '') IN held)
UNWIND window AS seen
WITH card, time, count(DISTINCT seen.ip) AS ips,
     count(DISTINCT CASE WHEN seen.until > time THEN seen.ip END) AS own, count(DISTINCT seen.network) AS told, count(DISTINCT seen.area) AS areas,
     sum(CASE WHEN seen.declined THEN 1 ELSE 0 END) AS declines, count(seen.device) AS seen_on,
     any(each IN collect(seen.home) WHERE each) AS sent_home,
     collect(DISTINCT CASE WHEN seen.until > time THEN seen.ip END) AS ip_ids,
     collect(DISTINCT CASE WHEN seen.shared > time THEN seen.device END) AS device_ids,
     collect(DISTINCT CASE WHEN seen.opened > time - $new_ms AND seen.closed > time THEN seen.drop END) AS drops,
     collect(DISTINCT seen.account) AS account_ids, collect(seen.id) AS transactions
WITH card, time, ips, CASE WHEN own < $min_ips THEN $min_ips - own ELSE 0 END AS lacking,
     CASE WHEN told = 0 THEN areas ELSE told END AS networks, declines, seen_on, sent_home, ip_ids, device_ids,
     drops, account_ids, transactions
WHERE ips >= $min_ips AND networks >= $min_networks
CALL {
  WITH card, time, ip_ids, device_ids, drops
  CALL {
    WITH card, time, device_ids
    UNWIND device_ids AS id
    UNWIND range((time - $new_ms) / 3600000, time / 3600000) AS hour
    CALL {
      WITH time, id, hour
      MATCH (t:Transaction {device_hour: id + '|' + toString(hour)})
      USING INDEX SEEK t:Transaction(device_hour)
      WHERE t.time > time - $new_ms AND t.time <= time
      RETURN t ORDER BY t.time, t.id LIMIT $max_per_hour
    }
    MATCH (t)<-[:MADE]-(o:Card)
    WHERE o.id <> card
    MATCH (o)-[u:USED]->(d:Device)
    WHERE d.id = id AND u.first_seen > time - $new_ms - 60000 AND u.first_seen <= time - 60000
    RETURN o, t
    UNION
    WITH card, time, ip_ids, drops
    UNWIND CASE WHEN size(drops) > 0 THEN ip_ids ELSE [] END AS id
    MATCH (i:IP {id: id})<-[u:USED]-(o:Card)
    WHERE u.first_seen > time - $new_ms - 60000 AND u.first_seen <= time AND o.id <> card
    WITH DISTINCT time, drops, o
    MATCH (o)-[:MADE]->(t:Transaction)
    WHERE t.time > time - $new_ms AND t.time <= time
    MATCH (t)-[:SHIPPED_TO]->(x:Address)
    WITH drops, o, t, x.id AS drop
    WHERE drop IN drops
    RETURN o, t
  }
  WITH o, t ORDER BY t.time DESC, t.id
  RETURN collect(DISTINCT o.id) AS peer_ids, collect(DISTINCT t.account) AS their_accounts,
         collect(t.id) AS theirs
}
CALL {
  WITH card, time
  MATCH (c:Card {id: card})<-[o:OWNS]-(p:Account)
  WHERE o.first_seen <= time
  WITH p LIMIT 2
  RETURN collect({created: p.created}) AS accounts
}
WITH card, time, ips, networks, ip_ids, device_ids, drops, peer_ids, account_ids, their_accounts, transactions, theirs,
     size(accounts) = 1 AND coalesce(accounts[0].created <= time - $min_account_age_ms, false) AS settled,
     declines + size(peer_ids) + networks - $min_networks - lacking + CASE seen_on WHEN 0 THEN 1 ELSE 0 END
       + CASE WHEN size(device_ids) > 1 THEN size(device_ids) - 1 ELSE 0 END
       - CASE WHEN sent_home AND declines + size(peer_ids) = 0 THEN 1 ELSE 0 END AS signs
WHERE signs >= $min_signs AND NOT (settled AND size(peer_ids) = 0)
RETURN 'Card' AS anchor_label, card AS anchor, time, card, ip_ids, device_ids,
       CASE WHEN size(peer_ids) > 0 THEN drops ELSE [] END AS address_ids, peer_ids,
       account_ids + [id IN their_accounts WHERE NOT id IN account_ids] AS account_ids,
       (transactions + [id IN theirs WHERE NOT id IN transactions])[0..$max_evidence] AS transactions,
       ips, networks, signs
