//! Unrolls small loops before they are compiled. Where a loop begins again, its machine code looks whether the guest's
//! time is over, which costs a tight loop more than half of its speed; an unrolled one looks once in several turns
//! (docs/decisions/0027).

use std::ops::Range;

use wasm_encoder::{CodeSection, Encode as _, Module, RawSection};
use wasmparser::{BlockType, FunctionBody, Operator, Parser, Payload};

/// Longest body of a loop that is unrolled, in bytes. In a longer one the look costs little.
const BODY_BYTES_MAX: usize = 160;
/// Bytes of bodies that an unrolled loop has at most; with it go a few bytes around each.
const UNROLLED_BYTES_MAX: usize = 640;
/// Most turns between two looks.
const TURNS_MAX: usize = 8;
/// Most bytes that a module grows by: they have to be compiled.
const ADDED_BYTES_MAX: usize = 256 << 10;

/// Longest function, in bytes: what is longer is refused (wasmparser 0.254, `limits.rs`).
const FUNCTION_BYTES_MAX: usize = 7_654_321;

/// Opcodes and the empty type of a block (core specification, "Binary Format", "Instructions").
mod opcode {
    pub(super) const BLOCK: u8 = 0x02;
    pub(super) const LOOP: u8 = 0x03;
    pub(super) const END: u8 = 0x0b;
    pub(super) const BR: u8 = 0x0c;
    pub(super) const BR_IF: u8 = 0x0d;
    pub(super) const BR_TABLE: u8 = 0x0e;
    pub(super) const EMPTY: u8 = 0x40;
}

/// The beginning of the names of custom sections that say something of places in the code.
const METADATA: &str = "metadata.code.";

/// A loop without another one in it.
struct SmallLoop {
    /// Its opcode and its type.
    head: Range<usize>,
    /// Without its `end`.
    body: Range<usize>,
    branches: Vec<Branch>,
}

/// A branch in a loop's body.
struct Branch {
    bytes: Range<usize>,
    /// The blocks of the body that it lies in.
    depth: u32,
    opcode: u8,
    labels: Vec<u32>,
}

/// A valid module with its small loops unrolled; `None` if it has none, or if it is no module.
pub(crate) fn unrolled(binary: &[u8]) -> Option<Vec<u8>> {
    let mut module = Module::new();
    let mut functions = CodeSection::new();
    let mut count = 0;
    let mut room = ADDED_BYTES_MAX;
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload.ok()?;
        match &payload {
            Payload::CodeSectionStart { count: all, .. } => count = *all,
            Payload::CodeSectionEntry(body) => {
                add_function(body, &mut functions, &mut room)?;
                if functions.len() == count {
                    module.section(&functions);
                }
            }
            Payload::CustomSection(section) if section.name().starts_with(METADATA) => {}
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    let data = binary.get(range)?;
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    (room < ADDED_BYTES_MAX).then(|| module.finish())
}

/// Adds a function with its small loops unrolled, as far as there is room for what that adds.
fn add_function(
    function: &FunctionBody<'_>,
    functions: &mut CodeSection,
    room: &mut usize,
) -> Option<()> {
    let bytes = function.as_bytes();
    let mut made = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for small in small_loops(function)? {
        let turns = (UNROLLED_BYTES_MAX / small.body.len()).min(TURNS_MAX);
        let unrolled = small.unroll(bytes, turns)?;
        // Its end goes with it.
        let end = small.body.end + 1;
        let added = unrolled.len().saturating_sub(end - small.head.start);
        if added > *room || bytes.len() + added + made.len() - copied > FUNCTION_BYTES_MAX {
            continue;
        }
        *room -= added;
        made.extend_from_slice(bytes.get(copied..small.head.start)?);
        made.extend_from_slice(&unrolled);
        copied = end;
    }
    made.extend_from_slice(bytes.get(copied..)?);
    functions.raw(&made);
    Some(())
}

/// The loops of a function that are small and have neither loops nor calls in them, in their order.
fn small_loops(function: &FunctionBody<'_>) -> Option<Vec<SmallLoop>> {
    let start = function.range().start;
    let mut operators = function.get_operators_reader().ok()?;
    let mut found = Vec::new();
    let mut depth = 0_u32;
    // The last loop that was entered, and the depth inside.
    let mut last: Option<(SmallLoop, u32)> = None;
    while !operators.eof() {
        let at = operators.original_position() - start;
        let operator = operators.read().ok()?;
        let behind = operators.original_position() - start;
        match &operator {
            Operator::Loop { blockty } => {
                depth += 1;
                let is_simple = !matches!(blockty, BlockType::FuncType(_));
                let small = SmallLoop {
                    head: at..behind,
                    body: behind..behind,
                    branches: Vec::new(),
                };
                last = is_simple.then_some((small, depth));
            }
            Operator::Block { .. } | Operator::If { .. } => depth += 1,
            Operator::Try { .. } | Operator::TryTable { .. } => {
                depth += 1;
                last = None;
            }
            Operator::End => {
                if let Some((mut small, _)) = last.take_if(|(_, inside)| *inside == depth) {
                    small.body.end = at;
                    if small.is_worth_it() {
                        found.push(small);
                    }
                }
                // The last one ends the function.
                depth = depth.saturating_sub(1);
            }
            other if is_no_part_of_a_small_loop(other) => last = None,
            other => {
                if let Some((opcode, labels)) = labels(other)
                    && let Some((small, inside)) = &mut last
                {
                    small.branches.push(Branch {
                        bytes: at..behind,
                        depth: depth - *inside,
                        opcode,
                        labels: labels?,
                    });
                }
            }
        }
        if let Some((small, _)) = &last
            && behind - small.head.end > BODY_BYTES_MAX
        {
            last = None;
        }
    }
    Some(found)
}

/// The labels of a branch, with its opcode; those of a table end with the one for all other values.
fn labels(operator: &Operator<'_>) -> Option<(u8, Option<Vec<u32>>)> {
    match operator {
        Operator::Br { relative_depth } => Some((opcode::BR, Some(vec![*relative_depth]))),
        Operator::BrIf { relative_depth } => Some((opcode::BR_IF, Some(vec![*relative_depth]))),
        Operator::BrTable { targets } => {
            let all = targets.targets().chain([Ok(targets.default())]);
            Some((opcode::BR_TABLE, all.collect::<Result<_, _>>().ok()))
        }
        _ => None,
    }
}

/// Calls look by themselves whether time is over; other instructions have labels that are not rewritten here.
fn is_no_part_of_a_small_loop(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
            | Operator::BrOnCastDescEq { .. }
            | Operator::BrOnCastDescEqFail { .. }
            | Operator::Catch { .. }
            | Operator::CatchAll
            | Operator::Delegate { .. }
            | Operator::Rethrow { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Resume { .. }
            | Operator::ResumeThrow { .. }
            | Operator::ResumeThrowRef { .. }
            | Operator::Suspend { .. }
            | Operator::Switch { .. }
    )
}

// === impl SmallLoop ===

impl SmallLoop {
    /// Whether it ever begins again.
    fn is_worth_it(&self) -> bool {
        let begins_again = |branch: &Branch| branch.labels.contains(&branch.depth);
        self.branches.iter().any(begins_again)
    }

    /// Writes it so:
    ///
    /// ```text
    /// block type              ;; the way out
    ///   loop type
    ///     block               ;; once for each turn but the last
    ///       BODY              ;; what began the loop again leaves this block
    ///       br 2              ;; what came to the end leaves the loop
    ///     end
    ///     BODY
    ///   end
    /// end
    /// ```
    fn unroll(&self, bytes: &[u8], turns: usize) -> Option<Vec<u8>> {
        let ty = bytes.get(self.head.start + 1..self.head.end)?;
        let mut made = Vec::new();
        for each in [opcode::BLOCK, opcode::LOOP] {
            made.push(each);
            made.extend_from_slice(ty);
        }
        for _ in 1..turns {
            made.extend([opcode::BLOCK, opcode::EMPTY]);
            // Behind the block come the loop and the way out.
            self.turn(bytes, 2, &mut made)?;
            made.extend([opcode::BR, 2, opcode::END]);
        }
        self.turn(bytes, 1, &mut made)?;
        made.extend([opcode::END, opcode::END]);
        Some(made)
    }

    /// Writes the body, from which what lies outside of the loop is so many blocks farther away.
    fn turn(&self, bytes: &[u8], farther: u32, made: &mut Vec<u8>) -> Option<()> {
        let mut copied = self.body.start;
        for branch in &self.branches {
            made.extend_from_slice(bytes.get(copied..branch.bytes.start)?);
            copied = branch.bytes.end;
            made.push(branch.opcode);
            if branch.opcode == opcode::BR_TABLE {
                (branch.labels.len() - 1).encode(made);
            }
            for label in &branch.labels {
                let is_outside = *label > branch.depth;
                let farther = if is_outside { farther } else { 0 };
                label.checked_add(farther)?.encode(made);
            }
        }
        made.extend_from_slice(bytes.get(copied..self.body.end)?);
        Some(())
    }
}

#[cfg(test)]
mod tests;
