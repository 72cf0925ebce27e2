
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
            [CompletionResult]::new('account', 'account', [CompletionResultType]::ParameterValue, 'Create an account, or compute its address')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show every session key with its full permissions, rebuilt from logs and checked against the plugin''s views')
            [CompletionResult]::new('budget', 'budget', [CompletionResultType]::ParameterValue, 'Show what a key can still spend, and when its limits refresh')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Say whether calls or an operation would pass, and list every rule they break. Exit code 1: refused or unknown')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Show the outcome of an operation or a transaction, and every rule that it broke')
            [CompletionResult]::new('grant', 'grant', [CompletionResultType]::ParameterValue, 'Grant a policy to a key, in one operation: create the account, install what is missing, and add the key')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Show the changes that give a key exactly the permissions of a policy')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Change a key to exactly the permissions of a policy')
            [CompletionResult]::new('lint', 'lint', [CompletionResultType]::ParameterValue, 'Warn about dangerous or unintended settings in a policy. Exit code 1: a warning is an error')
            [CompletionResult]::new('covers', 'covers', [CompletionResultType]::ParameterValue, 'Say whether a policy allows everything that another needs, and what is missing. Exit code 1: it does not')
            [CompletionResult]::new('request', 'request', [CompletionResultType]::ParameterValue, 'Ask for a session key; read or approve such a request')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Move a key''s permissions, and the amounts used, to another key')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Remove keys')
            [CompletionResult]::new('reset', 'reset', [CompletionResultType]::ParameterValue, 'Settle a pending reset of a key''s gas limit')
            [CompletionResult]::new('unblock', 'unblock', [CompletionResultType]::ParameterValue, 'End the open operations of a key''s nonce lane')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Create a session key in the keystore')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List the session keys in the keystore')
            [CompletionResult]::new('encode', 'encode', [CompletionResultType]::ParameterValue, 'Print the updates that encode a policy')
            [CompletionResult]::new('decode', 'decode', [CompletionResultType]::ParameterValue, 'Decode updates, call data, a user operation or revert data')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Show keys added, used, refused and changed, and budgets going down, live')
            [CompletionResult]::new('review', 'review', [CompletionResultType]::ParameterValue, 'Serve a page on this machine to read what each key may do, and to revoke, change or approve with the browser''s wallet')
            [CompletionResult]::new('agent', 'agent', [CompletionResultType]::ParameterValue, 'Hold a session key for bots, applications and language models, within a policy each')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print shell completions')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a manual page')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show a session key''s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal')
            [CompletionResult]::new('deploy', 'deploy', [CompletionResultType]::ParameterValue, 'Deploy the contracts, at the same addresses on every chain. A dry run unless --broadcast is given')
            [CompletionResult]::new('devnet', 'devnet', [CompletionResultType]::ParameterValue, 'Run a chain and a bundler on this machine, with the contracts, accounts and session keys')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check a chain: its contracts and their code, the bundler, an account; show what is missing')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;account' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create the account of an owner')
            [CompletionResult]::new('address', 'address', [CompletionResultType]::ParameterValue, 'Compute the address of an owner''s account, without a node')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;account;new' {
            [CompletionResult]::new('--owner', '--owner', [CompletionResultType]::ParameterName, 'The owner [default: the signer]')
            [CompletionResult]::new('--salt', '--salt', [CompletionResultType]::ParameterName, 'Distinguishes the accounts of one owner')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--semi-modular', '--semi-modular', [CompletionResultType]::ParameterName, 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project''s account (ERC-6900 v0.7)')
            [CompletionResult]::new('--eip7702', '--eip7702', [CompletionResultType]::ParameterName, 'The owner''s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner''s authorization')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Required without a terminal')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, without doing it')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction from the owner instead of an operation; no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Run it once more, even if the same command is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;account;address' {
            [CompletionResult]::new('--owner', '--owner', [CompletionResultType]::ParameterName, 'The owner')
            [CompletionResult]::new('--salt', '--salt', [CompletionResultType]::ParameterName, 'Distinguishes the accounts of one owner [default: 0]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain id, to look up its known contracts')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to use: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--semi-modular', '--semi-modular', [CompletionResultType]::ParameterName, 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project''s account (ERC-6900 v0.7)')
            [CompletionResult]::new('--eip7702', '--eip7702', [CompletionResultType]::ParameterName, 'The owner''s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner''s authorization')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;account;help' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create the account of an owner')
            [CompletionResult]::new('address', 'address', [CompletionResultType]::ParameterValue, 'Compute the address of an owner''s account, without a node')
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
            [CompletionResult]::new('--compare-with', '--compare-with', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a second node, run by another operator, whose logs must be the same')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--history', '--history', [CompletionResultType]::ParameterName, 'Show every change with its block and time, including those of removed keys')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'Print the key''s permissions as a policy file, without the amounts used and entries that have no effect')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;budget' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;check' {
            [CompletionResult]::new('--entity', '--entity', [CompletionResultType]::ParameterName, 'Entity id of a key that the account''s own client (Modular Account v2) created, instead of KEY')
            [CompletionResult]::new('--call', '--call', [CompletionResultType]::ParameterName, 'A call, `TARGET[:SIGNATURE[:ARGUMENTS]][@VALUE]`; several form a batch. SIGNATURE may be call data in hexadecimal. Quote string arguments that contain a comma or an @ with double quotes')
            [CompletionResult]::new('--user-operation', '--user-operation', [CompletionResultType]::ParameterName, 'A user operation as JSON; `-` reads standard input')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;explain' {
            [CompletionResult]::new('--abi', '--abi', [CompletionResultType]::ParameterName, 'ABI files of called contracts, to name their errors: JSON ABIs or compiler artifacts')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;grant' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The key. Without it, one is created in the keystore')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Override the policy''s tag: 32 bytes, or a text to hash')
            [CompletionResult]::new('--owner', '--owner', [CompletionResultType]::ParameterName, 'The account''s owner, if the account does not exist yet [default: the signer]')
            [CompletionResult]::new('--salt', '--salt', [CompletionResultType]::ParameterName, 'The account''s salt, if the account does not exist yet')
            [CompletionResult]::new('--deferred', '--deferred', [CompletionResultType]::ParameterName, 'Send nothing: sign a grant for the key''s first operation, and write it to this file for the executing side. ERC-6900 v0.8 accounts only')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'When a deferred grant expires: a time with its offset, such as 2027-03-01T00:00:00Z')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--semi-modular', '--semi-modular', [CompletionResultType]::ParameterName, 'Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this project''s account (ERC-6900 v0.7)')
            [CompletionResult]::new('--eip7702', '--eip7702', [CompletionResultType]::ParameterName, 'The owner''s own address, which becomes a semi-modular account by delegating to Modular Account v2 (EIP-7702). Its first operation, sent through a bundler, carries the owner''s authorization')
            [CompletionResult]::new('--allow-lint-errors', '--allow-lint-errors', [CompletionResultType]::ParameterName, 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Required without a terminal')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, without doing it')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction from the owner instead of an operation; no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Run it once more, even if the same command is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;plan' {
            [CompletionResult]::new('--limits', '--limits', [CompletionResultType]::ParameterName, 'What happens to the amount used when a limit changes. Required if any of it is used')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Exit with code 1 if something would change')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;apply' {
            [CompletionResult]::new('--limits', '--limits', [CompletionResultType]::ParameterName, 'What happens to the amount used when a limit changes. Required if any of it is used')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--allow-lint-errors', '--allow-lint-errors', [CompletionResultType]::ParameterName, 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Required without a terminal')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, without doing it')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction from the owner instead of an operation; no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Run it once more, even if the same command is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;lint' {
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain id, for the name of its coin')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node, to ask which contracts are NFTs. Without it, no node is queried')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;covers' {
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain id, for the name of its coin')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;request' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create a request: the permissions needed, and the key''s proof of possession')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show a request in words, with warnings')
            [CompletionResult]::new('approve', 'approve', [CompletionResultType]::ParameterValue, 'Grant what a request asks for, or something narrower')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;request;new' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The key, in the keystore. Without it, one is created there')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account to grant the key on')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--valid-days', '--valid-days', [CompletionResultType]::ParameterName, 'How many days the request stays valid')
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'Where to write the request [default: standard output]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
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
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--allow-lint-errors', '--allow-lint-errors', [CompletionResultType]::ParameterName, 'With --yes, grant the policy despite lint errors. Without --yes, the question shows them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Required without a terminal')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, without doing it')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction from the owner instead of an operation; no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Run it once more, even if the same command is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;request;help' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create a request: the permissions needed, and the key''s proof of possession')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show a request in words, with warnings')
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
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Required without a terminal')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, without doing it')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction from the owner instead of an operation; no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Run it once more, even if the same command is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;revoke' {
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Remove all keys with this tag: 32 bytes, or a text to hash')
            [CompletionResult]::new('--deferred', '--deferred', [CompletionResultType]::ParameterName, 'End an unused grant that was signed with `grant --deferred`: use up its nonce. `-` reads standard input')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Remove all keys of the account')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Required without a terminal')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, without doing it')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction from the owner instead of an operation; no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Run it once more, even if the same command is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;reset' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Required without a terminal')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, without doing it')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction from the owner instead of an operation; no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Run it once more, even if the same command is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;unblock' {
            [CompletionResult]::new('--nonce', '--nonce', [CompletionResultType]::ParameterName, 'The last sequence number to end [default: the last one in the journal]')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--owner-keystore', '--owner-keystore', [CompletionResultType]::ParameterName, 'The owner''s encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner''s private key is read from SESSION_KEY_OWNER')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The file that records operations before they are sent [default: journal.sqlite in the keystore''s folder]')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask. Required without a terminal')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be done, without doing it')
            [CompletionResult]::new('--direct', '--direct', [CompletionResultType]::ParameterName, 'Send a plain transaction from the owner instead of an operation; no bundler is needed')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Run it once more, even if the same command is still open')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;keygen' {
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;keys' {
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;encode' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The key whose lock file entry to use, if entries differ')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;decode' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'The format of a printed policy')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;watch' {
            [CompletionResult]::new('--interval', '--interval', [CompletionResultType]::ParameterName, 'The polling interval, in seconds')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Start with the events of this block [default: after the latest]')
            [CompletionResult]::new('--rounds', '--rounds', [CompletionResultType]::ParameterName, 'Stop after this many polls')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;review' {
            [CompletionResult]::new('--apply', '--apply', [CompletionResultType]::ParameterName, 'Propose to change a key to exactly the permissions of a policy. Repeatable')
            [CompletionResult]::new('--limits', '--limits', [CompletionResultType]::ParameterName, 'What happens to the amount used when a limit changes [default: chosen on the page]')
            [CompletionResult]::new('--request', '--request', [CompletionResultType]::ParameterName, 'Propose to approve a request for a session key. Repeatable')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'Propose this policy instead of what the request asks for; it must not allow more. With one --request')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The port; 0 takes a free one')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;agent' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Hold a session key, and serve it to clients within a policy each')
            [CompletionResult]::new('mcp', 'mcp', [CompletionResultType]::ParameterValue, 'Serve the Model Context Protocol on standard input and output, for a language model')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Make a token for a client: write it to a file, and print its hash for the configuration')
            [CompletionResult]::new('recover', 'recover', [CompletionResultType]::ParameterValue, 'After a store was restored from an older backup: find on the chain what it forgot')
            [CompletionResult]::new('verify-log', 'verify-log', [CompletionResultType]::ParameterValue, 'Verify a decision log. Exit code 1: it is not as it was written')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;agent;serve' {
            [CompletionResult]::new('--clients', '--clients', [CompletionResultType]::ParameterName, 'The configuration: the clients, with the hash of each one''s token, and its policy')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The folder with the decision log (decisions.log), and the store (agent.sqlite) unless a server has it')
            [CompletionResult]::new('--store-file', '--store-file', [CompletionResultType]::ParameterName, 'A file with the connection string of a PostgreSQL server, which has the store instead of the folder')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'The unix socket [default: agent.sock in the folder]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Listen at this port of 127.0.0.1 instead of a unix socket; 0 takes a free one')
            [CompletionResult]::new('--operation-timeout', '--operation-timeout', [CompletionResultType]::ParameterName, 'How long an operation may take until it is left open, in seconds')
            [CompletionResult]::new('--stop-timeout', '--stop-timeout', [CompletionResultType]::ParameterName, 'How long to wait, when asked to end, for operations that are on their way, in seconds')
            [CompletionResult]::new('--keystore', '--keystore', [CompletionResultType]::ParameterName, 'The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;agent;mcp' {
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'The service''s unix socket')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The service''s port of 127.0.0.1')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file with the client''s token, instead of SESSION_KEY_AGENT_TOKEN')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;agent;token' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;agent;recover' {
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The service''s folder, with the decision log')
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The account')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under [default: looked up]')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--from-block', '--from-block', [CompletionResultType]::ParameterName, 'The first block with events of the account''s keys [default: 0]')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy --record` wrote')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The settings file [default: session-key.toml in the working directory, if it exists]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;agent;verify-log' {
            [CompletionResult]::new('--expect', '--expect', [CompletionResultType]::ParameterName, 'The hash of an entry that the log must have: one that was printed or copied earlier. Without it, a log whose last entries were removed is not noticed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'session-key;agent;help' {
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Hold a session key, and serve it to clients within a policy each')
            [CompletionResult]::new('mcp', 'mcp', [CompletionResultType]::ParameterValue, 'Serve the Model Context Protocol on standard input and output, for a language model')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Make a token for a client: write it to a file, and print its hash for the configuration')
            [CompletionResult]::new('recover', 'recover', [CompletionResultType]::ParameterValue, 'After a store was restored from an older backup: find on the chain what it forgot')
            [CompletionResult]::new('verify-log', 'verify-log', [CompletionResultType]::ParameterValue, 'Verify a decision log. Exit code 1: it is not as it was written')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;agent;help;serve' {
            break
        }
        'session-key;agent;help;mcp' {
            break
        }
        'session-key;agent;help;token' {
            break
        }
        'session-key;agent;help;recover' {
            break
        }
        'session-key;agent;help;verify-log' {
            break
        }
        'session-key;agent;help;help' {
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
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node to run on. The funder''s private key is read from SESSION_KEY_FUNDER')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain: a node on another chain is an error')
            [CompletionResult]::new('--max-cost', '--max-cost', [CompletionResultType]::ParameterName, 'The maximum for fees, with its unit: `3 ETH`, `500 gwei` [default: 0.5 ETH, or 500 of a low-value coin]')
            [CompletionResult]::new('--give-back', '--give-back', [CompletionResultType]::ParameterName, 'Only recover what an earlier failed run left in this account')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Spend without asking. Required without a terminal, with --json, and on chains not known to be test chains')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document at the end instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;deploy' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain: a node on another chain is an error')
            [CompletionResult]::new('--factory-owner', '--factory-owner', [CompletionResultType]::ParameterName, 'Owner of the factory, who can stake it; part of the factory''s address [default: no one, the same for everyone]')
            [CompletionResult]::new('--multi-owner-plugin-salt', '--multi-owner-plugin-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the owner plugin (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--session-key-plugin-salt', '--session-key-plugin-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the session key plugin (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--modular-account-salt', '--modular-account-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the account implementation (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--modular-account-factory-salt', '--modular-account-factory-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the factory (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--session-key-module-salt', '--session-key-module-salt', [CompletionResultType]::ParameterName, 'CREATE2 salt of the session key module (0x and 64 hex digits) [default: 0]')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'File that keeps transactions until their outcome is known; the next run resumes them [default: $XDG_STATE_HOME/session-key/deploy-CHAIN-SENDER.json, or the same in ~/.local/state]')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write the complete deployment to this file, for `doctor --deployment` and the client')
            [CompletionResult]::new('--max-cost', '--max-cost', [CompletionResultType]::ParameterName, 'The maximum cost of the deployment, with its unit: `3 ETH`, `500 gwei` [default: 2 ETH, or 2000 of a low-value coin]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--broadcast', '--broadcast', [CompletionResultType]::ParameterName, 'Send the transactions. Without it, this is a dry run')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document at the end instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;devnet' {
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The port; 0 takes a free one')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The chain id [default: 31337; on a fork, the node''s]')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'The policy of the session keys that it grants [default: 100 tokens and 0.1 ETH a day, for `transfer` of the test token]. Those of a chain from --state stay as they are')
            [CompletionResult]::new('--bundling', '--bundling', [CompletionResultType]::ParameterName, 'When the bundler bundles')
            [CompletionResult]::new('--entry-point', '--entry-point', [CompletionResultType]::ParameterName, 'The EntryPoint that the bundler serves [default: both]')
            [CompletionResult]::new('--min-stake', '--min-stake', [CompletionResultType]::ParameterName, 'The stake from which the bundler takes an entity for staked, with its unit')
            [CompletionResult]::new('--min-unstake-delay', '--min-unstake-delay', [CompletionResultType]::ParameterName, 'The unstake delay from which the bundler takes an entity for staked')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Load the chain from this file, if it is there, and save it there at the end')
            [CompletionResult]::new('--fork-url', '--fork-url', [CompletionResultType]::ParameterName, 'Start on the state of a node, fetched as it is needed; what was before is asked of it, too. HTTP only: for a node on this machine')
            [CompletionResult]::new('--fork-block', '--fork-block', [CompletionResultType]::ParameterName, 'The block of that node to start on [default: the latest]')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Write URLs, addresses and keys to this file too, as environment variables')
            [CompletionResult]::new('--review', '--review', [CompletionResultType]::ParameterName, 'Serve a review page for each account too, at free ports. Each address opens its page once')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one line of JSON instead of a text')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;doctor' {
            [CompletionResult]::new('--rpc-url', '--rpc-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a node of the chain')
            [CompletionResult]::new('--chain-id', '--chain-id', [CompletionResultType]::ParameterName, 'The intended chain; a node on another chain is an error [default: the node''s chain]')
            [CompletionResult]::new('--bundler-url', '--bundler-url', [CompletionResultType]::ParameterName, 'JSON-RPC URL of a bundler to check as well')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'An account to check as well')
            [CompletionResult]::new('--entity-id', '--entity-id', [CompletionResultType]::ParameterName, 'Entity id of the session key module''s validation on an ERC-6900 v0.8 account, if the node cannot list the account''s validations')
            [CompletionResult]::new('--deployment', '--deployment', [CompletionResultType]::ParameterName, 'The contracts to check: `canonical` (those that the chain''s accounts already use), `deterministic` (those that `deploy` creates), or a file that `deploy --record` wrote [default: canonical where they exist, else deterministic]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document at the end instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'session-key;help' {
            [CompletionResult]::new('account', 'account', [CompletionResultType]::ParameterValue, 'Create an account, or compute its address')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show every session key with its full permissions, rebuilt from logs and checked against the plugin''s views')
            [CompletionResult]::new('budget', 'budget', [CompletionResultType]::ParameterValue, 'Show what a key can still spend, and when its limits refresh')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Say whether calls or an operation would pass, and list every rule they break. Exit code 1: refused or unknown')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Show the outcome of an operation or a transaction, and every rule that it broke')
            [CompletionResult]::new('grant', 'grant', [CompletionResultType]::ParameterValue, 'Grant a policy to a key, in one operation: create the account, install what is missing, and add the key')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Show the changes that give a key exactly the permissions of a policy')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Change a key to exactly the permissions of a policy')
            [CompletionResult]::new('lint', 'lint', [CompletionResultType]::ParameterValue, 'Warn about dangerous or unintended settings in a policy. Exit code 1: a warning is an error')
            [CompletionResult]::new('covers', 'covers', [CompletionResultType]::ParameterValue, 'Say whether a policy allows everything that another needs, and what is missing. Exit code 1: it does not')
            [CompletionResult]::new('request', 'request', [CompletionResultType]::ParameterValue, 'Ask for a session key; read or approve such a request')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Move a key''s permissions, and the amounts used, to another key')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Remove keys')
            [CompletionResult]::new('reset', 'reset', [CompletionResultType]::ParameterValue, 'Settle a pending reset of a key''s gas limit')
            [CompletionResult]::new('unblock', 'unblock', [CompletionResultType]::ParameterValue, 'End the open operations of a key''s nonce lane')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Create a session key in the keystore')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List the session keys in the keystore')
            [CompletionResult]::new('encode', 'encode', [CompletionResultType]::ParameterValue, 'Print the updates that encode a policy')
            [CompletionResult]::new('decode', 'decode', [CompletionResultType]::ParameterValue, 'Decode updates, call data, a user operation or revert data')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Show keys added, used, refused and changed, and budgets going down, live')
            [CompletionResult]::new('review', 'review', [CompletionResultType]::ParameterValue, 'Serve a page on this machine to read what each key may do, and to revoke, change or approve with the browser''s wallet')
            [CompletionResult]::new('agent', 'agent', [CompletionResultType]::ParameterValue, 'Hold a session key for bots, applications and language models, within a policy each')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print shell completions')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a manual page')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show a session key''s whole life: deployment, grant, use, refusals, refresh, update, rotation, removal')
            [CompletionResult]::new('deploy', 'deploy', [CompletionResultType]::ParameterValue, 'Deploy the contracts, at the same addresses on every chain. A dry run unless --broadcast is given')
            [CompletionResult]::new('devnet', 'devnet', [CompletionResultType]::ParameterValue, 'Run a chain and a bundler on this machine, with the contracts, accounts and session keys')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check a chain: its contracts and their code, the bundler, an account; show what is missing')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'session-key;help;account' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create the account of an owner')
            [CompletionResult]::new('address', 'address', [CompletionResultType]::ParameterValue, 'Compute the address of an owner''s account, without a node')
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
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Create a request: the permissions needed, and the key''s proof of possession')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show a request in words, with warnings')
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
        'session-key;help;review' {
            break
        }
        'session-key;help;agent' {
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Hold a session key, and serve it to clients within a policy each')
            [CompletionResult]::new('mcp', 'mcp', [CompletionResultType]::ParameterValue, 'Serve the Model Context Protocol on standard input and output, for a language model')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Make a token for a client: write it to a file, and print its hash for the configuration')
            [CompletionResult]::new('recover', 'recover', [CompletionResultType]::ParameterValue, 'After a store was restored from an older backup: find on the chain what it forgot')
            [CompletionResult]::new('verify-log', 'verify-log', [CompletionResultType]::ParameterValue, 'Verify a decision log. Exit code 1: it is not as it was written')
            break
        }
        'session-key;help;agent;serve' {
            break
        }
        'session-key;help;agent;mcp' {
            break
        }
        'session-key;help;agent;token' {
            break
        }
        'session-key;help;agent;recover' {
            break
        }
        'session-key;help;agent;verify-log' {
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
        'session-key;help;devnet' {
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
