//! The declarations of a handler: routes, policies, listeners, connection hooks and schedules.
//!
//! Every instance builds the app in its first call, and by default it has no other. An entry is therefore a static path
//! and a function of size zero, and boxing such a function does not allocate. The host calls entries by index, so that
//! no call compares strings or searches a map.

mod entries;
mod namespace;
mod schedules;

#[cfg(not(target_family = "wasm"))]
pub(crate) use self::entries::Schedule;
pub(crate) use self::entries::{Action, Entries, Hook, Listener, Policy, Route, Stage};
pub use self::namespace::Namespace;

use crate::answer::{IntoAck, IntoOutcome, IntoResponse, IntoVerdict};
use crate::extract::{FromConnection, FromEvent, FromRequest};
use crate::function::Function;

/// A handler: its routes, policies, listeners, connection hooks and schedules. Pass the function that builds it to
/// [`export!`](crate::export).
///
/// Functions take their input as arguments ([`FromRequest`], [`FromEvent`], [`FromConnection`],
/// [`FromSchedule`](crate::FromSchedule)) and return their answer ([`IntoResponse`], [`IntoAck`]). They are functions,
/// or closures that capture nothing, because every instance builds the app anew: what was captured would not outlive
/// it. See [`instance`](crate::instance) for values that several calls use.
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
/// A closure that captures a value does not compile:
///
/// ```compile_fail
/// let greeting = String::from("hello");
/// hitchy_guest::App::new().get("/", move || greeting.clone()); // captures
/// ```
#[derive(Default)]
#[must_use = "an app is returned to `export!`"]
pub struct App {
    // A box, because each method takes the app and returns it: one word is moved then instead of all the lists.
    pub(crate) entries: Box<Entries>,
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
    /// Creates an app without declarations.
    pub fn new() -> Self {
        App::default()
    }

    /// Adds a route: a function that answers requests with this method and path.
    ///
    /// The method is upper case. An empty method matches every method that no other route of this path names.
    ///
    /// The path begins with `/`. A segment `{name}` is a parameter, and a last segment `{*rest}` matches the rest of
    /// the path. A static segment takes precedence over a parameter, and a parameter over a rest.
    pub fn route<F, A>(mut self, method: &'static str, path: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoResponse,
    {
        self.entries.routes.push(Route::new(method, path, function));
        self
    }

    methods! {
        /// Answers GET requests for this path, and HEAD requests unless another route does. See [`route`](App::route).
        get "GET"
        /// Answers POST requests for this path. See [`route`](App::route).
        post "POST"
        /// Answers PUT requests for this path. See [`route`](App::route).
        put "PUT"
        /// Answers PATCH requests for this path. See [`route`](App::route).
        patch "PATCH"
        /// Answers DELETE requests for this path. See [`route`](App::route).
        delete "DELETE"
        /// Answers HEAD requests for this path. The body is not sent. See [`route`](App::route).
        head "HEAD"
        /// Answers OPTIONS requests for this path. See [`route`](App::route).
        options "OPTIONS"
        /// Answers requests for this path with any method that no other route of the path names. See
        /// [`route`](App::route).
        any ""
    }

    /// Adds a policy that runs before a request below this prefix is answered. It can let the request pass, answer it
    /// or fail it.
    ///
    /// The policy runs for every route and file below the prefix, also those of other handlers. `/api` matches `/api`
    /// and `/api/x`, but not `/apix`. Policies run in the order of their files' names, then of their declaration. The
    /// first policy that answers or fails ends the chain. Policies run for requests only, because events and
    /// connections have hooks.
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

    /// Adds a policy like [`before`](App::before) for one method only, in upper case.
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
        self.entries
            .policies
            .push(Policy::before(method, prefix, function));
        self
    }

    /// Adds a policy that runs after a request below this prefix has been answered by any handler.
    ///
    /// It can read the response's status with [`Status`](crate::Status).
    pub fn after<F, A>(self, prefix: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoOutcome,
    {
        self.after_method("", prefix, function)
    }

    /// Adds a policy like [`after`](App::after) for one method only, in upper case.
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
        self.entries
            .policies
            .push(Policy::after(method, prefix, function));
        self
    }

    /// Adds a listener for an event in namespace `/`. The event `*` matches every event for which this handler has no
    /// named listener.
    ///
    /// The return value answers the client's callback: see [`IntoAck`]. Events of one client are handled one after the
    /// other, in the order in which the client sent them.
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

    /// Declares listeners and hooks of another namespace. `/hitchy` is reserved: it may have connection hooks, but no
    /// listeners.
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

    /// Adds a hook that runs when a client connects to a namespace. An error refuses the client, which reads its
    /// message in `connect_error`.
    ///
    /// The hook protects this namespace only. It does not run for requests over HTTP, nor for requests over a socket,
    /// which use the namespace `/hitchy`. Protect requests with a hook on `/hitchy` or with [`before`](App::before).
    ///
    /// The function sets the context of the connection. It cannot emit to the client yet: see
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

    /// Adds a hook that runs after a client has connected to a namespace and before its first event. It can send a
    /// greeting.
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

    /// Adds a hook that runs after a client has disconnected from a namespace, after its last event.
    ///
    /// [`Reason`](crate::Reason) is the reason of the disconnect. The rooms and the context of the client can still be
    /// read.
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
        self.entries
            .listeners
            .push(Listener::new(namespace, event, function));
        self
    }

    /// Returns a hook of a namespace in which the wanted function is not set yet. The functions of a namespace share
    /// one hook, so that a connecting client costs one call.
    fn hook(&mut self, namespace: &'static str, is_free: impl Fn(&Hook) -> bool) -> &mut Hook {
        let fits = |hook: &Hook| hook.namespace == namespace && is_free(hook);
        let index = self.entries.hooks.iter().position(fits).unwrap_or_else(|| {
            self.entries.hooks.push(Hook::new(namespace));
            self.entries.hooks.len() - 1
        });
        &mut self.entries.hooks[index]
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("routes", &self.entries.routes.len())
            .field("policies", &self.entries.policies.len())
            .field("listeners", &self.entries.listeners.len())
            .field("hooks", &self.entries.hooks.len())
            .field("schedules", &self.entries.schedules.len())
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
            .on_connect("/", || ())
            .entries;
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
            .on_connect("/", || ())
            .entries;
        let namespaces: Vec<_> = app.hooks.iter().map(|hook| hook.namespace).collect();
        assert_eq!(namespaces, ["/", "/a", "/"]);
        assert!(app.hooks[0].disconnect.is_some());
        assert!(app.hooks[0].connected.is_none());
    }
}
