//! Tensors, operations with forward and backward, optimiser and weight files.
