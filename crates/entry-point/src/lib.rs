#![doc = include_str!("../README.md")]

use session_key_bindings::{bytecode::CreationCode, deployment::EntryPointCodes};

/// EntryPoint v0.6, the unmodified GPL-3.0 release. Its constructor takes no arguments.
pub static ENTRY_POINT_CODE: CreationCode =
    CreationCode::new("EntryPoint", include_str!("../bytecode/EntryPoint.hex"));

/// EntryPoint v0.7, the unmodified GPL-3.0 release. Its constructor takes no arguments.
pub static ENTRY_POINT_V07_CODE: CreationCode =
    CreationCode::new("EntryPointV07", include_str!("../bytecode/EntryPointV07.hex"));

/// EntryPoint v0.8, the unmodified GPL-3.0 release; its constructor takes no arguments.
pub static ENTRY_POINT_V08_CODE: CreationCode =
    CreationCode::new("EntryPointV08", include_str!("../bytecode/EntryPointV08.hex"));

/// EntryPoint v0.9, the unmodified release candidate 0.9.0-rc.1 (GPL-3.0); its constructor
/// takes no arguments.
pub static ENTRY_POINT_V09_CODE: CreationCode =
    CreationCode::new("EntryPointV09", include_str!("../bytecode/EntryPointV09.hex"));

/// Returns the bytecode of both EntryPoints, as [`plan`](session_key_bindings::deployment::plan) takes it.
#[must_use]
pub fn codes() -> EntryPointCodes {
    EntryPointCodes {
        v06: ENTRY_POINT_CODE.bytes(),
        v07: ENTRY_POINT_V07_CODE.bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::codes;
    use alloy_primitives::B256;
    use session_key_bindings::{
        DEPLOYMENT_PROXY, ENTRY_POINT, ENTRY_POINT_V07, deployment::ENTRY_POINT_V07_SALT,
    };

    /// Both were created through the deployment proxy, so any other bytecode would give another address.
    #[test]
    fn the_bytecode_gives_the_entry_points_their_addresses() {
        let codes = codes();
        let v06 = DEPLOYMENT_PROXY.create2_from_code(B256::ZERO, codes.v06);
        assert_eq!(v06, ENTRY_POINT);
        let v07 = DEPLOYMENT_PROXY.create2_from_code(ENTRY_POINT_V07_SALT, codes.v07);
        assert_eq!(v07, ENTRY_POINT_V07);
    }
}
