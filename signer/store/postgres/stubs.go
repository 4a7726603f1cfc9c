package postgres

import "context"

func Restore(ctx context.Context, backup string, cfg Config) error       { panic("unwritten") }
func (db *DB) Damage(ctx context.Context) (problems []string, err error) { panic("unwritten") }
func (db *DB) Backup(ctx context.Context, file string) error             { panic("unwritten") }
