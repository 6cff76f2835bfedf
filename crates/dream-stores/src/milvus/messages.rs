//! The messages of Milvus's gRPC interface that are sent and read here, with the fields that are used.
//!
//! Names and numbers are those of Milvus's public interface definitions (`milvus.proto`, `schema.proto`,
//! `common.proto`); fields that are left out have no meaning here and are skipped when read. Written by hand, so
//! that building needs no compiler of interface definitions.

use prost::{Message, Oneof};

/// `schema.DataType.VarChar`.
pub const VAR_CHAR: i32 = 21;
/// `schema.DataType.FloatVector` and `common.PlaceholderType.FloatVector`.
pub const FLOAT_VECTOR: i32 = 101;
/// `common.DslType.BoolExprV1`.
pub const BOOL_EXPR_V1: i32 = 1;
/// Codes of a status that say that there is no such index: the newer one, and that of `common.ErrorCode`.
pub const NO_INDEX: i32 = 700;
pub const NO_INDEX_OLD: i32 = 25;
/// `common.LoadState.LoadStateLoaded`.
pub const LOADED: i32 = 3;

/// `common.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub error_code: i32,
    #[prost(string, tag = "2")]
    pub reason: String,
    #[prost(int32, tag = "3")]
    pub code: i32,
    #[prost(bool, tag = "4")]
    pub retriable: bool,
}

/// `common.KeyValuePair`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct KeyValuePair {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `common.PlaceholderGroup`: the queries of a search.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PlaceholderGroup {
    #[prost(message, repeated, tag = "1")]
    pub placeholders: Vec<PlaceholderValue>,
}

/// `common.PlaceholderValue`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PlaceholderValue {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(int32, tag = "2")]
    pub r#type: i32,
    /// Little-endian numbers, one vector each.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub values: Vec<Vec<u8>>,
}

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

/// `milvus.CreateCollectionRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CreateCollectionRequest {
    #[prost(string, tag = "3")]
    pub collection_name: String,
    /// A [`CollectionSchema`], encoded.
    #[prost(bytes = "vec", tag = "4")]
    pub schema: Vec<u8>,
    #[prost(int32, tag = "5")]
    pub shards_num: i32,
}

/// The requests that are a collection's name under number 3: `HasCollectionRequest`,
/// `DescribeCollectionRequest`, `LoadCollectionRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NamedRequest {
    #[prost(string, tag = "3")]
    pub collection_name: String,
}

/// `milvus.BoolResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct BoolResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(bool, tag = "2")]
    pub value: bool,
}

/// `milvus.DescribeCollectionResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct DescribeCollectionResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub schema: Option<CollectionSchema>,
}

/// `milvus.UpsertRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct UpsertRequest {
    #[prost(string, tag = "3")]
    pub collection_name: String,
    #[prost(message, repeated, tag = "5")]
    pub fields_data: Vec<FieldData>,
    #[prost(uint32, tag = "7")]
    pub num_rows: u32,
}

/// `milvus.MutationResult`.
#[derive(Clone, PartialEq, Message)]
pub struct MutationResult {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(uint32, repeated, tag = "4")]
    pub err_index: Vec<u32>,
    #[prost(int64, tag = "8")]
    pub upsert_cnt: i64,
}

/// `milvus.FlushRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FlushRequest {
    #[prost(string, repeated, tag = "3")]
    pub collection_names: Vec<String>,
}

/// The answers of which only the status is read: `FlushResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
}

/// `milvus.CreateIndexRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CreateIndexRequest {
    #[prost(string, tag = "3")]
    pub collection_name: String,
    #[prost(string, tag = "4")]
    pub field_name: String,
    #[prost(message, repeated, tag = "5")]
    pub extra_params: Vec<KeyValuePair>,
    #[prost(string, tag = "6")]
    pub index_name: String,
}

/// `milvus.DescribeIndexRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DescribeIndexRequest {
    #[prost(string, tag = "3")]
    pub collection_name: String,
    #[prost(string, tag = "4")]
    pub field_name: String,
}

/// `milvus.DescribeIndexResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct DescribeIndexResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(message, repeated, tag = "2")]
    pub index_descriptions: Vec<IndexDescription>,
}

/// `milvus.IndexDescription`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct IndexDescription {
    #[prost(message, repeated, tag = "3")]
    pub params: Vec<KeyValuePair>,
    #[prost(string, tag = "4")]
    pub field_name: String,
}

/// `milvus.GetLoadStateRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GetLoadStateRequest {
    #[prost(string, tag = "2")]
    pub collection_name: String,
}

/// `milvus.GetLoadStateResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct GetLoadStateResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(int32, tag = "2")]
    pub state: i32,
}

/// `milvus.QueryRequest`; the consistency level left at 0 is the strong one.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct QueryRequest {
    #[prost(string, tag = "3")]
    pub collection_name: String,
    #[prost(string, tag = "4")]
    pub expr: String,
    #[prost(string, repeated, tag = "5")]
    pub output_fields: Vec<String>,
}

/// `milvus.QueryResults`.
#[derive(Clone, PartialEq, Message)]
pub struct QueryResults {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(message, repeated, tag = "2")]
    pub fields_data: Vec<FieldData>,
}

/// `milvus.SearchRequest`; the consistency level left at 0 is the strong one.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SearchRequest {
    #[prost(string, tag = "3")]
    pub collection_name: String,
    #[prost(string, tag = "5")]
    pub dsl: String,
    /// A [`PlaceholderGroup`], encoded.
    #[prost(bytes = "vec", tag = "6")]
    pub placeholder_group: Vec<u8>,
    #[prost(int32, tag = "7")]
    pub dsl_type: i32,
    #[prost(string, repeated, tag = "8")]
    pub output_fields: Vec<String>,
    #[prost(message, repeated, tag = "9")]
    pub search_params: Vec<KeyValuePair>,
    #[prost(int64, tag = "12")]
    pub nq: i64,
}

/// `milvus.SearchResults`.
#[derive(Clone, PartialEq, Message)]
pub struct SearchResults {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub results: Option<SearchResultData>,
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

/// An answer that says how it went.
pub trait Answer {
    /// Its status; none counts as success, as everywhere in this encoding.
    fn status(&self) -> Option<&Status>;
}

impl Answer for Status {
    fn status(&self) -> Option<&Status> {
        Some(self)
    }
}

macro_rules! answers {
    ($($message:ty),* $(,)?) => {$(
        impl Answer for $message {
            fn status(&self) -> Option<&Status> {
                self.status.as_ref()
            }
        }
    )*};
}

answers!(
    BoolResponse,
    DescribeCollectionResponse,
    DescribeIndexResponse,
    MutationResult,
    StatusResponse,
    GetLoadStateResponse,
    QueryResults,
    SearchResults,
);
