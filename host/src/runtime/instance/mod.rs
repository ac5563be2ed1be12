//! Instances of guests, and how long they live: one file for each strategy, and the choice between them.

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
