//! Extractors for queries and forms, written `name=value&…`.

use serde::de::DeserializeOwned;

use super::body::{media_type, unexpected_type};
use super::{FromConnection, FromEvent, FromRequest};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::mismatch;
use crate::request::Request;
use crate::urlencoded;

/// Extractor for the query as a struct or map. Routes and policies read the query of the request's URL, and listeners
/// and hooks that of the handshake.
///
/// A `Vec` takes a name that is given several times. An `Option` of a name that is given without a value (`page=`) is
/// `None`. A `%` that is not followed by two hexadecimal digits is refused with a 400. `Option<Query<T>>` is `None` when
/// there is no query.
///
/// ```
/// use hitchy_guest::Query;
///
/// #[derive(serde::Deserialize)]
/// struct Search { q: String, page: Option<u32>, #[serde(default)] tag: Vec<String> }
///
/// fn search(Query(search): Query<Search>) -> String {
///     format!("page {} of {}", search.page.unwrap_or(1), search.q)
/// }
/// # hitchy_guest::App::new().get("/search", search);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> Query<T> {
    fn parse(query: &str) -> Result<Self> {
        parse(query, "query").map(Query)
    }

    fn parse_if_any(query: &str) -> Result<Option<Self>> {
        if query.is_empty() {
            Ok(None)
        } else {
            Query::parse(query).map(Some)
        }
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    fn from_request(request: &Request) -> Result<Self> {
        Query::parse(&request.query().unwrap_or_default())
    }

    fn from_request_if_any(request: &Request) -> Result<Option<Self>> {
        Query::parse_if_any(&request.query().unwrap_or_default())
    }
}

impl<T: DeserializeOwned> FromEvent for Query<T> {
    fn from_event(event: &Event) -> Result<Self> {
        Query::parse(&event.socket().query())
    }

    fn from_event_if_any(event: &Event) -> Result<Option<Self>> {
        Query::parse_if_any(&event.socket().query())
    }
}

impl<T: DeserializeOwned> FromConnection for Query<T> {
    fn from_connection(connection: &Connection) -> Result<Self> {
        Query::parse(&connection.socket().query())
    }

    fn from_connection_if_any(connection: &Connection) -> Result<Option<Self>> {
        Query::parse_if_any(&connection.socket().query())
    }
}

/// Extractor for the body of a submitted form (`application/x-www-form-urlencoded`) as a struct or map.
///
/// A body with another content-type, or one that does not fit, is refused with a 400 that says why.
///
/// ```
/// use hitchy_guest::{Form, redirect, Redirect};
///
/// #[derive(serde::Deserialize)]
/// struct Login { user: String, password: String }
///
/// fn login(Form(login): Form<Login>) -> Redirect {
///     redirect(format!("/home/{}", login.user))
/// }
/// # hitchy_guest::App::new().post("/login", login);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Form<T> {
    fn from_request(request: &Request) -> Result<Self> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let media_type = media_type(request);
        if media_type.as_deref() != Some(FORM) {
            return Err(unexpected_type(FORM, media_type.as_deref()));
        }
        let Ok(body) = String::from_utf8(request.body()) else {
            return Err(Error::rejected("the form is not UTF-8 text"));
        };
        parse(&body, "form").map(Form)
    }

    fn from_request_if_any(request: &Request) -> Result<Option<Self>> {
        if media_type(request).is_none() && request.body().is_empty() {
            return Ok(None);
        }
        Form::from_request(request).map(Some)
    }
}

/// Reads urlencoded text. `what` names it in the sentence of the 400.
fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    urlencoded::from_str(text).map_err(|error| {
        Error::rejected(format!(
            "the {what} does not fit: {}",
            mismatch::describe("", &error.to_string())
        ))
    })
}
