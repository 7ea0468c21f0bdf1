-- What is removed by age is found by age.
CREATE INDEX user_browsers_by_use ON user_browsers (last_seen_at);
CREATE INDEX user_browsers_of_browser ON user_browsers (browser_id);
CREATE INDEX browsers_by_age ON browsers (created_at);
CREATE INDEX browser_sessions_of_browser ON browser_sessions (browser_id);
