//! The messages of Milvus's gRPC interface that are sent and read here, with the fields that are used.
//!
//! Names and numbers are those of Milvus's public interface definitions (`milvus.proto`, `schema.proto`,
//! `common.proto`); fields that are left out have no meaning here and are skipped when read. Written by hand, so
//! that building needs no compiler of interface definitions.

mod calls;
mod data;

pub use calls::*;
pub use data::*;

use prost::Message;

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
