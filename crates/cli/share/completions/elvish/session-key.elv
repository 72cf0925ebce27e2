
use builtin;
use str;

set edit:completion:arg-completer[session-key] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'session-key'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'session-key'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand account 'Create an account, or compute its address'
            cand inspect 'Show every session key with its full permissions, rebuilt from logs and checked against the plugin''s views'
            cand budget 'Show what a key can still spend, and when its limits refresh'
            cand check 'Say whether calls or an operation would pass, and list every rule they break. Exit code 1: refused or unknown'
            cand explain 'Show the outcome of an operation or a transaction, and every rule that it broke'
            cand grant 'Grant a policy to a key, in one operation: create the account, install what is missing, and add the key'
            cand plan 'Show the changes that give a key exactly the permissions of a policy'
            cand apply 'Change a key to exactly the permissions of a policy'
            cand lint 'Warn about dangerous or unintended settings in a policy. Exit code 1: a warning is an error'
            cand covers 'Say whether a policy allows everything that another needs, and what is missing. Exit code 1: it does not'
            cand request 'Ask for a session key; read or approve such a request'
            cand rotate 'Move a key''s permissions, and the amounts used, to another key'
            cand revoke 'Remove keys'
            cand reset 'Settle a pending reset of a key''s gas limit'
            cand unblock 'End the open operations of a key''s nonce lane'
            cand keygen 'Create a session key in the keystore'
            cand keys 'List the session keys in the keystore'
            cand encode 'Print the updates that encode a policy'
            cand decode 'Decode updates, call data, a user operation or revert data'
            cand watch 'Show keys added, used, refused and changed, and budgets going down, live'
            cand review 'Serve a page on this machine to read what each key may do, and to revoke, change or approve with the browser''s wallet'
            cand agent 'Hold a session key for bots, applications and language models, within a policy each'
            cand completions 'Print shell completions'
            cand man 'Print a manual page'
            cand demo 'Show a session key''s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal'
            cand deploy 'Deploy the contracts, at the same addresses on every chain. A dry run unless --broadcast is given'
            cand devnet 'Run a chain and a bundler on this machine, with the contracts, accounts and session keys'
            cand doctor 'Check a chain: its contracts and their code, the bundler, an account; show what is missing'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;account'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand new 'Create the account of an owner'
            cand address 'Compute the address of an owner''s account, without a node'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;account;new'= {
            cand --owner 'The owner [default: the signer]'
            cand --salt 'Distinguishes the accounts of one owner'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --semi-modular 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project''s account (ERC-6900 v0.7)'
            cand --eip7702 'The owner''s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner''s authorization'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Required without a terminal'
            cand --dry-run 'Show what would be done, without doing it'
            cand --direct 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
            cand --again 'Run it once more, even if the same command is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;account;address'= {
            cand --owner 'The owner'
            cand --salt 'Distinguishes the accounts of one owner [default: 0]'
            cand --chain-id 'The chain id, to look up its known contracts'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --deployment 'The contracts to use: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --semi-modular 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project''s account (ERC-6900 v0.7)'
            cand --eip7702 'The owner''s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner''s authorization'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;account;help'= {
            cand new 'Create the account of an owner'
            cand address 'Compute the address of an owner''s account, without a node'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;account;help;new'= {
        }
        &'session-key;account;help;address'= {
        }
        &'session-key;account;help;help'= {
        }
        &'session-key;inspect'= {
            cand --compare-with 'JSON-RPC URL of a second node, run by another operator, whose logs must be the same'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --history 'Show every change with its block and time, including those of removed keys'
            cand --policy 'Print the key''s permissions as a policy file, without the amounts used and entries that have no effect'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;budget'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;check'= {
            cand --entity 'Entity id of a key that the account''s own client (Modular Account v2) created, instead of KEY'
            cand --call 'A call, `TARGET[:SIGNATURE[:ARGUMENTS]][@VALUE]`; several form a batch. SIGNATURE may be call data in hexadecimal. Quote string arguments that contain a comma or an @ with double quotes'
            cand --user-operation 'A user operation as JSON; `-` reads standard input'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;explain'= {
            cand --abi 'ABI files of called contracts, to name their errors: JSON ABIs or compiler artifacts'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;grant'= {
            cand --key 'The key. Without it, one is created in the keystore'
            cand --tag 'Override the policy''s tag: 32 bytes, or a text to hash'
            cand --owner 'The account''s owner, if the account does not exist yet [default: the signer]'
            cand --salt 'The account''s salt, if the account does not exist yet'
            cand --deferred 'Send nothing: sign a grant for the key''s first operation, and write it to this file for the executing side. ERC-6900 v0.8 accounts only'
            cand --deadline 'When a deferred grant expires: a time with its offset, such as 2027-03-01T00:00:00Z'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --semi-modular 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project''s account (ERC-6900 v0.7)'
            cand --eip7702 'The owner''s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner''s authorization'
            cand --allow-lint-errors 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Required without a terminal'
            cand --dry-run 'Show what would be done, without doing it'
            cand --direct 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
            cand --again 'Run it once more, even if the same command is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;plan'= {
            cand --limits 'What happens to the amount used when a limit changes. Required if any of it is used'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --check 'Exit with code 1 if something would change'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;apply'= {
            cand --limits 'What happens to the amount used when a limit changes. Required if any of it is used'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --allow-lint-errors 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Required without a terminal'
            cand --dry-run 'Show what would be done, without doing it'
            cand --direct 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
            cand --again 'Run it once more, even if the same command is still open'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;lint'= {
            cand --chain-id 'The chain id, for the name of its coin'
            cand --rpc-url 'JSON-RPC URL of a node, to ask which contracts are NFTs. Without it, no node is queried'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;covers'= {
            cand --chain-id 'The chain id, for the name of its coin'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;request'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand new 'Create a request: the permissions needed, and the key''s proof of possession'
            cand show 'Show a request in words, with warnings'
            cand approve 'Grant what a request asks for, or something narrower'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;request;new'= {
            cand --key 'The key, in the keystore. Without it, one is created there'
            cand --account 'The account to grant the key on'
            cand --chain-id 'The chain'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --valid-days 'How many days the request stays valid'
            cand --out 'Where to write the request [default: standard output]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;request;show'= {
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;request;approve'= {
            cand --policy 'Grant this policy instead of what the request asks for'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --allow-lint-errors 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Required without a terminal'
            cand --dry-run 'Show what would be done, without doing it'
            cand --direct 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
            cand --again 'Run it once more, even if the same command is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;request;help'= {
            cand new 'Create a request: the permissions needed, and the key''s proof of possession'
            cand show 'Show a request in words, with warnings'
            cand approve 'Grant what a request asks for, or something narrower'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;request;help;new'= {
        }
        &'session-key;request;help;show'= {
        }
        &'session-key;request;help;approve'= {
        }
        &'session-key;request;help;help'= {
        }
        &'session-key;rotate'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Required without a terminal'
            cand --dry-run 'Show what would be done, without doing it'
            cand --direct 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
            cand --again 'Run it once more, even if the same command is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;revoke'= {
            cand --tag 'Remove all keys with this tag: 32 bytes, or a text to hash'
            cand --deferred 'End an unused grant that was signed with `grant --deferred`: use up its nonce. `-` reads standard input'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --all 'Remove all keys of the account'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Required without a terminal'
            cand --dry-run 'Show what would be done, without doing it'
            cand --direct 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
            cand --again 'Run it once more, even if the same command is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;reset'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Required without a terminal'
            cand --dry-run 'Show what would be done, without doing it'
            cand --direct 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
            cand --again 'Run it once more, even if the same command is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;unblock'= {
            cand --nonce 'The last sequence number to end [default: the last one in the journal]'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Required without a terminal'
            cand --dry-run 'Show what would be done, without doing it'
            cand --direct 'Send a plain transaction from the owner instead of an operation; no bundler is needed'
            cand --again 'Run it once more, even if the same command is still open'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;keygen'= {
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;keys'= {
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;encode'= {
            cand --key 'The key whose lock file entry to use, if entries differ'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;decode'= {
            cand --format 'The format of a printed policy'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;watch'= {
            cand --interval 'The polling interval, in seconds'
            cand --since 'Start with the events of this block [default: after the latest]'
            cand --rounds 'Stop after this many polls'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;review'= {
            cand --apply 'Propose to change a key to exactly the permissions of a policy. Repeatable'
            cand --limits 'What happens to the amount used when a limit changes [default: chosen on the page]'
            cand --request 'Propose to approve a request for a session key. Repeatable'
            cand --policy 'Propose this policy instead of what the request asks for; it must not allow more. With one --request'
            cand --port 'The port; 0 takes a free one'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;agent'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand serve 'Hold a session key, and serve it to clients within a policy each'
            cand mcp 'Serve the Model Context Protocol on standard input and output, for a language model'
            cand token 'Make a token for a client: write it to a file, and print its hash for the configuration'
            cand recover 'After a store was restored from an older backup: find on the chain what it forgot'
            cand verify-log 'Verify a decision log. Exit code 1: it is not as it was written'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;agent;serve'= {
            cand --clients 'The configuration: the clients, with the hash of each one''s token, and its policy'
            cand --state 'The folder with the decision log (decisions.log), and the store (agent.sqlite) unless a server has it'
            cand --store-file 'A file with the connection string of a PostgreSQL server, which has the store instead of the folder'
            cand --socket 'The unix socket [default: agent.sock in the folder]'
            cand --port 'Listen at this port of 127.0.0.1 instead of a unix socket; 0 takes a free one'
            cand --operation-timeout 'How long an operation may take until it is left open, in seconds'
            cand --stop-timeout 'How long to wait, when asked to end, for operations that are on their way, in seconds'
            cand --keystore 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;agent;mcp'= {
            cand --socket 'The service''s unix socket'
            cand --port 'The service''s port of 127.0.0.1'
            cand --token-file 'A file with the client''s token, instead of SESSION_KEY_AGENT_TOKEN'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;agent;token'= {
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;agent;recover'= {
            cand --state 'The service''s folder, with the decision log'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it exists]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;agent;verify-log'= {
            cand --expect 'The hash of an entry that the log must have: one that was printed or copied earlier. Without it, a log whose last entries were removed is not noticed'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;agent;help'= {
            cand serve 'Hold a session key, and serve it to clients within a policy each'
            cand mcp 'Serve the Model Context Protocol on standard input and output, for a language model'
            cand token 'Make a token for a client: write it to a file, and print its hash for the configuration'
            cand recover 'After a store was restored from an older backup: find on the chain what it forgot'
            cand verify-log 'Verify a decision log. Exit code 1: it is not as it was written'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;agent;help;serve'= {
        }
        &'session-key;agent;help;mcp'= {
        }
        &'session-key;agent;help;token'= {
        }
        &'session-key;agent;help;recover'= {
        }
        &'session-key;agent;help;verify-log'= {
        }
        &'session-key;agent;help;help'= {
        }
        &'session-key;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;man'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;demo'= {
            cand --rpc-url 'JSON-RPC URL of a node to run on. The funder''s private key is read from SESSION_KEY_FUNDER'
            cand --chain-id 'The intended chain: a node on another chain is an error'
            cand --max-cost 'The maximum for fees, with its unit: `3 ETH`, `500 gwei` [default: 0.5 ETH, or 500 of a low-value coin]'
            cand --give-back 'Only recover what an earlier failed run left in this account'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --yes 'Spend without asking. Required without a terminal, with --json, and on chains not known to be test chains'
            cand --json 'Print one JSON document at the end instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;deploy'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --chain-id 'The intended chain: a node on another chain is an error'
            cand --factory-owner 'Owner of the factory, who can stake it; part of the factory''s address [default: no one, the same for everyone]'
            cand --multi-owner-plugin-salt 'CREATE2 salt of the owner plugin (0x and 64 hex digits) [default: 0]'
            cand --session-key-plugin-salt 'CREATE2 salt of the session key plugin (0x and 64 hex digits) [default: 0]'
            cand --modular-account-salt 'CREATE2 salt of the account implementation (0x and 64 hex digits) [default: 0]'
            cand --modular-account-factory-salt 'CREATE2 salt of the factory (0x and 64 hex digits) [default: 0]'
            cand --session-key-module-salt 'CREATE2 salt of the session key module (0x and 64 hex digits) [default: 0]'
            cand --state 'File that keeps transactions until their outcome is known; the next run resumes them [default: $XDG_STATE_HOME/session-key/deploy-CHAIN-SENDER.json, or the same in ~/.local/state]'
            cand --record 'Write the complete deployment to this file, for `doctor --deployment` and the client'
            cand --max-cost 'The maximum cost of the deployment, with its unit: `3 ETH`, `500 gwei` [default: 2 ETH, or 2000 of a low-value coin]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --broadcast 'Send the transactions. Without it, this is a dry run'
            cand --json 'Print one JSON document at the end instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;devnet'= {
            cand --port 'The port; 0 takes a free one'
            cand --chain-id 'The chain id [default: 31337; on a fork, the node''s]'
            cand --policy 'The policy of the session keys that it grants [default: 100 tokens and 0.1 ETH a day, for `transfer` of the test token]. Those of a chain from --state stay as they are'
            cand --bundling 'When the bundler bundles'
            cand --entry-point 'The EntryPoint that the bundler serves [default: both]'
            cand --min-stake 'The stake from which the bundler takes an entity for staked, with its unit'
            cand --min-unstake-delay 'The unstake delay from which the bundler takes an entity for staked'
            cand --state 'Load the chain from this file, if it is there, and save it there at the end'
            cand --fork-url 'Start on the state of a node, fetched as it is needed; what was before is asked of it, too. HTTP only: for a node on this machine'
            cand --fork-block 'The block of that node to start on [default: the latest]'
            cand --env 'Write URLs, addresses and keys to this file too, as environment variables'
            cand --review 'Serve a review page for each account too, at free ports. Each address opens its page once'
            cand --json 'Print one line of JSON instead of a text'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;doctor'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --chain-id 'The intended chain; a node on another chain is an error [default: the node''s chain]'
            cand --bundler-url 'JSON-RPC URL of a bundler to check as well'
            cand --account 'An account to check as well'
            cand --entity-id 'Entity id of the session key module''s validation on an ERC-6900 v0.8 account, if the node cannot list the account''s validations'
            cand --deployment 'The contracts to check: `canonical` (those that the chain''s accounts already use), `deterministic` (those that `deploy` creates), or a file that `deploy --record` wrote [default: canonical where they exist, else deterministic]'
            cand --timeout 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long'
            cand --json 'Print one JSON document at the end instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;help'= {
            cand account 'Create an account, or compute its address'
            cand inspect 'Show every session key with its full permissions, rebuilt from logs and checked against the plugin''s views'
            cand budget 'Show what a key can still spend, and when its limits refresh'
            cand check 'Say whether calls or an operation would pass, and list every rule they break. Exit code 1: refused or unknown'
            cand explain 'Show the outcome of an operation or a transaction, and every rule that it broke'
            cand grant 'Grant a policy to a key, in one operation: create the account, install what is missing, and add the key'
            cand plan 'Show the changes that give a key exactly the permissions of a policy'
            cand apply 'Change a key to exactly the permissions of a policy'
            cand lint 'Warn about dangerous or unintended settings in a policy. Exit code 1: a warning is an error'
            cand covers 'Say whether a policy allows everything that another needs, and what is missing. Exit code 1: it does not'
            cand request 'Ask for a session key; read or approve such a request'
            cand rotate 'Move a key''s permissions, and the amounts used, to another key'
            cand revoke 'Remove keys'
            cand reset 'Settle a pending reset of a key''s gas limit'
            cand unblock 'End the open operations of a key''s nonce lane'
            cand keygen 'Create a session key in the keystore'
            cand keys 'List the session keys in the keystore'
            cand encode 'Print the updates that encode a policy'
            cand decode 'Decode updates, call data, a user operation or revert data'
            cand watch 'Show keys added, used, refused and changed, and budgets going down, live'
            cand review 'Serve a page on this machine to read what each key may do, and to revoke, change or approve with the browser''s wallet'
            cand agent 'Hold a session key for bots, applications and language models, within a policy each'
            cand completions 'Print shell completions'
            cand man 'Print a manual page'
            cand demo 'Show a session key''s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal'
            cand deploy 'Deploy the contracts, at the same addresses on every chain. A dry run unless --broadcast is given'
            cand devnet 'Run a chain and a bundler on this machine, with the contracts, accounts and session keys'
            cand doctor 'Check a chain: its contracts and their code, the bundler, an account; show what is missing'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;help;account'= {
            cand new 'Create the account of an owner'
            cand address 'Compute the address of an owner''s account, without a node'
        }
        &'session-key;help;account;new'= {
        }
        &'session-key;help;account;address'= {
        }
        &'session-key;help;inspect'= {
        }
        &'session-key;help;budget'= {
        }
        &'session-key;help;check'= {
        }
        &'session-key;help;explain'= {
        }
        &'session-key;help;grant'= {
        }
        &'session-key;help;plan'= {
        }
        &'session-key;help;apply'= {
        }
        &'session-key;help;lint'= {
        }
        &'session-key;help;covers'= {
        }
        &'session-key;help;request'= {
            cand new 'Create a request: the permissions needed, and the key''s proof of possession'
            cand show 'Show a request in words, with warnings'
            cand approve 'Grant what a request asks for, or something narrower'
        }
        &'session-key;help;request;new'= {
        }
        &'session-key;help;request;show'= {
        }
        &'session-key;help;request;approve'= {
        }
        &'session-key;help;rotate'= {
        }
        &'session-key;help;revoke'= {
        }
        &'session-key;help;reset'= {
        }
        &'session-key;help;unblock'= {
        }
        &'session-key;help;keygen'= {
        }
        &'session-key;help;keys'= {
        }
        &'session-key;help;encode'= {
        }
        &'session-key;help;decode'= {
        }
        &'session-key;help;watch'= {
        }
        &'session-key;help;review'= {
        }
        &'session-key;help;agent'= {
            cand serve 'Hold a session key, and serve it to clients within a policy each'
            cand mcp 'Serve the Model Context Protocol on standard input and output, for a language model'
            cand token 'Make a token for a client: write it to a file, and print its hash for the configuration'
            cand recover 'After a store was restored from an older backup: find on the chain what it forgot'
            cand verify-log 'Verify a decision log. Exit code 1: it is not as it was written'
        }
        &'session-key;help;agent;serve'= {
        }
        &'session-key;help;agent;mcp'= {
        }
        &'session-key;help;agent;token'= {
        }
        &'session-key;help;agent;recover'= {
        }
        &'session-key;help;agent;verify-log'= {
        }
        &'session-key;help;completions'= {
        }
        &'session-key;help;man'= {
        }
        &'session-key;help;demo'= {
        }
        &'session-key;help;deploy'= {
        }
        &'session-key;help;devnet'= {
        }
        &'session-key;help;doctor'= {
        }
        &'session-key;help;help'= {
        }
    ]
    $completions[$command]
}
