//! What goes to the clients of other nodes, and what other nodes send to the clients of this node.
//!
//! An event of another node takes the way of one of this node: with the same checks, the same bounds, and the same wait
//! for clients that read slowly.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::audience::{Audience, check_event_length};
use super::broadcaster::Broadcaster;
use super::socket::check_event;
use crate::cluster::{Emit, EmitRef, Receiver};
use crate::payload::{Failure, Payload};

/// Returns an event as it is sent to other nodes.
pub(super) fn event<'a>(
    audience: &'a Audience,
    event: &'a str,
    payload: &'a Payload,
) -> EmitRef<'a> {
    EmitRef {
        namespace: &audience.namespace,
        rooms: &audience.rooms,
        excluding: &audience.excluding,
        droppable: audience.droppable,
        event,
        json: &payload.json,
        attachments: &payload.attachments,
    }
}

/// The way of other nodes to the clients of this node.
pub(super) struct FromOthers(pub(super) Arc<dyn Broadcaster>);

impl Receiver for FromOthers {
    fn has(&self, namespace: &str) -> bool {
        self.0.has(namespace)
    }

    fn receive(&self, emit: Emit) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let emitted = self.emit(emit).await;
            emitted.map_err(|failure| failure.message)
        })
    }
}

impl FromOthers {
    async fn emit(&self, emit: Emit) -> Result<(), Failure> {
        let audience = Audience {
            namespace: emit.namespace,
            rooms: emit.rooms,
            excluding: emit.excluding,
            this_node_only: true,
            droppable: emit.droppable,
        };
        audience.check()?;
        check_event(&emit.event)?;
        check_event_length(&emit.event)?;
        let attachments = emit.attachments.into_iter().map(|attachment| attachment.0);
        let payload = Payload {
            json: emit.json,
            attachments: attachments.collect(),
        };
        self.0.emit(audience, &emit.event, &payload).await
    }
}
