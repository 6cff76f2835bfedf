//! Sinks and searchers against small servers that check every request against the engines' documented interfaces, and
//! against files.

mod elasticsearch;
mod fake;
mod files;
mod qdrant;
mod rows;
