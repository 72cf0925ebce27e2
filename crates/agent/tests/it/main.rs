//! Tests of agents on a simulated chain, with stores in memory and in files.

mod admission;
mod budgets;
mod histories;
mod ledgers;
mod world;
