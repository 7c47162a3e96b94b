"""Readers of users' files: arrays, images, labelled samples, TOML. Everything is checked before it is used."""
