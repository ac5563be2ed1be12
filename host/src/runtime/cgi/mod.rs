//! Commands that are served by CGI (RFC 3875): programs that read standard input and write standard output.
//!
//! `command` is where a command is called, `declare` what it answers, `variables` and `answer` are both sides of a
//! request, `event` both sides of an event, and `call` runs a command once.

pub(super) mod answer;
pub(super) mod call;
pub(super) mod captured;
pub(super) mod command;
pub(super) mod declare;
pub(super) mod event;
pub(super) mod variables;
