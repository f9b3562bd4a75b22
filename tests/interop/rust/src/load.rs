// SPDX-License-Identifier: MIT

//! The load that this peer puts on another one: {"cmd":"load","kind":K,"addr":A,"seconds":S,"parallel":P}. The answer has
//! `seconds`, `count` and, for up and down, `bytes`; for ping `p50_us` and `p99_us`.

use crate::control::{exchange, number, run_all, text};
use crate::node::{new_swarm, BehaviourEvent, Node};
use crate::serve::{BATCH, BLOCK_BYTES, ECHO, PERF};
use crate::Error;
use futures::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{identify, Multiaddr, PeerId, StreamProtocol};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub async fn run(node: &Node, c: &Value) -> Result<Value, Error> {
    node.quiet.store(true, Ordering::Relaxed);
    let kind = text(c, "kind")?;
    let addr: Multiaddr = text(c, "addr")?.parse()?;
    let parallel = number(c, "parallel", 1);
    let time = Duration::from_secs_f64(c["seconds"].as_f64().filter(|s| *s > 0.0).unwrap_or(2.0));
    if kind == "connections" {
        return connections(addr, number(c, "count", 1), parallel).await;
    }
    let peer = node.dial(&addr).await?;
    match kind {
        "up" | "down" => bulk(node, peer, kind == "up", parallel, time).await,
        "ping" => ping(node, peer, time).await,
        "messages" => messages(node, peer, number(c, "size", 128) as usize, number(c, "depth", 1) as usize, time).await,
        "streams" => streams(node, peer, parallel, time).await,
        _ => Err(format!("unknown kind of load {kind}").into()),
    }
}

async fn bulk(node: &Node, peer: PeerId, up: bool, parallel: u64, time: Duration) -> Result<Value, Error> {
    let total = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let all = run_all(parallel, parallel, |_| {
        let (mut streams, total) = (node.streams.clone(), total.clone());
        async move {
            let mut stream = streams.open_stream(peer, StreamProtocol::new(PERF)).await?;
            let mut block = vec![0; BLOCK_BYTES];
            let answer: u64 = if up { 0 } else { (1 << 53) - 1 };
            stream.write_all(&answer.to_be_bytes()).await?;
            while up && start.elapsed() < time {
                stream.write_all(&block).await?;
                total.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
            stream.close().await?;
            while up || start.elapsed() < time {
                let got = stream.read(&mut block).await?;
                if got == 0 {
                    break; // the end of the answer: everything was read
                }
                total.fetch_add(got as u64, Ordering::Relaxed);
            }
            Ok(())
        }
    })
    .await;
    if all["failed"] != json!(0) {
        return Err(all["errors"].to_string().into());
    }
    Ok(json!({"bytes": total.load(Ordering::Relaxed), "count": parallel, "seconds": start.elapsed().as_secs_f64()}))
}

async fn ping(node: &Node, peer: PeerId, time: Duration) -> Result<Value, Error> {
    // The ping behaviour opens its stream on every new connection, and a rust server serves only the newest one.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut stream = node.streams.clone().open_stream(peer, libp2p::ping::PROTOCOL_NAME).await?;
    let mut rtts = vec![];
    let start = Instant::now();
    while start.elapsed() < time {
        let mut block = [rtts.len() as u8; 32];
        let sent = Instant::now();
        stream.write_all(&block).await?;
        stream.flush().await?;
        stream.read_exact(&mut block).await?;
        rtts.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    let seconds = start.elapsed().as_secs_f64();
    rtts.sort_by(f64::total_cmp);
    let at = |p: f64| rtts[(p * (rtts.len() - 1) as f64) as usize];
    Ok(json!({"count": rtts.len(), "seconds": seconds, "p50_us": at(0.5), "p99_us": at(0.99)}))
}

async fn messages(node: &Node, peer: PeerId, size: usize, depth: usize, time: Duration) -> Result<Value, Error> {
    let stream = node.streams.clone().open_stream(peer, StreamProtocol::new(BATCH)).await?;
    let (read, mut write) = stream.split();
    write.write_all(&(size as u32).to_be_bytes()).await?;
    let places = Arc::new(tokio::sync::Semaphore::new(depth)); // messages that may still be sent
    let start = Instant::now();
    let sending = {
        let places = places.clone();
        async move {
            let message = vec![0; size];
            while start.elapsed() < time {
                if places.available_permits() == 0 {
                    write.flush().await?;
                }
                places.acquire().await?.forget();
                write.write_all(&message).await?;
            }
            write.close().await?;
            Ok::<(), Error>(())
        }
    };
    let receiving = async move {
        let mut read = BufReader::with_capacity(BLOCK_BYTES, read);
        let mut message = vec![0; size];
        let mut count = 0u64;
        while let Ok(()) = read.read_exact(&mut message).await {
            places.add_permits(1);
            count += 1;
        }
        count
    };
    let (sent, count) = tokio::join!(tokio::spawn(sending), tokio::spawn(receiving));
    sent??;
    Ok(json!({"count": count?, "seconds": start.elapsed().as_secs_f64()}))
}

/// Each stream: open, 1 KiB, half-close, the answer, close.
async fn streams(node: &Node, peer: PeerId, parallel: u64, time: Duration) -> Result<Value, Error> {
    let total = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let all = run_all(parallel, parallel, |_| {
        let (streams, total) = (node.streams.clone(), total.clone());
        async move {
            while start.elapsed() < time {
                let got = exchange(streams.clone(), peer, StreamProtocol::new(ECHO), &[7; 1024]).await?;
                if got.len() != 1024 {
                    return Err(format!("sent 1024 bytes, got {}", got.len()).into());
                }
                total.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    })
    .await;
    if all["failed"] != json!(0) {
        return Err(all["errors"].to_string().into());
    }
    Ok(json!({"count": total.load(Ordering::Relaxed), "seconds": start.elapsed().as_secs_f64()}))
}

/// New connections, each from a swarm of its own (made before the clock starts), with identify, then closed.
async fn connections(addr: Multiaddr, count: u64, parallel: u64) -> Result<Value, Error> {
    let swarms: Result<Vec<_>, Error> = (0..count).map(|_| new_swarm(&Value::Null)).collect();
    let swarms = Mutex::new(swarms?);
    let start = Instant::now();
    let mut all = run_all(count, parallel, |_| {
        let mut swarm = swarms.lock().unwrap().pop().expect("one for each");
        let addr = addr.clone();
        async move {
            swarm.dial(addr)?;
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                    SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, .. })) => {
                        let _ = swarm.disconnect_peer_id(peer_id);
                    }
                    SwarmEvent::ConnectionClosed { .. } => return Ok(()),
                    _ => {}
                }
            }
        }
    })
    .await;
    all["count"] = all["done"].clone();
    all["seconds"] = json!(start.elapsed().as_secs_f64());
    Ok(all)
}
