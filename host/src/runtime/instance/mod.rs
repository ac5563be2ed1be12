//! Instances of guests.
//!
//! A strategy decides how long instances live. Each strategy has a file, and the choice between them is made here.

mod bodies;
mod cpu;
mod fresh;
pub(super) mod lease;
pub(super) mod limits;
pub(super) mod output;
pub(super) mod state;

use self::fresh::Fresh;
use self::lease::Strategy;
use super::settings::HandlerSettings;

/// Returns the strategy that the settings of a handler ask for.
pub(super) fn strategy(_settings: &HandlerSettings) -> Box<dyn Strategy> {
    Box::new(Fresh)
}

#[cfg(test)]
mod tests;
