// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Creates modular accounts at addresses known beforehand
/// @notice The factory has an owner of its own, who manages its stake at the EntryPoint; that part of the ABI (`owner`,
/// `pendingOwner`, `transferOwnership`, `acceptOwnership` and their events) is OpenZeppelin's `Ownable2Step`.
interface IModularAccountFactory {
    /// @notice This cannot be done.
    error InvalidAction();

    /// @notice The owners are not strictly ascending, or the zero address is among them.
    error InvalidOwner();

    /// @notice An account needs an owner.
    error OwnersArrayEmpty();

    /// @notice More than 100 owners.
    error OwnersLimitExceeded();

    /// @notice The native token was not accepted.
    error TransferFailed();

    /// @notice The factory accepts the native token from everyone.
    receive() external payable;

    /// @notice Creates an account for these owners, or returns the one that exists.
    /// @param salt Tells accounts of the same owners apart.
    /// @param owners Strictly ascending and not zero; 1 to 100 of them.
    function createAccount(uint256 salt, address[] calldata owners) external returns (address addr);

    /// @notice Puts wei of the factory into its stake at the EntryPoint. For its owner.
    /// @param unstakeDelay Seconds between `unlockStake` and `withdrawStake`.
    /// @param amount Wei; what is sent beyond it stays on the factory.
    function addStake(uint32 unstakeDelay, uint256 amount) external payable;

    /// @notice Starts the unstake delay. For the factory's owner.
    function unlockStake() external;

    /// @notice Withdraws the whole stake after the unstake delay. For the factory's owner.
    function withdrawStake(address payable to) external;

    /// @notice Sends what the factory itself holds. For its owner.
    /// @param token An ERC-20 token; zero: the native token, of which the whole balance goes whatever `amount` is.
    function withdraw(address payable to, address token, uint256 amount) external;

    /// @notice Always reverts with `InvalidAction`: a stake without an owner would be lost.
    function renounceOwnership() external view;

    /// @notice The address that `createAccount` would give, or gave, these owners.
    function getAddress(uint256 salt, address[] calldata owners) external view returns (address);

    // The names of the deployed factory's getters.
    // slither-disable-start naming-convention

    /// @notice The EntryPoint that the factory is staked at.
    function ENTRYPOINT() external view returns (address);

    /// @notice The account implementation.
    function IMPL() external view returns (address);

    /// @notice The plugin that gives accounts their owners.
    function MULTI_OWNER_PLUGIN() external view returns (address);

    // slither-disable-end naming-convention
}
