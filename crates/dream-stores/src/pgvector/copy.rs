//! PostgreSQL's binary `COPY`: a signature, then for each row the number of its fields and each field with
//! its length, all big-endian; at the end -1. A vector is its size, a word of zero, and its numbers.

use crate::{Batch, Error, Result};
use std::io::Write;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Refuses what PostgreSQL's `text` cannot hold.
pub(super) fn check(batch: &Batch) -> Result<()> {
    let has_nul = |text: &str| text.bytes().any(|b| b == 0);
    let in_text = |row: usize| {
        let text = batch.texts.get(row);
        text.is_some_and(|t| has_nul(&t.title) || has_nul(&t.text))
    };
    let bad = (0..batch.len()).find(|&row| has_nul(&batch.ids[row]) || in_text(row));
    match bad {
        Some(row) => Err(Error::Invalid(format!(
            "pgvector: document {:?} has a NUL in its id, title or text, which PostgreSQL cannot store",
            batch.ids[row]
        ))),
        None => Ok(()),
    }
}

/// Writes all rows of a batch with vectors `[dim]`.
pub(super) fn write(to: &mut impl Write, batch: &Batch, dim: usize) -> std::io::Result<()> {
    let mut row_bytes = Vec::new();
    to.write_all(SIGNATURE)?;
    to.write_all(&[0; 8])?; // flags, and the length of an extension that is not there
    for (id, vector, text) in batch.rows(dim) {
        row_bytes.clear();
        let fields: i16 = if text.is_some() { 4 } else { 2 };
        row_bytes.extend(fields.to_be_bytes());
        field(&mut row_bytes, id.as_bytes());
        row_bytes.extend((4 + 4 * dim as i32).to_be_bytes());
        row_bytes.extend((dim as i16).to_be_bytes());
        row_bytes.extend([0; 2]);
        row_bytes.extend(vector.iter().flat_map(|x| x.to_be_bytes()));
        if let Some(text) = text {
            field(&mut row_bytes, text.title.as_bytes());
            field(&mut row_bytes, text.text.as_bytes());
        }
        to.write_all(&row_bytes)?;
    }
    to.write_all(&(-1i16).to_be_bytes())
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as i32).to_be_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Text;

    #[test]
    fn a_row_is_laid_out_as_the_documentation_of_copy_says() {
        let batch = Batch {
            ids: vec!["ab".into()],
            vectors: vec![1.0, -2.0],
            texts: vec![Text {
                title: String::new(),
                text: "é".into(),
            }],
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &batch, 2).expect("memory takes everything");
        let wanted = [
            b"PGCOPY\n\xff\r\n\0".as_slice(),
            &[0; 8],
            &[0, 4],
            &[0, 0, 0, 2, b'a', b'b'],
            &[0, 0, 0, 12, 0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0],
            &[0, 0, 0, 0],
            &[0, 0, 0, 2, 0xc3, 0xa9],
            &[0xff, 0xff],
        ];
        assert_eq!(bytes, wanted.concat());
    }

    #[test]
    fn nul_is_refused_with_the_document() {
        let mut batch = Batch {
            ids: vec!["a".into(), "b".into()],
            vectors: vec![],
            texts: vec![Text::default(), Text::default()],
        };
        check(&batch).expect("nothing wrong");
        batch.texts[1].text = "x\0".into();
        let refused = check(&batch).expect_err("NUL").to_string();
        assert!(refused.contains("document \"b\""), "{refused}");
    }
}
