//! The rules on real EntryPoints: for each rule, contracts that break only that one.

mod assembler;
mod entities;
mod opcodes;
mod outcomes;
mod storage;
mod test_bundler;
mod world;
