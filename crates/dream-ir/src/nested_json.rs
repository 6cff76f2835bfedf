//! `{"qid": {"docid": number}}`, pytrec_eval's and BEIR's form of runs and of judgements, read as a
//! stream: nothing but what the caller keeps stays in memory, whatever a line's length.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use crate::error::{Error, Result};
use crate::ids::MAX_ENTRY_BYTES;
use crate::lines::LineReader;

/// What takes the entries of one file.
pub(crate) trait Entries {
    /// The innermost numbers.
    type Value: for<'de> Deserialize<'de>;

    /// A query begins; it may have no entry at all.
    fn begin(&mut self, query: &str) -> Result<(), String>;

    /// A number of the query that began last.
    fn add(&mut self, query: &str, document: String, value: Self::Value) -> Result<(), String>;
}

/// Reads one object and nothing after it.
pub(crate) fn read<E: Entries>(lines: LineReader, entries: &mut E) -> Result<()> {
    let (path, reader) = lines.into_bytes()?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(TokenCap::new(reader)));
    let read = Queries(entries).deserialize(&mut json);
    read.and_then(|()| json.end()).map_err(|error| {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = text.strip_suffix(&place).unwrap_or(&text);
        Error::Line {
            path,
            line: error.line().max(1) as u64,
            what: format!("column {}: {what}", error.column()),
        }
    })
}

struct Queries<'a, E>(&'a mut E);

impl<'de, E: Entries> DeserializeSeed<'de> for Queries<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E: Entries> Visitor<'de> for Queries<'_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of query ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(query) = map.next_key::<String>()? {
            self.0.begin(&query).map_err(A::Error::custom)?;
            map.next_value_seed(Documents {
                query: &query,
                entries: self.0,
                lifetime: PhantomData,
            })?;
        }
        Ok(())
    }
}

struct Documents<'a, 'de, E> {
    query: &'a str,
    entries: &'a mut E,
    lifetime: PhantomData<&'de ()>,
}

impl<'de, E: Entries> DeserializeSeed<'de> for Documents<'_, 'de, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E: Entries> Visitor<'de> for Documents<'_, 'de, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of document ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((document, value)) = map.next_entry::<String, E::Value>()? {
            let added = self.entries.add(self.query, document, value);
            added.map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// Refuses a string or number of more than [`MAX_ENTRY_BYTES`] before a parser could hold it.
struct TokenCap<R> {
    inner: R,
    in_string: bool,
    escaped: bool,
    token_bytes: usize,
}

impl<R: Read> TokenCap<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            in_string: false,
            escaped: false,
            token_bytes: 0,
        }
    }

    fn see(&mut self, byte: u8) {
        self.token_bytes += 1;
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => {
                self.in_string = !self.in_string;
                self.token_bytes = 0;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b'[' | b']' | b':' | b','
                if !self.in_string =>
            {
                self.token_bytes = 0;
            }
            _ => {}
        }
    }
}

impl<R: Read> Read for TokenCap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for &byte in &buffer[..count] {
            self.see(byte);
            if self.token_bytes > MAX_ENTRY_BYTES {
                let what = format!(
                    "a string or number may hold {MAX_ENTRY_BYTES} bytes, this one is longer"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        Ok(count)
    }
}
