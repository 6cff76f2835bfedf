//! Sizes that a Parquet file claims, looked at before the library allocates by its word.
//!
//! Footers and page headers are structs in Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>); what is walked here are the
//! structs `FileMetaData` and `PageHeader` of <https://github.com/apache/parquet-format>.

/// Elements of a list. Row groups, columns and schema elements of real files are a hundredth of it; lists longer than
/// this are what a decoder would reserve memory for by the gigabyte.
const MAX_LIST: u64 = 1 << 16;
/// Schema elements: the schema is turned into a tree by recursion.
const MAX_SCHEMA: u64 = 512;
/// Structs within structs.
const MAX_DEPTH: usize = 32;

type Result<T> = std::result::Result<T, &'static str>;

const TOO_SHORT: &str = "it ends within its metadata";

/// Checks that no list of a footer is longer than real ones are, and that all of it is there.
pub(super) fn check_footer(bytes: &[u8]) -> Result<()> {
    let mut compact = Compact { bytes };
    let mut id = 0;
    while let Some(kind) = compact.field(&mut id)? {
        if id == 2 && kind == LIST {
            let mut ahead = Compact {
                bytes: compact.bytes,
            };
            if ahead.list()?.0 > MAX_SCHEMA {
                return Err("its schema has more columns than a table of texts");
            }
        }
        compact.skip(kind, 0)?;
    }
    Ok(())
}

/// What a page's header says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageSizes {
    /// Of the header itself.
    pub header_bytes: usize,
    /// Of the page as it lies in the file.
    pub compressed_bytes: u64,
    /// Of the page once unpacked.
    pub bytes: u64,
    /// Values in it, nulls included.
    pub values: u64,
}

/// Reads the header that `bytes` begin with.
pub(super) fn page_sizes(bytes: &[u8]) -> Result<PageSizes> {
    let mut compact = Compact { bytes };
    let mut sizes = PageSizes::default();
    let mut id = 0;
    while let Some(kind) = compact.field(&mut id)? {
        match (id, kind) {
            (2, I32) => sizes.bytes = compact.size()?,
            (3, I32) => sizes.compressed_bytes = compact.size()?,
            // data_page_header, dictionary_page_header, data_page_header_v2: all begin with num_values.
            (5 | 7 | 8, STRUCT) => {
                let mut inner = 0;
                while let Some(kind) = compact.field(&mut inner)? {
                    if (inner, kind) == (1, I32) {
                        sizes.values = compact.size()?;
                    } else {
                        compact.skip(kind, 1)?;
                    }
                }
            }
            _ => compact.skip(kind, 0)?,
        }
    }
    sizes.header_bytes = bytes.len() - compact.bytes.len();
    Ok(sizes)
}

const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

struct Compact<'a> {
    bytes: &'a [u8],
}

impl Compact<'_> {
    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.bytes.split_first().ok_or(TOO_SHORT)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn take(&mut self, count: u64) -> Result<()> {
        let count = usize::try_from(count).map_err(|_| TOO_SHORT)?;
        self.bytes = self.bytes.get(count..).ok_or(TOO_SHORT)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number in its metadata does not end")
    }

    /// A signed number that must not be negative.
    fn size(&mut self) -> Result<u64> {
        let zigzag = self.varint()?;
        if zigzag & 1 == 1 {
            return Err("a size in its metadata is negative");
        }
        Ok(zigzag >> 1)
    }

    /// The type of the next field, whose id goes to `id`; `None` at the struct's end.
    fn field(&mut self, id: &mut i64) -> Result<Option<u8>> {
        let byte = self.byte()?;
        let (delta, kind) = (byte >> 4, byte & 0x0f);
        if kind == 0 {
            return Ok(None);
        }
        *id = if delta == 0 {
            let zigzag = self.varint()?;
            (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
        } else {
            id.saturating_add(i64::from(delta))
        };
        Ok(Some(kind))
    }

    /// Length and element type of a list or set.
    fn list(&mut self) -> Result<(u64, u8)> {
        let byte = self.byte()?;
        let length = match byte >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        if length > MAX_LIST {
            return Err("a list in its metadata is longer than any real one");
        }
        Ok((length, byte & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err("its metadata is nested deeper than any real one");
        }
        match kind {
            1 | 2 => Ok(()), // a boolean field is its own value
            3 => self.take(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.take(8),
            8 => {
                let length = self.varint()?;
                self.take(length)
            }
            9 | 10 => {
                let (length, kind) = self.list()?;
                (0..length).try_for_each(|_| self.skip_element(kind, depth))
            }
            11 => {
                let length = self.varint()?;
                if length > MAX_LIST {
                    return Err("a map in its metadata is longer than any real one");
                }
                if length == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                (0..length).try_for_each(|_| {
                    self.skip_element(kinds >> 4, depth)?;
                    self.skip_element(kinds & 0x0f, depth)
                })
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            13 => self.take(16),
            _ => Err("its metadata holds a type that there is not"),
        }
    }

    /// An element of a list or a map, where a boolean takes a byte.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Result<()> {
        match kind {
            1 | 2 => self.take(1),
            _ => self.skip(kind, depth + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_header_gives_its_sizes() {
        // By hand: type 0 (field 1), 1000 bytes (2), 300 in the file (3), data page (5) of 7 values, further fields.
        let header = [
            0x15, 0, 0x15, 0xd0, 0x0f, 0x15, 0xd8, 0x04, 0x2c, 0x15, 14, 0x15, 0, 0, 0, 0xff,
        ];
        let sizes = page_sizes(&header);
        let wanted = PageSizes {
            header_bytes: 15,
            compressed_bytes: 300,
            bytes: 1000,
            values: 7,
        };
        assert_eq!(sizes, Ok(wanted));
        for length in 0..14 {
            assert_eq!(page_sizes(&header[..length]), Err(TOO_SHORT), "{length}");
        }
    }

    #[test]
    fn hostile_lists_depths_and_sizes_are_refused() {
        // Field 4, a list of 2^31 structs.
        assert!(check_footer(&[0x49, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x08]).is_err());
        // Field 2, a schema of 1000 elements, which other lists may have.
        let ones = vec![0; 1000];
        let list = |field: u8| [&[field, 0xfc, 0xe8, 0x07], &ones[..], &[0]].concat();
        assert!(check_footer(&list(0x29)).is_err());
        assert!(check_footer(&list(0x49)).is_ok());
        assert!(check_footer(&[0x1c; 1000]).is_err(), "structs without end");
        assert!(check_footer(&[0x19; 1000]).is_err(), "lists of lists");
        assert_eq!(
            page_sizes(&[0x25, 0x01]),
            Err("a size in its metadata is negative")
        );
        assert!(page_sizes(&[0x25, 0xff, 0xff, 0xff]).is_err());
        assert!(check_footer(&[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]).is_err());
    }
}
