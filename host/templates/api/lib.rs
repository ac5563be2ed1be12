//! A handler for Hitchy with an API of its own: items that are kept in the server's key-value storage.
//!
//! `cargo test` runs its tests here. `hitchy dev` builds it, serves it, and replaces it on every save. The items stay.

use hitchy_guest::{App, Failure, Json, Path, Result, kv};
use serde::{Deserialize, Serialize};

/// The most items in one answer.
const PAGE: usize = 100;

/// What this handler offers: paths, each with the function that answers.
fn app() -> App {
    App::new()
        .get("/api/items", list)
        .post("/api/items", create)
        .get("/api/items/{id}", read)
        .put("/api/items/{id}", update)
        .delete("/api/items/{id}", delete)
}

/// What is kept, as JSON. A body without one of these fields, or with one of another type, is refused with a 400.
#[derive(Clone, Deserialize, Serialize)]
struct Item {
    name: String,
    price: u32,
}

/// An item with the id under which it is found.
#[derive(Deserialize, Serialize)]
struct Entry {
    id: String,
    #[serde(flatten)]
    item: Item,
}

/// `GET /api/items` answers the first items, in the order of their ids.
fn list() -> Result<Json<Vec<Entry>>> {
    let keys = kv::keys_with_prefix("item:")?.take(PAGE);
    let keys: Vec<String> = keys.collect::<Result<_, _>>()?;
    let items = kv::get_many::<Item>(keys.clone())?;
    let entries = keys.iter().zip(items).filter_map(|(key, item)| {
        let id = key.strip_prefix("item:")?.to_owned();
        // An item may have been deleted after its key was listed.
        Some(Entry { id, item: item? })
    });
    Ok(Json(entries.collect()))
}

/// `POST /api/items` with an id, a name and a price answers 201, or 409 if there is an item with this id.
fn create(Json(entry): Json<Entry>) -> Result<(u16, Json<Entry>)> {
    check(&entry)?;
    // Both steps are one: of two requests that create the same item at the same time, one gets the 409.
    kv::try_update(&key(&entry.id), |old: Option<Item>| match old {
        Some(_) => Err(Failure::new(409, "there is an item with this id")),
        None => Ok(entry.item.clone()),
    })?;
    Ok((201, Json(entry)))
}

/// `GET /api/items/tea` answers the item.
fn read(Path(id): Path<String>) -> Result<Json<Entry>> {
    let item: Option<Item> = kv::get(&key(&id))?;
    let item = item.ok_or_else(not_found)?;
    Ok(Json(Entry { id, item }))
}

/// `PUT /api/items/tea` with a name and a price replaces the item.
fn update(Path(id): Path<String>, Json(item): Json<Item>) -> Result<Json<Entry>> {
    let entry = Entry { id, item };
    check(&entry)?;
    kv::try_update(&key(&entry.id), |old: Option<Item>| match old {
        Some(_) => Ok(entry.item.clone()),
        None => Err(not_found()),
    })?;
    Ok(Json(entry))
}

/// `DELETE /api/items/tea` answers 204.
fn delete(Path(id): Path<String>) -> Result<(u16, ())> {
    if !kv::exists(&key(&id))? {
        return Err(not_found().into());
    }
    kv::delete(&key(&id))?;
    Ok((204, ()))
}

/// Checks what the types do not say.
fn check(Entry { id, item }: &Entry) -> Result<(), Failure> {
    let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=40).contains(&id.len()) || !id.chars().all(is_id) {
        return Err(Failure::new(
            400,
            "an id has 1 to 40 letters (a to z), digits and hyphens",
        ));
    }
    if !(1..=100).contains(&item.name.trim().chars().count()) {
        return Err(Failure::new(400, "a name has 1 to 100 characters"));
    }
    Ok(())
}

/// Returns the key of an item in the handler's bucket. The prefix leaves room for other things.
fn key(id: &str) -> String {
    format!("item:{id}")
}

fn not_found() -> Failure {
    Failure::new(404, "there is no such item")
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests {
    use hitchy_guest::testing;
    use serde_json::{Value, json};

    use super::*;

    /// Sends a request with a body and returns the status and the body of the answer.
    fn send(app: &testing::App, method: &str, url: &str, body: &Value) -> (u16, Value) {
        let answer = app.request(method, url).json(body).send();
        (answer.status(), answer.json().unwrap_or_default())
    }

    #[test]
    fn an_item_is_created_read_changed_and_deleted() {
        let app = testing::App::new(app);
        let tea = json!({ "id": "tea", "name": "Tea", "price": 3 });
        assert_eq!(send(&app, "POST", "/api/items", &tea), (201, tea.clone()));
        assert_eq!(send(&app, "POST", "/api/items", &tea).0, 409);
        assert_eq!(
            app.get("/api/items/tea").send().json::<Value>().unwrap(),
            tea
        );

        let dearer = json!({ "id": "tea", "name": "Tea", "price": 4 });
        let change = json!({ "name": "Tea", "price": 4 });
        assert_eq!(
            send(&app, "PUT", "/api/items/tea", &change),
            (200, dearer.clone())
        );
        let list = app.get("/api/items").send();
        assert_eq!(list.json::<Value>().unwrap(), json!([dearer]));

        assert_eq!(app.delete("/api/items/tea").send().status(), 204);
        assert_eq!(
            app.get("/api/items").send().json::<Value>().unwrap(),
            json!([])
        );
    }

    #[test]
    fn what_is_not_there_is_a_404() {
        let app = testing::App::new(app);
        let item = json!({ "name": "Tea", "price": 3 });
        assert_eq!(app.get("/api/items/tea").send().status(), 404);
        assert_eq!(send(&app, "PUT", "/api/items/tea", &item).0, 404);
        assert_eq!(app.delete("/api/items/tea").send().status(), 404);
    }

    #[test]
    fn what_is_no_item_is_a_400() {
        let app = testing::App::new(app);
        for item in [
            json!({ "id": "tea", "name": "Tea" }),
            json!({ "id": "tea", "name": "Tea", "price": -1 }),
            json!({ "id": "tea", "name": " ", "price": 1 }),
            json!({ "id": "Tea & more", "name": "Tea", "price": 1 }),
        ] {
            assert_eq!(send(&app, "POST", "/api/items", &item).0, 400, "{item}");
        }
    }
}
