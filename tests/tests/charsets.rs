//! The charset of static files: what is UTF-8 is labelled so, and everything else is left to the page and the browser.

use std::fs;

use hitchy_tests::site::{public, site};

#[tokio::test]
async fn i11_19_only_text_in_utf_8_is_labelled_so() {
    let server = site().start().await;
    let utf_16: Vec<u8> = "\u{feff}<p>grün"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let utf_16_without_mark: Vec<u8> = "<p>plain"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let long = format!("{}<p>ü", "x".repeat(200_000));
    let long_latin = [&b"x".repeat(200_000)[..], b"\xfc"].concat();
    let cases: [(&str, &[u8], &str); 21] = [
        ("a.html", "<p>grün".as_bytes(), "text/html; charset=utf-8"),
        ("b.html", b"<p>plain", "text/html; charset=utf-8"),
        (
            "c.html",
            "<meta charset=UTF-8><p>grün".as_bytes(),
            "text/html; charset=utf-8",
        ),
        (
            "d.html",
            "\u{feff}<p>grün".as_bytes(),
            "text/html; charset=utf-8",
        ),
        (
            "e.html",
            b"<meta charset=iso-8859-1><p>gr\xfcn",
            "text/html",
        ),
        ("f.html", b"<p>gr\xfcn", "text/html"),
        (
            "g.html",
            b"<meta charset='iso-2022-jp'>\x1b$B$3\x1b(B",
            "text/html",
        ),
        (
            "h.html",
            b"<meta http-equiv=content-type content='text/html; charset=windows-1251'>x",
            "text/html",
        ),
        ("i.html", &utf_16, "text/html"),
        ("j.html", &utf_16_without_mark, "text/html"),
        ("k.txt", b"gr\xfcn", "text/plain"),
        ("l.txt", "grün".as_bytes(), "text/plain; charset=utf-8"),
        (
            "m.css",
            b"@charset \"iso-8859-1\"; a::before { content: 'x' }",
            "text/css",
        ),
        ("n.css", b"a { color: teal }", "text/css; charset=utf-8"),
        ("o.js", b"alert('\xe9')", "text/javascript"),
        (
            "p.xml",
            b"<?xml version='1.0' encoding='iso-8859-1'?><a/>",
            "text/xml",
        ),
        (
            "q.xml",
            b"<?xml version='1.0'?><a/>",
            "text/xml; charset=utf-8",
        ),
        ("r.html", long.as_bytes(), "text/html; charset=utf-8"),
        ("s.html", &long_latin, "text/html"),
        ("t.json", b"{}", "application/json"),
        ("u.csv", b"a;\xe4", "text/csv"),
    ];
    for (name, content, kind) in cases {
        fs::write(public(&server, name), content).expect("written");
        for method in ["GET", "HEAD"] {
            let answer = server.request(method, &format!("/{name}"), &[], b"").await;
            assert_eq!(answer.header("content-type"), Some(kind), "{method} {name}");
        }
        let answer = server.get(&format!("/{name}")).await;
        assert_eq!(answer.body, content, "{name}");
    }
    // A new version is looked at again, also if it is as long as the one before.
    fs::write(public(&server, "f.html"), "<p>grn ").expect("written");
    let answer = server.get("/f.html").await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[tokio::test]
async fn i11_19_a_compressed_copy_has_the_charset_of_its_file() {
    let server = site()
        .file("public/latin.html", b"<p>gr\xfcn")
        .file("public/latin.html.gz", b"\x1f\x8b latin")
        .file("public/utf.html", "<p>grün")
        .file("public/utf.html.br", b"brotli")
        .start()
        .await;
    for (path, kind, encoding) in [
        ("/latin.html", "text/html", "gzip"),
        ("/utf.html", "text/html; charset=utf-8", "br"),
    ] {
        let accepted = [("accept-encoding", "gzip, br")];
        let answer = server.request("GET", path, &accepted, b"").await;
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.header("content-encoding"), Some(encoding));
    }
}
