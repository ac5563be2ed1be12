//! The metrics of compiled code: its cache, and what is compiled.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::runtime::Runtime;

/// A collector that reads the counts at the moment at which they are encoded.
pub(super) struct CodeScrape(pub(super) Arc<Runtime>);

impl fmt::Debug for CodeScrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CodeScrape")
    }
}

impl Collector for CodeScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counts = self.0.cache_counts();
        let mut results = encoder.encode_descriptor(
            "hitchy_code_cache",
            "Files whose compiled code was in the cache or not, bad entries, and times at which the cache failed",
            None,
            MetricType::Counter,
        )?;
        for (result, count) in [
            ("hit", &counts.hits),
            ("miss", &counts.misses),
            ("bad", &counts.bad),
            ("failure", &counts.failures),
        ] {
            let labels = [("result", result)];
            ConstCounter::new(count.total()).encode(results.encode_family(&labels)?)?;
        }
        let stored = encoder.encode_descriptor(
            "hitchy_code_cache_bytes",
            "Size of the cache of compiled code, as it was found last",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(counts.stored() as f64).encode(stored)?;
        let running = encoder.encode_descriptor(
            "hitchy_compiling",
            "Files that are compiled or adapted now",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.0.compiling() as f64).encode(running)?;
        let (count, time) = self.0.compiled();
        let mut duration = encoder.encode_descriptor(
            "hitchy_compile_duration_seconds",
            "How long files took that were compiled or adapted, without the time that they waited",
            None,
            MetricType::Histogram,
        )?;
        // One bucket: the count and the sum say the mean.
        duration.encode_histogram::<NoLabelSet>(
            time.as_secs_f64(),
            count,
            &[(f64::MAX, count)],
            None,
        )
    }
}
