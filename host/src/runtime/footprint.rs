//! The footprint of a component: the memories, tables and core instances with which an instance of it begins.
//!
//! The file is only parsed. What it imports from elsewhere counts as nothing, so that a footprint is never too large.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, Instance, MemorySectionReader, Parser,
    Payload, TableSectionReader,
};

use super::engine::{
    MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_MODULE_MEMORIES, MAX_MODULE_TABLES, MAX_TABLE_ELEMENTS,
    MAX_TABLES,
};
use super::error::LoadError;
use super::instance::limits::MemoryBudget;
use super::settings::HandlerSettings;

/// What an instance of a module or component has when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// Size of all memories together, in bytes.
    pub(super) memory: u64,
    memories: u64,
    tables: u64,
    /// Number of elements of the largest table.
    largest_table: u64,
    core_instances: u64,
    /// The largest number of memories that one module defines.
    module_memories: u64,
    /// The largest number of tables that one module defines.
    module_tables: u64,
}

impl Footprint {
    /// Reads the footprint of a component.
    pub(super) fn of(wasm: &[u8]) -> Result<Self, BinaryReaderError> {
        // The outermost frame receives the component itself.
        let mut frames = vec![Frame::default()];
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { encoding, .. } => frames.push(Frame {
                    is_module: encoding == Encoding::Module,
                    ..Frame::default()
                }),
                Payload::End(_) => close(&mut frames),
                payload => read(payload, &mut frames)?,
            }
        }
        let outermost = frames.first().and_then(|frame| frame.components.first());
        Ok(outermost.copied().unwrap_or_default())
    }

    /// Returns the same footprint with another size of all memories together, in bytes.
    pub(super) fn with_memory(self, memory: u64) -> Self {
        Self { memory, ..self }
    }

    /// Fails if an instance could not even begin within the limits.
    pub(super) fn check(
        &self,
        settings: &HandlerSettings,
        budget: &MemoryBudget,
    ) -> Result<(), LoadError> {
        for (what, count, max) in [
            ("memories", self.memories, MAX_MEMORIES),
            (
                "memories in one module",
                self.module_memories,
                MAX_MODULE_MEMORIES,
            ),
            ("tables", self.tables, MAX_TABLES),
            (
                "tables in one module",
                self.module_tables,
                MAX_MODULE_TABLES,
            ),
            (
                "elements in one table",
                self.largest_table,
                MAX_TABLE_ELEMENTS,
            ),
            ("core instances", self.core_instances, MAX_CORE_INSTANCES),
        ] {
            if count > max as u64 {
                return Err(LoadError::Footprint { count, what, max });
            }
        }
        let initial = self.memory;
        if initial > budget.total() as u64 {
            let budget = budget.total();
            return Err(LoadError::InitialMemoryBudget { initial, budget });
        }
        if initial > settings.memory as u64 {
            let limit = settings.memory;
            return Err(LoadError::InitialMemory { initial, limit });
        }
        Ok(())
    }

    /// Adds an instance of a module or component.
    fn add(&mut self, other: Self) {
        self.memory = self.memory.saturating_add(other.memory);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.largest_table = self.largest_table.max(other.largest_table);
        self.module_memories = self.module_memories.max(other.module_memories);
        self.module_tables = self.module_tables.max(other.module_tables);
    }
}

/// A module or component that is being read, with the modules and components that it can instantiate, by index.
#[derive(Default)]
struct Frame {
    is_module: bool,
    footprint: Footprint,
    modules: Vec<Footprint>,
    components: Vec<Footprint>,
}

/// Ends the innermost module or component, and adds it to the indices of the one around it.
fn close(frames: &mut Vec<Frame>) {
    let Some(closed) = frames.pop() else {
        return;
    };
    let Some(around) = frames.last_mut() else {
        return;
    };
    let mut footprint = closed.footprint;
    if closed.is_module {
        footprint.core_instances = 1;
        footprint.module_memories = footprint.memories;
        footprint.module_tables = footprint.tables;
        around.modules.push(footprint);
    } else {
        around.components.push(footprint);
    }
}

/// Reads one section into the innermost frame.
fn read(payload: Payload<'_>, frames: &mut [Frame]) -> Result<(), BinaryReaderError> {
    let Some((frame, around)) = frames.split_last_mut() else {
        return Ok(());
    };
    match payload {
        Payload::MemorySection(section) => add_memories(&mut frame.footprint, section)?,
        Payload::TableSection(section) => add_tables(&mut frame.footprint, section)?,
        Payload::InstanceSection(section) => {
            for instance in section {
                if let Instance::Instantiate { module_index, .. } = instance? {
                    frame.footprint.add(at(&frame.modules, module_index));
                }
            }
        }
        Payload::ComponentInstanceSection(section) => {
            for instance in section {
                if let ComponentInstance::Instantiate {
                    component_index, ..
                } = instance?
                {
                    frame.footprint.add(at(&frame.components, component_index));
                }
            }
        }
        Payload::ComponentAliasSection(section) => {
            for alias in section {
                frame.alias(&alias?, around);
            }
        }
        Payload::ComponentImportSection(section) => {
            for import in section {
                frame.import(import?.ty);
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section {
                let export = export?;
                frame.export(export.kind, export.index);
            }
        }
        _ => {}
    }
    Ok(())
}

impl Frame {
    /// Adds the index of an alias. An alias from outside has its index there, counted from the innermost component.
    fn alias(&mut self, alias: &ComponentAlias<'_>, around: &[Self]) {
        match *alias {
            ComponentAlias::Outer { kind, count, index } => {
                let outer = match count {
                    0 => Some(&*self),
                    count => around.iter().rev().nth(count as usize - 1),
                };
                match kind {
                    ComponentOuterAliasKind::CoreModule => {
                        let module = outer.map(|outer| at(&outer.modules, index));
                        self.modules.push(module.unwrap_or_default());
                    }
                    ComponentOuterAliasKind::Component => {
                        let component = outer.map(|outer| at(&outer.components, index));
                        self.components.push(component.unwrap_or_default());
                    }
                    _ => {}
                }
            }
            ComponentAlias::InstanceExport { kind, .. } => self.add_unknown(kind),
            ComponentAlias::CoreInstanceExport { .. } => {}
        }
    }

    fn import(&mut self, ty: ComponentTypeRef) {
        match ty {
            ComponentTypeRef::Module(_) => self.modules.push(Footprint::default()),
            ComponentTypeRef::Component(_) => self.components.push(Footprint::default()),
            _ => {}
        }
    }

    /// Adds the index that an export makes for what it exports.
    fn export(&mut self, kind: ComponentExternalKind, index: u32) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(at(&self.modules, index)),
            ComponentExternalKind::Component => self.components.push(at(&self.components, index)),
            _ => {}
        }
    }

    fn add_unknown(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(Footprint::default()),
            ComponentExternalKind::Component => self.components.push(Footprint::default()),
            _ => {}
        }
    }
}

fn at(list: &[Footprint], index: u32) -> Footprint {
    list.get(index as usize).copied().unwrap_or_default()
}

fn add_memories(
    footprint: &mut Footprint,
    section: MemorySectionReader<'_>,
) -> Result<(), BinaryReaderError> {
    for memory in section {
        let memory = memory?;
        let page = 1_u64
            .checked_shl(memory.page_size_log2.unwrap_or(16))
            .unwrap_or(u64::MAX);
        let size = memory.initial.saturating_mul(page);
        footprint.memory = footprint.memory.saturating_add(size);
        footprint.memories += 1;
    }
    Ok(())
}

fn add_tables(
    footprint: &mut Footprint,
    section: TableSectionReader<'_>,
) -> Result<(), BinaryReaderError> {
    for table in section {
        footprint.tables += 1;
        footprint.largest_table = footprint.largest_table.max(table?.ty.initial);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory_of(text: &str) -> u64 {
        let wasm = wat::parse_str(text).unwrap();
        Footprint::of(&wasm).unwrap().memory >> 16
    }

    #[test]
    fn i11_21_what_is_instantiated_counts_as_often_as_it_is() {
        for (text, pages) in [
            ("(component)", 0),
            // Defined, and never used.
            ("(component (core module (memory 5)))", 0),
            (
                "(component (core module $m (memory 5)) (core instance (instantiate $m)))",
                5,
            ),
            (
                "(component (core module $m (memory 5))
                   (core instance (instantiate $m)) (core instance (instantiate $m)))",
                10,
            ),
            (
                "(component (core module $a (memory 5)) (core module $b (memory 2))
                   (core instance (instantiate $a)) (core instance (instantiate $b)))",
                7,
            ),
            // A component in a component, its module once within and once from around it.
            (
                "(component (core module $m (memory 3))
                   (component $c (core module $n (memory 4))
                     (core instance (instantiate $n))
                     (alias outer 1 $m (core module $o)) (core instance (instantiate $o)))
                   (instance (instantiate $c)) (instance (instantiate $c)))",
                14,
            ),
            (
                "(component (component (core module $m (memory 4)) (core instance (instantiate $m))))",
                0,
            ),
        ] {
            assert_eq!(memory_of(text), pages, "{text}");
        }
    }

    #[test]
    fn i11_21_components_that_multiply_are_counted_at_once() {
        let mut text =
            "(component $c0 (core module $m (memory 1)) (core instance (instantiate $m)))"
                .to_owned();
        for level in 1..70 {
            let below = level - 1;
            text = format!(
                "(component $c{level} {text} (instance (instantiate $c{below})) (instance (instantiate $c{below})))"
            );
        }
        let wasm =
            wat::parse_str(format!("(component {text} (instance (instantiate $c69)))")).unwrap();
        assert_eq!(Footprint::of(&wasm).unwrap().memory, u64::MAX);
    }
}
