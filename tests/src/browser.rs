//! Chromium, in which pages are opened and used as a person uses them. See `client/browser.mjs`.
//!
//! `CHROMIUM` names another program than `chromium`. A test that needs a browser fails where there is none.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::driven::{self, Driven};
use crate::target_dir;
use crate::wait::SOON;

/// A running browser. It ends when this and all its pages are dropped.
pub struct Browser(Arc<Driven>);

/// A page in a window of its own, which shares nothing with the others.
pub struct Page {
    browser: Arc<Driven>,
    name: String,
}

/// The size of a window, and the colours that its person prefers.
#[derive(Clone, Copy)]
pub struct Window {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// True if the person prefers a dark page.
    pub dark: bool,
}

impl Window {
    /// A window as on a desk.
    pub const WIDE: Self = Self {
        width: 1280,
        height: 800,
        dark: false,
    };
    /// A window as on a phone.
    pub const NARROW: Self = Self {
        width: 390,
        height: 844,
        dark: false,
    };

    /// A window as on a small phone.
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
    /// Panics if there is none, or Node is missing.
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
    /// Panics if it cannot be loaded.
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
    /// Types text into the field that has this label or name, in place of what is there.
    pub async fn fill(&self, label: &str, text: &str) {
        self.command("fill", json!({ "label": label, "text": text }))
            .await;
    }

    /// Types text key by key into whatever has the focus.
    pub async fn type_text(&self, text: &str) {
        self.command("type", json!({ "text": text })).await;
    }

    /// Presses a key, `Enter` for example.
    pub async fn press(&self, key: &str) {
        self.command("press", json!({ "key": key })).await;
    }

    /// Clicks the button that has this name.
    pub async fn click(&self, name: &str) {
        self.command("click", json!({ "name": name })).await;
    }

    /// Waits until the element that this selector finds is seen and has this text in it.
    ///
    /// # Panics
    /// Panics if it is not so soon.
    pub async fn sees(&self, selector: &str, text: &str) {
        self.command("sees", json!({ "selector": selector, "text": text }))
            .await;
    }

    /// Waits until what the selector finds is not seen.
    ///
    /// # Panics
    /// Panics if it is not so soon.
    pub async fn sees_no(&self, selector: &str) {
        self.command("seesNo", json!({ "selector": selector }))
            .await;
    }

    /// The value of an expression in the page.
    pub async fn eval(&self, expression: &str) -> Value {
        self.command("eval", json!({ "expression": expression }))
            .await
    }

    /// Waits until an expression in the page is true.
    ///
    /// # Panics
    /// Panics if it is not soon.
    pub async fn until(&self, expression: &str) {
        self.command("until", json!({ "expression": expression }))
            .await;
    }

    /// The ids that the page's connections had so far, and why they ended, in order.
    pub async fn connections(&self) -> Value {
        self.eval("window.seen").await
    }

    /// Takes a picture, `target/screenshots/NAME.png`.
    pub async fn picture(&self, name: &str) {
        let path = pictures().join(format!("{name}.png"));
        self.command("picture", json!({ "path": path })).await;
    }

    /// Returns what a person would not accept now and what the page has complained about so far, a sentence each.
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
