//! A hub of our own on this machine, for tests.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::env::Env;

/// What the server answers to one path.
#[derive(Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Contents.
    pub body: Vec<u8>,
    /// Bytes of the body that are really sent before the connection is closed.
    pub sent: usize,
}

/// All of a body.
pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
    let body = body.into();
    Reply {
        status: 200,
        sent: body.len(),
        body,
    }
}

/// A server that answers a fixed table, and the paths that were asked for.
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    /// The paths, in order.
    pub asked: Arc<Mutex<Vec<String>>>,
}

/// Starts it.
pub fn serve(replies: HashMap<String, Reply>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map_while(Result::ok);
            let Some(request) = lines.next() else {
                continue;
            };
            let token = lines
                .take_while(|line| !line.is_empty())
                .any(|l| l.eq_ignore_ascii_case("authorization: Bearer T"));
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            log.lock()
                .unwrap()
                .push(format!("{path}{}", if token { " with token" } else { "" }));
            let reply = replies.get(&path).cloned().unwrap_or(Reply {
                status: 404,
                body: vec![],
                sent: 0,
            });
            let head = format!(
                "HTTP/1.1 {} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                reply.status,
                reply.body.len()
            );
            // The client may hang up in the middle.
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&reply.body[..reply.sent]));
        }
    });
    Server { address, asked }
}

/// An environment whose caches are below `folder`.
pub fn env_at(folder: &Path, endpoint: &str) -> Env {
    let value = |name: &str| match name {
        "DREAM_CACHE" => Some(folder.join("ours").into()),
        "HF_HUB_CACHE" => Some(folder.join("hub").into()),
        "HF_ENDPOINT" => Some(endpoint.into()),
        "HF_TOKEN" => Some("T".into()),
        _ => None,
    };
    Env::from_lookup(value, None)
}

/// Names of what is in a folder.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
