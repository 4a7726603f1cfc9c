// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
)

// The first logs of a deployment. Their shards are v1-2, v1-3 and so on.
const (
	logV1 = "v1"
	logV2 = "v2"
)

// logKey is the name of a log's key among the deployment's keys.
func logKey(log string) string { return "log-" + log }

// keyLabel tells people where a key of the deployment is.
func (c *Config) keyLabel(name string) string {
	if p := c.place(name); p.reference != "" {
		return p.reference
	}
	return c.path("keys", name+".key")
}

// host is the host name of the service, which is the origin of the first v2
// log and the name on the checkpoints of all v1 logs.
func (c *Config) host() string {
	u, err := url.Parse(c.Origin)
	if err != nil {
		return c.Origin // checked before
	}
	return u.Hostname()
}

// logURL is the base URL of a log: the service's, for a v2 shard with the
// shard's own host name.
func (c *Config) logURL(row tlog.LogRow) (*url.URL, error) {
	u, err := url.Parse(c.Origin)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	if row.Kind == tlog.V2 && row.Origin != u.Hostname() {
		host := row.Origin
		if port := u.Port(); port != "" {
			host += ":" + port
		}
		u.Host = host
	}
	return u, nil
}

// newLog describes a log that is to be created.
type newLog struct {
	name  string
	kind  tlog.Kind
	state tlog.State
	host  string // in its origin
	key   crypto.Signer
}

// createLog makes a log.
func createLog(ctx context.Context, db store.Database, cfg *Config, l newLog) error {
	birth := tlog.Birth{Kind: l.kind, TreeID: tlog.NewTreeID(), State: l.state}
	lc := tlog.Config{Name: l.name, Origin: l.host, Signer: l.key, Shared: cfg.shared()}
	if l.kind == tlog.V1 {
		lc.Origin = tlog.OriginV1(l.host, birth.TreeID)
	}
	if err := tlog.Create(ctx, db, lc, birth); err != nil {
		return err
	}
	return seed(ctx, db, cfg, l.name, l.key)
}

// seed gives an empty v1 log its first entry: clients of Rekor v1 cannot prove
// anything about a log of size zero.
func seed(ctx context.Context, db store.Database, cfg *Config, name string, key crypto.Signer) (err error) {
	row, err := db.Log(ctx, name)
	if err != nil || row.Kind != tlog.V1 || row.Head.Size > 0 {
		return err
	}
	log, err := tlog.Load(ctx, db, tlog.Config{Name: name, Origin: row.Origin, Signer: key, Shared: cfg.shared()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close(context.WithoutCancel(ctx))) }()
	leaf, err := rekorv1.Genesis(key, row.Origin)
	if err != nil {
		return fmt.Errorf("make the first entry of log %q: %w", name, err)
	}
	if _, err := log.Append(ctx, leaf); err != nil {
		return fmt.Errorf("write the first entry of log %q: %w", name, err)
	}
	return nil
}

// publicKeyOf returns the key that a log was created with.
func publicKeyOf(row tlog.LogRow) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(row.Key)
	if err != nil {
		return nil, fmt.Errorf("key of log %q in the database: %w", row.Name, err)
	}
	return key, nil
}

// kindOrder lists logs as the trusted root does: v1 before v2, each as they
// were created.
func kindOrder(rows []tlog.LogRow) []tlog.LogRow {
	var ordered []tlog.LogRow
	for _, kind := range []tlog.Kind{tlog.V1, tlog.V2} {
		for i := range rows {
			if rows[i].Kind == kind {
				ordered = append(ordered, rows[i])
			}
		}
	}
	return ordered
}
