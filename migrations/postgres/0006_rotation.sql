-- Free space in each page, so that a rotation writes the new row version to the same page and touches no index.
ALTER TABLE families SET (fillfactor = 85);

-- Names that PostgreSQL made from those of the first schema. Renaming a constraint renames its index.
ALTER TABLE clients RENAME CONSTRAINT apps_pkey TO clients_pkey;
ALTER TABLE client_secrets RENAME CONSTRAINT app_secrets_pkey TO client_secrets_pkey;
ALTER TABLE client_secrets RENAME CONSTRAINT app_secrets_client_id_fkey TO client_secrets_client_id_fkey;
ALTER TABLE browsers RENAME CONSTRAINT devices_pkey TO browsers_pkey;
ALTER TABLE browsers RENAME CONSTRAINT devices_token_hash_key TO browsers_token_hash_key;
ALTER TABLE user_browsers RENAME CONSTRAINT user_devices_pkey TO user_browsers_pkey;
ALTER TABLE user_browsers RENAME CONSTRAINT user_devices_user_id_fkey TO user_browsers_user_id_fkey;
ALTER TABLE user_browsers RENAME CONSTRAINT user_devices_device_id_fkey TO user_browsers_browser_id_fkey;
ALTER TABLE browser_sessions RENAME CONSTRAINT identities_pkey TO browser_sessions_pkey;
ALTER TABLE browser_sessions RENAME CONSTRAINT identities_token_hash_key TO browser_sessions_token_hash_key;
ALTER TABLE browser_sessions RENAME CONSTRAINT identities_user_id_fkey TO browser_sessions_user_id_fkey;
ALTER TABLE browser_sessions RENAME CONSTRAINT identities_device_id_fkey TO browser_sessions_browser_id_fkey;
ALTER TABLE families RENAME CONSTRAINT families_device_id_fkey TO families_browser_id_fkey;
