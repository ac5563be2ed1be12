//! The metrics of key-value storage.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::kv::{Health, Store};

/// A collector that reads the counters of a store at the moment at which they are encoded.
#[derive(Debug)]
pub(super) struct StoreScrape(pub(super) Arc<dyn Store>);

impl Collector for StoreScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counters = self.0.counters();
        let mut operations = encoder.encode_descriptor(
            "hitchy_kv_operations",
            "Key-value operations that were done",
            None,
            MetricType::Counter,
        )?;
        for (kind, count) in [("read", counters.reads()), ("write", counters.writes())] {
            let labels = [("kind", kind)];
            ConstCounter::new(count).encode(operations.encode_family(&labels)?)?;
        }
        for (name, help, count) in [
            (
                "hitchy_kv_commits",
                "Commits of key-value storage; writes divided by commits is the mean size of a group",
                counters.commits(),
            ),
            (
                "hitchy_kv_failures",
                "Key-value operations that failed because of the storage",
                counters.failures(),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric)?;
        }
        let is_degraded = matches!(self.0.health(), Health::Degraded(_));
        for (name, help, value) in [
            (
                "hitchy_kv_buckets",
                "Buckets that have a key",
                counters.buckets() as f64,
            ),
            (
                "hitchy_kv_degraded",
                "1 while something of key-value storage does not work, else 0",
                f64::from(u8::from(is_degraded)),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        Ok(())
    }
}
