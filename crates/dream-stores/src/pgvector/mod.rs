//! PostgreSQL with the extension `vector`.
//!
//! A table `(id text primary key, embedding vector(dim))`, and `title` and `text` where texts are stored. A batch
//! is one transaction: binary `COPY` into a temporary table, then one `INSERT ... ON CONFLICT DO UPDATE`, so that it
//! may come twice. Names are checked ([`Collection::new`]) and quoted.

mod connect;
mod copy;

use crate::{
    Access, Batch, Collection, Distance, Error, Found, Limits, Result, Searcher, Sink, Text,
};
use postgres::Client;
use std::fmt::Write as _;

const NAME: &str = "pgvector";
/// Dimensions that the extension's `vector` can have, and that its HNSW can index.
const MAX_DIM: usize = 16_000;
const MAX_INDEXED_DIM: usize = 2_000;
/// The longest list of candidates that its HNSW keeps; more are found by a scan.
const MAX_CANDIDATES: usize = 1_000;

/// A table in a PostgreSQL database.
pub struct Pgvector {
    access: Access,
    /// Connected when it is needed, and again after the connection was lost.
    client: Option<Client>,
    collection: Collection,
}

impl Pgvector {
    /// Connects later. The key is the password, if the address has none.
    ///
    /// # Errors
    /// The address is none, or the extension cannot hold vectors of this size.
    pub fn new(access: &Access, collection: Collection) -> Result<Self> {
        let (dim, most) = (collection.dim, MAX_INDEXED_DIM);
        if dim > MAX_DIM {
            let what = format!("{NAME}: vectors have at most {MAX_DIM} dimensions, not {dim}");
            return Err(Error::Invalid(what));
        }
        if collection.with_index && dim > most {
            let what = format!("{NAME}: its HNSW index takes at most {most} dimensions, not {dim}");
            return Err(Error::Invalid(what));
        }
        connect::config(access)?;
        Ok(Self {
            access: access.clone(),
            client: None,
            collection,
        })
    }

    /// Does something on the connection, which is dropped if it broke.
    fn with<T>(
        &mut self,
        what: &str,
        work: impl FnOnce(&mut Client, &Collection) -> Result<T, connect::Failure>,
    ) -> Result<T> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(connect::connect(&self.access)?),
        };
        let done = work(client, &self.collection);
        let is_closed = client.is_closed();
        if is_closed {
            self.client = None;
        }
        done.map_err(|error| connect::classify(what, &error, is_closed))
    }

    /// The type of a column, if table and column are there.
    fn column(&mut self, column: &str) -> Result<Option<String>> {
        const SQL: &str = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute \
            WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped";
        let column = column.to_owned();
        let row = self.with("reading the table's columns", |client, collection| {
            Ok(client.query_opt(SQL, &[&quoted(collection.name()), &column])?)
        })?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Whether the table is there; refuses one of another kind.
    fn check(&mut self) -> Result<bool> {
        let wanted = format!("vector({})", self.collection.dim);
        let Some(found) = self.column("embedding")? else {
            return Ok(false);
        };
        // The extension may live in a schema that is not on the path.
        let found = found.rsplit_once('.').map_or(found.as_str(), |(_, f)| f);
        self.collection
            .expect(NAME, "a column embedding of type", &wanted, found)?;
        Ok(true)
    }
}

/// Host and database of an address.
pub(crate) fn place(access: &Access) -> Result<String> {
    Ok(connect::place(&connect::config(access)?))
}

/// A checked name between quotes.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// The columns that are pushed.
fn columns(with_text: bool) -> &'static [&'static str] {
    const ALL: [&str; 4] = ["id", "embedding", "title", "text"];
    if with_text { &ALL } else { &ALL[..2] }
}

impl Sink for Pgvector {
    fn limits(&self) -> Limits {
        Limits {
            rows: 10_000,
            bytes: 64 << 20,
            // Of a key in PostgreSQL's B-tree: a third of a page, less its own.
            id_bytes: 2_600,
            text_bytes: 64 << 20,
        }
    }

    fn prepare(&mut self, _done: u64) -> Result<bool> {
        const HAS: &str = "SELECT 1 FROM pg_extension WHERE extname = 'vector'";
        self.with("making the extension", |client, _| {
            // Asked for first: making it needs a right, even where it is there already.
            if client.query_opt(HAS, &[])?.is_none() {
                client.batch_execute("CREATE EXTENSION IF NOT EXISTS vector")?;
            }
            Ok(())
        })?;
        if self.check()? {
            if self.collection.with_text && self.column("text")?.is_none() {
                self.collection
                    .expect(NAME, "a column text", "of type text", "missing")?;
            }
            return Ok(false);
        }
        self.with("making the table", |client, collection| {
            let texts = if collection.with_text {
                ", title text NOT NULL, text text NOT NULL"
            } else {
                ""
            };
            Ok(client.batch_execute(&format!(
                "CREATE TABLE {} (id text PRIMARY KEY, embedding vector({}) NOT NULL{texts})",
                quoted(collection.name()),
                collection.dim
            ))?)
        })?;
        Ok(true)
    }

    fn upsert(&mut self, batch: &Batch) -> Result<()> {
        copy::check(batch)?;
        self.with("storing a batch", |client, collection| {
            let names = columns(collection.with_text);
            let (table, listed) = (quoted(collection.name()), names.join(", "));
            let mut transaction = client.transaction()?;
            transaction.batch_execute(&format!(
                "CREATE TEMPORARY TABLE IF NOT EXISTS dream_batch (LIKE {table}) ON COMMIT DELETE ROWS"
            ))?;
            let sql = format!("COPY dream_batch ({listed}) FROM STDIN (FORMAT binary)");
            let mut writer = transaction.copy_in(&sql)?;
            copy::write(&mut writer, batch, collection.dim)?;
            writer.finish()?;
            let set: Vec<String> = names[1..]
                .iter()
                .map(|name| format!("{name} = EXCLUDED.{name}"))
                .collect();
            transaction.batch_execute(&format!(
                "INSERT INTO {table} ({listed}) SELECT {listed} FROM dream_batch \
                 ON CONFLICT (id) DO UPDATE SET {}",
                set.join(", ")
            ))?;
            Ok(transaction.commit()?)
        })
    }

    fn finish(&mut self) -> Result<u64> {
        self.with("building the index", |client, collection| {
            let table = quoted(collection.name());
            if collection.with_index {
                let (ending, operators) = match collection.distance {
                    Distance::InnerProduct => ("hnsw_ip", "vector_ip_ops"),
                    Distance::Cosine => ("hnsw_cosine", "vector_cosine_ops"),
                };
                // As long as it takes.
                client.batch_execute("SET statement_timeout = 0")?;
                client.batch_execute(&format!(
                    "CREATE INDEX IF NOT EXISTS {} ON {table} USING hnsw (embedding {operators})",
                    quoted(&format!("{}_{ending}", collection.name()))
                ))?;
            }
            client.batch_execute(&format!("ANALYZE {table}"))?;
            let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[])?;
            Ok(row.get::<_, i64>(0) as u64)
        })
    }
}

impl Searcher for Pgvector {
    fn search(&mut self, query: &[f32], k: usize) -> Result<Vec<Found>> {
        if !self.check()? {
            let name = self.collection.name();
            return Err(Error::Invalid(format!(
                "{NAME}: there is no table {name} with a column embedding"
            )));
        }
        let with_text = self.column("title")?.is_some() && self.column("text")?.is_some();
        let query = literal(query);
        self.with("searching", |client, collection| {
            let (operator, score) = match collection.distance {
                Distance::InnerProduct => ("<#>", "-distance"),
                Distance::Cosine => ("<=>", "1 - distance"),
            };
            // An index that keeps fewer candidates than are wanted finds fewer.
            let scan = if k > MAX_CANDIDATES { "off" } else { "on" };
            let candidates = (2 * k).clamp(100, MAX_CANDIDATES);
            client.batch_execute(&format!(
                "SET enable_indexscan = {scan}; SET hnsw.ef_search = {candidates}"
            ))?;
            let texts = if with_text { ", title, text" } else { "" };
            let sql = format!(
                "SELECT id, {score}{texts} FROM (SELECT id, embedding {operator} $1::text::vector AS distance{texts} \
                 FROM {} ORDER BY embedding {operator} $1::text::vector LIMIT $2) AS nearest ORDER BY distance",
                quoted(collection.name())
            );
            let rows = client.query(&sql, &[&query, &(k as i64)])?;
            let text = |row: &postgres::Row| Text {
                title: row.get(2),
                text: row.get(3),
            };
            let found = |row: &postgres::Row| Found {
                id: row.get(0),
                score: row.get::<_, f64>(1) as f32,
                text: with_text.then(|| text(row)),
            };
            Ok(rows.iter().map(found).collect())
        })
    }
}

/// A vector as the extension reads it; every number keeps its bits.
fn literal(vector: &[f32]) -> String {
    let mut text = String::from("[");
    for (i, x) in vector.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        let _ = write!(text, "{separator}{x}"); // a string takes everything
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_keep_their_bits_as_text() {
        let vector = [0.1f32, -1.0, f32::MIN_POSITIVE, 16_777_216.0, 1.0 / 3.0];
        let text = super::literal(&vector);
        let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        let inside = inside.expect("brackets");
        let read: Vec<f32> = inside
            .split(',')
            .map(|x| x.parse().expect("a number"))
            .collect();
        assert_eq!(read, vector);
    }
}
