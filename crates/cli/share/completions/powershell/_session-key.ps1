
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'session-key' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'session-key'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'session-key' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('account', 'account', [CompletionResultType]::ParameterValue, 'Make an account, or compute its address')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show every session key of the account with all that it may do, rebuilt from logs and checked against the plugin''s views')
            [CompletionResult]::new('budget', 'budget', [CompletionResultType]::ParameterValue, 'Show what a key can still spend, of what, and when it refreshes')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Say whether calls or an operation would pass, and if not, every rule that they break. Exit code 1: refused')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Say what became of an operation or a transaction, and every rule that it broke')
            [CompletionResult]::new('grant', 'grant', [CompletionResultType]::ParameterValue, 'Grant a key what a policy says: create the account and install what is missing, add the key, in one operation')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Show what has to change for a key to have exactly what a policy says')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Change a key to exactly what a policy says')
            [CompletionResult]::new('lint', 'lint', [CompletionResultType]::ParameterValue, 'Warn of what is dangerous or not meant in a policy. Exit code 1: a warning is an error')
            [CompletionResult]::new('covers', 'covers', [CompletionResultType]::ParameterValue, 'Say whether a policy allows everything that another one asks for, and what is missing. Exit code 1: it does not')
            [CompletionResult]::new('request', 'request', [CompletionResultType]::ParameterValue, 'Ask for a session key, read such a request, approve it')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Give a key''s permissions, and what is used of them, to another key')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Remove keys')
            [CompletionResult]::new('reset', 'reset', [CompletionResultType]::ParameterValue, 'Settle the pending reset of a key''s gas limit')
            [CompletionResult]::new('unblock', 'unblock', [CompletionResultType]::ParameterValue, 'End the open operations of a key''s nonce lane')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Make a session key in the keystore')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List the session keys in the keystore')
            [CompletionResult]::new('encode', 'encode', [CompletionResultType]::ParameterValue, 'Print the updates that a policy encodes to')
            [CompletionResult]::new('decode', 'decode', [CompletionResultType]::ParameterValue, 'Say what updates, call data, a user operation or revert data are')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Show keys added, used, refused and changed, and budgets going down, as it happens')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print the manual page')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show a session key''s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal')
            [CompletionResult]::new('deploy', 'deploy', [CompletionResultType]::ParameterValue, 'Deploy the contracts, at the same addresses on every chain. A dry run, unless --broadcast is given')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check a chain: its contracts and their code, the bundler, an account; say what is missing')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;account' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create the account of an owner')
            [CompletionResult]::new('address', 'address', [CompletionResultType]::ParameterValue, 'Compute the address of an owner''s account. Needs no node')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;account;new' {
            [CompletionResult]::new('--owner', '--owner', [CompletionResultType]::ParameterName, 'The owner [default: whoever signs]')
            [CompletionResult]::new('--salt', '--salt', [CompletionResultType]::ParameterName, 'A number that tells the owner''s accounts apart')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--semi-modular', '--semi-modular', [CompletionResultType]::ParameterName, 'A semi-modular account of Modular Account v2 (ERC-6900 v0.8), by its factory, instead of this project''s account (ERC-6900 v0.7)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Without a terminal nothing is signed otherwise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, and do nothing')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction of the owner instead of an operation: no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Do it once more, also if the same was asked for before and is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;account;address' {
            [CompletionResult]::new('--owner', '--owner', [CompletionResultType]::ParameterName, 'The owner')
            [CompletionResult]::new('--salt', '--salt', [CompletionResultType]::ParameterName, 'A number that tells the owner''s accounts apart [default: 0]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain, for its known contracts')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--semi-modular', '--semi-modular', [CompletionResultType]::ParameterName, 'A semi-modular account of Modular Account v2 (ERC-6900 v0.8), by its factory, instead of this project''s account (ERC-6900 v0.7)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;account;help' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create the account of an owner')
            [CompletionResult]::new('address', 'address', [CompletionResultType]::ParameterValue, 'Compute the address of an owner''s account. Needs no node')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;account;help;new' {
            break
        }
        'session-key;account;help;address' {
            break
        }
        'session-key;account;help;help' {
            break
        }
        'session-key;inspect' {
            [CompletionResult]::new('--compare-with', '--compare-with', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a second node, of another operator, whose logs have to be the same')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--history', '--history', [CompletionResultType]::ParameterName, 'Every change, with its block and time, also of keys that are gone')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'Print the policy file that says what the key may do. What it has used, and entries without effect, are left out')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;budget' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;check' {
            [CompletionResult]::new('--call', '--call', [CompletionResultType]::ParameterName, 'A call, `TARGET[:SIGNATURE[:ARGUMENTS]][@VALUE]`; several are a batch. SIGNATURE may be call data in hexadecimal. A text among the arguments stands in double quotes if it has a comma or an @')
            [CompletionResult]::new('--user-operation', '--user-operation', [CompletionResultType]::ParameterName, 'A user operation in JSON; `-` reads standard input')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;explain' {
            [CompletionResult]::new('--abi', '--abi', [CompletionResultType]::ParameterName, 'ABI files of contracts that were called, to name their errors: JSON ABIs or compiler artifacts')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;grant' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The key. Without it, one is made in the keystore')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Another tag than the policy''s: 32 bytes, or a text that is hashed')
            [CompletionResult]::new('--owner', '--owner', [CompletionResultType]::ParameterName, 'The owner of the account, if that is not there yet [default: whoever signs]')
            [CompletionResult]::new('--salt', '--salt', [CompletionResultType]::ParameterName, 'The salt of the account, if that is not there yet')
            [CompletionResult]::new('--deferred', '--deferred', [CompletionResultType]::ParameterName, 'Send nothing: sign a grant that rides along with the key''s first operation, and write it to this file for the executing side. ERC-6900 v0.8 accounts only')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'The end of a deferred grant: a time with its offset, such as 2027-03-01T00:00:00Z')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--semi-modular', '--semi-modular', [CompletionResultType]::ParameterName, 'A semi-modular account of Modular Account v2 (ERC-6900 v0.8), by its factory, instead of this project''s account (ERC-6900 v0.7)')
            [CompletionResult]::new('--allow-lint-errors', '--allow-lint-errors', [CompletionResultType]::ParameterName, 'With --yes: grant it although lint finds errors in the policy. Without --yes, the question shows them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Without a terminal nothing is signed otherwise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, and do nothing')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction of the owner instead of an operation: no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Do it once more, also if the same was asked for before and is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;plan' {
            [CompletionResult]::new('--limits', '--limits', [CompletionResultType]::ParameterName, 'What becomes of the amount used of limits that change. Must be said if something is used of one')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Exit with code 1 if something would change')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;apply' {
            [CompletionResult]::new('--limits', '--limits', [CompletionResultType]::ParameterName, 'What becomes of the amount used of limits that change. Must be said if something is used of one')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--allow-lint-errors', '--allow-lint-errors', [CompletionResultType]::ParameterName, 'With --yes: grant it although lint finds errors in the policy. Without --yes, the question shows them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Without a terminal nothing is signed otherwise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, and do nothing')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction of the owner instead of an operation: no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Do it once more, also if the same was asked for before and is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;lint' {
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant, for the name of its coin')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain: it is asked which contracts are NFTs. Without it, no node is asked')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;covers' {
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant, for the name of its coin')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;request' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Make a request: what is needed, for a key whose proof it carries')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Read a request: in words, with warnings')
            [CompletionResult]::new('approve', 'approve', [CompletionResultType]::ParameterValue, 'Grant what a request asks for, or something narrower')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;request;new' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The key, in the keystore. Without it, one is made there')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account that shall have the key')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--valid-days', '--valid-days', [CompletionResultType]::ParameterName, 'For how many days the request is good')
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'Where to write the request [default: standard output]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;request;show' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;request;approve' {
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'Grant this policy instead of what the request asks for')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--allow-lint-errors', '--allow-lint-errors', [CompletionResultType]::ParameterName, 'With --yes: grant it although lint finds errors in the policy. Without --yes, the question shows them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Without a terminal nothing is signed otherwise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, and do nothing')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction of the owner instead of an operation: no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Do it once more, also if the same was asked for before and is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;request;help' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Make a request: what is needed, for a key whose proof it carries')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Read a request: in words, with warnings')
            [CompletionResult]::new('approve', 'approve', [CompletionResultType]::ParameterValue, 'Grant what a request asks for, or something narrower')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;request;help;new' {
            break
        }
        'session-key;request;help;show' {
            break
        }
        'session-key;request;help;approve' {
            break
        }
        'session-key;request;help;help' {
            break
        }
        'session-key;rotate' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Without a terminal nothing is signed otherwise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, and do nothing')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction of the owner instead of an operation: no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Do it once more, also if the same was asked for before and is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;revoke' {
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'All keys with this tag: 32 bytes, or a text that is hashed')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All keys of the account')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Without a terminal nothing is signed otherwise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, and do nothing')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction of the owner instead of an operation: no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Do it once more, also if the same was asked for before and is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;reset' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Without a terminal nothing is signed otherwise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, and do nothing')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction of the owner instead of an operation: no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Do it once more, also if the same was asked for before and is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;unblock' {
            [CompletionResult]::new('--nonce', '--nonce', [CompletionResultType]::ParameterName, 'The last sequence number to end [default: the last that the journal knows]')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Where operations are written down before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Without a terminal nothing is signed otherwise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, and do nothing')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction of the owner instead of an operation: no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Do it once more, also if the same was asked for before and is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;keygen' {
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;keys' {
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with session keys, in encrypted files. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;encode' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The key whose entry of the lock file counts, if its entries differ')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;decode' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How a policy is printed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;watch' {
            [CompletionResult]::new('--interval', '--interval', [CompletionResultType]::ParameterName, 'How often to look, in seconds')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Show what happened since this block, and go on from there [default: the latest]')
            [CompletionResult]::new('--rounds', '--rounds', [CompletionResultType]::ParameterName, 'End after having looked so often')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Of an ERC-6900 v0.8 account: the entity id under which it has the session key module, or shall get it [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it is there]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;man' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;demo' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node to run on. Its funder''s private key is read from SESSION_KEY_FUNDER')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: nothing happens if the node is of another')
            [CompletionResult]::new('--max-cost', '--max-cost', [CompletionResultType]::ParameterName, 'The most that fees may come to, with its unit: `3 ETH`, `500 gwei`. [default: 0.5 ETH, or 500 of a coin that is cheap]')
            [CompletionResult]::new('--give-back', '--give-back', [CompletionResultType]::ParameterName, 'Show nothing: only get back what an earlier run that failed has left in this account')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Spend without asking. Needed without a terminal, with --json, and on a chain that is not known to be for tests')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document at the end, instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;deploy' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: nothing happens if the node is of another')
            [CompletionResult]::new('--factory-owner', '--factory-owner', [CompletionResultType]::ParameterName, 'Owner of the factory, who can stake it; part of the factory''s address [default: nobody, the same for everyone]')
            [CompletionResult]::new('--multi-owner-plugin-salt', '--multi-owner-plugin-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the owner plugin (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--session-key-plugin-salt', '--session-key-plugin-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the session key plugin (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--modular-account-salt', '--modular-account-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the account implementation (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--modular-account-factory-salt', '--modular-account-factory-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the factory (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--session-key-module-salt', '--session-key-module-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the session key module (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Keep transactions in this file until it is known what became of them; the next run takes them up. [default: $XDG_STATE_HOME/session-key/deploy-CHAIN-SENDER.json, or the same in ~/.local/state]')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write the deployment to this file, once it is complete: what `doctor --deployment` and the client read')
            [CompletionResult]::new('--max-cost', '--max-cost', [CompletionResultType]::ParameterName, 'The most that the deployment may cost, with its unit: `3 ETH`, `500 gwei`. [default: 2 ETH, or 2000 of a coin that is cheap]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--broadcast', '--broadcast', [CompletionResultType]::ParameterName, 'Send the transactions. Without it, nothing is sent: a dry run')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document at the end, instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;doctor' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain that is meant: a node of another one is an error [default: whatever chain the node is of]')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler, to check it too')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'An account, to check it too')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module''s validation on an ERC-6900 v0.8 account, in case the node does not answer which validations the account has')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'Which contracts: `canonical` (those that accounts of the chain use already), `deterministic` (those that `deploy` creates), or a file that `deploy --record` wrote [default: canonical where there are any, else deterministic]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. To look at a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document at the end, instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;help' {
            [CompletionResult]::new('account', 'account', [CompletionResultType]::ParameterValue, 'Make an account, or compute its address')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show every session key of the account with all that it may do, rebuilt from logs and checked against the plugin''s views')
            [CompletionResult]::new('budget', 'budget', [CompletionResultType]::ParameterValue, 'Show what a key can still spend, of what, and when it refreshes')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Say whether calls or an operation would pass, and if not, every rule that they break. Exit code 1: refused')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Say what became of an operation or a transaction, and every rule that it broke')
            [CompletionResult]::new('grant', 'grant', [CompletionResultType]::ParameterValue, 'Grant a key what a policy says: create the account and install what is missing, add the key, in one operation')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Show what has to change for a key to have exactly what a policy says')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Change a key to exactly what a policy says')
            [CompletionResult]::new('lint', 'lint', [CompletionResultType]::ParameterValue, 'Warn of what is dangerous or not meant in a policy. Exit code 1: a warning is an error')
            [CompletionResult]::new('covers', 'covers', [CompletionResultType]::ParameterValue, 'Say whether a policy allows everything that another one asks for, and what is missing. Exit code 1: it does not')
            [CompletionResult]::new('request', 'request', [CompletionResultType]::ParameterValue, 'Ask for a session key, read such a request, approve it')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Give a key''s permissions, and what is used of them, to another key')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Remove keys')
            [CompletionResult]::new('reset', 'reset', [CompletionResultType]::ParameterValue, 'Settle the pending reset of a key''s gas limit')
            [CompletionResult]::new('unblock', 'unblock', [CompletionResultType]::ParameterValue, 'End the open operations of a key''s nonce lane')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Make a session key in the keystore')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List the session keys in the keystore')
            [CompletionResult]::new('encode', 'encode', [CompletionResultType]::ParameterValue, 'Print the updates that a policy encodes to')
            [CompletionResult]::new('decode', 'decode', [CompletionResultType]::ParameterValue, 'Say what updates, call data, a user operation or revert data are')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Show keys added, used, refused and changed, and budgets going down, as it happens')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print the manual page')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show a session key''s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal')
            [CompletionResult]::new('deploy', 'deploy', [CompletionResultType]::ParameterValue, 'Deploy the contracts, at the same addresses on every chain. A dry run, unless --broadcast is given')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check a chain: its contracts and their code, the bundler, an account; say what is missing')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;help;account' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create the account of an owner')
            [CompletionResult]::new('address', 'address', [CompletionResultType]::ParameterValue, 'Compute the address of an owner''s account. Needs no node')
            break
        }
        'session-key;help;account;new' {
            break
        }
        'session-key;help;account;address' {
            break
        }
        'session-key;help;inspect' {
            break
        }
        'session-key;help;budget' {
            break
        }
        'session-key;help;check' {
            break
        }
        'session-key;help;explain' {
            break
        }
        'session-key;help;grant' {
            break
        }
        'session-key;help;plan' {
            break
        }
        'session-key;help;apply' {
            break
        }
        'session-key;help;lint' {
            break
        }
        'session-key;help;covers' {
            break
        }
        'session-key;help;request' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Make a request: what is needed, for a key whose proof it carries')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Read a request: in words, with warnings')
            [CompletionResult]::new('approve', 'approve', [CompletionResultType]::ParameterValue, 'Grant what a request asks for, or something narrower')
            break
        }
        'session-key;help;request;new' {
            break
        }
        'session-key;help;request;show' {
            break
        }
        'session-key;help;request;approve' {
            break
        }
        'session-key;help;rotate' {
            break
        }
        'session-key;help;revoke' {
            break
        }
        'session-key;help;reset' {
            break
        }
        'session-key;help;unblock' {
            break
        }
        'session-key;help;keygen' {
            break
        }
        'session-key;help;keys' {
            break
        }
        'session-key;help;encode' {
            break
        }
        'session-key;help;decode' {
            break
        }
        'session-key;help;watch' {
            break
        }
        'session-key;help;completions' {
            break
        }
        'session-key;help;man' {
            break
        }
        'session-key;help;demo' {
            break
        }
        'session-key;help;deploy' {
            break
        }
        'session-key;help;doctor' {
            break
        }
        'session-key;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
