//! Takes the runner's core module apart: code that imports its memory and globals, and the image that defines them.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    ConstExpr, EntityType, GlobalType, ImportSection, MemoryType, Module, RawSection, TypeSection,
    ValType,
};
use wasmparser::{DataKind, Operator, Parser, Payload, TypeRef};

use super::image::{Image, MEMORY, global_name};

/// The name under which code imports the exports of its image.
pub(super) const IMAGE: &str = "hitchy:image";

/// A core module that was taken apart.
pub(super) struct Parts {
    pub(super) code: Vec<u8>,
    pub(super) image: Image,
}

/// The runner is not as this server expects it. Tests see to it that this does not happen.
#[derive(Debug, thiserror::Error)]
#[error("the runner of scripts cannot be taken apart: {0}")]
pub(super) struct Unexpected(pub(super) String);

impl Unexpected {
    pub(super) fn new(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// Takes a core module apart.
pub(super) fn take_apart(module: &[u8]) -> Result<Parts, Unexpected> {
    let mut reader = Reader::default();
    for payload in Parser::new(0).parse_all(module) {
        reader.read(payload.map_err(Unexpected::new)?, module)?;
    }
    reader.finish()
}

/// What was read of a module.
#[derive(Default)]
struct Reader<'a> {
    types: TypeSection,
    imports: ImportSection,
    memory: Option<MemoryType>,
    globals: Vec<(GlobalType, ConstExpr)>,
    data: Vec<(u32, Vec<u8>)>,
    /// The sections that stay as they are.
    rest: Vec<RawSection<'a>>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, payload: Payload<'_>, module: &'a [u8]) -> Result<(), Unexpected> {
        let stays = match &payload {
            Payload::TypeSection(section) => {
                for ty in section.clone().into_iter_err_on_gc_types() {
                    self.add_type(&ty.map_err(Unexpected::new)?)?;
                }
                false
            }
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    self.add_import(import.map_err(Unexpected::new)?)?;
                }
                false
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    let memory = memory.map_err(Unexpected::new)?;
                    self.memory = Some(
                        RoundtripReencoder
                            .memory_type(memory)
                            .map_err(Unexpected::new)?,
                    );
                }
                false
            }
            Payload::GlobalSection(section) => {
                for global in section.clone() {
                    self.add_global(global.map_err(Unexpected::new)?)?;
                }
                false
            }
            Payload::DataSection(section) => {
                for data in section.clone() {
                    self.add_data(data.map_err(Unexpected::new)?)?;
                }
                false
            }
            // Sections with what others read, as the translator, are no code.
            Payload::DataCountSection { .. } | Payload::CustomSection(_) => false,
            Payload::StartSection { .. } => return Err(Unexpected::new("it has a start function")),
            _ => true,
        };
        if let (true, Some((id, range))) = (stays, payload.as_section()) {
            let data = &module[range];
            self.rest.push(RawSection { id, data });
        }
        Ok(())
    }

    fn add_type(&mut self, ty: &wasmparser::FuncType) -> Result<(), Unexpected> {
        let convert = |types: &[wasmparser::ValType]| {
            let converted = types.iter().map(|ty| RoundtripReencoder.val_type(*ty));
            converted.collect::<Result<Vec<ValType>, _>>()
        };
        let params = convert(ty.params()).map_err(Unexpected::new)?;
        let results = convert(ty.results()).map_err(Unexpected::new)?;
        self.types.ty().function(params, results);
        Ok(())
    }

    fn add_import(&mut self, import: wasmparser::Import<'_>) -> Result<(), Unexpected> {
        let TypeRef::Func(ty) = import.ty else {
            return Err(Unexpected::new("it imports more than functions"));
        };
        let ty = EntityType::Function(ty);
        self.imports.import(import.module, import.name, ty);
        Ok(())
    }

    fn add_global(&mut self, global: wasmparser::Global<'_>) -> Result<(), Unexpected> {
        let ty = RoundtripReencoder
            .global_type(global.ty)
            .map_err(Unexpected::new)?;
        let value = RoundtripReencoder
            .const_expr(global.init_expr)
            .map_err(Unexpected::new)?;
        self.globals.push((ty, value));
        Ok(())
    }

    fn add_data(&mut self, data: wasmparser::Data<'_>) -> Result<(), Unexpected> {
        let DataKind::Active { offset_expr, .. } = data.kind else {
            return Err(Unexpected::new("it has passive data"));
        };
        let offset = offset_expr.get_operators_reader().read();
        let Ok(Operator::I32Const { value }) = offset else {
            return Err(Unexpected::new("its data has an address that is computed"));
        };
        self.data.push((value.cast_unsigned(), data.data.to_vec()));
        Ok(())
    }

    fn finish(mut self) -> Result<Parts, Unexpected> {
        let memory = self
            .memory
            .ok_or_else(|| Unexpected::new("it has no memory"))?;
        // The image has the globals as they were before `init`. Only the stack pointer changes, and it has its first
        // value again once `init` has returned.
        if self.globals.iter().filter(|(ty, _)| ty.mutable).count() > 1 {
            return Err(Unexpected::new("several of its globals change"));
        }
        let image = Image {
            memory,
            globals: std::mem::take(&mut self.globals),
            data: std::mem::take(&mut self.data),
        };
        let memory = EntityType::Memory(image.smallest());
        self.imports.import(IMAGE, MEMORY, memory);
        for (index, (ty, _)) in image.globals.iter().enumerate() {
            let name = global_name(index);
            self.imports.import(IMAGE, &name, EntityType::Global(*ty));
        }
        let mut code = Module::new();
        code.section(&self.types).section(&self.imports);
        for section in &self.rest {
            code.section(section);
        }
        Ok(Parts {
            code: code.finish(),
            image,
        })
    }
}
