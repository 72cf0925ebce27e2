// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Factory of modular accounts at addresses known in advance
/// @notice The factory's owner manages its stake at the EntryPoint; that part of the ABI (`owner`, `pendingOwner`,
/// `transferOwnership`, `acceptOwnership` and their events) is OpenZeppelin's `Ownable2Step`.
interface IModularAccountFactory {
    /// @notice The action is not possible.
    error InvalidAction();

    /// @notice The owners are not strictly ascending, or the zero address is among them.
    error InvalidOwner();

    /// @notice There are no owners; an account needs one.
    error OwnersArrayEmpty();

    /// @notice More than 100 owners.
    error OwnersLimitExceeded();

    /// @notice The native token was not accepted.
    error TransferFailed();

    /// @notice The factory accepts the native token from everyone.
    receive() external payable;

    /// @notice Creates an account for these owners, or returns the one that exists.
    /// @param salt Distinguishes accounts of the same owners.
    /// @param owners Strictly ascending and not zero; 1 to 100 of them.
    function createAccount(uint256 salt, address[] calldata owners) external returns (address addr);

    /// @notice Moves wei of the factory into its stake at the EntryPoint. Only its owner may call it.
    /// @param unstakeDelay Seconds between `unlockStake` and `withdrawStake`.
    /// @param amount Wei; any excess sent stays on the factory.
    function addStake(uint32 unstakeDelay, uint256 amount) external payable;

    /// @notice Starts the unstake delay. Only the factory's owner may call it.
    function unlockStake() external;

    /// @notice Withdraws the whole stake after the unstake delay. Only the factory's owner may call it.
    function withdrawStake(address payable to) external;

    /// @notice Sends native or ERC-20 tokens that the factory holds. Only its owner may call it.
    /// @param token An ERC-20 token, or zero for the native token, whose whole balance is sent whatever `amount` is.
    function withdraw(address payable to, address token, uint256 amount) external;

    /// @notice Always reverts with `InvalidAction`: a stake without an owner would be lost.
    function renounceOwnership() external view;

    /// @notice The address at which `createAccount` would create, or created, the account of these owners.
    function getAddress(uint256 salt, address[] calldata owners) external view returns (address);

    // The names of the deployed factory's getters.
    // slither-disable-start naming-convention

    /// @notice The EntryPoint that the factory is staked at.
    function ENTRYPOINT() external view returns (address);

    /// @notice The account implementation.
    function IMPL() external view returns (address);

    /// @notice The plugin that keeps the owners of accounts.
    function MULTI_OWNER_PLUGIN() external view returns (address);

    // slither-disable-end naming-convention
}
