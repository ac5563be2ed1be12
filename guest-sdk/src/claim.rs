//! Rooms that one owner has: names, seats and other things of which there is one each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::socket::Socket;
use crate::{kv, now_ms};

/// Time for which a claim holds while nobody is in its room, in milliseconds. A client is in the room only once it has
/// connected, which is after `on_connect`.
const PATIENCE: u64 = 10_000;

/// Keys among which the claims of a namespace are spread. A key is never deleted, because no step of the store deletes
/// it only if it is unchanged. So there are as many keys at most, and the claims are taken out of their values.
const SHARDS: u64 = 32;
/// Claims of others that a change of a key looks at, to remove those that are free.
const SWEPT: usize = 4;

/// The claims of one key, by room.
type Claims = BTreeMap<String, Claim>;

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
    /// of them has disconnected, or ten seconds after it was made if none of them has connected. Two clients that ask
    /// at the same moment do not both get it, because the claim is in a value of the handler's own bucket that changes
    /// as one step. The claims of a namespace have 32 keys together, which begin with `claims:`, and a claim that has
    /// ended is removed from them. The value of a key has at most 1 MiB, so that about 300,000 claims fit at once if
    /// room and owner have 60 bytes together. A claim that does not fit fails with the error of the store that its
    /// value is too large, which is a 500 for the client.
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
        kv::try_update(&self.shard(room), |claims| -> Result<Claims> {
            let mut claims: Claims = claims.unwrap_or_default();
            is_mine = match claims.get(room) {
                Some(claim) if claim.owner != owner => self.is_free(room, claim)?,
                _ => true,
            };
            if is_mine {
                claims.insert(room.to_owned(), mine.clone());
            }
            self.sweep(&mut claims, room)?;
            Ok(claims)
        })?;
        if is_mine {
            self.set(&context_key(room), &mine.until)?;
            self.join(room)?;
        }
        Ok(is_mine)
    }

    /// Ends the patience with the claim of this connection, so that the room is free as soon as nobody is in it. Call
    /// it when the client has disconnected; a claim that is not released is free ten seconds after it was made at the
    /// earliest. A claim that another connection has made since stays as it is.
    ///
    /// # Errors
    /// Has the errors of [`kv::try_update`].
    pub fn release(&self, room: &str) -> Result<()> {
        let Some(until) = self.get::<u64>(&context_key(room))? else {
            return Ok(());
        };
        kv::try_update(&self.shard(room), |claims| -> Result<Claims> {
            let mut claims: Claims = claims.unwrap_or_default();
            if let Some(claim) = claims.get_mut(room) {
                if claim.until == until {
                    claim.until = 0;
                }
                if self.is_free(room, claim)? {
                    claims.remove(room);
                }
            }
            self.sweep(&mut claims, room)?;
            Ok(claims)
        })?;
        Ok(())
    }

    /// Returns true if a claim holds no longer.
    fn is_free(&self, room: &str, claim: &Claim) -> Result<bool> {
        Ok(now_ms() >= claim.until && self.within(room).ids()?.is_empty())
    }

    /// Removes some of the claims that hold no longer, because they were not released: their clients went together with
    /// a server, for example. The next ones in order after `room` are looked at, so that each has its turn.
    fn sweep(&self, claims: &mut Claims, room: &str) -> Result<()> {
        let (before, after): (Vec<_>, Vec<_>) = claims
            .iter()
            .filter(|(other, claim)| *other != room && now_ms() >= claim.until)
            .partition(|(other, _)| other.as_str() < room);
        let mut ended = Vec::new();
        for (other, claim) in after.into_iter().chain(before).take(SWEPT) {
            if self.is_free(other, claim)? {
                ended.push(other.clone());
            }
        }
        for room in ended {
            claims.remove(&room);
        }
        Ok(())
    }

    /// Returns the key whose value has the claim of a room of this namespace.
    fn shard(&self, room: &str) -> String {
        // FNV-1a. All builds of a handler have to agree on the key, and the hasher of the standard library may change.
        let hash = room.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        format!("claims:{} {}", self.namespace(), hash % SHARDS)
    }
}

/// Returns the key under which a connection keeps the time of its own claim.
fn context_key(room: &str) -> String {
    format!("claim:{room}")
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

    /// Stores a claim that another connection has made.
    fn put(client: &Socket, room: &str, claim: Claim) {
        kv::set(
            &client.shard(room),
            &Claims::from([(room.to_owned(), claim)]),
        )
        .unwrap();
    }

    /// Returns the keys of claims that are stored, and the claims in them.
    fn stored() -> (usize, usize) {
        let keys: Vec<_> = kv::keys_with_prefix("claims:")
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let claims = keys
            .iter()
            .map(|key| kv::get::<Claims>(key).unwrap().unwrap().len());
        (keys.len(), claims.sum())
    }

    #[test]
    fn i13_1_of_a_thousand_clients_that_came_and_went_no_claim_is_left() {
        let app = App::new(app);
        for number in 0..1000 {
            let (client, room) = (app.client().connect(), format!("name:{number}"));
            assert!(client.claim(&room, "1").unwrap());
            app.disconnect(&client, "transport close");
            client.release(&room).unwrap();
        }
        assert_eq!(stored(), (SHARDS as usize, 0));
    }

    #[test]
    fn i13_1_claims_that_nobody_released_go_as_others_come() {
        let app = App::new(app);
        let client = app.client().connect();
        for number in 0..100 {
            let claim = Claim {
                owner: "1".to_owned(),
                until: now_ms(),
            };
            let room = format!("lost:{number}");
            kv::update(&client.shard(&room), |claims| {
                let mut claims: Claims = claims.unwrap_or_default();
                claims.insert(room.clone(), claim.clone());
                claims
            })
            .unwrap();
        }
        assert!(client.claim("kept", "1").unwrap());
        for number in 0..200 {
            let (other, room) = (app.client().connect(), format!("name:{number}"));
            assert!(other.claim(&room, "1").unwrap());
            app.disconnect(&other, "transport close");
            other.release(&room).unwrap();
        }
        assert_eq!(stored().1, 1, "the one whose client is there");
    }

    #[test]
    fn i13_1_a_name_of_two_tabs_is_removed_with_the_last_of_them() {
        let app = App::new(app);
        let (first, second) = (app.client().connect(), app.client().connect());
        for client in [&first, &second] {
            assert!(client.claim("name:ada", "1").unwrap());
        }
        for client in [&second, &first] {
            assert_eq!(stored().1, 1);
            app.disconnect(client, "transport close");
            client.release("name:ada").unwrap();
        }
        assert_eq!(stored().1, 0);
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
        put(&client, "seat", claim(now_ms() + PATIENCE));
        assert!(!client.claim("seat", "2").unwrap());
        put(&client, "seat", claim(now_ms()));
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
        put(&old, "name:ada", newer);
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
