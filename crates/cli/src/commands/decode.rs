//! Decodes bytes: updates, call data, a user operation, a revert.

use super::{Outcome, clean, not_begun};
use crate::{
    answer::{Answer, Tone},
    failure::WrongInput,
    files::read,
};
use clap::Args;
use eyre::Result;
use serde_json::{Value, json};
use session_key_bindings::{IModularAccount, ISessionKeyPlugin};
use session_key_client::{
    Call, Revert, UserOperation,
    alloy::{
        hex,
        primitives::{Address, B256, Bytes},
        sol_types::{SolCall, SolValue as _},
    },
    permissions::{
        PermissionUpdate, PermissionUpdates, Permissions,
        model::decode_execute_with_session_key,
        policy::{Policy, PolicyFormat},
        words::Names,
    },
};
use std::path::PathBuf;

/// How many levels of calls from the account to itself are decoded.
const MAX_DEPTH: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct DecodeArguments {
    /// Updates, call data, a user operation or revert data in hexadecimal, or the JSON that `encode` prints;
    /// `-` reads standard input.
    hex: String,

    /// The format of a printed policy.
    #[arg(long, value_enum, default_value_t = As::Toml)]
    format: As,

    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum As {
    Toml,
    Json,
}

impl As {
    const fn is_toml(self) -> bool {
        matches!(self, Self::Toml)
    }
}

/// Formats a count: `1 update`, `2 updates`.
fn counted(updates: usize) -> String {
    let plural = if updates == 1 { "" } else { "s" };
    format!("{updates} update{plural}")
}

pub(crate) fn decode(arguments: &DecodeArguments) -> Outcome {
    not_begun((|| {
        let text = if arguments.hex == "-" {
            read(&PathBuf::from("-"))?
        } else {
            arguments.hex.clone()
        };
        let text = text.trim();
        if text.starts_with('{') {
            return decode_json(text, arguments);
        }
        let lines: Vec<Bytes> = text
            .split_whitespace()
            .map(|word| hex::decode(word).map(Bytes::from))
            .collect::<Result<_, _>>()
            .map_err(|_| WrongInput("expected hexadecimal digits, or the JSON that encode prints".into()))?;
        match &lines[..] {
            [] => Err(WrongInput("there is nothing to decode".into()).into()),
            [one] => decode_bytes(one, arguments),
            updates => decode_updates(updates, (None, false), arguments),
        }
    })())
}

/// Returns an answer with every member, null or empty by default.
fn answer_of(what: &str) -> Answer {
    let mut answer = Answer::new();
    answer.data("what", what);
    for name in ["function", "sender", "sessionKey", "policy", "message"] {
        answer.data(name, Value::Null);
    }
    for name in ["calls", "keys", "words", "notShown"] {
        answer.data(name, json!([]));
    }
    answer
}

fn decode_json(text: &str, arguments: &DecodeArguments) -> Result<Answer> {
    let value: Value = serde_json::from_str(text).map_err(|error| WrongInput(clean(&error.to_string())))?;
    if let Some(updates) = value.get("updates") {
        let updates: Vec<Bytes> = serde_json::from_value(updates.clone())
            .map_err(|_| WrongInput("\"updates\" is not a list of hexadecimal strings".into()))?;
        let tag = match value.get("tag") {
            None | Some(Value::Null) => None,
            Some(tag) => {
                let tag: Result<B256, _> = serde_json::from_value(tag.clone());
                Some(tag.map_err(|_| WrongInput("\"tag\" is not 32 bytes in hexadecimal".into()))?)
            }
        };
        // `plan` and `apply` print this member.
        let is_change = value.get("changes").is_some();
        return decode_updates(&updates, (tag, is_change), arguments);
    }
    let operation: UserOperation = serde_json::from_value(value)
        .map_err(|error| WrongInput(format!("not a user operation: {}", clean(&error.to_string()))))?;
    let mut answer = answer_of("userOperation");
    answer.data("sender", operation.sender.to_string());
    answer.heading(format!("User operation of account {}", operation.sender));
    match CallData::read(&operation.call_data, 0) {
        Some(read) => read.show(&mut answer, 2),
        None => {
            answer.plain(format!(
                "Its call data is not recognized: {}",
                operation.call_data
            ));
        }
    }
    Ok(answer)
}

/// Whether an update removes something a key had: then it changes an existing key and is not part of a
/// policy.
fn takes_off(update: &PermissionUpdate) -> bool {
    match update {
        PermissionUpdate::AddressEntry(entry) => !entry.is_on_list,
        PermissionUpdate::FunctionEntry(entry) => !entry.is_on_list,
        PermissionUpdate::Erc20SpendLimit(limit) => limit.limit.is_unlimited(),
        PermissionUpdate::GasSpendLimit(limit) => limit.is_unlimited(),
        PermissionUpdate::RequiredPaymaster(paymaster) => paymaster.is_zero(),
        _ => false,
    }
}

/// Decodes updates. `is_change`: whether they are known to change a key that already has permissions.
fn decode_updates(
    updates: &[Bytes],
    (tag, is_change): (Option<B256>, bool),
    arguments: &DecodeArguments,
) -> Result<Answer> {
    let decoded = PermissionUpdates::decode(updates)?;
    // The coin depends on the chain, which is not known here.
    let names = Names::new().native_symbol("native");
    let mut answer = answer_of("updates");
    let permissions = decoded
        .as_slice()
        .iter()
        .fold(Permissions::new(), |set, update| set.update(*update));
    let format = match arguments.format {
        As::Toml => PolicyFormat::Toml,
        As::Json => PolicyFormat::Json,
    };
    let words = decoded.describe(&Names::new().native_symbol("native coins"));
    answer.data("words", &words);
    if is_change || decoded.as_slice().iter().any(takes_off) {
        answer.heading(format!(
            "{} that change a key; they are not all of its permissions:",
            counted(updates.len())
        ));
        for sentence in words {
            answer.plain(sentence);
        }
        return Ok(answer);
    }
    match Policy::of(&permissions, tag.filter(|tag| !tag.is_zero()), &names) {
        Ok((policy, not_shown)) => {
            let text = policy.to_text(format);
            answer.data("policy", &text).data("notShown", &not_shown);
            if arguments.format.is_toml() {
                answer.raw(format!(
                    "# {}, as the policy of a new key:",
                    counted(updates.len())
                ));
                for sentence in words {
                    answer.raw(format!("# {sentence}"));
                }
            }
            answer.raw(text.trim_end().to_owned());
            if !not_shown.is_empty() && arguments.format.is_toml() {
                answer.raw(format!(
                    "# {} entries without effect are left out",
                    not_shown.len()
                ));
            }
        }
        Err(error) => {
            answer.line(Tone::Bad, 0, format!("no policy can express this: {error}"));
            for sentence in words {
                answer.plain(sentence);
            }
        }
    }
    Ok(answer)
}

fn decode_bytes(bytes: &Bytes, arguments: &DecodeArguments) -> Result<Answer> {
    if PermissionUpdates::decode([bytes]).is_ok() {
        return decode_updates(std::slice::from_ref(bytes), (None, false), arguments);
    }
    if let Some(read) = CallData::read(bytes, 0) {
        let mut answer = answer_of("callData");
        read.show(&mut answer, 0);
        return Ok(answer);
    }
    match Revert::decode(bytes) {
        Revert::Unknown(_) => {
            Err(WrongInput("not recognized: neither updates, call data nor a known revert".into()).into())
        }
        revert => {
            let message = clean(&revert.to_string());
            let mut answer = answer_of("revert");
            answer.line(Tone::Plain, 0, format!("revert: {message}"));
            answer.data("message", message);
            Ok(answer)
        }
    }
}

/// A key that a call changes, and its updates.
struct KeyChange {
    key: Address,
    tag: Option<B256>,
    updates: PermissionUpdates,
}

impl KeyChange {
    const fn new(key: Address, updates: PermissionUpdates) -> Self {
        Self {
            key,
            tag: None,
            updates,
        }
    }
}

/// Recognized call data of an account.
enum CallData {
    /// The calls of a session key.
    BySessionKey { key: Address, calls: Vec<Call> },
    /// An owner's calls, with calls to the account itself decoded.
    ByOwner {
        function: &'static str,
        calls: Vec<(Call, Option<Self>)>,
    },
    /// A change of session keys.
    Keys {
        function: &'static str,
        changes: Vec<KeyChange>,
    },
    /// A plugin's installation or removal.
    Plugin {
        function: &'static str,
        plugin: Address,
        changes: Vec<KeyChange>,
    },
}

impl CallData {
    fn read(call_data: &Bytes, depth: usize) -> Option<Self> {
        if depth > MAX_DEPTH {
            return None;
        }
        if let Ok((calls, key)) = decode_execute_with_session_key(call_data) {
            return Some(Self::BySessionKey { key, calls });
        }
        let owner = |function, calls: Vec<Call>| {
            let calls = calls.into_iter().map(|call| {
                let read = Self::read(&call.data, depth + 1);
                (call, read)
            });
            Self::ByOwner {
                function,
                calls: calls.collect(),
            }
        };
        if let Ok(call) = IModularAccount::executeCall::abi_decode_validate(call_data) {
            let call = Call::new(call.target, call.data).with_value(call.value);
            return Some(owner("execute", vec![call]));
        }
        if let Ok(batch) = IModularAccount::executeBatchCall::abi_decode_validate(call_data) {
            let calls = batch.calls.into_iter();
            let calls = calls.map(|call| Call::new(call.target, call.data).with_value(call.value));
            return Some(owner("executeBatch", calls.collect()));
        }
        if let Ok(call) = IModularAccount::installPluginCall::abi_decode_validate(call_data) {
            return Some(Self::Plugin {
                function: "installPlugin",
                plugin: call.plugin,
                changes: installed_keys(&call.pluginInstallData).unwrap_or_default(),
            });
        }
        if let Ok(call) = IModularAccount::uninstallPluginCall::abi_decode_validate(call_data) {
            return Some(Self::Plugin {
                function: "uninstallPlugin",
                plugin: call.plugin,
                changes: Vec::new(),
            });
        }
        let (function, changes) = key_changes(call_data)?;
        Some(Self::Keys { function, changes })
    }

    const fn function(&self) -> &'static str {
        match self {
            Self::BySessionKey { .. } => "executeWithSessionKey",
            Self::ByOwner { function, .. } | Self::Keys { function, .. } | Self::Plugin { function, .. } => {
                function
            }
        }
    }

    /// Returns every key that the call data changes, in order.
    fn changes(&self) -> Vec<&KeyChange> {
        match self {
            Self::BySessionKey { .. } => Vec::new(),
            Self::ByOwner { calls, .. } => {
                let known = calls.iter().filter_map(|(_, read)| read.as_ref());
                known.flat_map(Self::changes).collect()
            }
            Self::Keys { changes, .. } | Self::Plugin { changes, .. } => changes.iter().collect(),
        }
    }

    fn calls(&self) -> Vec<(&Call, Option<&'static str>)> {
        match self {
            Self::BySessionKey { calls, .. } => calls.iter().map(|call| (call, None)).collect(),
            Self::ByOwner { calls, .. } => calls
                .iter()
                .map(|(call, read)| (call, read.as_ref().map(Self::function)))
                .collect(),
            Self::Keys { .. } | Self::Plugin { .. } => Vec::new(),
        }
    }

    fn show(&self, answer: &mut Answer, indent: usize) {
        self.lines(answer, indent);
        let calls: Vec<Value> = self
            .calls()
            .into_iter()
            .map(|(call, function)| {
                json!({
                    "target": call.target.to_string(),
                    "valueWei": call.value.to_string(),
                    "data": call.data,
                    "function": function,
                })
            })
            .collect();
        let keys: Vec<Value> = self
            .changes()
            .into_iter()
            .map(|change| {
                json!({
                    "sessionKey": change.key.to_string(),
                    "tag": change.tag,
                    "words": change.updates.describe(&Names::new()),
                })
            })
            .collect();
        let session_key = match self {
            Self::BySessionKey { key, .. } => Some(key.to_string()),
            _ => None,
        };
        answer
            .data("function", self.function())
            .data("sessionKey", session_key)
            .data("calls", calls)
            .data("keys", keys);
    }

    fn lines(&self, answer: &mut Answer, indent: usize) {
        match self {
            Self::BySessionKey { key, calls } => {
                answer.line(
                    Tone::Heading,
                    indent,
                    format!("executeWithSessionKey by {key}, {}", super::calls(calls.len())),
                );
                for call in calls {
                    call_line(answer, indent + 2, call);
                }
            }
            Self::ByOwner { function, calls } => {
                answer.line(
                    Tone::Heading,
                    indent,
                    format!("{function}, {}", super::calls(calls.len())),
                );
                for (call, read) in calls {
                    match read {
                        Some(read) => {
                            answer.line(Tone::Plain, indent + 2, format!("{}:", call.target));
                            read.lines(answer, indent + 4);
                        }
                        None => call_line(answer, indent + 2, call),
                    }
                }
            }
            Self::Keys { function, changes } => {
                answer.line(Tone::Heading, indent, *function);
                change_lines(answer, indent + 2, changes);
            }
            Self::Plugin {
                function,
                plugin,
                changes,
            } => {
                answer.line(Tone::Heading, indent, format!("{function} {plugin}"));
                change_lines(answer, indent + 2, changes);
            }
        }
    }
}

fn call_line(answer: &mut Answer, indent: usize, call: &Call) {
    answer.line(
        Tone::Plain,
        indent,
        format!("{} with {} wei and {}", call.target, call.value, call.data),
    );
}

fn change_lines(answer: &mut Answer, indent: usize, changes: &[KeyChange]) {
    for change in changes {
        let tag = change.tag.filter(|tag| !tag.is_zero());
        let tag = tag.map(|tag| format!(", tag {tag}")).unwrap_or_default();
        answer.line(Tone::Plain, indent, format!("{}{tag}", change.key));
        for sentence in change.updates.describe(&Names::new()) {
            answer.line(Tone::Plain, indent + 2, sentence);
        }
    }
}

/// Decodes the keys in the session key plugin's install data.
fn installed_keys(data: &[u8]) -> Option<Vec<KeyChange>> {
    let (keys, tags, updates) = <(Vec<Address>, Vec<B256>, Vec<Vec<Bytes>>)>::abi_decode_params(data).ok()?;
    if keys.len() != tags.len() || keys.len() != updates.len() {
        return None;
    }
    let keys = keys.into_iter().zip(tags).zip(updates);
    keys.map(|((key, tag), updates)| {
        Some(KeyChange {
            key,
            tag: Some(tag),
            updates: PermissionUpdates::decode(&updates).ok()?,
        })
    })
    .collect()
}

/// Decodes an owner's call that changes keys, with the updates of each.
fn key_changes(call_data: &Bytes) -> Option<(&'static str, Vec<KeyChange>)> {
    if let Ok(call) = ISessionKeyPlugin::addSessionKeyCall::abi_decode_validate(call_data) {
        let change = KeyChange {
            key: call.sessionKey,
            tag: Some(call.tag),
            updates: PermissionUpdates::decode(&call.permissionUpdates).ok()?,
        };
        return Some(("addSessionKey", vec![change]));
    }
    if let Ok(call) = ISessionKeyPlugin::updateKeyPermissionsCall::abi_decode_validate(call_data) {
        let updates = PermissionUpdates::decode(&call.updates).ok()?;
        return Some((
            "updateKeyPermissions",
            vec![KeyChange::new(call.sessionKey, updates)],
        ));
    }
    if let Ok(call) = ISessionKeyPlugin::removeSessionKeyCall::abi_decode_validate(call_data) {
        let change = KeyChange::new(call.sessionKey, PermissionUpdates::new());
        return Some(("removeSessionKey", vec![change]));
    }
    if let Ok(call) = ISessionKeyPlugin::rotateSessionKeyCall::abi_decode_validate(call_data) {
        let keys = [call.oldSessionKey, call.newSessionKey];
        return Some((
            "rotateSessionKey",
            keys.map(|key| KeyChange::new(key, PermissionUpdates::new()))
                .into(),
        ));
    }
    None
}
