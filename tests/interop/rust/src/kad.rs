// SPDX-License-Identifier: MIT

//! The kad commands.

use crate::control::{number, peer_of, text};
use crate::node::Node;
use crate::Error;
use libp2p::kad::{
    self, GetClosestPeersOk, GetProvidersOk, GetRecordOk, PeerInfo, QueryId, QueryResult, Quorum, Record, RecordKey,
};
use libp2p::identity::Keypair;
use serde_json::{json, Value};
use tokio::sync::mpsc;

type Kad = kad::Behaviour<kad::store::MemoryStore>;

pub async fn run(node: &Node, name: &str, c: &Value) -> Result<Value, Error> {
    let key = || Ok::<_, Error>(RecordKey::new(&text(c, "key")?));
    let cid = || Ok::<_, Error>(RecordKey::new(&text(c, "cid")?.parse::<cid::Cid>()?.hash().to_bytes()));
    match name {
        "kad.table" => with_kad(node, |kad| json!({"size": size(kad), "mode": kad.mode().to_string()})).await,
        "kad.fill" => {
            let count = number(c, "count", 1000);
            with_kad(node, move |kad| fill(kad, count)).await
        }
        "kad.put" => {
            let record = Record::new(key()?, text(c, "value")?.as_bytes().to_vec());
            query(node, move |kad| Ok(kad.put_record(record, Quorum::One)?)).await
        }
        "kad.get" => {
            let key = key()?;
            query(node, move |kad| Ok(kad.get_record(key))).await
        }
        "kad.closest" => {
            let key = text(c, "key")?.as_bytes().to_vec();
            query(node, move |kad| Ok(kad.get_closest_peers(key))).await
        }
        "kad.findpeer" => {
            let peer = peer_of(c)?;
            let mut found = query(node, move |kad| Ok(kad.get_closest_peers(peer))).await?;
            if let Some(peers) = found["peers"].as_array_mut() {
                peers.retain(|p| p["peer"] == json!(peer.to_string()));
            }
            Ok(found)
        }
        "kad.provide" => {
            let key = cid()?;
            query(node, move |kad| Ok(kad.start_providing(key)?)).await
        }
        "kad.findprovs" => {
            let key = cid()?;
            query(node, move |kad| Ok(kad.get_providers(key))).await
        }
        _ => Err(format!("unknown command {name}").into()),
    }
}

async fn with_kad(node: &Node, job: impl FnOnce(&mut Kad) -> Value + Send + 'static) -> Result<Value, Error> {
    let done = node.with(move |swarm, _| swarm.behaviour_mut().kad.as_mut().map(job)).await?;
    done.ok_or_else(|| "started without kad".into())
}

fn size(kad: &mut Kad) -> usize {
    kad.kbuckets().map(|bucket| bucket.num_entries()).sum()
}

/// Puts peers into the routing table that do not exist, each with an address of loopback.
fn fill(kad: &mut Kad, count: u64) -> Value {
    for i in 0..count {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        kad.add_address(&peer, format!("/ip4/127.0.0.1/tcp/{}", 20000 + i).parse().expect("an address"));
    }
    json!({"size": size(kad)})
}

fn infos(peers: Vec<PeerInfo>) -> impl Iterator<Item = Value> {
    peers.into_iter().map(|p| {
        let addrs: Vec<String> = p.addrs.iter().map(|a| a.to_string()).collect();
        json!({"peer": p.peer_id.to_string(), "addrs": addrs})
    })
}

async fn query(
    node: &Node,
    start: impl FnOnce(&mut Kad) -> Result<QueryId, Error> + Send + 'static,
) -> Result<Value, Error> {
    let (tx, mut rx) = mpsc::unbounded_channel();
    node.with(move |swarm, waiting| {
        let kad = swarm.behaviour_mut().kad.as_mut().ok_or("started without kad")?;
        waiting.queries.insert(start(kad)?, tx);
        Ok::<(), Error>(())
    })
    .await??;
    let (mut asked, mut answers) = (0, 0);
    let (mut values, mut providers, mut peers, mut errors) = (vec![], vec![], vec![], vec![]);
    while let Some((result, stats, last)) = rx.recv().await {
        asked = stats.num_requests();
        answers = stats.num_successes();
        match result {
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => values.push(json!({
                "value": String::from_utf8_lossy(&found.record.value), "from": found.peer.map(|p| p.to_string())})),
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers: found, .. })) => {
                providers.extend(found.iter().map(|p| json!({"peer": p.to_string(), "addrs": []})))
            }
            QueryResult::GetClosestPeers(Ok(GetClosestPeersOk { peers: found, .. })) => peers.extend(infos(found)),
            QueryResult::GetRecord(Err(err)) => errors.push(err.to_string()),
            QueryResult::GetProviders(Err(err)) => errors.push(err.to_string()),
            QueryResult::GetClosestPeers(Err(err)) => errors.push(err.to_string()),
            QueryResult::PutRecord(Err(err)) => errors.push(err.to_string()),
            QueryResult::StartProviding(Err(err)) => errors.push(err.to_string()),
            _ => {}
        }
        if last {
            break;
        }
    }
    Ok(
        json!({"asked": asked, "answers": answers, "values": values, "providers": providers, "peers": peers, "errors": errors}),
    )
}
