-- A JSON object: the lane's next nonce, which no known operation has, and the block in which that was first seen.
ALTER TABLE operations ADD COLUMN nonce_gap TEXT;
