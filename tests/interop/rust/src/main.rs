// SPDX-License-Identifier: MIT

//! rust-libp2p as a test and bench peer: TCP, Noise and yamux, unless the options ask for more. It is driven by JSON lines on standard input, in the
//! language of the js peers (../README.md), and serves the protocols of ../../../bench/README.md.
//!
//!     rust-peer OPTIONS        OPTIONS is one JSON object

mod control;
mod inbound;
mod kad;
mod load;
mod node;
mod serve;
mod transport;

use serde_json::{json, Value};
use std::io::{BufRead, Write};

/// What went wrong, as text: the driver only shows it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

pub fn emit(object: Value) {
    let mut line = object.to_string();
    line.push('\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|_| out.flush());
}

fn options() -> Result<Value, Error> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "{}".into());
    Ok(serde_json::from_str(&text)?)
}

#[tokio::main]
async fn main() {
    let options = options().unwrap_or_else(|err| {
        eprintln!("usage: rust-peer OPTIONS (one JSON object): {err}");
        std::process::exit(2)
    });
    let node = node::start(&options).await.unwrap_or_else(|err| {
        eprintln!("rust-peer: {err}");
        std::process::exit(1)
    });
    let mut ready = node.info();
    ready["event"] = json!("ready");
    emit(ready);

    let (lines, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && lines.send(line).is_err() {
                break;
            }
        }
    });
    while let Some(line) = waiting.recv().await {
        tokio::spawn(control::answer(node.clone(), line));
    }
}
