//! ABI of the account, from `contracts/src/interfaces/IModularAccount.sol`.

alloy_sol_types::sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]
    "sol/IModularAccount.sol"
}
