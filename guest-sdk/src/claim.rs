//! Rooms that one owner has: names, seats and other things of which there is one each.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::socket::Socket;
use crate::{kv, now_ms};

/// Time for which a claim holds while nobody is in its room, in milliseconds. A client is in the room only once it has
/// connected, which is after `on_connect`.
const PATIENCE: u64 = 10_000;

/// The value of a claim's key.
#[derive(Clone, Serialize, Deserialize)]
struct Claim {
    owner: String,
    /// The time until which the claim holds if nobody is in the room, in milliseconds since the Unix epoch.
    until: u64,
}

impl Socket {
    /// Joins a room, unless the clients of another owner have it. Returns false if they do.
    ///
    /// The owner may be anything that says which clients belong together: a user, or a secret of the browser tab. Each
    /// client of the owner may claim the room, for example again after a lost connection. The claim ends when the last
    /// of them has disconnected, or ten seconds after it was made if none of them has connected. Two clients that ask at
    /// the same moment do not both get it, because the claim is a value in the handler's own bucket that changes as one
    /// step.
    ///
    /// ```
    /// use hitchy_guest::{App, Auth, Failure, Result, Socket};
    ///
    /// fn app() -> App {
    ///     App::new().on_connect("/", sign_in).on_disconnect("/", gone)
    /// }
    ///
    /// fn sign_in(socket: Socket, Auth((name, key)): Auth<(String, String)>) -> Result<()> {
    ///     if !socket.claim(&format!("name:{name}"), &key)? {
    ///         return Err(Failure::new(409, "this name is taken").into());
    ///     }
    ///     socket.set("name", &name)
    /// }
    ///
    /// fn gone(socket: Socket) -> Result<()> {
    ///     let name = socket.get::<String>("name")?.unwrap_or_default();
    ///     socket.release(&format!("name:{name}"))
    /// }
    /// # let app = hitchy_guest::testing::App::new(app);
    /// # let sign_in = |key: &str| app.client().auth(&("Ada", key)).try_connect();
    /// # let ada = sign_in("1").unwrap();
    /// # assert_eq!(sign_in("2").unwrap_err().code(), 409);
    /// # sign_in("1").unwrap();
    /// ```
    ///
    /// # Errors
    /// Has the errors of [`kv::try_update`] and of [`Socket::join`].
    pub fn claim(&self, room: &str, owner: &str) -> Result<bool> {
        let mine = new_claim(owner);
        let mut is_mine = true;
        kv::try_update(&self.key(room), |claim: Option<Claim>| -> Result<Claim> {
            let Some(other) = claim.filter(|claim| claim.owner != owner) else {
                is_mine = true;
                return Ok(mine.clone());
            };
            is_mine = now_ms() >= other.until && self.within(room).ids()?.is_empty();
            Ok(if is_mine { mine.clone() } else { other })
        })?;
        if is_mine {
            self.set(&self.key(room), &mine.until)?;
            self.join(room)?;
        }
        Ok(is_mine)
    }

    /// Ends the patience with the claim of this connection, so that the room is free as soon as nobody is in it. Call it
    /// when the client has disconnected; a claim that is not released is free ten seconds after it was made at the
    /// earliest. A claim that another connection has made since stays as it is.
    ///
    /// # Errors
    /// Has the errors of [`kv::update`].
    pub fn release(&self, room: &str) -> Result<()> {
        let key = self.key(room);
        if let Some(until) = self.get::<u64>(&key)? {
            kv::update(&key, |claim: Option<Claim>| {
                let mut claim = claim.unwrap_or_else(|| new_claim(""));
                if claim.until == until {
                    claim.until = 0;
                }
                claim
            })?;
        }
        Ok(())
    }

    /// Returns the key of the claim of a room of this namespace.
    fn key(&self, room: &str) -> String {
        format!("claim:{} {room}", self.namespace())
    }
}

fn new_claim(owner: &str) -> Claim {
    Claim {
        owner: owner.to_owned(),
        until: now_ms() + PATIENCE,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, App};

    use super::*;

    fn app() -> crate::App {
        crate::App::new().on_connect("/", || ())
    }

    #[test]
    fn a_claim_holds_for_its_owner_until_the_last_client_has_gone() {
        let app = App::new(app);
        let (first, second) = (app.client().connect(), app.client().connect());
        let other = app.client().connect();
        assert!(first.claim("name:ada", "1").unwrap());
        assert!(second.claim("name:ada", "1").unwrap());
        assert!(!other.claim("name:ada", "2").unwrap());
        assert!(!other.rooms().contains(&"name:ada".to_owned()));

        first.release("name:ada").unwrap();
        app.disconnect(&first, "transport close");
        assert!(!other.claim("name:ada", "2").unwrap());
        app.disconnect(&second, "transport close");
        assert!(other.claim("name:ada", "2").unwrap());
        assert!(other.rooms().contains(&"name:ada".to_owned()));
    }

    #[test]
    fn a_claim_of_a_client_that_has_not_connected_holds_for_a_while() {
        let app = App::new(app);
        let client = app.client().connect();
        let claim = |until: u64| Claim {
            owner: "1".to_owned(),
            until,
        };
        kv::set("claim:/ seat", &claim(now_ms() + PATIENCE)).unwrap();
        assert!(!client.claim("seat", "2").unwrap());
        kv::set("claim:/ seat", &claim(now_ms())).unwrap();
        assert!(client.claim("seat", "2").unwrap());
    }

    #[test]
    fn a_release_leaves_the_claim_that_a_newer_connection_has_made() {
        let app = App::new(app);
        let (old, other) = (app.client().connect(), app.client().connect());
        assert!(old.claim("name:ada", "1").unwrap());
        // The page was loaded again: its new connection has claimed the name and is not in the room yet.
        let newer = Claim {
            owner: "1".to_owned(),
            until: now_ms() + 2 * PATIENCE,
        };
        kv::set("claim:/ name:ada", &newer).unwrap();
        app.disconnect(&old, "transport close");
        old.release("name:ada").unwrap();
        assert!(!other.claim("name:ada", "2").unwrap());
    }

    #[test]
    fn a_release_of_what_nobody_claimed_stores_nothing() {
        let app = App::new(app);
        app.client().connect().release("seat").unwrap();
        assert!(kv::keys().unwrap().next().is_none());
        assert!(testing::emitted().is_empty());
    }
}
