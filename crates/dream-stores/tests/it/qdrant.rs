use crate::fake::{FakeQdrant, Server};
use crate::rows::{DIM, Quiet, Rows, access, collection, id, push_all, vector};
use dream_stores::qdrant::{Qdrant, point_id};
use dream_stores::{Error, Searcher};

#[test]
fn points_are_pushed_found_again_and_survive_trouble() {
    let server = Server::start(FakeQdrant {
        key: Some("sesame".into()),
        ..FakeQdrant::default()
    });
    server.fail(vec![
        ("PUT /collections/docs/points", 429),
        ("PUT /collections/docs/points", 503),
        ("PUT /collections/docs/points", 0),
        ("POST /collections/docs/points/count", 502),
    ]);
    let access = access(&server.url(), Some("sesame"));
    let mut qdrant = Qdrant::new(&access, collection(DIM, true, true)).expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let mut quiet = Quiet::default();
    let mut rows = Rows {
        n: 10,
        with_text: true,
    };
    let pushed = push_all(&mut rows, &mut qdrant, folder.path(), &mut quiet).expect("it works");
    assert_eq!((pushed.count, pushed.batches, pushed.retries), (10, 3, 4));
    {
        let engine = server.engine.lock().expect("no panic");
        // Filled without a graph, which is then switched on.
        assert_eq!(engine.collections["docs"], (DIM, "Dot".into(), 16));
        let (stored, payload) = &engine.points[&point_id(&id(7)).to_string()];
        assert_eq!(stored[..], vector(7));
        assert_eq!(payload["text"], "line\n\"quoted\" \u{1}");
    }
    let found = qdrant.search(&vector(7), 3).expect("it works");
    let wanted: f32 = vector(7).iter().map(|x| x * x).sum();
    assert_eq!(found.len(), 3);
    // Longer vectors win: 9 is the longest and 8 and 7 follow.
    let best = found
        .iter()
        .find(|f| f.id == id(7))
        .expect("among the best");
    assert!((best.score - wanted).abs() < 1e-6);
    assert_eq!(best.text.as_ref().expect("a text").title, "title 7");
}

#[test]
fn a_push_that_was_stopped_goes_on_with_what_is_missing() {
    let server = Server::start(FakeQdrant::default());
    let access = access(&server.url(), None);
    let mut qdrant = Qdrant::new(&access, collection(DIM, true, false)).expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows = Rows {
        n: 10,
        with_text: true,
    };
    let mut until = Quiet {
        stop_at: Some(8),
        ..Quiet::default()
    };
    let stopped = push_all(&mut rows, &mut qdrant, folder.path(), &mut until);
    assert!(matches!(stopped, Err(Error::Stopped)));
    let pushed = push_all(&mut rows, &mut qdrant, folder.path(), &mut Quiet::default());
    let pushed = pushed.expect("it works");
    assert_eq!((pushed.before, pushed.batches, pushed.count), (8, 1, 10));
    let again = push_all(&mut rows, &mut qdrant, folder.path(), &mut Quiet::default());
    assert_eq!(again.expect("nothing to do").batches, 0);
    // No graph was asked for.
    assert_eq!(
        server.engine.lock().expect("no panic").collections["docs"].2,
        0
    );
}

#[test]
fn another_collection_a_wrong_key_and_none_are_refused_without_the_key() {
    let server = Server::start(FakeQdrant {
        key: Some("sesame".into()),
        ..FakeQdrant::default()
    });
    let with = |url: &str, key, dim| {
        let collection = collection(dim, false, false);
        Qdrant::new(&access(url, key), collection).expect("an address")
    };
    let url = server.url();
    let wrong = with(&url, Some("guessed"), DIM).search(&[0.0; DIM], 1);
    let wrong = wrong.expect_err("a wrong key").to_string();
    assert!(
        wrong.contains("access denied") && !wrong.contains("guessed"),
        "{wrong}"
    );
    let none = with(&url, Some("sesame"), DIM).search(&[0.0; DIM], 1);
    assert!(
        none.expect_err("no collection")
            .to_string()
            .contains("no collection docs")
    );
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows = Rows {
        n: 1,
        with_text: false,
    };
    // The key may stand in the address.
    let in_address = url.replace("http://", "http://:sesame@");
    let mut qdrant = with(&in_address, None, DIM);
    push_all(&mut rows, &mut qdrant, folder.path(), &mut Quiet::default()).expect("it works");
    let other = with(&url, Some("sesame"), 5).search(&[0.0; 5], 1);
    let other = other.expect_err("another size").to_string();
    assert!(
        other.contains("3 \"Dot\"") && other.contains("wanted 5"),
        "{other}"
    );
}

#[test]
fn a_server_that_stays_away_is_given_up_before_long() {
    let server = Server::start(FakeQdrant::default());
    server.fail(vec![("GET", 503); 100]);
    let mut qdrant = Qdrant::new(&access(&server.url(), None), collection(DIM, true, false))
        .expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let mut quiet = Quiet::default();
    let mut rows = Rows {
        n: 1,
        with_text: true,
    };
    let away = push_all(&mut rows, &mut qdrant, folder.path(), &mut quiet);
    let away = away.expect_err("it is away").to_string();
    assert!(away.contains("answered 503"), "{away}");
    assert_eq!((quiet.waits, server.requests().len()), (2, 3));
}
