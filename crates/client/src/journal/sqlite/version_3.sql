-- The chain that a chain id stands for in this file: the one with this block. A chain that starts anew has the same id, and nothing
-- that was signed before it may be sent there.
CREATE TABLE chains (
    chain_id ANY NOT NULL PRIMARY KEY,
    number ANY NOT NULL,
    hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;
