//! The operations, each a pair of functions: forward, and backward written by hand.

pub mod attention;
pub mod cross_entropy;
pub mod elementwise;
pub mod embedding;
pub mod linear;
pub mod lora;
pub mod rms_norm;
pub mod rope;
pub mod swiglu;
