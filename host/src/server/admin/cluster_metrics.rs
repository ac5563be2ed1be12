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
        let counters = self.0.counters();
        let reconnects = encoder.encode_descriptor(
            "hitchy_cluster_reconnects",
            "Connections to Redis that were lost and opened again",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(counters.reconnects.total()).encode(reconnects)
    }
}
