//! The descriptors of one call under WASI preview 1, by their numbers: the three streams, the directories that it finds
//! open, and what it opens.

use std::sync::Arc;

use crate::files::{FileFault, FileNode, OPEN_MAX, Preopen};
use crate::rights::{DIRECTORY, FILE};

/// See the module.
#[derive(Debug)]
pub(crate) struct DescriptorTable {
    slots: Vec<Option<OpenDescriptor>>,
}

/// A descriptor.
#[derive(Debug)]
pub(crate) struct OpenDescriptor {
    pub(crate) target: DescriptorTarget,
    /// The rights to it, and those that what is opened from it can have.
    pub(crate) base: u64,
    pub(crate) inheriting: u64,
    /// Its flags, as preview 1 has them.
    pub(crate) flags: u16,
}

/// The thing behind a descriptor.
#[derive(Debug)]
pub(crate) enum DescriptorTarget {
    Stream(StandardStream),
    File {
        node: FileNode,
        position: u64,
    },
    Directory {
        node: FileNode,
        /// Its name, if the call found it open.
        preopen: Option<Arc<str>>,
    },
}

/// One of the three streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StandardStream {
    Input,
    Output,
    Error,
}

/// The number of the first descriptor that is no stream.
const FIRST: usize = 3;

impl StandardStream {
    /// The stream that a program finds under this number.
    pub(crate) const fn of(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Input),
            1 => Some(Self::Output),
            2 => Some(Self::Error),
            _ => None,
        }
    }
}

impl DescriptorTable {
    /// The descriptors at the beginning of a call.
    pub(crate) fn new(preopens: Vec<Preopen>) -> Self {
        let streams = (0..).map_while(StandardStream::of);
        let streams = streams.map(|stream| OpenDescriptor {
            target: DescriptorTarget::Stream(stream),
            base: 0,
            inheriting: 0,
            flags: 0,
        });
        let directories = preopens
            .into_iter()
            .map(|Preopen { name, node }| OpenDescriptor {
                target: DescriptorTarget::Directory {
                    node,
                    preopen: Some(name),
                },
                base: DIRECTORY,
                inheriting: DIRECTORY | FILE,
                flags: 0,
            });
        Self {
            slots: streams.chain(directories).map(Some).collect(),
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<&OpenDescriptor> {
        self.slots.get(number as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut OpenDescriptor> {
        self.slots.get_mut(number as usize)?.as_mut()
    }

    /// The number that the next descriptor gets.
    pub(crate) fn next(&self) -> Result<u32, FileFault> {
        let free = self.slots.iter().skip(FIRST).position(Option::is_none);
        let next = free.map_or(self.slots.len().max(FIRST), |at| at + FIRST);
        if next >= OPEN_MAX {
            return Err(FileFault::TooManyOpen);
        }
        u32::try_from(next).map_err(|_| FileFault::TooManyOpen)
    }

    /// Adds a descriptor, and returns its number.
    pub(crate) fn open(&mut self, descriptor: OpenDescriptor) -> Result<u32, FileFault> {
        let number = self.next()?;
        let at = number as usize;
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, || None);
        }
        self.slots[at] = Some(descriptor);
        Ok(number)
    }

    /// Closes a descriptor; whether there was one.
    pub(crate) fn close(&mut self, number: u32) -> bool {
        let slot = self.slots.get_mut(number as usize);
        slot.is_some_and(|slot| slot.take().is_some())
    }

    /// Moves a descriptor to the number of another one, which it closes; whether there are both.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> bool {
        if self.get(from).is_none() || self.get(to).is_none() {
            return false;
        }
        if from != to {
            self.slots[to as usize] = self.slots[from as usize].take();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::MemoryRoom;

    fn table() -> DescriptorTable {
        let node = FileNode::scratch(&MemoryRoom::new(1 << 20));
        DescriptorTable::new(vec![Preopen::new("/", node)])
    }

    fn directory(table: &DescriptorTable) -> OpenDescriptor {
        let Some(OpenDescriptor {
            target: DescriptorTarget::Directory { node, .. },
            ..
        }) = table.get(3)
        else {
            panic!("there is a directory");
        };
        OpenDescriptor {
            target: DescriptorTarget::Directory {
                node: node.clone(),
                preopen: None,
            },
            base: 0,
            inheriting: 0,
            flags: 0,
        }
    }

    #[test]
    fn numbers_are_used_again_but_not_those_of_streams() {
        let mut table = table();
        let more = directory(&table);
        assert_eq!(table.open(more), Ok(4));
        assert!(table.close(1) && !table.close(1) && table.close(3) && !table.close(99));
        assert_eq!(table.next(), Ok(3));
        assert!(table.renumber(4, 4) && !table.renumber(4, 3) && !table.renumber(3, 4));
        assert!(table.renumber(4, 2) && table.get(4).is_none() && table.get(2).is_some());
    }

    #[test]
    fn their_number_has_a_bound() {
        let mut table = table();
        let count = (0..).take_while(|_| {
            let more = directory(&table);
            table.open(more).is_ok()
        });
        assert_eq!(count.count(), OPEN_MAX - 4);
        assert_eq!(table.next(), Err(FileFault::TooManyOpen));
        assert!(table.close(500));
        assert_eq!(table.next(), Ok(500));
    }
}
