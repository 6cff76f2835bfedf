//! Elasticsearch, through `_bulk`.
//!
//! The document's id is Elasticsearch's `_id`, so a batch that comes twice replaces itself.

use crate::http::Http;
use crate::place::HttpAddress;
use crate::{
    Access, Batch, Collection, Distance, Engine, Error, Limits, Result, Secret, Sink, Text,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use ureq::http::Method;

const NAME: &str = "elasticsearch";

/// An index on an Elasticsearch server.
pub struct Elasticsearch {
    http: Http,
    collection: Collection,
}

impl Elasticsearch {
    /// Nothing is sent yet. The key is an API key; the address may hold a user and a password instead.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(access: &Access, collection: Collection) -> Result<Self> {
        let address = HttpAddress::parse(Engine::Elasticsearch.name(), &access.url)?;
        let authorization = match (&access.key, &address.password) {
            (Some(key), _) => Some(format!("ApiKey {}", key.reveal())),
            (None, Some(password)) => {
                let login = format!("{}:{}", address.user, password.reveal());
                Some(format!("Basic {}", STANDARD.encode(login)))
            }
            (None, None) => None,
        };
        let headers = authorization.map(|value| ("authorization", Secret::new(value)));
        let http = Http::new(NAME, &address, access, headers.into_iter().collect());
        Ok(Self { http, collection })
    }

    fn path(&self, rest: &str) -> String {
        format!("/{}{rest}", self.collection.name())
    }

    fn mapping(&self) -> Value {
        // With `index` false there is no graph, and a scan by `script_score` finds the nearest.
        let mut embedding = json!({
            "type": "dense_vector",
            "dims": self.collection.dim,
            "index": self.collection.with_index,
        });
        if self.collection.with_index {
            embedding["similarity"] = json!(match self.collection.distance {
                Distance::InnerProduct => "max_inner_product",
                Distance::Cosine => "cosine",
            });
        }
        let mut properties = json!({"embedding": embedding});
        if self.collection.with_text {
            properties["title"] = json!({"type": "text"});
            properties["text"] = json!({"type": "text"});
        }
        json!({"mappings": {"dynamic": "strict", "properties": properties}})
    }
}

#[derive(Serialize)]
struct Source<'a> {
    embedding: &'a [f32],
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl Sink for Elasticsearch {
    fn limits(&self) -> Limits {
        Limits {
            rows: 1000,
            // A number takes up to 15 bytes as text, and Elasticsearch takes requests of 100 MB.
            bytes: 6 << 20,
            id_bytes: 512,
            text_bytes: 4 << 20,
        }
    }

    fn prepare(&mut self, _done: u64) -> Result<bool> {
        let answer = self.http.get(&self.path("/_mapping"))?;
        if answer.status == 404 {
            let answer = self
                .http
                .json(Method::PUT, &self.path(""), &self.mapping())?;
            self.http.success("making the index", answer)?;
            return Ok(true);
        }
        let json = self.http.success("reading the mapping", answer)?;
        let found = &json[self.collection.name()]["mappings"]["properties"]["embedding"];
        let found = format!("{} of {}", found["type"], found["dims"]);
        let wanted = format!("\"dense_vector\" of {}", self.collection.dim);
        self.collection
            .expect(NAME, "the field embedding", &wanted, &found)?;
        Ok(false)
    }

    fn upsert(&mut self, batch: &Batch) -> Result<()> {
        let mut lines = Vec::new();
        for (id, embedding, text) in batch.rows(self.collection.dim) {
            line(&mut lines, &json!({"index": {"_id": id}}))?;
            let source = Source {
                embedding,
                title: text.map(|Text { title, .. }| title.as_str()),
                text: text.map(|Text { text, .. }| text.as_str()),
            };
            line(&mut lines, &source)?;
        }
        let path = self.path("/_bulk");
        let answer = self
            .http
            .send(Method::POST, &path, "application/x-ndjson", lines)?;
        let json = self.http.success("storing documents", answer)?;
        check_items(&json, batch.len())
    }

    fn finish(&mut self) -> Result<u64> {
        let answer = self
            .http
            .send(Method::POST, &self.path("/_refresh"), "", Vec::new())?;
        self.http.success("refreshing", answer)?;
        let answer = self.http.get(&self.path("/_count"))?;
        let json = self.http.success("counting", answer)?;
        json["count"]
            .as_u64()
            .ok_or_else(|| Error::refused(NAME, "the count is no number"))
    }
}

/// A value as JSON on a line of its own.
fn line(lines: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *lines, value)
        .map_err(|e| Error::Invalid(format!("{NAME}: {e}")))?;
    lines.push(b'\n');
    Ok(())
}

/// `_bulk` answers 200 even where documents were refused: each has a status of its own.
fn check_items(json: &Value, wanted: usize) -> Result<()> {
    let items = json["items"].as_array().map_or(&[][..], Vec::as_slice);
    if items.len() != wanted {
        let what = format!(
            "{wanted} documents were sent, it answered for {}",
            items.len()
        );
        return Err(Error::refused(NAME, what));
    }
    for item in items {
        let item = &item["index"];
        let status = item["status"].as_u64().unwrap_or_default();
        if (200..300).contains(&status) {
            continue;
        }
        let (id, reason) = (
            &item["_id"],
            crate::error::excerpt(&item["error"].to_string()),
        );
        let what = format!("document {id} was answered with {status}: {reason}");
        return Err(match status {
            429 | 503 => Error::unavailable(NAME, what),
            _ => Error::refused(NAME, what),
        });
    }
    Ok(())
}
