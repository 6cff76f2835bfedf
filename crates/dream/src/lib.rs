//! Label-free training of dense retrievers.
