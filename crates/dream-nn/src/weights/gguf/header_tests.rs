//! Hostile heads, one rule each, and a seeded fuzz loop.
#![expect(clippy::unwrap_used, reason = "tests")]

use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// Appends the pieces of a GGUF file.
#[derive(Clone, Default)]
struct Builder(Vec<u8>);

impl Builder {
    fn head(n_tensors: u64, n_pairs: u64) -> Self {
        Self::default()
            .raw(b"GGUF")
            .u32(3)
            .u64(n_tensors)
            .u64(n_pairs)
    }
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    fn u32(self, n: u32) -> Self {
        self.raw(&n.to_le_bytes())
    }
    fn u64(self, n: u64) -> Self {
        self.raw(&n.to_le_bytes())
    }
    fn text(self, text: &[u8]) -> Self {
        self.u64(text.len() as u64).raw(text)
    }
    fn info(self, name: &str, dims: &[u64], tensor_type: u32, offset: u64) -> Self {
        let head = self.text(name.as_bytes()).u32(dims.len() as u32);
        let shaped = dims.iter().fold(head, |b, &d| b.u64(d));
        shaped.u32(tensor_type).u64(offset)
    }
    fn pad(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(32), 0);
        self
    }
}

/// Two tensors, a few pairs of several types.
fn small_valid_file() -> Vec<u8> {
    Builder::head(2, 4)
        .text(b"general.architecture")
        .u32(8)
        .text(b"llama")
        .text(b"llama.block_count")
        .u32(4)
        .u32(2)
        .text(b"tokens")
        .u32(9)
        .u32(8)
        .u64(2)
        .text(b"a")
        .text(b"bc")
        .text(b"scores")
        .u32(9)
        .u32(6)
        .u64(2)
        .u32(0)
        .u32(0)
        .info("w", &[64, 3], 2, 0)
        .info("b", &[3], 0, 128)
        .pad()
        .raw(&[1; 6 * 18])
        .pad()
        .raw(&[0; 12])
        .0
}

#[test]
fn a_valid_file_is_read() {
    let header = parse(&small_valid_file()).unwrap();
    assert_eq!(header.version, 3);
    assert_eq!(header.metadata["llama.block_count"].as_u64(), Some(2));
    assert_eq!(header.metadata["tokens"].as_strings().unwrap(), ["a", "bc"]);
    assert_eq!(header.tensors["w"].shape, [3, 64], "reversed");
    assert_eq!(header.tensors["w"].bytes.len(), 6 * 18);
    assert_eq!(header.tensors["b"].bytes.len(), 12);
}

#[test]
fn every_truncation_is_refused() {
    let whole = small_valid_file();
    for n in 0..whole.len() {
        let message = parse(&whole[..n]).unwrap_err();
        assert!(!message.is_empty(), "cut at {n}");
    }
}

#[test]
fn each_broken_rule_is_named() {
    let tensor = |dims: &[u64], tensor_type, offset| {
        Builder::head(1, 0)
            .info("w", dims, tensor_type, offset)
            .pad()
            .raw(&[0; 256])
    };
    let pair = |key: &[u8]| Builder::head(0, 1).text(key);
    let two = |second: &str, offset| {
        Builder::head(2, 0)
            .info("w", &[8], 0, 0)
            .info(second, &[8], 0, offset)
            .pad()
            .raw(&[0; 256])
    };
    let half = 1_u64 << 32;
    let cases = [
        (
            "letters GGUF",
            Builder::default().raw(b"GGML").raw(&[0; 60]),
        ),
        (
            "version 1,",
            Builder::default().raw(b"GGUF").u32(1).raw(&[0; 60]),
        ),
        (
            "version 50331648,",
            Builder::default().raw(b"GGUF").u32(3 << 24),
        ),
        ("tensor count", Builder::head(u64::MAX, 0)),
        ("metadata count", Builder::head(0, 1 << 60)),
        ("metadata key of 0 bytes", pair(b"").u32(0).raw(&[0; 9])),
        (
            "metadata key of 65536 bytes",
            pair(&vec![b'k'; 65_536]).u32(0).raw(&[0; 9]),
        ),
        ("not UTF-8", pair(&[0xC3, 0x28]).u32(0).raw(&[0; 9])),
        ("k is of type 13", pair(b"k").u32(13).raw(&[0; 9])),
        (
            "k is of type 99",
            pair(b"k").u32(9).u32(99).u64(1).raw(&[0; 9]),
        ),
        (
            "array of arrays",
            pair(b"k").u32(9).u32(9).u64(1).raw(&[0; 9]),
        ),
        (
            "length of k",
            pair(b"k").u32(9).u32(4).u64(1 << 62).raw(&[0; 9]),
        ),
        ("truth value of 2", pair(b"k").u32(7).raw(&[2; 9])),
        ("k at byte", pair(b"k").u32(8).u64(1 << 63).raw(&[0; 9])),
        (
            "comes twice",
            Builder::head(0, 2)
                .text(b"k")
                .u32(0)
                .raw(&[1])
                .text(b"k")
                .u32(0)
                .raw(&[1]),
        ),
        (
            "general.alignment",
            pair(b"general.alignment").u32(4).u32(24),
        ),
        (
            "general.alignment",
            pair(b"general.alignment").u32(4).u32(0),
        ),
        ("0 dimensions", tensor(&[], 0, 0)),
        ("5 dimensions", tensor(&[1, 1, 1, 1, 1], 0, 0)),
        ("empty or too large", tensor(&[0, 4], 0, 0)),
        ("empty or too large", tensor(&[half, half], 0, 0)),
        ("empty or too large", tensor(&[1 << 61, 2], 0, 0)),
        ("w is of type 10", tensor(&[256], 10, 0)),
        ("rows of 33", tensor(&[33], 2, 0)),
        ("multiple of 32", tensor(&[8], 0, 4)),
        ("ends at byte", tensor(&[1 << 40], 0, 0)),
        ("overflows", tensor(&[8], 0, u64::MAX - 31)),
        ("overlaps", two("v", 0)),
        ("w comes twice", two("w", 32)),
    ];
    for (wanted, builder) in cases {
        let message = parse(&builder.0).unwrap_err();
        assert!(
            message.contains(wanted),
            "wanted {wanted:?}, got {message:?}"
        );
    }
}

#[test]
fn mutated_files_neither_panic_nor_ask_for_more_than_they_hold() {
    let original = small_valid_file();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(17);
    let mut n_valid = 0;
    for _ in 0..50_000 {
        let mut file = original.clone();
        for _ in 0..rng.random_range(1..=4) {
            let at = rng.random_range(0..file.len());
            file[at] = match rng.random_range(0..4) {
                0 => 0,
                1 => 0xFF,
                2 => file[at] ^ (1 << rng.random_range(0..8)),
                _ => rng.random(),
            };
        }
        if rng.random_bool(0.1) {
            file.truncate(rng.random_range(0..file.len()));
        }
        let Ok(header) = parse(&file) else { continue };
        n_valid += 1;
        for info in header.tensors.values() {
            let n_values: usize = info.shape.iter().product();
            assert!(
                n_values < 2 * file.len(),
                "{n_values} values from this small file"
            );
            let mut data = vec![0.0; n_values];
            info.tensor_type
                .dequantise(&file[info.bytes.clone()], &mut data);
        }
    }
    assert!(n_valid > 1000, "only {n_valid} mutants reached the tensors");
}
