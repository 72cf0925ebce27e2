#![doc = include_str!("../README.md")]

mod accounts;
mod block;
mod bundler;
mod call;
mod chain;
mod dump;
mod error;
mod fork;
#[cfg(feature = "fork")]
mod history;
#[cfg(feature = "fork")]
mod http_state;
mod mining;
mod node;
mod permission_modules;
mod pool;
mod reorganization;
mod rpc;
mod saved;
#[cfg(feature = "serve")]
mod serve;
mod stack;
mod stack_v08;
mod state;
mod testkit;
mod trace;
mod transaction;
mod transport;
mod vantage;

pub use accounts::{DevAccount, dev_accounts};
pub use bundler::{
    AbsentForm, Bundle, Bundler, BundlerOptions, BundlerStyle, BundlerWords, Duplicates, EntryPointVersion,
    NumberForm, PooledOperation, ReasonForm, Reputation, ReputationRules, ReputationStatus, RevertDataForm,
    SuccessForm, VerificationGasName, VersionedOperation,
};
pub use call::CallOptions;
pub use chain::{Chain, ChainConfig, MAX_BASE_FEE};
pub use dump::{DumpError, StateDump};
pub use error::ChainError;
pub use fork::{SourceAccount, SourceError, StateSource};
#[cfg(feature = "fork")]
pub use http_state::HttpState;
pub use node::{
    FinalityTags, LimitWords, LogLimits, Node, NodeOptions, PrunedState, PrunedWords, Submission,
};
pub use permission_modules::PermissionModules;
pub use pool::PooledTransaction;
pub use reorganization::{Fate, Reorganization};
pub use rpc::ErrorAnswer;
pub use saved::LoadError;
#[cfg(feature = "serve")]
pub use serve::Server;
pub use stack::{
    DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, ENTRY_POINT_CODE, ENTRY_POINT_V07_CODE, MULTICALL3,
    PLUGIN_WITHOUT_STRICT_RULES, PlannedContract, Stack, TestToken, V08_ACCOUNT_CODE, V08_DELEGATE_CODE,
    V08_SIGNATURE_ACCOUNT_CODE, VERIFYING_PAYMASTER_CODE, entry_point_codes,
};
pub use stack_v08::StackV08;
pub use testkit::Testkit;
pub use trace::{CallKind, CallTrace};
pub use transaction::{Execution, Status};
pub use transport::Transport;
