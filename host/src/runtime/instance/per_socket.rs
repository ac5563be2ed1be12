//! The strategy of instances for sockets: the events and hooks of a connection to a namespace have one instance, and no
//! other client's calls run in it.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

use super::counts::{Counted, InstanceEnd};
use super::idle_list::Ticket;
use super::lease::{Home, Lease};
use super::pool::{InstancePool, Unkept};
use super::state::Call;
use super::store::Instance;
use crate::lock::lock;
use crate::runtime::error::CallError;
use crate::runtime::settings::Life;
use crate::sockets::{Attachment, Connection};

/// Keeps one instance for each connection.
pub(in crate::runtime) struct PerSocket {
    pub(super) pool: Arc<InstancePool>,
}

/// Holds the instance of one connection between its calls, and lasts as long as the connection.
struct SocketSlot {
    pool: Arc<InstancePool>,
    state: Mutex<SlotState>,
    /// Wakes a call that waits until another call has ended.
    freed: Notify,
}

#[derive(Default)]
struct SlotState {
    /// The instance, if it is not in a call. It may have ended meanwhile.
    ticket: Option<Ticket>,
    /// True while a call runs.
    busy: bool,
    /// True once the connection has ended.
    ended: bool,
}

impl PerSocket {
    /// Hands out the instance of a connection. If a call runs in it, waits until that call has ended, at most until
    /// the end of `call`.
    pub(super) async fn check_out(
        &self,
        connection: &Connection,
        call: &mut Call,
    ) -> Result<Lease, CallError> {
        // The address stands for the handler's generation: it is not used again while a slot keeps it.
        let key = Arc::as_ptr(&self.pool).addr();
        let slot = connection.attachments.get(key, || SocketSlot {
            pool: Arc::clone(&self.pool),
            state: Mutex::default(),
            freed: Notify::new(),
        });
        loop {
            if let Some(ticket) = slot.enter() {
                let instance = ticket.and_then(|ticket| slot.pool.take(ticket));
                return Ok(Lease::kept(instance, slot, None));
            }
            let freed = tokio::time::timeout_at(call.until.into(), slot.freed.notified()).await;
            freed.map_err(|_| CallError::InstanceBusy(call.settings.deadline))?;
            call.entered = Instant::now();
            // The notice may come together with the end of the call, which would run for nothing.
            if call.entered >= call.until {
                slot.freed.notify_one();
                return Err(CallError::InstanceBusy(call.settings.deadline));
            }
        }
    }
}

impl SocketSlot {
    /// Marks the instance as being in a call, and returns its ticket, if there is one. `None` if a call runs.
    fn enter(&self) -> Option<Option<Ticket>> {
        let mut state = lock(&self.state);
        if state.busy {
            return None;
        }
        state.busy = true;
        Some(state.ticket.take())
    }

    /// Returns the reason for the end of the slot: a connection also drops those of handlers that were replaced.
    fn reason(&self) -> InstanceEnd {
        if self.pool.is_closed() {
            InstanceEnd::Reload
        } else {
            InstanceEnd::Disconnect
        }
    }

    /// Keeps the instance for the next call, unless the connection has ended. Returns what is to end.
    fn leave(&self, instance: Option<Instance>) -> Option<Unkept> {
        let mut state = lock(&self.state);
        state.busy = false;
        let instance = instance?;
        if state.ended {
            let end = self.reason();
            return Some(Unkept { instance, end });
        }
        match self.pool.put(instance) {
            Ok(ticket) => {
                state.ticket = Some(ticket);
                None
            }
            Err(unkept) => Some(unkept),
        }
    }
}

impl Home for SocketSlot {
    fn life(&self) -> Life {
        self.pool.life
    }

    fn enroll(&self) -> Counted {
        self.pool.enroll()
    }

    fn take_back(&self, instance: Option<Instance>) {
        let unkept = self.leave(instance);
        self.freed.notify_one();
        if let Some(unkept) = unkept {
            unkept.end();
        }
        self.pool.make_room();
    }
}

impl Attachment for SocketSlot {
    fn end(&self) {
        let ticket = {
            let mut state = lock(&self.state);
            state.ended = true;
            state.ticket.take()
        };
        if let Some(instance) = ticket.and_then(|ticket| self.pool.take(ticket)) {
            instance.end(self.reason());
        }
    }

    fn is_obsolete(&self) -> bool {
        self.pool.is_closed()
    }
}

impl Drop for SocketSlot {
    fn drop(&mut self) {
        self.end();
    }
}
