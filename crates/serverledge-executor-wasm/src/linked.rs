//! Components as browsers get them: their core modules, and a plan by which a page links these with each other and
//! with its own functions of WASI. The plan is data: a page runs no code that was made of a component, other than
//! WebAssembly.
//!
//! The form of such a file is one line of JSON, the [`Plan`], and then the modules, one after the other.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wasmtime_environ::component::{
    CanonicalOptionsDataModel, ComponentTranslation, ComponentTypesBuilder, CoreDef, CoreExport,
    Export, ExportIndex, ExportItem, GlobalInitializer, InstantiateModule, LinearMemoryOptions,
    OptionsIndex, RuntimeImportIndex, RuntimeMemoryIndex, RuntimeReallocIndex, StaticModuleIndex,
    StringEncoding, Trampoline, TrampolineIndex, Translator,
};
use wasmtime_environ::{EntityIndex, ModuleTranslation, PrimaryMap, ScopeVec, Tunables};

use crate::deadline::{self, with_deadline};
use crate::portable::{NotPortable, program};

/// Most bytes of the core modules of a component. A page links and instantiates all of it anew for each call, which
/// takes a millisecond for two megabytes of data. Components of more are mostly interpreters.
pub(crate) const CODE_BYTES_MAX: usize = 4 << 20;
/// Longest component that is looked at: with its names and debug information.
const COMPONENT_BYTES_MAX: usize = 16 << 20;
/// Core instances of a component. wit-component makes three or four.
const INSTANCES_MAX: usize = 16;
/// Imports of all core instances together. A program of wasi-libc has some eighty.
const IMPORTS_MAX: usize = 2_000;
/// Longest name of an import or an export. Each use of one is in the plan again.
const NAME_BYTES_MAX: usize = 256;
/// The version of [`Plan`]; pages refuse others.
const FORMAT: u32 = 1;
/// The instance that a component exports, without its version.
const HANDLER: &str = "wasi:http/incoming-handler";

/// The way to link the modules of a component.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    format: u32,
    /// The lengths of the modules that follow.
    modules: Vec<usize>,
    /// The core instances, in the order of their making.
    instances: Vec<Instance>,
    /// The functions of the host.
    hosts: Vec<HostFunction>,
    /// The function that answers a request: `(request, response-outparam)`, both handles.
    handle: Item,
}

/// A module, and what it imports: module, name, item.
#[derive(Debug, Serialize, Deserialize)]
struct Instance {
    module: usize,
    imports: Vec<(String, String, Item)>,
}

/// Something that an instance imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Item {
    /// The host function of this number.
    Host(usize),
    /// The export of this name of an instance before.
    Export(usize, String),
}

/// A function of the host, as the core functions see it (the canonical ABI's lowered form).
#[derive(Debug, Serialize, Deserialize)]
struct HostFunction {
    /// The interface without its version, `#`, and the function: `wasi:io/streams#[method]input-stream.read`. Empty
    /// for the function that drops a handle.
    name: String,
    /// The memory of its lists and strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<Item>,
    /// The function that gives room for results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    realloc: Option<Item>,
}

/// Whether deployed code is a component.
pub(crate) fn is_component(code: &[u8]) -> bool {
    // Version and layer.
    code.starts_with(b"\0asm\x0d\0\x01\0")
}

/// The file that browsers get of a component. The same component always gives the same bytes.
pub(crate) fn linked(component: &[u8]) -> Result<Bytes, NotPortable> {
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(NotPortable::LargeComponent);
    }
    let features = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL;
    let mut validator = Validator::new_with_features(features);
    let mut types = ComponentTypesBuilder::new(&validator);
    let (tunables, scope) = (Tunables::default_u32(), ScopeVec::new());
    let (translation, modules) = Translator::new(&tunables, &mut validator, &mut types, &scope)
        .translate(component)
        .map_err(|_| NotPortable::NoModule)?;
    Planner::new(&translation, &modules).file()
}

/// The *deadline variant* of such a file: all its modules are those with checks of time (see [`with_deadline`]).
#[must_use]
pub fn linked_with_deadline(file: &[u8]) -> Option<Vec<u8>> {
    let (mut plan, modules) = split(file)?;
    let made: Vec<Vec<u8>> = modules
        .into_iter()
        .map(|module| {
            if has_code(module) {
                with_deadline(module)
            } else {
                Some(module.to_vec())
            }
        })
        .collect::<Option<_>>()?;
    plan.modules = made.iter().map(Vec::len).collect();
    joined(&plan, &made)
}

/// Plan and modules of a file.
fn split(file: &[u8]) -> Option<(Plan, Vec<&[u8]>)> {
    let end = file.iter().position(|byte| *byte == b'\n')?;
    let plan: Plan = serde_json::from_slice(file.get(..end)?).ok()?;
    let mut rest = file.get(end + 1..)?;
    let mut modules = Vec::new();
    for length in &plan.modules {
        let (module, after) = rest.split_at_checked(*length)?;
        modules.push(module);
        rest = after;
    }
    rest.is_empty().then_some((plan, modules))
}

fn joined(plan: &Plan, modules: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut file = serde_json::to_vec(plan).ok()?;
    file.push(b'\n');
    modules.iter().for_each(|module| file.extend(module));
    Some(file)
}

fn has_code(module: &[u8]) -> bool {
    Parser::new(0)
        .parse_all(module)
        .any(|payload| matches!(payload, Ok(Payload::CodeSectionStart { .. })))
}

/// Makes a plan of what wasmtime's translation found.
struct Planner<'a> {
    found: &'a ComponentTranslation,
    modules: &'a PrimaryMap<StaticModuleIndex, ModuleTranslation<'a>>,
    /// For each instance, its module.
    instances: Vec<StaticModuleIndex>,
    planned: Vec<Instance>,
    imports_planned: usize,
    hosts: Vec<HostFunction>,
    /// The host functions that there are already.
    numbers: HashMap<TrampolineIndex, usize>,
    memories: HashMap<RuntimeMemoryIndex, Item>,
    reallocs: HashMap<RuntimeReallocIndex, Item>,
    /// For each host function, what it needs of the two.
    needs: Vec<LinearMemoryOptions>,
    imports: HashMap<usize, RuntimeImportIndex>,
}

/// Not a component of the simple kind.
const COMPLEX: NotPortable = NotPortable::Component;

impl<'a> Planner<'a> {
    fn new(
        found: &'a ComponentTranslation,
        modules: &'a PrimaryMap<StaticModuleIndex, ModuleTranslation<'a>>,
    ) -> Self {
        Self {
            found,
            modules,
            instances: Vec::new(),
            planned: Vec::new(),
            imports_planned: 0,
            hosts: Vec::new(),
            numbers: HashMap::new(),
            memories: HashMap::new(),
            reallocs: HashMap::new(),
            needs: Vec::new(),
            imports: HashMap::new(),
        }
    }

    fn file(mut self) -> Result<Bytes, NotPortable> {
        let mut code = Vec::new();
        let mut bytes = 0;
        for (_, module) in self.modules {
            let bare = program(module.wasm)?.module;
            bytes += bare.len();
            if bytes > CODE_BYTES_MAX {
                return Err(NotPortable::LargeComponent);
            }
            code.push(bare);
        }
        let component = &self.found.component;
        self.imports = component
            .initializers
            .iter()
            .filter_map(|step| match step {
                GlobalInitializer::LowerImport { index, import } => {
                    Some((index.as_u32() as usize, *import))
                }
                _ => None,
            })
            .collect();
        for step in &component.initializers {
            self.step(step)?;
        }
        let handle = self.handle()?;
        self.check_memories()?;
        for (host, needs) in self.hosts.iter_mut().zip(&self.needs) {
            host.memory = needs.memory.and_then(|at| self.memories.get(&at)).cloned();
            host.realloc = needs.realloc.and_then(|at| self.reallocs.get(&at)).cloned();
            if needs.memory.is_some() != host.memory.is_some()
                || needs.realloc.is_some() != host.realloc.is_some()
            {
                return Err(COMPLEX);
            }
        }
        let plan = Plan {
            format: FORMAT,
            modules: code.iter().map(Vec::len).collect(),
            instances: self.planned,
            hosts: self.hosts,
            handle,
        };
        joined(&plan, &code).map(Bytes::from).ok_or(COMPLEX)
    }

    fn step(&mut self, step: &GlobalInitializer) -> Result<(), NotPortable> {
        match step {
            // One without a component is an adapter between two.
            GlobalInitializer::InstantiateModule(
                InstantiateModule::Static(module, args),
                Some(_),
            ) => {
                self.instantiate(*module, args)?;
            }
            GlobalInitializer::ExtractMemory(memory) => {
                let item = self.export(&memory.export)?;
                self.memories.insert(memory.index, item);
            }
            GlobalInitializer::ExtractRealloc(realloc) => {
                let item = self.item(&realloc.def)?;
                self.reallocs.insert(realloc.index, item);
            }
            GlobalInitializer::LowerImport { .. } => {}
            _ => return Err(COMPLEX),
        }
        Ok(())
    }

    fn instantiate(
        &mut self,
        module: StaticModuleIndex,
        args: &[CoreDef],
    ) -> Result<(), NotPortable> {
        if self.instances.len() == INSTANCES_MAX {
            return Err(COMPLEX);
        }
        let mut imports: Vec<(String, String, Item)> = Vec::new();
        for ((from, name, _), arg) in self.modules[module].module.imports().zip(args) {
            let item = self.item(arg)?;
            // A page gives imports by name, and has a module of this name itself.
            let differs = |one: &(String, String, Item)| {
                (one.0.as_str(), one.1.as_str()) == (from, name) && one.2 != item
            };
            self.imports_planned += 1;
            if self.imports_planned > IMPORTS_MAX
                || from.len() + name.len() > NAME_BYTES_MAX
                || from == deadline::IMPORT.0
                || imports.iter().any(differs)
            {
                return Err(COMPLEX);
            }
            imports.push((from.to_owned(), name.to_owned(), item));
        }
        self.instances.push(module);
        self.planned.push(Instance {
            module: module.as_u32() as usize,
            imports,
        });
        Ok(())
    }

    fn item(&mut self, def: &CoreDef) -> Result<Item, NotPortable> {
        match def {
            CoreDef::Export(export) => self.export(export),
            CoreDef::Trampoline(index) => self.host(*index).map(Item::Host),
            _ => Err(COMPLEX),
        }
    }

    fn export<T>(&self, export: &CoreExport<T>) -> Result<Item, NotPortable>
    where
        T: Into<EntityIndex> + Copy,
    {
        let instance = export.instance.as_u32() as usize;
        let name: &str = match &export.item {
            ExportItem::Name(name) => name,
            ExportItem::Index(index) => {
                let module = *self.instances.get(instance).ok_or(COMPLEX)?;
                let module = &self.modules[module].module;
                let wanted: EntityIndex = (*index).into();
                let (name, _) = module
                    .exports
                    .iter()
                    .find(|(_, exported)| **exported == wanted)
                    .ok_or(COMPLEX)?;
                &module.strings[*name]
            }
        };
        if name.len() > NAME_BYTES_MAX {
            return Err(COMPLEX);
        }
        Ok(Item::Export(instance, name.to_owned()))
    }

    /// The number of a host function.
    fn host(&mut self, index: TrampolineIndex) -> Result<usize, NotPortable> {
        if let Some(number) = self.numbers.get(&index) {
            return Ok(*number);
        }
        let nothing = LinearMemoryOptions {
            memory: None,
            realloc: None,
        };
        let (name, needs) = match &self.found.trampolines[index] {
            Trampoline::LowerImport { index, options, .. } => {
                let import = self.imports.get(&(index.as_u32() as usize));
                let name = self.name_of(*import.ok_or(COMPLEX)?)?;
                (name, self.options(*options)?)
            }
            Trampoline::ResourceDrop { .. } => (String::new(), nothing),
            _ => return Err(COMPLEX),
        };
        let number = self.hosts.len();
        self.hosts.push(HostFunction {
            name,
            memory: None,
            realloc: None,
        });
        self.needs.push(needs);
        self.numbers.insert(index, number);
        Ok(number)
    }

    fn name_of(&self, import: RuntimeImportIndex) -> Result<String, NotPortable> {
        let (instance, path) = &self.found.component.imports[import];
        let (interface, _) = &self.found.component.import_types[*instance];
        let [function] = path.as_slice() else {
            return Err(COMPLEX);
        };
        Ok(format!("{}#{function}", without_version(interface)))
    }

    fn options(&self, index: OptionsIndex) -> Result<LinearMemoryOptions, NotPortable> {
        let options = &self.found.component.options[index];
        match options.data_model {
            CanonicalOptionsDataModel::LinearMemory(memory)
                if options.string_encoding == StringEncoding::Utf8 && !options.async_ =>
            {
                Ok(memory)
            }
            _ => Err(COMPLEX),
        }
    }

    /// The function that answers requests.
    fn handle(&mut self) -> Result<Item, NotPortable> {
        let component = &self.found.component;
        let item = |index: &ExportIndex| &component.export_items[*index];
        let instance = component
            .exports
            .raw_iter()
            .find(|(name, _)| without_version(name.as_str()) == HANDLER)
            .map(|(_, (index, _))| item(index));
        let Some(Export::Instance { exports, .. }) = instance else {
            return Err(COMPLEX);
        };
        let handle = exports
            .raw_iter()
            .find(|(name, _)| name.as_str() == "handle");
        match handle.map(|(_, (index, _))| item(index)) {
            Some(Export::LiftedFunction { func, options, .. }) => {
                self.options(*options)?;
                if component.options[*options].post_return.is_some() {
                    return Err(COMPLEX);
                }
                self.item(func)
            }
            _ => Err(COMPLEX),
        }
    }

    /// A page limits the memory of a module. With one memory that is the limit of all.
    fn check_memories(&self) -> Result<(), NotPortable> {
        let memories = |module: &StaticModuleIndex| {
            let module = &self.modules[*module].module;
            module.memories.len() - module.num_imported_memories
        };
        let made: usize = self.instances.iter().map(memories).sum();
        let used: BTreeSet<_> = self.instances.iter().map(|one| one.as_u32()).collect();
        if made > 1 || used.len() != self.instances.len() || used.len() != self.modules.len() {
            return Err(COMPLEX);
        }
        Ok(())
    }
}

fn without_version(name: &str) -> &str {
    name.split_once('@').map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests;
