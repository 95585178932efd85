//! The suite of the traits, for Python and Node.js, with template containers and without.

use serverledge_core::Runtime;
use serverledge_testing::executor::{
    self, CALLEE, ENDLESS_LOG, FAILS_LOG, Fixtures, LARGE_BYTES, LOGS_LOG,
};

use crate::support::{Lab, fixtures};

fn python() -> Fixtures {
    let letters = LARGE_BYTES - 2;
    fixtures(
        Runtime::Python,
        "main.handler",
        [
            "def handler(params): return params",
            &format!(
                "def handler(params):\n    print('{FAILS_LOG}')\n    raise ValueError('it broke')"
            ),
            &format!("def handler(params):\n    print('{ENDLESS_LOG}')\n    while True: pass"),
            &format!("def handler(params):\n    print('{LOGS_LOG}')\n    return params"),
            &format!("def handler(params): return 'x' * {letters}"),
            &format!("def handler(params): return call('{CALLEE}', params)"),
        ],
    )
}

fn nodejs() -> Fixtures {
    let letters = LARGE_BYTES - 2;
    fixtures(
        Runtime::NodeJs,
        "main.handler",
        [
            "exports.handler = params => params;",
            &format!(
                "exports.handler = params => {{ console.log('{FAILS_LOG}'); throw new TypeError('it broke'); }};"
            ),
            &format!("exports.handler = params => {{ console.log('{ENDLESS_LOG}'); for (;;); }};"),
            &format!(
                "exports.handler = params => {{ console.log('{LOGS_LOG}'); return params; }};"
            ),
            &format!("exports.handler = params => 'x'.repeat({letters});"),
            &format!("exports.handler = params => call('{CALLEE}', params);"),
        ],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_conforms() {
    let lab = Lab::new().await;
    executor::conforms(&lab.executor, &python()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_in_template_containers_conforms() {
    let lab = Lab::with_cells(2).await;
    executor::conforms(&lab.executor, &python()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodejs_in_template_containers_conforms() {
    let lab = Lab::with(|config| config.cells = 2).await;
    lab.executor.warm_up(&[Runtime::NodeJs]);
    lab.wait_for_cells(2).await;
    executor::conforms(&lab.executor, &nodejs()).await;
}
