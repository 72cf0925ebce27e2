# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_session_key_global_optspecs
    string join \n h/help V/version
end

function __fish_session_key_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_session_key_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_session_key_using_subcommand
    set -l cmd (__fish_session_key_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c session-key -n "__fish_session_key_needs_command" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_needs_command" -s V -l version -d 'Print version'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "account" -d 'Create an account, or compute its address'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "inspect" -d 'Show every session key with its full permissions, rebuilt from logs and checked against the plugin\'s views'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "budget" -d 'Show what a key can still spend, and when its limits refresh'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "check" -d 'Say whether calls or an operation would pass, and list every rule they break. Exit code 1: refused or unknown'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "explain" -d 'Show the outcome of an operation or a transaction, and every rule that it broke'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "grant" -d 'Grant a policy to a key, in one operation: create the account, install what is missing, and add the key'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "plan" -d 'Show the changes that give a key exactly the permissions of a policy'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "apply" -d 'Change a key to exactly the permissions of a policy'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "lint" -d 'Warn about dangerous or unintended settings in a policy. Exit code 1: a warning is an error'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "covers" -d 'Say whether a policy allows everything that another needs, and what is missing. Exit code 1: it does not'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "request" -d 'Ask for a session key; read or approve such a request'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "rotate" -d 'Move a key\'s permissions, and the amounts used, to another key'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "revoke" -d 'Remove keys'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "reset" -d 'Settle a pending reset of a key\'s gas limit'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "unblock" -d 'End the open operations of a key\'s nonce lane'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "keygen" -d 'Create a session key in the keystore'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "keys" -d 'List the session keys in the keystore'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "encode" -d 'Print the updates that encode a policy'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "decode" -d 'Decode updates, call data, a user operation or revert data'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "watch" -d 'Show keys added, used, refused and changed, and budgets going down, live'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "review" -d 'Serve a page on this machine to read what each key may do, and to revoke, change or approve with the browser\'s wallet'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "agent" -d 'Hold a session key for bots, applications and language models, within a policy each'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "completions" -d 'Print shell completions'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "man" -d 'Print a manual page'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "demo" -d 'Show a session key\'s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "deploy" -d 'Deploy the contracts, at the same addresses on every chain. A dry run unless --broadcast is given'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "devnet" -d 'Run a chain and a bundler on this machine, with the contracts, accounts and session keys'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "doctor" -d 'Check a chain: its contracts and their code, the bundler, an account; show what is missing'
complete -c session-key -n "__fish_session_key_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c session-key -n "__fish_session_key_using_subcommand account; and not __fish_seen_subcommand_from new address help" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand account; and not __fish_seen_subcommand_from new address help" -f -a "new" -d 'Create the account of an owner'
complete -c session-key -n "__fish_session_key_using_subcommand account; and not __fish_seen_subcommand_from new address help" -f -a "address" -d 'Compute the address of an owner\'s account, without a node'
complete -c session-key -n "__fish_session_key_using_subcommand account; and not __fish_seen_subcommand_from new address help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l owner -d 'The owner [default: the signer]' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l salt -d 'Distinguishes the accounts of one owner' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l owner-keystore -d 'The owner\'s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner\'s private key is read from SESSION_KEY_OWNER' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l journal -d 'The file that records operations before they are sent [default: journal.sqlite in the keystore\'s folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l semi-modular -d 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project\'s account (ERC-6900 v0.7)'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l eip7702 -d 'The owner\'s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner\'s authorization'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l yes -d 'Do not ask. Required without a terminal'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l dry-run -d 'Show what would be done, without doing it'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l direct -d 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -l again -d 'Run it once more, even if the same command is still open'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -l owner -d 'The owner' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -l salt -d 'Distinguishes the accounts of one owner [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -l chain-id -d 'The chain id, to look up its known contracts' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -l deployment -d 'The contracts to use: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -l semi-modular -d 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project\'s account (ERC-6900 v0.7)'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -l eip7702 -d 'The owner\'s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner\'s authorization'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from address" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from help" -f -a "new" -d 'Create the account of an owner'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from help" -f -a "address" -d 'Compute the address of an owner\'s account, without a node'
complete -c session-key -n "__fish_session_key_using_subcommand account; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l compare-with -d 'JSON-RPC URL of a second node, run by another operator, whose logs must be the same' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l history -d 'Show every change with its block and time, including those of removed keys'
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l policy -d 'Print the key\'s permissions as a policy file, without the amounts used and entries that have no effect'
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand budget" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand budget" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand check" -l entity -d 'Entity id of a key that the account\'s own client (Modular Account v2) created, instead of KEY' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l call -d 'A call, `TARGET[:SIGNATURE[:ARGUMENTS]][@VALUE]`; several form a batch. SIGNATURE may be call data in hexadecimal. Quote string arguments that contain a comma or an @ with double quotes' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l user-operation -d 'A user operation as JSON; `-` reads standard input' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand check" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand check" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand check" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand check" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l abi -d 'ABI files of called contracts, to name their errors: JSON ABIs or compiler artifacts' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand explain" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand explain" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l key -d 'The key. Without it, one is created in the keystore' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l tag -d 'Override the policy\'s tag: 32 bytes, or a text to hash' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l owner -d 'The account\'s owner, if the account does not exist yet [default: the signer]' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l salt -d 'The account\'s salt, if the account does not exist yet' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l deferred -d 'Send nothing: sign a grant for the key\'s first operation, and write it to this file for the executing side. ERC-6900 v0.8 accounts only' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l deadline -d 'When a deferred grant expires: a time with its offset, such as 2027-03-01T00:00:00Z' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l owner-keystore -d 'The owner\'s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner\'s private key is read from SESSION_KEY_OWNER' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l journal -d 'The file that records operations before they are sent [default: journal.sqlite in the keystore\'s folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l semi-modular -d 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project\'s account (ERC-6900 v0.7)'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l eip7702 -d 'The owner\'s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner\'s authorization'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l allow-lint-errors -d 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l yes -d 'Do not ask. Required without a terminal'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l dry-run -d 'Show what would be done, without doing it'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l direct -d 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -l again -d 'Run it once more, even if the same command is still open'
complete -c session-key -n "__fish_session_key_using_subcommand grant" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l limits -d 'What happens to the amount used when a limit changes. Required if any of it is used' -r -f -a "keep\t'Keep the amount used until its interval ends; an interval that is over is cleared'
afresh\t'Clear the amount used'
raw\t'Only set the limit: the plugin counts the use of an interval that is over again'"
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l check -d 'Exit with code 1 if something would change'
complete -c session-key -n "__fish_session_key_using_subcommand plan" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l limits -d 'What happens to the amount used when a limit changes. Required if any of it is used' -r -f -a "keep\t'Keep the amount used until its interval ends; an interval that is over is cleared'
afresh\t'Clear the amount used'
raw\t'Only set the limit: the plugin counts the use of an interval that is over again'"
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l owner-keystore -d 'The owner\'s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner\'s private key is read from SESSION_KEY_OWNER' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l journal -d 'The file that records operations before they are sent [default: journal.sqlite in the keystore\'s folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l allow-lint-errors -d 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them'
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l yes -d 'Do not ask. Required without a terminal'
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l dry-run -d 'Show what would be done, without doing it'
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l direct -d 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
complete -c session-key -n "__fish_session_key_using_subcommand apply" -l again -d 'Run it once more, even if the same command is still open'
complete -c session-key -n "__fish_session_key_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand lint" -l chain-id -d 'The chain id, for the name of its coin' -r
complete -c session-key -n "__fish_session_key_using_subcommand lint" -l rpc-url -d 'JSON-RPC URL of a node, to ask which contracts are NFTs. Without it, no node is queried' -r
complete -c session-key -n "__fish_session_key_using_subcommand lint" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand lint" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand lint" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand covers" -l chain-id -d 'The chain id, for the name of its coin' -r
complete -c session-key -n "__fish_session_key_using_subcommand covers" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand covers" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand request; and not __fish_seen_subcommand_from new show approve help" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand request; and not __fish_seen_subcommand_from new show approve help" -f -a "new" -d 'Create a request: the permissions needed, and the key\'s proof of possession'
complete -c session-key -n "__fish_session_key_using_subcommand request; and not __fish_seen_subcommand_from new show approve help" -f -a "show" -d 'Show a request in words, with warnings'
complete -c session-key -n "__fish_session_key_using_subcommand request; and not __fish_seen_subcommand_from new show approve help" -f -a "approve" -d 'Grant what a request asks for, or something narrower'
complete -c session-key -n "__fish_session_key_using_subcommand request; and not __fish_seen_subcommand_from new show approve help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -l key -d 'The key, in the keystore. Without it, one is created there' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -l account -d 'The account to grant the key on' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -l chain-id -d 'The chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -l valid-days -d 'How many days the request stays valid' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -l out -d 'Where to write the request [default: standard output]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l policy -d 'Grant this policy instead of what the request asks for' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l owner-keystore -d 'The owner\'s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner\'s private key is read from SESSION_KEY_OWNER' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l journal -d 'The file that records operations before they are sent [default: journal.sqlite in the keystore\'s folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l allow-lint-errors -d 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l yes -d 'Do not ask. Required without a terminal'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l dry-run -d 'Show what would be done, without doing it'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l direct -d 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -l again -d 'Run it once more, even if the same command is still open'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from approve" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "new" -d 'Create a request: the permissions needed, and the key\'s proof of possession'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show a request in words, with warnings'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "approve" -d 'Grant what a request asks for, or something narrower'
complete -c session-key -n "__fish_session_key_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l owner-keystore -d 'The owner\'s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner\'s private key is read from SESSION_KEY_OWNER' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l journal -d 'The file that records operations before they are sent [default: journal.sqlite in the keystore\'s folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l yes -d 'Do not ask. Required without a terminal'
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l dry-run -d 'Show what would be done, without doing it'
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l direct -d 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -l again -d 'Run it once more, even if the same command is still open'
complete -c session-key -n "__fish_session_key_using_subcommand rotate" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l tag -d 'Remove all keys with this tag: 32 bytes, or a text to hash' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l deferred -d 'End an unused grant that was signed with `grant --deferred`: use up its nonce. `-` reads standard input' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l owner-keystore -d 'The owner\'s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner\'s private key is read from SESSION_KEY_OWNER' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l journal -d 'The file that records operations before they are sent [default: journal.sqlite in the keystore\'s folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l all -d 'Remove all keys of the account'
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l yes -d 'Do not ask. Required without a terminal'
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l dry-run -d 'Show what would be done, without doing it'
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l direct -d 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -l again -d 'Run it once more, even if the same command is still open'
complete -c session-key -n "__fish_session_key_using_subcommand revoke" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l owner-keystore -d 'The owner\'s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner\'s private key is read from SESSION_KEY_OWNER' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l journal -d 'The file that records operations before they are sent [default: journal.sqlite in the keystore\'s folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l yes -d 'Do not ask. Required without a terminal'
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l dry-run -d 'Show what would be done, without doing it'
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l direct -d 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
complete -c session-key -n "__fish_session_key_using_subcommand reset" -l again -d 'Run it once more, even if the same command is still open'
complete -c session-key -n "__fish_session_key_using_subcommand reset" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l nonce -d 'The last sequence number to end [default: the last one in the journal]' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l owner-keystore -d 'The owner\'s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner\'s private key is read from SESSION_KEY_OWNER' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l journal -d 'The file that records operations before they are sent [default: journal.sqlite in the keystore\'s folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l yes -d 'Do not ask. Required without a terminal'
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l dry-run -d 'Show what would be done, without doing it'
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l direct -d 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -l again -d 'Run it once more, even if the same command is still open'
complete -c session-key -n "__fish_session_key_using_subcommand unblock" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand keygen" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand keygen" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand keygen" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand keygen" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand keys" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand keys" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand keys" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand keys" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l key -d 'The key whose lock file entry to use, if entries differ' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand encode" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand encode" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand decode" -l format -d 'The format of a printed policy' -r -f -a "toml\t''
json\t''"
complete -c session-key -n "__fish_session_key_using_subcommand decode" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand decode" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l interval -d 'The polling interval, in seconds' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l since -d 'Start with the events of this block [default: after the latest]' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l rounds -d 'Stop after this many polls' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand watch" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand watch" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand review" -l apply -d 'Propose to change a key to exactly the permissions of a policy. Repeatable' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l limits -d 'What happens to the amount used when a limit changes [default: chosen on the page]' -r -f -a "keep\t'Keep the amount used until its interval ends; an interval that is over is cleared'
afresh\t'Clear the amount used'
raw\t'Only set the limit: the plugin counts the use of an interval that is over again'"
complete -c session-key -n "__fish_session_key_using_subcommand review" -l request -d 'Propose to approve a request for a session key. Repeatable' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand review" -l policy -d 'Propose this policy instead of what the request asks for; it must not allow more. With one --request' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand review" -l port -d 'The port; 0 takes a free one' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand review" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand review" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand review" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and not __fish_seen_subcommand_from serve mcp token recover verify-log help" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and not __fish_seen_subcommand_from serve mcp token recover verify-log help" -f -a "serve" -d 'Hold a session key, and serve it to clients within a policy each'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and not __fish_seen_subcommand_from serve mcp token recover verify-log help" -f -a "mcp" -d 'Serve the Model Context Protocol on standard input and output, for a language model'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and not __fish_seen_subcommand_from serve mcp token recover verify-log help" -f -a "token" -d 'Make a token for a client: write it to a file, and print its hash for the configuration'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and not __fish_seen_subcommand_from serve mcp token recover verify-log help" -f -a "recover" -d 'After a store was restored from an older backup: find on the chain what it forgot'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and not __fish_seen_subcommand_from serve mcp token recover verify-log help" -f -a "verify-log" -d 'Verify a decision log. Exit code 1: it is not as it was written'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and not __fish_seen_subcommand_from serve mcp token recover verify-log help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l clients -d 'The configuration: the clients, with the hash of each one\'s token, and its policy' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l state -d 'The folder with the decision log (decisions.log), and the store (agent.sqlite) unless a server has it' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l store-file -d 'A file with the connection string of a PostgreSQL server, which has the store instead of the folder' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l socket -d 'The unix socket [default: agent.sock in the folder]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l port -d 'Listen at this port of 127.0.0.1 instead of a unix socket; 0 takes a free one' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l operation-timeout -d 'How long an operation may take until it is left open, in seconds' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l stop-timeout -d 'How long to wait, when asked to end, for operations that are on their way, in seconds' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l keystore -d 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from mcp" -l socket -d 'The service\'s unix socket' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from mcp" -l port -d 'The service\'s port of 127.0.0.1' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from mcp" -l token-file -d 'A file with the client\'s token, instead of SESSION_KEY_AGENT_TOKEN' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from mcp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from token" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l state -d 'The service\'s folder, with the decision log' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l bundler-url -d 'JSON-RPC URL of a bundler' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l account -d 'The account' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l entity-id -d 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l from-block -d 'The first block with events of the account\'s keys [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l deployment -d 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l config -d 'The settings file [default: session-key.toml in the working directory, if it exists]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from recover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from verify-log" -l expect -d 'The hash of an entry that the log must have: one that was printed or copied earlier. Without it, a log whose last entries were removed is not noticed' -r
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from verify-log" -l json -d 'Print one JSON document instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from verify-log" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "serve" -d 'Hold a session key, and serve it to clients within a policy each'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "mcp" -d 'Serve the Model Context Protocol on standard input and output, for a language model'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "token" -d 'Make a token for a client: write it to a file, and print its hash for the configuration'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "recover" -d 'After a store was restored from an older backup: find on the chain what it forgot'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "verify-log" -d 'Verify a decision log. Exit code 1: it is not as it was written'
complete -c session-key -n "__fish_session_key_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c session-key -n "__fish_session_key_using_subcommand completions" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand man" -s h -l help -d 'Print help'
complete -c session-key -n "__fish_session_key_using_subcommand demo" -l rpc-url -d 'JSON-RPC URL of a node to run on. The funder\'s private key is read from SESSION_KEY_FUNDER' -r
complete -c session-key -n "__fish_session_key_using_subcommand demo" -l chain-id -d 'The intended chain: a node on another chain is an error' -r
complete -c session-key -n "__fish_session_key_using_subcommand demo" -l max-cost -d 'The maximum for fees, with its unit: `3 ETH`, `500 gwei` [default: 0.5 ETH, or 500 of a low-value coin]' -r
complete -c session-key -n "__fish_session_key_using_subcommand demo" -l give-back -d 'Only recover what an earlier failed run left in this account' -r
complete -c session-key -n "__fish_session_key_using_subcommand demo" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand demo" -l yes -d 'Spend without asking. Required without a terminal, with --json, and on chains not known to be test chains'
complete -c session-key -n "__fish_session_key_using_subcommand demo" -l json -d 'Print one JSON document at the end instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l chain-id -d 'The intended chain: a node on another chain is an error' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l factory-owner -d 'Owner of the factory, who can stake it; part of the factory\'s address [default: no one, the same for everyone]' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l multi-owner-plugin-salt -d 'CREATE2 salt of the owner plugin (0x and 64 hex digits) [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l session-key-plugin-salt -d 'CREATE2 salt of the session key plugin (0x and 64 hex digits) [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l modular-account-salt -d 'CREATE2 salt of the account implementation (0x and 64 hex digits) [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l modular-account-factory-salt -d 'CREATE2 salt of the factory (0x and 64 hex digits) [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l session-key-module-salt -d 'CREATE2 salt of the session key module (0x and 64 hex digits) [default: 0]' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l state -d 'File that keeps transactions until their outcome is known; the next run resumes them [default: $XDG_STATE_HOME/session-key/deploy-CHAIN-SENDER.json, or the same in ~/.local/state]' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l record -d 'Write the complete deployment to this file, for `doctor --deployment` and the client' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l max-cost -d 'The maximum cost of the deployment, with its unit: `3 ETH`, `500 gwei` [default: 2 ETH, or 2000 of a low-value coin]' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l broadcast -d 'Send the transactions. Without it, this is a dry run'
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -l json -d 'Print one JSON document at the end instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand deploy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l port -d 'The port; 0 takes a free one' -r
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l chain-id -d 'The chain id [default: 31337; on a fork, the node\'s]' -r
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l policy -d 'The policy of the session keys that it grants [default: 100 tokens and 0.1 ETH a day, for `transfer` of the test token]. Those of a chain from --state stay as they are' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l bundling -d 'When the bundler bundles' -r -f -a "auto\t'After each operation that it accepts: what can be bundled then'
manual\t'When `debug_bundler_sendBundleNow` is called'"
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l entry-point -d 'The EntryPoint that the bundler serves [default: both]' -r -f -a "v0.6\t'EntryPoint v0.6'
v0.7\t'EntryPoint v0.7'"
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l min-stake -d 'The stake from which the bundler takes an entity for staked, with its unit' -r
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l min-unstake-delay -d 'The unstake delay from which the bundler takes an entity for staked' -r
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l state -d 'Load the chain from this file, if it is there, and save it there at the end' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l fork-url -d 'Start on the state of a node, fetched as it is needed; what was before is asked of it, too. HTTP only: for a node on this machine' -r
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l fork-block -d 'The block of that node to start on [default: the latest]' -r
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l env -d 'Write URLs, addresses and keys to this file too, as environment variables' -r -F
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l review -d 'Serve a review page for each account too, at free ports. Each address opens its page once'
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -l json -d 'Print one line of JSON instead of a text'
complete -c session-key -n "__fish_session_key_using_subcommand devnet" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -l rpc-url -d 'JSON-RPC URL of a node of the chain' -r
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -l chain-id -d 'The intended chain; a node on another chain is an error [default: the node\'s chain]' -r
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -l bundler-url -d 'JSON-RPC URL of a bundler to check as well' -r
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -l account -d 'An account to check as well' -r
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -l entity-id -d 'Entity id of the session key module\'s validation on an ERC-6900 v0.8 account, if the node cannot list the account\'s validations' -r
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -l deployment -d 'The contracts to check: `canonical` (those that the chain\'s accounts already use), `deterministic` (those that `deploy` creates), or a file that `deploy --record` wrote [default: canonical where they exist, else deterministic]' -r
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -l timeout -d 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long' -r
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -l json -d 'Print one JSON document at the end instead of lines'
complete -c session-key -n "__fish_session_key_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "account" -d 'Create an account, or compute its address'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "inspect" -d 'Show every session key with its full permissions, rebuilt from logs and checked against the plugin\'s views'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "budget" -d 'Show what a key can still spend, and when its limits refresh'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "check" -d 'Say whether calls or an operation would pass, and list every rule they break. Exit code 1: refused or unknown'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "explain" -d 'Show the outcome of an operation or a transaction, and every rule that it broke'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "grant" -d 'Grant a policy to a key, in one operation: create the account, install what is missing, and add the key'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "plan" -d 'Show the changes that give a key exactly the permissions of a policy'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "apply" -d 'Change a key to exactly the permissions of a policy'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "lint" -d 'Warn about dangerous or unintended settings in a policy. Exit code 1: a warning is an error'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "covers" -d 'Say whether a policy allows everything that another needs, and what is missing. Exit code 1: it does not'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "request" -d 'Ask for a session key; read or approve such a request'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "rotate" -d 'Move a key\'s permissions, and the amounts used, to another key'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "revoke" -d 'Remove keys'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "reset" -d 'Settle a pending reset of a key\'s gas limit'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "unblock" -d 'End the open operations of a key\'s nonce lane'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "keygen" -d 'Create a session key in the keystore'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "keys" -d 'List the session keys in the keystore'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "encode" -d 'Print the updates that encode a policy'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "decode" -d 'Decode updates, call data, a user operation or revert data'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "watch" -d 'Show keys added, used, refused and changed, and budgets going down, live'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "review" -d 'Serve a page on this machine to read what each key may do, and to revoke, change or approve with the browser\'s wallet'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "agent" -d 'Hold a session key for bots, applications and language models, within a policy each'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "completions" -d 'Print shell completions'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "man" -d 'Print a manual page'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "demo" -d 'Show a session key\'s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "deploy" -d 'Deploy the contracts, at the same addresses on every chain. A dry run unless --broadcast is given'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "devnet" -d 'Run a chain and a bundler on this machine, with the contracts, accounts and session keys'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "doctor" -d 'Check a chain: its contracts and their code, the bundler, an account; show what is missing'
complete -c session-key -n "__fish_session_key_using_subcommand help; and not __fish_seen_subcommand_from account inspect budget check explain grant plan apply lint covers request rotate revoke reset unblock keygen keys encode decode watch review agent completions man demo deploy devnet doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from account" -f -a "new" -d 'Create the account of an owner'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from account" -f -a "address" -d 'Compute the address of an owner\'s account, without a node'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from request" -f -a "new" -d 'Create a request: the permissions needed, and the key\'s proof of possession'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from request" -f -a "show" -d 'Show a request in words, with warnings'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from request" -f -a "approve" -d 'Grant what a request asks for, or something narrower'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "serve" -d 'Hold a session key, and serve it to clients within a policy each'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "mcp" -d 'Serve the Model Context Protocol on standard input and output, for a language model'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "token" -d 'Make a token for a client: write it to a file, and print its hash for the configuration'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "recover" -d 'After a store was restored from an older backup: find on the chain what it forgot'
complete -c session-key -n "__fish_session_key_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "verify-log" -d 'Verify a decision log. Exit code 1: it is not as it was written'
