#![doc = include_str!("../README.md")]

use session_key_bindings::bytecode::CreationCode;

/// EntryPoint v0.6, the unmodified GPL-3.0 release; its constructor takes no arguments.
pub static ENTRY_POINT_CODE: CreationCode =
    CreationCode::new("EntryPoint", include_str!("../bytecode/EntryPoint.hex"));

#[cfg(test)]
mod tests {
    use super::ENTRY_POINT_CODE;
    use alloy_primitives::B256;
    use session_key_bindings::{DEPLOYMENT_PROXY, ENTRY_POINT};

    /// It was created through the deployment proxy with salt zero: any other bytecode would have another address.
    #[test]
    fn the_bytecode_creates_the_entry_point_at_its_address() {
        let created = DEPLOYMENT_PROXY.create2_from_code(B256::ZERO, ENTRY_POINT_CODE.bytes());
        assert_eq!(created, ENTRY_POINT);
    }
}
