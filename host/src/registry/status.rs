//! What is not as it should be now: files that are refused, a folder or settings that cannot be read. The console shows it.

/// The state of the folder and the settings, as the last look at them found it.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Files that are not served as they are now.
    pub refused: Vec<RefusedFile>,
    /// Everything else, each in a sentence: what cannot be read.
    pub troubles: Vec<String>,
}

/// A file that is not served as it is now.
#[derive(Clone, Debug)]
pub struct RefusedFile {
    /// Below the folder.
    pub file: String,
    /// Why, and what to do.
    pub cause: String,
    /// The generation of an earlier version that goes on serving.
    pub serving: Option<u64>,
}
