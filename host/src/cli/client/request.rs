//! `hitchy request`: sends one request through one of the two doors.

use anyhow::anyhow;
use clap::Args;
use http::{HeaderMap, Method};

use super::answer::Answer;
use super::args::ServerArgs;
use super::body::Body;
use super::connection::Connection;
use super::header::{Header, override_headers};
use super::http_door;
use super::run::{outcome, run_client};
use crate::cli::error::CommandError;
use crate::cli::output::json;
use crate::names::REQUESTS;
use crate::payload::Payload;
use crate::server::is_withheld;

const HELP: &str = "\
The status goes to standard error and the body to standard output: JSON in lines, text and bytes as they are (to a terminal, text \
without control characters, and of bytes only how many). --output json prints {\"statusCode\",\"headers\",\"body\"} instead, on one \
line and the same through both doors; a binary body is {\"base64\":\"…\"} in it.

Over a socket a handler sees cookie, host, origin, user-agent, accept-language and referer as they were in the handshake, so that is \
where -H puts them.

Exit codes:
  0  answered, with a status below 400
  1  the server was not reached, refused the connection, or took too long
  2  the command line is wrong
  4  answered with 400 to 499
  5  answered with 500 to 599

Examples:
  hitchy request /api/hello/you
  hitchy request POST /api/messages --json '{\"room\":\"a\",\"text\":\"hi\"}'
  hitchy request PUT /files/logo --file logo.png -H 'content-type: image/png' --http
  hitchy request /api/me -H 'authorization: Bearer …' --output json";

/// The command line of `hitchy request`.
#[derive(Args)]
#[command(allow_missing_positional = true, after_help = HELP)]
pub(in crate::cli) struct RequestArgs {
    /// GET when left out, or POST when there is a body
    method: Option<String>,
    /// The path, with its query
    path: String,
    /// A body of JSON
    #[arg(long, value_name = "TEXT", value_parser = json::checked, group = "content")]
    json: Option<String>,
    /// A body of text
    #[arg(long, value_name = "TEXT", group = "content")]
    body: Option<String>,
    /// A body of bytes; - is standard input
    #[arg(long, value_name = "FILE", group = "content")]
    file: Option<String>,
    /// A header of the request; repeat the flag for more
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    /// Ask over HTTP instead of over a socket
    #[arg(long, conflicts_with = "auth")]
    http: bool,
    /// Print status and headers before the body
    #[arg(short, long)]
    include: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Sends the request, and prints the answer.
pub(super) fn run(args: RequestArgs) -> Result<(), CommandError> {
    let body = Body::read(args.json, args.body, args.file.as_deref())?;
    let (method, target) = method_and_target(args.method, &args.path, &body)?;
    let mut headers = HeaderMap::new();
    override_headers(args.headers.iter(), &mut headers);
    body.set_content_type(&mut headers)?;
    let answer = if args.http {
        let ServerArgs { url, timeout, .. } = &args.server;
        let response = http_door::send(url, &method, &target, headers, body.bytes(), *timeout)
            .map_err(anyhow::Error::from)?;
        Answer::of_response(&response)
    } else {
        let request = packed(&method, &target, &headers, body);
        run_client(send(&args.server, &args.headers, &request))?
    };
    answer
        .print(args.server.output, args.include)
        .map_err(anyhow::Error::from)?;
    outcome(answer.status.into())
}

/// Sends a request over a socket. Headers that a request cannot carry are those of the handshake.
async fn send(
    server: &ServerArgs,
    headers: &[Header],
    request: &Payload,
) -> Result<Answer, CommandError> {
    let of_handshake: Vec<Header> = headers
        .iter()
        .filter(|header| is_withheld(&header.name))
        .cloned()
        .collect();
    let target = server.target(REQUESTS, &of_handshake);
    let answered = async {
        let mut connection = Connection::open(&target).await?;
        let ack = connection.emit_with_ack(request).await?;
        connection.close().await;
        Answer::of_ack(&ack)
    };
    answered.await.map_err(CommandError::Failure)
}

/// Returns the method and the encoded path of a request.
///
/// # Errors
/// One of them cannot be sent.
fn method_and_target(
    method: Option<String>,
    path: &str,
    body: &Body,
) -> Result<(Method, String), CommandError> {
    let wrong = |sentence: String| Err(CommandError::Usage(anyhow!(sentence)));
    if !path.starts_with('/') {
        return wrong(format!(
            "{path:?} is no path like /api/hello; what server it is for says --url"
        ));
    }
    if let Some(odd) = path.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return wrong(format!(
            "the path has {odd:?} in it; write for example %20 for a space"
        ));
    }
    let method = match (method, body) {
        (Some(method), _) => method.to_ascii_uppercase(),
        (None, Body::None) => "GET".to_owned(),
        (None, _) => "POST".to_owned(),
    };
    match Method::from_bytes(method.as_bytes()) {
        Ok(method) if method != Method::CONNECT => Ok((method, encoded(path))),
        _ => wrong(format!("{method:?} is no method of a request")),
    }
}

/// Encodes characters as browsers do, and leaves out the fragment, which is not sent.
fn encoded(target: &str) -> String {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const ENCODED: &AsciiSet = &CONTROLS
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`');
    let without_fragment = target.split('#').next().unwrap_or_default();
    utf8_percent_encode(without_fragment, ENCODED).to_string()
}

/// Returns the payload `["request",{"method":…,"url":…,"headers":{…},"body":…}]`.
fn packed(method: &Method, target: &str, headers: &HeaderMap, body: Body) -> Payload {
    let fields: Vec<String> = headers
        .keys()
        .filter(|name| !is_withheld(name))
        .map(|name| {
            let values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| json::string(&String::from_utf8_lossy(value.as_bytes())))
                .collect();
            format!("\"{name}\":[{}]", values.join(","))
        })
        .collect();
    let (body, attachments) = body.packed();
    let json = format!(
        r#"["request",{{"method":"{method}","url":{},"headers":{{{}}},"body":{body}}}]"#,
        json::string(target),
        fields.join(",")
    );
    Payload { json, attachments }
}
