//! The page `/metrics` of the console: the server's counters in the text format of Prometheus. They are collected for
//! each request.
//!
//! Labels are names of files, names of declared namespaces and fixed words. A client cannot choose the text of a
//! label.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use axum::http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::cluster_metrics::ClusterScrape;
use super::code_metrics::CodeScrape;
use super::instance_metrics::InstanceScrape;
use super::process;
use super::store_metrics::StoreScrape;
use super::{Shown, View};
use crate::message::Door;
use crate::metrics::Metrics;
use crate::registry::{Ended, Served, Table, What};
use crate::runtime::kinds::CALLS;
use crate::runtime::kinds::kind::CallKind;
use crate::server::scheduler::{ListedSchedule, Skip};

/// One sample of a metric: its labels and its value.
type Sample<'a, const N: usize, T> = ([(&'static str, &'a str); N], T);

/// Returns the page `/metrics`.
pub(super) fn metrics(view: &Arc<View>) -> Shown {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(Arc::clone(view))));
    registry.register_collector(Box::new(InstanceScrape(Arc::clone(view))));
    registry.register_collector(Box::new(CodeScrape(Arc::clone(&view.runtime))));
    registry.register_collector(Box::new(StoreScrape(Arc::clone(&view.store))));
    if let Some(cluster) = &view.cluster {
        registry.register_collector(Box::new(ClusterScrape(Arc::clone(cluster))));
    }
    let mut body = String::with_capacity(16 << 10);
    // Writing to a `String` does not fail.
    let _ = prometheus_text::encode(&mut body, &registry);
    Shown {
        status: StatusCode::OK,
        kind: prometheus_text::CONTENT_TYPE,
        body,
    }
}

/// A collector that reads all counters at the moment at which they are encoded.
struct Scrape(Arc<View>);

impl fmt::Debug for Scrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let view = &*self.0;
        let table = view.registry.table();
        let mut page = Page(encoder);
        page.calls(&table)?;
        page.handlers(view, &table)?;
        page.schedules(view)?;
        page.gate(view)?;
        page.streams(view)?;
        page.doors(view.sessions.metrics())?;
        page.outgoing(view.sessions.metrics())?;
        page.clients(view)?;
        page.misuse(view.sessions.metrics())?;
        page.process(view)
    }
}

/// Writer of the metrics of one page.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn calls(&mut self, table: &Table) -> fmt::Result {
        let mut ended = Vec::new();
        for handler in &table.handlers {
            for kind in CALLS.iter().filter(|kind| concerns(handler, **kind)) {
                ended.extend(Ended::ALL.map(|how| {
                    let labels = [
                        ("handler", &*handler.name),
                        ("kind", kind.name),
                        ("outcome", how.name()),
                    ];
                    (labels, handler.calls.count(*kind, how))
                }));
            }
        }
        self.counters(
            "hitchy_calls",
            "Calls of handlers that have ended, by what they were for and how they ended",
            ended,
        )?;
        self.durations(table)?;
        let running = table
            .handlers
            .iter()
            .map(|handler| ([("handler", &*handler.name)], handler.running() as f64));
        self.gauges(
            "hitchy_calls_running",
            "Calls of a handler that run now, without those from inside",
            running,
        )
    }

    fn durations(&mut self, table: &Table) -> fmt::Result {
        let help = "How long calls of a handler ran, without the time they waited for a permit";
        let mut encoder = self.0.encode_descriptor(
            "hitchy_call_duration_seconds",
            help,
            None,
            MetricType::Histogram,
        )?;
        for handler in &table.handlers {
            let times = handler.calls.times();
            let buckets = times.buckets();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = times.sum().as_secs_f64();
            let labels = [("handler", &*handler.name)];
            encoder
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn handlers(&mut self, view: &View, table: &Table) -> fmt::Result {
        let each = |value: fn(&Served) -> f64| {
            table
                .handlers
                .iter()
                .map(move |handler| ([("handler", &*handler.name)], value(handler)))
        };
        self.gauges(
            "hitchy_handler_generation",
            "Versions of the file that have been served, this one included",
            each(|handler| handler.generation as f64),
        )?;
        self.gauges(
            "hitchy_handler_compile_seconds",
            "How long compiling what is served took",
            each(|handler| handler.compile_time().as_secs_f64()),
        )?;
        self.gauges(
            "hitchy_handler_loaded_timestamp_seconds",
            "When what is served was loaded",
            each(|handler| seconds(handler.loaded)),
        )?;
        let states = [
            ([("state", "serving")], table.handlers.len() as f64),
            (
                [("state", "refused")],
                view.registry.status().refused.len() as f64,
            ),
            ([("state", "missing")], table.missing.len() as f64),
        ];
        self.gauges("hitchy_handlers", "Files that are served, that are refused as they are now, and required ones that are missing", states)?;
        let journal = view.registry.journal();
        let reloads = What::ALL.map(|what| ([("result", what.name())], journal.count(what)));
        self.counters(
            "hitchy_reloads",
            "What became of files of the folder",
            reloads,
        )
    }

    fn schedules(&mut self, view: &View) -> fmt::Result {
        let all = view.schedules.all();
        let next = all.iter().filter_map(|ListedSchedule { slot, .. }| {
            let labels = [
                ("handler", &*slot.key.handler),
                ("schedule", &*slot.key.name),
            ];
            Some((labels, slot.next()? as f64 / 1000.0))
        });
        self.gauges(
            "hitchy_schedule_next_timestamp_seconds",
            "When a schedule runs next",
            next,
        )?;
        let skipped = all.iter().flat_map(|ListedSchedule { slot, .. }| {
            Skip::ALL.map(|skip| {
                let labels = [
                    ("handler", &*slot.key.handler),
                    ("schedule", &*slot.key.name),
                    ("reason", skip.name()),
                ];
                (labels, slot.skipped(skip))
            })
        });
        self.counters(
            "hitchy_schedule_skips",
            "Times at which a schedule did not run, by the reason",
            skipped,
        )
    }

    fn gate(&mut self, view: &View) -> fmt::Result {
        let load = view.dispatch.load();
        self.gauge(
            "hitchy_gate_running",
            "Permits for calls that are taken, of all handlers",
            load.running as f64,
        )?;
        self.gauge(
            "hitchy_gate_waiting",
            "Calls that wait for a permit",
            load.waiting as f64,
        )?;
        self.gauge(
            "hitchy_gate_permits",
            "Calls that may run at the same time (limits.concurrency)",
            load.concurrency as f64,
        )
    }

    fn streams(&mut self, view: &View) -> fmt::Result {
        self.gauge(
            "hitchy_streams_running",
            "Answers of handlers that are being streamed now",
            view.dispatch.streams() as f64,
        )?;
        let metrics = view.sessions.metrics();
        self.counters(
            "hitchy_streams",
            "Answers of handlers that were streamed, and those that the server broke off at a reload or its end",
            [
                ([("event", "begun")], metrics.streams.total()),
                ([("event", "broken_off")], metrics.streams_ended.total()),
            ],
        )
    }

    fn doors(&mut self, metrics: &Metrics) -> fmt::Result {
        let doors = [
            (Door::Http, &metrics.answers_http),
            (Door::Socket, &metrics.answers_socket),
            (Door::Dispatch, &metrics.answers_dispatch),
        ];
        let answers = doors.into_iter().flat_map(|(door, answers)| {
            let sample = move |(class, total)| ([("door", door.name()), ("status", class)], total);
            answers.totals().map(sample)
        });
        self.counters(
            "hitchy_requests",
            "Requests that were answered, by door and class of status",
            answers,
        )?;
        let events = [
            ([("outcome", "handled")], metrics.events_handled.total()),
            ([("outcome", "failed")], metrics.events_failed.total()),
        ];
        self.counters(
            "hitchy_events",
            "Events of clients, by whether they came to a failure",
            events,
        )?;
        let connects = [
            ([("outcome", "accepted")], metrics.connects_accepted.total()),
            ([("outcome", "refused")], metrics.connects_refused.total()),
        ];
        self.counters(
            "hitchy_connects",
            "Connections to namespaces, by whether they were let in",
            connects,
        )?;
        let emits = [
            ([("to", "one")], metrics.emits_to_one.total()),
            ([("to", "many")], metrics.emits_to_many.total()),
        ];
        self.counters(
            "hitchy_emits",
            "Events that handlers sent: to one client, or to rooms and namespaces",
            emits,
        )
    }

    fn clients(&mut self, view: &View) -> fmt::Result {
        let counts = view.counts.counts();
        let sockets = counts
            .iter()
            .map(|(name, count)| ([("namespace", name.as_str())], *count as f64));
        self.gauges(
            "hitchy_sockets",
            "Sockets that are connected to a namespace",
            sockets,
        )?;
        let (websocket, polling) = view.sessions.by_transport();
        let transports = [
            ([("transport", "websocket")], websocket as f64),
            ([("transport", "polling")], polling as f64),
        ];
        self.gauges(
            "hitchy_sessions",
            "Clients that are connected, by transport",
            transports,
        )?;
        let memory = view.sessions.memory();
        self.gauge(
            "hitchy_outbound_memory_bytes",
            "Bytes that wait to be sent, of all clients together",
            memory.used() as f64,
        )?;
        self.gauge(
            "hitchy_outbound_memory_limit_bytes",
            "Bytes that may wait to be sent (server.outbound-memory)",
            memory.total() as f64,
        )?;
        self.gauge(
            "hitchy_sessions_unclaimed",
            "Clients that have not connected to a namespace",
            view.sessions.unclaimed() as f64,
        )
    }

    fn outgoing(&mut self, metrics: &Metrics) -> fmt::Result {
        let totals = metrics.outgoing.totals();
        self.counters(
            "hitchy_outgoing_requests",
            "Requests of handlers to other servers, by how they ended",
            totals.map(|(outcome, total)| ([("outcome", outcome)], total)),
        )
    }

    fn misuse(&mut self, metrics: &Metrics) -> fmt::Result {
        let ends = metrics.ends.totals();
        self.counters(
            "hitchy_ends",
            "Connections and sessions that the server ended, by the reason",
            ends.map(|(reason, total)| ([("reason", reason)], total)),
        )?;
        for (name, help, counter) in [
            (
                "hitchy_slow_readers",
                "Clients that were ended since they did not take what they were sent",
                &metrics.slow_readers,
            ),
            (
                "hitchy_lost_events",
                "Events that a client did not get, since its send buffer was full at that very moment",
                &metrics.lost_events,
            ),
            (
                "hitchy_too_large",
                "Bodies and packets above the limit",
                &metrics.too_large,
            ),
            (
                "hitchy_malformed",
                "Connections that were closed for what they sent",
                &metrics.malformed,
            ),
            (
                "hitchy_floods",
                "Connections that were ended since they went on sending far too much",
                &metrics.floods,
            ),
            (
                "hitchy_turned_away",
                "Sessions that were not opened, since there were too many",
                &metrics.turned_away,
            ),
            (
                "hitchy_foreign_clients",
                "Clients that were refused because they speak another protocol or use another parser",
                &metrics.foreign_clients,
            ),
            (
                "hitchy_foreign_origins",
                "Requests of pages whose origin may not open sockets",
                &metrics.foreign_origins,
            ),
            (
                "hitchy_foreign_addresses",
                "Requests in the name of a session from another address than its own",
                &metrics.foreign_addresses,
            ),
        ] {
            self.counters(name, help, [([], counter.total())])?;
        }
        Ok(())
    }

    fn process(&mut self, view: &View) -> fmt::Result {
        let build = [([("version", env!("CARGO_PKG_VERSION"))], 1.0)];
        self.gauges(
            "hitchy_build_info",
            "The program's version; always 1",
            build,
        )?;
        self.gauge(
            "process_start_time_seconds",
            "When the server was started",
            seconds(view.vitals.started),
        )?;
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Memory that is resident",
                process::resident_memory(),
            ),
            (
                "process_open_fds",
                "Descriptors that are open",
                process::open_descriptors(),
            ),
            (
                "process_max_fds",
                "Descriptors that may be open",
                process::most_descriptors(),
            ),
        ] {
            if let Some(value) = value {
                self.gauge(name, help, value as f64)?;
            }
        }
        Ok(())
    }

    /// Writes a counter. The encoder appends `_total` to `name`.
    fn counters<'s, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'s, N, u64>>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            ConstCounter::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges<'s, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'s, N, f64>>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.gauges(name, help, [([], value)])
    }
}

/// Returns true if a handler is called for `kind`, or was called for it before a reload.
fn concerns(handler: &Served, kind: CallKind) -> bool {
    handler.declarations.are_called_for(kind) || handler.calls.count_of(kind) > 0
}

/// Returns the seconds since the Unix epoch.
fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
