//! The versions of a file of `public/`: the tag and the date that tell them apart, in the spellings of browsers,
//! proxies and build systems (RFC 9110, 8.8, 13 and 14).

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hitchy_tests::http::Answer;
use hitchy_tests::site::{public, site};
use hitchy_tests::{Server, expect};

/// Seconds of 2024-01-02 03:04:05 UTC.
const BUILT: u64 = 1_704_164_645;
const BUILT_DATE: &str = "Tue, 02 Jan 2024 03:04:05 GMT";

/// Returns a server with a file of ten bytes.
async fn with_ten() -> Server {
    site().file("public/ten.txt", "0123456789").start().await
}

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.request("GET", path, headers, b"").await
}

fn etag(answer: &Answer) -> String {
    answer.header("etag").expect("a file has a tag").to_owned()
}

/// Sets the time of the last modification, as build systems and archives do.
fn set_modified(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = File::options().append(true).open(path);
    let set = file.and_then(|file| file.set_modified(time));
    set.expect("the time is set");
}

/// Replaces a file by another one of the same modification time, as a deployment does.
fn replace(path: &Path, content: &str, seconds: u64) {
    let part = path.with_extension("part");
    fs::write(&part, content).expect("written");
    set_modified(&part, seconds);
    fs::rename(&part, path).expect("renamed");
}

#[tokio::test]
async fn i11_17_equal_size_and_time_but_other_content_has_another_tag() {
    let server = with_ten().await;
    let path = public(&server, "ten.txt");
    set_modified(&path, BUILT);
    let mut old = get(&server, "/ten.txt", &[]).await;
    for content in ["abcdefghij", "ABCDEFGHIJ", "klmnopqrst"] {
        replace(&path, content, BUILT);
        let tag = etag(&old);
        let headers = [("if-none-match", tag.as_str())];
        let new = get(&server, "/ten.txt", &headers).await;
        assert_eq!((new.status, new.text().as_str()), (200, content));
        assert_ne!(etag(&new), tag);
        old = new;
    }
    // The same, written in place at once after it was read.
    for content in ["0000000000", "1111111111", "2222222222", "3333333333"] {
        fs::write(&path, content).expect("written");
        set_modified(&path, BUILT);
        let tag = etag(&old);
        let headers = [("if-none-match", tag.as_str())];
        let new = get(&server, "/ten.txt", &headers).await;
        assert_eq!((new.status, new.text().as_str()), (200, content));
        old = new;
    }
}

#[tokio::test]
async fn i11_17_the_same_content_keeps_its_tag_when_it_is_deployed_again() {
    let server = with_ten().await;
    let path = public(&server, "ten.txt");
    let tag = etag(&get(&server, "/ten.txt", &[]).await);
    replace(&path, "0123456789", BUILT + 1);
    let headers = [("if-none-match", tag.as_str())];
    assert_eq!(get(&server, "/ten.txt", &headers).await.status, 304);
    fs::copy(&path, public(&server, "copy.txt")).expect("copied");
    assert_eq!(etag(&get(&server, "/copy.txt", &[]).await), tag);
}

#[tokio::test]
async fn i11_17_a_date_is_not_used_for_a_file_that_changed_since() {
    let server = with_ten().await;
    let path = public(&server, "ten.txt");
    replace(&path, "abcdefghij", BUILT);
    let answer = get(&server, "/ten.txt", &[]).await;
    assert_eq!(answer.header("last-modified"), Some(BUILT_DATE));
    let asked = get(&server, "/ten.txt", &[("if-modified-since", BUILT_DATE)]).await;
    assert_eq!(asked.status, 200, "another file may have had this date");
    let part = [("range", "bytes=0-1"), ("if-range", BUILT_DATE)];
    assert_eq!(get(&server, "/ten.txt", &part).await.status, 200);
}

#[tokio::test]
async fn i11_17_a_date_that_a_build_invented_is_left_out() {
    let server = with_ten().await;
    let path = public(&server, "ten.txt");
    for (seconds, date) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1, "Thu, 01 Jan 1970 00:00:01 GMT"),
        (315_532_800, "Tue, 01 Jan 1980 00:00:00 GMT"),
        (315_619_200, "Wed, 02 Jan 1980 00:00:00 GMT"),
        (318_211_200, "Fri, 01 Feb 1980 00:00:00 GMT"),
        (499_162_500, "Sat, 26 Oct 1985 08:15:00 GMT"),
    ] {
        set_modified(&path, seconds);
        let answer = get(&server, "/ten.txt", &[]).await;
        assert_eq!(answer.header("last-modified"), None, "{date}");
        assert!(answer.header("etag").is_some());
        for name in ["if-modified-since", "if-unmodified-since"] {
            let asked = get(&server, "/ten.txt", &[(name, date)]).await;
            assert_eq!(asked.status, 200, "{name}: {date}");
        }
        let part = [("range", "bytes=0-1"), ("if-range", date)];
        assert_eq!(get(&server, "/ten.txt", &part).await.status, 200, "{date}");
    }
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1_000_000);
    let file = File::options().append(true).open(&path).expect("a file");
    file.set_modified(before).expect("the time is set");
    let answer = get(&server, "/ten.txt", &[]).await;
    assert_eq!((answer.status, answer.header("last-modified")), (200, None));
    assert!(answer.header("etag").is_some());
}

#[tokio::test]
async fn i11_17_no_date_lies_in_the_future() {
    let server = with_ten().await;
    // 2200-01-01: no clock has shown it when this runs.
    set_modified(&public(&server, "ten.txt"), 7_258_118_400);
    let answer = get(&server, "/ten.txt", &[]).await;
    let modified = answer.header("last-modified").expect("a date").to_owned();
    assert!(!modified.contains("2200"), "{modified}");
    let asked = get(&server, "/ten.txt", &[("if-modified-since", &modified)]).await;
    assert_eq!(asked.status, 304);
}

#[tokio::test]
async fn i11_17_every_spelling_of_if_none_match_is_understood() {
    let server = with_ten().await;
    let tag = etag(&get(&server, "/ten.txt", &[]).await);
    let bare = tag.trim_matches('"');
    for (value, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("  {tag}\t"), 304),
        (format!("\"a\", {tag}"), 304),
        (format!("\"a\",{tag},\"b\""), 304),
        (format!("W/\"a\" , W/{tag}"), 304),
        (format!("\"a,b\", {tag}"), 304),
        (format!(",, {tag},"), 304),
        ("*".to_owned(), 304),
        // Compressing proxies add to a tag and hand it on as it comes back.
        (format!("\"{bare}-gzip\""), 304),
        (format!("W/\"{bare}-br\""), 304),
        (format!("\"{bare}--gzip\""), 304),
        (format!("\"{bare}x\""), 200),
        ("\"a\"".to_owned(), 200),
        (format!("\"a, {bare}, b\""), 200),
        (String::new(), 200),
    ] {
        let answer = get(&server, "/ten.txt", &[("if-none-match", &value)]).await;
        assert_eq!(answer.status, status, "{value}");
    }
    let lines = [("if-none-match", "\"a\""), ("if-none-match", tag.as_str())];
    assert_eq!(
        get(&server, "/ten.txt", &lines).await.status,
        304,
        "two lines"
    );
    let late = "Fri, 01 Jan 2100 00:00:00 GMT";
    let both = [("if-none-match", "\"a\""), ("if-modified-since", late)];
    assert_eq!(
        get(&server, "/ten.txt", &both).await.status,
        200,
        "the tag has precedence"
    );
    let head = [("if-none-match", tag.as_str())];
    let head = server.request("HEAD", "/ten.txt", &head, b"").await;
    assert_eq!(
        (head.status, head.header("etag")),
        (304, Some(tag.as_str()))
    );
}

#[tokio::test]
async fn i11_17_if_match_compares_strongly() {
    let server = with_ten().await;
    let tag = etag(&get(&server, "/ten.txt", &[]).await);
    for (value, status) in [
        (tag.clone(), 200),
        (format!("\"a\",{tag}"), 200),
        ("*".to_owned(), 200),
        (format!("W/{tag}"), 412),
        ("\"a\"".to_owned(), 412),
    ] {
        let answer = get(&server, "/ten.txt", &[("if-match", &value)]).await;
        assert_eq!(answer.status, status, "{value}");
    }
    let lines = [("if-match", "\"a\""), ("if-match", tag.as_str())];
    assert_eq!(
        get(&server, "/ten.txt", &lines).await.status,
        200,
        "two lines"
    );
    expect::failure(
        &get(&server, "/ten.txt", &[("if-match", "\"a\"")]).await,
        412,
    );
}

#[tokio::test]
async fn i11_17_dates_are_read_in_their_three_forms() {
    let server = with_ten().await;
    for (since, status) in [
        ("Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("Thursday, 01-Jan-60 00:00:00 GMT", 304),
        ("Fri Jan  1 00:00:00 2100", 304),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 200),
        ("Sun Nov  6 08:49:37 1994", 200),
        ("yesterday", 200),
        ("0", 200),
        ("", 200),
    ] {
        let answer = get(&server, "/ten.txt", &[("if-modified-since", since)]).await;
        assert_eq!(answer.status, status, "{since}");
    }
    let stale = [("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")];
    expect::failure(&get(&server, "/ten.txt", &stale).await, 412);
    let fresh = [("if-unmodified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
    assert_eq!(get(&server, "/ten.txt", &fresh).await.status, 200);
}

#[tokio::test]
async fn i11_17_a_part_is_a_part_of_the_version_that_was_named() {
    let server = with_ten().await;
    let first = get(&server, "/ten.txt", &[]).await;
    let (tag, date) = (
        etag(&first),
        first.header("last-modified").expect("a date").to_owned(),
    );
    let weak = format!("W/{tag}");
    for (version, status) in [
        (tag.as_str(), 206),
        (date.as_str(), 206),
        (weak.as_str(), 200),
        ("\"a\"", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 200),
    ] {
        let headers = [("range", "bytes=0-1"), ("if-range", version)];
        let answer = get(&server, "/ten.txt", &headers).await;
        assert_eq!(answer.status, status, "{version}");
    }
    let path = public(&server, "ten.txt");
    replace(&path, "abcdefghij", BUILT);
    let headers = [("range", "bytes=5-"), ("if-range", tag.as_str())];
    let answer = get(&server, "/ten.txt", &headers).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "abcdefghij"));
}

#[tokio::test]
async fn i11_17_ranges_are_read_as_the_standard_spells_them() {
    let server = with_ten().await;
    for (range, status, body) in [
        ("bytes=2-4", 206, "234"),
        ("Bytes=2-4", 206, "234"),
        ("bytes= 2-4", 206, "234"),
        ("bytes=02-04", 206, "234"),
        ("bytes=2-4,", 206, "234"),
        ("bytes=9-99999999999999999999999", 206, "9"),
        ("bytes=-99999999999999999999999", 206, "0123456789"),
        ("bytes=-3", 206, "789"),
        ("bytes=0-", 206, "0123456789"),
        // What is no range is ignored, and so are several at once.
        ("bytes=4-2", 200, "0123456789"),
        ("bytes=a-b", 200, "0123456789"),
        ("bytes=", 200, "0123456789"),
        ("bytes=-", 200, "0123456789"),
        ("bytes=+1-2", 200, "0123456789"),
        ("bytes 2-4", 200, "0123456789"),
        ("lines=2-4", 200, "0123456789"),
        ("bytes=0-1,4-5", 200, "0123456789"),
    ] {
        let answer = get(&server, "/ten.txt", &[("range", range)]).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{range}"
        );
    }
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let beyond = get(&server, "/ten.txt", &[("range", range)]).await;
        expect::failure(&beyond, 416);
        assert_eq!(
            beyond.header("content-range"),
            Some("bytes */10"),
            "{range}"
        );
    }
    let tag = etag(&get(&server, "/ten.txt", &[]).await);
    let headers = [("range", "bytes=0-1"), ("if-none-match", tag.as_str())];
    assert_eq!(get(&server, "/ten.txt", &headers).await.status, 304);
}

#[tokio::test]
async fn i11_17_accepted_encodings_are_read_as_the_standard_spells_them() {
    let server = site()
        .file("public/ten.txt", "0123456789")
        .file("public/ten.txt.gz", "gzipped")
        .file("public/ten.txt.br", "brotli")
        .start()
        .await;
    let mut tags = Vec::new();
    for (accepted, encoding) in [
        ("", None),
        ("gzip", Some("gzip")),
        ("GZIP", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip;q=1.0, br;q=0.5", Some("gzip")),
        ("gzip ; q=0.2 , br ; Q=0.1", Some("gzip")),
        ("*", Some("br")),
        ("br;q=0, *", Some("gzip")),
        ("gzip;q=0, br;q=0.000", None),
        ("*;q=0", None),
        ("identity", None),
        ("identity;q=1, *;q=0", None),
        ("gzip;q=0.5, identity", None),
        ("gzip, identity;q=0.5", Some("gzip")),
        ("identity;q=0, gzip", Some("gzip")),
        ("gzip;q=nonsense", None),
        ("deflate", None),
    ] {
        let answer = get(&server, "/ten.txt", &[("accept-encoding", accepted)]).await;
        let seen = (answer.status, answer.header("content-encoding"));
        assert_eq!(seen, (200, encoding), "{accepted}");
        tags.push((encoding, etag(&answer)));
    }
    let lines = [("accept-encoding", "deflate"), ("accept-encoding", "gzip")];
    let answer = get(&server, "/ten.txt", &lines).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"), "two lines");
    for (encoding, tag) in &tags {
        for (other, other_tag) in &tags {
            assert_eq!(
                tag == other_tag,
                encoding == other,
                "{encoding:?} {other:?}"
            );
        }
    }
}
