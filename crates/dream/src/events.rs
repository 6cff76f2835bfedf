//! Event files that TensorBoard reads, written without a protobuf or TensorFlow library.
//!
//! A file is a row of records, each `u64 length | u32 crc(length) | bytes | u32 crc(bytes)`, all
//! little-endian, with the CRC32C (Castagnoli) masked as the TFRecord format asks. The bytes are an
//! `Event` message of TensorFlow's `event.proto`; of its fields we write five: `wall_time` (1),
//! `step` (2), `file_version` (3), `summary` (5) with one tag and `simple_value`, and
//! `session_log` (7), which tells readers that a run went back to an earlier step.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

/// Writes scalars to one event file; each call is one complete record in the file when it returns.
///
/// A resumed run opens a new file beside the old one; TensorBoard reads all files of a folder in
/// the order of their names.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
    wall_time: Duration,
    opened: Instant,
}

impl EventWriter {
    /// Opens `DIR/events.out.tfevents.<unix seconds>.<host>.<pid>.<n>`, making the folder if it is
    /// missing; `n` is the first number that is still free.
    ///
    /// `wall_time` is the time now; later records carry it plus the time since this call.
    pub fn create(dir: &Path, wall_time: SystemTime, host: &str, pid: u32) -> Result<Self> {
        let wall_time = wall_time
            .duration_since(UNIX_EPOCH)
            .map_err(|_| Error::Invalid("wall time lies before 1970".into()))?;
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        // The host name becomes part of a file name, whatever the machine is called.
        let host: String = host
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '-' {
                    c
                } else {
                    '_'
                }
            })
            .take(64)
            .collect();
        let stem = format!(
            "events.out.tfevents.{:010}.{host}.{pid}",
            wall_time.as_secs()
        );
        let mut n = 0_u32;
        let (path, file) = loop {
            let path = dir.join(format!("{stem}.{n}"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == ErrorKind::AlreadyExists && n < u32::MAX => n += 1,
                Err(e) => return Err(Error::io(path, e)),
            }
        };
        let mut writer = Self {
            path,
            file,
            wall_time,
            opened: Instant::now(),
        };
        let mut event = writer.event(None);
        put_bytes(&mut event, 3, b"brain.Event:2");
        writer.append(&event)?;
        Ok(writer)
    }

    /// The file being written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records `value` of `tag` (such as `train/loss`) at `step`.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f32) -> Result<()> {
        let mut summary_value = Vec::with_capacity(tag.len() + 8);
        put_bytes(&mut summary_value, 1, tag.as_bytes());
        put_fixed32(&mut summary_value, 2, value.to_bits());
        let mut summary = Vec::with_capacity(summary_value.len() + 4);
        put_bytes(&mut summary, 1, &summary_value);
        let mut event = self.event(Some(step));
        put_bytes(&mut event, 5, &summary);
        self.append(&event)
    }

    /// Says that the run continues from a checkpoint and computes `step` next: readers drop what
    /// earlier files hold of `step` and later.
    pub fn restarted_at(&mut self, step: u64) -> Result<()> {
        const STATUS_START: u64 = 1;
        let mut session_log = Vec::new();
        put_varint_field(&mut session_log, 1, STATUS_START);
        let mut event = self.event(Some(step));
        put_bytes(&mut event, 7, &session_log);
        self.append(&event)
    }

    /// Waits until all records are on the disk itself.
    pub fn flush(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }

    /// The start of an `Event`: the time and, if given, the step.
    fn event(&self, step: Option<u64>) -> Vec<u8> {
        let now_secs = (self.wall_time + self.opened.elapsed()).as_secs_f64();
        let mut event = Vec::with_capacity(64);
        put_fixed64(&mut event, 1, now_secs.to_bits());
        if let Some(step) = step {
            put_varint_field(&mut event, 2, step);
        }
        event
    }

    /// Appends one record in a single write, so that a killed process leaves whole records.
    fn append(&mut self, data: &[u8]) -> Result<()> {
        self.file
            .write_all(&record(data))
            .map_err(|e| Error::io(&self.path, e))
    }
}

/// The framing of one record around `data`.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// The checksum as TFRecord stores it: rotated and shifted, so that a CRC of CRCs stays strong.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with the Castagnoli polynomial (RFC 3720, section 12.1), bit-reflected.
fn crc32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 {
                    (crc >> 1) ^ 0x82f6_3b78
                } else {
                    crc >> 1
                };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !data.iter().fold(!0, |crc: u32, &byte| {
        TABLE[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8)
    })
}

/// Protobuf base-128 integer.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Field of wire type 0.
fn put_varint_field(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

/// Field of wire type 1.
fn put_fixed64(out: &mut Vec<u8>, field: u64, bits: u64) {
    put_varint(out, field << 3 | 1);
    out.extend(bits.to_le_bytes());
}

/// Field of wire type 2.
fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// Field of wire type 5.
fn put_fixed32(out: &mut Vec<u8>, field: u64, bits: u32) {
    put_varint(out, field << 3 | 5);
    out.extend(bits.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn crc32c_gives_the_published_check_values() {
        // RFC 3720, appendix B.4, and the usual check string of CRC catalogues.
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
        assert_eq!(crc32c(&descending), 0x113f_db5c);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn integers_take_seven_bits_a_byte() {
        // 300 = 0b10_0101100, the example of the protobuf encoding guide.
        let mut out = Vec::new();
        put_varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }

    #[test]
    fn a_file_is_whole_records_with_right_checksums() -> TestResult {
        let dir = tempfile::tempdir()?;
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut writer = EventWriter::create(dir.path(), time, "a/host", 7)?;
        writer.scalar("train/loss", 3, 0.5)?;
        writer.flush()?;
        let name = "events.out.tfevents.1700000000.a_host.7.0";
        assert_eq!(writer.path(), dir.path().join(name));
        let bytes = std::fs::read(writer.path())?;
        let mut rest = bytes.as_slice();
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into()?) as usize;
            let event = &rest[12..12 + length];
            assert_eq!(rest[..12 + length + 4], record(event)[..]);
            events.push(event);
            rest = &rest[12 + length + 4..];
        }
        assert_eq!(events.len(), 2);
        assert!(events[0].ends_with(b"brain.Event:2"));
        // step 3, then summary{value{tag, simple_value = 0.5 = 0x3f000000}}, encoded by hand.
        let tail = b"\x10\x03\x2a\x13\x0a\x11\x0a\x0atrain/loss\x15\x00\x00\x00\x3f";
        assert!(events[1].ends_with(tail));
        Ok(())
    }

    #[test]
    fn a_resumed_run_opens_a_new_file_even_in_the_same_second() -> TestResult {
        let dir = tempfile::tempdir()?;
        let first = EventWriter::create(dir.path(), UNIX_EPOCH, "host", 7)?;
        let mut second = EventWriter::create(dir.path(), UNIX_EPOCH, "host", 7)?;
        second.restarted_at(5)?;
        assert_ne!(first.path(), second.path());
        Ok(())
    }
}
