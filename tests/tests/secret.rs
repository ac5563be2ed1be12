//! Files of `public/` that need permission, and files that are never served: no spelling of a path leads to them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use hitchy_tests::site::{doors, public, site};
use hitchy_tests::{Server, expect, scripted};
use serde_json::json;

#[tokio::test]
async fn policies_are_asked_about_files_and_add_to_them() {
    let policy = "name policy\nbefore * /docs\nguard x-token\nafter * /docs\ncomplain looked back";
    let server = site()
        .handler("policy.wasm", scripted(policy))
        .start()
        .await;
    for client in doors(&server).await {
        let spelled = [
            "/docs/a%20page.txt",
            "/docs/a page.txt",
            "/%64ocs/a%20page.txt",
            "/docs//a%20page.txt",
            "/x/../docs/a%20page.txt",
            "/x/%2e%2e/docs/a%20page.txt",
            "/docs%2Fa%20page.txt",
            "/docs%2fa%20page.txt",
            "/.%2Fdocs/a%20page.txt",
            "/x%2F..%2Fdocs/a%20page.txt",
            "/x/..%2Fdocs/a%20page.txt",
            "/..%2fpublic%2fdocs/a%20page.txt",
            "/docs%5Ca%20page.txt",
            "/docs/%00/../a%20page.txt",
            "/docs%252Fa%20page.txt",
        ];
        for path in spelled {
            // Over HTTP, a space would end the target.
            let path = path.replace(' ', "%20");
            let answer = client.get(&path).await;
            assert!(
                [400, 401, 404].contains(&answer.status),
                "{path}: {answer:?}"
            );
        }
        let open = json!({ "url": "/docs/a%20page.txt", "headers": { "x-token": "1" } });
        let open = client.ask(open).await;
        assert_eq!(
            (open.status, open.body.as_str()),
            (200, Some("with a space"))
        );
        assert_eq!(open.header("x-passed"), Some("policy:0"));
    }
    server
        .wait_for_log(&["after GET /docs/a%20page.txt", "looked back"])
        .await;
}

#[tokio::test]
async fn hidden_files_are_not_served() {
    let server = site()
        .file("public/.env", "SECRET=1")
        .file("public/.git/config", "[core]")
        .file("public/docs/.htaccess", "x")
        .file("public/.well-known/security.txt", "Contact: us")
        .file("public/.well-known/.hidden", "x")
        .start()
        .await;
    for client in doors(&server).await {
        for path in [
            "/.env",
            "/%2eenv",
            "/x/../.env",
            "/.git/config",
            "/docs/.htaccess",
            "/docs%2F.htaccess",
            "/.well-known/.hidden",
        ] {
            expect::refusal(&client.get(path).await, 404);
        }
        let answer = client.get("/.well-known/security.txt").await;
        assert_eq!(answer.body, "Contact: us");
    }
}

#[tokio::test]
async fn nothing_outside_the_folder_is_reached() {
    let server = site()
        .file("secret.txt", "outside")
        .file("public-not/secret.txt", "beside")
        .start()
        .await;
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2Fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/docs/..%2f..%2fsecret.txt",
        "/..%5Csecret.txt",
        "/..%252Fsecret.txt",
        "/%252e%252e/secret.txt",
        "/../public-not/secret.txt",
        "/..%c0%afsecret.txt",
        "/%2Fetc%2Fpasswd",
        "//etc/passwd",
        "/secret.txt%00",
        "/style.css%00.html",
    ] {
        let answer = server.get(path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
    }
}

fn link(server: &Server, target: impl AsRef<Path>, path: &str) {
    symlink(target, public(server, path)).expect("a link");
}

#[tokio::test]
async fn links_are_followed_as_far_as_they_stay_inside() {
    let server = site()
        .file("secret.txt", "outside")
        .file("beside/index.html", "outside")
        .start()
        .await;
    link(&server, "style.css", "alias.css");
    link(&server, "docs", "handbook");
    link(&server, server.dir().join("secret.txt"), "secret.txt");
    link(&server, "../secret.txt", "app.js.br");
    link(&server, "../beside", "beside");
    link(&server, "loop", "loop");
    link(&server, "nowhere", "dangling");
    assert_eq!(server.get("/alias.css").await.text(), "h1 { color: teal }");
    assert_eq!(server.get("/handbook/").await.text(), "<h1>Docs</h1>");
    for path in [
        "/secret.txt",
        "/beside",
        "/beside/",
        "/beside/index.html",
        "/loop",
        "/dangling",
    ] {
        expect::failure(&server.get(path).await, 404);
        let head = server.request("HEAD", path, &[], b"").await;
        assert_eq!(head.status, 404, "{path}");
    }
    let brotli = [("accept-encoding", "br")];
    let answer = server.request("GET", "/app.js", &brotli, b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-encoding"), None, "{answer:?}");
    assert!(!answer.text().contains("outside"), "{answer:?}");
    let line = server
        .wait_for_log(&["\"/secret.txt\" is not served", "outside of"])
        .await;
    assert!(line.contains("put the file itself there"), "{line}");
}

#[tokio::test]
async fn what_is_no_file_is_not_waited_for() {
    let server = site().start().await;
    let pipe = public(&server, "pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|made| made.success()), "a named pipe");
    expect::failure(&server.get("/pipe").await, 404);
    expect::failure(&server.get(&format!("/{}", "a".repeat(300))).await, 404);
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_404_and_a_line_in_the_log() {
    if rustix::process::geteuid().is_root() {
        // Root has access to all files.
        return;
    }
    let server = site().start().await;
    let path = public(&server, "style.css");
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("forbidden");
    expect::failure(&server.get("/style.css").await, 404);
    server.wait_for_log(&["\"/style.css\" is not served"]).await;
}
