//! Who takes what other nodes say, and answers what they ask.

use futures_util::future::BoxFuture;

use super::emit::Emit;
use super::question::{Change, Question};
use crate::payload::{Failure, Payload};

/// Who takes what other nodes say to the clients of this node.
pub trait Receiver: Send + Sync {
    /// Returns true if this node has the namespace.
    fn has(&self, namespace: &str) -> bool;

    /// Sends an event of another node to the clients of this node. Fails if no handler could have sent it.
    fn receive(&self, emit: Emit) -> BoxFuture<'_, Result<(), Failure>>;

    /// Changes something at the clients of this node. Fails if no handler could have done it.
    fn change(&self, change: Change) -> BoxFuture<'_, Result<(), Failure>>;

    /// Answers a question about the clients of this node.
    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>>;
}

/// The answers of clients, by their ids.
pub type ClientAnswers = Vec<(String, Result<Payload, Failure>)>;

/// The answer to a question.
pub enum Answer {
    /// The sockets that are meant.
    Ids(Vec<String>),
    /// They may join.
    Yes,
    /// The clients were asked, and their answers come later.
    Asked(BoxFuture<'static, ClientAnswers>),
}
