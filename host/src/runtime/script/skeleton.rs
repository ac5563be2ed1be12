//! Makes a skeleton of the runner's component: the same component, but its main module imports its memory, and the
//! component imports the image of it.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, Component, ComponentAliasSection,
    ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentSectionId,
    ComponentTypeRef, ComponentTypeSection, ComponentValType, CoreTypeSection, ExportKind,
    InstanceSection, ModuleArg, PrimitiveValType, RawSection,
};
use wasmparser::{Instance, Parser, Payload};

use super::image::{Image, MEMORY, PEEK, REWIND};
use super::indices::Indices;
use super::parts::{IMAGE, Parts, Unexpected, take_apart};

/// The name under which the skeleton imports the image.
pub(super) const IMAGE_MODULE: &str = "hitchy-image";

/// A component that was taken apart.
pub(super) struct Split {
    pub(super) skeleton: Vec<u8>,
    /// The image before anything has run.
    pub(super) image: Image,
}

/// Takes a component apart whose modules have one memory between them.
pub(super) fn split(component: &[u8]) -> Result<Split, Unexpected> {
    let (index, module) = main_module(component)?;
    let Parts { code, image } = take_apart(module)?;
    let mut skeleton = Component::new();
    import_image(&mut skeleton, &image);
    let mut rest = Rest {
        next: 0,
        main: index,
        code: &code,
    };
    rest.parse_component(&mut skeleton, Parser::new(0), component)
        .map_err(Unexpected::new)?;
    let indices = Indices::of(component).map_err(Unexpected::new)?;
    export_functions(&mut skeleton, &indices);
    Ok(Split {
        skeleton: skeleton.finish(),
        image,
    })
}

/// Finds the module that defines the memory, with its index.
fn main_module(component: &[u8]) -> Result<(u32, &[u8]), Unexpected> {
    let mut found = None;
    let mut index = 0;
    for payload in Parser::new(0).parse_all(component) {
        let Payload::ModuleSection {
            unchecked_range, ..
        } = payload.map_err(Unexpected::new)?
        else {
            continue;
        };
        let module = &component[unchecked_range];
        let has_memory = Parser::new(0)
            .parse_all(module)
            .any(|payload| matches!(payload, Ok(Payload::MemorySection(_))));
        if has_memory && found.replace((index, module)).is_some() {
            return Err(Unexpected::new("two of its modules have memories"));
        }
        index += 1;
    }
    found.ok_or_else(|| Unexpected::new("none of its modules has a memory"))
}

/// Imports the image as core module 0, and instantiates it as core instance 0.
fn import_image(skeleton: &mut Component, image: &Image) {
    let mut types = CoreTypeSection::new();
    types.ty().module(&image.ty());
    let mut imports = ComponentImportSection::new();
    imports.import(IMAGE_MODULE, ComponentTypeRef::Module(0));
    let mut instances = InstanceSection::new();
    instances.instantiate::<[(&str, ModuleArg); 0], &str>(0, []);
    skeleton
        .section(&types)
        .section(&imports)
        .section(&instances);
}

/// Exports the functions of the image.
fn export_functions(skeleton: &mut Component, indices: &Indices) {
    let mut aliases = ComponentAliasSection::new();
    for (kind, name) in [
        (ExportKind::Func, PEEK),
        (ExportKind::Func, REWIND),
        (ExportKind::Memory, MEMORY),
    ] {
        aliases.alias(Alias::CoreInstanceExport {
            instance: 0,
            kind,
            name,
        });
    }
    let (list, returns_list, returns_bool) = (indices.types, indices.types + 1, indices.types + 2);
    let mut types = ComponentTypeSection::new();
    types
        .defined_type()
        .list(ComponentValType::Primitive(PrimitiveValType::U8));
    let none: [(&str, ComponentValType); 0] = [];
    types
        .function()
        .params(none)
        .result(Some(ComponentValType::Type(list)));
    types
        .function()
        .params(none)
        .result(Some(ComponentValType::Primitive(PrimitiveValType::Bool)));
    let mut lifted = CanonicalFunctionSection::new();
    let memory = CanonicalOption::Memory(indices.core_memories);
    lifted
        .lift(indices.core_functions, returns_list, [memory])
        .lift(indices.core_functions + 1, returns_bool, []);
    let mut exports = ComponentExportSection::new();
    exports
        .export(PEEK, ComponentExportKind::Func, indices.functions, None)
        .export(
            REWIND,
            ComponentExportKind::Func,
            indices.functions + 1,
            None,
        );
    skeleton
        .section(&aliases)
        .section(&types)
        .section(&lifted)
        .section(&exports);
}

/// Copies the rest of the component. Its modules and core instances are counted on after those of the image.
struct Rest<'a> {
    /// The index of the next module.
    next: u32,
    /// The index of the module that `code` replaces.
    main: u32,
    code: &'a [u8],
}

type Reencoded<T> = Result<T, Error<Infallible>>;

impl Reencode for Rest<'_> {
    type Error = Infallible;
}

impl ReencodeComponent for Rest<'_> {
    fn module_index(&mut self, index: u32) -> u32 {
        index + 1
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        index + 1
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        _: Parser,
        module: &[u8],
    ) -> Reencoded<()> {
        let index = self.next;
        self.next += 1;
        let data = if index == self.main {
            self.code
        } else {
            module
        };
        let id = ComponentSectionId::CoreModule as u8;
        component.section(&RawSection { id, data });
        Ok(())
    }

    fn parse_instance(
        &mut self,
        instances: &mut InstanceSection,
        instance: Instance<'_>,
    ) -> Reencoded<()> {
        match instance {
            Instance::Instantiate { module_index, args } => {
                let args = args.iter();
                let mut args: Vec<_> = args
                    .map(|arg| (arg.name, ModuleArg::Instance(arg.index + 1)))
                    .collect();
                if module_index == self.main {
                    args.push((IMAGE, ModuleArg::Instance(0)));
                }
                instances.instantiate(module_index + 1, args);
            }
            Instance::FromExports(exports) => {
                let exports = exports.iter().map(|export| {
                    let kind = self.export_kind(export.kind)?;
                    Ok((export.name, kind, export.index))
                });
                instances.export_items(exports.collect::<Reencoded<Vec<_>>>()?);
            }
        }
        Ok(())
    }

    fn parse_component_custom_section(
        &mut self,
        _: &mut Component,
        _: wasmparser::CustomSectionReader<'_>,
    ) -> Reencoded<()> {
        Ok(())
    }
}
