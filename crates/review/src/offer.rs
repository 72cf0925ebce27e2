//! Changes that an owner is asked to decide on.

use session_key_client::{
    alloy::primitives::Address,
    key_request::KeyRequest,
    permissions::{
        plan::LimitMode,
        policy::{Facts, Policy},
    },
};

/// A change to decide on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Offer {
    /// Changes a key to what a policy says.
    Apply(Application),
    /// Grants what a request asks for.
    Approve(Approval),
}

/// Changes a key to exactly the permissions of a policy.
#[derive(Clone, Debug)]
pub struct Application {
    /// The key.
    pub key: Address,
    /// The policy's name, such as its file's.
    pub name: String,
    /// The policy.
    pub policy: Policy,
    /// When the key was granted, and the decimals of tokens.
    pub facts: Facts,
    /// What happens to the amount used of a limit that changes; `None`: the owner chooses on the page.
    pub limits: Option<LimitMode>,
}

/// Grants what a request asks for, or less.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The request. It is checked each time that it is shown.
    pub request: KeyRequest,
    /// What to grant instead, with its name.
    pub narrower: Option<(String, Policy)>,
    /// The decimals of tokens in both.
    pub facts: Facts,
}

impl From<Application> for Offer {
    fn from(application: Application) -> Self {
        Self::Apply(application)
    }
}

impl From<Approval> for Offer {
    fn from(approval: Approval) -> Self {
        Self::Approve(approval)
    }
}
