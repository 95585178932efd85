//! Files of components have all that a page needs, and what a page cannot link has none.

use serverledge_testing::http_component::{component, trying_types};

use super::*;

fn example() -> Vec<u8> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../wasm-examples/echo-http/echo-http.wasm"
    );
    std::fs::read(file).unwrap()
}

/// The file of a component in text form.
fn of_text(text: &str) -> Result<Bytes, NotPortable> {
    linked(&wat::parse_str(text).unwrap())
}

#[test]
fn modules_and_plan_belong_together() {
    for code in [
        example(),
        wat::parse_str(component("unreachable")).unwrap(),
        wat::parse_str(trying_types()).unwrap(),
    ] {
        let file = linked(&code).unwrap();
        assert_eq!(linked(&code).unwrap(), file, "the same bytes each time");
        let (plan, modules) = split(&file).unwrap();
        let engine = wasmtime::Engine::default();
        for instance in &plan.instances {
            let module = wasmtime::Module::new(&engine, modules[instance.module]).unwrap();
            let wanted: BTreeSet<_> = module
                .imports()
                .map(|import| (import.module().to_owned(), import.name().to_owned()))
                .collect();
            let given: BTreeSet<_> = instance
                .imports
                .iter()
                .map(|(module, name, _)| (module.clone(), name.clone()))
                .collect();
            assert_eq!(given, wanted);
            for (_, _, item) in &instance.imports {
                assert!(
                    matches!(item, Item::Host(number) if *number < plan.hosts.len())
                        || exports(&plan, &modules, item)
                );
            }
        }
        let items = plan
            .hosts
            .iter()
            .flat_map(|host| [&host.memory, &host.realloc]);
        for item in items.flatten().chain([&plan.handle]) {
            assert!(exports(&plan, &modules, item), "{item:?}");
        }
        let named = |name: &str| plan.hosts.iter().any(|host| host.name == name);
        assert!(named("wasi:http/types#[static]response-outparam.set") && named(""));
    }
}

fn exports(plan: &Plan, modules: &[&[u8]], item: &Item) -> bool {
    let Item::Export(instance, name) = item else {
        return false;
    };
    let module = modules[plan.instances[*instance].module];
    crate::surface::read(module).unwrap().exports.contains(name)
}

#[test]
fn checks_of_time_are_in_all_code() {
    let file = linked(&example()).unwrap();
    let made = linked_with_deadline(&file).unwrap();
    let (plain, _) = split(&file).unwrap();
    let (plan, modules) = split(&made).unwrap();
    assert_eq!(
        serde_json::to_value(&plan.instances).unwrap(),
        serde_json::to_value(&plain.instances).unwrap()
    );
    for module in modules {
        let imports = crate::surface::read(module).unwrap().imports;
        let asks = imports.iter().any(|(from, ..)| from == deadline::IMPORT.0);
        assert_eq!(asks, has_code(module));
    }
    assert_eq!(linked_with_deadline(&made[1..]), None);
    assert_eq!(linked_with_deadline(b"{}\n"), None);
}

#[test]
fn other_components_stay_where_they_are() {
    let two_memories = component("unreachable").replacen(
        "(core module $guest",
        "(core module $other (memory 1)) (core instance $o (instantiate $other)) (core module $guest",
        1,
    );
    let resource = component("unreachable").replacen(
        "(core module $guest",
        "(type $own (resource (rep i32))) (core func $new (canon resource.new $own))
         (core module $other (import \"\" \"new\" (func (param i32) (result i32))))
         (core instance $o (instantiate $other (with \"\" (instance (export \"new\" (func $new))))))
         (core module $guest",
        1,
    );
    let deadline = component("unreachable")
        .replace("(import \"\" ", "(import \"serverledge_edge\" ")
        .replace("(with \"\" ", "(with \"serverledge_edge\" ");
    for text in [&two_memories, &resource, &deadline, "(component)"] {
        assert_eq!(of_text(text).unwrap_err(), NotPortable::Component);
    }
    assert_eq!(
        linked(b"\0asm\x0d\0\x01\0\x01").unwrap_err(),
        NotPortable::NoModule
    );
}

/// A component with two modules more, one of which imports so many functions of the other, whose names end with this.
fn importing(count: usize, end: &str) -> Result<Bytes, NotPortable> {
    let each = |form: &dyn Fn(usize) -> String| (0..count).map(form).collect::<String>();
    let exports = each(&|n| format!("(export \"{n}{end}\" (func $f))"));
    let imports = each(&|n| format!("(import \"\" \"{n}{end}\" (func))"));
    of_text(&component("unreachable").replacen(
        "(core module $guest",
        &format!(
            "(core module $a (func $f) {exports}) (core instance $ia (instantiate $a))
             (core module $b {imports}) (core instance (instantiate $b (with \"\" (instance $ia))))
             (core module $guest"
        ),
        1,
    ))
}

/// Each import is in the plan with its name.
#[test]
fn a_plan_has_bounds() {
    let few = importing(10, "").unwrap();
    assert_eq!(split(&few).unwrap().0.instances.len(), 4);
    assert!(importing(1_000, "").is_ok());
    for (count, end) in [
        (IMPORTS_MAX + 1, ""),
        (1, "x".repeat(NAME_BYTES_MAX).as_str()),
    ] {
        assert_eq!(importing(count, end).unwrap_err(), NotPortable::Component);
    }
}

#[test]
fn a_component_has_so_much_code_and_no_more() {
    // What no program needs does not count.
    let named = crate::custom::with_section(example(), "names", &vec![7; CODE_BYTES_MAX]);
    let bytes = linked(&named).unwrap().len();
    assert!(bytes < 80_000, "{bytes}");
    let data = "x".repeat(CODE_BYTES_MAX);
    let text = component("unreachable").replacen(
        "(memory (export \"memory\") 1)",
        &format!("(memory (export \"memory\") 100) (data (i32.const 0x10000) \"{data}\")"),
        1,
    );
    assert_eq!(of_text(&text).unwrap_err(), NotPortable::LargeComponent);
    let long = crate::custom::with_section(example(), "names", &vec![7; COMPONENT_BYTES_MAX]);
    assert_eq!(linked(&long).unwrap_err(), NotPortable::LargeComponent);
}
