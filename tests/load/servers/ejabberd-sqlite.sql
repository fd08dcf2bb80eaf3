-- Fills the archive of ejabberd: the two rows that it has written of one message from load0000 to load0001 become those of :count messages from
-- load0000 to 99 others in turn, 10 ms apart, the last of them now. Everything else in them is as the server wrote it.
.bail on
CREATE TEMP TABLE sample AS SELECT * FROM archive;
DELETE FROM archive;
BEGIN;
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count - 1)
INSERT INTO archive (username, timestamp, peer, bare_peer, xml, txt, kind, nick)
SELECT replace(username, 'load0001', printf('load%04d', 1 + n % 99)),
    timestamp - (:count - n) * 10000,
    replace(peer, 'load0001', printf('load%04d', 1 + n % 99)),
    replace(bare_peer, 'load0001', printf('load%04d', 1 + n % 99)),
    replace(replace(replace(xml, 'load0001', printf('load%04d', 1 + n % 99)), '000000000000', printf('%012d', n)),
        timestamp, timestamp - (:count - n) * 10000),
    replace(txt, '000000000000', printf('%012d', n)),
    kind,
    nick
FROM numbers CROSS JOIN sample;
COMMIT;
