//! The load generator `wrk`, for machines on which it is installed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// The figures that a run of `wrk` reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    /// The number of answers.
    pub requests: u64,
    /// The number of answers with a status other than 2xx and 3xx.
    pub bad: u64,
    /// The number of connects, reads and writes that failed, and of timeouts.
    pub socket_errors: u64,
    /// Answers per second.
    pub rate: f64,
}

/// Returns true if `wrk` is installed.
pub fn installed() -> bool {
    // Without arguments, `wrk` prints its usage and exits.
    std::process::Command::new("wrk").output().is_ok()
}

/// Runs `wrk` with one thread against `target`, for at least one second.
///
/// # Errors
/// Fails if `wrk` does not start, exits with an error, or prints a report without the number of requests or the rate.
pub async fn run(
    addr: SocketAddr,
    target: &str,
    connections: usize,
    duration: Duration,
) -> Result<Said> {
    let output = Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{connections}"),
            &format!("-d{}s", duration.as_secs().max(1)),
        ])
        .arg(format!("http://{addr}{target}"))
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("wrk: {text}");
    }
    let line = |start: &str| {
        text.lines()
            .map(str::trim)
            .find(|line| line.starts_with(start))
    };
    let numbers = |line: &str| -> u64 {
        line.split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse::<u64>().ok())
            .sum()
    };
    let rate = line("Requests/sec:").and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let requests = text
        .lines()
        .map(str::trim)
        .find_map(|line| line.split_once(" requests in ")?.0.parse().ok());
    Ok(Said {
        requests: requests.context("wrk says how many requests")?,
        bad: line("Non-2xx or 3xx responses:").map_or(0, |line| {
            numbers(line.rsplit(':').next().unwrap_or_default())
        }),
        socket_errors: line("Socket errors:").map_or(0, numbers),
        rate: rate.context("wrk says the rate")?,
    })
}
