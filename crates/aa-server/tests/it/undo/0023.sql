DROP TABLE feed_followers;
DROP TABLE longest_token_life;
DROP INDEX ends_of_everything;
