//! Documents, queries, judgements, runs, lexical search and measures.
