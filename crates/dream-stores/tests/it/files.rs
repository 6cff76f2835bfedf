use crate::rows::{DIM, Quiet, Rows, collection, id, push_all, vector};
use dream_stores::Error;
use dream_stores::files::{Npy, NpyDtype, Parquet};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, RowAccessor as _};
use std::fs::File;
use std::path::Path;

const ROWS: u64 = 10;

/// Stops after 8 rows, leaves a mess as a crash would, and goes on with a new sink.
fn stop_and_go_on(
    folder: &Path,
    mut sink: impl FnMut() -> Box<dyn dream_stores::Sink>,
    mess: impl Fn(),
) -> u64 {
    let mut rows = Rows {
        n: ROWS,
        with_text: true,
    };
    let mut until = Quiet {
        stop_at: Some(8),
        ..Quiet::default()
    };
    let stopped = push_all(&mut rows, &mut *sink(), folder, &mut until);
    assert!(matches!(stopped, Err(Error::Stopped)));
    mess();
    let pushed = push_all(&mut rows, &mut *sink(), folder, &mut Quiet::default());
    let pushed = pushed.expect("it works");
    assert_eq!(pushed.count, ROWS);
    let again = push_all(&mut rows, &mut *sink(), folder, &mut Quiet::default());
    assert_eq!(again.expect("nothing to do").batches, 0);
    pushed.before
}

#[test]
fn npy_has_the_header_of_the_format_and_the_rows_in_order() {
    for dtype in [NpyDtype::F32, NpyDtype::F16] {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        let before = stop_and_go_on(
            folder.path(),
            || Box::new(Npy::new(&out, &collection(DIM, false, false), ROWS, dtype)),
            || {
                // A batch that was written and not acknowledged.
                for name in [".embeddings.npy.part", ".ids.txt.part"] {
                    let path = out.join(name);
                    let mut bytes = std::fs::read(&path).expect("it is there");
                    bytes.extend(b"half a row\n and");
                    std::fs::write(&path, bytes).expect("writable");
                }
            },
        );
        assert_eq!(before, 8);
        let bytes = std::fs::read(out.join("embeddings.npy")).expect("it is there");
        let (header, numbers) = bytes.split_at(128);
        assert_eq!(&header[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let (text, descr) = (
            &header[10..],
            if dtype == NpyDtype::F32 { "<f4" } else { "<f2" },
        );
        let wanted = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (10, 3), }}");
        assert_eq!(std::str::from_utf8(text).expect("ASCII").trim_end(), wanted);
        let read: Vec<f32> = match dtype {
            NpyDtype::F32 => numbers
                .as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
            NpyDtype::F16 => {
                let halves = numbers.as_chunks().0.iter();
                halves
                    .map(|b| half::f16::from_le_bytes(*b).to_f32())
                    .collect()
            }
        };
        assert_eq!(read.len(), ROWS as usize * DIM);
        for (row, numbers) in read.chunks(DIM).enumerate() {
            for (read, wanted) in numbers.iter().zip(vector(row as u64)) {
                let tolerance = if dtype == NpyDtype::F32 { 0.0 } else { 1e-3 };
                assert!((read - wanted).abs() <= tolerance, "row {row}");
            }
        }
        let ids = std::fs::read_to_string(out.join("ids.txt")).expect("it is there");
        let wanted: Vec<String> = (0..ROWS).map(id).collect();
        assert_eq!(ids.lines().collect::<Vec<_>>(), wanted);
    }
}

#[test]
fn parquet_rolls_files_and_repeats_the_one_that_was_not_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    // Three rows a file: 4 files, the last of one row.
    let file_bytes = 3 * 4 * DIM as u64;
    let before = stop_and_go_on(
        folder.path(),
        || {
            Box::new(Parquet::new(
                &out,
                &collection(DIM, true, false),
                ROWS,
                file_bytes,
            ))
        },
        || assert!(out.join(".part-00002.parquet.part").exists()),
    );
    assert_eq!(before, 6);
    let names = std::fs::read_dir(&out).expect("a folder");
    assert_eq!(names.count(), 4, "whole files and nothing else");
    let mut row = 0;
    for number in 0..4 {
        let file = File::open(out.join(format!("part-{number:05}.parquet"))).expect("it is there");
        let reader = SerializedFileReader::new(file).expect("Parquet");
        for read in reader.get_row_iter(None).expect("rows") {
            let read = read.expect("a row");
            assert_eq!(read.get_string(0).expect("an id"), &id(row));
            let Field::ListInternal(list) = read.get_column_iter().nth(1).expect("a vector").1
            else {
                panic!("no list");
            };
            let numbers: Vec<f32> = list
                .elements()
                .iter()
                .map(|field| match field {
                    Field::Float(x) => *x,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(numbers[..], vector(row));
            assert_eq!(
                read.get_string(2).expect("a title"),
                &format!("title {row}")
            );
            row += 1;
        }
    }
    assert_eq!(row, ROWS);
}

#[test]
fn a_folder_that_holds_files_already_is_left_alone() {
    let (folder, other) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let out = folder.path().join("out");
    let mut rows = Rows {
        n: ROWS,
        with_text: false,
    };
    let mut sinks: [Box<dyn dream_stores::Sink>; 2] = [
        Box::new(Npy::new(
            &out,
            &collection(DIM, false, false),
            ROWS,
            NpyDtype::F32,
        )),
        Box::new(Parquet::new(
            &out,
            &collection(DIM, false, false),
            ROWS,
            1 << 20,
        )),
    ];
    for sink in &mut sinks {
        let journals = tempfile::tempdir().expect("a folder");
        push_all(
            &mut rows,
            &mut **sink,
            journals.path(),
            &mut Quiet::default(),
        )
        .expect("it works");
        let again = push_all(&mut rows, &mut **sink, other.path(), &mut Quiet::default());
        let again = again.expect_err("files are there").to_string();
        assert!(again.contains("is there already"), "{again}");
    }
}
