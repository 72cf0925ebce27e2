//! The chain as its users see it: through an `alloy` provider, and directly.

mod anvil;
mod blocks;
mod provider;
mod session;
mod stack;
