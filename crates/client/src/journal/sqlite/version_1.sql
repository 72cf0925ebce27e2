-- Numbers are INTEGER up to 2^63 - 1 and decimal TEXT above. Times are milliseconds since the Unix epoch. Hashes, addresses and
-- identifiers are lower-case hex with 0x; nonces and nonce keys are padded with zeros, so that text order is numeric order.

CREATE TABLE leases (
    chain_id ANY NOT NULL,
    entry_point TEXT NOT NULL,
    account TEXT NOT NULL,
    nonce_key TEXT NOT NULL,
    -- Rises with every holder. It stays when the lane is given back, and then holder and until are NULL.
    epoch ANY NOT NULL,
    holder TEXT,
    until ANY,
    PRIMARY KEY (chain_id, entry_point, account, nonce_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
    -- The order of first writing.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    version ANY NOT NULL,
    chain_id ANY NOT NULL,
    entry_point TEXT NOT NULL,
    account TEXT NOT NULL,
    nonce_key TEXT NOT NULL,
    signer TEXT NOT NULL,
    name TEXT,
    request TEXT NOT NULL,
    -- A JSON array of addresses.
    grants_to TEXT NOT NULL,
    asked_at ANY NOT NULL,
    asked_process TEXT NOT NULL,
    asked_sequence ANY NOT NULL,
    deadline ANY NOT NULL,
    given_up_at ANY,
    given_up_process TEXT,
    given_up_sequence ANY,
    told INTEGER NOT NULL,
    told_to TEXT,
    -- The rest follows from the columns above and the operations. It is written with them and compared when they are read.
    state TEXT NOT NULL,
    is_final INTEGER NOT NULL,
    is_untold INTEGER NOT NULL,
    is_spent INTEGER NOT NULL,
    holds_name INTEGER NOT NULL,
    included_nonce TEXT
) STRICT;

CREATE UNIQUE INDEX intents_by_name ON intents (chain_id, account, signer, name) WHERE holds_name = 1;
CREATE INDEX intents_by_account ON intents (chain_id, account);
CREATE INDEX intents_unsettled ON intents (chain_id, account, entry_point, nonce_key) WHERE is_final = 0;
CREATE INDEX intents_untold ON intents (chain_id, account, signer, request) WHERE is_untold = 1;
CREATE INDEX intents_spent ON intents (chain_id, account, entry_point, nonce_key) WHERE is_spent = 1;
CREATE INDEX intents_included ON intents (chain_id, account, entry_point, nonce_key, included_nonce)
WHERE included_nonce IS NOT NULL;

CREATE TABLE operations (
    intent TEXT NOT NULL REFERENCES intents (id) ON DELETE CASCADE,
    -- 0 is the oldest of the intent.
    position INTEGER NOT NULL,
    hash TEXT NOT NULL,
    nonce TEXT NOT NULL,
    -- JSON of the operation as bundlers take it, with its signature.
    operation TEXT NOT NULL,
    made_number ANY NOT NULL,
    made_hash TEXT NOT NULL,
    -- JSON: what the model said, if it could not be sure.
    doubt TEXT,
    -- JSON objects.
    handover TEXT NOT NULL,
    nonce_past TEXT,
    void TEXT,
    included TEXT,
    PRIMARY KEY (intent, position)
) STRICT;

CREATE INDEX operations_by_hash ON operations (hash);

CREATE VIEW operation_list AS
SELECT
    operations.intent,
    operations.position,
    operations.hash,
    '0x' || substr(operations.nonce, 3, 48) AS nonce_key,
    '0x' || substr(operations.nonce, 51) AS nonce_sequence,
    CASE
        WHEN operations.included IS NOT NULL
            THEN iif(json_extract(operations.included, '$.success'), 'included', 'reverted')
        WHEN operations.void IS NOT NULL THEN 'void'
        ELSE json_extract(operations.handover, '$.state')
    END AS state,
    json_extract(operations.handover, '$.message') AS said,
    operations.made_number AS made_at_block,
    json_extract(operations.included, '$.receipt.blockNumber') AS block,
    json_extract(operations.included, '$.receipt.transactionHash') AS transaction_hash
FROM operations;

CREATE VIEW intent_list AS
SELECT
    intents.id,
    intents.name,
    intents.state,
    intents.is_final,
    intents.chain_id,
    intents.account,
    intents.signer,
    intents.nonce_key,
    strftime('%Y-%m-%dT%H:%M:%fZ', intents.asked_at / 1000.0, 'unixepoch') AS asked,
    strftime('%Y-%m-%dT%H:%M:%fZ', intents.deadline / 1000.0, 'unixepoch') AS deadline,
    strftime('%Y-%m-%dT%H:%M:%fZ', intents.given_up_at / 1000.0, 'unixepoch') AS given_up,
    (SELECT count(*) FROM operations WHERE operations.intent = intents.id) AS operations,
    (
        SELECT operations.hash FROM operations WHERE operations.intent = intents.id
        ORDER BY operations.included IS NULL, operations.position DESC LIMIT 1
    ) AS hash
FROM intents
ORDER BY intents.sequence;

CREATE VIEW lease_list AS
SELECT
    chain_id,
    entry_point,
    account,
    nonce_key,
    epoch,
    holder,
    strftime('%Y-%m-%dT%H:%M:%fZ', until / 1000.0, 'unixepoch') AS until
FROM leases;
