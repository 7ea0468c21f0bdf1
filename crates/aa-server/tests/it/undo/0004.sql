DROP TABLE settings_seen;
UPDATE events SET actor = 'app:' || SUBSTR(actor, 8) WHERE actor LIKE 'client:%';
UPDATE events SET actor = 'authority' WHERE actor = 'system';
UPDATE events SET actor = 'stranger' WHERE actor = 'anonymous';
CREATE TABLE user_ends (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (user_id, epoch)
);
INSERT INTO user_ends (user_id, epoch, ended_at, reason)
SELECT user_id, user_epoch, ended_at, reason FROM ends WHERE kind = 'user';
DROP TABLE end_serials;
DROP TABLE ends;
