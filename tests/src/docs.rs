//! The code blocks of the README and of `docs/`. After its language, the first line of a block names the story to which
//! the block belongs, and may name a file: ` ```toml mine hitchy.toml `. Each story is run by a test. Rust code that
//! names no story is a doctest of the SDK.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::sources;

/// A code block of a document.
#[derive(Clone, Debug)]
pub struct Block {
    /// The path of the document from the top of the repository, for example `docs/folder.md`.
    pub document: String,
    /// The language, for example `sh`, `toml` or `rust`.
    pub language: String,
    /// The story to which the block belongs. Empty if the block does not name a story.
    pub story: String,
    /// The file that has the block as its content, if the block names a file.
    pub file: Option<String>,
    /// The lines of the block.
    pub text: String,
}

/// Returns the documents whose code is tested: the README and all files of `docs/`, sorted by path.
///
/// # Panics
/// Panics if `docs/` cannot be read.
pub fn documents() -> Vec<String> {
    let names = fs::read_dir(root().join("docs")).expect("docs/ can be read");
    let names = names.map(|entry| entry.expect("docs/ can be read").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut documents: Vec<String> = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .chain(["README.md".to_owned()])
        .collect();
    documents.sort();
    documents
}

/// Returns the code blocks of a document, in the order of the document.
///
/// # Panics
/// Panics if the document cannot be read.
pub fn blocks(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).expect("the document can be read");
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for event in Parser::new(&text) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                inside = true;
                blocks.push(block(document, &kind));
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(text) if inside => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(&text);
                }
            }
            _ => {}
        }
    }
    blocks
}

fn block(document: &str, kind: &CodeBlockKind) -> Block {
    let info = match kind {
        CodeBlockKind::Fenced(info) => info.to_string(),
        CodeBlockKind::Indented => String::new(),
    };
    let mut words = info.split_whitespace().map(str::to_owned);
    Block {
        document: document.to_owned(),
        language: words.next().unwrap_or_default(),
        story: words.next().unwrap_or_default(),
        file: words.next(),
        text: String::new(),
    }
}

/// Returns the top folder of the repository.
pub fn root() -> PathBuf {
    let top = sources().join("..");
    top.canonicalize().unwrap_or(top)
}

/// The blocks of one story, which a test takes one after the other. A test fails if it drops a story before all blocks
/// are taken.
pub struct Story {
    name: String,
    left: Vec<Block>,
}

impl Story {
    /// Reads the story `name` of a document.
    ///
    /// # Panics
    /// Panics if no block of the document belongs to the story.
    pub fn of(document: &str, name: &str) -> Self {
        let mut left = blocks(document);
        left.retain(|block| block.story == name);
        assert!(
            !left.is_empty(),
            "{document} has no code block of the story {name}"
        );
        Self {
            name: format!("{name} of {document}"),
            left,
        }
    }

    /// Takes the next block of the story and returns its text.
    ///
    /// # Panics
    /// Panics if there are no more blocks, or if the block is in another language.
    pub fn next(&mut self, language: &str) -> String {
        let none = format!("the story {} has no more blocks", self.name);
        assert!(!self.left.is_empty(), "{none}");
        let block = self.left.remove(0);
        assert_eq!(
            block.language, language,
            "in the story {}: {block:?}",
            self.name
        );
        block.text
    }

    /// Takes the block that is the content of `file` and returns its text.
    ///
    /// # Panics
    /// Panics if no block that is left names the file.
    pub fn file(&mut self, file: &str) -> String {
        let place = self
            .left
            .iter()
            .position(|block| block.file.as_deref() == Some(file));
        let place = place.unwrap_or_else(|| panic!("the story {} has no {file}", self.name));
        self.left.remove(place).text
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(
                self.left.is_empty(),
                "nothing ran these blocks of the story {}: {:#?}",
                self.name,
                self.left
            );
        }
    }
}

/// Returns the problems of the code blocks. `told` lists the stories that tests run, each after its document.
pub fn complaints(told: &[(&str, &str)]) -> Vec<String> {
    let all: Vec<Block> = documents()
        .iter()
        .flat_map(|document| blocks(document))
        .collect();
    let sdk = fs::read_to_string(root().join("guest-sdk/src/lib.rs")).unwrap_or_default();
    let is_run = |block: &Block| {
        let is_told = told.contains(&(block.document.as_str(), block.story.as_str()));
        let is_doctest = block.language == "rust"
            && block.story.is_empty()
            && sdk.contains(&format!("include_str!(\"../../{}\")", block.document));
        is_told || is_doctest
    };
    let unrun = all.iter().filter(|block| !is_run(block));
    let unrun = unrun.map(|block| {
        format!(
            "no test runs this block of {}:\n{}",
            block.document, block.text
        )
    });
    let named: BTreeSet<(&str, &str)> = all
        .iter()
        .map(|block| (block.document.as_str(), block.story.as_str()))
        .collect();
    let lost = told.iter().filter(|story| !named.contains(*story));
    let lost =
        lost.map(|(document, story)| format!("{document} has no block of the story {story}"));
    unrun.chain(lost).collect()
}
