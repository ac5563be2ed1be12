//! What goes to the clients of other nodes, and what other nodes send to the clients of this node or ask about them.
//!
//! What comes from another node takes the way of what a handler of this node does: with the same checks, the same bounds,
//! and the same wait for clients that read slowly.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::audience::{Audience, check_event_length};
use super::broadcaster::Broadcaster;
use super::socket::check_event;
use crate::cluster::{Answer, Attachment, Change, Emit, EmitRef, Question, Receiver, Selection};
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

/// Returns an event that clients of other nodes have to answer.
pub(super) fn asking_event(audience: &Audience, event: &str, payload: &Payload) -> Emit {
    let attachments = payload.attachments.iter().cloned().map(Attachment);
    Emit {
        namespace: audience.namespace.clone(),
        rooms: audience.rooms.clone(),
        excluding: audience.excluding.clone(),
        droppable: audience.droppable,
        event: event.to_owned(),
        json: payload.json.clone(),
        attachments: attachments.collect(),
    }
}

/// Returns the sockets of an audience, as other nodes are told of them.
pub(super) fn selection(audience: &Audience) -> Selection {
    Selection {
        namespace: audience.namespace.clone(),
        rooms: audience.rooms.clone(),
        excluding: audience.excluding.clone(),
    }
}

/// The way of other nodes to the clients of this node.
pub(super) struct FromOthers(pub(super) Arc<dyn Broadcaster>);

impl Receiver for FromOthers {
    fn has(&self, namespace: &str) -> bool {
        self.0.has(namespace)
    }

    fn receive(&self, emit: Emit) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let (audience, event, payload) = checked(emit)?;
            self.0.emit(audience, &event, &payload).await
        })
    }

    fn change(&self, change: Change) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            match change {
                Change::Join { of, rooms } => self.0.join(here(of)?, rooms).await,
                Change::Leave { of, rooms } => self.0.leave(here(of)?, rooms).await,
                Change::Disconnect { of, close } => self.0.disconnect(here(of)?, close).await,
            }
        })
    }

    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async move {
            match question {
                Question::Ids(of) => self.0.ids(here(of)?).await.map(Answer::Ids),
                Question::MayJoin { of, rooms } => {
                    self.0.check_join(here(of)?, &rooms)?;
                    Ok(Answer::Yes)
                }
                Question::Acks { emit, timeout_ms } => {
                    let (audience, event, payload) = checked(emit)?;
                    let timeout = Duration::from_millis(timeout_ms).min(MAX_ACK_TIME);
                    let asked = self.0.emit_with_ack(audience, &event, &payload, timeout);
                    Ok(Answer::Asked(asked.await?))
                }
            }
        })
    }
}

/// The longest time that clients have for an answer to a handler of another node. A call lasts no longer.
const MAX_ACK_TIME: Duration = Duration::from_secs(60);

/// Returns the sockets of this node that another node means. Fails if it names too many.
fn here(of: Selection) -> Result<Audience, Failure> {
    let audience = Audience {
        namespace: of.namespace,
        rooms: of.rooms,
        excluding: of.excluding,
        this_node_only: true,
        droppable: false,
    };
    audience.check()?;
    Ok(audience)
}

/// Checks an event of another node as one of a handler, except for its payload, which is checked when it is sent.
fn checked(emit: Emit) -> Result<(Audience, String, Payload), Failure> {
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
    Ok((audience, emit.event, payload))
}
