//! The table of all settings: name, kind with its bounds, default and meaning.
//!
//! Everything else is derived from it: the reading of values, the hints for unknown keys, the names of environment
//! variables, the keys that are applied live, `--print-config` and the reference. A new setting is a row here and a
//! field of the same name: in [`Config`](super::Config) for the node, in
//! [`HandlerSettings`](crate::runtime::HandlerSettings) for a handler, or in both.

use std::time::Duration;

use super::buckets;
use super::commands;
use super::handler_config;
use super::schedules;
use super::text;
use super::value::ValueKind;

/// One row of the table of settings.
#[derive(Debug)]
pub struct Key {
    /// Full key, which is section and short key: `server.body-limit`.
    pub name: &'static str,
    /// Kind of value that the key takes, with its bounds.
    pub kind: ValueKind,
    /// Default, as people write it. `None` if the server computes it at start, or if the key may be left out.
    pub default: Option<&'static str>,
    /// Meaning of the setting, as Markdown for the reference.
    pub doc: &'static str,
    /// True if a change is applied while the server runs. Otherwise it takes effect at the next start.
    pub live: bool,
    /// True if `[handler.NAME]` and sidecars may set the key for one handler.
    pub per_handler: bool,
    /// True if errors do not repeat the value, because people may by mistake write a secret there.
    pub confidential: bool,
}

impl Key {
    const fn new(
        name: &'static str,
        kind: ValueKind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default: Some(default),
            doc,
            live: false,
            per_handler: false,
            confidential: false,
        }
    }

    /// Returns a key without a default in the table.
    const fn without_default(name: &'static str, kind: ValueKind, doc: &'static str) -> Self {
        Self {
            default: None,
            ..Self::new(name, kind, "", doc)
        }
    }

    /// Marks the key as applied while the server runs.
    const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    /// Marks the key as one that may be set for one handler. Such a key is live.
    const fn per_handler(self) -> Self {
        Self {
            live: true,
            per_handler: true,
            ..self
        }
    }

    /// Marks the key as one whose value errors do not repeat.
    const fn confidential(self) -> Self {
        Self {
            confidential: true,
            ..self
        }
    }

    /// Marks the node's value as one that takes effect at the next start, although a handler's own value is live.
    const fn at_start(self) -> Self {
        Self {
            live: false,
            ..self
        }
    }

    /// Returns the section of the key: `server` of `server.body-limit`.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// Returns the key without its section: `body-limit` of `server.body-limit`.
    pub fn short(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(_, short)| short)
    }

    /// Returns the name of the environment variable: `HITCHY_SERVER__BODY_LIMIT` for `server.body-limit`.
    pub fn variable(&self) -> String {
        let name = self.name.replace('.', "__").replace('-', "_");
        format!("HITCHY_{}", name.to_ascii_uppercase())
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

const fn size(min: u64, max: u64) -> ValueKind {
    ValueKind::Size { min, max }
}

const fn time(min: Duration, max: Duration) -> ValueKind {
    ValueKind::Time { min, max }
}

const fn count(min: u64, max: u64) -> ValueKind {
    ValueKind::Count { min, max }
}

const LISTEN: ValueKind = ValueKind::Text {
    what: "an address to listen on",
    example: "localhost:3000",
    read: text::listen,
};
const CONSOLE: ValueKind = ValueKind::Text {
    what: "an address to listen on, or \"off\"",
    example: "127.0.0.1:9000",
    read: text::console,
};
const SOCKET_PATH: ValueKind = ValueKind::Text {
    what: "a path that begins with \"/\" and does not end with it",
    example: "/socket.io",
    read: text::socket_path,
};
const REDIS: ValueKind = ValueKind::Text {
    what: "a URL redis:// or rediss:// of a host, with a user, a port and the number of a database if it needs them, and without a password",
    example: "redis://localhost:6379",
    read: text::redis,
};
const PREFIX: ValueKind = ValueKind::Text {
    what: "a name of up to 64 letters, digits and -._:",
    example: "shop",
    read: text::prefix,
};
const SECRET: ValueKind = ValueKind::Text {
    what: "the name of an environment variable (letters, digits and _, not beginning with a digit or HITCHY_)",
    example: "REDIS_PASSWORD",
    read: text::secret_name_or_none,
};
const PUBLIC_FILE: ValueKind = ValueKind::Text {
    what: "the path of a file below the public folder",
    example: "index.html",
    read: text::public_file,
};
const NETWORKS: ValueKind = ValueKind::List {
    what: "a list of IP addresses and blocks",
    examples: ["10.0.0.0/8", "192.168.1.7"],
    read: text::network,
};
const ORIGINS: ValueKind = ValueKind::List {
    what: "a list of origins, scheme and host without a path, or \"*\"",
    examples: ["https://app.example.com", "http://localhost:5173"],
    read: text::origin,
};
const OUTBOUND: ValueKind = ValueKind::List {
    what: "a list of origins, scheme, host and perhaps a port, without a user name or a path, in which a host may begin with \"*.\"",
    examples: ["https://api.example.com", "https://*.example.org:8443"],
    read: text::outbound,
};
const HANDLER_NAMES: ValueKind = ValueKind::List {
    what: "a list of handlers, each the path of its file below the handlers folder without .wasm or .js",
    examples: ["auth", "api/shop"],
    read: text::handler_name,
};
const EVENTS: ValueKind = ValueKind::List {
    what: "a list of events, each a name, or a namespace, a space and a name",
    examples: ["say", "/chat say"],
    read: text::event,
};

const BUCKET: ValueKind = ValueKind::Text {
    what: "the name of a bucket",
    example: "shop",
    read: buckets::name,
};
const BUCKETS: ValueKind = ValueKind::Table {
    what: "a table of buckets, each with \"read\" or \"read-write\"",
    example: r#"{ shared = "read-write", logs = "read" }"#,
    read: buckets::grants,
};

const SETUP: ValueKind = ValueKind::Table {
    what: "a command and what it creates, a path below the folder",
    example: r#"{ command = "npm ci", creates = "node_modules" }"#,
    read: commands::setup,
};
const COMMANDS: ValueKind = ValueKind::Table {
    what: "a table of .wasm, .js or .ts files below the folder, each with the command that makes it",
    example: r#"{ "handlers/chat.wasm" = "make chat" }"#,
    read: commands::build,
};

const SCHEDULES: ValueKind = ValueKind::Table {
    what: "a table of schedules, each with its times or \"off\"",
    example: r#"{ cleanup = "every 1h", report = "off" }"#,
    read: schedules::schedules,
};
const CONFIG: ValueKind = ValueKind::Table {
    what: "a table of strings, numbers and booleans (write what has parts as a string, JSON for example)",
    example: r#"{ greeting = "hello", retries = 3 }"#,
    read: handler_config::read,
};
const SECRETS: ValueKind = ValueKind::List {
    what: "a list of names of environment variables (letters, digits and _, not beginning with a digit or HITCHY_)",
    examples: ["API_TOKEN", "DATABASE_PASSWORD"],
    read: text::secret_name,
};

/// All settings, in the order of the reference. `rustfmt` is off, because each setting should stay on one line.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key::new("server.listen", LISTEN, "localhost:3000", "Where the server listens. `localhost` means both loopbacks, 127.0.0.1 and ::1; port 0 lets the system choose."),
    Key::new("server.public", ValueKind::Folder, "public", "The folder whose files are served where no route matches; it may be missing."),
    Key::new("server.fallback", PUBLIC_FILE, "", "The file of the public folder that answers GET where nothing else does, if the client asks for HTML: the page of an app with its own router, `index.html` as a rule. If empty, there is none."),
    Key::new("server.body-limit", size(1, GIB), "1MiB", "Largest body of a request: HTTP, polling and websocket alike."),
    Key::new("server.answer-limit", size(1, GIB), "4MiB", "Largest body of an answer of a handler."),
    Key::without_default("server.max-connections", count(1, 1_000_000), "Connections open at once; by default 20000, or 80 % of the descriptors the system grants when that is less."),
    Key::new("server.trusted-proxies", NETWORKS, "", "Proxies whose `x-forwarded-for` says who the client is, and whose forwarding headers handlers see."),
    Key::new("server.cors", ORIGINS, "", "Origins whose pages may call over HTTP (CORS), or \"*\"; none by default."),
    Key::new("server.origins", ORIGINS, "", "Origins besides the server's own whose pages may connect a socket, or \"*\"."),
    Key::new("server.grace", time(Duration::ZERO, HOUR), "25s", "How long calls may go on after the server was told to stop."),
    Key::new("server.header-timeout", time(MS, HOUR), "10s", "Time for a client to send the head of a request."),
    Key::new("server.keep-alive", time(MS, HOUR), "90s", "How long a connection may be idle between two requests. Longer than proxies keep theirs, which is 60 to 75 s as a rule."),
    Key::new("server.body-timeout", time(MS, HOUR), "30s", "Time for a client to send the whole body of a request."),
    Key::new("server.body-idle", time(MS, HOUR), "10s", "Longest time between two parts of a request's body."),
    Key::new("server.write-stall", time(MS, HOUR), "20s", "How long a client may take nothing of what it is sent before its connection is closed."),
    Key::without_default("server.outbound-memory", size(MIB, 1024 * TIB), "Memory of what waits to be sent, of all clients together; by default a quarter of the machine's or, in a container, of the container's. When it is used up, clients that do not read are ended, and then others, those for which most waits first."),

    Key::new("socket.path", SOCKET_PATH, "/socket.io", "Path of the socket.io endpoint."),
    Key::new("socket.client", ValueKind::Folder, "node_modules/socket.io-client/dist", "The folder with the files of the official client, as `npm install socket.io-client` makes it; they are served below the path of the endpoint."),
    Key::new("socket.ping-interval", time(MS, HOUR), "25s", "Time between two pings to a client."),
    Key::new("socket.ping-timeout", time(MS, HOUR), "20s", "Time for a client to answer a ping before the connection counts as broken."),
    Key::new("socket.connect-timeout", time(MS, HOUR), "10s", "Time for a client to connect to a namespace after its transport was opened."),
    Key::new("socket.transports", ValueKind::Words(&["polling", "websocket"]), "polling,websocket", "Ways a socket may be connected."),
    Key::new("socket.send-buffer", count(1, 1_000_000), "1024", "Packets that may wait for one client. When so many wait, an emit to this client fails with 503, and a broadcast disconnects the client if it does not read."),
    Key::new("socket.send-bytes", size(KIB, GIB), "16MiB", "Bytes that may wait for one client, with the same effect."),
    Key::new("socket.max-sockets", count(1, 1_000_000), "10000", "Clients connected at once; more are answered 503."),
    Key::new("socket.max-unclaimed", count(1, 1_000_000), "1000", "Clients at once that have not connected to a namespace yet; more are answered 503."),
    Key::new("socket.bind-address", ValueKind::Switch, "false", "Whether a polling session answers only the address that opened it. Clients whose address changes, behind some proxies and in mobile networks, then have to connect anew."),
    Key::new("socket.set-cookie", ValueKind::Word(&["withhold", "pass"]), "withhold", "Whether page scripts see `set-cookie` in answers to `request`. The connection remembers the cookies in any case."),

    Key::new("handlers.dir", ValueKind::Folder, "handlers", "The folder whose `.wasm`, `.js` and `.ts` files are served."),
    Key::new("handlers.watch", ValueKind::Switch, "true", "Whether changes in the folder are followed while the server runs."),
    Key::new("handlers.settle", time(Duration::ZERO, MINUTE), "150ms", "How long a file written in place must rest before it is loaded, or, on Linux, a fifth of it once its writer has closed it; a file that was renamed into place is loaded at once."),
    Key::new("handlers.rescan", time(Duration::from_millis(10), HOUR), "5s", "Time between two scans of the whole folder, for changes that the system did not report."),
    Key::new("handlers.required", HANDLER_NAMES, "", "Handlers without which nothing is served: while one of them is not loaded, every request is answered 503.").live(),

    Key::without_default("cache.dir", ValueKind::FolderOrOff, "The folder in which compiled code is kept, so that a file is compiled once; or \"off\". By default `$XDG_CACHE_HOME/hitchy`, or `~/.cache/hitchy`. It belongs to the user of the server, and nobody else may write to it; several servers of this user may share it."),
    Key::new("cache.max-bytes", size(MIB, TIB), "1GiB", "Space of the disk for compiled code. What was not used for the longest time is removed first."),

    Key::new("limits.memory", size(64 * KIB, 4 * GIB), "128MiB", "Memory of a guest in one call.").per_handler(),
    Key::new("limits.deadline", time(MS, MINUTE), "10s", "Time from the start of a call to its end.").per_handler(),
    Key::new("limits.stream-deadline", time(Duration::ZERO, DAY), "5m", "Time from the start of a call to the end of its answer, for an answer of a `wasi:http` component that is streamed over HTTP. It replaces `deadline` once the head of the answer is there, unless it is shorter.").per_handler(),
    Key::new("limits.cpu", time(MS, MINUTE), "1s", "Processor time of a call, the server's work for it included; waiting and dispatched calls do not count.").per_handler(),
    Key::new("limits.concurrency", count(1, 100_000), "256", "Calls running at once, of all handlers. One handler gets at most three quarters of them unless it is set for that handler.").per_handler().at_start(),
    Key::new("limits.queue", count(0, 100_000), "256", "Calls that may wait for one of the running to end; more are answered 503."),
    Key::new("limits.queue-wait", time(Duration::ZERO, MINUTE), "250ms", "How long a call may wait before it is answered 503."),
    Key::new("limits.emits-per-call", count(0, 100_000), "256", "Events a call may emit.").per_handler(),
    Key::new("limits.emit-bytes-per-call", size(0, GIB), "4MiB", "Bytes a call may emit in all.").per_handler(),
    Key::new("limits.dispatches-per-call", count(0, 10_000), "16", "Requests a call may send to other routes of this server.").per_handler(),
    Key::new("limits.outbound-per-call", count(0, 100_000), "32", "Requests a call may send to other servers.").per_handler(),
    Key::new("limits.outbound-parallel", count(1, 1000), "6", "Requests of a call to other servers that may be under way at once; more wait.").per_handler(),
    Key::new("limits.outbound-bytes", size(0, GIB), "4MiB", "Largest body of a request to another server, and of its response.").per_handler(),
    Key::new("limits.outbound-time", time(MS, HOUR), "10s", "Time of a request to another server, from its start to the end of the response. It ends with the call in any case.").per_handler(),
    Key::new("limits.kv-ops-per-call", count(0, 1_000_000), "1000", "Key-value operations a call may make, each key of a batch counting as one.").per_handler(),
    Key::new("limits.kept-instances", count(0, 20_000), "4096", "Instances that are kept between calls, of all handlers. Beyond it, instances are ended: first those of scripts with `instances = \"call\"`, with which nothing is lost, and then those used least recently."),
    Key::without_default("limits.memory-budget", size(MIB, 1024 * TIB), "Memory of all guests together; by default half of the machine's or, in a container, of the container's. When it is used up, instances that are kept between calls are ended in the order of `kept-instances`, before a call is refused."),

    Key::new("outbound.requests", count(1, 10_000), "64", "Requests to other servers that may be under way at once, of all handlers; more wait. One handler gets at most three quarters of them."),
    Key::without_default("outbound.ca-file", ValueKind::File, "A file in PEM format with certificates that are trusted besides those of the system."),
    Key::new("outbound.networks", NETWORKS, "", "Networks that are not public but to which names of servers may resolve, for services of your own. Without them a handler reaches only public addresses, and those that its `outbound` names as addresses or as `localhost`."),

    Key::new("kv.backend", ValueKind::Word(&["embedded"]), "embedded", "Where key-value data is kept: `embedded` is one file of this machine."),
    Key::new("kv.path", ValueKind::Folder, "data", "The folder of the embedded storage. It is made when a handler first stores something; until then it need not be writable. Each server needs its own."),
    Key::new("kv.max-keys", count(1, 1_000_000_000), "1000000", "Keys of one bucket."),
    Key::new("kv.max-bytes", size(KIB, TIB), "256MiB", "Keys and values of one bucket."),
    Key::new("kv.min-free", size(0, TIB), "64MiB", "Space of the disk that stays free: when less is free, nothing is stored, and handlers get an error."),
    Key::new("kv.page-cache", size(MIB, TIB), "64MiB", "Memory of the embedded storage for what was read."),

    Key::new("cluster.redis", REDIS, "", "The Redis through which several servers are one, as in [several nodes](operating.md#several-nodes); `rediss://` for TLS. Redis 6 or newer. If empty, this server is alone.").confidential(),
    Key::new("cluster.mode", ValueKind::Word(&["required", "optional"]), "required", "What a start without Redis means. With `required` every request is answered 503 until Redis is reached, and the server ends if that takes too long; with `optional` it serves its own clients at once. Later outages are the same for both: each node serves its own clients."),
    Key::new("cluster.start-timeout", time(Duration::ZERO, HOUR), "30s", "How long a start waits for Redis that is `required`."),
    Key::new("cluster.password", SECRET, "", "Name of the secret with the password of Redis. The value of `REDIS_PASSWORD` comes from the variable of this name, or from the file that `REDIS_PASSWORD_FILE` names (without the line break at its end).").confidential(),
    Key::new("cluster.secret", SECRET, "", "Name of the secret with which nodes sign what they say to each other, the same on all of them. Without it, they sign with the password of Redis.").confidential(),
    Key::new("cluster.prefix", PREFIX, "hitchy", "Beginning of the names of all channels and keys in Redis. Nodes with the same prefix belong together; applications that share a Redis need one each."),
    Key::without_default("cluster.name", PREFIX, "Name of this node in the log, in Redis and for other nodes; by default the host's name and the port."),

    Key::new("admin.listen", CONSOLE, "127.0.0.1:9000", "Where the console listens: health, metrics, what is served; or \"off\". If nothing is set and the default is in use by another program, the server starts without a console."),

    Key::new("log.level", ValueKind::Word(&["error", "warn", "info", "debug", "trace"]), "info", "How much is logged."),
    Key::new("log.format", ValueKind::Word(&["pretty", "json"]), "pretty", "Lines for people, or one JSON object a line."),

    Key::new("handler.serve", ValueKind::Word(&["exports", "cgi"]), "exports", "What calls the file: the functions that it exports, or, for a command, the variables of CGI with standard input and output.").per_handler(),
    Key::new("handler.instances", ValueKind::Word(&["call", "socket", "shared"]), "call", "How long an instance of the handler lives: for one `call`; for the connection of a client to a namespace (`socket`), whose events and hooks it gets, while requests have fresh ones; or `shared` by the calls of all clients, one call at a time. What a handler keeps in memory lasts as long as its instance, at most.").per_handler(),
    Key::new("handler.idle", time(MS, DAY), "5m", "How long an instance of `instances = \"socket\"` or `\"shared\"` may go without a call before it is ended.").per_handler(),
    Key::without_default("handler.max-calls", count(1, 1_000_000_000), "Calls after which such an instance is ended; with `shared` up to a tenth earlier, at random, so that not all end at once. By default there is no bound.").per_handler(),
    Key::without_default("handler.max-instances", count(1, 100_000), "Instances of the pool with `shared`; more calls wait. By default as many as calls of the handler may run at once.").per_handler(),
    Key::new("handler.events", EVENTS, "", "With `serve = \"cgi\"`, the events that the command answers; events of other namespaces than `/` as `\"/chat say\"`.").per_handler(),
    Key::new("handler.outbound", OUTBOUND, "", "Servers that the handler may call: origins, in which `*.` stands for all names below a domain.").per_handler(),
    Key::without_default("handler.bucket", BUCKET, "The handler's own bucket of key-value storage; by default the path of its file without its end. Handlers that name the same bucket share it.").per_handler(),
    Key::without_default("handler.buckets", BUCKETS, "Other buckets that the handler may use, each with `read` or `read-write`.").per_handler(),
    Key::without_default("handler.config", CONFIG, "Values that the handler reads with `wasi:config`, in the SDK `config::get`. Numbers and booleans are read as their text. Whoever sees the settings or the console sees them.").per_handler(),
    Key::new("handler.secrets", SECRETS, "", "Names of secrets that the handler reads in the same way. The value of `TOKEN` comes from the server's environment: from the variable `TOKEN`, or from the file that `TOKEN_FILE` names (without the line break at its end). It is shown nowhere. The handler is refused while one is missing.").per_handler().confidential(),
    Key::without_default("handler.schedules", SCHEDULES, "Times of the handler's schedules instead of those that it declares, by the name of the schedule; `off` switches one off. Times are `every` and a length of time, or a cron expression with an optional time zone, as in [schedules](handlers.md#schedules). The table replaces that of the sidecar as a whole.").per_handler(),

    Key::without_default("dev.setup", SETUP, "A command that `hitchy dev` and `hitchy build` run before the first build when what it creates is missing.").live(),
    Key::without_default("dev.build", COMMANDS, "Files of the handlers folder that cargo does not build, each with the command that makes it: it writes to `$OUT`, or to the file itself.").live(),
];

/// Section of the keys that exist only for single handlers. A key `handler.KEY` of the table is written in
/// `[handler.chat]` or in a sidecar.
pub(super) const HANDLER: &str = "handler";

/// Returns the sections of the settings file that are for the node, in the order of the table.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(Key::section).collect();
    sections.dedup();
    sections.retain(|section| *section != HANDLER);
    sections
}

/// Returns the keys that may be set for one handler.
pub(super) fn per_handler() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.per_handler)
}

/// Returns true if a change of the full key `name` is applied while the server runs. All keys of `[handler.NAME]` are.
pub(super) fn is_live(name: &str) -> bool {
    let key = KEYS.iter().find(|key| key.name == name);
    key.map_or(name.starts_with("handler."), |key| key.live)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_with_its_section_together() {
        let sections = sections();
        assert_eq!(
            sections,
            [
                "server", "socket", "handlers", "cache", "limits", "outbound", "kv", "cluster",
                "admin", "log", "dev"
            ]
        );
        let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KEYS.len());
    }

    #[test]
    fn a_variable_is_the_key_in_capitals() {
        let key = KEYS.iter().find(|key| key.name == "server.body-limit");
        assert_eq!(key.unwrap().variable(), "HITCHY_SERVER__BODY_LIMIT");
    }
}
