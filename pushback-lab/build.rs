//! Cargo sees changes of the scenarios that are in the program, but not that there is one more.

fn main() {
    println!("cargo::rerun-if-changed=scenarios");
}
