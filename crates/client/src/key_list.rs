//! The order of an account's session keys, and the predecessors that removal and rotation need.

use alloy::primitives::{Address, B256, U256};

/// The predecessor of the first key of the list: `bytes32(uint256(1))`.
pub const SENTINEL: B256 = B256::new(U256::ONE.to_be_bytes());

/// An account's session keys, newest first, tracked through a batch of changes.
///
/// The plugin stores them as a linked list, and removing or rotating a key names the entry before it. In a
/// batch, the list changes: after removing one of two neighbours, the other's predecessor differs from the
/// list that was read. So each change here returns the predecessor to use at that point, and updates the
/// list.
///
/// ```
/// use session_key_client::{alloy::primitives::Address, key_list::{KeyList, SENTINEL}};
///
/// let [a, b, c] = [1, 2, 3].map(Address::repeat_byte);
/// let mut keys = KeyList::new([a, b, c]);
/// assert_eq!(keys.remove(b)?, keys.predecessor(c)?); // a, both times
/// assert_eq!(keys.remove(a)?, SENTINEL);
/// assert_eq!(keys.remove(c)?, SENTINEL);
/// # Ok::<(), session_key_client::key_list::KeyNotFound>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyList(Vec<Address>);

/// The key is not among the account's session keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a session key of the account")]
pub struct KeyNotFound(pub Address);

impl KeyList {
    /// Creates the list from the order of `sessionKeysOf`: newest first.
    pub fn new(keys: impl IntoIterator<Item = Address>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Returns the keys, newest first.
    pub fn as_slice(&self) -> &[Address] {
        &self.0
    }

    /// Returns the entry before the key, as `findPredecessor` would at this point.
    pub fn predecessor(&self, key: Address) -> Result<B256, KeyNotFound> {
        self.position(key).map(|position| self.before(position))
    }

    /// Adds a key at the front.
    pub fn add(&mut self, key: Address) {
        self.0.insert(0, key);
    }

    /// Removes a key. Returns its predecessor.
    pub fn remove(&mut self, key: Address) -> Result<B256, KeyNotFound> {
        let position = self.position(key)?;
        let predecessor = self.before(position);
        self.0.remove(position);
        Ok(predecessor)
    }

    /// Removes `old` and adds `new` at the front. Returns the predecessor of `old`.
    pub fn rotate(&mut self, old: Address, new: Address) -> Result<B256, KeyNotFound> {
        let predecessor = self.remove(old)?;
        self.add(new);
        Ok(predecessor)
    }

    fn position(&self, key: Address) -> Result<usize, KeyNotFound> {
        self.0
            .iter()
            .position(|entry| *entry == key)
            .ok_or(KeyNotFound(key))
    }

    /// An address as a predecessor is left-aligned: `bytes32(bytes20(address))`.
    fn before(&self, position: usize) -> B256 {
        match position.checked_sub(1) {
            None => SENTINEL,
            Some(before) => B256::right_padding_from(self.0[before].as_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ([Address; 3], KeyList) {
        let keys = [1, 2, 3].map(Address::repeat_byte);
        (keys, KeyList::new(keys))
    }

    fn after(key: Address) -> B256 {
        B256::right_padding_from(key.as_slice())
    }

    #[test]
    fn neighbours_removed_in_list_order() {
        let ([a, b, c], mut list) = keys();
        assert_eq!(list.remove(a), Ok(SENTINEL));
        assert_eq!(list.remove(b), Ok(SENTINEL));
        assert_eq!(list.remove(c), Ok(SENTINEL));
        assert_eq!(list.remove(c), Err(KeyNotFound(c)));
    }

    #[test]
    fn neighbours_removed_in_reverse_order() {
        let ([a, b, c], mut list) = keys();
        assert_eq!(list.remove(c), Ok(after(b)));
        assert_eq!(list.remove(b), Ok(after(a)));
        assert_eq!(list.as_slice(), [a]);
    }

    #[test]
    fn a_rotated_key_moves_to_the_front() {
        let ([a, b, c], mut list) = keys();
        let d = Address::repeat_byte(4);
        assert_eq!(list.rotate(b, d), Ok(after(a)));
        assert_eq!(list.as_slice(), [d, a, c]);
        assert_eq!(list.rotate(d, d), Ok(SENTINEL));
        assert_eq!(list.predecessor(c), Ok(after(a)));
        list.add(b);
        assert_eq!(list.predecessor(d), Ok(after(b)));
    }
}
