DROP INDEX user_browsers_by_use;
DROP INDEX user_browsers_of_browser;
DROP INDEX browsers_by_age;
DROP INDEX browser_sessions_of_browser;
