// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv2"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// logService is the deployment's logs with their two faces.
type logService struct {
	set  *tlog.Set
	keys *keyRing
	v1   *rekorv1.Service
	v2   *rekorv2.Service
}

// openLogs loads all logs and puts both faces over them. Who closes them is
// the caller, unless there is an error.
func openLogs(ctx context.Context, cfg *Config, d *deployment, db store.Database, metrics prometheus.Registerer, logger *slog.Logger) (_ *logService, err error) {
	registered, err := cfg.writerKeys()
	if err != nil {
		return nil, usageError{err}
	}
	who, err := writers.New(writers.Config{Mode: writers.Mode(cfg.Log.Writers), CheckIssued: d.online.issuer, Requested: d.fulcioWriters(db), Keys: registered})
	if err != nil {
		return nil, usageError{fmt.Errorf("log: %w", err)}
	}
	observer, err := newLogMetrics(metrics)
	if err != nil {
		return nil, err
	}
	ring := newKeyRing(cfg, d.password)
	set, err := tlog.LoadSet(ctx, db, tlog.SetConfig{
		Signer: ring.signer,
		Config: tlog.Config{Shared: cfg.shared(), Logger: logger, Observe: observer.observe},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, set.Close(context.WithoutCancel(ctx)))
		}
	}()
	logs := &logService{set: set, keys: ring}
	if logs.v1, err = rekorv1.New(rekorv1.Config{Set: set, Writers: who, Logger: logger}); err != nil {
		return nil, err
	}
	if logs.v2, err = rekorv2.New(rekorv2.Config{Set: set, Writers: who, Logger: logger}); err != nil {
		return nil, err
	}
	for _, kind := range cfg.Signing.neededKinds() {
		if _, err := set.Active(ctx, kind); err != nil {
			logger.WarnContext(ctx, "nothing can be signed: signing.bundleLog needs a log that takes entries (hint: hallmark-server log add, then log activate)", "kind", string(kind), "error", err)
		}
	}
	return logs, nil
}

// forSigner are the logs that every signature goes to.
func (l *logService) forSigner(cfg *Config) []signer.Log {
	var logs []signer.Log
	for _, kind := range cfg.Signing.kinds() {
		if kind == tlog.V1 {
			logs = append(logs, logOfV1{l.v1})
		} else {
			logs = append(logs, logOfV2{l.v2})
		}
	}
	return logs
}
