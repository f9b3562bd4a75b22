// SPDX-License-Identifier: MIT

//! The protocols that this peer serves; ../../../bench/README.md says what each is.

use crate::inbound::Accept;
use crate::node::Node;
use crate::Error;
use futures::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use libp2p::{PeerId, Stream, StreamProtocol};
use serde_json::{json, Value};
use std::sync::atomic::Ordering;
use std::sync::Arc;

pub const ECHO: &str = "/echo/1.0.0";
pub const PERF: &str = "/perf/1.0.0";
pub const BATCH: &str = "/bench/msg/1.0.0";
pub const MESSAGE: &str = "/lotus/message/1.0.0";
const RESET: &str = "/test/reset/1.0.0";
pub const BLOCK_BYTES: usize = 64 << 10;
const MESSAGE_BYTES_MAX: u64 = 100_000;

pub fn protocols() -> Vec<StreamProtocol> {
    [ECHO, PERF, BATCH, MESSAGE, RESET].map(StreamProtocol::new).to_vec()
}

/// Each stream in a task of its own; a stream that is dropped without being closed is reset.
pub fn accept(node: &Arc<Node>) -> Accept {
    let node = node.clone();
    Box::new(move |peer, stream, protocol| {
        let node = node.clone();
        tokio::spawn(async move {
            match protocol.as_ref() {
                ECHO => echo(stream).await,
                PERF => perf(stream).await,
                BATCH => messages(stream).await,
                MESSAGE => receive(node, peer, stream).await,
                _ => Ok(()),
            }
        });
    })
}

async fn echo(mut s: Stream) -> Result<(), Error> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let got = s.read(&mut block).await?;
        if got == 0 {
            break;
        }
        s.write_all(&block[..got]).await?;
        s.flush().await?;
    }
    s.close().await?;
    Ok(())
}

/// 8 bytes: how many to send back; then the upload until its end; then the answer.
async fn perf(mut s: Stream) -> Result<(), Error> {
    let mut head = [0; 8];
    s.read_exact(&mut head).await?;
    let mut block = vec![0; BLOCK_BYTES];
    while s.read(&mut block).await? > 0 {}
    let mut left = u64::from_be_bytes(head);
    while left > 0 {
        let n = left.min(BLOCK_BYTES as u64);
        s.write_all(&block[..n as usize]).await?;
        left -= n;
    }
    s.close().await?;
    Ok(())
}

/// 4 bytes: the size of a message; then messages, each of which is answered by itself.
async fn messages(s: Stream) -> Result<(), Error> {
    let (read, mut write) = s.split();
    let mut read = BufReader::with_capacity(BLOCK_BYTES, read);
    let mut head = [0; 4];
    read.read_exact(&mut head).await?;
    let size = u32::from_be_bytes(head) as usize;
    if size == 0 || size > 4 << 20 {
        return Err("message size".into());
    }
    let mut message = vec![0; size];
    loop {
        if let Err(err) = read.read_exact(&mut message).await {
            if err.kind() == std::io::ErrorKind::UnexpectedEof {
                break;
            }
            return Err(err.into());
        }
        write.write_all(&message).await?;
        if read.buffer().len() < size {
            write.flush().await?;
        }
    }
    write.close().await?;
    Ok(())
}

/// One Lotus message: a JSON object until the end of the stream; our side is closed, too.
async fn receive(node: Arc<Node>, peer: PeerId, mut s: Stream) -> Result<(), Error> {
    let mut text = vec![];
    (&mut s).take(MESSAGE_BYTES_MAX + 1).read_to_end(&mut text).await?;
    match serde_json::from_slice::<Value>(&text) {
        Ok(message) if text.len() as u64 <= MESSAGE_BYTES_MAX => {
            node.messages.fetch_add(1, Ordering::Relaxed);
            node.tell(json!({"event": "message", "peer": peer.to_string(), "message": message}));
        }
        other => {
            let text = other.err().map_or("too large".to_owned(), |err| err.to_string());
            node.tell(json!({"event": "bad-message", "peer": peer.to_string(), "text": text}));
            return Ok(());
        }
    }
    s.close().await?;
    Ok(())
}
