#![doc = include_str!("../README.md")]

mod agents;
mod bundler;
mod caller;
mod dice;
mod fault;
mod history;
mod hostile;
mod ledger;
mod lies;
mod net;
mod panics;
mod paymaster;
mod plan;
mod prepared;
mod process;
mod shrink;
mod spot;
mod store;
mod table;
mod trace;
mod words;
mod world;

pub use agents::{AgentsPlan, WindowPlan};
pub use fault::{Fault, Faults, Rates};
pub use history::{History, run};
pub use ledger::{Check, Violation};
pub use panics::keep as keep_panics;
pub use plan::{
    BundlerPlan, ChainPlan, CrashPlan, DepthPlan, Event, EventPlan, Follow, NodePlan, Plan, ProcessPlan,
    Role, StorePlan, Style, Tags, Via, What, WishPlan,
};
pub use prepared::KeyKind;
pub use shrink::shrink;
pub use spot::{Actor, Spot, Step};
pub use table::Counts;
pub use trace::Line;
