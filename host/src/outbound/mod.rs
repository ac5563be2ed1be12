//! Everything that waits to be sent to clients: the traffic to each of them, and the memory of all of them together.

mod held;
mod held_bytes;
mod memory;
mod traffic;
mod weak_list;

pub use self::held::{Held, sending};
pub use self::memory::OutboundMemory;
pub use self::traffic::{Outbound, ended};
pub use self::weak_list::WeakList;
