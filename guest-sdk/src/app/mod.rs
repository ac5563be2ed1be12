//! The declarations of a handler: routes, policies, listeners and connection hooks.
//!
//! The app of a call is built anew each time, so an entry is a static path and a function without a size: no string, no
//! map, no search. A box of something without a size is no allocation. The host calls by index.

mod entries;
mod namespace;

pub(crate) use self::entries::{Action, Hook, Listener, Policy, Route, Stage};
pub use self::namespace::Namespace;

use crate::answer::{IntoAck, IntoOutcome, IntoResponse, IntoVerdict};
use crate::extract::{FromConnection, FromEvent, FromRequest};
use crate::function::Function;

/// A handler: what it answers and with which functions. Give the function that makes it to [`export!`](crate::export).
///
/// Functions take what they need through their arguments ([`FromRequest`], [`FromEvent`], [`FromConnection`]) and return what is
/// answered ([`IntoResponse`], [`IntoAck`]). They are functions, or closures that capture nothing: every call runs in a fresh instance.
///
/// ```
/// use hitchy_guest::{App, Data, Path, Socket};
///
/// fn app() -> App {
///     App::new()
///         .get("/api/hello/{name}", |Path(name): Path<String>| format!("hello {name}"))
///         .on("chat:send", |socket: Socket, Data(text): Data<String>| socket.broadcast().emit("chat:message", &text))
///         .namespace("/admin", |admin| admin.on("ping", || "pong"))
/// }
/// # app();
/// ```
///
/// What cannot work does not compile:
///
/// ```compile_fail
/// let greeting = String::from("hello");
/// hitchy_guest::App::new().get("/", move || greeting.clone()); // captures
/// ```
#[derive(Default)]
#[must_use = "an app is returned to `export!`"]
pub struct App {
    pub(crate) routes: Vec<Route>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) hooks: Vec<Hook>,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident $method:literal)*) => {
        $($(#[$doc])*
        pub fn $name<F, A>(self, path: &'static str, function: F) -> Self
        where
            F: Function<A> + 'static,
            A: FromRequest + 'static,
            F::Output: IntoResponse,
        {
            self.route($method, path, function)
        })*
    };
}

impl App {
    /// Nothing yet.
    pub fn new() -> Self {
        App::default()
    }

    /// Answers requests with this method (upper case; empty means every method that no other route of this path names)
    /// and path.
    ///
    /// A path begins with `/`; a segment `{name}` is a parameter, a last segment `{*rest}` takes the rest of the path.
    /// A static segment goes before a parameter, a parameter before a rest.
    pub fn route<F, A>(mut self, method: &'static str, path: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoResponse,
    {
        self.routes.push(Route::new(method, path, function));
        self
    }

    methods! {
        /// Answers GET requests for this path, and HEAD unless another route does. See [`route`](App::route).
        get "GET"
        /// Answers POST requests for this path. See [`route`](App::route).
        post "POST"
        /// Answers PUT requests for this path. See [`route`](App::route).
        put "PUT"
        /// Answers PATCH requests for this path. See [`route`](App::route).
        patch "PATCH"
        /// Answers DELETE requests for this path. See [`route`](App::route).
        delete "DELETE"
        /// Answers HEAD requests for this path; the body is not sent. See [`route`](App::route).
        head "HEAD"
        /// Answers OPTIONS requests for this path. See [`route`](App::route).
        options "OPTIONS"
        /// Answers requests for this path with any method that no other route of it names. See [`route`](App::route).
        any ""
    }

    /// Asked before a request below this prefix is answered, whoever answers it: it may let it pass, answer it or fail it.
    ///
    /// `/api` matches `/api` and `/api/x`, not `/apix`. Policies run in the order of their files' names, then of their declaration; the
    /// first that answers or fails ends the chain. They run for requests only: events and connections have hooks.
    ///
    /// ```
    /// use hitchy_guest::{App, Context, Failure, Result};
    ///
    /// fn only_users(context: Context) -> Result<()> {
    ///     match context.get_raw("user") {
    ///         Some(_) => Ok(()),
    ///         None => Err(Failure::new(401, "log in first").into()),
    ///     }
    /// }
    ///
    /// fn app() -> App {
    ///     App::new().before("/api", only_users)
    /// }
    /// # app();
    /// ```
    pub fn before<F, A>(self, prefix: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoVerdict,
    {
        self.before_method("", prefix, function)
    }

    /// [`before`](App::before) for one method only, in upper case.
    pub fn before_method<F, A>(
        mut self,
        method: &'static str,
        prefix: &'static str,
        function: F,
    ) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoVerdict,
    {
        self.policies.push(Policy::before(method, prefix, function));
        self
    }

    /// Told when a request below this prefix has been answered, whoever answered it; [`Status`](crate::Status) is known
    /// by then.
    pub fn after<F, A>(self, prefix: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoOutcome,
    {
        self.after_method("", prefix, function)
    }

    /// [`after`](App::after) for one method only, in upper case.
    pub fn after_method<F, A>(
        mut self,
        method: &'static str,
        prefix: &'static str,
        function: F,
    ) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoOutcome,
    {
        self.policies.push(Policy::after(method, prefix, function));
        self
    }

    /// Listens to an event in namespace `/`. `*` means every event that this handler has no named listener for.
    ///
    /// What is returned answers the client's callback: see [`IntoAck`]. Events of one client are handled one after the other, in the
    /// order in which it sent them.
    ///
    /// ```
    /// use hitchy_guest::{App, Bytes, Data, Failure, Result, Socket, to};
    ///
    /// fn app() -> App {
    ///     App::new()
    ///         .on("add", |Data((a, b)): Data<(i64, i64)>| a + b) // emit("add", 1, 2, sum => …)
    ///         .on("upload", upload)
    ///         .on("enter", |socket: Socket, Data(room): Data<String>| socket.join(&room))
    ///         .on("say", |socket: Socket, Data((room, text)): Data<(String, String)>| {
    ///             to(&room).except(socket.id()).emit("said", &text)
    ///         })
    /// }
    ///
    /// // emit("upload", "me.png", new Uint8Array(…), (size, error) => …)
    /// fn upload(Data((name, bytes)): Data<(String, Bytes)>) -> Result<usize> {
    ///     if !name.ends_with(".png") {
    ///         return Err(Failure::new(415, "only pictures").into()); // the ack is { error: { code, message, id } }
    ///     }
    ///     Ok(bytes.len())
    /// }
    /// # app();
    /// ```
    pub fn on<F, A>(self, event: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromEvent + 'static,
        F::Output: IntoAck,
    {
        self.listener("/", event, function)
    }

    /// Declares another namespace, and what happens in it. `/hitchy` is reserved: it may have connection hooks, no listeners.
    ///
    /// ```
    /// use hitchy_guest::{App, Data, Socket};
    ///
    /// fn app() -> App {
    ///     App::new().namespace("/chat", |chat| {
    ///         chat.on_connected(|socket: Socket| socket.emit("welcome", &()))
    ///             .on("send", |socket: Socket, Data(text): Data<String>| socket.broadcast().emit("message", &text))
    ///     })
    /// }
    /// # app();
    /// ```
    pub fn namespace(
        self,
        name: &'static str,
        declare: impl FnOnce(Namespace) -> Namespace,
    ) -> Self {
        declare(Namespace::new(self, name)).into_app()
    }

    /// Asked when a client connects to a namespace. An error refuses it: its message is what the client reads in `connect_error`.
    ///
    /// It guards this namespace only: requests over HTTP go past it, and so do those over a socket, which come through `/hitchy`.
    /// Guard them with a hook on `/hitchy` or with [`before`](App::before).
    ///
    /// Context that is set here is the connection's. Nothing can be emitted to the client yet: see
    /// [`on_connected`](App::on_connected).
    ///
    /// ```
    /// use hitchy_guest::{App, Auth, Failure, Result, Socket};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Login { token: String }
    ///
    /// // io("/hitchy", { auth: { token: "…" } }): who connects there is known to each of its requests.
    /// fn app() -> App {
    ///     App::new().on_connect("/", login).on_connect("/hitchy", login)
    /// }
    ///
    /// fn login(socket: Socket, Auth(login): Auth<Login>) -> Result<()> {
    ///     let user = user_of(&login.token).ok_or(Failure::new(401, "who are you?"))?;
    ///     socket.set("user", user)
    /// }
    ///
    /// fn user_of(token: &str) -> Option<&'static str> {
    ///     (token == "…").then_some("ann")
    /// }
    /// # app();
    /// ```
    pub fn on_connect<F, A>(mut self, namespace: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromConnection + 'static,
        F::Output: IntoOutcome,
    {
        let action = entries::action(function);
        self.hook(namespace, |hook| hook.connect.is_none()).connect = Some(action);
        self
    }

    /// Told when a client is connected to a namespace, before its first event: the place for a greeting.
    ///
    /// ```
    /// use hitchy_guest::{App, Result, Socket};
    ///
    /// fn app() -> App {
    ///     App::new().on_connected("/", |socket: Socket| -> Result<()> {
    ///         socket.join("lobby")?;
    ///         socket.emit("welcome", &socket.id())?;
    ///         Ok(socket.to("lobby").emit("came", &())?)
    ///     })
    /// }
    /// # app();
    /// ```
    pub fn on_connected<F, A>(mut self, namespace: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromConnection + 'static,
        F::Output: IntoOutcome,
    {
        let action = entries::action(function);
        self.hook(namespace, |hook| hook.connected.is_none())
            .connected = Some(action);
        self
    }

    /// Told when a client is gone from a namespace, after its last event: [`Reason`](crate::Reason) says why. Its rooms and its context
    /// can still be read.
    ///
    /// ```
    /// use hitchy_guest::{App, Reason, Socket};
    ///
    /// fn app() -> App {
    ///     App::new().on_disconnect("/", |socket: Socket, Reason(why): Reason| {
    ///         socket.to(socket.rooms()).emit("left", &(socket.get::<String>("user").ok().flatten(), why))
    ///     })
    /// }
    /// # app();
    /// ```
    pub fn on_disconnect<F, A>(mut self, namespace: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromConnection + 'static,
        F::Output: IntoOutcome,
    {
        let action = entries::action(function);
        self.hook(namespace, |hook| hook.disconnect.is_none())
            .disconnect = Some(action);
        self
    }

    fn listener<F, A>(mut self, namespace: &'static str, event: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromEvent + 'static,
        F::Output: IntoAck,
    {
        self.listeners
            .push(Listener::new(namespace, event, function));
        self
    }

    /// The hook of a namespace that has room: the functions of a namespace share one, so that a client that comes costs
    /// one call.
    fn hook(&mut self, namespace: &'static str, has_room: impl Fn(&Hook) -> bool) -> &mut Hook {
        let fits = |hook: &Hook| hook.namespace == namespace && has_room(hook);
        let index = self.hooks.iter().position(fits).unwrap_or_else(|| {
            self.hooks.push(Hook::new(namespace));
            self.hooks.len() - 1
        });
        &mut self.hooks[index]
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("routes", &self.routes.len())
            .field("policies", &self.policies.len())
            .field("listeners", &self.listeners.len())
            .field("hooks", &self.hooks.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_no_size_so_that_boxing_it_allocates_nothing() {
        let app = App::new()
            .get("/", |_: crate::Request| "hello")
            .on("x", |_: crate::Socket| "x")
            .on_connect("/", || ());
        assert_eq!(size_of_val(&*app.routes[0].answer), 0);
        assert_eq!(size_of_val(&*app.listeners[0].answer), 0);
        assert_eq!(app.hooks[0].connect.as_deref().map(size_of_val), Some(0));
    }

    #[test]
    fn the_functions_of_a_namespace_share_a_hook() {
        let app = App::new()
            .on_connect("/", || ())
            .namespace("/a", |a| a.on_connect(|| ()).on_disconnect(|| ()))
            .on_disconnect("/", || ())
            .on_connect("/", || ());
        let namespaces: Vec<_> = app.hooks.iter().map(|hook| hook.namespace).collect();
        assert_eq!(namespaces, ["/", "/a", "/"]);
        assert!(app.hooks[0].disconnect.is_some());
        assert!(app.hooks[0].connected.is_none());
    }
}
