//! Documents and queries, and how their JSON is read: `_id`, `id` or `docid`/`document_id`/`query_id`,
//! `text` or `document_text`, ids kept as strings, a title that may be absent, null or empty.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// One document of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DocumentJson")]
pub struct Document {
    /// Unique in its corpus, never empty.
    #[serde(rename = "_id")]
    pub id: String,
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub text: String,
}

impl Document {
    /// Title and text as BEIR and MTEB join them: with a space, trimmed.
    pub fn full_text(&self) -> String {
        self.titled(" ")
    }

    /// Title and text joined with `separator` and trimmed; the text alone if there is no title.
    pub fn titled(&self, separator: &str) -> String {
        if self.title.is_empty() {
            return self.text.trim().to_owned();
        }
        format!("{}{separator}{}", self.title, self.text)
            .trim()
            .to_owned()
    }
}

/// One query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "QueryJson")]
pub struct Query {
    /// Unique in its file, never empty.
    #[serde(rename = "_id")]
    pub id: String,
    /// What is asked.
    pub text: String,
}

/// An id as JSON: a string, or an integer that becomes its own digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(pub String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an id that is a non-empty string or an integer")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                if text.is_empty() {
                    return Err(E::invalid_value(de::Unexpected::Str(text), &self));
                }
                Ok(Id(text.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

/// The spellings of a document in corpora.
#[derive(Debug, Deserialize)]
pub(crate) struct DocumentJson {
    #[serde(rename = "_id")]
    underscore_id: Option<Id>,
    id: Option<Id>,
    #[serde(alias = "document_id")]
    docid: Option<Id>,
    title: Option<String>,
    #[serde(alias = "document_text")]
    text: String,
}

impl DocumentJson {
    /// Id, if it names one, title and text.
    pub(crate) fn into_parts(self) -> (Option<String>, String, String) {
        let id = self.underscore_id.or(self.id).or(self.docid);
        let title = self.title.unwrap_or_default();
        (id.map(|id| id.0), title, self.text)
    }
}

/// A candidate in a training row: a document whose id may be absent, or the id of one.
#[derive(Debug, Deserialize)]
pub(crate) struct CandidateJson {
    #[serde(rename = "_id")]
    underscore_id: Option<Id>,
    id: Option<Id>,
    docid: Option<Id>,
    title: Option<String>,
    text: Option<String>,
    score: Option<f64>,
}

/// What a candidate is.
pub(crate) enum Candidate {
    /// A document.
    Text(Document),
    /// The id of a document of the corpus.
    Name(String),
}

impl CandidateJson {
    /// Its score, if it has one.
    pub(crate) fn score(&self) -> Result<Option<f32>, String> {
        match self.score {
            Some(score) if !(score as f32).is_finite() => Err(format!(
                "the score {score:e} is no finite number of 32 bits"
            )),
            score => Ok(score.map(|score| score as f32)),
        }
    }

    /// Id, if it names one, title, and text, if it holds one: not neither.
    pub(crate) fn into_parts(self) -> Result<(Option<String>, String, Option<String>), String> {
        let id = self.underscore_id.or(self.id).or(self.docid);
        if id.is_none() && self.text.is_none() {
            return Err("wanted a text or the id of a document of the corpus".into());
        }
        let title = self.title.unwrap_or_default();
        Ok((id.map(|id| id.0), title, self.text))
    }

    /// The document, with `default_id` if it names none, or the name alone.
    pub(crate) fn or_id(self, default_id: impl FnOnce() -> String) -> Result<Candidate, String> {
        let (id, title, text) = self.into_parts()?;
        let id = id.unwrap_or_else(default_id);
        Ok(match text {
            Some(text) => Candidate::Text(Document { id, title, text }),
            None => Candidate::Name(id),
        })
    }
}

impl TryFrom<DocumentJson> for Document {
    type Error = &'static str;

    fn try_from(json: DocumentJson) -> Result<Self, Self::Error> {
        let id = json.underscore_id.or(json.id).or(json.docid);
        let id = id.ok_or("a document needs an id: `_id`, `id` or `docid`")?;
        Ok(Self {
            id: id.0,
            title: json.title.unwrap_or_default(),
            text: json.text,
        })
    }
}

#[derive(Deserialize)]
struct QueryJson {
    #[serde(rename = "_id")]
    underscore_id: Option<Id>,
    id: Option<Id>,
    query_id: Option<Id>,
    text: String,
}

impl TryFrom<QueryJson> for Query {
    type Error = &'static str;

    fn try_from(json: QueryJson) -> Result<Self, Self::Error> {
        match json.underscore_id.or(json.id).or(json.query_id) {
            Some(Id(id)) => Ok(Self {
                id,
                text: json.text,
            }),
            None => Err("a query needs an id: `_id`, `id` or `query_id`"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn document(json: &str) -> Result<Document, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn full_text_joins_title_and_text_as_beir_does() {
        let d = |title: &str, text: &str| Document {
            id: "1".into(),
            title: title.into(),
            text: text.into(),
        };
        assert_eq!(d("A", "b").full_text(), "A b");
        assert_eq!(d("", " b ").full_text(), "b");
        assert_eq!(d("A", "").full_text(), "A");
        assert_eq!(d("A", "b").titled("\n"), "A\nb");
        assert_eq!(d("", "b").titled(": "), "b");
    }

    #[test]
    fn every_spelling_of_an_id_is_read_and_kept_as_a_string() {
        for json in [
            r#"{"_id":"007","title":null,"text":"t","metadata":{}}"#,
            r#"{"id":"007","text":"t"}"#,
            r#"{"docid":"007","title":"","text":"t"}"#,
            r#"{"document_id":"007","document_text":"t"}"#,
            r#"{"_id":"007","id":12,"text":"t"}"#,
        ] {
            assert_eq!(document(json).unwrap().id, "007", "{json}");
        }
        assert_eq!(document(r#"{"_id":7,"text":""}"#).unwrap().id, "7");
    }

    #[test]
    fn a_document_without_id_or_text_says_what_is_missing() {
        let error = |json| document(json).unwrap_err().to_string();
        assert!(error(r#"{"text":"t"}"#).contains("needs an id"));
        assert!(error(r#"{"_id":"","text":"t"}"#).contains("non-empty"));
        assert!(error(r#"{"_id":1.5,"text":"t"}"#).contains("integer"));
        assert!(error(r#"{"_id":"1"}"#).contains("text"));
    }

    #[test]
    fn documents_and_queries_are_written_as_beir_spells_them() {
        let d = document(r#"{"id":"1","text":"t"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&d).unwrap(),
            r#"{"_id":"1","title":"","text":"t"}"#
        );
        let q: Query = serde_json::from_str(r#"{"query_id":3,"text":"q"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&q).unwrap(),
            r#"{"_id":"3","text":"q"}"#
        );
    }
}
