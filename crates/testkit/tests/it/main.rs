//! The chain's behaviour: through an `alloy` provider, and directly.

mod anvil;
mod blocks;
mod bundler;
mod bundler_v07;
mod estimate;
mod fork;
mod history;
mod mempool;
mod node;
mod nonsense;
mod pool;
mod provider;
mod reorganization;
mod requests;
mod saved;
mod serve;
mod session;
mod session_v08;
mod stack;
mod stack_v08;
mod transport;
