// SPDX-License-Identifier: MIT

//! The control language: commands as JSON lines in, answers and events as JSON lines out.

use crate::node::Node;
use crate::serve::{BLOCK_BYTES, ECHO, MESSAGE};
use crate::{emit, kad, load, Error};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

pub async fn answer(node: Arc<Node>, line: String) {
    let command: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
    let run = tokio::time::timeout(Duration::from_secs(120), run(node, &command));
    let mut answer = match run.await.unwrap_or_else(|_| Err("timed out".into())) {
        Ok(Value::Object(mut result)) => {
            result.insert("ok".into(), json!(true));
            Value::Object(result)
        }
        Ok(_) => json!({"ok": true}),
        Err(err) => json!({"ok": false, "error": {"name": "Error", "text": err.to_string()}}),
    };
    answer["id"] = command["id"].clone();
    emit(answer);
}

pub fn number(command: &Value, name: &str, default: u64) -> u64 {
    command[name].as_u64().filter(|n| *n > 0).unwrap_or(default)
}

pub fn text<'a>(command: &'a Value, name: &str) -> Result<&'a str, Error> {
    command[name].as_str().ok_or_else(|| format!("{name} is missing").into())
}

pub fn peer_of(command: &Value) -> Result<PeerId, Error> {
    Ok(text(command, "peer")?.parse()?)
}

async fn run(node: Arc<Node>, c: &Value) -> Result<Value, Error> {
    match c["cmd"].as_str().unwrap_or("") {
        "info" => Ok(node.info()),
        "quiet" => {
            node.quiet.store(true, Ordering::Relaxed); // events would be part of what is measured
            Ok(Value::Null)
        }
        "count" => Ok(json!({"messages": node.messages.load(Ordering::Relaxed)})),
        "dial" => {
            let peer = node.dial(&text(c, "addr")?.parse::<Multiaddr>()?).await?.to_string();
            let list = node.connections.lock().unwrap();
            let found = list.iter().find(|(_, shown)| shown["peer"] == json!(peer));
            found.map(|(_, shown)| shown.clone()).ok_or_else(|| "the connection has ended".into())
        }
        "connections" => {
            let list: Vec<Value> = node.connections.lock().unwrap().iter().map(|(_, shown)| shown.clone()).collect();
            Ok(json!({ "connections": list }))
        }
        "hangup" => node.disconnect(peer_of(c)?).await.map(|_| Value::Null),
        "identify" => identify(&node, peer_of(c)?, number(c, "timeout_ms", 10_000)).await,
        "ping" => ping(&node, peer_of(c)?, number(c, "count", 1)).await,
        "echo" => echo(&node, c).await,
        "open" => {
            let protocol = StreamProtocol::try_from_owned(text(c, "protocol")?.to_owned())?;
            node.streams.clone().open_stream(peer_of(c)?, protocol.clone()).await?;
            Ok(json!({"protocol": protocol.as_ref()}))
        }
        "abort" => abort(&node, c).await,
        "send" => send(&node, c).await,
        "load" => load::run(&node, c).await,
        name if name.starts_with("kad.") => kad::run(&node, name, c).await,
        name => Err(format!("unknown command {name}").into()),
    }
}

async fn identify(node: &Node, peer: PeerId, timeout_ms: u64) -> Result<Value, Error> {
    let end = Instant::now() + Duration::from_millis(timeout_ms);
    while Instant::now() < end {
        if let Some(info) = node.identified.lock().unwrap().get(&peer) {
            let strings = |list: &mut dyn Iterator<Item = String>| list.collect::<Vec<String>>();
            return Ok(json!({"protocol_version": info.protocol_version, "agent_version": info.agent_version,
                "protocols": strings(&mut info.protocols.iter().map(|p| p.to_string())),
                "listen_addrs": strings(&mut info.listen_addrs.iter().map(|a| a.to_string())),
                "observed_addr": info.observed_addr.to_string(), "signed_record": info.signed_peer_record.is_some()}));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(format!("no identify from {peer}").into())
}

/// A stream of its own, apart from the one of the ping behaviour.
async fn ping(node: &Node, peer: PeerId, count: u64) -> Result<Value, Error> {
    let mut stream = node.streams.clone().open_stream(peer, libp2p::ping::PROTOCOL_NAME).await?;
    let mut rtt_ms = vec![];
    for i in 0..count {
        let sent = [i as u8; 32];
        let mut got = [0; 32];
        let start = Instant::now();
        stream.write_all(&sent).await?;
        stream.flush().await?;
        stream.read_exact(&mut got).await?;
        if sent != got {
            return Err("other bytes came back".into());
        }
        rtt_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    stream.close().await?;
    Ok(json!({ "rtt_ms": rtt_ms }))
}

/// Runs `job(i)` for i in 0..total, `parallel` at a time, and counts what happened.
pub async fn run_all<F>(total: u64, parallel: u64, job: impl Fn(u64) -> F) -> Value
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let done = AtomicU64::new(0);
    let errors: Mutex<BTreeMap<String, u64>> = Default::default();
    let workers = (0..parallel.clamp(1, total)).map(|_| async {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= total {
                return;
            }
            match tokio::spawn(job(i)).await.unwrap_or_else(|err| Err(err.into())) {
                Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                Err(err) => *errors.lock().unwrap().entry(err.to_string()).or_default() += 1,
            }
        }
    });
    futures::future::join_all(workers).await;
    let done = done.load(Ordering::Relaxed);
    json!({"done": done, "failed": total - done, "errors": *errors.lock().unwrap()})
}

/// Sends the bytes, half-closes, returns what comes back until the end.
pub async fn exchange(
    mut streams: libp2p_stream::Control,
    peer: PeerId,
    protocol: StreamProtocol,
    sent: &[u8],
) -> Result<Vec<u8>, Error> {
    let stream = streams.open_stream(peer, protocol).await?;
    let (mut read, mut write) = stream.split();
    let sending = async {
        for block in sent.chunks(BLOCK_BYTES) {
            write.write_all(block).await?;
        }
        write.close().await
    };
    let mut got = Vec::with_capacity(sent.len());
    let (wrote, read) = futures::join!(sending, read.read_to_end(&mut got));
    read?;
    wrote?;
    Ok(got)
}

fn random_bytes(len: usize) -> Vec<u8> {
    let mut state = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| step()).collect()
}

async fn echo(node: &Node, c: &Value) -> Result<Value, Error> {
    let (peer, bytes) = (peer_of(c)?, number(c, "bytes", 32) as usize);
    let protocol = StreamProtocol::try_from_owned(c["protocol"].as_str().unwrap_or(ECHO).to_owned())?;
    Ok(run_all(number(c, "streams", 1), number(c, "parallel", 16), |_| {
        let (streams, protocol) = (node.streams.clone(), protocol.clone());
        async move {
            let sent = random_bytes(bytes);
            let got = exchange(streams, peer, protocol, &sent).await?;
            if sent != got {
                return Err(format!("Mismatch: sent {} bytes, got {}, not equal", sent.len(), got.len()).into());
            }
            Ok(())
        }
    })
    .await)
}

async fn abort(node: &Node, c: &Value) -> Result<Value, Error> {
    let protocol = StreamProtocol::try_from_owned(c["protocol"].as_str().unwrap_or(ECHO).to_owned())?;
    let mut stream = node.streams.clone().open_stream(peer_of(c)?, protocol).await?;
    stream.write_all(&random_bytes(number(c, "bytes", 1000) as usize)).await?;
    stream.flush().await?;
    drop(stream); // a reset, because it was not closed
    Ok(Value::Null)
}

/// One new stream for each message, one after the other, as the Lotus coordinator's sendTo does it.
async fn send(node: &Arc<Node>, c: &Value) -> Result<Value, Error> {
    let peer = peer_of(c)?;
    let count = number(c, "count", 1);
    Ok(run_all(count, 1, |i| {
        let mut streams = node.streams.clone();
        let body = body(node, c, i);
        async move {
            let mut stream = streams.open_stream(peer, StreamProtocol::new(MESSAGE)).await?;
            stream.write_all(body.as_bytes()).await?;
            stream.close().await?;
            Ok(())
        }
    })
    .await)
}

fn body(node: &Node, c: &Value, seq: u64) -> String {
    let mut body = match c["text"].as_str() {
        Some(text) => text.to_owned(),
        None => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
            let mut message = json!({"type": "data-message", "from": node.peer.to_string(), "payload": {"seq": seq},
                "timestamp": now, "messageId": format!("{now:x}-{seq}")});
            for (key, value) in c["message"].as_object().unwrap_or(&Map::new()) {
                message[key] = value.clone();
            }
            message.to_string()
        }
    };
    let size = number(c, "size", 0) as usize;
    body.extend(std::iter::repeat_n(' ', size.saturating_sub(body.len())));
    body
}
