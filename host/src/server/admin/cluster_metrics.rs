//! The metrics of a node that is one of several.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::cluster::Cluster;

/// A collector that reads the state of the connections to other nodes at the moment at which it is encoded.
pub(super) struct ClusterScrape(pub(super) Arc<Cluster>);

impl fmt::Debug for ClusterScrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClusterScrape")
    }
}

impl Collector for ClusterScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut up = encoder.encode_descriptor(
            "hitchy_cluster_up",
            "1 while a connection to Redis is open, else 0",
            None,
            MetricType::Gauge,
        )?;
        for (link, is_up) in self.0.links() {
            let labels = [("link", link)];
            ConstGauge::new(f64::from(u8::from(is_up))).encode(up.encode_family(&labels)?)?;
        }
        let members = encoder.encode_descriptor(
            "hitchy_cluster_members",
            "Nodes that are there, this one included",
            None,
            MetricType::Gauge,
        )?;
        let count = self.0.others().len() + 1;
        ConstGauge::new(count as f64).encode(members)?;
        self.counters(&mut encoder)
    }
}

impl ClusterScrape {
    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counters = self.0.counters();
        for (name, help, count) in [
            (
                "hitchy_cluster_reconnects",
                "Connections to Redis that were lost and opened again",
                counters.reconnects.total(),
            ),
            (
                "hitchy_cluster_published",
                "Messages to other nodes that Redis took",
                counters.published.total(),
            ),
            (
                "hitchy_cluster_uncertain",
                "Messages to other nodes of which Redis did not say that it took them",
                counters.uncertain.total(),
            ),
            (
                "hitchy_cluster_received",
                "Messages of other nodes that came",
                counters.received.total(),
            ),
            (
                "hitchy_cluster_lost",
                "Messages of other nodes that did not come",
                counters.lost.total(),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric)?;
        }
        let mut dropped = encoder.encode_descriptor(
            "hitchy_cluster_dropped",
            "Messages that were dropped because too many waited: out for Redis, in for clients",
            None,
            MetricType::Counter,
        )?;
        for (direction, count) in [
            ("out", counters.dropped_out.total()),
            ("in", counters.dropped_in.total()),
        ] {
            let labels = [("direction", direction)];
            ConstCounter::new(count).encode(dropped.encode_family(&labels)?)?;
        }
        let mut refused = encoder.encode_descriptor(
            "hitchy_cluster_refused",
            "Messages that were refused, by the reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in counters.refused() {
            let labels = [("cause", reason)];
            ConstCounter::new(count).encode(refused.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
