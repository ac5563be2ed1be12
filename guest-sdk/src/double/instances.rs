//! The import `instances`, and the instances in which the calls of a test run.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::{Rc, Weak};

use super::state;
use crate::life::Life;
use crate::values::Values;

/// An instance of the handler under test.
#[derive(Default)]
pub(crate) struct Instance {
    life: Life,
    /// The calls that came to an end.
    calls: Cell<u32>,
    app: OnceCell<Rc<dyn Any>>,
    /// What the handler keeps. It is never dropped, because no code of a handler runs when the server ends an instance.
    values: ManuallyDrop<Values>,
}

/// The place of an instance between two calls.
enum Place {
    /// It has none, because it lives for one call.
    Nowhere,
    /// It waits for the next event or hook of this connection: a namespace and an id.
    Connection(String, String),
    /// It waits for any call.
    Pool,
}

/// Instances between two calls.
#[derive(Default)]
struct Waiting {
    of_connections: HashMap<(String, String), Rc<Instance>>,
    shared: Vec<Rc<Instance>>,
}

/// The instances of one thread.
#[derive(Default)]
pub(crate) struct Instances {
    life: Life,
    /// Another one takes its place when instances end, so that those in which a call runs do not come back to it.
    waiting: Rc<RefCell<Waiting>>,
    /// The calls that run. The last one is the innermost.
    running: Vec<Rc<Running>>,
    /// The instance of functions that a test calls directly.
    outside: Rc<Instance>,
}

/// A call that runs. Handles are valid as long as it is there.
struct Running {
    instance: Rc<Instance>,
}

/// One call of the handler, from its beginning to its end.
#[must_use = "the call ends when this is dropped"]
pub(crate) struct Call {
    running: Rc<Running>,
    place: Place,
    waiting: Rc<RefCell<Waiting>>,
}

/// The call to which a handle belongs. It is `None` for handles that a test has made.
pub(crate) struct Scope(Option<Weak<Running>>);

impl Waiting {
    fn take(&mut self, place: &Place) -> Option<Rc<Instance>> {
        match place {
            Place::Nowhere => None,
            Place::Connection(namespace, id) => {
                self.of_connections.remove(&(namespace.clone(), id.clone()))
            }
            Place::Pool => self.shared.pop(),
        }
    }

    fn put(&mut self, place: &Place, instance: Rc<Instance>) {
        match place {
            Place::Nowhere => {}
            Place::Connection(namespace, id) => {
                self.of_connections
                    .insert((namespace.clone(), id.clone()), instance);
            }
            Place::Pool => self.shared.push(instance),
        }
    }
}

impl Instances {
    /// Returns the place for the instance of a call, which may belong to a connection.
    fn place(&self, connection: Option<(&str, &str)>) -> Place {
        match (self.life, connection) {
            (Life::Socket, Some((namespace, id))) => {
                Place::Connection(namespace.to_owned(), id.to_owned())
            }
            (Life::Shared, _) => Place::Pool,
            (Life::Call | Life::Socket, _) => Place::Nowhere,
        }
    }

    /// Returns the instance of the innermost call.
    fn current(&self) -> Rc<Instance> {
        let running = self.running.last();
        Rc::clone(running.map_or(&self.outside, |running| &running.instance))
    }
}

/// Begins a call, which may belong to a connection: a namespace and an id.
pub(crate) fn begin(connection: Option<(&str, &str)>) -> Call {
    state::with(|state| {
        let instances = &mut state.instances;
        let place = instances.place(connection);
        let waiting = Rc::clone(&instances.waiting);
        let kept = waiting.borrow_mut().take(&place);
        let life = match place {
            Place::Nowhere => Life::Call,
            Place::Connection(..) | Place::Pool => instances.life,
        };
        let instance = kept.unwrap_or_else(|| {
            Rc::new(Instance {
                life,
                ..Instance::default()
            })
        });
        let running = Rc::new(Running { instance });
        instances.running.push(Rc::clone(&running));
        Call {
            running,
            place,
            waiting,
        }
    })
}

impl Call {
    /// Returns the app of the instance, which its first call builds.
    pub(crate) fn app<A: 'static>(&self, build: impl FnOnce() -> A) -> Rc<A> {
        let app = self.running.instance.app.get_or_init(|| Rc::new(build()));
        let app = Rc::clone(app).downcast();
        app.expect("a thread has one app under test, and it has one type")
    }
}

impl Drop for Call {
    /// Ends the call. Its instance waits for the next one, unless the call has panicked.
    fn drop(&mut self) {
        state::with(|state| {
            let running = &mut state.instances.running;
            running.retain(|running| !Rc::ptr_eq(running, &self.running));
        });
        if !std::thread::panicking() {
            let instance = Rc::clone(&self.running.instance);
            instance.calls.set(instance.calls.get() + 1);
            self.waiting.borrow_mut().put(&self.place, instance);
        }
    }
}

/// Sets how long instances live, and ends those that wait.
pub(crate) fn set_life(life: Life) {
    state::with(|state| state.instances.life = life);
    end_all();
}

/// Ends all instances. Those in which a call runs end with it.
pub(crate) fn end_all() {
    state::with(|state| state.instances.waiting = Rc::default());
}

/// Ends the instance of a connection.
pub(crate) fn end_of_connection(namespace: &str, id: &str) {
    let place = Place::Connection(namespace.to_owned(), id.to_owned());
    state::with(|state| state.instances.waiting.borrow_mut().take(&place));
}

impl Scope {
    /// Returns the scope of the innermost call.
    pub(crate) fn current() -> Self {
        let running = state::with(|state| state.instances.running.last().map(Rc::downgrade));
        Scope(running)
    }

    /// Fails with a sentence when the call is over. `what` is the thing with its article, and `remedy` what an author
    /// does instead of keeping it.
    pub(crate) fn check(&self, what: &str, remedy: &str) -> Result<(), String> {
        let call = self.0.as_ref();
        if call.is_none_or(|call| call.strong_count() > 0) {
            return Ok(());
        }
        Err(format!(
            "{what} of an earlier call was used, and a handle lasts for one call; {remedy}"
        ))
    }
}

pub(crate) fn life() -> String {
    let life = state::with(|state| state.instances.current().life);
    life.word().to_owned()
}

pub(crate) fn calls() -> u32 {
    state::with(|state| state.instances.current().calls.get())
}

/// Returns the value of a type that is kept in the instance of the innermost call.
pub(crate) fn value<T: Default + 'static>() -> Rc<RefCell<T>> {
    let instance = state::with(|state| state.instances.current());
    instance.values.get()
}
