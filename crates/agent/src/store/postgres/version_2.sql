-- The latest transaction of each session. A process whose connection is lost during a commit learns here whether the commit took place.
-- The transaction's xid does not tell: after a crash, the server gives the xids that were not on the disk to other transactions.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    latest numeric(20) NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
