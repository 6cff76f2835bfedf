//! Qdrant, over its REST interface.
//!
//! Points have ids of their own kind (numbers or UUIDs): ours is the UUID of version 5 of the document's id,
//! and the id itself is in the payload. A collection is made without its graph (`m` 0), which is the fastest way
//! to fill one; if an approximate index is wanted the graph is switched on at the end and Qdrant builds it.

use crate::http::Http;
use crate::place::HttpAddress;
use crate::{
    Access, Batch, Collection, Distance, Engine, Error, Found, Limits, Result, Searcher, Sink, Text,
};
use serde::Serialize;
use serde_json::{Value, json};
use ureq::http::Method;
use uuid::Uuid;

const NAME: &str = "qdrant";
/// Links of a point in the graph: Qdrant's own default.
const GRAPH_LINKS: usize = 16;

/// A collection on a Qdrant server.
pub struct Qdrant {
    http: Http,
    collection: Collection,
}

impl Qdrant {
    /// Nothing is sent yet. The key is Qdrant's API key; the address may hold it as its password.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(access: &Access, collection: Collection) -> Result<Self> {
        let address = HttpAddress::parse(Engine::Qdrant.name(), &access.url)?;
        let key = access.key.clone().or_else(|| address.password.clone());
        let headers = key.map(|key| ("api-key", key)).into_iter().collect();
        let http = Http::new(NAME, &address, access, headers);
        Ok(Self { http, collection })
    }

    fn path(&self, rest: &str) -> String {
        format!("/collections/{}{rest}", self.collection.name())
    }

    fn distance(&self) -> &'static str {
        match self.collection.distance {
            Distance::InnerProduct => "Dot",
            Distance::Cosine => "Cosine",
        }
    }

    /// Whether the collection is there; refuses one of another kind.
    fn check(&self) -> Result<bool> {
        let answer = self.http.get(&self.path(""))?;
        if answer.status == 404 {
            return Ok(false);
        }
        let json = self.http.success("reading the collection", answer)?;
        let vectors = &json["result"]["config"]["params"]["vectors"];
        let found = format!("{} {}", vectors["size"], vectors["distance"]);
        let wanted = format!("{} \"{}\"", self.collection.dim, self.distance());
        self.collection
            .expect(NAME, "vectors of size and distance", &wanted, &found)?;
        Ok(true)
    }

    fn do_it(&self, what: &str, method: Method, path: &str, body: &Value) -> Result<Value> {
        let answer = self.http.json(method, &self.path(path), body)?;
        self.http.success(what, answer)
    }
}

/// What `PUT points` takes, as columns.
#[derive(Serialize)]
struct Body<'a> {
    batch: Points<'a>,
}

#[derive(Serialize)]
struct Points<'a> {
    ids: Vec<Uuid>,
    vectors: Vec<&'a [f32]>,
    payloads: Vec<Value>,
}

/// The point of a document.
pub fn point_id(id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes())
}

impl Sink for Qdrant {
    fn limits(&self) -> Limits {
        Limits {
            rows: 1000,
            // A number takes up to 15 bytes as text, and Qdrant takes requests of 32 MB.
            bytes: 6 << 20,
            id_bytes: 1 << 16,
            text_bytes: 4 << 20,
        }
    }

    fn prepare(&mut self, _done: u64) -> Result<bool> {
        if self.check()? {
            return Ok(false);
        }
        let vectors = json!({"size": self.collection.dim, "distance": self.distance()});
        let body = json!({"vectors": vectors, "hnsw_config": {"m": 0}});
        self.do_it("making the collection", Method::PUT, "", &body)?;
        Ok(true)
    }

    fn upsert(&mut self, batch: &Batch) -> Result<()> {
        let rows = || batch.rows(self.collection.dim);
        let payload = |(id, _, text): (&str, &[f32], Option<&Text>)| match text {
            None => json!({"id": id}),
            Some(text) => json!({"id": id, "title": text.title, "text": text.text}),
        };
        let points = Points {
            ids: batch.ids.iter().map(|id| point_id(id)).collect(),
            vectors: rows().map(|(_, vector, _)| vector).collect(),
            payloads: rows().map(payload).collect(),
        };
        let path = self.path("/points?wait=true");
        let answer = self
            .http
            .json(Method::PUT, &path, &Body { batch: points })?;
        let json = self.http.success("storing points", answer)?;
        match json["result"]["status"].as_str() {
            Some("completed") => Ok(()),
            other => Err(Error::refused(
                NAME,
                format!("points should be stored once it answers, but it says {other:?}"),
            )),
        }
    }

    fn finish(&mut self) -> Result<u64> {
        if self.collection.with_index {
            let body = json!({"hnsw_config": {"m": GRAPH_LINKS}});
            self.do_it("switching the graph on", Method::PATCH, "", &body)?;
        }
        let body = json!({"exact": true});
        let json = self.do_it("counting", Method::POST, "/points/count", &body)?;
        json["result"]["count"]
            .as_u64()
            .ok_or_else(|| Error::refused(NAME, "the count is no number"))
    }
}

impl Searcher for Qdrant {
    fn search(&mut self, query: &[f32], k: usize) -> Result<Vec<Found>> {
        if !self.check()? {
            let name = self.collection.name();
            return Err(Error::Invalid(format!(
                "{NAME}: there is no collection {name}"
            )));
        }
        let body = json!({
            "query": query,
            "limit": k,
            "with_payload": true,
            "params": {"hnsw_ef": (2 * k).max(128)},
        });
        let json = self.do_it("searching", Method::POST, "/points/query", &body)?;
        let points = json["result"]["points"].as_array();
        let found = points.and_then(|points| points.iter().map(found).collect());
        found.ok_or_else(|| {
            Error::refused(NAME, "what it found is no list of points with our payload")
        })
    }
}

fn found(point: &Value) -> Option<Found> {
    let payload = &point["payload"];
    let part = |name: &str| payload[name].as_str().map(str::to_owned);
    Some(Found {
        id: part("id")?,
        score: point["score"].as_f64()? as f32,
        text: part("title")
            .zip(part("text"))
            .map(|(title, text)| Text { title, text }),
    })
}
