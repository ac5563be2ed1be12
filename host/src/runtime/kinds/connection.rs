//! Connection hooks: a namespace whose connections the guest's `connections` interface accepts and follows.

use std::sync::Arc;

use super::kind::{CallKind, Kind, Row, Words, impl_export};
use super::namespace;
use crate::runtime::bindings::exports::hitchy::platform::connections as exported;
use crate::runtime::call::{CallContext, Outcome};
use crate::runtime::error::LoadError;
use crate::runtime::guest::Guest;
use crate::runtime::instance::handles::SocketHandle;
use crate::runtime::instance::lease::Owner;
use crate::runtime::instance::state::Phase;
use crate::sockets::Connection;

/// The call for a client that wants to connect.
pub const CONNECT: CallKind = CallKind { name: "connect" };
/// The call for a client that has connected.
pub const CONNECTED: CallKind = CallKind { name: "connected" };
/// The call for a client that has disconnected.
pub const DISCONNECT: CallKind = CallKind { name: "disconnect" };

/// A namespace whose connections the handler accepts or refuses, and follows.
#[derive(Clone, Debug)]
pub struct ConnectionHook {
    /// The namespace: `/` or `/name`. `/hitchy` is allowed, because its hooks give socket requests their context.
    pub namespace: String,
}

impl Kind for ConnectionHook {
    /// The namespace as the guest declared it.
    type Raw = String;
    impl_export!(exported);

    const WORDS: Words = Words {
        key: "hooks",
        title: "connection hooks",
        one: "a connection hook",
        interface: "connections",
    };
    const CALLS: &'static [CallKind] = &[CONNECT, CONNECTED, DISCONNECT];

    fn check(namespace: String) -> Result<Self, LoadError> {
        namespace::check(&namespace)?;
        Ok(Self { namespace })
    }

    fn warning(namespace: &Self::Raw) -> Option<String> {
        namespace::warning(namespace)
    }

    fn row(&self) -> Row<'_> {
        Row {
            line: format!("connections of {}", self.namespace),
            cells: vec![("namespace", self.namespace.as_str())],
            sort_key: [&self.namespace, ""],
        }
    }
}

impl Guest {
    /// Calls `on-connect` of a hook, by its index. A failure refuses the client.
    pub async fn on_connect(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
    ) -> Outcome<()> {
        let call = self.call(context, Phase::Connecting, Arc::clone(&self.settings));
        let owner = Arc::clone(&connection);
        let answer = self
            .run(call, Owner::Socket(&owner), async |store, linked| {
                let guest = self.load::<ConnectionHook>(store, linked)?;
                let socket = store
                    .data_mut()
                    .handles_mut()?
                    .push(SocketHandle(connection))?;
                guest.call_on_connect(&mut *store, hook, socket).await
            })
            .await?;
        self.outcome(answer, |(), _| Ok(()))
    }

    /// Calls `on-connected` of a hook, by its index.
    pub async fn on_connected(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
    ) -> Outcome<()> {
        let owner = Arc::clone(&connection);
        let ended = self
            .serve(context, Owner::Socket(&owner), async |store, linked| {
                let guest = self.load::<ConnectionHook>(store, linked)?;
                let socket = store
                    .data_mut()
                    .handles_mut()?
                    .push(SocketHandle(connection))?;
                guest.call_on_connected(&mut *store, hook, socket).await
            })
            .await?;
        self.outcome(ended, |(), _| Ok(()))
    }

    /// Calls `on-disconnect` of a hook, by its index. `reason` is that of socket.io, for example `transport close`.
    pub async fn on_disconnect(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
        reason: &'static str,
    ) -> Outcome<()> {
        let owner = Arc::clone(&connection);
        let ended = self
            .serve(context, Owner::Socket(&owner), async |store, linked| {
                let guest = self.load::<ConnectionHook>(store, linked)?;
                let socket = store
                    .data_mut()
                    .handles_mut()?
                    .push(SocketHandle(connection))?;
                guest
                    .call_on_disconnect(&mut *store, hook, socket, reason)
                    .await
            })
            .await?;
        self.outcome(ended, |(), _| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a4_hooks_in_hitchy_are_allowed() {
        ConnectionHook::check("/hitchy".to_owned()).expect("hooks give requests their context");
        assert!(ConnectionHook::check("/hitchy/x".to_owned()).is_err());
    }
}
