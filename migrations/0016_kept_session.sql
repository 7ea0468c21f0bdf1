-- What stays when a user's epoch ends is one browser session, and not all of a browser.
ALTER TABLE ends RENAME COLUMN kept_browser_id TO kept_browser_session_id;
UPDATE ends SET kept_browser_session_id = NULL;
