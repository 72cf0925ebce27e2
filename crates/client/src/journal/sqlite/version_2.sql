-- A JSON object: the lane's next nonce, which no known operation has, and the block in which that was first seen.
ALTER TABLE operations ADD COLUMN nonce_gap TEXT;

-- Plain transactions that were signed, and of which nobody was told yet what became of them. Whoever reads one can send it.
CREATE TABLE transactions (
    -- The order of first writing.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    chain_id ANY NOT NULL,
    sender TEXT NOT NULL,
    nonce ANY NOT NULL,
    -- The transaction as nodes take it.
    raw TEXT NOT NULL,
    -- Identifies what was asked for: equal for equal arguments.
    request TEXT NOT NULL,
    signed_at ANY NOT NULL,
    -- JSON, of whoever asked.
    note TEXT NOT NULL
) STRICT;

CREATE INDEX transactions_by_sender ON transactions (chain_id, sender);

CREATE VIEW transaction_list AS
SELECT
    hash,
    chain_id,
    sender,
    nonce,
    strftime('%Y-%m-%dT%H:%M:%fZ', signed_at / 1000.0, 'unixepoch') AS signed,
    note
FROM transactions
ORDER BY sequence;

-- The model's doubts had another form. Nothing is decided by them.
UPDATE operations SET doubt = NULL;
UPDATE operations
SET included = json_replace(included, '$.doubt', NULL)
WHERE json_extract(included, '$.doubt') IS NOT NULL;
