//! Which files import which: a handler is loaded again when a file changes that it imports.

use std::collections::HashSet;

use super::{File, Files};
use crate::registry::refusal::FileRefusal;
use crate::runtime::ImportedFile;

impl Files {
    /// Returns the files that handlers import or have looked for, each with the name of the handler.
    pub(in crate::registry) fn imports(&self) -> Vec<(String, ImportedFile)> {
        let imports = self.files.iter().flat_map(|(name, file)| {
            let imports = file.imports.iter();
            imports.map(|imported| (name.clone(), imported.clone()))
        });
        imports.collect()
    }

    /// Notes that a file has changed which a handler imports, so that the handler is loaded again.
    pub(in crate::registry) fn import_changed(&mut self, name: &str) {
        if let Some(file) = self.files.get_mut(name) {
            file.with_old_imports = true;
        }
    }

    /// Notes which files a handler imported, or looked for, when it was loaded.
    pub(in crate::registry) fn remember_imports(&mut self, name: &str, imports: Vec<ImportedFile>) {
        if let Some(file) = self.files.get_mut(name) {
            file.imports = imports;
            file.with_old_imports = false;
        }
    }

    /// Returns the names of all files that handlers import.
    pub(super) fn imported(&self) -> HashSet<String> {
        let imports = self.files.values().flat_map(|file| &file.imports);
        imports.map(|imported| imported.name.clone()).collect()
    }

    /// Takes back the refusals of files that declare nothing, because a handler imports them now.
    pub(super) fn forgive(&mut self, imported: &HashSet<String>) {
        for (name, file) in &mut self.files {
            let refusal = file.refusal.take();
            let stays =
                |refusal: &FileRefusal| !file.is_only_for_others(refusal, imported.contains(name));
            file.refusal = refusal.filter(stays);
        }
    }
}

impl File {
    /// Returns true if a file that cannot be served is no handler at all, but a script that others import.
    pub(super) fn is_only_for_others(&self, refusal: &FileRefusal, is_imported: bool) -> bool {
        is_imported && self.serving.is_none() && refusal.is_without_declarations()
    }
}
