//! The client against a server of a few lines on the loopback interface: no byte is believed
//! before its digest, and no half file stays.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const CONTENT: &[u8] = b"eight bytes of header and then some";

/// Answers each connection with the next of these, and tells the requests' first lines.
fn server(answers: Vec<Answer>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    let endpoint = address.clone();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            drop(sender.send(first));
            answer.write(stream, &endpoint);
        }
    });
    (address, receiver)
}

enum Answer {
    Good,
    Body(Vec<u8>),
    /// Announces this many bytes more than it sends.
    Cut(usize),
    /// No length; the end of the connection is the end of the body.
    Unannounced(Vec<u8>),
    Announced(u64),
    Status(u16),
    RedirectTo(&'static str),
    Hang,
    HangInTheMiddle,
}

impl Answer {
    fn write(self, mut stream: TcpStream, endpoint: &str) {
        let with_length = |length: u64, body: &[u8]| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            [head.as_bytes(), body].concat()
        };
        let bytes = match &self {
            Self::Good => with_length(CONTENT.len() as u64, CONTENT),
            Self::Body(body) => with_length(body.len() as u64, body),
            Self::Cut(missing) => with_length((CONTENT.len() + missing) as u64, CONTENT),
            Self::Unannounced(body) => [
                b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(),
                body,
            ]
            .concat(),
            Self::Announced(length) => with_length(*length, b""),
            Self::Status(status) => {
                format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").into_bytes()
            }
            Self::RedirectTo(path) => format!(
                "HTTP/1.1 302 Found\r\nLocation: {endpoint}{path}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            )
            .into_bytes(),
            Self::Hang => Vec::new(),
            Self::HangInTheMiddle => with_length(CONTENT.len() as u64 + 10, CONTENT),
        };
        drop(stream.write_all(&bytes));
        if matches!(self, Self::Hang | Self::HangInTheMiddle) {
            std::thread::sleep(Duration::from_secs(20));
        }
    }
}

fn pinned() -> HubFile {
    let digest = hexadecimal(Sha256::new_with_prefix(CONTENT));
    HubFile::new("owner/net.v1", COMMIT, "model.safetensors", &digest).unwrap()
}

fn hub(endpoint: String) -> Hub {
    Hub {
        endpoint,
        patience: Duration::from_millis(400),
        ..Hub::default()
    }
}

/// Fetches once; then everything that is in the cache folder.
fn fetch(answers: Vec<Answer>) -> (Result<PathBuf, HubFault>, Vec<PathBuf>) {
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, _requests) = server(answers);
    let outcome = hub(endpoint).fetch(&pinned(), cache.path(), |_| ());
    if let Ok(path) = &outcome {
        assert_eq!(std::fs::read(path).unwrap(), CONTENT);
    }
    (outcome, files_below(cache.path()))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn assert_refused(answers: Vec<Answer>, code: &str) -> HubFault {
    let (outcome, files) = fetch(answers);
    let fault = outcome.unwrap_err();
    assert_eq!(fault.code(), code, "{fault} {:?}", fault.value());
    assert_eq!(files, Vec::<PathBuf>::new(), "{code} left files behind");
    fault
}

#[test]
fn a_good_file_is_fetched_once_and_found_again() {
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, requests) = server(vec![Answer::Good]);
    let hub = hub(endpoint);
    let mut seen = Vec::new();
    let path = hub
        .fetch(&pinned(), cache.path(), |progress| seen.push(progress))
        .unwrap();
    let length = CONTENT.len() as u64;
    assert_eq!(
        seen.last(),
        Some(&Progress {
            bytes: length,
            of: Some(length)
        })
    );
    assert_eq!(
        path,
        cache
            .path()
            .join(format!("owner--net.v1/{COMMIT}/model.safetensors"))
    );
    assert_eq!(
        requests.recv().unwrap(),
        format!("GET /owner/net.v1/resolve/{COMMIT}/model.safetensors HTTP/1.1")
    );
    // The server answers once only: the second time the cache must do.
    assert_eq!(hub.fetch(&pinned(), cache.path(), |_| ()).unwrap(), path);
    let offline = Hub {
        offline: true,
        ..hub
    };
    assert_eq!(
        offline.fetch(&pinned(), cache.path(), |_| ()).unwrap(),
        path
    );
    assert_eq!(files_below(cache.path()).len(), 1);
}

#[test]
fn a_redirect_to_the_content_network_is_followed() {
    let (outcome, files) = fetch(vec![
        Answer::RedirectTo("/elsewhere?signed=1"),
        Answer::Good,
    ]);
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(files.len(), 1);
}

#[test]
fn a_file_without_an_announced_length_is_judged_by_its_digest() {
    assert!(fetch(vec![Answer::Unannounced(CONTENT.to_vec())]).0.is_ok());
    assert_refused(vec![Answer::Unannounced(CONTENT[..20].to_vec())], "M083");
}

#[test]
fn other_bytes_than_the_pinned_ones_are_refused_and_not_kept() {
    let fault = assert_refused(vec![Answer::Body(b"<html>Sign in</html>".to_vec())], "M083");
    assert_eq!(fault.exit_code(), 6);
    assert!(fault.value().unwrap().contains(pinned().sha256()));
}

#[test]
fn a_body_that_ends_early_is_refused_and_not_kept() {
    let fault = assert_refused(vec![Answer::Cut(10)], "M084");
    assert_eq!(fault.exit_code(), 4);
}

#[test]
fn other_answers_than_the_file_are_refused_with_their_status() {
    for status in [404, 401, 500] {
        let fault = assert_refused(vec![Answer::Status(status)], "M082");
        assert!(fault.to_string().contains(&status.to_string()));
        assert!(fault.location().unwrap().contains("/resolve/"));
    }
}

#[test]
fn endless_redirects_end() {
    let around = (0..20).map(|_| Answer::RedirectTo("/again")).collect();
    assert_refused(around, "M087");
}

#[test]
fn a_file_over_the_limit_is_refused_announced_or_not() {
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, _requests) = server(vec![
        Answer::Announced(1 << 40),
        Answer::Unannounced(vec![0; 100_000]),
    ]);
    let hub = Hub {
        most_bytes: 50_000,
        ..hub(endpoint)
    };
    for _ in 0..2 {
        let fault = hub.fetch(&pinned(), cache.path(), |_| ()).unwrap_err();
        assert_eq!(fault.code(), "M085", "{fault}");
    }
    assert!(files_below(cache.path()).is_empty());
}

#[test]
fn a_server_that_hangs_is_given_up() {
    assert_refused(vec![Answer::Hang], "M086");
    assert_refused(vec![Answer::HangInTheMiddle], "M086");
}

#[test]
fn without_a_network_the_fault_says_what_to_fetch_and_where_to_put_it() {
    let cache = tempfile::tempdir().unwrap();
    // A port that was just closed: nobody listens.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let unreachable = hub(format!("http://{closed}"));
    let offline = Hub {
        offline: true,
        ..unreachable.clone()
    };
    for (hub, code) in [(unreachable, "M081"), (offline, "M089")] {
        let fault = hub.fetch(&pinned(), cache.path(), |_| ()).unwrap_err();
        assert_eq!((fault.code(), fault.exit_code()), (code, 4), "{fault}");
        let help = fault.help().unwrap();
        let place = pinned().place_in(cache.path());
        assert!(help.contains(&place.display().to_string()), "{help}");
        assert!(help.contains(&pinned().url(&hub.endpoint)), "{help}");
        // Put there by hand, it is taken without a question to the network.
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(&place, CONTENT).unwrap();
        assert_eq!(hub.fetch(&pinned(), cache.path(), |_| ()).unwrap(), place);
        std::fs::remove_file(&place).unwrap();
    }
}

#[test]
fn a_file_in_the_cache_that_was_changed_is_never_believed() {
    let cache = tempfile::tempdir().unwrap();
    let place = pinned().place_in(cache.path());
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(&place, b"something else").unwrap();
    let (endpoint, _requests) = server(vec![Answer::Status(500), Answer::Good]);
    let hub = hub(endpoint);
    let offline = Hub {
        offline: true,
        ..hub.clone()
    };
    assert_eq!(
        offline
            .fetch(&pinned(), cache.path(), |_| ())
            .unwrap_err()
            .code(),
        "M083"
    );
    assert_eq!(
        hub.fetch(&pinned(), cache.path(), |_| ())
            .unwrap_err()
            .code(),
        "M082"
    );
    assert_eq!(hub.fetch(&pinned(), cache.path(), |_| ()).unwrap(), place);
    assert_eq!(std::fs::read(&place).unwrap(), CONTENT);
}

#[test]
fn names_that_are_no_pins_or_leave_the_cache_are_refused() {
    let digest = "0".repeat(64);
    let good = (
        "owner/name",
        COMMIT,
        "folder/model.safetensors",
        digest.as_str(),
    );
    assert!(HubFile::new(good.0, good.1, good.2, good.3).is_ok());
    for repository in [
        "name",
        "a/b/c",
        "../name",
        "owner/..",
        "owner/",
        "ow ner/name",
        "a/b?c",
    ] {
        assert_eq!(
            HubFile::new(repository, good.1, good.2, good.3)
                .unwrap_err()
                .code(),
            "M080"
        );
    }
    for revision in [
        "main",
        "v1.0",
        &COMMIT[1..],
        "0123456789abcdef0123456789abcdef0123456z",
    ] {
        let fault = HubFile::new(good.0, revision, good.2, good.3).unwrap_err();
        assert_eq!((fault.code(), fault.exit_code()), ("M080", 2));
    }
    for file in [
        "",
        "../model",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "a\\b",
        "a%2e%2e",
    ] {
        assert_eq!(
            HubFile::new(good.0, good.1, file, good.3)
                .unwrap_err()
                .code(),
            "M080"
        );
    }
    for digest in ["", "0", &"g".repeat(64)] {
        assert_eq!(
            HubFile::new(good.0, good.1, good.2, digest)
                .unwrap_err()
                .code(),
            "M080"
        );
    }
}

#[test]
fn the_pinned_imagenet_weights_are_of_the_forms_that_are_asked_of_others() {
    let known = HubFile::imagenet(Architecture::ResNet18).unwrap();
    let HubFile {
        repository,
        revision,
        file,
        sha256,
    } = &known;
    assert_eq!(
        HubFile::new(repository, revision, file, sha256).unwrap(),
        known
    );
    assert_eq!(
        known.url(HUGGING_FACE),
        "https://huggingface.co/timm/resnet18.tv_in1k/resolve/\
         bbd144b3e5565108aad885f145491d11bc6ce807/model.safetensors"
    );
    assert_eq!(HubFile::imagenet(Architecture::XrayCnn), None);
}
