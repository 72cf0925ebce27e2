-- Numbers are decimal text: 64 and 256 bits without a sign. Times are milliseconds since the Unix epoch. Names and subjects are
-- UTF-8.

CREATE TABLE agent_reservations (
    -- The order of first writing.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    -- JSON: chain, account, signer and group.
    book TEXT NOT NULL,
    intent TEXT NOT NULL,
    name BLOB,
    until TEXT NOT NULL,
    is_decided INTEGER NOT NULL
) STRICT;

CREATE INDEX agent_reservations_by_book ON agent_reservations (book, is_decided);

CREATE TABLE agent_entries (
    sequence INTEGER NOT NULL REFERENCES agent_reservations (sequence) ON DELETE CASCADE,
    subject BLOB NOT NULL,
    amount TEXT NOT NULL,
    -- NULL while it is reserved.
    spent_at TEXT
) STRICT;

CREATE INDEX agent_entries_by_reservation ON agent_entries (sequence);
