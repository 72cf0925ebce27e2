//! The chain as its users see it: through an `alloy` provider, and directly.

mod blocks;
mod provider;
mod stack;
