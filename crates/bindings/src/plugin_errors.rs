//! Errors that every plugin can raise, from `contracts/src/interfaces/IPluginErrors.sol`.

alloy_sol_types::sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]
    "sol/IPluginErrors.sol"
}
