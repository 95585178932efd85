//! Finds the pages of a memory that were written since it was mapped or given back: those that have become anonymous.
//!
//! Linux says it of each page: by `PAGEMAP_SCAN` (6.7 and later), or in `/proc/self/pagemap` itself (4.2 and later); see
//! the kernel's `Documentation/admin-guide/mm/pagemap.rst`. A page that was written and then swapped out, or that is just
//! being moved, is as anonymous as before: whether a page is present is never asked.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The size of the pages that the kernel tells apart. On a machine with larger ones the trial at start fails, and nothing
/// is kept.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Bytes of an entry of `/proc/self/pagemap`.
const ENTRY_BYTES: usize = 8;
/// Bits of such an entry: the page is in memory, it is swapped out or moving, and it is a file's or shared.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;

/// Bits of `PAGEMAP_SCAN`'s categories (`linux/fs.h`).
mod category {
    pub(super) const FILE: u64 = 1 << 2;
    pub(super) const PRESENT: u64 = 1 << 3;
    pub(super) const SWAPPED: u64 = 1 << 4;
    pub(super) const ZERO: u64 = 1 << 5;
}

/// Ranges that one `PAGEMAP_SCAN` reports at most; more take another one.
const REGIONS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct WrittenPages {
    pagemap: File,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Scan,
    Entries,
}

/// `struct page_region` of `linux/fs.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
#[derive(Debug, Default)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// One `PAGEMAP_SCAN`; its output is the number of regions that were found.
struct PagemapScan<'a>(&'a mut ScanArguments);

#[expect(
    unsafe_code,
    reason = "the kernel's interface takes addresses; the structure is as linux/fs.h has it"
)]
// SAFETY: the opcode is PAGEMAP_SCAN's, the pointer is to a `pm_scan_arg` whose `vec` has room for `vec_len` regions, and
// the kernel writes to these two alone.
unsafe impl Ioctl for PagemapScan<'_> {
    type Output = usize;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<ScanArguments>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(
        out: IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> rustix::io::Result<usize> {
        usize::try_from(out).map_err(|_| rustix::io::Errno::INVAL)
    }
}

impl WrittenPages {
    /// The better source of the two that this machine has, by trying it; `None` if it has neither.
    pub(crate) fn open() -> Option<Self> {
        [Source::Scan, Source::Entries]
            .into_iter()
            .find_map(Self::from_source)
    }

    /// By this source; `None` if the machine does not have it.
    pub(crate) fn from_source(source: Source) -> Option<Self> {
        let pagemap = File::open("/proc/self/pagemap").ok()?;
        let pages = Self { pagemap, source };
        pages.is_right().unwrap_or(false).then_some(pages)
    }

    /// Adds the ranges of the memory that were written to `found`, in order, from its beginning. A range may hold pages
    /// that were only read. The memory begins and ends with a page; `contents` is the part that a file is mapped to.
    pub(crate) fn find(
        &self,
        memory: &[u8],
        contents: &Range<usize>,
        found: &mut Vec<Range<usize>>,
    ) -> io::Result<()> {
        match self.source {
            Source::Scan => self.scan(memory, contents, found),
            Source::Entries => self.read_entries(memory, found),
        }
    }

    fn scan(
        &self,
        memory: &[u8],
        contents: &Range<usize>,
        found: &mut Vec<Range<usize>>,
    ) -> io::Result<()> {
        let base = memory.as_ptr().addr();
        let end = (base + memory.len()) as u64;
        let mut regions = [Region::default(); REGIONS];
        let mut at = base as u64;
        while at < end {
            let mut arguments = ScanArguments {
                size: size_of::<ScanArguments>() as u64,
                start: at,
                end,
                vec: regions.as_mut_ptr().expose_provenance() as u64,
                vec_len: REGIONS as u64,
                // Not a file's, and somewhere.
                category_inverted: category::FILE,
                category_mask: category::FILE,
                category_anyof_mask: category::PRESENT | category::SWAPPED,
                return_mask: category::ZERO,
                ..ScanArguments::default()
            };
            #[expect(unsafe_code, reason = "see `PagemapScan`")]
            // SAFETY: see `PagemapScan`; the regions outlive the call.
            let count = unsafe { ioctl::ioctl(&self.pagemap, PagemapScan(&mut arguments)) }?;
            for region in regions.iter().take(count) {
                let start = usize::try_from(region.start).map_err(io::Error::other)? - base;
                let end = usize::try_from(region.end).map_err(io::Error::other)? - base;
                // The zero page is where nothing but zeros was before, and it was read. In the place of contents it is
                // there because the kernel has merged a page of zeros that was written (KSM's `use_zero_pages`).
                let range = if region.categories & category::ZERO == 0 {
                    start..end
                } else {
                    start.max(contents.start)..end.min(contents.end)
                };
                if !range.is_empty() {
                    found.push(range);
                }
            }
            if arguments.walk_end <= at {
                return Err(io::Error::other(
                    "the scan of a memory's pages stands still",
                ));
            }
            at = arguments.walk_end;
        }
        Ok(())
    }

    fn read_entries(&self, memory: &[u8], found: &mut Vec<Range<usize>>) -> io::Result<()> {
        let mut entries = vec![0; memory.len() / PAGE_BYTES * ENTRY_BYTES];
        let at = memory.as_ptr().addr() / PAGE_BYTES * ENTRY_BYTES;
        self.pagemap.read_exact_at(&mut entries, at as u64)?;
        for (page, entry) in entries.chunks_exact(ENTRY_BYTES).enumerate() {
            let entry = u64::from_ne_bytes(entry.try_into().map_err(io::Error::other)?);
            if entry & (PRESENT | SWAPPED) == 0 || entry & OF_FILE != 0 {
                continue;
            }
            let start = page * PAGE_BYTES;
            match found.last_mut() {
                Some(last) if last.end == start => last.end += PAGE_BYTES,
                _ => found.push(start..start + PAGE_BYTES),
            }
        }
        Ok(())
    }

    /// Tries it on pages of which some were written, some read and some left alone.
    fn is_right(&self) -> io::Result<bool> {
        const PAGES: usize = 16;
        const WRITTEN: [usize; 4] = [3, 7, 8, 15];
        let image = File::from(memfd_create("serverledge-pages", MemfdFlags::CLOEXEC)?);
        image.set_len((PAGES * PAGE_BYTES) as u64)?;
        let mut memory = PrivateMapping::new(&image, PAGES * PAGE_BYTES)?;
        let bytes = memory.bytes();
        for page in WRITTEN {
            bytes[page * PAGE_BYTES] = 1;
        }
        std::hint::black_box(bytes[5 * PAGE_BYTES]);
        let mut found = Vec::new();
        self.find(bytes, &(0..PAGES * PAGE_BYTES), &mut found)?;
        let pages: Vec<usize> = found
            .into_iter()
            .flat_map(|range| (range.start..range.end).step_by(PAGE_BYTES))
            .map(|at| at / PAGE_BYTES)
            .collect();
        Ok(pages == WRITTEN)
    }
}

/// A private mapping of a file, as a memory's image is.
struct PrivateMapping {
    at: *mut std::ffi::c_void,
    length: usize,
}

#[expect(unsafe_code, reason = "a mapping is made and removed by its address")]
impl PrivateMapping {
    fn new(file: &File, length: usize) -> io::Result<Self> {
        // SAFETY: the kernel chooses the place, so nothing that is there is replaced.
        let at = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
                file,
                0,
            )
        }?;
        Ok(Self { at, length })
    }

    #[cfg(test)]
    fn anonymous(length: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: as above.
        let at = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), length, access, MapFlags::PRIVATE)
        }?;
        Ok(Self { at, length })
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has this length and is this value's alone; the file does not become shorter.
        unsafe { std::slice::from_raw_parts_mut(self.at.cast(), self.length) }
    }
}

#[expect(unsafe_code, reason = "as above")]
impl Drop for PrivateMapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's alone.
        let _ = unsafe { munmap(self.at, self.length) };
    }
}

#[cfg(test)]
mod tests {
    use rustix::mm::{Advice, madvise};

    use super::*;

    /// Two of the kernel's large pages.
    const BYTES: usize = 4 << 20;

    fn sources() -> impl Iterator<Item = WrittenPages> {
        let found: Vec<_> = [Source::Scan, Source::Entries]
            .into_iter()
            .filter_map(WrittenPages::from_source)
            .collect();
        assert!(!found.is_empty(), "Linux since 4.2 has one of them");
        found.into_iter()
    }

    fn memory() -> PrivateMapping {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(BYTES as u64).expect("a length");
        PrivateMapping::new(&file, BYTES).expect("a mapping")
    }

    #[expect(unsafe_code, reason = "the memory is named by its address")]
    fn advise(memory: &mut PrivateMapping, advice: Advice) -> rustix::io::Result<()> {
        // SAFETY: none of these pieces of advice changes contents.
        unsafe { madvise(memory.at, memory.length, advice) }
    }

    fn found(pages: &WrittenPages, memory: &mut PrivateMapping) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        pages
            .find(memory.bytes(), &(0..BYTES), &mut found)
            .expect("an answer");
        found
    }

    #[test]
    fn every_written_page_is_found_and_no_other() {
        for pages in sources() {
            let mut memory = memory();
            assert_eq!(found(&pages, &mut memory), Vec::new());
            // More ranges than one scan reports.
            let written: Vec<_> = (0..300).map(|n| n * 3 * PAGE_BYTES).collect();
            for at in &written {
                memory.bytes()[*at] = 1;
            }
            std::hint::black_box(memory.bytes()[PAGE_BYTES]);
            let expected: Vec<_> = written.iter().map(|at| *at..at + PAGE_BYTES).collect();
            assert_eq!(found(&pages, &mut memory), expected, "{:?}", pages.source);
        }
    }

    /// The zero page counts where contents are, and not where zeros are.
    #[test]
    fn pages_that_were_read_are_no_written_ones() {
        let Some(pages) = WrittenPages::from_source(Source::Scan) else {
            return;
        };
        let mut memory = PrivateMapping::anonymous(BYTES).expect("a mapping");
        let read: u64 = memory.bytes().iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(read, 0);
        for (contents, expected) in [(0..0, 0), (0..PAGE_BYTES, PAGE_BYTES)] {
            let mut found = Vec::new();
            pages
                .find(memory.bytes(), &contents, &mut found)
                .expect("an answer");
            assert_eq!(
                found.iter().map(ExactSizeIterator::len).sum::<usize>(),
                expected
            );
        }
    }

    /// A page that was forced out counts as written: on a machine with swap it is there, elsewhere it stays in memory.
    #[test]
    fn a_page_that_is_forced_out_is_found() {
        for pages in sources() {
            let mut memory = memory();
            memory.bytes()[7 * PAGE_BYTES] = 1;
            let _ = advise(&mut memory, Advice::LinuxPageOut);
            let expected = 7 * PAGE_BYTES..8 * PAGE_BYTES;
            let found = found(&pages, &mut memory);
            assert_eq!(found, std::slice::from_ref(&expected), "{:?}", pages.source);
        }
    }

    /// Behind the contents a memory is anonymous, and may get large pages.
    #[test]
    fn large_pages_are_found() {
        for pages in sources() {
            for advice in [Advice::LinuxHugepage, Advice::LinuxNoHugepage] {
                let mut memory = PrivateMapping::anonymous(BYTES).expect("a mapping");
                let _ = advise(&mut memory, advice);
                let at = BYTES / 2 + 5 * PAGE_BYTES;
                memory.bytes()[at] = 1;
                assert!(
                    found(&pages, &mut memory)
                        .iter()
                        .any(|range| range.contains(&at)),
                    "{:?}",
                    pages.source
                );
            }
        }
    }
}
