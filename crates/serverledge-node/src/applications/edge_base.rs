//! The base of snapshots of a language, as browsers get it: the snapshot of a file that does nothing. All other snapshots
//! differ from it by what their own files made, so a page that has it needs little more for each of them.

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use serverledge_core::Digest;

use crate::applications::delta::DeltaBase;
use crate::functions::edge_fit::{ModuleForm, in_form, module_of};

/// The base, in all forms.
#[derive(Debug)]
pub(super) struct EdgeBase {
    plain: BaseForm,
    deadline: Option<BaseForm>,
}

/// The base in one form.
#[derive(Debug)]
pub(super) struct BaseForm {
    pub(super) sha256: Digest,
    pub(super) module: DeltaBase,
}

impl EdgeBase {
    /// Of the code of a snapshot; `None` if browsers cannot run it. It takes time.
    pub(super) fn new(code: &Bytes) -> Option<Self> {
        let (_, module) = module_of(code).ok()?;
        let form = |form| in_form(&module, form).map(BaseForm::new);
        Some(Self {
            plain: form(ModuleForm::Plain)?,
            deadline: form(ModuleForm::Deadline),
        })
    }

    pub(super) const fn form(&self, form: ModuleForm) -> Option<&BaseForm> {
        match form {
            ModuleForm::Plain => Some(&self.plain),
            ModuleForm::Deadline => self.deadline.as_ref(),
        }
    }
}

impl BaseForm {
    fn new(module: Bytes) -> Self {
        Self {
            sha256: sha256(&module),
            module: DeltaBase::new(module),
        }
    }

    /// The delta that makes this module of the base; `None` if it saves little.
    pub(super) fn delta(&self, module: &[u8]) -> Option<Bytes> {
        let delta = self.module.delta(module);
        (delta.len() < module.len() / 2).then(|| delta.into())
    }
}

/// The digest that browsers check.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Digest::new(sha256)
}
