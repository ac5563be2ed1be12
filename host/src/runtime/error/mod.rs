//! Errors of handlers: [`LoadError`] while a handler is loaded, [`CallError`] while it is called.

mod backtrace;
mod call;
mod load;

pub use self::call::CallError;
pub use self::load::LoadError;
