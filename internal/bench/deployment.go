// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"path/filepath"

	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// maxWaiting lets a filling crowd wait in the engine's pool.
const maxWaiting = 2 * fillers

// logsOf opens the logs of a deployment whose servers are stopped, with its own
// keys, as its server would.
func (b *bench) logsOf(t *target, st tlog.Storage) (*tlog.Set, error) {
	dir := t.servers[0].Dir
	password, err := keys.ReadPassword(filepath.Join(dir, "password"), "")
	if err != nil {
		return nil, err
	}
	return tlog.LoadSet(b.ctx, st, tlog.SetConfig{
		Signer: func(row tlog.LogRow) (crypto.Signer, error) {
			path := filepath.Join(dir, "keys", "log-"+row.Name+".key")
			if key := b.keys[path]; key != nil {
				return key, nil
			}
			key, err := keys.ReadEncrypted(path, password)
			b.keys[path] = key
			return key, err
		},
		Config: tlog.Config{MaxWaiting: maxWaiting},
	})
}

// inProcess opens a stopped target's database and logs for f, and closes them.
func (b *bench) inProcess(t *target, open func(context.Context) (store.Database, error), f func(store.Database, *tlog.Set) error) (err error) {
	db, err := open(b.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	set, err := b.logsOf(t, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close(context.WithoutCancel(b.ctx))) }()
	return f(db, set)
}
