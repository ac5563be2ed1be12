//! The promise of the contract: what was built against 0.1.0 runs on every 0.1.x host.

use hitchy_tests::{Server, sources};

#[tokio::test]
async fn l13_a_handler_built_against_0_1_0_loads() {
    let fixture = sources().join("fixtures/contract-0.1.0.wasm");
    let component =
        std::fs::read(&fixture).unwrap_or_else(|error| panic!("{}: {error}", fixture.display()));
    let server = Server::with("contract.wasm", component).await;
    server
        .wait_for_log(&["contract.wasm: loaded", "generation 1"])
        .await;
}
