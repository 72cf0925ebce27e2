#![doc = include_str!("../README.md")]

mod body;
mod connections;
mod site;

pub use body::{BodyError, body};
pub use connections::{Bounds, Listener, serve};
pub use site::{Refused, Site};
