//! Writes to the server's log.
//!
//! Output of `println!` is written to the log too, with one record of level `info` for each line. Lines of `eprintln!`
//! have the level `warn`.
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
    /// Writes a record that helps to follow single steps of a handler.
    trace Trace
    /// Writes a record that helps to find a mistake.
    debug Debug
    /// Writes a record about normal operation.
    info Info
    /// Writes a record about an unexpected state that does no harm yet.
    warn Warn
    /// Writes a record about a failed operation.
    error Error
}
