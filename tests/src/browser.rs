//! Chromium, driven through `client/browser.mjs`. Tests open pages and use them as a person does.
//!
//! The variable `CHROMIUM` names another program than `chromium`. A test that needs a browser fails if there is none.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::driven::{self, Driven};
use crate::target_dir;
use crate::wait::SOON;

/// A running browser. It ends when this and all its pages are dropped.
pub struct Browser(Arc<Driven>);

/// A page in a separate browser context, which shares no cookies and no storage with other pages.
pub struct Page {
    browser: Arc<Driven>,
    name: String,
}

/// The size and colour scheme of a window.
#[derive(Clone, Copy)]
pub struct Window {
    /// The width in CSS pixels.
    pub width: u32,
    /// The height in CSS pixels.
    pub height: u32,
    /// True if the person prefers a dark page.
    pub dark: bool,
}

impl Window {
    /// The size of a desktop window.
    pub const WIDE: Self = Self {
        width: 1280,
        height: 800,
        dark: false,
    };
    /// The size of a phone.
    pub const NARROW: Self = Self {
        width: 390,
        height: 844,
        dark: false,
    };

    /// The size of a small phone.
    pub const SMALL: Self = Self {
        width: 360,
        height: 640,
        dark: false,
    };

    /// Returns this window for a person who prefers a dark page.
    pub const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

impl Browser {
    /// Starts the browser.
    ///
    /// # Panics
    /// Panics if Chromium, Node or npm is missing, or if the browser does not start.
    pub async fn start() -> Self {
        let chromium = chromium().expect(
            "no chromium on the PATH: install it with apt-get install chromium, or set CHROMIUM to where it is",
        );
        if let Err(missing) = driven::installed() {
            panic!("{missing}");
        }
        let driven = Arc::new(Driven::start("browser.mjs"));
        let start = json!({ "do": "start", "chromium": chromium });
        driven.command(start, SOON * 6).await;
        Self(driven)
    }

    /// Opens a page in a new window.
    ///
    /// # Panics
    /// Panics if the page cannot be loaded.
    pub async fn open(&self, url: &str, window: Window) -> Page {
        let page = Page {
            browser: Arc::clone(&self.0),
            name: format!("p{}", self.0.number()),
        };
        let Window {
            width,
            height,
            dark,
        } = window;
        let open = json!({ "url": url, "width": width, "height": height, "dark": dark });
        page.command("open", open).await;
        page
    }
}

impl Page {
    /// Replaces the text of the field whose label is exactly `label`.
    ///
    /// # Panics
    /// Panics if there is no such field within 30 seconds.
    pub async fn fill(&self, label: &str, text: &str) {
        self.command("fill", json!({ "label": label, "text": text }))
            .await;
    }

    /// Types text key by key into the element that has the focus.
    pub async fn type_text(&self, text: &str) {
        self.command("type", json!({ "text": text })).await;
    }

    /// Presses a key, for example `Enter`.
    pub async fn press(&self, key: &str) {
        self.command("press", json!({ "key": key })).await;
    }

    /// Clicks the button whose name is exactly `name`.
    ///
    /// # Panics
    /// Panics if the button cannot be clicked within 30 seconds.
    pub async fn click(&self, name: &str) {
        self.command("click", json!({ "name": name })).await;
    }

    /// Waits until an element that matches `selector` is visible and contains `text`.
    ///
    /// # Panics
    /// Panics if there is no such element within 30 seconds.
    pub async fn sees(&self, selector: &str, text: &str) {
        self.command("sees", json!({ "selector": selector, "text": text }))
            .await;
    }

    /// Waits until no element that matches `selector` is visible.
    ///
    /// # Panics
    /// Panics if such an element is still visible after 30 seconds.
    pub async fn sees_no(&self, selector: &str) {
        self.command("seesNo", json!({ "selector": selector }))
            .await;
    }

    /// Evaluates an expression in the page and returns its value.
    ///
    /// # Panics
    /// Panics if the expression throws.
    pub async fn eval(&self, expression: &str) -> Value {
        self.command("eval", json!({ "expression": expression }))
            .await
    }

    /// Waits until an expression in the page is true.
    ///
    /// # Panics
    /// Panics if the expression is not true within 30 seconds.
    pub async fn until(&self, expression: &str) {
        self.command("until", json!({ "expression": expression }))
            .await;
    }

    /// Returns the history of the page's socket.io connections, in order: the id of each one when it connected, and its
    /// reason when it ended.
    pub async fn connections(&self) -> Value {
        self.eval("window.seen").await
    }

    /// Saves a screenshot as `target/screenshots/NAME.png`.
    pub async fn picture(&self, name: &str) {
        let path = pictures().join(format!("{name}.png"));
        self.command("picture", json!({ "path": path })).await;
    }

    /// Returns one sentence for each fault that the page shows now, and for each error that it has logged so far.
    pub async fn complaints(&self) -> Vec<String> {
        let complaints = self.command("complaints", json!({})).await;
        serde_json::from_value(complaints).expect("a list of sentences")
    }

    async fn command(&self, what: &str, mut command: Value) -> Value {
        command["do"] = json!(what);
        command["page"] = json!(self.name);
        self.browser.command(command, SOON * 6).await.1
    }
}

fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("chromium"))
        .find(|program| program.is_file())
}

fn pictures() -> PathBuf {
    target_dir().join("screenshots")
}
