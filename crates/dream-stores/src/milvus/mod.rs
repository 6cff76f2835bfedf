//! Milvus, over its gRPC interface, the only one that `milvus-lite server` has too.
//!
//! A collection has the document's `id` as its key (`VarChar`), `embedding`, and `title` and `text` where texts are
//! stored. Searching needs an index: `FLAT`, which is exact, or `HNSW` if an approximate one is wanted.

mod client;
mod messages;

use self::messages as m;
use crate::place::HttpAddress;
use crate::{
    Access, Batch, Collection, Distance, Engine, Error, Found, Limits, Result, Searcher, Sink, Text,
};
use client::Client;
use prost::Message as _;
use std::fmt;
use std::time::{Duration, Instant};

const NAME: &str = "milvus";
/// Longest `VarChar`, in bytes.
const MAX_TEXT_BYTES: usize = 65_535;
/// Longest id: that of our own indexes.
const MAX_ID_BYTES: usize = 4_096;
/// Between two looks whether a collection is loaded, and how long that may take.
const LOAD_INTERVAL: Duration = Duration::from_millis(500);
const LOAD_TIMEOUT: Duration = Duration::from_secs(3600);

/// A collection on a Milvus server.
pub struct Milvus {
    client: Client,
    collection: Collection,
}

impl Milvus {
    /// Connects later. The key is a token or `user:password`; the address may hold the latter.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(access: &Access, collection: Collection) -> Result<Self> {
        let address = HttpAddress::parse(Engine::Milvus.name(), &access.url)?;
        let client = Client::new(&address, access)?;
        Ok(Self { client, collection })
    }

    fn name(&self) -> String {
        self.collection.name().to_owned()
    }

    fn named(&self) -> m::NamedRequest {
        let collection_name = self.name();
        m::NamedRequest { collection_name }
    }

    fn metric(&self) -> &'static str {
        match self.collection.distance {
            Distance::InnerProduct => "IP",
            Distance::Cosine => "COSINE",
        }
    }

    fn schema(&self) -> m::CollectionSchema {
        let field = |name: &str, data_type, key: &str, value: usize| m::FieldSchema {
            name: name.into(),
            is_primary_key: name == "id",
            data_type,
            type_params: vec![pair(key, value)],
            ..m::FieldSchema::default()
        };
        let text = |name| field(name, m::VAR_CHAR, "max_length", MAX_TEXT_BYTES);
        let mut fields = vec![
            field("id", m::VAR_CHAR, "max_length", MAX_ID_BYTES),
            field("embedding", m::FLOAT_VECTOR, "dim", self.collection.dim),
        ];
        if self.collection.with_text {
            fields.extend([text("title"), text("text")]);
        }
        for (field, id) in fields.iter_mut().zip(100..) {
            field.field_id = id;
        }
        m::CollectionSchema {
            name: self.name(),
            fields,
        }
    }

    /// The schema if the collection is there; refuses one of another kind.
    fn check(&self) -> Result<Option<m::CollectionSchema>> {
        let has: m::BoolResponse = self.client.call("HasCollection", self.named())?;
        if !has.value {
            return Ok(None);
        }
        let found: m::DescribeCollectionResponse =
            self.client.call("DescribeCollection", self.named())?;
        let schema = found.schema.unwrap_or_default();
        let field = schema.fields.iter().find(|f| f.name == "embedding");
        let dim = field
            .filter(|field| field.data_type == m::FLOAT_VECTOR)
            .and_then(|field| field.type_params.iter().find(|p| p.key == "dim"));
        let dim = dim.map_or("none", |pair| pair.value.as_str());
        let wanted = self.collection.dim.to_string();
        self.collection
            .expect(NAME, "a vector embedding of size", &wanted, dim)?;
        Ok(Some(schema))
    }

    /// Makes the index, unless there is one that will do.
    fn make_index(&self) -> Result<()> {
        let (kind, params) = if self.collection.with_index {
            ("HNSW", r#"{"M":16,"efConstruction":200}"#)
        } else {
            ("FLAT", "{}")
        };
        let request = m::DescribeIndexRequest {
            collection_name: self.name(),
            field_name: "embedding".into(),
        };
        let there: Option<m::DescribeIndexResponse> =
            self.client.try_call("DescribeIndex", request, |status| {
                status.code == m::NO_INDEX || status.error_code == m::NO_INDEX_OLD
            })?;
        let there = there.and_then(|there| there.index_descriptions.into_iter().next());
        if let Some(there) = there {
            let of = |key: &str| {
                let pair = there.params.iter().find(|pair| pair.key == key);
                pair.map_or("none", |pair| pair.value.as_str())
            };
            let (expect, metric) = (&self.collection, of("metric_type"));
            expect.expect(NAME, "an index of metric", self.metric(), metric)?;
            if self.collection.with_index {
                expect.expect(NAME, "an index of type", kind, of("index_type"))?;
            }
            return Ok(());
        }
        let request = m::CreateIndexRequest {
            collection_name: self.name(),
            field_name: "embedding".into(),
            extra_params: vec![
                pair("index_type", kind),
                pair("metric_type", self.metric()),
                pair("params", params),
            ],
            index_name: "embedding".into(),
        };
        let _: m::Status = self.client.call("CreateIndex", request)?;
        Ok(())
    }

    /// Waits until the collection can be searched.
    fn load(&self) -> Result<()> {
        let _: m::Status = self.client.call("LoadCollection", self.named())?;
        let started = Instant::now();
        loop {
            let request = m::GetLoadStateRequest {
                collection_name: self.name(),
            };
            let answer: m::GetLoadStateResponse = self.client.call("GetLoadState", request)?;
            if answer.state == m::LOADED {
                return Ok(());
            }
            if started.elapsed() > LOAD_TIMEOUT {
                let what = format!("the collection is not loaded after {LOAD_TIMEOUT:?}");
                return Err(Error::refused(NAME, what));
            }
            std::thread::sleep(LOAD_INTERVAL);
        }
    }
}

fn pair(key: &str, value: impl fmt::Display) -> m::KeyValuePair {
    m::KeyValuePair {
        key: key.into(),
        value: format!("{value}"),
    }
}

fn strings(name: &str, data: Vec<String>) -> m::FieldData {
    m::FieldData {
        r#type: m::VAR_CHAR,
        field_name: name.into(),
        field: Some(m::Field::Scalars(m::ScalarField {
            string_data: Some(m::StringArray { data }),
            ..m::ScalarField::default()
        })),
    }
}

impl Sink for Milvus {
    fn limits(&self) -> Limits {
        Limits {
            rows: 2000,
            // Milvus takes requests of 64 MB.
            bytes: 16 << 20,
            id_bytes: MAX_ID_BYTES,
            text_bytes: MAX_TEXT_BYTES,
        }
    }

    fn prepare(&mut self, _done: u64) -> Result<bool> {
        if self.check()?.is_some() {
            return Ok(false);
        }
        let request = m::CreateCollectionRequest {
            collection_name: self.name(),
            schema: self.schema().encode_to_vec(),
            shards_num: 1,
        };
        let _: m::Status = self.client.call("CreateCollection", request)?;
        Ok(true)
    }

    fn upsert(&mut self, batch: &Batch) -> Result<()> {
        let vectors = m::VectorField {
            dim: self.collection.dim as i64,
            float_vector: Some(m::FloatArray {
                data: batch.vectors.clone(),
            }),
        };
        let embedding = m::FieldData {
            r#type: m::FLOAT_VECTOR,
            field_name: "embedding".into(),
            field: Some(m::Field::Vectors(vectors)),
        };
        let mut fields_data = vec![strings("id", batch.ids.clone()), embedding];
        if self.collection.with_text {
            let column = |of: fn(&Text) -> &String| batch.texts.iter().map(of).cloned().collect();
            fields_data.push(strings("title", column(|text| &text.title)));
            fields_data.push(strings("text", column(|text| &text.text)));
        }
        let request = m::UpsertRequest {
            collection_name: self.name(),
            fields_data,
            num_rows: batch.len() as u32,
        };
        let answer: m::MutationResult = self.client.call("Upsert", request)?;
        if answer.upsert_cnt != batch.len() as i64 || !answer.err_index.is_empty() {
            let (wanted, stored) = (batch.len(), answer.upsert_cnt);
            let what = format!("{wanted} rows were sent, it stored {stored}");
            return Err(Error::refused(NAME, what));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        let request = m::FlushRequest {
            collection_names: vec![self.name()],
        };
        let _: m::StatusResponse = self.client.call("Flush", request)?;
        self.make_index()?;
        self.load()?;
        let request = m::QueryRequest {
            collection_name: self.name(),
            expr: String::new(),
            output_fields: vec!["count(*)".into()],
        };
        let answer: m::QueryResults = self.client.call("Query", request)?;
        let count = answer
            .fields_data
            .first()
            .and_then(|field| match &field.field {
                Some(m::Field::Scalars(scalars)) => {
                    scalars.long_data.as_ref()?.data.first().copied()
                }
                _ => None,
            });
        count
            .and_then(|count| u64::try_from(count).ok())
            .ok_or_else(|| Error::refused(NAME, "the count is no number"))
    }
}

impl Searcher for Milvus {
    fn search(&mut self, query: &[f32], k: usize) -> Result<Vec<Found>> {
        let Some(schema) = self.check()? else {
            let name = self.collection.name();
            return Err(Error::Invalid(format!(
                "{NAME}: there is no collection {name}"
            )));
        };
        let has = |name: &str| schema.fields.iter().any(|field| field.name == name);
        let with_text = has("title") && has("text");
        let queries = m::PlaceholderGroup {
            placeholders: vec![m::PlaceholderValue {
                tag: "$0".into(),
                r#type: m::FLOAT_VECTOR,
                values: vec![query.iter().flat_map(|x| x.to_le_bytes()).collect()],
            }],
        };
        let request = m::SearchRequest {
            collection_name: self.name(),
            dsl: String::new(),
            placeholder_group: queries.encode_to_vec(),
            dsl_type: m::BOOL_EXPR_V1,
            output_fields: if with_text {
                vec!["title".into(), "text".into()]
            } else {
                Vec::new()
            },
            search_params: vec![
                pair("anns_field", "embedding"),
                pair("topk", k),
                pair("metric_type", self.metric()),
                pair("params", format!(r#"{{"ef":{}}}"#, (2 * k).max(128))),
                pair("round_decimal", -1),
            ],
            nq: 1,
        };
        self.load()?;
        let answer: m::SearchResults = self.client.call("Search", request)?;
        let results = answer.results.unwrap_or_default();
        found(results, with_text)
            .ok_or_else(|| Error::refused(NAME, "ids, scores and texts it found are not as many"))
    }
}

fn found(results: m::SearchResultData, with_text: bool) -> Option<Vec<Found>> {
    let ids = results
        .ids
        .and_then(|ids| ids.str_id)
        .unwrap_or_default()
        .data;
    let column = |name: &str| {
        let field = results
            .fields_data
            .iter()
            .find(|field| field.field_name == name)?;
        match &field.field {
            Some(m::Field::Scalars(scalars)) => scalars.string_data.as_ref().map(|s| &s.data),
            _ => None,
        }
    };
    if ids.len() != results.scores.len() {
        return None;
    }
    let text = |row: usize| {
        let part = |name| Some(column(name)?.get(row)?.clone());
        let (title, text) = (part("title")?, part("text")?);
        Some(Text { title, text })
    };
    let rows = ids.into_iter().zip(&results.scores).enumerate();
    rows.map(|(row, (id, score))| {
        let text = if with_text { Some(text(row)?) } else { None };
        let score = *score;
        Some(Found { id, score, text })
    })
    .collect()
}

#[cfg(test)]
mod tests;
