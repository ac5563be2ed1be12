//! `hitchy listen`: prints events as they arrive, and connects again when the connection ends.

use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use clap::Args;
use tokio::time::sleep;

use super::args::{ServerArgs, namespace};
use super::connection::{Connection, Target};
use super::error::Error;
use super::header::Header;
use super::packet::Packet;
use super::run::run_client;
use crate::cli::error::CommandError;
use crate::cli::output::Output;
use crate::cli::output::json::{self, Binary};
use crate::cli::output::terminal::{self, Colour, OutputError};
use crate::payload::Payload;
use crate::text::visible;

const HELP: &str = "\
Each event is a line: its name and its arguments, a binary one as its size. --output json prints {\"event\",\"args\"} instead, a \
binary argument as {\"base64\":\"…\"}. What happens to the connection is told on standard error.

When the connection ends, another is made, after half a second at first and after five at most. Whoever asks for an ack gets an \
empty one, at once: a listener holds up nobody.

Exit codes:
  0  ended by Ctrl-C, by --for, or after --count events
  1  the server was not reached at first, refused the connection, or sent this client away; or --for was over before --count events came
  2  the command line is wrong

Examples:
  hitchy listen
  hitchy listen chat:message --namespace /chat --output json
  hitchy listen some-update --count 1 --for 10s";

/// The first and the longest pause before connecting again. The pause doubles with each attempt.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// The command line of `hitchy listen`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(in crate::cli) struct ListenArgs {
    /// The events to print; all when none is named
    #[arg(value_name = "EVENT")]
    events: Vec<String>,
    /// The namespace to listen in
    #[arg(long, value_name = "NAME", default_value = "/", value_parser = namespace)]
    namespace: String,
    /// End after N events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after TIME, for example 10s
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Say when each event came
    #[arg(long)]
    time_stamps: bool,
    /// A header of the handshake; repeat the flag for more
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Listens until Ctrl-C, until the given time is over, or until enough events were printed.
pub(super) fn run(args: ListenArgs) -> Result<(), CommandError> {
    let target = args.server.target(&args.namespace, &args.headers);
    let (count, time) = (args.count, args.time);
    let mut listener = Listener {
        args,
        target: &target,
        printed: 0,
    };
    run_client(async {
        tokio::select! {
            ended = listener.listen() => match ended {
                Ok(()) => Ok(()),
                Err(error) => Err(CommandError::Failure(error)),
            },
            _ = tokio::signal::ctrl_c() => Ok(()),
            () = over(time) => match count {
                None => Ok(()),
                Some(count) => Err(CommandError::Failure(anyhow!(
                    "fewer than {count} events came in time; give it longer with --for"
                ))),
            },
        }
    })
}

/// Waits for the given time, or for ever without one.
async fn over(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The state of one `hitchy listen`, across its connections.
struct Listener<'a> {
    args: ListenArgs,
    target: &'a Target,
    /// The number of events that were printed.
    printed: u64,
}

impl<'a> Listener<'a> {
    /// Listens over one connection after the other, until enough events were printed.
    async fn listen(&mut self) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.target).await?;
        loop {
            self.note_listening();
            let lost = match self.follow(&mut connection).await {
                Ok(()) => {
                    connection.close().await;
                    return Ok(());
                }
                Err(error) => error,
            };
            match lost.downcast::<Error>()? {
                error if error.is_temporary() => {
                    terminal::note(&format!("{error}; connecting again"));
                }
                error => return Err(error.into()),
            }
            connection = self.connect_again().await?;
        }
    }

    /// Prints events until enough were printed.
    ///
    /// # Errors
    /// The connection ends, or standard output cannot be written.
    async fn follow(&mut self, connection: &mut Connection<'_>) -> anyhow::Result<()> {
        loop {
            let Packet::Event { name, args, ack } = connection.next().await? else {
                continue;
            };
            if let Some(id) = ack {
                connection.ack(id, &Payload::empty()).await?;
            }
            if self.args.events.is_empty() || self.args.events.contains(&name) {
                self.print(&name, &args)?;
                self.printed += 1;
            }
            if Some(self.printed) == self.args.count {
                return Ok(());
            }
        }
    }

    /// Connects again, after longer and longer pauses, until it succeeds.
    ///
    /// # Errors
    /// The server refuses the client for good.
    async fn connect_again(&self) -> anyhow::Result<Connection<'a>> {
        let (mut pause, longest) = PAUSE;
        loop {
            sleep(pause).await;
            match Connection::open(self.target).await {
                Ok(connection) => return Ok(connection),
                Err(error) if error.is_temporary() => pause = (pause * 2).min(longest),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Notes on standard error that events are awaited.
    fn note_listening(&self) {
        let events = match self.args.events.as_slice() {
            [] => "all events".to_owned(),
            events => visible(&events.join(", ")).into_owned(),
        };
        let Target {
            address, namespace, ..
        } = self.target;
        terminal::note(&format!(
            "listening to {events} of {namespace} on {address}"
        ));
    }

    /// Prints an event on one line.
    ///
    /// # Errors
    /// Standard output cannot be written.
    fn print(&self, name: &str, args: &Payload) -> Result<(), OutputError> {
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let line = match (self.args.server.output, self.args.time_stamps) {
            (Output::Json, false) => object("", name, args),
            (Output::Json, true) => object(&format!(r#""time":"{now}","#), name, args),
            (Output::Text, false) => text(name, args),
            (Output::Text, true) => format!("{now} {}", text(name, args)),
        };
        terminal::line(&line)
    }
}

/// Returns an event as one line of JSON, whose first fields are `first`.
fn object(first: &str, name: &str, args: &Payload) -> String {
    let (name, args) = (json::string(name), json::array(args, Binary::Base64));
    format!(r#"{{{first}"event":{name},"args":{args}}}"#)
}

/// Returns an event as one line of text.
fn text(name: &str, args: &Payload) -> String {
    let mut words = vec![terminal::coloured(&visible(name), Colour::Name)];
    words.extend(json::arguments(args, Binary::Size));
    words.join(" ")
}
