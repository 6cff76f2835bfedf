use super::*;
use crate::bench::texts::tiny_model;
use crate::retriever::RetrieverConfig;
use dream_nn::Dtype;
use std::cell::Cell;
use std::sync::Arc;

fn retriever(dtype: Dtype) -> Result<Retriever> {
    Ok(Retriever {
        model: Arc::new(tiny_model(dtype)?),
        config: RetrieverConfig {
            max_document_tokens: 64,
            ..RetrieverConfig::default()
        },
        adapter: None,
        standardizer: None,
    })
}

/// A token a byte and one for the end: lengths from 1 to 64, the longest texts cut.
fn texts(n: usize) -> Vec<String> {
    (0..n).map(|i| "ab c".repeat(i * 7 % 23)).collect()
}

fn tokens(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not zero")
}

#[test]
fn a_text_gets_the_same_embedding_in_a_stream_as_alone_but_for_rounding() -> Result<()> {
    let texts = texts(200);
    for (dtype, tolerance) in [(Dtype::F32, 1e-5), (Dtype::Bf16, 1e-2)] {
        let retriever = retriever(dtype)?;
        // Batches of one text, of some, and more than there are tokens.
        for batch in [1, 150, 1 << 20] {
            let stream = texts.iter().enumerate().map(Ok);
            let mut next = 0;
            for batch in EncodeStream::new(&retriever, Role::Document, tokens(batch), stream) {
                let batch = batch?;
                for (row, key) in batch.keys.iter().enumerate() {
                    assert_eq!(*key, next);
                    let alone = retriever.tokenize(Role::Document, &texts[next])?;
                    let alone = retriever.embed_batch(&[alone]);
                    for (got, want) in batch.embeddings.row(row).iter().zip(alone.data()) {
                        assert!(
                            (got - want).abs() < tolerance,
                            "{dtype} {key}: {got} {want}"
                        );
                    }
                    next += 1;
                }
            }
            assert_eq!(next, 200);
        }
    }
    Ok(())
}

#[test]
fn a_batch_keeps_to_its_tokens_unless_it_is_a_single_text() -> Result<()> {
    let (retriever, texts) = (retriever(Dtype::F32)?, texts(200));
    let stream = texts.iter().map(|text| Ok(((), text)));
    let batches = EncodeStream::new(&retriever, Role::Document, tokens(50), stream);
    let lengths: Vec<Vec<usize>> = batches
        .map(|batch| Ok(batch?.lengths))
        .collect::<Result<_>>()?;
    assert!(lengths.iter().any(|batch| batch.len() > 1) && lengths.contains(&vec![64]));
    for batch in &lengths {
        assert!(
            batch.len() == 1 || batch.iter().sum::<usize>() <= 50,
            "{batch:?}"
        );
    }
    assert_eq!(lengths.iter().map(Vec::len).sum::<usize>(), 200);
    Ok(())
}

#[test]
fn an_endless_stream_is_read_a_window_ahead_and_no_further() -> Result<()> {
    let retriever = retriever(Dtype::F32)?;
    let read = Cell::new(0);
    let endless = std::iter::repeat_with(|| {
        read.set(read.get() + 1);
        Ok(((), "seven b"))
    });
    let mut given = 0;
    let stream = EncodeStream::new(&retriever, Role::Document, tokens(100), endless);
    for batch in stream.take(100) {
        given += batch?.keys.len();
        // 8 batches of 100 tokens are 100 texts of 8 tokens; the group that fills them may be too large.
        assert!(read.get() - given <= 100 + GROUP_TEXTS);
    }
    assert!(given > 1000);
    Ok(())
}

#[test]
fn nothing_comes_after_an_error() -> Result<()> {
    let retriever = retriever(Dtype::F32)?;
    let bad = || Err(Error::Invalid("line 3".into()));
    let texts = [Ok((0, "a")), Ok((1, "b")), bad(), Ok((2, "c"))];
    let mut stream = EncodeStream::new(&retriever, Role::Document, BATCH_TOKENS, texts);
    assert!(matches!(stream.next(), Some(Err(Error::Invalid(what))) if what == "line 3"));
    assert!(stream.next().is_none());
    Ok(())
}

#[test]
fn no_text_gives_no_embedding() -> Result<()> {
    let retriever = retriever(Dtype::F32)?;
    let none: [&str; 0] = [];
    assert_eq!(encode(&retriever, Role::Query, &none)?.rows(), 0);
    Ok(())
}
