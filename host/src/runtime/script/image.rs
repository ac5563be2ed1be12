//! Memory images: the memory with which the instances of a script begin, as a core module without code of its own.
//!
//! The code of the runner imports its memory and its globals from such a module. A script is therefore loaded without
//! compiling anything but the functions of its image, which only copy and clear memory.

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
/// Zeros between parts of the memory that are filled in and not copied when an instance is rewound.
const COPIED_GAP: usize = 1024;
/// Parts that are copied at most. Each costs some instructions that are compiled when the script is loaded.
const MAX_COPIED: usize = 64;
/// Segments of one image at most. WebAssembly's implementation limit is 100,000.
const MAX_SEGMENTS: usize = 50_000;

/// The name of the export that returns the whole memory.
pub(super) const PEEK: &str = "peek";
/// The name of the export that makes the memory what it was when the instance began. It returns false if the memory has
/// grown, and in an image that cannot do this.
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
        let parts = self.copied();
        let mut types = TypeSection::new();
        types.ty().function([], [ValType::I32]);
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0).function(0).function(1);
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
            code.function(&self.rewind(&parts))
                .function(&self.fill(&parts));
        } else {
            code.function(&unable()).function(&nothing());
        }
        let mut data = DataSection::new();
        if self.can_rewind() {
            for (_, bytes) in &parts {
                data.passive(bytes.iter().copied());
            }
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

    /// Returns the parts of the memory that are not zero, each with its small gaps, by address: at most [`MAX_COPIED`].
    fn copied(&self) -> Vec<(u32, Vec<u8>)> {
        let mut gap = COPIED_GAP;
        loop {
            let parts = self.parts(gap);
            if parts.len() <= MAX_COPIED {
                return parts;
            }
            gap *= 4;
        }
    }

    /// Returns the parts of the memory that are not zero, each with all gaps of at most `gap` zeros.
    fn parts(&self, gap: usize) -> Vec<(u32, Vec<u8>)> {
        let mut parts: Vec<(u32, Vec<u8>)> = Vec::new();
        for (address, bytes) in &self.data {
            match parts.last_mut() {
                Some((first, part)) if *address as usize - end_of(*first, part) <= gap => {
                    part.resize((*address - *first) as usize, 0);
                    part.extend_from_slice(bytes);
                }
                _ => parts.push((*address, bytes.clone())),
            }
        }
        parts
    }

    /// Makes the function that gives an empty memory its content.
    fn fill(&self, parts: &[(u32, Vec<u8>)]) -> Function {
        let mut function = Function::new([]);
        let mut code = function.instructions();
        for (index, (address, bytes)) in (0..).zip(parts) {
            code.i32_const(address.cast_signed())
                .i32_const(0)
                .i32_const(bytes.len() as i32)
                .memory_init(0, index);
        }
        code.end();
        function
    }

    /// Makes the function that gives the memory of an instance its first content again.
    fn rewind(&self, parts: &[(u32, Vec<u8>)]) -> Function {
        let mut function = Function::new([]);
        let mut code = function.instructions();
        code.memory_size(0)
            .i32_const(self.memory.minimum as i32)
            .i32_ne()
            .if_(BlockType::Empty)
            .i32_const(0)
            .return_()
            .end();
        let begins = parts.iter().map(|(address, _)| *address as usize);
        let ends = parts.iter().map(|(address, bytes)| end_of(*address, bytes));
        // From the end of each part to the beginning of the next one.
        let all_begins = begins.chain([self.size() as usize]);
        for (end, begin) in [0].into_iter().chain(ends).zip(all_begins) {
            code.i32_const(end as i32)
                .i32_const(0)
                .i32_const((begin - end) as i32)
                .memory_fill(0);
        }
        code.call(FILL).i32_const(1).end();
        function
    }

    /// Returns the type of the module, which every image of the same runner has.
    pub(super) fn ty(&self) -> ModuleType {
        let mut ty = ModuleType::new();
        ty.ty().function([], [ValType::I32]);
        ty.ty().function([], []);
        ty.export(MEMORY, EntityType::Memory(self.smallest()))
            .export(PEEK, EntityType::Function(0))
            .export(REWIND, EntityType::Function(0));
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

/// Returns the address behind a part of the memory.
fn end_of(address: u32, bytes: &[u8]) -> usize {
    address as usize + bytes.len()
}

/// Makes the function [`REWIND`] of an image whose instances are not rewound.
fn unable() -> Function {
    let mut function = Function::new([]);
    function.instructions().i32_const(0).end();
    function
}

/// Makes a function that does nothing.
fn nothing() -> Function {
    let mut function = Function::new([]);
    function.instructions().end();
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
    fn i14_1_an_image_is_copied_in_parts_with_their_small_gaps() {
        let mut memory = vec![0_u8; PAGE];
        (memory[100], memory[500], memory[50_000]) = (1, 2, 3);
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
        let mut many = vec![0_u8; 16 * PAGE];
        many.iter_mut().step_by(2000).for_each(|byte| *byte = 1);
        assert!(image.with_content(&many).copied().len() <= MAX_COPIED);
        // Segments consist of whole words.
        let copied = image.copied();
        let parts = copied.iter().map(|(first, part)| (*first, part.as_slice()));
        let wanted = [(96, &memory[96..504]), (50_000, &memory[50_000..50_008])];
        assert_eq!(parts.collect::<Vec<_>>(), wanted);
        let empty = Image {
            data: Vec::new(),
            ..image.clone()
        };
        for image in [image, empty] {
            let mut validator = wasmparser::Validator::new();
            validator.validate_all(&image.encode()).unwrap();
        }
    }

    #[test]
    fn i14_1_a_memory_with_many_holes_has_as_many_segments_as_a_module_may_have() {
        let mut memory = vec![0_u8; 16 << 20];
        memory.iter_mut().step_by(128).for_each(|byte| *byte = 1);
        assert!(segments(&memory).len() <= MAX_SEGMENTS);
    }
}
