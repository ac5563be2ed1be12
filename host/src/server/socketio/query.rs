//! Requests of engine.io: their query, and the errors that answer them.

use axum::http::request::Parts;

pub(super) use crate::config::Transport;

/// The version of the engine.io protocol that is served, as clients name it.
const PROTOCOL: &str = "4";

/// The query of an engine.io request, parsed as the library (engineioxide 0.17) parses it.
pub(super) struct EngineQuery<'a> {
    /// The key of a session; none in a request that opens one.
    pub(super) session: Option<&'a str>,
    /// The transport; none if it is missing or unknown.
    pub(super) transport: Option<Transport>,
    /// The version of the protocol as it was written.
    pub(super) protocol: Option<&'a str>,
}

impl<'a> EngineQuery<'a> {
    /// Parses the query of a request.
    pub(super) fn of(parts: &'a Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name));
        let transport = value("transport=").and_then(|value| value.split('=').next());
        Self {
            session: value("sid="),
            transport: match transport {
                Some("polling") => Some(Transport::Polling),
                Some("websocket") => Some(Transport::Websocket),
                _ => None,
            },
            protocol: value("EIO=").and_then(|value| value.split('=').next()),
        }
    }

    /// Makes the query of a request of the session that has this id in the library.
    pub(super) fn of_session(id: &'a str, transport: Transport) -> Self {
        Self {
            session: Some(id),
            transport: Some(transport),
            protocol: Some(PROTOCOL),
        }
    }

    /// Returns true if the protocol is the one that is served.
    pub(super) fn is_supported(&self) -> bool {
        self.protocol == Some(PROTOCOL)
    }

    /// Returns the target of a request with this query below the endpoint `path`.
    pub(super) fn uri(&self, path: &str) -> String {
        let protocol = self.protocol.unwrap_or_default();
        let transport = match self.transport {
            Some(Transport::Websocket) => "websocket",
            _ => "polling",
        };
        let session = self.session.map(|id| format!("&sid={id}"));
        let session = session.unwrap_or_default();
        format!("{path}/?EIO={protocol}&transport={transport}{session}")
    }
}

/// A reason to refuse a request, with the number that engine.io has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EngineError {
    UnknownTransport = 0,
    UnknownSession = 1,
    BadMethod = 2,
    BadRequest = 3,
    UnsupportedProtocol = 5,
}

impl EngineError {
    /// Returns the error in an answer of the library, which writes the number as a string (engineioxide 0.17).
    pub(super) fn of_library(body: &[u8]) -> Option<Self> {
        let number = body.strip_prefix(br#"{"code":""#)?.first()?;
        [
            Self::UnknownTransport,
            Self::UnknownSession,
            Self::BadMethod,
            Self::BadRequest,
            Self::UnsupportedProtocol,
        ]
        .into_iter()
        .find(|error| b'0' + *error as u8 == *number)
    }

    /// Returns the body of the answer, as engine.io has it.
    pub(super) fn body(self) -> String {
        let message = match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSession => "Session ID unknown",
            Self::BadMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::UnsupportedProtocol => "Unsupported protocol version",
        };
        format!(r#"{{"code":{},"message":"{message}"}}"#, self as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_the_library_reads_it() {
        let websocket = Some(Transport::Websocket);
        for (query, session, transport, is_supported) in [
            ("EIO=4&transport=websocket", None, websocket, true),
            (
                "EIO=4&transport=websocket=x&sid=a=b",
                Some("a=b"),
                websocket,
                true,
            ),
            (
                "transport=polling&transport=websocket&sid=",
                Some(""),
                Some(Transport::Polling),
                false,
            ),
            ("EIO=3&transport=%77ebsocket&xsid=a", None, None, false),
        ] {
            let uri = format!("/socket.io/?{query}");
            let (parts, ()) = axum::http::Request::get(uri).body(()).unwrap().into_parts();
            let query_of = EngineQuery::of(&parts);
            assert_eq!(
                (
                    query_of.session,
                    query_of.transport,
                    query_of.is_supported()
                ),
                (session, transport, is_supported),
                "{query}"
            );
        }
    }

    #[test]
    fn i11_11_the_numbers_of_errors_are_numbers() {
        let error = EngineError::of_library(br#"{"code":"5","message":"Unsupported"}"#);
        let body = error.unwrap().body();
        assert_eq!(
            body,
            r#"{"code":5,"message":"Unsupported protocol version"}"#
        );
        assert_eq!(EngineError::of_library(b"{\"code\":\"4\"}"), None);
        assert_eq!(EngineError::of_library(b""), None);
    }
}
