//! ABI of the account factory, from `contracts/src/interfaces/IModularAccountFactory.sol`.

alloy_sol_types::sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]
    "sol/IModularAccountFactory.sol"
}
