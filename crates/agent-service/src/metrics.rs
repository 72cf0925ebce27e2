//! Figures for Prometheus.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::fmt;

/// The type of the metrics' text.
pub(crate) const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A request to a client's method. Names that nobody configured are one: `other`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Asked {
    pub(crate) client: String,
    pub(crate) method: &'static str,
    /// `ok`, or the error's code.
    pub(crate) answer: String,
}

/// What became of a client's bundle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Ended {
    pub(crate) client: String,
    /// `included`, `reverted`, `refused`, `open` or `withdrawn`.
    pub(crate) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfClient {
    pub(crate) client: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Because {
    /// `token`, `host`, `origin`, `body` or `path`.
    pub(crate) reason: &'static str,
}

pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<Asked, Counter>,
    pub(crate) turned_away: Family<Because, Counter>,
    pub(crate) bundles: Family<Ended, Counter>,
    pub(crate) pending: Family<OfClient, Gauge>,
    pub(crate) seconds: Histogram,
    pub(crate) log_entries: Counter,
    pub(crate) stopping: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("session_key_agent");
        let requests = Family::default();
        registry.register(
            "requests",
            "Requests of clients, by method and answer",
            requests.clone(),
        );
        let turned_away = Family::default();
        registry.register(
            "turned_away",
            "Requests that were answered before they were read",
            turned_away.clone(),
        );
        let bundles = Family::default();
        registry.register(
            "bundles",
            "Bundles that were accepted, by outcome",
            bundles.clone(),
        );
        let pending = Family::default();
        registry.register(
            "pending",
            "Bundles that wait or are on their way",
            pending.clone(),
        );
        let seconds = Histogram::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0]);
        registry.register(
            "bundle_seconds",
            "Seconds from the acceptance of a bundle to its outcome",
            seconds.clone(),
        );
        let log_entries = Counter::default();
        registry.register(
            "log_entries",
            "Entries added to the decision log",
            log_entries.clone(),
        );
        let stopping = Gauge::default();
        registry.register("stopping", "1 once the service is stopping", stopping.clone());
        Self {
            registry,
            requests,
            turned_away,
            bundles,
            pending,
            seconds,
            log_entries,
            stopping,
        }
    }

    pub(crate) fn turn_away(&self, reason: &'static str) {
        self.turned_away.get_or_create(&Because { reason }).inc();
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
