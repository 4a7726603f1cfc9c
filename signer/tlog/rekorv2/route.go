// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/tiles"
)

// apiPrefix is in front of the write call, and may be in front of what is read.
const apiPrefix = "/api/v2"

// errNoLog says that the deployment has no v2 log.
var errNoLog = errors.New("this deployment has no Rekor v2 log")

// remembered is how long reads go by the logs of the last look: what a log that
// appeared meanwhile has to say is not urgent.
const remembered = 250 * time.Millisecond

// shards are the v2 logs at a moment, oldest first.
type shards struct {
	logs []*tlog.Log
	at   time.Time
}

// look asks for the logs as they are now.
func (s *Service) look(ctx context.Context) (*shards, error) {
	now := &shards{at: time.Now()}
	var err error
	if now.logs, err = s.cfg.Set.Logs(ctx, tlog.V2); err != nil {
		return nil, fmt.Errorf("find log: %w", err)
	}
	s.last.Store(now)
	return now, nil
}

// recent returns logs that may be a moment old. While storage cannot be asked
// they may be older: what is in memory can be read all the same.
func (s *Service) recent(ctx context.Context) (*shards, error) {
	last := s.last.Load()
	if last != nil && time.Since(last.at) < remembered {
		return last, nil
	}
	now, err := s.look(ctx)
	if err != nil && last != nil {
		return last, nil
	}
	return now, err
}

// route returns the log that a request is for: the one whose origin is the
// request's host name, whatever the port, and under any other name the first
// one. Trusted roots and signing configurations name logs by host, so a shard
// keeps its name, and a client that was configured for it never gets another.
// Other names are not for ever: one may become that of the next shard.
func (s *shards) route(r *http.Request) (log *tlog.Log, named bool, err error) {
	if len(s.logs) == 0 {
		return nil, false, errNoLog
	}
	host := hostname(r.Host)
	for _, log := range s.logs {
		if strings.EqualFold(log.Origin(), host) {
			return log, true, nil
		}
	}
	return s.logs[0], false, nil
}

// hostname is a Host header without its port, and without the dot that ends a
// complete domain name.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(host, ".")
}

// serveRead answers everything but the write call.
func (s *Service) serveRead(w http.ResponseWriter, r *http.Request) {
	now, err := s.recent(r.Context())
	var log *tlog.Log
	var named bool
	if err == nil {
		log, named, err = now.route(r)
	}
	if err != nil {
		s.answerError(w, r, err)
		return
	}
	path, ok := strings.CutPrefix(strings.TrimPrefix(r.URL.Path, apiPrefix), "/")
	if !ok {
		path = "" // nothing of the log's
	}
	serve := tiles.ServeUncached
	if named {
		serve = tiles.Serve
	}
	if err := serve(w, r, log, path); err != nil {
		s.cfg.Logger.WarnContext(r.Context(), "reading the log failed", "log", log.Origin(), "path", path, "error", err)
	}
}
