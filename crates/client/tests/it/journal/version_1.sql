PRAGMA journal_mode = WAL;
PRAGMA application_id = 0x534B4A4C;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
INSERT INTO leases VALUES(10,'0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','0x0101010101010101010101010101010101010101','0x000000000000000000000000000000000000000000000007',1,'0x01010101010101010101010101010101',500);
INSERT INTO leases VALUES(10,'0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','0x0202020202020202020202020202020202020202','0x000000000000000000000000000000000000000000000007',1,NULL,NULL);
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
INSERT INTO intents VALUES(1,'0x01010101010101010000000000000001',1,10,'0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','0x0101010101010101010101010101010101010101','0x000000000000000000000000000000000000000000000007','0x5555555555555555555555555555555555555555','rent 🏠','0x0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e','["0x6060606060606060606060606060606060606060"]',1700000000123,'0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,1700000090123,1700000100000,'0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,0,'0x70707070707070707070707070707070','included',0,0,0,1,'0x0000000000000000000000000000000000000000000000070000000000000001');
INSERT INTO intents VALUES(2,'0x01010101010101010000000000000002',1,10,'0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','0x0101010101010101010101010101010101010101','0x000000000000000000000000000000000000000000000007','0x5555555555555555555555555555555555555555',NULL,'0x0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e','[]',1700000000123,'0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'18446744073709551615',NULL,NULL,NULL,1,NULL,'void',1,0,1,0,NULL);
INSERT INTO intents VALUES(3,'0x01010101010101010000000000000003',1,10,'0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','0x0101010101010101010101010101010101010101','0x000000000000000000000000000000000000000000000007','0x5555555555555555555555555555555555555555',NULL,'0x0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e','[]',1700000000123,'0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,1700000090123,NULL,NULL,NULL,0,NULL,'never_sent',1,0,0,0,NULL);
INSERT INTO intents VALUES(4,'0x02020202020202020000000000000004',1,10,'0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','0x0202020202020202020202020202020202020202','0x000000000000000000000000000000000000000000000007','0x5555555555555555555555555555555555555555',NULL,'0x0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e','[]',1700000000123,'0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,1700000090123,NULL,NULL,NULL,0,NULL,'no_answer',0,0,0,0,NULL);
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
INSERT INTO operations VALUES('0x01010101010101010000000000000001',0,'0x0101010101010101010101010101010101010101010101010000000000000001','0x0000000000000000000000000000000000000000000000070000000000000001','{"sender":"0x0101010101010101010101010101010101010101","nonce":"0x70000000000000001","initCode":"0x","callData":"0xcacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca","callGasLimit":"0x0","verificationGasLimit":"0x0","preVerificationGas":"0x0","maxFeePerGas":"0x0","maxPriorityFeePerGas":"0x0","paymasterAndData":"0x","signature":"0x5151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151"}',100,'0xb0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0','{"verdict":"may_pass","violations":[]}','{"state":"in_pool"}',NULL,NULL,'{"receipt":{"userOpHash":"0x0101010101010101010101010101010101010101010101010000000000000001","sender":"0x0101010101010101010101010101010101010101","nonce":"0x70000000000000001","paymaster":null,"actualGasCost":"0x15","actualGasUsed":"0x3","transactionHash":"0x7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a","blockNumber":101,"blockHash":"0xb1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1","logs":[]},"success":true,"reason":null,"doubt":{"verdict":"may_pass","violations":[]},"seen":{"number":102,"hash":"0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"},"isFinal":false}');
INSERT INTO operations VALUES('0x01010101010101010000000000000002',0,'0x0101010101010101010101010101010101010101010101010000000000000002','0x0000000000000000000000000000000000000000000000070000000000000002','{"sender":"0x0101010101010101010101010101010101010101","nonce":"0x70000000000000002","initCode":"0x","callData":"0xcacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca","callGasLimit":"0x0","verificationGasLimit":"0x0","preVerificationGas":"0x0","maxFeePerGas":"0x0","maxPriorityFeePerGas":"0x0","paymasterAndData":"0x","signature":"0x5151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151"}',100,'0xb0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0',NULL,'{"state":"no_answer"}','{"block":{"number":110,"hash":"0xb3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3"},"usedBy":"0xb4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4"}','{"nonce":"0x70000000000000002","block":{"number":110,"hash":"0xb3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3"},"depth":{"blocks":64},"usedBy":"0xb4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4"}',NULL);
INSERT INTO operations VALUES('0x01010101010101010000000000000002',1,'0x0101010101010101010101010101010101010101010101010000000000000002','0x0000000000000000000000000000000000000000000000070000000000000002','{"sender":"0x0101010101010101010101010101010101010101","nonce":"0x70000000000000002","initCode":"0x","callData":"0xcacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca","callGasLimit":"0x0","verificationGasLimit":"0x0","preVerificationGas":"0x0","maxFeePerGas":"0x0","maxPriorityFeePerGas":"0x0","paymasterAndData":"0x","signature":"0x5151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151"}',100,'0xb0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0',NULL,'{"state":"not_taken","by":"bundler","code":-32005,"message":"too many","reason":"rate_limited","retry_after":3}','{"block":{"number":110,"hash":"0xb3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3"},"usedBy":"0xb4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4"}','{"nonce":"0x70000000000000002","block":{"number":110,"hash":"0xb3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3"},"depth":{"blocks":64},"usedBy":"0xb4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4"}',NULL);
INSERT INTO operations VALUES('0x02020202020202020000000000000004',0,'0x0202020202020202020202020202020202020202020202020000000000000004','0x0000000000000000000000000000000000000000000000070000000000000004','{"sender":"0x0202020202020202020202020202020202020202","nonce":"0x70000000000000004","initCode":"0x","callData":"0xcacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca","callGasLimit":"0x0","verificationGasLimit":"0x0","preVerificationGas":"0x0","maxFeePerGas":"0x0","maxPriorityFeePerGas":"0x0","paymasterAndData":"0x","signature":"0x5151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151"}',100,'0xb0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0',NULL,'{"state":"written"}',NULL,NULL,NULL);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('intents',4);
CREATE UNIQUE INDEX intents_by_name ON intents (chain_id, account, signer, name) WHERE holds_name = 1;
CREATE INDEX intents_by_account ON intents (chain_id, account);
CREATE INDEX intents_unsettled ON intents (chain_id, account, entry_point, nonce_key) WHERE is_final = 0;
CREATE INDEX intents_untold ON intents (chain_id, account, signer, request) WHERE is_untold = 1;
CREATE INDEX intents_spent ON intents (chain_id, account, entry_point, nonce_key) WHERE is_spent = 1;
CREATE INDEX intents_included ON intents (chain_id, account, entry_point, nonce_key, included_nonce)
WHERE included_nonce IS NOT NULL;
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
COMMIT;
