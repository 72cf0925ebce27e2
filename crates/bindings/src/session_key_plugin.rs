//! ABI of the session key plugin, from `contracts/src/interfaces/ISessionKeyPlugin.sol`.

alloy_sol_types::sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]
    "sol/ISessionKeyPlugin.sol"
}
