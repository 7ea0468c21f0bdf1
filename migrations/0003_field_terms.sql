-- The terms of the field (RFC 6749, OpenID Connect) instead of our own.

ALTER TABLE apps RENAME TO clients;
ALTER TABLE clients RENAME COLUMN registration TO metadata;

ALTER TABLE app_secrets RENAME TO client_secrets;
DROP INDEX app_secrets_of_app;
CREATE INDEX client_secrets_of_client ON client_secrets (client_id);

ALTER TABLE devices RENAME TO browsers;
ALTER TABLE user_devices RENAME TO user_browsers;
ALTER TABLE user_browsers RENAME COLUMN device_id TO browser_id;

ALTER TABLE identities RENAME TO browser_sessions;
ALTER TABLE browser_sessions RENAME COLUMN device_id TO browser_id;
DROP INDEX identities_of_user;
DROP INDEX identities_by_end;
CREATE INDEX browser_sessions_of_user ON browser_sessions (user_id, browser_id);
CREATE INDEX browser_sessions_by_end ON browser_sessions (expires_at);

ALTER TABLE families RENAME COLUMN device_id TO browser_id;
ALTER TABLE families RENAME COLUMN identity_id TO browser_session_id;
ALTER TABLE families RENAME COLUMN moved_at TO rotated_at;
ALTER TABLE families RENAME COLUMN moved_ip TO rotated_ip;
ALTER TABLE families RENAME COLUMN moved_user_agent TO rotated_user_agent;
