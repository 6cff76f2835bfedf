use super::*;

/// Bytes that protobuf's own Python library made of the messages of Milvus's interface definitions.
const CREATE: &str = "1a04646f637322410a04646f6373221e0864120269641801281532120a0a6d61785f6c656e67746812043430393622190865\
                      1209656d62656464696e67286532080a0364696d1201322801";
const UPSERT: &str = "1a04646f63732a0d0815120269641a0532030a01612a1d08651209656d62656464696e67220e0802120a0a080000803f\
                      000000c03801";
const SEARCH: &str = "1a04646f637332120a100a02243010651a080000803f000000c0380142057469746c654a090a04746f706b1201336001";
const FOUND: &str = "0a00124a080110021a13081512057469746c651a0832060a01420a01411a1408151204746578741a0a32080a0262620a0261\
                     6122080000003f0000803e2a0812060a01620a01613201026a026964";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    let pairs = pairs.iter();
    pairs.map(|[a, b]| 16 * digit(*a) + digit(*b)).collect()
}

fn milvus() -> Milvus {
    let access = Access {
        url: crate::Secret::new("http://localhost:19530"),
        ..Access::default()
    };
    let collection = Collection::new("docs", 2).expect("a name");
    Milvus::new(&access, collection).expect("an address")
}

#[test]
fn requests_have_the_bytes_of_the_reference() {
    let milvus = milvus();
    let create = m::CreateCollectionRequest {
        collection_name: "docs".into(),
        schema: milvus.schema().encode_to_vec(),
        shards_num: 1,
    };
    assert_eq!(create.encode_to_vec(), bytes(CREATE));
    let vectors = m::VectorField {
        dim: 2,
        float_vector: Some(m::FloatArray {
            data: vec![1.0, -2.0],
        }),
    };
    let embedding = m::FieldData {
        r#type: m::FLOAT_VECTOR,
        field_name: "embedding".into(),
        field: Some(m::Field::Vectors(vectors)),
    };
    let upsert = m::UpsertRequest {
        collection_name: "docs".into(),
        fields_data: vec![strings("id", vec!["a".into()]), embedding],
        num_rows: 1,
    };
    assert_eq!(upsert.encode_to_vec(), bytes(UPSERT));
    let queries = m::PlaceholderGroup {
        placeholders: vec![m::PlaceholderValue {
            tag: "$0".into(),
            r#type: m::FLOAT_VECTOR,
            values: vec![bytes("0000803f000000c0")],
        }],
    };
    let search = m::SearchRequest {
        collection_name: "docs".into(),
        placeholder_group: queries.encode_to_vec(),
        dsl_type: m::BOOL_EXPR_V1,
        output_fields: vec!["title".into()],
        search_params: vec![pair("topk", 3)],
        nq: 1,
        ..m::SearchRequest::default()
    };
    assert_eq!(search.encode_to_vec(), bytes(SEARCH));
}

#[test]
fn an_answer_of_the_reference_is_read_and_a_lame_one_is_not() {
    let answer = m::SearchResults::decode(bytes(FOUND).as_slice()).expect("a message");
    let mut results = answer.results.expect("results");
    let read = found(results.clone(), true).expect("ids, scores, texts");
    let text = |title: &str, text: &str| {
        Some(Text {
            title: title.into(),
            text: text.into(),
        })
    };
    let row = |id: &str, score, text| Found {
        id: id.into(),
        score,
        text,
    };
    assert_eq!(
        read,
        [
            row("b", 0.5, text("B", "bb")),
            row("a", 0.25, text("A", "aa"))
        ]
    );
    results.scores.pop();
    assert_eq!(found(results.clone(), true), None);
    results.ids = None;
    results.scores.clear();
    assert_eq!(found(results, false), Some(Vec::new()));
}

#[test]
fn a_server_that_is_not_there_may_come() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let access = Access {
        url: crate::Secret::new(format!("http://me:pw@127.0.0.1:{port}")),
        ..Access::default()
    };
    let collection = Collection::new("docs", 2).expect("a name");
    let mut milvus = Milvus::new(&access, collection).expect("an address");
    let error = milvus.prepare(0).expect_err("nothing listens there");
    assert!(error.is_transient(), "{error}");
    assert!(!error.to_string().contains("pw"), "{error}");
}
