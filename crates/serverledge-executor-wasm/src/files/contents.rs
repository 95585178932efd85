//! The bytes of a file that can be written, in pages: a page that nothing was written to does not exist, and is zeros.
//! What counts is the length in whole pages, so that a file never has more memory than it counts.

use super::fault::FileFault;
use super::room::MemoryRoom;

/// Bytes of a page.
pub(super) const PAGE_BYTES: usize = 4096;

type Page = Box<[u8; PAGE_BYTES]>;

/// See the module.
#[derive(Debug)]
pub(super) struct Contents {
    pages: Vec<Option<Page>>,
    size: u64,
    room: MemoryRoom,
}

impl Contents {
    /// None.
    pub(super) fn empty(room: &MemoryRoom) -> Self {
        Self {
            pages: Vec::new(),
            size: 0,
            room: room.clone(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Makes the file so long; what is added is zeros.
    pub(super) fn set_size(&mut self, size: u64) -> Result<(), FileFault> {
        if i64::try_from(size).is_err() {
            return Err(FileFault::TooLarge);
        }
        let before = self.pages.len();
        let pages =
            usize::try_from(size.div_ceil(PAGE_BYTES as u64)).map_err(|_| FileFault::TooLarge)?;
        if pages > before {
            if !self.room.take(counted(pages - before)) {
                return Err(FileFault::NoSpace);
            }
            self.pages.resize_with(pages, || None);
        } else {
            self.pages.truncate(pages);
            self.pages.shrink_to(pages.saturating_mul(2));
            self.room.give_back(counted(before - pages));
        }
        if size < self.size {
            self.clear_behind(size);
        }
        self.size = size;
        Ok(())
    }

    /// Makes the rest of the last page zeros, which a longer file would show.
    fn clear_behind(&mut self, size: u64) {
        let within = within_page(size);
        if within != 0
            && let Some(Some(page)) = self.pages.last_mut()
        {
            page[within..].fill(0);
        }
    }

    /// Reads what there is from `offset` on, and returns how many bytes that was.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let within = within_page(at);
            let piece = (PAGE_BYTES - within).min(length - done);
            let target = &mut buffer[done..done + piece];
            match self.pages.get(page_index(at)) {
                Some(Some(page)) => target.copy_from_slice(&page[within..within + piece]),
                _ => target.fill(0),
            }
            done += piece;
        }
        length
    }

    /// Writes all of `bytes` at `offset`, or nothing.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), FileFault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset
            .checked_add(bytes.len() as u64)
            .ok_or(FileFault::TooLarge)?;
        if end > self.size {
            self.set_size(end)?;
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let within = within_page(at);
            let piece = (PAGE_BYTES - within).min(bytes.len() - done);
            if let Some(page) = self.pages.get_mut(page_index(at)) {
                let page = page.get_or_insert_with(|| Box::new([0; PAGE_BYTES]));
                page[within..within + piece].copy_from_slice(&bytes[done..done + piece]);
            }
            done += piece;
        }
        Ok(())
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.room.give_back(counted(self.pages.len()));
    }
}

fn counted(pages: usize) -> u64 {
    (pages as u64).saturating_mul(PAGE_BYTES as u64)
}

/// The position of an offset within its page.
fn within_page(offset: u64) -> usize {
    usize::try_from(offset % PAGE_BYTES as u64).unwrap_or(0)
}

fn page_index(offset: u64) -> usize {
    usize::try_from(offset / PAGE_BYTES as u64).unwrap_or(usize::MAX)
}
