ALTER TABLE ends RENAME COLUMN kept_browser_session_id TO kept_browser_id;
