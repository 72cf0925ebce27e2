
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
            cand account 'Make an account, or compute its address'
            cand inspect 'Show every session key of the account with all that it may do, rebuilt from logs and checked against the plugin''s views'
            cand budget 'Show what a key can still spend, of what, and when it refreshes'
            cand check 'Say whether calls or an operation would pass, and if not, every rule that they break. Exit code 1: refused'
            cand explain 'Say what became of an operation or a transaction, and every rule that it broke'
            cand grant 'Grant a key what a policy says: create the account and install what is missing, add the key, in one operation'
            cand plan 'Show what has to change for a key to have exactly what a policy says'
            cand apply 'Change a key to exactly what a policy says'
            cand lint 'Warn of what is dangerous or not meant in a policy. Exit code 1: a warning is an error'
            cand covers 'Say whether a policy allows everything that another one asks for, and what is missing. Exit code 1: it does not'
            cand request 'Ask for a session key, read such a request, approve it'
            cand rotate 'Give a key''s permissions, and what is used of them, to another key'
            cand revoke 'Remove keys'
            cand reset 'Settle the pending reset of a key''s gas limit'
            cand unblock 'End the open operations of a key''s nonce lane'
            cand keygen 'Make a session key in the keystore'
            cand keys 'List the session keys in the keystore'
            cand encode 'Print the updates that a policy encodes to'
            cand decode 'Say what updates, call data, a user operation or revert data are'
            cand watch 'Show keys added, used, refused and changed, and budgets going down, as it happens'
            cand completions 'Print completions for a shell'
            cand man 'Print the manual page'
            cand demo 'Show a session key''s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal'
            cand deploy 'Deploy the contracts, at the same addresses on every chain. A dry run, unless --broadcast is given'
            cand doctor 'Check a chain: its contracts and their code, the bundler, an account; say what is missing'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;account'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand new 'Create the account of an owner'
            cand address 'Compute the address of an owner''s account. Needs no node'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;account;new'= {
            cand --owner 'The owner [default: whoever signs]'
            cand --salt 'A number that tells the owner''s accounts apart'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --semi-modular 'A semi-modular account of Modular Account v2 (ERC-6900 v0.8), by its factory, instead of this project''s account (ERC-6900 v0.7)'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Without a terminal nothing is signed otherwise'
            cand --dry-run 'Show what would be done, and do nothing'
            cand --direct 'Send a plain transaction of the owner instead of an operation: no bundler is needed'
            cand --again 'Do it once more, also if the same was asked for before and is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;account;address'= {
            cand --owner 'The owner'
            cand --salt 'A number that tells the owner''s accounts apart [default: 0]'
            cand --chain-id 'The chain, for its known contracts'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --deployment 'Which contracts: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --semi-modular 'A semi-modular account of Modular Account v2 (ERC-6900 v0.8), by its factory, instead of this project''s account (ERC-6900 v0.7)'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;account;help'= {
            cand new 'Create the account of an owner'
            cand address 'Compute the address of an owner''s account. Needs no node'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;account;help;new'= {
        }
        &'session-key;account;help;address'= {
        }
        &'session-key;account;help;help'= {
        }
        &'session-key;inspect'= {
            cand --compare-with 'JSON-RPC URL of a second node, of another operator, whose logs have to be the same'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --history 'Every change, with its block and time, also of keys that are gone'
            cand --policy 'Print the policy file that says what the key may do. What it has used, and entries without effect, are left out'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;budget'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;check'= {
            cand --call 'A call, `TARGET[:SIGNATURE[:ARGUMENTS]][@VALUE]`; several are a batch. SIGNATURE may be call data in hexadecimal. A text among the arguments stands in double quotes if it has a comma or an @'
            cand --user-operation 'A user operation in JSON; `-` reads standard input'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;explain'= {
            cand --abi 'ABI files of contracts that were called, to name their errors: JSON ABIs or compiler artifacts'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;grant'= {
            cand --key 'The key. Without it, one is made in the keystore'
            cand --tag 'Another tag than the policy''s: 32 bytes, or a text that is hashed'
            cand --owner 'The owner of the account, if that is not there yet [default: whoever signs]'
            cand --salt 'The salt of the account, if that is not there yet'
            cand --deferred 'Send nothing: sign a grant that rides along with the key''s first operation, and write it to this file for the executing side. ERC-6900 v0.8 accounts only'
            cand --deadline 'The end of a deferred grant: a time with its offset, such as 2027-03-01T00:00:00Z'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --semi-modular 'A semi-modular account of Modular Account v2 (ERC-6900 v0.8), by its factory, instead of this project''s account (ERC-6900 v0.7)'
            cand --allow-lint-errors 'With --yes: grant it although lint finds errors in the policy. Without --yes, the question shows them'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Without a terminal nothing is signed otherwise'
            cand --dry-run 'Show what would be done, and do nothing'
            cand --direct 'Send a plain transaction of the owner instead of an operation: no bundler is needed'
            cand --again 'Do it once more, also if the same was asked for before and is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;plan'= {
            cand --limits 'What becomes of the amount used of limits that change. Must be said if something is used of one'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --check 'Exit with code 1 if something would change'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;apply'= {
            cand --limits 'What becomes of the amount used of limits that change. Must be said if something is used of one'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --allow-lint-errors 'With --yes: grant it although lint finds errors in the policy. Without --yes, the question shows them'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Without a terminal nothing is signed otherwise'
            cand --dry-run 'Show what would be done, and do nothing'
            cand --direct 'Send a plain transaction of the owner instead of an operation: no bundler is needed'
            cand --again 'Do it once more, also if the same was asked for before and is still open'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;lint'= {
            cand --chain-id 'The chain that is meant, for the name of its coin'
            cand --rpc-url 'JSON-RPC URL of a node of the chain: it is asked which contracts are NFTs. Without it, no node is asked'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;covers'= {
            cand --chain-id 'The chain that is meant, for the name of its coin'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;request'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand new 'Make a request: what is needed, for a key whose proof it carries'
            cand show 'Read a request: in words, with warnings'
            cand approve 'Grant what a request asks for, or something narrower'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;request;new'= {
            cand --key 'The key, in the keystore. Without it, one is made there'
            cand --account 'The account that shall have the key'
            cand --chain-id 'The chain'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --valid-days 'For how many days the request is good'
            cand --out 'Where to write the request [default: standard output]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
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
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --allow-lint-errors 'With --yes: grant it although lint finds errors in the policy. Without --yes, the question shows them'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Without a terminal nothing is signed otherwise'
            cand --dry-run 'Show what would be done, and do nothing'
            cand --direct 'Send a plain transaction of the owner instead of an operation: no bundler is needed'
            cand --again 'Do it once more, also if the same was asked for before and is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;request;help'= {
            cand new 'Make a request: what is needed, for a key whose proof it carries'
            cand show 'Read a request: in words, with warnings'
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
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Without a terminal nothing is signed otherwise'
            cand --dry-run 'Show what would be done, and do nothing'
            cand --direct 'Send a plain transaction of the owner instead of an operation: no bundler is needed'
            cand --again 'Do it once more, also if the same was asked for before and is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;revoke'= {
            cand --tag 'All keys with this tag: 32 bytes, or a text that is hashed'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --all 'All keys of the account'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Without a terminal nothing is signed otherwise'
            cand --dry-run 'Show what would be done, and do nothing'
            cand --direct 'Send a plain transaction of the owner instead of an operation: no bundler is needed'
            cand --again 'Do it once more, also if the same was asked for before and is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;reset'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Without a terminal nothing is signed otherwise'
            cand --dry-run 'Show what would be done, and do nothing'
            cand --direct 'Send a plain transaction of the owner instead of an operation: no bundler is needed'
            cand --again 'Do it once more, also if the same was asked for before and is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;unblock'= {
            cand --nonce 'The last sequence number to end [default: the last that the journal knows]'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --owner-keystore 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER'
            cand --journal 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]'
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --json 'Print one JSON document instead of lines'
            cand --yes 'Do not ask. Without a terminal nothing is signed otherwise'
            cand --dry-run 'Show what would be done, and do nothing'
            cand --direct 'Send a plain transaction of the owner instead of an operation: no bundler is needed'
            cand --again 'Do it once more, also if the same was asked for before and is still open'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;keygen'= {
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;keys'= {
            cand --keystore 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;encode'= {
            cand --key 'The key whose entry of the lock file counts, if its entries differ'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;decode'= {
            cand --format 'How a policy is printed'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'session-key;watch'= {
            cand --interval 'How often to look, in seconds'
            cand --since 'Show what happened since this block, and go on from there [default: the latest]'
            cand --rounds 'End after having looked so often'
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --bundler-url 'JSON-RPC URL of a bundler'
            cand --account 'The account'
            cand --entity-id 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --from-block 'The first block with events of the account''s keys [default: 0]'
            cand --deployment 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote'
            cand --config 'The settings file [default: session-key.toml in the working directory, if it is there]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --json 'Print one JSON document instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
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
            cand --rpc-url 'JSON-RPC URL of a node to run on. Its funder''s private key is read from SESSION_KEY_FUNDER'
            cand --chain-id 'The chain that is meant: nothing happens if the node is of another'
            cand --max-cost 'The most that fees may come to, with its unit: `3 ETH`, `500 gwei`. [default: 0.5 ETH, or 500 of a coin that is cheap]'
            cand --give-back 'Show nothing: only get back what an earlier run that failed has left in this account'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --yes 'Spend without asking. Needed without a terminal, with --json, and on a chain that is not known to be for tests'
            cand --json 'Print one JSON document at the end, instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;deploy'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --chain-id 'The chain that is meant: nothing happens if the node is of another'
            cand --factory-owner 'Owner of the factory, who can stake it; part of the factory''s address [default: nobody, the same for everyone]'
            cand --multi-owner-plugin-salt 'CREATE2 salt of the owner plugin (0x and 64 hex digits) [default: 0]'
            cand --session-key-plugin-salt 'CREATE2 salt of the session key plugin (0x and 64 hex digits) [default: 0]'
            cand --modular-account-salt 'CREATE2 salt of the account implementation (0x and 64 hex digits) [default: 0]'
            cand --modular-account-factory-salt 'CREATE2 salt of the factory (0x and 64 hex digits) [default: 0]'
            cand --session-key-module-salt 'CREATE2 salt of the session key module (0x and 64 hex digits) [default: 0]'
            cand --state 'Keep transactions in this file until it is known what became of them; the next run takes them up. [default: $XDG_STATE_HOME/session-key/deploy-CHAIN-SENDER.json, or the same in ~/.local/state]'
            cand --record 'Write the deployment to this file, once it is complete: what `doctor --deployment` and the client read'
            cand --max-cost 'The most that the deployment may cost, with its unit: `3 ETH`, `500 gwei`. [default: 2 ETH, or 2000 of a coin that is cheap]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --broadcast 'Send the transactions. Without it, nothing is sent: a dry run'
            cand --json 'Print one JSON document at the end, instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;doctor'= {
            cand --rpc-url 'JSON-RPC URL of a node of the chain'
            cand --chain-id 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]'
            cand --bundler-url 'JSON-RPC URL of a bundler, to check it too'
            cand --account 'An account, to check it too'
            cand --entity-id 'Entity id of the session key module''s validation on an ERC-6900 v0.8 account, in case the node does not answer which validations the account has'
            cand --deployment 'Which contracts: `canonical` (those that accounts of the chain use already), `deterministic` (those that `deploy` creates), or a file that `deploy --record` wrote [default: canonical where there are any, else deterministic]'
            cand --timeout 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long'
            cand --json 'Print one JSON document at the end, instead of lines'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'session-key;help'= {
            cand account 'Make an account, or compute its address'
            cand inspect 'Show every session key of the account with all that it may do, rebuilt from logs and checked against the plugin''s views'
            cand budget 'Show what a key can still spend, of what, and when it refreshes'
            cand check 'Say whether calls or an operation would pass, and if not, every rule that they break. Exit code 1: refused'
            cand explain 'Say what became of an operation or a transaction, and every rule that it broke'
            cand grant 'Grant a key what a policy says: create the account and install what is missing, add the key, in one operation'
            cand plan 'Show what has to change for a key to have exactly what a policy says'
            cand apply 'Change a key to exactly what a policy says'
            cand lint 'Warn of what is dangerous or not meant in a policy. Exit code 1: a warning is an error'
            cand covers 'Say whether a policy allows everything that another one asks for, and what is missing. Exit code 1: it does not'
            cand request 'Ask for a session key, read such a request, approve it'
            cand rotate 'Give a key''s permissions, and what is used of them, to another key'
            cand revoke 'Remove keys'
            cand reset 'Settle the pending reset of a key''s gas limit'
            cand unblock 'End the open operations of a key''s nonce lane'
            cand keygen 'Make a session key in the keystore'
            cand keys 'List the session keys in the keystore'
            cand encode 'Print the updates that a policy encodes to'
            cand decode 'Say what updates, call data, a user operation or revert data are'
            cand watch 'Show keys added, used, refused and changed, and budgets going down, as it happens'
            cand completions 'Print completions for a shell'
            cand man 'Print the manual page'
            cand demo 'Show a session key''s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal'
            cand deploy 'Deploy the contracts, at the same addresses on every chain. A dry run, unless --broadcast is given'
            cand doctor 'Check a chain: its contracts and their code, the bundler, an account; say what is missing'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'session-key;help;account'= {
            cand new 'Create the account of an owner'
            cand address 'Compute the address of an owner''s account. Needs no node'
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
            cand new 'Make a request: what is needed, for a key whose proof it carries'
            cand show 'Read a request: in words, with warnings'
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
        &'session-key;help;completions'= {
        }
        &'session-key;help;man'= {
        }
        &'session-key;help;demo'= {
        }
        &'session-key;help;deploy'= {
        }
        &'session-key;help;doctor'= {
        }
        &'session-key;help;help'= {
        }
    ]
    $completions[$command]
}
