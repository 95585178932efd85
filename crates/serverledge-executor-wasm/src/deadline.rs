//! The deadline variant of a module, for hosts that cannot stop a guest from outside: in WebKit a Worker that is ended
//! goes on with a loop in WebAssembly. This variant asks its host again and again whether its time is over.
//!
//! It counts down in a global, at the entry of functions, at each turn of loops, and by the length of what one
//! instruction fills or copies. When the count is used up it calls
//! the import `serverledge_edge.deadline`. The host ends it with an exception from there. The count is filled up only
//! after the import has returned, so a guest whose time is over gets no further than to its next check.
//!
//! The import must not call the guest, which would ask again at once. Loops are not unrolled before (`unroll`): that
//! gains up to a half of a tight loop, and costs a quarter of the module's size and time of compilation.

use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, Function, FunctionSection, GlobalSection,
    GlobalType, ImportSection, Instruction, Module, SectionId, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionBody, FunctionSectionReader,
    GlobalSectionReader, ImportSectionReader, Operator, Parser, Payload, TypeRef,
    TypeSectionReader,
};

/// The import that asks whether time is over: no parameters, no results.
pub(crate) const IMPORT: (&str, &str) = ("serverledge_edge", "deadline");

/// Units between two calls of the import. A call of a function and a turn of a loop cost one or more.
const UNITS: i32 = 10_000;

/// Bytes of a function or a loop for each of which it costs another unit: time passes in long code, too. There are
/// that many because interpreters go through a small part of their long loop in a turn.
const BYTES_OF_A_UNIT: usize = 4096;

/// The binary logarithm of the bytes, or elements of a table, that are filled or copied for a unit.
const FILLED_OF_A_UNIT_LOG: i32 = 12;

/// Limits of WebAssembly's implementations (wasmparser 0.254, `limits.rs`; the JavaScript API's are the same).
mod limit {
    pub(super) const ITEMS: u32 = 1_000_000;
    pub(super) const FUNCTION_BYTES: usize = 7_654_321;
}

/// The deadline variant of a valid module in binary form. It has no custom sections. The same module always gives the
/// same bytes.
///
/// `None` for
/// - components, and whatever else is no core module;
/// - modules without functions, which need no variant;
/// - shared memories and 64-bit ones, and 64-bit tables: they are not part of this node;
/// - exceptions: a guest could catch the one that ends it;
/// - modules and functions that would be larger than implementations permit.
#[must_use]
pub fn with_deadline(module: &[u8]) -> Option<Vec<u8>> {
    let mut instrumenter = Instrumenter::new(&Census::read(module)?)?;
    let mut made = Module::new();
    instrumenter
        .parse_core_module(&mut made, Parser::new(0), module)
        .ok()?;
    Some(made.finish())
}

/// Numbers of a module's items, imported ones included.
#[derive(Default)]
struct Census {
    types: u32,
    imports: u32,
    imported_functions: u32,
    functions: u32,
    globals: u32,
}

/// A module that is refused.
#[derive(Debug)]
struct Refused;

type Error = reencode::Error<Refused>;

/// Writes a module anew, with checks.
struct Instrumenter {
    /// The type of a function without parameters and results.
    plain: u32,
    /// The import.
    deadline: u32,
    /// The function that calls the import and fills up the count.
    used_up: u32,
    /// The global with what is left of [`UNITS`].
    left: u32,
    /// A global for the length of what is about to be filled or copied.
    length: u32,
}

/// Lengths in bytes of a function's parts.
struct Lengths {
    function: usize,
    /// The loops, in the order in which they begin.
    loops: Vec<usize>,
    calls: bool,
}

// === impl Census ===

impl Census {
    fn read(module: &[u8]) -> Option<Self> {
        let mut census = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload.ok()? {
                Payload::TypeSection(types) => {
                    for group in types {
                        let more = u32::try_from(group.ok()?.types().len()).ok()?;
                        census.types = census.types.saturating_add(more);
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        census.imports = census.imports.saturating_add(1);
                        census.add(import.ok()?.ty)?;
                    }
                }
                Payload::FunctionSection(functions) => {
                    census.functions = census.functions.saturating_add(functions.count());
                }
                Payload::GlobalSection(globals) => {
                    census.globals = census.globals.saturating_add(globals.count());
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        census.add(TypeRef::Memory(memory.ok()?))?;
                    }
                }
                Payload::TableSection(tables) => {
                    for table in tables {
                        census.add(TypeRef::Table(table.ok()?.ty))?;
                    }
                }
                Payload::TagSection(_) => return None,
                _ => {}
            }
        }
        Some(census)
    }

    fn add(&mut self, item: TypeRef) -> Option<()> {
        match item {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                self.imported_functions += 1;
                self.functions += 1;
            }
            TypeRef::Global(_) => self.globals += 1,
            TypeRef::Memory(memory) if memory.shared || memory.memory64 => return None,
            TypeRef::Table(table) if table.table64 => return None,
            TypeRef::Tag(_) => return None,
            TypeRef::Memory(_) | TypeRef::Table(_) => {}
        }
        Some(())
    }
}

// === impl Instrumenter ===

impl Instrumenter {
    /// `None` if no function is defined, or if there are too many items for a few more.
    fn new(census: &Census) -> Option<Self> {
        // With the import.
        let used_up = census.functions.saturating_add(1);
        let length = census.globals.saturating_add(1);
        let numbers = [census.types, census.imports, used_up, length];
        let fits = numbers.into_iter().all(|number| number < limit::ITEMS);
        let has_code = census.functions > census.imported_functions;
        (fits && has_code).then_some(Self {
            plain: census.types,
            deadline: census.imported_functions,
            used_up,
            left: census.globals,
            length,
        })
    }

    /// Takes so many units, and calls the import if none are left.
    fn take(&self, units: i32, function: &mut Function) {
        function
            .instruction(&Instruction::GlobalGet(self.left))
            .instruction(&Instruction::I32Const(units))
            .instruction(&Instruction::I32Sub);
        self.set(function);
    }

    /// Takes units by the length on top of the stack, which stays there.
    fn take_by_length(&self, function: &mut Function) {
        function
            .instruction(&Instruction::GlobalSet(self.length))
            .instruction(&Instruction::GlobalGet(self.left))
            .instruction(&Instruction::GlobalGet(self.length))
            .instruction(&Instruction::I32Const(FILLED_OF_A_UNIT_LOG))
            .instruction(&Instruction::I32ShrU)
            .instruction(&Instruction::I32Sub);
        self.set(function);
        function.instruction(&Instruction::GlobalGet(self.length));
    }

    /// Takes what is left from the stack, and calls the import if that is nothing.
    fn set(&self, function: &mut Function) {
        function
            .instruction(&Instruction::GlobalSet(self.left))
            .instruction(&Instruction::GlobalGet(self.left))
            .instruction(&Instruction::I32Const(0))
            .instruction(&Instruction::I32LtS)
            .instruction(&Instruction::If(BlockType::Empty))
            .instruction(&Instruction::Call(self.used_up))
            .instruction(&Instruction::End);
    }

    fn add_import(&self, imports: &mut ImportSection) {
        imports.import(IMPORT.0, IMPORT.1, EntityType::Function(self.plain));
    }
}

fn add_globals(globals: &mut GlobalSection) {
    let ty = GlobalType {
        val_type: ValType::I32,
        mutable: true,
        shared: false,
    };
    globals.global(ty, &ConstExpr::i32_const(UNITS));
    globals.global(ty, &ConstExpr::i32_const(0));
}

/// The units that so many bytes cost.
fn units(bytes: usize) -> i32 {
    i32::try_from(bytes / BYTES_OF_A_UNIT).map_or(UNITS, |more| UNITS.min(more.saturating_add(1)))
}

impl Reencode for Instrumenter {
    type Error = Refused;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        Ok(function + u32::from(function >= self.deadline))
    }

    fn parse_custom_section(
        &mut self,
        _: &mut Module,
        _: CustomSectionReader<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error> {
        reencode::utils::parse_type_section(self, types, section)?;
        types.ty().function([], []);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error> {
        reencode::utils::parse_import_section(self, imports, section)?;
        self.add_import(imports);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        reencode::utils::parse_function_section(self, functions, section)?;
        functions.function(self.plain);
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error> {
        reencode::utils::parse_global_section(self, globals, section)?;
        add_globals(globals);
        Ok(())
    }

    /// Adds sections that the module does not have.
    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), Error> {
        // Their numbers give the order of all sections here but that of the count of data, which lies behind both.
        let is_missing = |section| {
            let number = u8::from(section);
            after.map(u8::from) < Some(number) && before.map(u8::from) > Some(number)
        };
        if is_missing(SectionId::Import) {
            let mut imports = ImportSection::new();
            self.add_import(&mut imports);
            module.section(&imports);
        }
        if is_missing(SectionId::Global) {
            let mut globals = GlobalSection::new();
            add_globals(&mut globals);
            module.section(&globals);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error> {
        reencode::utils::parse_code_section(self, code, section)?;
        let mut used_up = Function::new([]);
        used_up
            .instruction(&Instruction::Call(self.deadline))
            .instruction(&Instruction::I32Const(UNITS))
            .instruction(&Instruction::GlobalSet(self.left))
            .instruction(&Instruction::End);
        code.function(&used_up);
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error> {
        let lengths = Lengths::read(&body)?;
        let mut made = self.new_function_with_parsed_locals(&body)?;
        if !lengths.is_short_leaf() {
            self.take(units(lengths.function), &mut made);
        }
        let mut loops = lengths.loops.iter();
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = operators.read()?;
            let begins_loop = matches!(operator, Operator::Loop { .. });
            if has_length(&operator) {
                self.take_by_length(&mut made);
            }
            made.instruction(&self.instruction(operator)?);
            if begins_loop && let Some(length) = loops.next() {
                self.take(units(*length), &mut made);
            }
        }
        if made.byte_len() > limit::FUNCTION_BYTES {
            return Err(Error::UserError(Refused));
        }
        code.function(&made);
        Ok(())
    }
}

/// Whether an instruction takes a length from the stack, first of all, and takes time by it.
const fn has_length(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::MemoryFill { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryInit { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::TableGrow { .. }
    )
}

// === impl Lengths ===

impl Lengths {
    fn read(body: &FunctionBody<'_>) -> Result<Self, Error> {
        let mut loops = Vec::new();
        let mut calls = false;
        // For each block that is open, the number of its loop and where that begins.
        let mut open = Vec::new();
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let at = operators.original_position();
            match operators.read()? {
                Operator::Loop { .. } => {
                    open.push(Some((loops.len(), at)));
                    loops.push(0);
                }
                Operator::Block { .. } | Operator::If { .. } => open.push(None),
                Operator::Try { .. } | Operator::TryTable { .. } => {
                    return Err(Error::UserError(Refused));
                }
                Operator::End => {
                    if let Some((nth, from)) = open.pop().flatten()
                        && let Some(length) = loops.get_mut(nth)
                    {
                        *length = at - from;
                    }
                }
                Operator::Call { .. }
                | Operator::CallIndirect { .. }
                | Operator::CallRef { .. }
                | Operator::ReturnCall { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::ReturnCallRef { .. } => calls = true,
                _ => {}
            }
        }
        Ok(Self {
            function: body.as_bytes().len(),
            loops,
            calls,
        })
    }

    /// Whether a function ends soon by itself, so that the checks of those who call it are enough.
    const fn is_short_leaf(&self) -> bool {
        !self.calls && self.loops.is_empty() && self.function < BYTES_OF_A_UNIT
    }
}

#[cfg(test)]
mod tests;
