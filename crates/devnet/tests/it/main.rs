//! The development network with everything that accounts and keys can be.

mod clean;
