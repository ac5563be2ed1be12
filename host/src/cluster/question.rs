//! What a node changes at the clients of all nodes, what it asks the other nodes, and what they answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::emit::{Attachment, Emit};
use crate::payload::{Failure, Payload};

/// The sockets of a namespace that are in one of some rooms and in none of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The namespace.
    pub namespace: String,
    /// The rooms whose sockets are meant; all if there is none.
    pub rooms: Vec<String>,
    /// The rooms whose sockets are left out.
    pub excluding: Vec<String>,
}

/// A change at clients of all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// They join rooms.
    Join {
        /// The clients.
        of: Selection,
        /// The rooms.
        rooms: Vec<String>,
    },
    /// They leave rooms.
    Leave {
        /// The clients.
        of: Selection,
        /// The rooms.
        rooms: Vec<String>,
    },
    /// They are disconnected.
    Disconnect {
        /// The clients.
        of: Selection,
        /// True if they are disconnected from all namespaces.
        close: bool,
    },
}

impl Change {
    /// Returns the namespace of the clients.
    pub(super) fn namespace(&self) -> &str {
        let (Self::Join { of, .. } | Self::Leave { of, .. } | Self::Disconnect { of, .. }) = self;
        &of.namespace
    }
}

/// A question to the other nodes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Which sockets are meant?
    Ids(Selection),
    /// May all of these sockets join the rooms?
    MayJoin {
        /// The sockets.
        of: Selection,
        /// The rooms.
        rooms: Vec<String>,
    },
    /// What do the clients answer to an event?
    Acks {
        /// The event.
        emit: Emit,
        /// How long the clients may take, in milliseconds.
        timeout_ms: u64,
    },
}

impl Question {
    /// Returns the namespace of the sockets.
    pub(super) fn namespace(&self) -> &str {
        match self {
            Self::Ids(of) | Self::MayJoin { of, .. } => &of.namespace,
            Self::Acks { emit, .. } => &emit.namespace,
        }
    }

    /// Returns how long clients may take before a node can answer.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Ids(_) | Self::MayJoin { .. } => Duration::ZERO,
            Self::Acks { timeout_ms, .. } => Duration::from_millis(*timeout_ms),
        }
    }
}

/// A part of a node's answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reply {
    /// The number of the question.
    pub(super) question: u64,
    /// The number of the part, from 0 on, so that a missing one is noticed.
    pub(super) number: u32,
    pub(super) part: Part,
}

/// What a part of an answer says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    /// The clients were asked, and answer later.
    Begun,
    Ids(Vec<String>),
    Acks(Vec<Ack>),
    /// That was all.
    Done,
    /// The question has no other answer.
    Failed(Refusal),
}

/// The answer of one client.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ack {
    pub(super) id: String,
    pub(super) answer: Result<Arguments, Refusal>,
}

/// The arguments of an ack.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Arguments {
    json: String,
    attachments: Vec<Attachment>,
}

/// A failure without data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    code: u16,
    message: String,
}

impl Ack {
    /// Returns the bytes of its text and attachments.
    pub(super) fn size(&self) -> usize {
        let bytes = match &self.answer {
            Ok(arguments) => {
                let attachments = arguments.attachments.iter();
                arguments.json.len() + attachments.map(|it| it.0.len()).sum::<usize>()
            }
            Err(refusal) => refusal.message.len(),
        };
        self.id.len() + bytes
    }
}

impl From<Payload> for Arguments {
    fn from(payload: Payload) -> Self {
        let attachments = payload.attachments.into_iter().map(Attachment);
        Self {
            json: payload.json,
            attachments: attachments.collect(),
        }
    }
}

impl From<Arguments> for Payload {
    fn from(arguments: Arguments) -> Self {
        let attachments = arguments.attachments.into_iter().map(|it| it.0);
        Self {
            json: arguments.json,
            attachments: attachments.collect(),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        // Another node is believed, and yet the code has to be one that clients can be told.
        Self::new(refusal.code.clamp(400, 599), refusal.message)
    }
}
