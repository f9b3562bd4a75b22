// SPDX-License-Identifier: MIT

//! The identity and the transports, as the options ask for them.

use crate::Error;
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, OrTransport};
use libp2p::core::upgrade::{self, SelectUpgrade};
use libp2p::core::Transport;
use libp2p::{dns, identity, noise, tcp, tls, websocket, yamux, PeerId};
use serde_json::Value;

type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// A seed, a key of the wanted type, or (RSA: nothing here makes one) a PKCS #8 file.
pub fn keypair(options: &Value) -> Result<identity::Keypair, Error> {
    if let Some(hex) = options["seed"].as_str() {
        if hex.len() != 64 || !hex.is_ascii() {
            return Err("seed: expected 64 hex digits".into());
        }
        let seed: Result<Vec<u8>, _> = (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16)).collect();
        return Ok(identity::Keypair::ed25519_from_bytes(seed?)?);
    }
    match options["key_type"].as_str().unwrap_or("ed25519") {
        "ed25519" => Ok(identity::Keypair::generate_ed25519()),
        "secp256k1" => Ok(identity::Keypair::generate_secp256k1()),
        "ecdsa" => Ok(identity::Keypair::generate_ecdsa()),
        "rsa" => {
            let path = options["rsa_key"].as_str().ok_or("rsa_key: a PKCS #8 file is needed")?;
            Ok(identity::Keypair::rsa_from_pkcs8(&mut std::fs::read(path)?)?)
        }
        other => Err(format!("key_type {other} is unknown").into()),
    }
}

fn names(options: &Value, field: &str, default: &str) -> Vec<String> {
    match options[field].as_array() {
        None => vec![default.into()],
        Some(list) => list.iter().filter_map(|name| name.as_str().map(Into::into)).collect(),
    }
}

/// The security protocol and the muxers over a transport of plain bytes.
fn upgraded<T>(transport: T, key: &identity::Keypair, options: &Value) -> Result<Connections, Error>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    let (security, muxers) = (names(options, "security", "noise"), names(options, "muxers", "yamux"));
    let builder = transport.upgrade(upgrade::Version::V1Lazy);
    // Each choice has a type of its own.
    macro_rules! with_muxer {
        ($authenticated:expr) => {
            match muxers.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["yamux"] => $authenticated.multiplex(yamux::Config::default()).boxed(),
                ["mplex"] => $authenticated.multiplex(libp2p_mplex::Config::default()).boxed(),
                _ => {
                    let both = SelectUpgrade::new(yamux::Config::default(), libp2p_mplex::Config::default());
                    $authenticated.multiplex(both).boxed()
                }
            }
        };
    }
    Ok(match security.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["noise"] => with_muxer!(builder.authenticate(noise::Config::new(key)?)),
        ["tls"] => with_muxer!(builder.authenticate(tls::Config::new(key)?)),
        _ => return Err("security: this peer takes noise or tls, one of them".into()),
    })
}

/// A certificate of PEM files for listening on /wss, and the root whom a dialer trusts.
fn web_tls(options: &Value) -> Result<Option<websocket::tls::Config>, Error> {
    let der = |field: &str| -> Result<Option<Vec<u8>>, Error> {
        options[field].as_str().map(|path| Ok(std::fs::read(path)?)).transpose()
    };
    let mut config = websocket::tls::Config::builder();
    if let (Some(cert), Some(key)) = (der("tls_cert_der")?, der("tls_key_der")?) {
        config.server(websocket::tls::PrivateKey::new(key), vec![websocket::tls::Certificate::new(cert)])?;
    }
    if let Some(root) = der("tls_roots_der")? {
        config.add_trust(&websocket::tls::Certificate::new(root))?;
        return Ok(Some(config.finish()));
    }
    Ok(options["tls_cert_der"].is_string().then(|| config.finish()))
}

pub fn new(key: &identity::Keypair, options: &Value) -> Result<Connections, Error> {
    let plain = tcp::tokio::Transport::new(tcp::Config::default());
    if options["websocket"] != Value::Bool(true) {
        return upgraded(plain, key, options);
    }
    let inner = dns::tokio::Transport::system(tcp::tokio::Transport::new(tcp::Config::default()))?;
    let mut web = websocket::Config::new(inner);
    if let Some(config) = web_tls(options)? {
        web.set_tls_config(config);
    }
    let either = OrTransport::new(upgraded(web, key, options)?, upgraded(plain, key, options)?);
    Ok(either.map(|either, _| either.into_inner()).boxed())
}
