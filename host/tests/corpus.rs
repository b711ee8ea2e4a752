//! The sources of a corpus (files, and downloads from a server on loopback) and its split.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use microgpt::corpus::{Corpus, Dataset, Download};
use microgpt::tokenizer::Tokenizer;
use tempfile::{TempDir, tempdir};

const NAMES: &str = "zoë\r\n  Łukasz\t\n\nさくら\n𝒜lice\n";

/// Starts a server that answers one request by `answer`, and returns the download from this server.
fn serve(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> Download {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/names.txt", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        answer(&mut stream);
    });
    Download { url, connect_timeout: Duration::from_secs(5), timeout: Duration::from_secs(20), proxy: false }
}

fn serve_bytes(head: &str, body: &[u8]) -> Download {
    let bytes = [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat();
    serve(move |stream| stream.write_all(&bytes).unwrap())
}

fn serve_body(body: &[u8]) -> Download {
    serve_bytes(&format!("200 OK\r\nContent-Length: {}", body.len()), body)
}

fn files(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Asserts that the download fails for this reason, leaves nothing behind, and falls back to the embedded names.
fn assert_falls_back(download: &Download, expected: &str) {
    let directory = tempdir().unwrap();
    let corpus = Corpus::load_in(directory.path(), download).unwrap();
    let source = corpus.source.as_str();
    assert!(source.contains("1990 US Census") && source.contains(expected), "expected `{expected}` in `{source}`");
    assert!(source.contains(&download.url) && !source.contains('\n'), "{source}");
    assert_eq!(files(&directory), [""; 0], "{expected}");
    assert_eq!(corpus.documents().count(), 5163);
}

#[test]
fn a_download_is_kept() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("input.txt");
    let download = serve_body(NAMES.as_bytes());
    let corpus = Corpus::load_in(directory.path(), &download).unwrap();
    assert_eq!(corpus.source, format!("downloaded from {}, kept as `{}`", download.url, path.display()));
    assert_eq!(corpus.text, NAMES);
    assert_eq!(files(&directory), ["input.txt"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), NAMES);
    // The file has ordinary permissions. A temporary file would have stricter ones.
    let other = directory.path().join("other");
    fs::write(&other, "").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions(), fs::metadata(other).unwrap().permissions());
    // The server is gone, so the second run must read the file.
    let again = Corpus::load_in(directory.path(), &download).unwrap();
    assert_eq!((again.source, again.text), (format!("`{}`", path.display()), corpus.text));
}

#[test]
fn a_chunked_download_is_whole() {
    let download = serve_bytes("200 OK\r\nTransfer-Encoding: chunked", b"4\r\nmary\r\n5\r\n\njohn\r\n0\r\n\r\n");
    assert_eq!(Corpus::load_in(tempdir().unwrap().path(), &download).unwrap().text, "mary\njohn");
}

#[test]
fn a_download_that_cannot_be_kept_is_still_used() {
    let directory = tempdir().unwrap();
    let corpus = Corpus::load_in(&directory.path().join("missing"), &serve_body(b"mary\njohn\n")).unwrap();
    assert!(corpus.source.contains(", not kept as `"), "{}", corpus.source);
    assert!(corpus.source.contains("input.txt`: No such file or directory"), "{}", corpus.source);
    assert_eq!(corpus.text, "mary\njohn\n");
    assert_eq!(files(&directory), [""; 0]);
}

#[test]
fn a_failed_download_leaves_nothing_behind() {
    let lines = "mary\njohn\n".repeat(10_000);
    let half = format!("200 OK\r\nContent-Length: {}", 2 * lines.len());
    assert_falls_back(&serve_bytes(&half, lines.as_bytes()), "disconnected");
    assert_falls_back(
        &serve_bytes("200 OK\r\nTransfer-Encoding: chunked", b"5\r\nmary\n\r\n5\r\njohn\n\r\n"),
        "disconnected",
    );
    assert_falls_back(&serve_bytes("200 OK\r\nConnection: close", lines.as_bytes()), "no length");
    assert_falls_back(&serve_bytes("404 Not Found\r\nContent-Length: 10", b"mary\njohn\n"), "status 404");
    assert_falls_back(&serve_bytes("500 Oops\r\nContent-Length: 0", b""), "status 500");
    assert_falls_back(&serve_body(b"mary\nj\xf6hn\n"), "not UTF-8: the byte 0xf6 at offset 6");
    assert_falls_back(&serve_body(b""), "is empty");
    assert_falls_back(&serve_body(b" \n\t\r\n"), "only white space");
    assert_falls_back(&serve_body(b"<html>please log in</html>"), "only one document");
    assert_falls_back(&serve_bytes("nonsense", b""), "cannot download");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_falls_back(&Download { url: format!("http://{nobody}/"), ..serve_body(b"") }, "refused");
}

// The server signed its certificate itself. In TLS 1.3 the certificate is encrypted, so the refusal proves that client
// and server have agreed on keys.
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
#[test]
fn a_self_signed_certificate_is_refused() {
    let certificate = include_bytes!("tls/certificate.der").as_slice().into();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(include_bytes!("tls/key.der").as_slice()).into();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let download = Download { url: format!("https://{}/", listener.local_addr().unwrap()), ..serve_body(b"") };
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        while connection.complete_io(&mut stream).is_ok() {}
        connection.protocol_version()
    });
    assert_falls_back(&download, "invalid peer certificate: UnknownIssuer");
    assert_eq!(server.join().unwrap(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn a_download_ends_at_its_time_out() {
    for sent in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nmary\njohn\n"] {
        let silent = serve(move |stream| {
            stream.write_all(sent.as_bytes()).unwrap();
            // The read ends when the client gives up. Otherwise the read times out, and the download fails for another
            // reason.
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let _ = stream.read(&mut [0]);
        });
        let start = Instant::now();
        assert_falls_back(&Download { timeout: Duration::from_millis(300), ..silent }, "too long");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

#[test]
fn an_input_txt_that_is_no_corpus_is_refused_and_kept() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("input.txt"), "\n").unwrap();
    let error = Corpus::load_in(directory.path(), &serve_body(NAMES.as_bytes())).unwrap_err();
    assert!(error.report().contains("input.txt` has only white space"), "{}", error.report());
    assert_eq!(fs::read_to_string(directory.path().join("input.txt")).unwrap(), "\n");
}

#[test]
fn the_error_of_a_bad_file_names_it_and_has_a_hint() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("names.txt");
    let cases: [(&[u8], &str); 5] = [
        (b"", "names.txt` is empty"),
        (b" \r\n\n\t", "names.txt` has only white space"),
        ("\u{FEFF}\n".as_bytes(), "names.txt` has only white space"),
        (b"mary\n\n", "names.txt` has only one document"),
        (b"mary\njohn\n\xff", "names.txt` is not UTF-8: the byte 0xff at offset 10"),
    ];
    let assert_refused = |path: &Path, expected: &str| {
        let report = Corpus::load(Some(path)).unwrap_err().report();
        assert!(report.contains(expected) && report.contains("\nhint: "), "expected `{expected}` in `{report}`");
    };
    for (bytes, expected) in cases {
        fs::write(&file, bytes).unwrap();
        assert_refused(&file, expected);
    }
    let large = directory.path().join("large.txt");
    fs::File::create(&large).unwrap().set_len(20_000_000_000).unwrap();
    assert_refused(&large, "longer than the 4 GiB supported");
    assert_refused(directory.path(), &format!("cannot read `{}`", directory.path().display()));
    #[cfg(unix)]
    for device in ["/dev/zero", "/dev/urandom", "/dev/null"] {
        assert_refused(Path::new(device), "it is a device, which may never end");
    }
    assert_refused(&directory.path().join("missing"), "missing`\n  caused by: No such file");
    #[cfg(unix)]
    {
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        // The super-user may read every file.
        if fs::read(&file).is_err() {
            assert_refused(&file, "Permission denied");
        }
    }
}

#[test]
fn a_file_with_any_characters_round_trips() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("names.txt");
    fs::write(&file, format!("\u{FEFF}{NAMES}")).unwrap();
    let corpus = Corpus::load(Some(&file)).unwrap();
    assert_eq!(corpus.source, format!("`{}`", file.display()));
    let names: Vec<&str> = corpus.documents().collect();
    assert_eq!(names, ["zoë", "Łukasz", "さくら", "𝒜lice"]);
    let Dataset { tokenizer, train, val, .. } = Dataset::new(&names, None, None).unwrap();
    let decoded: Vec<String> =
        [&train, &val].iter().flat_map(|side| (0..side.len()).map(|i| tokenizer.decode(side.get(i)))).collect();
    assert_eq!(decoded, names);
    assert_eq!(tokenizer.vocab_size(), 1 + "acekluszëŁくさら𝒜oi".chars().count());
}

#[test]
fn nine_tenths_of_the_documents_train() {
    for (documents, train) in [(2, 1), (3, 2), (9, 8), (10, 9), (11, 9), (19, 17), (20, 18), (32_033, 28_829)] {
        let dataset = Dataset::new(&vec!["ab"; documents], Some(1), None).unwrap();
        assert_eq!((dataset.train.len(), dataset.val.len()), (train, documents - train));
        assert_eq!(dataset.train.offsets().len(), train + 1);
        assert_eq!(dataset.train.tokens().len(), train * 4);
    }
    for too_few in [vec![], vec!["mary"]] {
        assert!(Dataset::new(&too_few, None, None).unwrap_err().report().contains("hint: "));
    }
}

#[test]
fn the_seed_alone_decides_the_order() {
    let names: Vec<String> = (10..60).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let order = |seed| {
        let Dataset { tokenizer, train, val, .. } = Dataset::new(&names, seed, None).unwrap();
        let sides = [train, val];
        sides.iter().flat_map(|side| (0..side.len()).map(|i| tokenizer.decode(side.get(i)))).collect::<Vec<String>>()
    };
    assert_eq!(order(None), names);
    let shuffled = order(Some(42));
    assert_eq!(shuffled, order(Some(42)));
    assert_ne!(shuffled, order(Some(43)));
    assert_ne!(shuffled, names);
    // This order is golden. A new version of a dependency must not change the meaning of a seed.
    assert_eq!(shuffled[..5], ["39", "20", "28", "59", "29"]);
    let mut sorted = shuffled;
    sorted.sort_unstable();
    assert_eq!(sorted, names);
}

#[test]
fn a_document_may_have_one_character_or_a_million() {
    let long = "ab".repeat(500_000);
    let dataset = Dataset::new(&["b", &long, "abc"], None, None).unwrap();
    assert_eq!(dataset.train.get(0), [0, 2, 0]);
    assert_eq!(dataset.train.offsets(), [0, 3, 1_000_005]);
    assert_eq!(dataset.train.positions(0, 8), 2);
    assert_eq!(dataset.train.positions(1, 8), 8);
    assert_eq!(dataset.train.positions(1, usize::MAX), 1_000_001);
    assert_eq!(dataset.val.positions(0, 4), 4);
    assert_eq!(dataset.val.positions(0, 5), 4);
}

#[test]
fn a_given_vocabulary_is_kept_and_no_other_character_is_accepted() {
    let tokenizer = Tokenizer::from_chars(vec!['a', 'b', 'z']).unwrap();
    let dataset = Dataset::new(&["b", "ba"], None, Some(tokenizer.clone())).unwrap();
    assert_eq!(dataset.tokenizer, tokenizer);
    assert_eq!(dataset.val.get(0), [0, 2, 1, 0]);
    let report = Dataset::new(&["b", "aöb", "z"], Some(7), Some(tokenizer)).unwrap_err().report();
    assert!(report.contains("document 2 (\"aöb\")") && report.contains("'ö' (U+00F6)"), "{report}");
}
