//! Schemas, columns and results: messages of `schema.proto`.

use super::KeyValuePair;
use prost::{Message, Oneof};

/// `schema.CollectionSchema`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CollectionSchema {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "4")]
    pub fields: Vec<FieldSchema>,
}

/// `schema.FieldSchema`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FieldSchema {
    #[prost(int64, tag = "1")]
    pub field_id: i64,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(bool, tag = "3")]
    pub is_primary_key: bool,
    #[prost(int32, tag = "5")]
    pub data_type: i32,
    #[prost(message, repeated, tag = "6")]
    pub type_params: Vec<KeyValuePair>,
}

/// `schema.FieldData`: one column of a batch.
#[derive(Clone, PartialEq, Message)]
pub struct FieldData {
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    #[prost(string, tag = "2")]
    pub field_name: String,
    #[prost(oneof = "Field", tags = "3, 4")]
    pub field: Option<Field>,
}

/// What a [`FieldData`] holds.
#[derive(Clone, PartialEq, Oneof)]
pub enum Field {
    #[prost(message, tag = "3")]
    Scalars(ScalarField),
    #[prost(message, tag = "4")]
    Vectors(VectorField),
}

/// `schema.ScalarField`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ScalarField {
    #[prost(message, optional, tag = "3")]
    pub long_data: Option<LongArray>,
    #[prost(message, optional, tag = "6")]
    pub string_data: Option<StringArray>,
}

/// `schema.VectorField`.
#[derive(Clone, PartialEq, Message)]
pub struct VectorField {
    #[prost(int64, tag = "1")]
    pub dim: i64,
    #[prost(message, optional, tag = "2")]
    pub float_vector: Option<FloatArray>,
}

/// `schema.FloatArray`.
#[derive(Clone, PartialEq, Message)]
pub struct FloatArray {
    #[prost(float, repeated, tag = "1")]
    pub data: Vec<f32>,
}

/// `schema.LongArray`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LongArray {
    #[prost(int64, repeated, tag = "1")]
    pub data: Vec<i64>,
}

/// `schema.StringArray`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StringArray {
    #[prost(string, repeated, tag = "1")]
    pub data: Vec<String>,
}

/// `schema.IDs`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Ids {
    #[prost(message, optional, tag = "2")]
    pub str_id: Option<StringArray>,
}

/// `schema.SearchResultData`.
#[derive(Clone, PartialEq, Message)]
pub struct SearchResultData {
    #[prost(message, repeated, tag = "3")]
    pub fields_data: Vec<FieldData>,
    #[prost(float, repeated, tag = "4")]
    pub scores: Vec<f32>,
    #[prost(message, optional, tag = "5")]
    pub ids: Option<Ids>,
}
