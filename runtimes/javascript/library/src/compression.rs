//! DEFLATE (RFC 1951) alone, in the zlib format (RFC 1950) and in gzip's (RFC 1952): of bytes as a whole, and in
//! pieces.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use miniz_oxide::inflate::stream::{InflateState, inflate as inflate_some};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use crate::abi::{Arguments, Handle, Value};

/// Bytes of output for which room is made at once.
const PIECE_BYTES: usize = 16 << 10;
/// Flags of gzip's header.
const HAS_HEADER_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;
/// A header of gzip's without a name or a time, written on Unix.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
const GZIP_TRAILER_BYTES: usize = 8;
/// A header of gzip's that has not ended by then is none: the largest of its extra fields, and long names.
const GZIP_HEADER_BYTES_MAX: usize = 128 << 10;

/// Faults of compressed bytes, in zlib's words where it has some.
mod fault {
    pub(super) const HEADER: &str = "incorrect header check";
    pub(super) const METHOD: &str = "unknown compression method";
    pub(super) const FLAGS: &str = "unknown header flags set";
    pub(super) const DATA: &str = "invalid data";
    pub(super) const CHECK: &str = "incorrect data check";
    pub(super) const LENGTH: &str = "incorrect length check";
    pub(super) const CUT_OFF: &str = "unexpected end of file";
    pub(super) const TRAILING: &str = "trailing data";
}

/// The reason why there is no output.
enum Failure {
    Fault(&'static str),
    OutOfMemory,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Zlib,
    Raw,
}

impl Format {
    fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Zlib),
            "deflate-raw" => Some(Self::Raw),
            _ => None,
        }
    }

    fn of_stream(self) -> DataFormat {
        match self {
            Self::Zlib => DataFormat::Zlib,
            Self::Gzip | Self::Raw => DataFormat::Raw,
        }
    }
}

// === checksums ===

/// The table of the CRC-32 for one byte.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        let mut value = at as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                value >> 1 ^ 0xedb8_8320
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
};

fn crc(start: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!start, |value, byte| {
        CRC_TABLE[usize::from(value as u8 ^ byte)] ^ value >> 8
    })
}

pub(crate) fn crc32(arguments: &Arguments<'_>) -> Option<Value> {
    let start = arguments.number(1).unwrap_or(0.0) as u32;
    Some(Value::Number(f64::from(crc(start, arguments.bytes(0)?))))
}

// === compressing ===

/// Compression that goes on.
pub(crate) struct Compressor {
    format: Format,
    state: Box<CompressorOxide>,
    has_begun: bool,
    crc: u32,
    length: u32,
}

fn level(arguments: &Arguments<'_>, at: usize) -> i32 {
    arguments.number(at).unwrap_or(-1.0) as i32
}

/// Adds bytes if there is memory.
fn add(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Failure> {
    out.try_reserve(bytes.len())
        .map_err(|_| Failure::OutOfMemory)?;
    out.extend_from_slice(bytes);
    Ok(())
}

impl Compressor {
    fn new(format: Format, level: i32) -> Self {
        let window = if format == Format::Zlib { 15 } else { -15 };
        let flags = create_comp_flags_from_zip_params(level.clamp(-1, 9), window, 0);
        Self {
            format,
            state: Box::new(CompressorOxide::new(flags)),
            has_begun: false,
            crc: 0,
            length: 0,
        }
    }

    fn push(&mut self, bytes: &[u8], is_last: bool) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        if self.format == Format::Gzip {
            if !self.has_begun {
                add(&mut out, &GZIP_HEADER)?;
            }
            self.crc = crc(self.crc, bytes);
            self.length = self.length.wrapping_add(bytes.len() as u32);
        }
        self.has_begun = true;
        let flush = if is_last {
            TDEFLFlush::Finish
        } else {
            TDEFLFlush::None
        };
        let mut rest = bytes;
        loop {
            let (status, read) = compress_to_output(&mut self.state, rest, flush, |piece| {
                add(&mut out, piece).is_ok()
            });
            rest = rest.get(read..).unwrap_or_default();
            match status {
                TDEFLStatus::Done => break,
                TDEFLStatus::Okay if rest.is_empty() && !is_last => break,
                TDEFLStatus::Okay => {}
                _ => return Err(Failure::OutOfMemory),
            }
        }
        if is_last && self.format == Format::Gzip {
            add(&mut out, &self.crc.to_le_bytes())?;
            add(&mut out, &self.length.to_le_bytes())?;
        }
        Ok(out)
    }
}

pub(crate) fn compressor(arguments: &Arguments<'_>) -> Option<Value> {
    let compressor = Compressor::new(Format::named(arguments.text(0)?)?, level(arguments, 1));
    Some(Value::Handle(Handle::Compressor(compressor)))
}

pub(crate) fn deflate(arguments: &Arguments<'_>) -> Option<Value> {
    let format = Format::named(arguments.text(0)?)?;
    answered(Compressor::new(format, level(arguments, 1)).push(arguments.bytes(2)?, true))
}

// === decompressing ===

/// The part that comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Body,
    Trailer,
    /// Another member of a gzip file may follow.
    End,
}

/// Decompression that goes on.
pub(crate) struct Decompressor {
    format: Format,
    state: Box<InflateState>,
    stage: Stage,
    header: Header,
    /// Input, of which so much has been read.
    pending: Vec<u8>,
    at: usize,
    crc: u32,
    length: u32,
}

/// A header of gzip's, of which a part may be missing: where its next field begins or is looked through, and the flags of
/// those that are still to come.
#[derive(Default)]
struct Header {
    at: usize,
    flags: u8,
}

impl Header {
    /// The length of the header that these bytes begin with, which were given before up to a shorter length; `None` if they
    /// end within it.
    fn length(&mut self, bytes: &[u8]) -> Result<Option<usize>, Failure> {
        if self.at == 0 {
            let is_one = bytes
                .iter()
                .zip([0x1f, 0x8b])
                .all(|(is, wanted)| *is == wanted);
            if !is_one {
                return Err(Failure::Fault(fault::HEADER));
            }
            let Some([_, _, method, flags, ..]) = bytes.first_chunk::<10>() else {
                return Ok(None);
            };
            if *method != 8 {
                return Err(Failure::Fault(fault::METHOD));
            }
            if flags & RESERVED != 0 {
                return Err(Failure::Fault(fault::FLAGS));
            }
            (self.at, self.flags) = (GZIP_HEADER.len(), *flags);
        }
        Ok(self.behind_fields(bytes))
    }

    fn behind_fields(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.flags & HAS_EXTRA != 0 {
            let length = bytes.get(self.at..)?.first_chunk::<2>()?;
            let end = self.at + 2 + usize::from(u16::from_le_bytes(*length));
            if end > bytes.len() {
                return None;
            }
            self.at = end;
            self.flags &= !HAS_EXTRA;
        }
        for flag in [HAS_NAME, HAS_COMMENT] {
            if self.flags & flag != 0 {
                let Some(length) = bytes.get(self.at..)?.iter().position(|byte| *byte == 0) else {
                    self.at = bytes.len();
                    return None;
                };
                self.at += 1 + length;
                self.flags &= !flag;
            }
        }
        let end = self.at
            + if self.flags & HAS_HEADER_CRC == 0 {
                0
            } else {
                2
            };
        (end <= bytes.len()).then_some(end)
    }
}

impl Decompressor {
    fn new(format: Format) -> Self {
        Self {
            format,
            state: InflateState::new_boxed(format.of_stream()),
            stage: if format == Format::Gzip {
                Stage::Header
            } else {
                Stage::Body
            },
            header: Header::default(),
            pending: Vec::new(),
            at: 0,
            crc: 0,
            length: 0,
        }
    }

    /// Inflates what it can until there is as much output as it may be; answers with how much of the input was read.
    fn inflate(&mut self, bytes: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<usize, Failure> {
        let mut read = 0;
        loop {
            let before = out.len();
            let room = PIECE_BYTES.min(limit.saturating_sub(before));
            if room == 0 {
                return Ok(read);
            }
            out.try_reserve(room).map_err(|_| Failure::OutOfMemory)?;
            out.resize(before + room, 0);
            let input = bytes.get(read..).unwrap_or_default();
            let piece = out.get_mut(before..).unwrap_or_default();
            let done = inflate_some(&mut self.state, input, piece, MZFlush::None);
            read += done.bytes_consumed;
            out.truncate(before + done.bytes_written);
            if self.format == Format::Gzip {
                let written = out.get(before..).unwrap_or_default();
                self.crc = crc(self.crc, written);
                self.length = self.length.wrapping_add(written.len() as u32);
            }
            match done.status {
                Ok(MZStatus::StreamEnd) => {
                    self.stage = if self.format == Format::Gzip {
                        Stage::Trailer
                    } else {
                        Stage::End
                    };
                    return Ok(read);
                }
                Ok(_) if done.bytes_consumed > 0 || done.bytes_written > 0 => {}
                Ok(_) | Err(MZError::Buf) => return Ok(read),
                Err(_) => return Err(Failure::Fault(self.reason())),
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self.state.last_status() {
            TINFLStatus::Adler32Mismatch => fault::CHECK,
            _ if self.format == Format::Zlib && self.state_is_new() => fault::HEADER,
            _ => fault::DATA,
        }
    }

    /// Whether not even a header was read.
    fn state_is_new(&self) -> bool {
        self.length == 0 && self.pending.is_empty() && self.crc == 0
    }

    /// Takes what it can from the bytes; answers with how much that is.
    fn step(&mut self, bytes: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<usize, Failure> {
        match self.stage {
            Stage::Header => {
                let Some(length) = self.header.length(bytes)? else {
                    return if bytes.len() < GZIP_HEADER_BYTES_MAX {
                        Ok(0)
                    } else {
                        Err(Failure::Fault(fault::HEADER))
                    };
                };
                self.header = Header::default();
                self.state.reset(self.format.of_stream());
                (self.crc, self.length, self.stage) = (0, 0, Stage::Body);
                Ok(length)
            }
            Stage::Body => self.inflate(bytes, out, limit),
            Stage::Trailer => {
                let Some(trailer) = bytes.first_chunk::<GZIP_TRAILER_BYTES>() else {
                    return Ok(0);
                };
                if trailer[..4] != self.crc.to_le_bytes() {
                    return Err(Failure::Fault(fault::CHECK));
                }
                if trailer[4..] != self.length.to_le_bytes() {
                    return Err(Failure::Fault(fault::LENGTH));
                }
                self.stage = Stage::End;
                Ok(GZIP_TRAILER_BYTES)
            }
            Stage::End if bytes.is_empty() => Ok(0),
            Stage::End if self.format == Format::Gzip && bytes[0] == GZIP_HEADER[0] => {
                self.stage = Stage::Header;
                Ok(0)
            }
            Stage::End => Err(Failure::Fault(fault::TRAILING)),
        }
    }

    /// Adds to the input, and gives at most so much output. If it is as much as that, there may be more of it.
    fn push(&mut self, bytes: &[u8], is_last: bool, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut kept = core::mem::take(&mut self.pending);
        let is_kept = !kept.is_empty();
        if is_kept && !bytes.is_empty() {
            kept.drain(..core::mem::take(&mut self.at));
            add(&mut kept, bytes)?;
        }
        let input = if is_kept { kept.as_slice() } else { bytes };
        let mut out = Vec::new();
        loop {
            let stage = self.stage;
            let read = self.step(input.get(self.at..).unwrap_or_default(), &mut out, limit)?;
            self.at += read;
            if out.len() >= limit || (read == 0 && stage == self.stage) {
                break;
            }
        }
        if is_last && self.stage != Stage::End && out.len() < limit {
            return Err(Failure::Fault(fault::CUT_OFF));
        }
        if self.at >= input.len() {
            self.at = 0;
        } else if is_kept {
            self.pending = kept;
        } else {
            let rest = bytes
                .get(core::mem::take(&mut self.at)..)
                .unwrap_or_default();
            add(&mut self.pending, rest)?;
        }
        Ok(out)
    }
}

pub(crate) fn decompressor(arguments: &Arguments<'_>) -> Option<Value> {
    let decompressor = Decompressor::new(Format::named(arguments.text(0)?)?);
    Some(Value::Handle(Handle::Decompressor(decompressor)))
}

pub(crate) fn inflate(arguments: &Arguments<'_>) -> Option<Value> {
    let format = Format::named(arguments.text(0)?)?;
    let max = arguments.number(2).map_or(usize::MAX, |max| max as usize);
    match Decompressor::new(format).push(arguments.bytes(1)?, true, max.saturating_add(1)) {
        Err(Failure::Fault(_)) => None,
        Ok(bytes) if bytes.len() > max => Some(Value::Null),
        other => answered(other),
    }
}

/// push(handle, bytes, whether they are the last, how much output there may be of decompressing at most)
pub(crate) fn push(arguments: &Arguments<'_>) -> Option<Value> {
    let bytes = arguments.bytes(1)?;
    let is_last = arguments.is_true(2).unwrap_or(false);
    let limit = arguments.size(3).unwrap_or(usize::MAX);
    answered(match arguments.handle(0)? {
        Handle::Compressor(compressor) => compressor.push(bytes, is_last),
        Handle::Decompressor(decompressor) => decompressor.push(bytes, is_last, limit),
        Handle::Hasher(_) => return None,
        #[cfg(feature = "intl")]
        Handle::Intl(_) => return None,
    })
}

fn answered(result: Result<Vec<u8>, Failure>) -> Option<Value> {
    Some(match result {
        Ok(bytes) => Value::Bytes(bytes),
        Err(Failure::Fault(message)) => Value::Fault(message),
        Err(Failure::OutOfMemory) => Value::OutOfMemory,
    })
}

// === the prelude ===

/// Inflates DEFLATE alone to exactly so many bytes; false if it is anything else.
///
/// # Safety
///
/// Both places hold as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn library_unpack(
    from: *const u8,
    length: usize,
    to: *mut u8,
    size: usize,
) -> bool {
    // SAFETY: as this function's.
    let (from, to) = unsafe {
        (
            core::slice::from_raw_parts(from, length),
            core::slice::from_raw_parts_mut(to, size),
        )
    };
    let mut state = DecompressorOxide::new();
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, _, written) = decompress(&mut state, from, to, 0, flags);
    status == TINFLStatus::Done && written == size
}
