//! The problems of the folder and the settings, as the console shows them: files that are refused, folders or settings
//! that cannot be read.

/// The problems that the last reload found.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The files that are not served as they are now.
    pub refused: Vec<RefusedFile>,
    /// Everything else that cannot be read, each in a sentence.
    pub troubles: Vec<String>,
}

/// A file that is not served as it is now.
#[derive(Clone, Debug)]
pub struct RefusedFile {
    /// The path of the file below the folder.
    pub file: String,
    /// The cause, and what to do.
    pub cause: String,
    /// The generation of an earlier version that goes on serving.
    pub serving: Option<u64>,
}
