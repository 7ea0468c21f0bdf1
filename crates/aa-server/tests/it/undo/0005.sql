DROP TABLE authentication_attempts;
