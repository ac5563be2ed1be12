//! One call of the app under test.

use crate::app::{self, Entries};
use crate::double::instances;

/// Plays a call: runs a function with the app of the instance that gets the call. Handles that are made meanwhile end
/// with the call.
///
/// `connection` is the namespace and the id of the client whose event or hook the call is.
pub(super) fn call<T>(
    app: fn() -> app::App,
    connection: Option<(&str, &str)>,
    act: impl FnOnce(&Entries) -> T,
) -> T {
    let call = instances::begin(connection);
    let app = call.app(|| *app().entries);
    act(&app)
}
