//! ABI of the contracts and of the standards they implement, generated from `contracts/src/interfaces`.

alloy_sol_types::sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]
    "sol/abi.sol"
}
