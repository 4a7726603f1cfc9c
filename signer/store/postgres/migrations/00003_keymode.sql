-- +goose Up

-- Signatures in more than one mode, by long-lived keys, and for legacy tags:
-- JSON of what has no column of its own. NULL for most.
ALTER TABLE intents ADD COLUMN more text;
