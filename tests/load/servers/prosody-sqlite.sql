-- Fills the archive of Prosody: the two rows that it has written of one message from load0000 to load0001 become those of :count messages from
-- load0000 to 99 others in turn, 10 ms apart, the last of them now. Everything else in them is as the server wrote it.
.bail on
CREATE TEMP TABLE sample AS SELECT * FROM prosodyarchive;
DELETE FROM prosodyarchive;
BEGIN;
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count - 1)
INSERT INTO prosodyarchive (host, user, store, key, "when", "with", type, value)
SELECT host,
    replace(user, 'load0001', printf('load%04d', 1 + n % 99)),
    store,
    lower(hex(randomblob(16))),
    "when" - (:count - n) / 100,
    replace("with", 'load0001', printf('load%04d', 1 + n % 99)),
    type,
    replace(replace(value, 'load0001', printf('load%04d', 1 + n % 99)), '000000000000', printf('%012d', n))
FROM numbers CROSS JOIN sample;
COMMIT;
