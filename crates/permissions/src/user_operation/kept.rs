//! JSON of operations for keeping: that of bundlers, which does not tell v0.7 from later versions, and the
//! version of packed operations. For `#[serde(with = "…")]`.

use super::{EntryPointVersion, UserOperation};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept<O> {
    #[serde(flatten)]
    operation: O,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry_point_version: Option<EntryPointVersion>,
}

/// Writes an operation.
pub fn serialize<S: Serializer>(operation: &UserOperation, serializer: S) -> Result<S::Ok, S::Error> {
    let version = operation.version;
    let kept = Kept {
        operation,
        entry_point_version: version.is_packed().then_some(version),
    };
    kept.serialize(serializer)
}

/// Reads what [`serialize`] writes, and what bundlers do.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserOperation, D::Error> {
    let Kept {
        mut operation,
        entry_point_version,
    } = Kept::<UserOperation>::deserialize(deserializer)?;
    if let Some(version) = entry_point_version {
        if version.is_packed() != operation.version.is_packed() {
            let found = operation.version;
            let error = format!("an operation in the form of EntryPoint {found} is not one of {version}");
            return Err(D::Error::custom(error));
        }
        operation.version = version;
    }
    Ok(operation)
}
