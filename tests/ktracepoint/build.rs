//! Links the tests with the section that `ktracepoint` gathers its events in.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tracepoint.ld");
    println!("cargo:rerun-if-changed={script}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-link-arg-tests=-Wl,-T,{script}");
    }
}
