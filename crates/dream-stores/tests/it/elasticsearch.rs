use crate::fake::{FakeElasticsearch, Server, numbers};
use crate::rows::{DIM, Quiet, Rows, access, collection, id, push_all, vector};
use dream_stores::Distance;
use dream_stores::elasticsearch::Elasticsearch;

#[test]
fn documents_are_pushed_and_survive_trouble_of_their_own() {
    let server = Server::start(FakeElasticsearch::default());
    server.engine.lock().expect("no panic").refused = [(id(2), 429)].into();
    server.fail(vec![("POST /docs/_bulk", 503), ("GET /docs/_count", 0)]);
    let mut collection = collection(DIM, true, true);
    collection.distance = Distance::Cosine;
    let url = server.url().replace("http://", "http://me:open%20sesame@");
    let mut engine = Elasticsearch::new(&access(&url, None), collection).expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows = Rows {
        n: 6,
        with_text: true,
    };
    let pushed = push_all(&mut rows, &mut engine, folder.path(), &mut Quiet::default());
    let pushed = pushed.expect("it works");
    assert_eq!((pushed.count, pushed.batches, pushed.retries), (6, 2, 3));
    let engine = server.engine.lock().expect("no panic");
    assert_eq!(
        numbers(&engine.documents[&id(5)]["embedding"])[..],
        vector(5)
    );
    assert_eq!(engine.documents[&id(5)]["title"], "title 5");
    let mapping = engine.mapping.as_ref().expect("a mapping");
    assert_eq!(mapping["properties"]["embedding"]["similarity"], "cosine");
    // "me:open sesame" in Base64, by another program.
    let authorization = &server.requests()[0].headers["authorization"];
    assert_eq!(authorization, "Basic bWU6b3BlbiBzZXNhbWU=");
}

#[test]
fn a_document_that_is_refused_ends_the_push_with_its_reason() {
    let server = Server::start(FakeElasticsearch::default());
    server.engine.lock().expect("no panic").refused = [(id(3), 400)].into();
    let collection = collection(DIM, false, false);
    let access = access(&server.url(), Some("sesame"));
    let mut engine = Elasticsearch::new(&access, collection).expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows = Rows {
        n: 6,
        with_text: false,
    };
    let refused = push_all(&mut rows, &mut engine, folder.path(), &mut Quiet::default());
    let refused = refused.expect_err("it is refused").to_string();
    assert!(
        refused.contains("doc 3/é") && refused.contains("as told"),
        "{refused}"
    );
    assert_eq!(
        server.requests()[0].headers["authorization"],
        "ApiKey sesame"
    );
}

#[test]
fn an_index_of_another_size_is_left_alone() {
    let server = Server::start(FakeElasticsearch::default());
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows = Rows {
        n: 1,
        with_text: false,
    };
    let mut push = |dim: usize| {
        let collection = collection(dim, false, false);
        let mut engine =
            Elasticsearch::new(&access(&server.url(), None), collection).expect("an address");
        push_all(&mut rows, &mut engine, folder.path(), &mut Quiet::default())
    };
    push(DIM).expect("it works");
    let other = push(DIM + 1).expect_err("another size").to_string();
    assert!(other.contains("there already"), "{other}");
}
