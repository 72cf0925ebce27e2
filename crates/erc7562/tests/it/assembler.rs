//! Contracts in a few instructions.

use revm::{
    bytecode::opcode::*,
    primitives::{Address, U256},
};

/// Instructions, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code(Vec<u8>);

impl Code {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn op(mut self, opcode: u8) -> Self {
        self.0.push(opcode);
        self
    }

    pub(crate) fn ops(mut self, opcodes: &[u8]) -> Self {
        self.0.extend(opcodes);
        self
    }

    pub(crate) fn push(mut self, number: impl TryInto<U256>) -> Self {
        let number: U256 = number.try_into().ok().expect("it fits");
        let bytes = number.to_be_bytes_trimmed_vec();
        self.0
            .push(PUSH0 + u8::try_from(bytes.len()).expect("at most 32"));
        self.0.extend(bytes);
        self
    }

    pub(crate) fn push_address(self, address: Address) -> Self {
        self.push(U256::from_be_bytes(address.into_word().0))
    }

    /// Writes a word to memory.
    pub(crate) fn store(self, offset: u64, value: impl TryInto<U256>) -> Self {
        self.push(value).push(U256::from(offset)).op(MSTORE)
    }

    /// Calls with the memory from 0 on, and drops the answer. `value` is for `CALL` and `CALLCODE`.
    pub(crate) fn call(self, opcode: u8, to: Address, value: u64, length: u64) -> Self {
        let code = self.op(PUSH0).op(PUSH0).push(U256::from(length)).op(PUSH0);
        let code = if matches!(opcode, CALL | CALLCODE) {
            code.push(U256::from(value))
        } else {
            code
        };
        code.push_address(to).op(GAS).op(opcode).op(POP)
    }

    /// `keccak256(address ‖ index) + offset`, the place of a mapping's value, on top of the stack.
    pub(crate) fn mapped(self, key: Address, index: u64, offset: u64) -> Self {
        self.store(0, U256::from_be_bytes(key.into_word().0))
            .store(32, U256::from(index))
            .push(U256::from(64))
            .op(PUSH0)
            .op(KECCAK256)
            .push(U256::from(offset))
            .op(ADD)
    }

    /// Writes bytes to memory, from an offset on.
    pub(crate) fn bytes(mut self, offset: u64, bytes: &[u8]) -> Self {
        for (index, chunk) in (0_u64..).zip(bytes.chunks(32)) {
            let mut word = [0; 32];
            word[..chunk.len()].copy_from_slice(chunk);
            self = self.store(offset + 32 * index, U256::from_be_bytes(word));
        }
        self
    }

    /// Creates a contract from init code; its address stays on the stack.
    pub(crate) fn create(self, opcode: u8, init_code: &[u8], salt: u64) -> Self {
        let code = self.bytes(0, init_code);
        let code = if opcode == CREATE2 {
            code.push(U256::from(salt))
        } else {
            code
        };
        code.push(U256::from(init_code.len()))
            .op(PUSH0)
            .op(PUSH0)
            .op(opcode)
    }

    /// Returns so many words of memory.
    pub(crate) fn returns(self, words: u64) -> Self {
        self.push(U256::from(32 * words)).op(PUSH0).op(RETURN)
    }

    pub(crate) fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(crate) fn build(self) -> Vec<u8> {
        self.0
    }
}

/// Init code that deploys this.
pub(crate) fn deploys(code: &[u8]) -> Vec<u8> {
    // push2 length, push1 12, push0, codecopy; push2 length, push0, return
    let [high, low] = u16::try_from(code.len()).expect("it is small").to_be_bytes();
    let mut init_code = vec![
        PUSH2, high, low, PUSH1, 12, PUSH0, CODECOPY, PUSH2, high, low, PUSH0, RETURN,
    ];
    init_code.extend(code);
    init_code
}
