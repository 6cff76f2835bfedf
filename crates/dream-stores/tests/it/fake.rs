//! Servers that behave as Qdrant and Elasticsearch document it, as far as they are used: enough to refuse a request
//! that the real ones would refuse.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "two test programs use this file, each a part of it"
)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What an engine answers.
pub type Answer = (u16, Value);

/// An engine in memory.
pub trait Fake: Send + 'static {
    fn answer(&mut self, request: &Request) -> Answer;
}

/// Trouble ahead: answers given, in order, instead of the engine's own, to requests whose method and path
/// begin so. Status 0 stands for a connection that is closed without an answer.
pub type Trouble = Vec<(&'static str, u16)>;

/// A running server; it ends with the test program.
pub struct Server<F> {
    pub port: u16,
    pub engine: Arc<Mutex<F>>,
    pub log: Arc<Mutex<Vec<Request>>>,
    pub trouble: Arc<Mutex<Trouble>>,
}

impl<F: Fake> Server<F> {
    pub fn start(engine: F) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Self {
            port,
            engine: Arc::new(Mutex::new(engine)),
            log: Arc::default(),
            trouble: Arc::default(),
        };
        let (engine, log) = (Arc::clone(&server.engine), Arc::clone(&server.log));
        let trouble = Arc::clone(&server.trouble);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(&stream, &engine, &log, &trouble);
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn fail(&self, trouble: Trouble) {
        *self.trouble.lock().expect("no panic") = trouble;
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().expect("no panic").clone()
    }
}

fn serve<F: Fake>(
    stream: &TcpStream,
    engine: &Mutex<F>,
    log: &Mutex<Vec<Request>>,
    trouble: &Mutex<Trouble>,
) {
    let Some(request) = read(stream) else { return };
    log.lock().expect("no panic").push(request.clone());
    let line = format!("{} {}", request.method, request.path);
    let mut trouble = trouble.lock().expect("no panic");
    let next = trouble
        .iter()
        .position(|(begin, _)| line.starts_with(begin));
    let (status, body) = match next.map(|next| trouble.remove(next).1) {
        Some(0) => return,
        Some(status) => (status, json!({"status": "trouble"})),
        None => engine.lock().expect("no panic").answer(&request),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} x\r\nretry-after: 0\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    let _ = stream.write_all((head + &body).as_bytes());
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |l| l.parse().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}

/// Qdrant's collections and points.
#[derive(Default)]
pub struct FakeQdrant {
    /// Name to size, distance and links of the graph.
    pub collections: BTreeMap<String, (usize, String, u64)>,
    pub points: BTreeMap<String, (Vec<f32>, Value)>,
    pub key: Option<String>,
}

impl Fake for FakeQdrant {
    fn answer(&mut self, request: &Request) -> Answer {
        if self.key.as_ref() != request.headers.get("api-key") {
            return (401, json!({"status": {"error": "wrong key"}}));
        }
        let path = request
            .path
            .strip_prefix("/collections/")
            .expect("a collection");
        let (name, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let is_there = self.collections.contains_key(name);
        match (request.method.as_str(), rest) {
            ("PUT", "") => {
                let vectors = &body["vectors"];
                let size = vectors["size"].as_u64().expect("a size") as usize;
                let distance = vectors["distance"].as_str().expect("a distance");
                assert!(["Dot", "Cosine"].contains(&distance), "{distance}");
                let links = body["hnsw_config"]["m"].as_u64().unwrap_or(16);
                self.collections
                    .insert(name.into(), (size, distance.into(), links));
                (200, json!({"result": true, "status": "ok"}))
            }
            _ if !is_there => (404, json!({"status": {"error": "no such collection"}})),
            ("GET", "") => {
                let (size, distance, _) = &self.collections[name];
                let vectors = json!({"size": size, "distance": distance});
                (
                    200,
                    json!({"result": {"config": {"params": {"vectors": vectors}}}}),
                )
            }
            ("PATCH", "") => {
                let links = body["hnsw_config"]["m"].as_u64().expect("links");
                self.collections.get_mut(name).expect("there").2 = links;
                (200, json!({"result": true}))
            }
            ("PUT", "/points?wait=true") => self.upsert(name, &body["batch"]),
            ("POST", "/points/count") => {
                assert_eq!(body["exact"], true);
                (200, json!({"result": {"count": self.points.len()}}))
            }
            ("POST", "/points/query") => self.query(&body),
            other => panic!("{other:?} is not among the documented requests"),
        }
    }
}

impl FakeQdrant {
    fn upsert(&mut self, name: &str, batch: &Value) -> Answer {
        let list = |key: &str| batch[key].as_array().expect("a list").clone();
        let (ids, vectors, payloads) = (list("ids"), list("vectors"), list("payloads"));
        assert!(ids.len() == vectors.len() && ids.len() == payloads.len());
        for ((id, vector), payload) in ids.iter().zip(&vectors).zip(payloads) {
            let id = id.as_str().expect("a string");
            // A UUID: 8, 4, 4, 4 and 12 hexadecimal digits, of version 5.
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            if parts != [8, 4, 4, 4, 12] || id.as_bytes()[14] != b'5' {
                return (400, json!({"status": {"error": "not a valid point ID"}}));
            }
            let vector = numbers(vector);
            if vector.len() != self.collections[name].0 {
                return (400, json!({"status": {"error": "wrong vector dimension"}}));
            }
            self.points.insert(id.into(), (vector, payload));
        }
        (
            200,
            json!({"result": {"operation_id": 0, "status": "completed"}}),
        )
    }

    fn query(&self, body: &Value) -> Answer {
        let query = numbers(&body["query"]);
        let score = |vector: &[f32]| -> f32 { query.iter().zip(vector).map(|(a, b)| a * b).sum() };
        let mut points: Vec<Value> = self
            .points
            .iter()
            .map(|(id, (vector, payload))| json!({"id": id, "score": score(vector), "payload": payload}))
            .collect();
        points.sort_by(|a, b| {
            b["score"]
                .as_f64()
                .partial_cmp(&a["score"].as_f64())
                .expect("numbers")
        });
        points.truncate(body["limit"].as_u64().expect("a limit") as usize);
        assert_eq!(body["with_payload"], true);
        (200, json!({"result": {"points": points}}))
    }
}

/// The numbers of a list.
pub fn numbers(list: &Value) -> Vec<f32> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|x| x.as_f64().expect("a number") as f32)
        .collect()
}

/// Elasticsearch's one index.
#[derive(Default)]
pub struct FakeElasticsearch {
    pub name: String,
    pub mapping: Option<Value>,
    pub documents: BTreeMap<String, Value>,
    /// Documents that are refused, with their status.
    pub refused: BTreeMap<String, u16>,
    refreshed: bool,
}

impl Fake for FakeElasticsearch {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.path.strip_prefix('/').expect("a path");
        let (name, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        match (request.method.as_str(), rest) {
            ("PUT", "") => {
                let body: Value = serde_json::from_slice(&request.body).expect("JSON");
                let embedding = &body["mappings"]["properties"]["embedding"];
                assert_eq!(embedding["type"], "dense_vector");
                let is_indexed = embedding["index"] == true;
                // "similarity can only be specified for a field where index is true"
                assert_eq!(is_indexed, embedding.get("similarity").is_some());
                self.mapping = Some(body["mappings"].clone());
                self.name = name.into();
                (200, json!({"acknowledged": true}))
            }
            _ if self.mapping.is_none() || self.name != name => {
                (404, json!({"error": {"type": "index_not_found_exception"}}))
            }
            ("GET", "/_mapping") => (200, json!({name: {"mappings": self.mapping}})),
            ("POST", "/_bulk") => self.bulk(request),
            ("POST", "/_refresh") => {
                self.refreshed = true;
                (200, json!({"_shards": {"failed": 0}}))
            }
            ("GET", "/_count") => {
                let count = if self.refreshed {
                    self.documents.len()
                } else {
                    0
                };
                (200, json!({"count": count}))
            }
            other => panic!("{other:?} is not among the documented requests"),
        }
    }
}

impl FakeElasticsearch {
    fn bulk(&mut self, request: &Request) -> Answer {
        assert_eq!(request.headers["content-type"], "application/x-ndjson");
        assert_eq!(
            request.body.last(),
            Some(&b'\n'),
            "the last line must end too"
        );
        let text = std::str::from_utf8(&request.body).expect("UTF-8");
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let (mut items, mut errors) = (Vec::new(), false);
        let properties = &self.mapping.as_ref().expect("a mapping")["properties"];
        for pair in lines.chunks(2) {
            let id = pair[0]["index"]["_id"].as_str().expect("an id");
            let fields = pair[1].as_object().expect("fields");
            assert!(
                fields.keys().all(|key| properties.get(key).is_some()),
                "strict"
            );
            assert_eq!(
                Some(numbers(&pair[1]["embedding"]).len() as u64),
                properties["embedding"]["dims"].as_u64()
            );
            let status = self.refused.remove(id).unwrap_or(201);
            let mut item = json!({"_id": id, "status": status});
            if status < 300 {
                self.documents.insert(id.into(), pair[1].clone());
            } else {
                errors = true;
                item["error"] = json!({"type": "trouble", "reason": "as told"});
            }
            items.push(json!({"index": item}));
        }
        (200, json!({"errors": errors, "items": items}))
    }
}
