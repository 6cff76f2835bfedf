//! Text files opened for reading, compressed or not, chosen by the extension: plain, `.gz`
//! (RFC 1952, several members allowed) and `.zst` (RFC 8878, several frames allowed, checksums
//! verified).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use crate::error::{Error, Result};

/// The file that `path` means: itself, or, if it does not exist, the same name with `.zst` or
/// `.gz` appended (`corpus.jsonl` finds `corpus.jsonl.zst`).
pub fn resolve(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    for extension in [".zst", ".gz"] {
        let mut name = OsString::from(path.as_os_str());
        name.push(extension);
        let sibling = PathBuf::from(name);
        if sibling.exists() {
            return Ok(sibling);
        }
    }
    let what = "no such file, and none with .zst or .gz appended";
    Err(Error::Io {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::NotFound, what),
    })
}

/// Opens a file (as given, see [`resolve`]) and decompresses it on the fly by its extension.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let file = File::open(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let bytes = BufReader::with_capacity(1 << 16, file);
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    Ok(match extension.to_ascii_lowercase().as_str() {
        "gz" => Box::new(BufReader::with_capacity(
            1 << 16,
            MultiGzDecoder::new(bytes),
        )),
        "zst" => Box::new(BufReader::with_capacity(1 << 16, ZstdReader::new(bytes))),
        _ => Box::new(bytes),
    })
}

/// Reads the decompressed bytes of all frames of a zstd stream, one after the other.
struct ZstdReader<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether `decoder` is inside a frame.
    in_frame: bool,
    frames: usize,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            decoder: FrameDecoder::new(),
            in_frame: false,
            frames: 0,
        }
    }

    /// Starts the next frame; `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.frames > 0 && self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            self.frames += 1;
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                    if skipped != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(bad_zstd(&error)),
            }
        }
    }

    fn check_sum(&self) -> io::Result<()> {
        let wanted = self.decoder.get_checksum_from_data();
        if wanted.is_some() && wanted != self.decoder.get_calculated_checksum() {
            return Err(bad_zstd(&"the checksum does not match the content"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if !self.next_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one_block = ruzstd::decoding::BlockDecodingStrategy::UptoBlocks(1);
                self.decoder
                    .decode_blocks(&mut self.source, one_block)
                    .map_err(|error| bad_zstd(&error))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.check_sum()?;
            self.in_frame = false;
        }
    }
}

fn bad_zstd(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("damaged or truncated zstd data: {error}"),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn frame(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    fn unzstd(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        ZstdReader::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn frames_one_after_the_other_with_a_skippable_one_between_give_one_stream() {
        let mut bytes = frame(b"first ");
        bytes.extend_from_slice(&[0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 9, 9, 9]); // RFC 8878, 3.1.2
        bytes.extend(frame(b"second"));
        assert_eq!(unzstd(&bytes).unwrap(), b"first second");
    }

    #[test]
    fn every_truncation_of_a_zstd_file_is_an_error() {
        let text: Vec<u8> = (0..5000u32)
            .flat_map(|i| i.to_string().into_bytes())
            .collect();
        let bytes = frame(&text);
        assert_eq!(unzstd(&bytes).unwrap(), text);
        for length in (0..bytes.len()).step_by(7) {
            assert!(
                unzstd(&bytes[..length]).is_err(),
                "cut to {length} of {}",
                bytes.len()
            );
        }
    }

    #[test]
    fn a_flipped_byte_never_panics_and_never_gives_other_text() {
        let text =
            b"the quick brown fox jumps over the lazy dog, again and again and again".repeat(9);
        let bytes = frame(&text);
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x41;
            if let Ok(out) = unzstd(&damaged) {
                // The frame header's descriptor may lose its checksum flag; nothing else may pass.
                assert!(out == text || position < 14, "byte {position}");
            }
        }
    }
}
