//! The host's log. `println!` ends there too, line by line and as `info`, and `eprintln!` as `warn`.
//!
//! ```
//! use hitchy_guest::log;
//!
//! fn restock(left: u32) {
//!     if left < 10 {
//!         log::warn(format_args!("only {left} left"));
//!     }
//! }
//! # restock(3);
//! ```

use std::fmt::Display;

use crate::host::log::{Level, write};

macro_rules! levels {
    ($($(#[$doc:meta])* $name:ident $level:ident)*) => {
        $($(#[$doc])*
        pub fn $name(message: impl Display) {
            write(Level::$level, &message.to_string());
        })*
    };
}

levels! {
    /// For following every step.
    trace Trace
    /// For finding a mistake.
    debug Debug
    /// For what is worth knowing.
    info Info
    /// For what should not be so, but does not harm yet.
    warn Warn
    /// For what went wrong.
    error Error
}
