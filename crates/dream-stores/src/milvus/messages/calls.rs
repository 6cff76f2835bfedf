//! What is asked and answered: messages of `milvus.proto`.

use super::{CollectionSchema, FieldData, KeyValuePair, SearchResultData, Status};
use prost::Message;

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
