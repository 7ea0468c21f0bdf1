DROP TABLE client_icons;
