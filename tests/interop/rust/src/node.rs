// SPDX-License-Identifier: MIT

//! The swarm, in a task of its own, and the handle by which all others reach it.

use crate::{emit, inbound, serve, transport, Error};
use futures::StreamExt;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{identify, kad, mdns, ping, Multiaddr, PeerId, StreamProtocol, SwarmBuilder};
use serde_json::{json, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub stream: libp2p_stream::Behaviour,
    pub inbound: inbound::Behaviour,
    pub kad: Toggle<kad::Behaviour<MemoryStore>>,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
}

/// Something to be done by the swarm's task.
type Job = Box<dyn FnOnce(&mut Swarm<Behaviour>, &mut Waiting) + Send>;
pub type QueryProgress = (kad::QueryResult, kad::QueryStats, bool);

/// Who waits for what the swarm will tell.
#[derive(Default)]
pub struct Waiting {
    pub dials: HashMap<PeerId, Vec<oneshot::Sender<Result<(), Error>>>>,
    pub queries: HashMap<kad::QueryId, mpsc::UnboundedSender<QueryProgress>>,
}

pub struct Node {
    jobs: mpsc::UnboundedSender<Job>,
    pub streams: libp2p_stream::Control,
    pub peer: PeerId,
    pub addrs: Mutex<Vec<Multiaddr>>,
    pub identified: Mutex<HashMap<PeerId, identify::Info>>,
    pub connections: Mutex<Vec<(libp2p::swarm::ConnectionId, Value)>>,
    muxer: Value, // what the options allow: the swarm does not tell what was agreed
    security: Value,
    pub quiet: AtomicBool,
    pub messages: AtomicU64,
}

impl Node {
    pub fn info(&self) -> Value {
        let addrs: Vec<String> = self.addrs.lock().unwrap().iter().map(|a| format!("{a}/p2p/{}", self.peer)).collect();
        json!({"peer": self.peer.to_string(), "addrs": addrs})
    }

    pub fn tell(&self, event: Value) {
        if !self.quiet.load(Ordering::Relaxed) {
            emit(event);
        }
    }

    pub async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Swarm<Behaviour>, &mut Waiting) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (tx, rx) = oneshot::channel();
        let job: Job = Box::new(move |swarm, waiting| {
            let _ = tx.send(job(swarm, waiting));
        });
        self.jobs.send(job).map_err(|_| "the swarm has ended")?;
        Ok(rx.await?)
    }

    pub async fn dial(&self, addr: &Multiaddr) -> Result<PeerId, Error> {
        let Some(libp2p::multiaddr::Protocol::P2p(peer)) = addr.iter().last() else {
            return Err("the address does not end in /p2p/ID".into());
        };
        let (tx, rx) = oneshot::channel();
        let addr = addr.clone();
        self.with(move |swarm, waiting| {
            if swarm.is_connected(&peer) {
                let _ = tx.send(Ok(()));
                return;
            }
            match swarm.dial(addr) {
                Ok(()) => waiting.dials.entry(peer).or_default().push(tx),
                Err(err) => drop(tx.send(Err(err.into()))),
            }
        })
        .await?;
        rx.await??;
        Ok(peer)
    }

    pub async fn disconnect(&self, peer: PeerId) -> Result<(), Error> {
        self.with(move |swarm, _| swarm.disconnect_peer_id(peer)).await?.map_err(|_| "not connected".into())
    }

    /// What mDNS found, one event for each peer.
    fn discovered(&self, list: Vec<(PeerId, Multiaddr)>) {
        let mut peers: BTreeMap<PeerId, Vec<String>> = BTreeMap::new();
        for (peer, addr) in list {
            peers.entry(peer).or_default().push(addr.to_string());
        }
        for (peer, addrs) in peers {
            self.tell(json!({"event": "discovered", "peer": peer.to_string(), "addrs": addrs}));
        }
    }

    fn on_event(&self, event: SwarmEvent<BehaviourEvent>, waiting: &mut Waiting) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let shown = json!({"peer": peer_id.to_string(), "remote_addr": endpoint.get_remote_address().to_string(),
                    "direction": if endpoint.is_dialer() { "outbound" } else { "inbound" },
                    "muxer": self.muxer, "security": self.security});
                self.connections.lock().unwrap().push((connection_id, shown));
                for waiter in waiting.dials.remove(&peer_id).unwrap_or_default() {
                    let _ = waiter.send(Ok(()));
                }
                self.tell(json!({"event": "connect", "peer": peer_id.to_string()}));
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.connections.lock().unwrap().retain(|(id, _)| *id != connection_id);
                if num_established == 0 {
                    self.identified.lock().unwrap().remove(&peer_id);
                    self.tell(json!({"event": "disconnect", "peer": peer_id.to_string()}));
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                let text = error.to_string();
                for waiter in waiting.dials.remove(&peer).unwrap_or_default() {
                    let _ = waiter.send(Err(text.clone().into()));
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
            })) => {
                if let Some(waiter) = waiting.queries.get(&id) {
                    let _ = waiter.send((result, stats, step.last));
                }
                if step.last {
                    waiting.queries.remove(&id);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Discovered(list))) => self.discovered(list),
            _ => {}
        }
    }
}

fn new_mdns(options: &Value, peer: PeerId) -> Result<Option<mdns::tokio::Behaviour>, Error> {
    let wanted = options["mdns"] == Value::Bool(true);
    Ok(wanted.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), peer)).transpose()?)
}

fn new_kad(options: &Value, peer: PeerId) -> Result<Option<kad::Behaviour<MemoryStore>>, Error> {
    let Some(mode) = options["kad"].as_str() else {
        return Ok(None);
    };
    let protocol = options["kad_protocol"].as_str().unwrap_or("/lotus/kad/1.0.0").to_owned();
    let mut config = kad::Config::new(StreamProtocol::try_from_owned(protocol)?);
    config.set_periodic_bootstrap_interval(None);
    let store = MemoryStoreConfig { max_records: 1 << 16, ..Default::default() };
    let mut kad = kad::Behaviour::with_config(peer, MemoryStore::with_config(peer, store), config);
    kad.set_mode(Some(if mode == "server" { kad::Mode::Server } else { kad::Mode::Client }));
    Ok(Some(kad))
}

pub fn new_swarm(options: &Value) -> Result<Swarm<Behaviour>, Error> {
    let key = transport::keypair(options)?;
    let mut kad = new_kad(options, key.public().to_peer_id())?;
    let mut mdns = new_mdns(options, key.public().to_peer_id())?;
    Ok(SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|key| transport::new(key, options))?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("/lotus-bench/1.0.0".into(), key.public())),
            ping: ping::Behaviour::default(),
            stream: libp2p_stream::Behaviour::new(),
            inbound: inbound::Behaviour { protocols: serve::protocols(), accept: Default::default() },
            kad: kad.take().into(),
            mdns: mdns.take().into(),
        })?
        // Without streams a stock node closes a connection after ten seconds.
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(1 << 30)))
        .build())
}

/// The id of the single name in a list (none: the first of all), null when there is a choice.
fn only(names: &Value, all: &[(&str, &str)]) -> Value {
    match names.as_array().map(Vec::as_slice) {
        None => json!(all[0].1),
        Some([name]) => all.iter().find(|(known, _)| name == known).map_or(Value::Null, |(_, id)| json!(id)),
        Some(_) => Value::Null,
    }
}

/// Starts the swarm and waits until all its addresses listen.
pub async fn start(options: &Value) -> Result<Arc<Node>, Error> {
    let mut swarm = new_swarm(options)?;
    let listen: Vec<String> = match options["listen"].as_array() {
        None => vec!["/ip4/127.0.0.1/tcp/0".into()],
        Some(list) => list.iter().filter_map(|a| a.as_str().map(Into::into)).collect(),
    };
    let mut addrs = vec![];
    for addr in &listen {
        swarm.listen_on(addr.parse()?)?;
    }
    while addrs.len() < listen.len() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => addrs.push(address),
            SwarmEvent::ListenerClosed { reason, .. } => return Err(format!("listening: {reason:?}").into()),
            _ => {}
        }
    }
    let (jobs, mut waiting_jobs) = mpsc::unbounded_channel::<Job>();
    let node = Arc::new(Node {
        jobs,
        streams: swarm.behaviour().stream.new_control(),
        peer: *swarm.local_peer_id(),
        addrs: Mutex::new(addrs),
        identified: Default::default(),
        connections: Default::default(),
        muxer: only(&options["muxers"], &[("yamux", "/yamux/1.0.0"), ("mplex", "/mplex/6.7.0")]),
        security: only(&options["security"], &[("noise", "/noise"), ("tls", "/tls/1.0.0")]),
        quiet: Default::default(),
        messages: Default::default(),
    });
    let _ = swarm.behaviour().inbound.accept.set(serve::accept(&node));
    let own = node.clone();
    tokio::spawn(async move {
        let mut waiting = Waiting::default();
        loop {
            tokio::select! {
                event = swarm.select_next_some() => {
                    if let SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) = event {
                        learn(&mut swarm, peer_id, &info);
                        own.identified.lock().unwrap().insert(peer_id, info);
                    } else {
                        own.on_event(event, &mut waiting);
                    }
                }
                Some(job) = waiting_jobs.recv() => job(&mut swarm, &mut waiting),
            }
        }
    });
    Ok(node)
}

/// kad of rust-libp2p learns peers only from its owner.
fn learn(swarm: &mut Swarm<Behaviour>, peer: PeerId, info: &identify::Info) {
    if let Some(kad) = swarm.behaviour_mut().kad.as_mut() {
        if info.protocols.iter().any(|p| kad.protocol_names().contains(p)) {
            for addr in &info.listen_addrs {
                kad.add_address(&peer, addr.clone());
            }
        }
    }
}
