-- Whether somebody is refreshing the session's tokens: 0 or 1. As long as they are, `version` keeps moving.
ALTER TABLE rp_sessions ADD COLUMN claimed BIGINT NOT NULL DEFAULT 0;
