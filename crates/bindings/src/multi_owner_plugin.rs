//! ABI of the owner plugin, from `contracts/src/interfaces/IMultiOwnerPlugin.sol`.

alloy_sol_types::sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]
    "sol/IMultiOwnerPlugin.sol"
}
