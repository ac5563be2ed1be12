//! The reasons for which the server ends a connection or a session.

/// The reason for which the server ended a connection, or the session of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client took nothing of what was written to it.
    WriteStall,
    /// The client's system acknowledged nothing of what was sent to it.
    Unacknowledged,
    /// Too much waits for the client.
    SendBuffer,
    /// Too much waits for all clients together, and much of it for this one.
    OutboundMemory,
    /// The client went on sending far too much.
    Flood,
    /// The client sent a packet or a body that is far too large.
    TooLarge,
    /// The client sent something that cannot be understood.
    Malformed,
    /// The client sent a message that is too large for its websocket, or that websockets do not have.
    BadMessage,
    /// The client polled twice at the same time.
    DoublePoll,
    /// The client gave up a poll before the poll was answered.
    PollAborted,
    /// The client does not speak socket.io's protocol, or uses another parser.
    Foreign,
    /// The client answered no ping.
    PingTimeout,
    /// The client joined no namespace in time.
    ConnectTimeout,
    /// The client did not complete the head of a request in time.
    HeadTimeout,
    /// The client did not send the body of a request in time.
    BodyTimeout,
    /// The connection was idle between two requests for too long.
    IdleTimeout,
    /// Too many connections were open.
    TooManyConnections,
    /// A request was refused before its body was read.
    Refused,
    /// A handler disconnected the client.
    Closed,
    /// The server shuts down.
    Shutdown,
}

/// How much an operator has to know of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The client did something that it should not do, or the server has too little of something.
    Misuse,
    /// Something that networks do.
    Network,
    /// Nothing is wrong.
    Ordinary,
}

impl Ending {
    /// All reasons, in the order of the enum.
    pub const ALL: [Self; 20] = [
        Self::WriteStall,
        Self::Unacknowledged,
        Self::SendBuffer,
        Self::OutboundMemory,
        Self::Flood,
        Self::TooLarge,
        Self::Malformed,
        Self::BadMessage,
        Self::DoublePoll,
        Self::PollAborted,
        Self::Foreign,
        Self::PingTimeout,
        Self::ConnectTimeout,
        Self::HeadTimeout,
        Self::BodyTimeout,
        Self::IdleTimeout,
        Self::TooManyConnections,
        Self::Refused,
        Self::Closed,
        Self::Shutdown,
    ];

    /// Returns the name of the reason in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::WriteStall => "write_stall",
            Self::Unacknowledged => "unacknowledged",
            Self::SendBuffer => "send_buffer",
            Self::OutboundMemory => "outbound_memory",
            Self::Flood => "flood",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::BadMessage => "bad_message",
            Self::DoublePoll => "double_poll",
            Self::PollAborted => "poll_aborted",
            Self::Foreign => "foreign",
            Self::PingTimeout => "ping_timeout",
            Self::ConnectTimeout => "connect_timeout",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::TooManyConnections => "too_many_connections",
            Self::Refused => "refused",
            Self::Closed => "closed_by_handler",
            Self::Shutdown => "shutdown",
        }
    }

    /// Returns the reason in socket.io's words, as disconnect hooks get it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge | Self::Malformed | Self::Foreign => "parse error",
            Self::Flood | Self::Closed => "forced server close",
            Self::PingTimeout => "ping timeout",
            Self::Shutdown => "server shutting down",
            _ => "transport error",
        }
    }

    /// Returns the cause as the log has it, the end of a sentence.
    pub fn cause(self) -> &'static str {
        match self {
            Self::WriteStall => "it took nothing within server.write-stall",
            Self::Unacknowledged => {
                "its system acknowledged nothing within server.write-stall and a second"
            }
            Self::SendBuffer => "too much waits for it (socket.send-buffer, socket.send-bytes)",
            Self::OutboundMemory => {
                "what waits for all clients has used up server.outbound-memory, and much of it waits for this one"
            }
            Self::Flood => "it went on sending more than ten times what it may",
            Self::TooLarge => {
                "it sent a packet or a body that is far too large (server.body-limit)"
            }
            Self::Malformed => "it sent something that cannot be understood",
            Self::BadMessage => {
                "it sent a message of more than four times server.body-limit, or none that a websocket can carry (RFC 6455)"
            }
            Self::DoublePoll => "it polled twice at the same time",
            Self::PollAborted => "it gave up a poll before the poll was answered",
            Self::Foreign => {
                "it uses another parser than socket.io's own, or is no client of socket.io"
            }
            Self::PingTimeout => "it answered no ping within socket.ping-timeout",
            Self::ConnectTimeout => "it joined no namespace within socket.connect-timeout",
            Self::HeadTimeout => "it sent no complete head within server.header-timeout",
            Self::BodyTimeout => {
                "it did not send the body of a request in time (server.body-timeout, server.body-idle)"
            }
            Self::IdleTimeout => "it sent no request within server.keep-alive",
            Self::TooManyConnections => "too many connections are open (server.max-connections)",
            Self::Refused => "a request was refused before its body was read",
            Self::Closed => "a handler disconnected it",
            Self::Shutdown => "the server shuts down",
        }
    }

    /// Returns how much an operator has to know of the end.
    pub fn weight(self) -> Weight {
        match self {
            // A client that is out of reach looks like one that does not read.
            Self::Unacknowledged
            | Self::PollAborted
            | Self::PingTimeout
            | Self::ConnectTimeout
            | Self::HeadTimeout
            | Self::BodyTimeout => Weight::Network,
            Self::IdleTimeout | Self::Refused | Self::Closed | Self::Shutdown => Weight::Ordinary,
            _ => Weight::Misuse,
        }
    }

    /// Returns true if the client does not take what it is sent.
    pub fn is_slow_reader(self) -> bool {
        matches!(
            self,
            Self::WriteStall | Self::Unacknowledged | Self::SendBuffer | Self::OutboundMemory
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_28_the_list_of_reasons_is_complete_and_in_order() {
        for (place, ending) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, place, "{ending:?}");
        }
        assert_eq!(Ending::Shutdown as usize + 1, Ending::ALL.len());
    }
}
