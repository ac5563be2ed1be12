//! Memory images: the memory with which the instances of a script begin, as a core module without code of its own.
//!
//! The code of the runner imports its memory and its globals from such a module. A script is therefore loaded without
//! compiling anything but the one function of its image.

use std::ops::Range;

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataCountSection, DataSection, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, MemArg, MemorySection,
    MemoryType, Module, ModuleType, StartSection, TypeSection, ValType,
};

use crate::runtime::engine::KEEP_RESIDENT;

/// Bytes of one page of WebAssembly.
const PAGE: usize = 1 << 16;
/// Bytes that are looked at together. Most blocks of a memory are empty.
const BLOCK: usize = 4096;
/// Bytes of one word. Segments begin and end with words.
const WORD: usize = 8;
/// Zeros that end a segment. Fewer cost less than the head of another segment.
const GAP: usize = 32;
/// Segments of one image at most. WebAssembly's implementation limit is 100,000.
const MAX_SEGMENTS: usize = 50_000;

/// The name of the export that returns the whole memory.
pub(super) const PEEK: &str = "peek";
/// The name of the export that makes the memory what it was when the instance began. It traps if the memory has grown,
/// and in an image that cannot do this.
pub(in crate::runtime) const REWIND: &str = "rewind";
/// The index of the function that gives an empty memory its content.
const FILL: u32 = 2;
/// The name of the exported memory.
pub(super) const MEMORY: &str = "memory";

/// A memory with its content, and the globals that code imports with it.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) memory: MemoryType,
    pub(super) globals: Vec<(GlobalType, ConstExpr)>,
    /// The parts of the memory that are not zero, by address.
    pub(super) data: Vec<(u32, Vec<u8>)>,
}

/// Returns the name under which a global is exported and imported.
pub(super) fn global_name(index: usize) -> String {
    format!("g{index}")
}

impl Image {
    /// Returns an image with another content of the memory, and the same globals.
    pub(super) fn with_content(&self, content: &[u8]) -> Self {
        Self {
            memory: MemoryType {
                minimum: (content.len() / PAGE) as u64,
                ..self.memory
            },
            globals: self.globals.clone(),
            data: segments(content),
        }
    }

    /// Returns the size of the memory in bytes.
    pub(super) fn size(&self) -> u64 {
        self.memory.minimum * PAGE as u64
    }

    /// Returns true if [`REWIND`] makes an instance what it was. It writes all of the memory, which costs less than
    /// another instance as long as the memory stays resident.
    pub(super) fn can_rewind(&self) -> bool {
        self.size() <= KEEP_RESIDENT as u64
    }

    /// Encodes the image as a module that exports the memory, the globals, [`PEEK`] and [`REWIND`]. Its memory has the
    /// content from the start: of a large one, only the pages that a call uses.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], [ValType::I32]);
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0).function(1).function(1);
        let mut memories = MemorySection::new();
        memories.memory(self.memory);
        let mut globals = GlobalSection::new();
        let mut exports = ExportSection::new();
        exports
            .export(MEMORY, ExportKind::Memory, 0)
            .export(PEEK, ExportKind::Func, 0)
            .export(REWIND, ExportKind::Func, 1);
        for (index, (ty, value)) in (0..).zip(&self.globals) {
            globals.global(*ty, value);
            exports.export(&global_name(index as usize), ExportKind::Global, index);
        }
        let mut code = CodeSection::new();
        code.function(&peek());
        if self.can_rewind() {
            code.function(&self.rewind()).function(&self.fill());
        } else {
            code.function(&trap()).function(&trap());
        }
        let mut data = DataSection::new();
        if self.can_rewind() {
            data.passive(self.content());
        } else {
            for (address, bytes) in &self.data {
                let offset = ConstExpr::i32_const(address.cast_signed());
                data.active(0, &offset, bytes.iter().copied());
            }
        }
        let mut module = Module::new();
        module
            .section(&types)
            .section(&functions)
            .section(&memories)
            .section(&globals)
            .section(&exports);
        if self.can_rewind() {
            module.section(&StartSection {
                function_index: FILL,
            });
        }
        module
            .section(&DataCountSection { count: data.len() })
            .section(&code)
            .section(&data);
        module.finish()
    }

    /// Returns the range of the memory in which everything lies that is not zero.
    fn range(&self) -> Range<usize> {
        let begin = |(address, _): &(u32, Vec<u8>)| *address as usize;
        let first = self.data.iter().map(begin).min();
        let last = self.data.iter().map(|one| begin(one) + one.1.len()).max();
        first.unwrap_or_default()..last.unwrap_or_default()
    }

    /// Returns the bytes of that range.
    fn content(&self) -> Vec<u8> {
        let range = self.range();
        let mut content = vec![0; range.len()];
        for (address, bytes) in &self.data {
            content[*address as usize - range.start..][..bytes.len()].copy_from_slice(bytes);
        }
        content
    }

    /// Makes the function that gives an empty memory its content.
    fn fill(&self) -> Function {
        let range = self.range();
        let mut function = Function::new([]);
        function
            .instructions()
            .i32_const(range.start as i32)
            .i32_const(0)
            .i32_const(range.len() as i32)
            .memory_init(0, 0)
            .end();
        function
    }

    /// Makes the function that gives the memory of an instance its first content again.
    fn rewind(&self) -> Function {
        let range = self.range();
        let mut function = Function::new([]);
        function
            .instructions()
            .memory_size(0)
            .i32_const(self.memory.minimum as i32)
            .i32_ne()
            .if_(BlockType::Empty)
            .unreachable()
            .end()
            .i32_const(0)
            .i32_const(0)
            .i32_const(range.start as i32)
            .memory_fill(0)
            .i32_const(range.end as i32)
            .i32_const(0)
            .i32_const((self.size() as usize - range.end) as i32)
            .memory_fill(0)
            .call(FILL)
            .end();
        function
    }

    /// Returns the type of the module, which every image of the same runner has.
    pub(super) fn ty(&self) -> ModuleType {
        let mut ty = ModuleType::new();
        ty.ty().function([], [ValType::I32]);
        ty.ty().function([], []);
        ty.export(MEMORY, EntityType::Memory(self.smallest()))
            .export(PEEK, EntityType::Function(0))
            .export(REWIND, EntityType::Function(1));
        for (index, (global, _)) in self.globals.iter().enumerate() {
            ty.export(&global_name(index), EntityType::Global(*global));
        }
        ty
    }

    /// Returns the type of the memory that code imports: images may be larger.
    pub(super) fn smallest(&self) -> MemoryType {
        MemoryType {
            minimum: 1,
            ..self.memory
        }
    }
}

/// Makes a function that traps.
fn trap() -> Function {
    let mut function = Function::new([]);
    function.instructions().unreachable().end();
    function
}

/// Makes the function that returns the whole memory as a list: the address of a pair (address, length). The pair lies
/// in a page of its own, so that the memory is not changed.
fn peek() -> Function {
    let field = |offset| MemArg {
        align: 2,
        offset,
        memory_index: 0,
    };
    let mut function = Function::new([(1, ValType::I32)]);
    function
        .instructions()
        .i32_const(1)
        .memory_grow(0)
        .local_tee(0)
        .i32_const(-1)
        .i32_eq()
        .if_(BlockType::Empty)
        .unreachable()
        .end()
        .local_get(0)
        .i32_const(PAGE.trailing_zeros().cast_signed())
        .i32_shl()
        .local_tee(0)
        .i32_const(0)
        .i32_store(field(0))
        .local_get(0)
        .local_get(0)
        .i32_store(field(4))
        .local_get(0)
        .end();
    function
}

/// Returns the parts of a memory that are not zero, by address: as many as a module may have at most.
fn segments(memory: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut gap = GAP;
    loop {
        let ranges = ranges(memory, gap);
        if ranges.len() <= MAX_SEGMENTS {
            let segment = |range: Range<usize>| (range.start as u32, memory[range].to_vec());
            return ranges.into_iter().map(segment).collect();
        }
        gap *= 4;
    }
}

/// Returns the ranges of a memory that are not zero, each with all gaps of at most `gap` zeros.
fn ranges(memory: &[u8], gap: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (number, block) in memory.chunks(BLOCK).enumerate() {
        if block.iter().all(|byte| *byte == 0) {
            continue;
        }
        let begin = number * BLOCK;
        for (index, word) in block.chunks(WORD).enumerate() {
            if word.iter().all(|byte| *byte == 0) {
                continue;
            }
            let start = begin + index * WORD;
            let end = start + word.len();
            match ranges.last_mut() {
                Some(last) if start - last.end <= gap => last.end = end,
                _ => ranges.push(start..end),
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i14_1_segments_hold_everything_but_zeros() {
        let mut memory = vec![0_u8; 4 * BLOCK];
        for (address, byte) in [(0, 1), (BLOCK - 1, 2), (BLOCK, 3), (3 * BLOCK + 100, 4)] {
            memory[address] = byte;
        }
        let segments = segments(&memory);
        assert_eq!(segments.len(), 3, "{segments:?}");
        let mut again = vec![0_u8; memory.len()];
        for (address, bytes) in segments {
            again[address as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        assert_eq!(again, memory);
    }

    #[test]
    fn i14_1_an_image_is_one_range_from_its_first_byte_to_its_last() {
        let mut memory = vec![0_u8; PAGE];
        (memory[100], memory[50_000]) = (1, 2);
        let ty = MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        };
        let image = Image {
            memory: ty,
            globals: Vec::new(),
            data: segments(&memory),
        };
        // Segments consist of whole words.
        assert_eq!(image.range(), 96..50_008);
        assert_eq!(image.content(), memory[image.range()]);
        wasmparser::Validator::new()
            .validate_all(&image.encode())
            .unwrap();
        let empty = Image {
            data: Vec::new(),
            ..image
        };
        wasmparser::Validator::new()
            .validate_all(&empty.encode())
            .unwrap();
    }

    #[test]
    fn i14_1_a_memory_with_many_holes_has_as_many_segments_as_a_module_may_have() {
        let mut memory = vec![0_u8; 16 << 20];
        memory.iter_mut().step_by(128).for_each(|byte| *byte = 1);
        assert!(segments(&memory).len() <= MAX_SEGMENTS);
    }
}
