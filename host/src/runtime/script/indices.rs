//! The indices of a component: how many items of each kind its sections define, so that more can be added at its end.

use wasmparser::{
    BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentAliasSectionReader,
    ComponentExternalKind, ComponentOuterAliasKind, ExternalKind, Parser, Payload,
};

/// The number of items of the outermost component, by kind. The next item of a kind gets this index.
#[derive(Debug, Default)]
pub(super) struct Indices {
    pub(super) types: u32,
    pub(super) functions: u32,
    pub(super) core_functions: u32,
    pub(super) core_memories: u32,
}

impl Indices {
    /// Counts the items of a component.
    pub(super) fn of(component: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut indices = Self::default();
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                payload if depth == 0 => indices.read(payload)?,
                _ => {}
            }
        }
        Ok(indices)
    }

    fn read(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ComponentTypeSection(section) => self.types += section.count(),
            Payload::ComponentAliasSection(section) => self.read_aliases(section)?,
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    match function? {
                        CanonicalFunction::Lift { .. } => self.functions += 1,
                        _ => self.core_functions += 1,
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.add(import?.ty.kind());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.add(export?.kind);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_aliases(
        &mut self,
        section: ComponentAliasSectionReader<'_>,
    ) -> Result<(), BinaryReaderError> {
        for alias in section {
            match alias? {
                ComponentAlias::CoreInstanceExport { kind, .. } => match kind {
                    ExternalKind::Func => self.core_functions += 1,
                    ExternalKind::Memory => self.core_memories += 1,
                    _ => {}
                },
                ComponentAlias::InstanceExport { kind, .. } => self.add(kind),
                ComponentAlias::Outer {
                    kind: ComponentOuterAliasKind::Type,
                    ..
                } => self.types += 1,
                ComponentAlias::Outer { .. } => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Func => self.functions += 1,
            ComponentExternalKind::Type => self.types += 1,
            _ => {}
        }
    }
}
