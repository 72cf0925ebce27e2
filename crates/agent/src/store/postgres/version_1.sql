-- Numbers are decimal (64 bits without a sign do not fit a bigint). Times are milliseconds since the Unix epoch. Nonces and nonce
-- keys are big-endian, so that their order is that of numbers. Names are UTF-8 that may hold zeros, which text may not.

CREATE TABLE leases (
    chain_id numeric(20) NOT NULL,
    entry_point bytea NOT NULL,
    account bytea NOT NULL,
    nonce_key bytea NOT NULL,
    -- Rises with every holder. It stays when the lane is given back, and then holder and until are null.
    epoch numeric(20) NOT NULL,
    holder bytea,
    until numeric(20),
    PRIMARY KEY (chain_id, account, entry_point, nonce_key)
);

-- The chain that a chain id stands for in this schema: the one with this block. A chain that starts anew has the same id, and nothing
-- that was signed before it may be sent there.
CREATE TABLE chains (
    chain_id numeric(20) PRIMARY KEY,
    number numeric(20) NOT NULL,
    hash bytea NOT NULL
);

CREATE TABLE intents (
    -- The order of first writing.
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bytea NOT NULL UNIQUE,
    version numeric(20) NOT NULL,
    chain_id numeric(20) NOT NULL,
    entry_point bytea NOT NULL,
    account bytea NOT NULL,
    nonce_key bytea NOT NULL,
    signer bytea NOT NULL,
    name bytea,
    request bytea NOT NULL,
    -- The record as JSON. Whoever reads a signed operation that is not included yet can send it.
    record text NOT NULL,
    -- The rest follows from the record. It is written with it and compared when it is read.
    state text NOT NULL,
    is_final boolean NOT NULL,
    is_untold boolean NOT NULL,
    is_spent boolean NOT NULL,
    holds_name boolean NOT NULL,
    included_nonce bytea
);

-- By a hash: an index does not take long names.
CREATE UNIQUE INDEX intents_by_name ON intents (chain_id, account, signer, sha256(name)) WHERE holds_name;
CREATE INDEX intents_by_account ON intents (chain_id, account);
CREATE INDEX intents_unsettled ON intents (chain_id, account, entry_point, nonce_key) WHERE NOT is_final;
CREATE INDEX intents_untold ON intents (chain_id, account, signer, request) WHERE is_untold;
CREATE INDEX intents_spent ON intents (chain_id, account, entry_point, nonce_key) WHERE is_spent;
CREATE INDEX intents_included ON intents (chain_id, account, entry_point, nonce_key, included_nonce)
WHERE included_nonce IS NOT NULL;

CREATE VIEW intent_list AS
SELECT
    encode(id, 'hex') AS id,
    encode(name, 'escape') AS name,
    state,
    is_final,
    chain_id,
    '0x' || encode(account, 'hex') AS account,
    '0x' || encode(signer, 'hex') AS signer,
    '0x' || encode(nonce_key, 'hex') AS nonce_key
FROM intents
ORDER BY sequence;

CREATE VIEW lease_list AS
SELECT
    chain_id,
    '0x' || encode(account, 'hex') AS account,
    '0x' || encode(nonce_key, 'hex') AS nonce_key,
    epoch,
    encode(holder, 'hex') AS holder,
    to_timestamp((until / 1000)::double precision) AS until
FROM leases;

-- The agents' own windows. A book is locked while one of its windows is checked.
CREATE TABLE ledger_books (
    -- A hash of the label.
    book bytea PRIMARY KEY,
    -- JSON: chain, account, signer and group.
    label text NOT NULL
);

CREATE TABLE ledger_reservations (
    -- The order of first writing.
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    book bytea NOT NULL REFERENCES ledger_books (book),
    intent bytea NOT NULL,
    name bytea,
    until numeric(20) NOT NULL,
    is_decided boolean NOT NULL
);

CREATE INDEX ledger_reservations_by_book ON ledger_reservations (book, is_decided);

CREATE TABLE ledger_entries (
    sequence bigint NOT NULL REFERENCES ledger_reservations (sequence) ON DELETE CASCADE,
    subject bytea NOT NULL,
    amount numeric(78) NOT NULL,
    -- Null while it is reserved.
    spent_at numeric(20)
);

CREATE INDEX ledger_entries_by_reservation ON ledger_entries (sequence);
