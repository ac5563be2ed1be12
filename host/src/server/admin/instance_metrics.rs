//! The metrics of instances that are kept between calls.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::View;
use crate::registry::Table;
use crate::runtime::{InstanceEnd, KeptInstances};

/// A collector that reads the numbers of all handlers that keep instances.
pub(super) struct InstanceScrape(pub(super) Arc<View>);

impl fmt::Debug for InstanceScrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InstanceScrape")
    }
}

/// The numbers of one handler, with its labels.
struct Sample<'a> {
    handler: &'a str,
    life: String,
    now: KeptInstances,
}

impl Collector for InstanceScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let table = self.0.registry.table();
        let samples = samples(&table);
        for (name, help, value) in [
            (
                "hitchy_instances",
                "Instances of a handler that are kept between calls",
                (|now| now.living as f64) as fn(&KeptInstances) -> f64,
            ),
            (
                "hitchy_instances_memory_bytes",
                "Linear memory of these instances, which counts against limits.memory-budget",
                |now| now.memory as f64,
            ),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for sample in &samples {
                let labels = [("handler", sample.handler), ("life", &*sample.life)];
                ConstGauge::new(value(&sample.now)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let mut ended = encoder.encode_descriptor(
            "hitchy_instances_ended",
            "Instances of a handler that were kept between calls and have ended, by the reason",
            None,
            MetricType::Counter,
        )?;
        for sample in &samples {
            for (end, count) in InstanceEnd::ALL.iter().zip(sample.now.ended) {
                let labels = [("handler", sample.handler), ("reason", end.name())];
                ConstCounter::new(count).encode(ended.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn samples(table: &Table) -> Vec<Sample<'_>> {
    let kept = table.handlers.iter().filter_map(|handler| {
        Some(Sample {
            handler: &handler.name,
            life: handler.settings.instances.to_string(),
            now: handler.kept_instances()?,
        })
    });
    kept.collect()
}
