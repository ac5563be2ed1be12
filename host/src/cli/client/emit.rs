//! `hitchy emit`: emits one event, and waits for its ack if that is asked for.

use anyhow::anyhow;
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;

use super::args::{ServerArgs, namespace, read_file};
use super::connection::Connection;
use super::header::Header;
use super::run::{outcome, run_client};
use crate::cli::error::CommandError;
use crate::cli::output::json::{self, Binary};
use crate::cli::output::{Output, terminal};
use crate::names::RESERVED;
use crate::payload::Payload;

const HELP: &str = "\
An argument that is JSON is sent as JSON, any other as a string: 1 is a number, '\"1\"' and one are strings. @FILE sends the bytes \
of a file (@- those of standard input), and @@name the string @name.

The ack is printed one argument a line, a binary one as its size. --output json prints it as one JSON array, a binary argument as \
{\"base64\":\"…\"}. Without --ack nothing is printed; the command ends when the server has read the event.

Exit codes:
  0  sent, and with --ack acknowledged
  1  the server was not reached, refused the connection, took too long, or acknowledged with an error that has no status
  2  the command line is wrong
  4  acknowledged with {\"error\":{\"code\":…}}, 400 to 499: 404 when nobody listens
  5  the same, 500 to 599

Examples:
  hitchy emit chat:join general --ack
  hitchy emit chat:send '{\"room\":\"general\",\"text\":\"hi\"}'
  hitchy emit upload logo.png @logo.png --namespace /files --ack --output json";

/// The command line of `hitchy emit`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(in crate::cli) struct EmitArgs {
    /// The event's name
    event: String,
    /// Its arguments: JSON, strings, or @FILE
    #[arg(allow_negative_numbers = true)]
    args: Vec<String>,
    /// Wait for the ack and print it
    #[arg(long)]
    ack: bool,
    /// The namespace to emit in
    #[arg(long, value_name = "NAME", default_value = "/", value_parser = namespace)]
    namespace: String,
    /// A header of the handshake; repeat the flag for more
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Emits the event, and prints the ack.
pub(super) fn run(args: EmitArgs) -> Result<(), CommandError> {
    let event = payload(&args.event, &args.args)?;
    let target = args.server.target(&args.namespace, &args.headers);
    let ack = run_client(async {
        let emitted = async {
            let mut connection = Connection::open(&target).await?;
            let ack = if args.ack {
                Some(connection.emit_with_ack(&event).await?)
            } else {
                connection.emit(&event, None).await?;
                connection.wait_until_read().await?;
                None
            };
            connection.close().await;
            Ok(ack)
        };
        emitted.await.map_err(CommandError::Failure)
    })?;
    match ack {
        Some(ack) => print(&ack, args.server.output),
        None => Ok(()),
    }
}

/// Prints an ack. An ack with an error is a failure.
fn print(ack: &Payload, output: Output) -> Result<(), CommandError> {
    let lines = match output {
        Output::Json => vec![json::array(ack, Binary::Base64)],
        Output::Text => json::arguments(ack, Binary::Size),
    };
    for line in lines {
        terminal::line(&line).map_err(anyhow::Error::from)?;
    }
    match error_code(ack) {
        None => Ok(()),
        Some(code) => outcome(code).and(Err(CommandError::Reported(1))),
    }
}

/// Returns the code of an ack `{"error":{"code":…}}`: 0 if the error has no code, and none if there is no error.
fn error_code(ack: &Payload) -> Option<u64> {
    #[derive(Deserialize)]
    struct Acked {
        error: Failed,
    }
    #[derive(Deserialize)]
    struct Failed {
        #[serde(default)]
        code: serde_json::Value,
    }
    let args: Vec<serde_json::Value> = serde_json::from_str(&ack.json).ok()?;
    let acked: Acked = serde_json::from_value(args.into_iter().next()?).ok()?;
    Some(acked.error.code.as_u64().unwrap_or(0))
}

/// Returns the payload `["event",…]` of the event.
///
/// # Errors
/// The name cannot be sent, a file cannot be read, or there are too many arguments.
fn payload(event: &str, args: &[String]) -> Result<Payload, CommandError> {
    if RESERVED.contains(&event) {
        return Err(CommandError::Usage(anyhow!(
            "{event} is a name that socket.io keeps for itself; choose another"
        )));
    }
    let name = json::string(event);
    // socketioxide, the server's socket.io library, closes a connection that sends an escaped name.
    if name.contains('\\') {
        return Err(CommandError::Usage(anyhow!(
            "the event's name {name} has a quote, a backslash or a control character in it; choose another"
        )));
    }
    let (mut elements, mut attachments) = (vec![name], Vec::new());
    for arg in args {
        elements.push(element(arg, &mut attachments)?);
    }
    let payload = Payload {
        json: format!("[{}]", elements.join(",")),
        attachments,
    };
    match payload.check() {
        Ok(()) => Ok(payload),
        Err(error) => Err(CommandError::Usage(error.into())),
    }
}

/// Returns an argument as JSON. The bytes of `@FILE` are added to `attachments`, and a placeholder refers to them.
fn element(arg: &str, attachments: &mut Vec<Bytes>) -> Result<String, CommandError> {
    match arg.strip_prefix('@') {
        Some(text) if text.starts_with('@') => Ok(json::string(text)),
        Some(file) => {
            attachments.push(read_file(file)?.into());
            let num = attachments.len() - 1;
            Ok(format!(r#"{{"_placeholder":true,"num":{num}}}"#))
        }
        None => Ok(json::checked(arg).unwrap_or_else(|_| json::string(arg))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        payload("e", &args).ok().expect("it can be sent").json
    }

    #[test]
    fn json_is_sent_as_json_and_the_rest_as_strings() {
        assert_eq!(sent(&[]), r#"["e"]"#);
        assert_eq!(
            sent(&["1", "\"1\"", "one", "{\"a\": 1}", "{a}", "", "-1", "null"]),
            r#"["e",1,"1","one",{"a": 1},"{a}","",-1,null]"#
        );
        assert_eq!(sent(&["@@name"]), r#"["e","@name"]"#);
    }

    #[test]
    fn an_ack_that_says_error_is_a_failure() {
        let code = |json: &str| {
            error_code(&Payload {
                json: json.to_owned(),
                attachments: Vec::new(),
            })
        };
        assert_eq!(code(r#"[{"error":{"code":404,"message":"x"}}]"#), Some(404));
        assert_eq!(code(r#"[{"error":{"code":"no"}}]"#), Some(0));
        assert_eq!(code(r#"[{"error":"text"}]"#), None);
        assert_eq!(code("[]"), None);
        assert_eq!(code("[1]"), None);
    }
}
