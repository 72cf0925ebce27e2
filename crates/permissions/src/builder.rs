//! The builder methods that sets and lists of updates have in common.

/// Builder methods of a type with a method `update(self, PermissionUpdate) -> Self`. Setters of limits are
/// not among them: for an existing key they must say what happens to the amount used.
macro_rules! builder_methods {
    () => {
        /// Sets how the access control list is read. Entries stay, and are read under the new type.
        pub fn access_control_type(self, access_control_type: $crate::AccessControlType) -> Self {
            self.update($crate::PermissionUpdate::AccessListType(
                access_control_type,
            ))
        }

        /// Sets the entry of a contract.
        pub fn address_entry(self, entry: $crate::AddressEntry) -> Self {
            self.update($crate::PermissionUpdate::AddressEntry(entry))
        }

        /// Sets the entry of a function.
        pub fn function_entry(self, entry: $crate::FunctionEntry) -> Self {
            self.update($crate::PermissionUpdate::FunctionEntry(entry))
        }

        /// Puts a contract on the list, with all its functions.
        pub fn contract(self, contract: ::alloy_primitives::Address) -> Self {
            self.address_entry($crate::AddressEntry {
                contract,
                is_on_list: true,
                check_selectors: false,
            })
        }

        /// Puts these functions of a contract on the list. Functions that are already on the list stay there.
        pub fn contract_functions(
            self,
            contract: ::alloy_primitives::Address,
            selectors: impl IntoIterator<Item = ::alloy_primitives::Selector>,
        ) -> Self {
            let listed = self.address_entry($crate::AddressEntry {
                contract,
                is_on_list: true,
                check_selectors: true,
            });
            selectors.into_iter().fold(listed, |listed, selector| {
                listed.function_entry($crate::FunctionEntry {
                    contract,
                    selector,
                    is_on_list: true,
                })
            })
        }

        /// Sets when the key may be used: both ends at once.
        pub fn time_range(self, time_range: $crate::TimeRange) -> Self {
            self.update($crate::PermissionUpdate::TimeRange(time_range))
        }

        /// Requires this paymaster for every operation of the key; the zero address removes the rule.
        pub fn required_paymaster(self, paymaster: ::alloy_primitives::Address) -> Self {
            self.update($crate::PermissionUpdate::RequiredPaymaster(paymaster))
        }
    };
}

pub(crate) use builder_methods;
